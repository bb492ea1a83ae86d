//! Sums of terms: `Σ_e a_e·z[e] = constant·Σ_e a_e + Σ_t coefficient_t·Σ_i a_target(i)·x_t[i]`, `a_e` the address of output
//! element `e`. The degree is at most the number of cells of the output.

use std::collections::HashSet;

use crate::graph::{Node, TensorId, Term};
use crate::lower::chain::{Family, Weight};
use crate::lower::identity::{Part, weightings};
use crate::lower::layout::{Placed, Spot};

use super::Planning;

pub(crate) fn add(planning: &mut Planning<'_>, node: &Node, terms: &[Term], constant: i64) {
    let Some((home, mut parts)) = planning.divided(node, Placed::address) else { return };
    let read = terms.iter().filter(|term| term.coefficient != 0);
    let read = read.map(|term| (term.input.tensor, term_entries(planning, node, term))).collect::<Vec<_>>();
    parts.extend(read_cells(planning, read));
    if constant != 0 {
        let placed = &planning.plan.tensors[node.output.0];
        let all = (0..placed.spots.len()).map(|e| (None, placed.address(e)));
        parts.push(Part::Known { weight: weightings(-constant, all) });
    }
    planning.plan.identities.push(home, parts);
}

/// Cells of a tensor with their weights.
pub(crate) type WeightedCells = (TensorId, Vec<(Spot, Weight)>);

/// The parts `−Σ weight · cell`.
pub(crate) fn read_cells(planning: &mut Planning<'_>, terms: Vec<WeightedCells>) -> Vec<Part> {
    disjoint_groups(terms).into_iter().map(|group| read(planning, group)).collect()
}

/// Cells of one tensor with their weights.
struct Group {
    tensor: TensorId,
    cells: HashSet<Spot>,
    entries: Vec<(Spot, Weight)>,
}

/// Terms that read different cells of the same tensor, such as the steps of a maximum, go into one chain.
fn disjoint_groups(terms: Vec<WeightedCells>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (tensor, mut rest) in terms {
        for group in groups.iter_mut().filter(|group| group.tensor == tensor) {
            if rest.iter().all(|(spot, _)| !group.cells.contains(spot)) {
                rest = group.take(rest);
            }
        }
        while !rest.is_empty() {
            let mut group = Group { tensor, cells: HashSet::new(), entries: Vec::new() };
            rest = group.take(rest);
            groups.push(group);
        }
    }
    groups
}

impl Group {
    /// Takes the entries, less those whose cell has come already.
    fn take(&mut self, entries: Vec<(Spot, Weight)>) -> Vec<(Spot, Weight)> {
        let (taken, rest) = entries.into_iter().partition::<Vec<_>, _>(|(spot, _)| self.cells.insert(*spot));
        self.entries.extend(taken);
        rest
    }
}

fn term_entries(planning: &Planning<'_>, node: &Node, term: &Term) -> Vec<(Spot, Weight)> {
    let target = |i: usize| match &term.target {
        None => Some(i),
        Some(target) => target[i].map(|e| e as usize),
    };
    let entry = |i: usize| {
        let monomial = planning.address(node.output, target(i)?);
        Some((planning.seen(&term.input, i), Weight { coefficient: term.coefficient, monomial }))
    };
    (0..term.input.len()).filter_map(entry).collect()
}

/// The part `−Σ weight · cell`. A common factor, or else the sign of the first weight, is taken out, so that patterns repeat.
fn read(planning: &mut Planning<'_>, mut group: Group) -> Part {
    group.entries.sort_unstable_by_key(|(spot, _)| *spot);
    let first = group.entries.first().map_or(1, |(_, weight)| weight.coefficient);
    let common = group.entries.iter().all(|(_, weight)| weight.coefficient == first);
    let factor = if common { first } else { first.signum() };
    for (_, weight) in &mut group.entries {
        weight.coefficient /= factor;
    }
    Part::chain(planning.sum(Family::Y, group.entries), -factor)
}
