//! The input. Its table clamps, so every `y` is within the activation range.
//!
//! Public elements: `Σ_e a_e·y[e] = Σ_e a_e·public[e]`. Committed ones: `Σ_e a_e·y[e] = Σ_e a_e·x[e]`, where `x` lies as `y` does. `a_e` is the
//! address of the element; the degree is at most the number of cells. Elements that are neither are private.

use crate::graph::TensorId;
use crate::lower::chain::Family;
use crate::lower::identity::{Part, weightings};
use crate::lower::layout::Spot;
use crate::lower::monomial::Exponents;
use crate::lower::statement::InputVisibility;

use super::{Planning, add_up};

pub(crate) fn add(planning: &mut Planning<'_>, tensor: TensorId, visibility: InputVisibility) {
    let placed = &planning.plan.tensors[tensor.0];
    let first_row = placed.first_row;
    let entries = |elements: Vec<usize>| {
        elements.into_iter().map(|e| (placed.spots[e], placed.address(e))).collect::<Vec<_>>()
    };
    let public = entries(visibility.public_elements(planning.graph));
    let committed = entries(visibility.committed_elements(planning.graph));
    known(planning, &public);
    as_committed(planning, &committed, first_row);
}

/// Elements that are public inputs, in this order.
fn known(planning: &mut Planning<'_>, entries: &[(Spot, Exponents)]) {
    let own = planning.sums(Family::Y, entries.iter().copied());
    let Some(&home) = own.first() else { return };
    let first = planning.plan.public_inputs;
    planning.plan.public_inputs += entries.len() as u32;
    let public = (first..).zip(entries).map(|(at, (_, address))| (Some(at), *address));
    let mut parts = add_up(&own, 1);
    parts.push(Part::Known { weight: weightings(-1, public) });
    planning.plan.identities.push(home, parts);
}

/// Elements that are those of the committed columns, whose first row is row `first_row` of the activations.
fn as_committed(planning: &mut Planning<'_>, entries: &[(Spot, Exponents)], first_row: u32) {
    let own = planning.sums(Family::Y, entries.iter().copied());
    let Some(&home) = own.first() else { return };
    let committed =
        entries.iter().map(|(spot, address)| (Spot { row: spot.row - first_row, ..*spot }, *address));
    let committed = planning.sums(Family::X, committed.collect::<Vec<_>>());
    let mut parts = add_up(&own, 1);
    parts.extend(add_up(&committed, -1));
    planning.plan.identities.push(home, parts);
}
