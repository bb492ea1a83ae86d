//! Rows cut, shifted and added up, and sums over rows that come back to every element of their row:
//! `Σ_bp γ^b δ^p z[b,p] = Σ_t c_t·Σ_bp γ^b δ^p x_t[b, first_t + p] + Σ_s c_s·(Σ_p δ^p)·Σ_b γ^b (Σ_i x_s[b,i])`.
//!
//! The sum over `p` in the last part is one number that the verifier computes, so that a block is read once however far it
//! spreads. The degree is at most the number of blocks plus the size of one. Nothing is rounded.

use crate::graph::{BlockSum, BlockTerm, Node};
use crate::lower::chain::{Family, Weight};
use crate::lower::identity::{Part, Weighting};
use crate::lower::monomial::Exponents;
use crate::lower::monomial::Variable::{Delta, Gamma};

use super::combine::WeightedCells;
use super::{Planning, add_up, combine};

fn at(block: usize, position: usize) -> Exponents {
    Gamma.power(block as i64).times(Delta.power(position as i64))
}

pub(crate) fn add(
    planning: &mut Planning<'_>,
    node: &Node,
    terms: &[BlockTerm],
    sums: &[BlockSum],
    blocks: usize,
) {
    let size = (planning.plan.tensors[node.output.0].spots.len() / blocks.max(1)).max(1);
    let own = planning.accumulators(node, |_, e| at(e / size, e % size));
    let Some(&home) = own.first() else { return };
    let mut parts = add_up(&own, 1);
    let read = terms.iter().filter(|term| term.coefficient != 0);
    let read = read.map(|term| cells(planning, term, blocks, size)).collect::<Vec<_>>();
    parts.extend(combine::read_cells(planning, read));
    let all = Weighting {
        coefficient: 1,
        public: None,
        len: size as u32,
        first: Exponents::ONE,
        step: Delta.power(1),
    };
    for sum in sums.iter().filter(|sum| sum.coefficient != 0) {
        let block = (sum.input.len() / blocks.max(1)).max(1);
        let entries = (0..sum.input.len()).map(|i| (planning.seen(&sum.input, i), at(i / block, 0)));
        let requests = planning.sums(Family::Y, entries.collect::<Vec<_>>());
        let weight = vec![Weighting { coefficient: -sum.coefficient, ..all }];
        parts.extend(requests.into_iter().map(|request| Part::Chain { request, weight: weight.clone() }));
    }
    planning.plan.identities.push(home, parts);
}

/// The cells that a term reads.
fn cells(planning: &Planning<'_>, term: &BlockTerm, blocks: usize, size: usize) -> WeightedCells {
    let have = (term.input.len() / blocks.max(1)).max(1);
    let count = size.min(have.saturating_sub(term.first));
    let elements = (0..blocks).flat_map(|block| (0..count).map(move |position| (block, position)));
    let entries = elements.map(|(block, position)| {
        let spot = planning.seen(&term.input, block * have + term.first + position);
        (spot, Weight { coefficient: term.coefficient, monomial: at(block, position) })
    });
    (term.input.tensor, entries.collect())
}
