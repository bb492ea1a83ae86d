//! Matrix products, after Freivalds: `Σ_mn β^m δ^n z[m,n] = Σ_k (Σ_m β^m x[m,k])·(Σ_n δ^n w[k,n]) + Σ_m β^m·Σ_n δ^n bias[n]`,
//! of degree M + N.
//!
//! Each bracket is a chain. With one row (M = 1) the first bracket is the cell `x[k]` itself, relayed by value, and
//! `Σ_k a_k·v_k = Σ_k a_k·x[k]` ties the relays, `a_k` the address of the cell.

use crate::graph::{Node, View, WeightId};
use crate::lower::chain::{Family, Weight};
use crate::lower::identity::{Part, RelayId, Source, Weighting};
use crate::lower::monomial::Exponents;
use crate::lower::monomial::Variable::{Beta, Delta};

use super::{Planning, add_up};

pub(crate) fn add(
    planning: &mut Planning<'_>,
    node: &Node,
    input: &View,
    weight: WeightId,
    bias: Option<WeightId>,
) {
    let (m, k) = (input.shape[0], input.shape[1]);
    let n = planning.graph.weights[weight.0].shape[1];
    let at = |m: usize, n: usize| Beta.power(m as i64).times(Delta.power(n as i64));
    let sums = planning.accumulators(node, |_, e| at(e / n, e % n));
    let Some(&home) = sums.first() else { return };
    let mut parts = add_up(&sums, 1);
    let mut cells = Vec::new();
    for column in 0..k {
        let spots = &planning.plan.weights[weight.0].spots[column * n..(column + 1) * n];
        let entries = spots.iter().enumerate().map(|(n, spot)| (*spot, Weight::unit(at(0, n)))).collect();
        let beside = planning.weight_sum(entries);
        if m == 1 {
            let source = Source::Cell(planning.seen(input, column));
            let relay = planning.plan.identities.relay(source, beside);
            cells.push((column, relay));
            parts.push(Part::Product { relay, coefficient: -1 });
        } else {
            let entries = (0..m).map(|row| (planning.seen(input, row * k + column), at(row, 0)));
            let entries = entries.collect::<Vec<_>>();
            for source in planning.sums(Family::Y, entries) {
                let relay = planning.plan.identities.relay(Source::Chain(source), beside);
                parts.push(Part::Product { relay, coefficient: -1 });
            }
        }
    }
    let all_rows =
        Weighting { coefficient: 1, public: None, len: m as u32, first: Exponents::ONE, step: at(1, 0) };
    parts.extend(planning.bias(bias, |n| at(0, n), vec![all_rows]));
    planning.plan.identities.push(home, parts);
    if !cells.is_empty() {
        tie(planning, input, &cells);
    }
}

/// Each relay repeats the cell of an element of the input.
pub(super) fn tie(planning: &mut Planning<'_>, input: &View, relays: &[(usize, RelayId)]) {
    // A view may show a cell twice, or an element have two relays; numbering the relays keeps them apart.
    let numbered = input.order.is_some() || relays.iter().zip(0..).any(|((element, _), at)| *element != at);
    let monomial = |(at, (element, _)): (usize, &(usize, RelayId))| match numbered {
        true => Delta.power(at as i64),
        false => planning.address(input.tensor, input.element(*element)),
    };
    let monomials = relays.iter().enumerate().map(monomial).collect::<Vec<_>>();
    let entries = relays.iter().zip(&monomials);
    let entries = entries.map(|((element, _), monomial)| (planning.seen(input, *element), *monomial));
    let entries = entries.collect::<Vec<_>>();
    let own = planning.sums(Family::Y, entries);
    let Some(&home) = own.first() else { return };
    let mut parts = add_up(&own, -1);
    let relays = relays.iter().zip(monomials);
    parts.extend(relays.map(|((_, relay), monomial)| Part::Relay {
        relay: *relay,
        coefficient: 1,
        monomial,
    }));
    planning.plan.identities.push(home, parts);
}
