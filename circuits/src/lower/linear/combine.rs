//! Sums of terms: `Σ_e a_e·z[e] = constant·Σ_e a_e + Σ_t coefficient_t·Σ_i a_target(i)·x_t[i]`, `a_e` the address of output
//! element `e`. The degree is at most the number of cells of the output.

use crate::graph::{Node, Term};
use crate::lower::chain::Family;
use crate::lower::identity::{Part, weightings};
use crate::lower::layout::Placed;

use super::{Planning, add_up};

pub(crate) fn add(planning: &mut Planning<'_>, node: &Node, terms: &[Term], constant: i64) {
    let sums = planning.accumulators(node, Placed::address);
    let Some(&home) = sums.first() else { return };
    let mut parts = add_up(&sums, 1);
    for term in terms.iter().filter(|term| term.coefficient != 0) {
        let target = |i: usize| match &term.target {
            None => Some(i),
            Some(target) => target[i].map(|e| e as usize),
        };
        let entries = (0..term.input.len())
            .filter_map(|i| Some((planning.seen(&term.input, i), planning.address(node.output, target(i)?))));
        let entries = entries.collect::<Vec<_>>();
        parts.extend(add_up(&planning.sums(Family::Y, entries), -term.coefficient));
    }
    if constant != 0 {
        let placed = &planning.plan.tensors[node.output.0];
        let all = (0..placed.spots.len()).map(|e| (None, placed.address(e)));
        parts.push(Part::Known { weight: weightings(-constant, all) });
    }
    planning.plan.identities.push(home, parts);
}
