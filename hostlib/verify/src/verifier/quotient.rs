//! Round 4: the quotient of all constraints by X^n − 1.
//!
//! Specified in `docs/protocol.md`, "Round 4: `quotient`".

use alloc::vec::Vec;

use ark_bn254::{Fr, G1Affine};

use crate::error::VerifyError;
use crate::plan::Plan;
use crate::proof::ProofReader;

/// Draws α and reads the commitments of the quotient's pieces.
pub(super) fn round(plan: &Plan, reader: &mut ProofReader<'_>) -> Result<(Fr, Vec<G1Affine>), VerifyError> {
    let alpha = reader.transcript.challenge("alpha");
    let pieces = reader.points("a quotient commitment", plan.pieces)?;
    Ok((alpha, pieces))
}
