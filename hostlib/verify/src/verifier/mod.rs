//! The verifier: the same rounds as the prover's, one file each, under the same names.
//!
//! It needs a verifying key, a statement and the bytes of a proof. It uses no device and no SRS, and it never panics,
//! whatever the bytes.

mod batch;
mod evaluations;
mod lookup;
mod opening;
mod phases;
mod quotient;
mod statement;

use alloc::collections::BTreeMap;

use ark_bn254::G1Affine;

use crate::arithmetic::{Arithmetic, Portable, both};
use crate::constraints::Oracle;
use crate::error::{Rejection, VerifyError};
use crate::keys::VerifyingKey;
use crate::linearisation::Linearisation;
use crate::proof::ProofReader;
use crate::statement::Statement;

pub use batch::{BatchError, BatchItem, verify_batch, verify_batch_by};
use opening::{Claim, HalfPairing};

/// Commitments of all polynomials that have one.
type Commitments = BTreeMap<Oracle, G1Affine>;

/// Verifies a proof.
///
/// # Errors
/// [`VerifyError::Statement`] or [`VerifyError::Malformed`] if statement or bytes do not fit the circuit,
/// [`VerifyError::Rejected`] if they do and the proof is false.
pub fn verify(vk: &VerifyingKey, statement: &Statement, proof: &[u8]) -> Result<(), VerifyError> {
    verify_by(&Portable, vk, statement, proof)
}

/// [`verify`] by another library's arithmetic. The verdict is worth as much as that library's sums.
///
/// # Errors
/// As [`verify`].
pub fn verify_by(
    arithmetic: &dyn Arithmetic,
    vk: &VerifyingKey,
    statement: &Statement,
    proof: &[u8],
) -> Result<(), VerifyError> {
    let check = || {
        let reader = open(arithmetic, vk, statement, proof)?;
        // Half of the pairing check can be had before anything else is known.
        let half = || HalfPairing::new(&vk.srs, reader.last_point(&vk.plan));
        let (claim, half) = both(arithmetic, || claim(arithmetic, vk, statement, reader.clone()), half);
        if claim?.holds_with(arithmetic, half) {
            Ok(())
        } else {
            Err(VerifyError::Rejected(Rejection::Pairing))
        }
    };
    // All of it on one of the library's threads, if it has any: from there it takes less to hand work to another.
    both(arithmetic, check, || ()).0
}

/// Checks the statement's form and the proof's.
fn open<'a>(
    arithmetic: &dyn Arithmetic,
    vk: &VerifyingKey,
    statement: &Statement,
    proof: &'a [u8],
) -> Result<ProofReader<'a>, VerifyError> {
    statement.check(vk)?;
    Ok(ProofReader::new(arithmetic, proof, &vk.plan)?)
}

/// Reads a proof down to the one thing that is left to check.
fn claim(
    arithmetic: &dyn Arithmetic,
    vk: &VerifyingKey,
    statement: &Statement,
    mut reader: ProofReader<'_>,
) -> Result<Claim, VerifyError> {
    let (circuit, plan) = (&vk.circuit, &vk.plan);
    // 1 ----- bind to key and statement
    let mut commitments = statement::round(vk, statement, &mut reader);
    // 2 ----- advice of each phase, the circuit's challenges, multiplicities
    let circuit_challenges = phases::round(vk, &mut reader, &mut commitments)?;
    // 3 ----- helpers and running sum of lookups and copies
    let challenges = lookup::round(plan, circuit_challenges, &mut reader, &mut commitments)?;
    // 4 ----- quotient
    let (alpha, pieces) = quotient::round(plan, &mut reader)?;
    // 5 ----- evaluations at ζ, linearisation
    let evaluations = evaluations::round(arithmetic, vk, statement, &challenges, &mut reader)?;
    let linearisation = Linearisation::new(arithmetic, circuit, plan, &challenges, alpha, &evaluations);
    // 6 ----- opening
    opening::round(vk, &commitments, &pieces, &linearisation, &evaluations, reader)
}
