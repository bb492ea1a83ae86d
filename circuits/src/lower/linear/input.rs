//! The input. Its table clamps, so every `y` is within the activation range.
//!
//! Public: `Σ_e a_e·y[e] = Σ_e a_e·public[e]`. Committed: `Σ_e a_e·y[e] = Σ_e a_e·x[e]`, where `x` lies as `y` does. `a_e` is the
//! address of the element; the degree is at most the number of cells.

use crate::graph::TensorId;
use crate::lower::chain::Family;
use crate::lower::identity::{Part, weightings};
use crate::lower::layout::Spot;
use crate::lower::statement::InputVisibility;

use super::{Planning, add_up};

pub(crate) fn add(planning: &mut Planning<'_>, tensor: TensorId, visibility: InputVisibility) {
    if visibility == InputVisibility::Private {
        return;
    }
    let placed = &planning.plan.tensors[tensor.0];
    let len = placed.spots.len();
    let entries = (0..len).map(|e| (placed.spots[e], placed.address(e))).collect::<Vec<_>>();
    let first_row = placed.first_row;
    let own = planning.sums(Family::Y, entries.iter().copied());
    let Some(&home) = own.first() else { return };
    let mut parts = add_up(&own, 1);
    if visibility == InputVisibility::Public {
        let first = planning.plan.public_inputs;
        planning.plan.public_inputs += len as u32;
        let public = (first..).zip(&entries).map(|(at, (_, address))| (Some(at), *address));
        parts.push(Part::Known { weight: weightings(-1, public) });
    } else {
        let committed =
            entries.iter().map(|(spot, address)| (Spot { row: spot.row - first_row, ..*spot }, *address));
        let committed = planning.sums(Family::X, committed.collect::<Vec<_>>());
        parts.extend(add_up(&committed, -1));
    }
    planning.plan.identities.push(home, parts);
}
