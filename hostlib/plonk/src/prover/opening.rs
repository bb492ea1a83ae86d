//! Round 6: the opening (SHPLONK: Boneh, Drake, Fisch, Gabizon, ePrint 2020/081, section 4).
//!
//! With F_S the combination of all polynomials opened at the points S, weighted by powers of v, the first point commits to
//! h = Σ_S (F_S − R_S)/Z_S, where R_S interpolates F_S on S; dividing by the linear factors one after another, each time
//! without remainder, does just that. The second commits to L/(X − u) for
//! L = Σ_S Z_{T∖S}(u)·(F_S − R_S(u)) − Z_T(u)·h, where constants drop out in the same way.
//!
//! Specified in `docs/protocol.md`, "Round 6: `opening`".

use ark_bn254::Fr;
use ark_ff::One;
use kiln_kernels::{Graph, Vector};

use super::Prover;
use crate::combine::combine;
use crate::error::ProveError;
use crate::linearisation::Linearisation;
use crate::opening_points::OpeningPoints;

/// Sends the two opening points and finishes the proof.
pub(super) fn round(
    mut prover: Prover<'_>,
    pieces: &[Vector],
    linearisation: &Linearisation,
    zeta: Fr,
) -> Result<Vec<u8>, ProveError> {
    let v = prover.writer.transcript.challenge("v");
    let points = OpeningPoints::new(prover.pk.vk.plan(), zeta);
    let combined = prover.combined_by_points(pieces, linearisation, v)?;
    // Nothing else is read from here on.
    prover.forget(|_| true);
    let mut graph = Graph::new();
    let mut quotients = Vec::new();
    for (set, polynomial) in combined.iter().enumerate() {
        let divided =
            points.set(set).iter().fold(polynomial.clone(), |p, point| graph.divide_linear(&p, *point));
        quotients.push(divided);
    }
    let terms: Vec<_> = quotients.iter().map(|quotient| (quotient, Fr::one())).collect();
    let h = combine(&mut graph, &terms, longest(&quotients))?;
    let w = prover.committer.coefficients(&mut graph, &h);
    let outcome = prover.engine.run(graph)?;
    prover.writer.point(&outcome.point(w));

    let u = prover.writer.transcript.challenge("u");
    let mut graph = Graph::new();
    let mut terms: Vec<_> =
        combined.iter().enumerate().map(|(set, polynomial)| (polynomial, points.others_at(set, u))).collect();
    terms.push((&h, -points.all_at(u)));
    let l = combine(&mut graph, &terms, longest(&combined))?;
    let quotient = graph.divide_linear(&l, u);
    let w_prime = prover.committer.coefficients(&mut graph, &quotient);
    let outcome = prover.engine.run(graph)?;
    prover.writer.point(&outcome.point(w_prime));
    Ok(prover.writer.finish())
}

fn longest(vectors: &[Vector]) -> usize {
    vectors.iter().map(Vector::len).max().unwrap_or(0)
}

impl Prover<'_> {
    /// F_S for each point set S of the plan.
    fn combined_by_points(
        &self,
        pieces: &[Vector],
        linearisation: &Linearisation,
        v: Fr,
    ) -> Result<Vec<Vector>, ProveError> {
        let mut power = Fr::one();
        let mut combined = Vec::new();
        for (set, content) in self.pk.vk.plan().point_sets.iter().enumerate() {
            let (mut terms, mut vectors) = (Vec::new(), Vec::new());
            if set == 0 {
                // The linearisation has the power 1; its constant drops out.
                terms.extend(linearisation.terms.iter().copied());
                vectors.extend(pieces.iter().zip(linearisation.pieces.iter().copied()));
                power *= v;
            }
            for oracle in &content.oracles {
                terms.push((*oracle, power));
                power *= v;
            }
            combined.push(self.combination(&terms, &vectors)?);
        }
        Ok(combined)
    }
}
