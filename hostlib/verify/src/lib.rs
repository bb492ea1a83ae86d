//! The verifier of Kiln's proofs: KZG-Plonk over BN254 with logUp lookups and hidden committed columns.
//!
//! [`verify`] takes a [`VerifyingKey`], a [`Statement`] and the bytes of a proof, and gives a verdict. There is no prover
//! in here, no reference string, no device, no file and no clock: no `std`, so that the same code runs in a browser,
//! a contract's test or an enclave. Bytes from outside never panic, and never choose how much is allocated.
//!
//! What the rounds are and why they are sound: `docs/protocol.md`. The prover, in `kiln-plonk`, reads the same circuit,
//! the same constraints and the same plan from here, so that both sides cannot disagree.
#![no_std]
#![forbid(unsafe_code)]
// Everything in here reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

#[macro_use]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod arithmetic;
#[cfg(test)]
mod cheating;
mod check;
pub mod circuit;
mod constraints;
mod domain;
pub mod encoding;
mod error;
mod evaluate;
pub mod expression;
mod file;
mod file_error;
pub mod formula;
mod keys;
mod keys_file;
mod linearisation;
mod multiexp;
mod opening_points;
mod plan;
mod powers;
mod proof;
mod statement;
mod transcript;
mod verifier;

pub use arithmetic::{Arithmetic, Portable};
pub use error::{CircuitError, MalformedProof, Rejection, VerifyError};
pub use file_error::FileError;
pub use keys::{CommittedPublic, SrsVerifier, VerifyingKey};
pub use multiexp::Summand;
pub use proof::PROOF_VERSION;
pub use statement::Statement;
pub use verifier::{BatchError, BatchItem, verify, verify_batch, verify_batch_by, verify_by};

/// What the prover shares with the verifier. No promise of stability: only `kiln-plonk` should look in here.
#[doc(hidden)]
pub mod internals {
    pub mod constraints {
        pub use crate::constraints::*;
    }
    pub mod domain {
        pub use crate::domain::*;
    }
    pub mod file {
        pub use crate::file::*;
    }
    pub mod linearisation {
        pub use crate::linearisation::*;
    }
    pub mod opening_points {
        pub use crate::opening_points::*;
    }
    pub mod plan {
        pub use crate::plan::*;
    }
    pub mod proof {
        pub use crate::proof::*;
    }
    pub mod transcript {
        pub use crate::transcript::*;
    }
}
