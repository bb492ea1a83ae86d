//! Rows of a weight by their numbers, after Freivalds and with logarithmic derivatives (Haböck, ePrint 2022/1530):
//!
//! 1. `Σ_mn β^m δ^n z[m,n] = Σ_k h[k]·(Σ_n δ^n w[k,n])`, a product of the weight with the matrix that has a one where row `m` of the
//!    output is row `k` of the weight. Of that matrix only `h[k] = Σ_{m: ids[m] = k} β^m` is committed, in phase 1, as a relay beside
//!    the end of the row's chain.
//! 2. `Σ_k h[k]/(μ − k) = Σ_m β^m/(μ − ids[m])`, `μ` drawn after `h` is committed. The fractions are columns of phase 2: `g` beside
//!    each relay with the gate `g·(μ − k) = h`, and `u` beside each id with the gate `u·(μ − id) = 1`.
//!
//! As rational functions in `μ` the sides of 2 are equal only if the residues are, at each row number and beyond: `h[k]` is what 1
//! says it is, and where no row has the number `id`, the powers of `β` of those that ask for it add up to zero, which they do but
//! for (M − 1)/r, ids being committed before `β` is drawn. If both sides differ they agree at `μ` for at most K + M of its r values,
//! and a `μ` that is a pole itself, where a gate would leave its fraction free, is one of K + M values more. With the right `h` the
//! degree of 1 is at most M + N. The identities 2 of several lookups are kept apart by powers of `lambda`, as the ties of relays are: `eta`
//! is known when `h` is chosen. Nothing is rounded. The cost is a relay and a fraction for each row of the weight, zero but for
//! the rows that are asked for, and an inverse for each id.

use crate::graph::{Node, View, WeightId};
use crate::lower::chain::Weight;
use crate::lower::identity::{Lookup, Part, Source};
use crate::lower::monomial::Exponents;
use crate::lower::monomial::Variable::{Beta, Delta};

use super::{Planning, add_up};

pub(crate) fn add(planning: &mut Planning<'_>, node: &Node, ids: &View, weight: WeightId) {
    let shape = &planning.graph.weights[weight.0].shape;
    let (rows, n) = (shape[0], shape[1]);
    let at = |m: usize, n: usize| -> Exponents { Beta.power(m as i64).times(Delta.power(n as i64)) };
    let sums = planning.accumulators(node, |_, e| at(e / n, e % n));
    let Some(&home) = sums.first() else { return };
    let mut parts = add_up(&sums, 1);
    let lookup = planning.plan.identities.lookups.len();
    for row in 0..rows {
        let spots = &planning.plan.weights[weight.0].spots[row * n..(row + 1) * n];
        let entries = spots.iter().enumerate().map(|(n, spot)| (*spot, Weight::unit(at(0, n)))).collect();
        let beside = planning.weight_sum(entries);
        let source = Source::Indicator { lookup, row: row as u32 };
        let relay = planning.plan.identities.relay(source, beside);
        parts.push(Part::Product { relay, coefficient: -1 });
    }
    planning.plan.identities.push(home, parts);
    let ids = (0..ids.len()).map(|m| planning.seen(ids, m)).collect();
    let identity = planning.plan.identities.list.len();
    planning.plan.identities.lookups.push(Lookup { ids, identity });
    // Its entries are fractions, of which only the ledger knows where they stand.
    planning.plan.identities.push(home, Vec::new());
}
