//! KZG-Plonk over BN254 with logUp lookups, multi-phase challenges and hidden committed columns.
#![forbid(unsafe_code)]

/// Lets the unit tests share the integration tests' sample circuit.
#[cfg(test)]
extern crate self as kiln_plonk;

pub mod circuit;
mod combine;
mod commit;
mod compile;
mod constraints;
pub mod encoding;
mod error;
mod evaluate;
pub mod expression;
pub mod formula;
mod keygen;
mod keys;
mod keys_io;
mod linearisation;
mod mock;
mod opening_points;
mod permutation;
mod plan;
mod progress;
mod proof;
mod prover;
mod randomness;
mod srs;
mod statement;
mod transcript;
mod verifier;
mod witness;

pub use commit::commit_group;
pub use error::{KeyError, MalformedProof, ProveError, Rejection, VerifyError};
pub use keygen::keygen;
pub use keys::{CommittedPublic, CommittedSecret, ProvingKey, SrsVerifier, VerifyingKey};
pub use keys_io::KeyFileError;
pub use mock::{MockFailure, Place, QueryValue, mock};
pub use progress::{Progress, ProofReport, Silent};
pub use proof::PROOF_VERSION;
pub use prover::prove;
pub use randomness::Randomness;
pub use srs::{SRS_EXTRA, Srs, SrsError};
pub use statement::Statement;
pub use verifier::verify;
pub use witness::{ColumnValues, Witness, WitnessError};
