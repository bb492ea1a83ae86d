//! KZG-Plonk over BN254 with logUp lookups, multi-phase challenges and hidden committed columns.
//!
//! A [`Circuit`](circuit::Circuit) says what holds of columns of `2^k` rows; [`keygen`] makes its keys; [`commit_group`]
//! commits to columns that many proofs share (a model's weights); [`prove`] makes the bytes of a proof from a
//! [`Witness`]; [`verify`] needs a [`VerifyingKey`], a [`Statement`] and those bytes, and nothing else; [`mock`] names the
//! gate, row, operator and tensor at which a witness fails.
//!
//! # The argument
//! All rows are usable, and rotations wrap. A hidden column f is committed as f + b·(X^n − 1), with as many random
//! coefficients in b as values are ever seen of it, and one more. The rounds, one file each under `prover/`, and under
//! `verifier/` in [`kiln_verify`]:
//!
//! 1. `statement` binds the transcript to the key's digest, the public inputs and the committed groups.
//! 2. `phases` commits to the advice columns of each phase, draws the circuit's challenges after it, and commits to
//!    the lookups' multiplicities last.
//! 3. `lookup` commits to helpers and one running sum Z. Everything is a sum of fractions that must be zero: for each
//!    looked-up tuple 1/(γ + tag + θ·f₀ + θ²·f₁ + …), for each table segment −m over the same of the table, and for each copy
//!    column 1/(δ + v + β·id) − 1/(δ + v + β·σ). A helper carries `degree − 1` of them over one denominator. Because rows
//!    wrap, Z(X) − Z(ω⁻¹X) = Σ h says that the total is zero, without a boundary condition; γ and δ are independent, which
//!    keeps lookups and copies apart.
//! 4. `quotient` commits to t = Σ α^i·constraint_i / (X^n − 1) in `degree − 1` blinded pieces.
//! 5. `evaluations` opens at ζ what constraints multiply with each other. What they only contain linearly (committed
//!    groups, helpers, multiplicities, Z, and advice that promises so) is never evaluated: its commitments are folded
//!    into one linearisation that opens to zero. This is what lets one hiding commitment serve any number of proofs.
//! 6. `opening` is SHPLONK: two points, and one check of two pairings.
//!
//! `constraints.rs` of [`kiln_verify`] writes all constraints once, over an abstract algebra: the prover compiles them into
//! programs, the verifier evaluates them at ζ, key generation takes their degrees. `plan.rs` there is what both sides read
//! off a circuit.
//!
//! # What it rests on
//! Knowledge soundness of KZG and SHPLONK in the algebraic group model over BN254 (some 100 bits), Keccak-256 as a
//! random oracle, and an SRS whose τ nobody knows: [`VerifyingKey::is_insecure`] tells whether that may be so. Values
//! are committed by variable-time multi-scalar multiplications: run the prover where nobody can time it.
#![deny(unsafe_code)]

/// Lets the unit tests share the integration tests' sample circuit.
#[cfg(test)]
extern crate self as kiln_plonk;

mod arithmetic;
mod combinations;
mod combine;
mod commit;
mod compile;
mod error;
mod keygen;
mod keys;
mod keys_io;
#[allow(unsafe_code, reason = "maps files; the module's documentation says what is relied on")]
mod mapped;
mod mock;
mod permutation;
mod progress;
mod proof;
mod prover;
mod proving_key;
mod randomness;
mod sections;
mod srs;
mod witness;

// Both sides read circuits, constraints and plans from the verifier's crate, so that they cannot disagree.
use kiln_verify::internals::{constraints, domain, linearisation, opening_points, plan};
pub use kiln_verify::{
    Arithmetic, BatchError, BatchItem, CircuitError, CommittedPublic, FileError, MalformedProof,
    PROOF_VERSION, Portable, Rejection, SrsVerifier, Statement, VerifyError, VerifyingKey, circuit, encoding,
    expression, formula, verify, verify_batch, verify_batch_by, verify_by,
};

pub use arithmetic::{PortableThreads, ProcessorArithmetic};
pub use commit::commit_group;
pub use error::{KeyError, ProveError};
pub use keygen::keygen;
pub use keys::CommittedSecret;
pub use keys_io::KeyFileError;
pub use mock::{MockFailure, Place, QueryValue, mock};
pub use progress::{Progress, ProofReport, SetupProgress, Silent};
pub use prover::{Holding, MemoryPlan, Work, prove, prove_within};
pub use proving_key::{ProvingKey, ProvingKeyError};
pub use randomness::Randomness;
pub use sections::SectionError;
pub use srs::{Ptau, PtauError, SRS_EXTRA, SRS_K_MAX, Srs, SrsError, SrsOrigin};
pub use witness::{ColumnValues, Witness, WitnessError};
