//! Round 5: the evaluations at ζ.
//!
//! Specified in `docs/protocol.md`, "Round 5: `evaluations`".

use ark_bn254::Fr;
use kiln_kernels::Graph;

use super::Prover;
use crate::constraints::Challenges;
use kiln_verify::{Rejection, VerifyError};

use crate::error::ProveError;
use crate::linearisation::{Evaluations, rotated};

/// Draws ζ and sends the evaluations.
pub(super) fn round(prover: &mut Prover<'_>, challenges: &Challenges) -> Result<Evaluations, ProveError> {
    let vk = &prover.pk.vk;
    let zeta = prover.writer.transcript.challenge("zeta");
    let mut graph = Graph::new();
    let mut pending = Vec::new();
    // The plan lists the rotations of a polynomial one after another.
    for queries in vk.plan().queries.chunk_by(|a, b| a.0 == b.0) {
        let points: Vec<Fr> =
            queries.iter().map(|(_, rotation)| rotated(vk.plan(), zeta, *rotation)).collect();
        let oracle = queries[0].0;
        pending.push(graph.evaluate(prover.polynomial(oracle)?, &points));
    }
    let outcome = prover.engine.run(graph)?;
    let sent: Vec<Fr> =
        pending.iter().flat_map(|scalars| outcome.scalars(*scalars).iter().copied()).collect();
    sent.iter().for_each(|value| prover.writer.scalar(value));
    let public_inputs = &prover.statement.public_inputs;
    Evaluations::new(vk.circuit(), vk.plan(), challenges, public_inputs, zeta, &sent)
        .ok_or(ProveError::Unsatisfied(VerifyError::Rejected(Rejection::Challenge)))
}
