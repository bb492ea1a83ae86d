//! The instance columns at ζ: `Σ value·L_row(ζ·ω^ρ)`, without one inversion a cell.
//!
//! `L_row(ζ·ω^ρ) = L_{row−ρ}(ζ) = (ζ^n − 1)/n · ω^{row−ρ}/(ζ − ω^{row−ρ})`. The fractions of a column are added up with a
//! common denominator. Cells in equal distances whose values have equal ratios, and there are many such in a model's
//! circuit, are one loop.

use std::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};
use kiln_verify::circuit::Circuit;
use kiln_verify::expression::{Challenge, Monomial};
use kiln_verify::formula::{InstanceCell, Run};

use crate::challenges::ChallengeNodes;
use crate::graph::{Graph, Node};
use crate::layout::{Calldata, WORD};

/// How many cells ahead a progression may have its second one.
const AHEAD_MAX: usize = 200;

/// `coefficient · Π challenge^exponent`
#[derive(Clone, Debug, PartialEq, Eq)]
struct Weight {
    coefficient: Fr,
    exponents: BTreeMap<u32, i64>,
}

/// What a cell holds.
#[derive(Clone, Debug)]
enum Value {
    /// A weight alone.
    Weight(Weight),
    /// Anything else.
    Runs(Vec<Run>),
}

/// Cells on rows `row + i·distance` for i < len; each value is the one before times the ratio.
#[derive(Debug)]
pub(crate) struct Progression {
    row: u32,
    distance: u32,
    len: u32,
    first: Value,
    ratio: Weight,
}

/// An instance column at one rotation.
#[derive(Debug)]
pub(crate) struct Column {
    /// Its index.
    pub column: u32,
    /// The rotation.
    pub rotation: i32,
    /// Its cells.
    pub progressions: Vec<Progression>,
    /// For each challenge, by what power all values have been multiplied so that no exponent is negative.
    raised: BTreeMap<u32, i64>,
}

/// A progression as the contract computes it.
pub(crate) struct Loop {
    /// ω^row of the first cell.
    pub name: Fr,
    /// ω^distance.
    pub name_step: Fr,
    /// The value of the first cell.
    pub value: Node,
    /// The ratio of values.
    pub ratio: Node,
    /// How many cells.
    pub len: u32,
}

impl Weight {
    fn of(run: &Run) -> Option<Self> {
        if run.len != 1 || run.public.is_some() {
            return None;
        }
        Some(Self { coefficient: run.coefficient, exponents: exponents(&run.first) })
    }

    fn one() -> Self {
        Self { coefficient: Fr::one(), exponents: BTreeMap::new() }
    }

    /// `other / self`; `None` if the coefficient is zero.
    fn ratio_to(&self, other: &Self) -> Option<Self> {
        let coefficient = other.coefficient * self.coefficient.inverse()?;
        let mut exponents = other.exponents.clone();
        for (challenge, exponent) in &self.exponents {
            *exponents.entry(*challenge).or_default() -= exponent;
        }
        exponents.retain(|_, exponent| *exponent != 0);
        // A loop multiplies by the ratio, so it must need no inverse.
        (exponents.values().all(|exponent| *exponent > 0)).then_some(Self { coefficient, exponents })
    }
}

fn exponents(monomial: &Monomial) -> BTreeMap<u32, i64> {
    let mut exponents = BTreeMap::new();
    for (Challenge(challenge), exponent) in &monomial.0 {
        *exponents.entry(*challenge).or_default() += exponent;
    }
    exponents.retain(|_, exponent| *exponent != 0);
    exponents
}

/// Exponents that occur in runs, step included where it is taken.
fn least_exponents(cells: &[&InstanceCell]) -> BTreeMap<u32, i64> {
    let mut least: BTreeMap<u32, i64> = BTreeMap::new();
    for run in cells.iter().flat_map(|cell| &cell.runs) {
        for (challenge, exponent) in exponents(&run.first) {
            let entry = least.entry(challenge).or_default();
            *entry = (*entry).min(exponent);
        }
    }
    least.retain(|_, exponent| *exponent < 0);
    least
}

impl Column {
    /// Collects the cells of a column.
    pub fn new(circuit: &Circuit, column: u32, rotation: i32) -> Self {
        let cells: Vec<_> = circuit.instance_cells.iter().filter(|cell| cell.column == column).collect();
        let raised = least_exponents(&cells).into_iter().map(|(c, exponent)| (c, -exponent)).collect();
        let rows = i64::from(1u32 << circuit.k);
        let shifted = |row: u32| (i64::from(row) - i64::from(rotation)).rem_euclid(rows) as u32;
        let values: BTreeMap<u32, Value> = cells
            .iter()
            .map(|cell| {
                let value = match cell.runs.as_slice() {
                    [run] => Weight::of(run).map(Value::Weight),
                    _ => None,
                };
                (shifted(cell.row), value.unwrap_or_else(|| Value::Runs(cell.runs.clone())))
            })
            .collect();
        Self { column, rotation, progressions: progressions(values), raised }
    }

    /// Challenges whose inverses the column's value needs, and those that its steps need.
    pub fn inverted(&self) -> impl Iterator<Item = u32> {
        let runs = self.progressions.iter().filter_map(|progression| match &progression.first {
            Value::Runs(runs) => Some(runs),
            Value::Weight(_) => None,
        });
        let steps = runs.flatten().filter(|run| run.len > 1).flat_map(|run| exponents(&run.step));
        let steps = steps.filter(|(_, exponent)| *exponent < 0).map(|(challenge, _)| challenge);
        self.raised.keys().copied().chain(steps).collect::<BTreeSet<_>>().into_iter()
    }

    /// True if a loop of this column needs an inverse of a challenge.
    pub fn needs_inverses_first(&self) -> bool {
        let raised = self.raised.len();
        self.inverted().count() > raised
    }

    /// By what the sum over the cells must be multiplied.
    pub fn lowering(&self) -> Monomial {
        Monomial(self.raised.iter().map(|(challenge, power)| (Challenge(*challenge), -power)).collect())
    }

    /// The loops that add up the column's fractions.
    pub fn loops(
        &self,
        graph: &mut Graph,
        challenges: &ChallengeNodes,
        calldata: &Calldata,
        omega: Fr,
    ) -> Vec<Loop> {
        let mut loops = Vec::new();
        for progression in &self.progressions {
            let name = omega.pow([u64::from(progression.row)]);
            let name_step = omega.pow([u64::from(progression.distance)]);
            let value = match &progression.first {
                Value::Weight(weight) => self.weight(graph, challenges, weight),
                Value::Runs(runs) => self.runs(graph, challenges, calldata, runs),
            };
            let ratio = Column::plain(graph, challenges, &progression.ratio);
            loops.push(Loop { name, name_step, value, ratio, len: progression.len });
        }
        loops
    }

    fn plain(graph: &mut Graph, challenges: &ChallengeNodes, weight: &Weight) -> Node {
        let powers = weight.exponents.iter().map(|(challenge, exponent)| (Challenge(*challenge), *exponent));
        let monomial = challenges.monomial(graph, &Monomial(powers.collect()));
        let coefficient = graph.constant(weight.coefficient);
        graph.mul(coefficient, monomial)
    }

    /// A weight, raised.
    fn weight(&self, graph: &mut Graph, challenges: &ChallengeNodes, weight: &Weight) -> Node {
        let mut weight = weight.clone();
        for (challenge, power) in &self.raised {
            *weight.exponents.entry(*challenge).or_default() += power;
        }
        weight.exponents.retain(|_, exponent| *exponent != 0);
        Self::plain(graph, challenges, &weight)
    }

    /// A sum of runs, raised.
    fn runs(
        &self,
        graph: &mut Graph,
        challenges: &ChallengeNodes,
        calldata: &Calldata,
        runs: &[Run],
    ) -> Node {
        let mut total = graph.zero();
        for run in runs {
            let weight = Weight { coefficient: run.coefficient, exponents: exponents(&run.first) };
            let weight = self.weight(graph, challenges, &weight);
            let step = if run.len > 1 { challenges.monomial(graph, &run.step) } else { graph.one() };
            let sum = match run.public {
                None => graph.geometric_sum(step, run.len),
                Some((start, stride)) => {
                    let offset = calldata.public_inputs + start as usize * WORD;
                    graph.word_sum(offset, stride as usize * WORD, run.len, step)
                }
            };
            let term = graph.mul(weight, sum);
            total = graph.add(total, term);
        }
        total
    }
}

/// Puts cells into progressions, the longest that begins with the first cell first.
fn progressions(mut values: BTreeMap<u32, Value>) -> Vec<Progression> {
    let mut found = Vec::new();
    while let Some((row, first)) = values.pop_first() {
        let Value::Weight(weight) = &first else {
            found.push(Progression { row, distance: 0, len: 1, first, ratio: Weight::one() });
            continue;
        };
        let (mut distance, mut len, mut ratio) = (0, 1, Weight::one());
        for (second, value) in values.iter().take(AHEAD_MAX) {
            let Value::Weight(value) = value else { continue };
            let Some(step) = weight.ratio_to(value) else { continue };
            let apart = second - row;
            let mut last = value;
            let mut count = 2;
            while let Some(Value::Weight(next)) = values.get(&(row + apart * count))
                && last.ratio_to(next).as_ref() == Some(&step)
            {
                last = next;
                count += 1;
            }
            if count > len {
                (distance, len, ratio) = (apart, count, step);
            }
        }
        // Two cells gain nothing by a loop, and may belong to longer ones.
        if len < 3 {
            (distance, len, ratio) = (0, 1, Weight::one());
        }
        for i in 1..len {
            values.remove(&(row + distance * i));
        }
        let first = if weight.coefficient.is_zero() { continue } else { first };
        found.push(Progression { row, distance, len, first, ratio });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(coefficient: i64, exponents: &[(u32, i64)]) -> Value {
        Value::Weight(Weight {
            coefficient: Fr::from(coefficient),
            exponents: exponents.iter().copied().collect(),
        })
    }

    /// (row, distance, len) of what is found.
    fn found(cells: Vec<(u32, Value)>) -> Vec<(u32, u32, u32)> {
        let progressions = progressions(cells.into_iter().collect());
        progressions.iter().map(|p| (p.row, p.distance, p.len)).collect()
    }

    #[test]
    fn geometric_values_in_equal_distances_are_one_loop() {
        let power = |i: u32| (5 + 3 * i, weight(-1, &[(2, 4 * i64::from(i) + 1), (3, 2)]));
        assert_eq!(found((0..10).map(power).collect()), [(5, 3, 10)]);
        // one cell missing, one with another value
        assert_eq!(found((0..10).filter(|i| *i != 4).map(power).collect()), [(5, 3, 4), (20, 3, 5)]);
        let mut cells: Vec<_> = (0..7).map(power).collect();
        cells[6].1 = weight(2, &[(2, 25), (3, 2)]);
        assert_eq!(found(cells), [(5, 3, 6), (23, 0, 1)]);
    }

    #[test]
    fn interleaved_and_doubling_values_are_found_too() {
        let even = (0..5).map(|i| (2 * i, weight(1 << i, &[])));
        let odd = (0..5).map(|i| (2 * i + 1, weight(1, &[(0, i64::from(i))])));
        assert_eq!(found(even.chain(odd).collect()), [(0, 2, 5), (1, 2, 5)]);
    }

    #[test]
    fn ratios_that_would_need_an_inverse_and_pairs_are_single_cells() {
        let falling = (0..4).map(|i| (i, weight(1, &[(0, 9 - i64::from(i))]))).collect();
        assert_eq!(found(falling), [(0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 1)]);
        assert_eq!(found(vec![(0, weight(1, &[])), (1, weight(1, &[(0, 1)]))]), [(0, 0, 1), (1, 0, 1)]);
        assert_eq!(found(vec![(0, weight(0, &[]))]), []);
    }
}
