//! Round 5: the evaluations at ζ.
//!
//! Specified in `docs/protocol.md`, "Round 5: `evaluations`".

use alloc::vec::Vec;

use crate::arithmetic::Arithmetic;
use crate::constraints::Challenges;
use crate::error::{Rejection, VerifyError};
use crate::keys::VerifyingKey;
use crate::linearisation::Evaluations;
use crate::proof::ProofReader;
use crate::statement::Statement;

/// Draws ζ, reads the evaluations and works out those of the instance columns.
pub(super) fn round(
    arithmetic: &dyn Arithmetic,
    vk: &VerifyingKey,
    statement: &Statement,
    challenges: &Challenges,
    reader: &mut ProofReader<'_>,
) -> Result<Evaluations, VerifyError> {
    let zeta = reader.transcript.challenge("zeta");
    let mut sent = Vec::with_capacity(vk.plan.queries.len());
    for _ in &vk.plan.queries {
        sent.push(reader.scalar("an evaluation")?);
    }
    let public_inputs = &statement.public_inputs;
    Evaluations::new(arithmetic, &vk.circuit, &vk.plan, challenges, public_inputs, zeta, &sent)
        .ok_or(VerifyError::Rejected(Rejection::Challenge))
}
