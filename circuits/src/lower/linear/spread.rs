//! Sums of terms, and of sums over blocks that come back to every element of their block:
//! `Σ_e a_e·z[e] = Σ_t coefficient_t·Σ_i a_target(i)·x_t[i] + Σ_s coefficient_s·(Σ_p δ^p)·Σ_i γ^block(i)·x_s[i]`.
//!
//! Element `e` is element `p` of block `b`, and its monomial is `a_e = γ^b·δ^p`, so that the sum over `p` is one number that the
//! verifier computes, and a block is read once however far it spreads. The degree is at most the number of blocks plus the
//! size of one. Nothing is rounded.

use crate::graph::{BlockSum, Node, Term};
use crate::lower::chain::Family;
use crate::lower::identity::{Part, Weighting};
use crate::lower::monomial::Exponents;
use crate::lower::monomial::Variable::{Delta, Gamma};

use super::{Planning, add_up, combine};

pub(crate) fn add(
    planning: &mut Planning<'_>,
    node: &Node,
    terms: &[Term],
    sums: &[BlockSum],
    blocks: usize,
) {
    let size = planning.plan.tensors[node.output.0].spots.len() / blocks.max(1);
    let at = |e: usize| Gamma.power((e / size) as i64).times(Delta.power((e % size) as i64));
    let own = planning.accumulators(node, |_, e| at(e));
    let Some(&home) = own.first() else { return };
    let mut parts = add_up(&own, 1);
    parts.extend(combine::read_terms(planning, terms, at));
    for sum in sums.iter().filter(|sum| sum.coefficient != 0) {
        let block = (sum.input.len() / blocks.max(1)).max(1);
        let entries = (0..sum.input.len())
            .map(|i| (planning.seen(&sum.input, i), Gamma.power((i / block) as i64)))
            .collect::<Vec<_>>();
        let weight = Weighting {
            coefficient: -sum.coefficient,
            public: None,
            len: size as u32,
            first: Exponents::ONE,
            step: Delta.power(1),
        };
        let requests = planning.sums(Family::Y, entries).into_iter();
        parts.extend(requests.map(|request| Part::Chain { request, weight: vec![weight] }));
    }
    planning.plan.identities.push(home, parts);
}
