//! Round 5: the evaluations at ζ.
//!
//! Specified in `docs/protocol.md`, "Round 5: `evaluations`".

use ark_bn254::Fr;
use kiln_kernels::{Graph, Vector};

use super::Prover;
use crate::constraints::{Challenges, Oracle};
use kiln_verify::{Portable, Rejection, VerifyError};

use crate::error::ProveError;
use crate::linearisation::{Evaluations, rotated};

/// Draws ζ and sends the evaluations.
pub(super) fn round(prover: &mut Prover<'_>, challenges: &Challenges) -> Result<Evaluations, ProveError> {
    let vk = &prover.pk.vk;
    let zeta = prover.writer.transcript.challenge("zeta");
    let mut sent: Vec<Fr> = Vec::new();
    // The plan lists the rotations of a polynomial one after another.
    let columns: Vec<&[(Oracle, i32)]> = vk.plan().queries.chunk_by(|a, b| a.0 == b.0).collect();
    for some in columns.chunks(prover.columns_at_once(columns.len())) {
        let oracles: Vec<_> = some.iter().map(|queries| queries[0].0).collect();
        let mut graph = Graph::new();
        let polynomials = prover.polynomials(&mut graph, &oracles)?;
        let evaluate = |(queries, polynomial): (&&[(Oracle, i32)], &Vector)| {
            let points = queries.iter().map(|(_, rotation)| rotated(vk.plan(), zeta, *rotation));
            graph.evaluate(polynomial, &points.collect::<Vec<Fr>>())
        };
        let pending: Vec<_> = some.iter().zip(&polynomials).map(evaluate).collect();
        drop(polynomials);
        let outcome = prover.engine.run(graph)?;
        sent.extend(pending.iter().flat_map(|scalars| outcome.scalars(*scalars)));
    }
    sent.iter().for_each(|value| prover.writer.scalar(value));
    let public_inputs = &prover.statement.public_inputs;
    Evaluations::new(&Portable, vk.circuit(), vk.plan(), challenges, public_inputs, zeta, &sent)
        .ok_or(ProveError::Unsatisfied(VerifyError::Rejected(Rejection::Challenge)))
}
