//! The output: `Σ_e a_e·y[e] = Σ_e a_e·public[e]` over the elements of the output view, `a_e` their addresses.

use crate::lower::chain::Family;
use crate::lower::identity::{Part, weightings};

use super::{Planning, add_up};

pub(crate) fn add(planning: &mut Planning<'_>) {
    let view = &planning.graph.output;
    let address = |e: usize| planning.address(view.tensor, view.element(e));
    let entries = (0..view.len()).map(|e| (planning.seen(view, e), address(e))).collect::<Vec<_>>();
    let first = planning.plan.public_inputs;
    planning.plan.public_inputs += entries.len() as u32;
    let public = (first..).zip(&entries).map(|(at, (_, address))| (Some(at), *address)).collect::<Vec<_>>();
    let own = planning.sums(Family::Y, entries);
    let Some(&home) = own.first() else { return };
    let mut parts = add_up(&own, 1);
    parts.push(Part::Known { weight: weightings(-1, public) });
    planning.plan.identities.push(home, parts);
}
