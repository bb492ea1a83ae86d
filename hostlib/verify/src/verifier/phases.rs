//! Round 2: advice columns phase by phase, each followed by the circuit's challenges, and multiplicities.
//!
//! Specified in `docs/protocol.md`, "Round 2: `phases`".

use alloc::vec::Vec;

use ark_bn254::Fr;

use super::Commitments;
use crate::constraints::Oracle;
use crate::error::VerifyError;
use crate::keys::VerifyingKey;
use crate::plan::index;
use crate::proof::ProofReader;

/// Reads the commitments and draws the circuit's challenges.
pub(super) fn round(
    vk: &VerifyingKey,
    reader: &mut ProofReader<'_>,
    commitments: &mut Commitments,
) -> Result<Vec<Fr>, VerifyError> {
    let mut challenges = Vec::new();
    for (phase, columns) in vk.plan.phases.iter().enumerate() {
        for &column in columns {
            commitments.insert(Oracle::Advice(column), reader.point("an advice commitment")?);
        }
        for name in vk.circuit.challenges.get(phase).into_iter().flatten() {
            challenges.push(reader.transcript.challenge(name));
        }
    }
    for segment in 0..vk.plan.segments.len() {
        let point = reader.point("a multiplicity commitment")?;
        commitments.insert(Oracle::Multiplicity(index(segment)), point);
    }
    Ok(challenges)
}
