//! Products of two computed matrices, batch by batch, after Freivalds:
//! `Σ_bmn γ^b β^m δ^n z[b,m,n] = factor · Σ_bk (Σ_m β^m left[b,m,k])·(γ^b Σ_n δ^n right[b,k,n])`.
//!
//! Both brackets are chains over committed cells. A relay repeats the first beside the end of the second, where they are
//! multiplied; powers of `lambda`, drawn after the relays are committed, tie it to its chain. So the cost follows the cells of
//! `left`, `right` and `z`, with one relay for each of the B·K products of two numbers. With one row (M = 1) the first bracket is
//! a cell, relayed by value and tied as in a product with weights.
//!
//! The difference of both sides is a polynomial of degree at most (B − 1) + (M − 1) + (N − 1) in challenges drawn after `left`,
//! `right` and `z` are committed; it is zero as a polynomial only if every `z[b,m,n]` is right. So the error is at most
//! (B + M + N)/r. Nothing is rounded.

use crate::graph::{Node, View};
use crate::lower::chain::Family;
use crate::lower::identity::{Part, RelayId, Source};
use crate::lower::monomial::Exponents;
use crate::lower::monomial::Variable::{Beta, Delta, Gamma};

use super::{Planning, matmul};

fn at(b: usize, m: usize, n: usize) -> Exponents {
    Gamma.power(b as i64).times(Beta.power(m as i64)).times(Delta.power(n as i64))
}

pub(crate) fn add(planning: &mut Planning<'_>, node: &Node, left: &View, right: &View, factor: i64) {
    let (batches, m, k) = (left.shape[0], left.shape[1], left.shape[2]);
    let n = right.shape[2];
    let place = |e: usize| at(e / (m * n), e % (m * n) / n, e % n);
    let Some((home, mut parts)) = planning.divided(node, |_, e| place(e)) else { return };
    let mut cells: Vec<(usize, RelayId)> = Vec::new();
    for (b, inner) in (0..batches).flat_map(|b| (0..k).map(move |inner| (b, inner))) {
        let row = (0..n).map(|n1| (planning.seen(right, (b * k + inner) * n + n1), at(b, 0, n1)));
        let row = row.collect::<Vec<_>>();
        for beside in planning.whole_sums(row) {
            if m == 1 {
                let element = b * k + inner;
                let relay =
                    planning.plan.identities.relay(Source::Cell(planning.seen(left, element)), beside);
                cells.push((element, relay));
                parts.push(Part::Product { relay, coefficient: -factor });
                continue;
            }
            let column = (0..m).map(|row| (planning.seen(left, (b * m + row) * k + inner), at(0, row, 0)));
            let column = column.collect::<Vec<_>>();
            for source in planning.sums(Family::Y, column) {
                let relay = planning.plan.identities.relay(Source::Chain(source), beside);
                parts.push(Part::Product { relay, coefficient: -factor });
            }
        }
    }
    planning.plan.identities.push(home, parts);
    if !cells.is_empty() {
        matmul::tie(planning, left, &cells);
    }
}
