//! Values and degrees of expressions, challenge monomials and instance cells.

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloc::collections::BTreeSet;

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero, batch_inversion};

use crate::circuit::Circuit;
use crate::expression::{Column, Expression, Monomial};
use crate::formula::{InstanceCell, Run};
use crate::plan::position;
use crate::powers::ChallengePowers;

impl Monomial {
    /// `Π challenge^exponent`. Challenges are never zero but with probability 1/r; a negative power of zero, and a
    /// challenge that is not there (a validated circuit names none), count as zero.
    pub fn evaluate(&self, challenges: &[Fr]) -> Fr {
        let (mut above, mut below) = (Fr::one(), Fr::one());
        for (challenge, exponent) in &self.0 {
            let base = challenges.get(position(challenge.0)).copied().unwrap_or_default();
            let power = base.pow([exponent.unsigned_abs()]);
            if *exponent < 0 {
                below *= power;
            } else {
                above *= power;
            }
        }
        if below.is_one() { above } else { above * below.inverse().unwrap_or_default() }
    }
}

impl Expression {
    /// The value, with `query` giving the value of a column at a rotation.
    pub fn evaluate(&self, challenges: &[Fr], query: &mut impl FnMut(Column, i32) -> Fr) -> Fr {
        match self {
            Self::Constant(value) => *value,
            Self::Challenge(monomial) => monomial.evaluate(challenges),
            Self::Query(column, rotation) => query(*column, *rotation),
            Self::Sum(parts) => parts.iter().map(|part| part.evaluate(challenges, query)).sum(),
            Self::Product(parts) => {
                let mut product = Fr::one();
                for part in parts {
                    product *= part.evaluate(challenges, query);
                    if product.is_zero() {
                        break;
                    }
                }
                product
            }
            Self::Negated(part) => -part.evaluate(challenges, query),
        }
    }

    /// The same expression with every challenge monomial replaced by its value.
    pub fn with_challenges(&self, challenges: &[Fr]) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.with_challenges(challenges)).collect();
        match self {
            Self::Challenge(monomial) => Self::Constant(monomial.evaluate(challenges)),
            Self::Sum(parts) => Self::Sum(all(parts)),
            Self::Product(parts) => Self::Product(all(parts)),
            Self::Negated(part) => Self::Negated(Box::new(part.with_challenges(challenges))),
            Self::Constant(_) | Self::Query(..) => self.clone(),
        }
    }

    /// The degree as a polynomial in the columns (an upper bound: cancellations are not seen).
    pub fn degree(&self) -> u32 {
        match self {
            Self::Constant(_) | Self::Challenge(_) => 0,
            Self::Query(..) => 1,
            Self::Sum(parts) => parts.iter().map(Self::degree).max().unwrap_or(0),
            Self::Product(parts) => parts.iter().fold(0, |sum, part| sum.saturating_add(part.degree())),
            Self::Negated(part) => part.degree(),
        }
    }

    /// Every (column, rotation) that the expression reads.
    pub fn queries(&self) -> BTreeSet<(Column, i32)> {
        let mut queries = BTreeSet::new();
        self.collect_queries(&mut queries);
        queries
    }

    fn collect_monomials<'a>(&'a self, monomials: &mut Vec<&'a Monomial>) {
        match self {
            Self::Constant(_) | Self::Query(..) => {}
            Self::Challenge(monomial) => monomials.push(monomial),
            Self::Sum(parts) | Self::Product(parts) => {
                parts.iter().for_each(|part| part.collect_monomials(monomials));
            }
            Self::Negated(part) => part.collect_monomials(monomials),
        }
    }

    fn collect_queries(&self, queries: &mut BTreeSet<(Column, i32)>) {
        match self {
            Self::Constant(_) | Self::Challenge(_) => {}
            Self::Query(column, rotation) => {
                queries.insert((*column, *rotation));
            }
            Self::Sum(parts) | Self::Product(parts) => {
                parts.iter().for_each(|part| part.collect_queries(queries))
            }
            Self::Negated(part) => part.collect_queries(queries),
        }
    }
}

impl Run {
    /// What the terms add up to but for coefficient and first monomial, given `1/(step − 1)`, zero where the step is one or
    /// not of use. A public input that is not there (a validated circuit names none) counts as zero.
    fn sum_of_terms(&self, public_inputs: &[Fr], step: Fr, inverse: Fr) -> Fr {
        match self.public {
            None => geometric_sum(step, inverse, self.len),
            Some((start, stride)) => {
                // Horner's rule from the last term: one multiplication each.
                let value = |t: u32| {
                    let index =
                        u64::from(start).saturating_add(u64::from(t).saturating_mul(u64::from(stride)));
                    let index = usize::try_from(index).ok();
                    index.and_then(|index| public_inputs.get(index)).copied().unwrap_or_default()
                };
                (0..self.len).rev().fold(Fr::zero(), |sum, t| sum * step + value(t))
            }
        }
    }

    /// Whether both are the same but for coefficient and first monomial.
    fn has_same_terms(&self, other: &Self) -> bool {
        self.len == other.len && self.public == other.public && (self.len < 2 || self.step == other.step)
    }

    /// Whether `1/(step − 1)` is of use.
    fn is_geometric(&self) -> bool {
        self.public.is_none() && self.len > 1
    }

    /// The value, given those of monomials.
    pub fn evaluate(&self, public_inputs: &[Fr], monomial: impl Fn(&Monomial) -> Fr) -> Fr {
        // Most runs have one term, whose step is never taken.
        let step = if self.len > 1 { monomial(&self.step) } else { Fr::one() };
        let inverse = if self.is_geometric() { (step - Fr::one()).inverse() } else { None };
        let sum = self.sum_of_terms(public_inputs, step, inverse.unwrap_or_default());
        self.coefficient * monomial(&self.first) * sum
    }
}

/// The product with a factor that mostly is one or minus one.
fn times(value: Fr, factor: Fr) -> Fr {
    if factor.is_one() {
        value
    } else if factor == -Fr::one() {
        -value
    } else {
        value * factor
    }
}

/// `Σ_{t < len} step^t`, given `1/(step − 1)`, or zero if the step is one.
fn geometric_sum(step: Fr, inverse: Fr, len: u32) -> Fr {
    match len {
        1 => Fr::one(),
        _ if inverse.is_zero() => Fr::from(len),
        _ => (step.pow([u64::from(len)]) - Fr::one()) * inverse,
    }
}

/// The values of instance cells, in order, by the powers of [`Circuit::instance_powers`].
pub(crate) fn instance_values(
    cells: &[InstanceCell],
    public_inputs: &[Fr],
    powers: &ChallengePowers,
) -> Vec<Fr> {
    let runs = || cells.iter().flat_map(|cell| &cell.runs);
    // Runs that follow each other mostly differ in their first term only: what their terms add up to is worked out
    // once for all of them.
    let mut shared: Vec<(&Run, Fr)> = Vec::new();
    let shares: Vec<usize> = runs()
        .map(|run| {
            if !shared.last().is_some_and(|(last, _)| run.has_same_terms(last)) {
                // Most runs have one term, whose step is never taken.
                shared.push((run, if run.len > 1 { powers.monomial(&run.step) } else { Fr::one() }));
            }
            shared.len().saturating_sub(1)
        })
        .collect();
    // One inversion for all geometric sums.
    let denominator = |run: &Run, step: Fr| if run.is_geometric() { step - Fr::one() } else { Fr::zero() };
    let mut inverses: Vec<Fr> = shared.iter().map(|(run, step)| denominator(run, *step)).collect();
    batch_inversion(&mut inverses);
    let terms = shared.iter().zip(inverses);
    let sums: Vec<Fr> =
        terms.map(|((run, step), inverse)| run.sum_of_terms(public_inputs, *step, inverse)).collect();
    let mut shares = shares.into_iter();
    let mut of_run = |run: &Run| {
        let sum = shares.next().and_then(|share| sums.get(share)).copied().unwrap_or_default();
        let first = powers.monomial(&run.first);
        times(if sum.is_one() { first } else { first * sum }, run.coefficient)
    };
    cells.iter().map(|cell| cell.runs.iter().map(&mut of_run).sum()).collect()
}

impl Circuit {
    /// The powers of challenges that instance cells are made of.
    pub(crate) fn instance_powers(&self, challenges: &[Fr]) -> ChallengePowers {
        let runs = self.instance_cells.iter().flat_map(|cell| &cell.runs);
        ChallengePowers::new(challenges, runs.flat_map(|run| [&run.first, &run.step]))
    }

    /// The challenge monomials in gates and lookups.
    pub(crate) fn monomials(&self) -> Vec<&Monomial> {
        let mut monomials = Vec::new();
        let gates = self.gates.iter().map(|gate| &gate.expression);
        for expression in gates.chain(self.lookups.iter().flat_map(|lookup| &lookup.inputs)) {
            expression.collect_monomials(&mut monomials);
        }
        monomials
    }

    /// All instance columns in full, `2^k` rows each. Cells named twice add up.
    pub fn instance_columns(&self, public_inputs: &[Fr], challenges: &[Fr]) -> Vec<Vec<Fr>> {
        let mut columns = vec![vec![Fr::zero(); self.rows()]; self.instance.len()];
        let powers = self.instance_powers(challenges);
        let values = instance_values(&self.instance_cells, public_inputs, &powers);
        for (cell, value) in self.instance_cells.iter().zip(values) {
            let column = columns.get_mut(position(cell.column));
            if let Some(place) = column.and_then(|column| column.get_mut(position(cell.row))) {
                *place += value;
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Challenge;

    fn monomial(exponents: &[(u32, i64)]) -> Monomial {
        Monomial(exponents.iter().map(|(challenge, exponent)| (Challenge(*challenge), *exponent)).collect())
    }

    #[test]
    fn monomials_take_negative_exponents() {
        let challenges = [Fr::from(2), Fr::from(3)];
        assert_eq!(monomial(&[]).evaluate(&challenges), Fr::one());
        assert_eq!(monomial(&[(0, 3), (1, 2)]).evaluate(&challenges), Fr::from(72));
        assert_eq!(monomial(&[(0, -3), (1, 2)]).evaluate(&challenges) * Fr::from(8), Fr::from(9));
        assert_eq!(monomial(&[(0, -1), (0, 1)]).evaluate(&challenges), Fr::one());
    }

    #[test]
    fn expressions_evaluate_as_written() {
        let [a, b] = [Column::Advice(0), Column::Fixed(0)];
        let values = |column, rotation| match (column, rotation) {
            (Column::Advice(0), 0) => Fr::from(5),
            (Column::Advice(0), -1) => Fr::from(7),
            _ => Fr::from(11),
        };
        let expression = b.here() * (a.here() - a.previous()) + Expression::Challenge(monomial(&[(0, 2)]));
        let challenges = [Fr::from(10)];
        assert_eq!(expression.evaluate(&challenges, &mut { values }), Fr::from(78));
        assert_eq!(expression.with_challenges(&challenges).evaluate(&[], &mut { values }), Fr::from(78));
        assert_eq!(Expression::Sum(vec![]).evaluate(&[], &mut { values }), Fr::zero());
        assert_eq!(Expression::Product(vec![]).evaluate(&[], &mut { values }), Fr::one());
    }

    #[test]
    fn degree_counts_columns_only() {
        let [a, b] = [Column::Advice(0), Column::Fixed(0)];
        let challenge = Expression::Challenge(monomial(&[(0, 9)]));
        assert_eq!((challenge.clone() * Expression::integer(3)).degree(), 0);
        assert_eq!((a.here() * b.previous() * challenge + a.here()).degree(), 2);
        assert_eq!((-(a.here() * a.here()) * b.here()).degree(), 3);
        assert_eq!(Expression::Sum(vec![]).degree(), 0);
    }

    /// The definition, term by term.
    fn run_by_definition(run: &Run, public: &[Fr], challenges: &[Fr]) -> Fr {
        let mut weight = run.coefficient * run.first.evaluate(challenges);
        let mut sum = Fr::zero();
        for t in 0..run.len {
            let value = run.public.map_or(Fr::one(), |(start, stride)| public[(start + t * stride) as usize]);
            sum += weight * value;
            weight *= run.step.evaluate(challenges);
        }
        sum
    }

    #[test]
    fn runs_agree_with_their_definition_whatever_run_is_before_them() {
        let public = (0..20).map(|i| Fr::from(i * i + 1)).collect::<Vec<_>>();
        // Challenge 1 is one, so the geometric sum has its degenerate case.
        let challenges = [Fr::from(3), Fr::from(1)];
        let mut runs = Vec::new();
        for len in [0, 1, 2, 6] {
            for public_range in [None, Some((0, 1)), Some((3, 2)), Some((4, 0))] {
                for step in [monomial(&[(0, -2)]), monomial(&[(1, 5)]), monomial(&[])] {
                    for (coefficient, first) in [(6, 4), (1, -1)] {
                        let (first, step) = (monomial(&[(0, first)]), step.clone());
                        let coefficient = -Fr::from(coefficient);
                        runs.push(Run { coefficient, public: public_range, len, first, step });
                    }
                }
            }
        }
        // In this order neighbours share all but their first monomial, or their length, or their step; in the other, nothing.
        let scattered = (0..runs.len()).map(|i| runs[i * 35 % runs.len()].clone());
        for runs in [runs.clone(), scattered.collect()] {
            let cell = |run: &Run| InstanceCell { column: 0, row: 0, runs: vec![run.clone()] };
            let instance_cells = runs.iter().map(cell).collect();
            let circuit = Circuit { instance_cells, ..Circuit::default() };
            let powers = circuit.instance_powers(&challenges);
            let values = instance_values(&circuit.instance_cells, &public, &powers);
            for (run, value) in runs.iter().zip(values) {
                let expected = run_by_definition(run, &public, &challenges);
                assert_eq!(value, expected, "{run:?}");
                assert_eq!(run.evaluate(&public, |m| m.evaluate(&challenges)), expected, "{run:?}");
            }
        }
    }

    #[test]
    fn instance_cells_sum_their_runs_and_unnamed_cells_are_zero() {
        let one = || Monomial(vec![]);
        let run = |public, len| Run { coefficient: Fr::one(), public, len, first: one(), step: one() };
        let cell = |row, runs| InstanceCell { column: 0, row, runs };
        let instance_cells =
            vec![cell(2, vec![run(None, 3), run(Some((0, 1)), 2)]), cell(2, vec![run(None, 1)])];
        let circuit = Circuit { k: 2, instance: vec!["E".into()], instance_cells, ..Circuit::default() };
        let columns = circuit.instance_columns(&[Fr::from(10), Fr::from(20)], &[]);
        assert_eq!(columns, [[0, 0, 34, 0].map(Fr::from)]);
    }
}
