//! Which linear polynomials to combine before they are evaluated on a coset.
//!
//! Linear polynomials often enter the constraints only in a few combinations with constant factors, such as the weights
//! of a row under one power each of a challenge. Then it is cheaper to combine their coefficients once than to take each
//! of them to every coset.

use std::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};

use crate::circuit::Circuit;
use crate::constraints::{self, Algebra, Challenges, Oracle};
use crate::plan::{Plan, is_linear};

/// `Σ factor·polynomial`, in order of the polynomials, the first factor one.
pub(crate) type Terms = Vec<(Oracle, Fr)>;

/// An algebra that can also add up linear polynomials.
pub(crate) trait Target: Algebra {
    /// `Σ factor·polynomial` of a non-empty combination.
    fn combination(&mut self, terms: &Terms) -> Self::Value;
}

/// Keeps constants and linear polynomials apart from the rest for as long as they are only added and scaled.
pub(crate) struct Gather<'a, T: Target> {
    circuit: &'a Circuit,
    pub target: T,
}

/// `rest + constant + Σ factor·polynomial`
#[derive(Clone)]
pub(crate) struct Gathered<V> {
    rest: Option<V>,
    constant: Fr,
    terms: BTreeMap<Oracle, Fr>,
}

impl<V> Gathered<V> {
    fn is_constant(&self) -> bool {
        self.rest.is_none() && self.terms.is_empty()
    }

    /// Takes out what is neither constant nor linear.
    pub fn take_rest(&mut self) -> Option<V> {
        self.rest.take()
    }
}

impl<'a, T: Target> Gather<'a, T> {
    pub fn new(circuit: &'a Circuit, target: T) -> Self {
        Self { circuit, target }
    }

    /// The value in the target.
    pub fn finish(&mut self, value: &Gathered<T::Value>) -> T::Value {
        let mut total = value.rest.clone();
        let mut add = |target: &mut T, part: T::Value| {
            total = Some(match &total {
                None => part,
                Some(total) => target.add(total, &part),
            });
        };
        let terms = value.terms.iter().filter(|(_, factor)| !factor.is_zero());
        let mut terms: Terms = terms.map(|(oracle, factor)| (*oracle, *factor)).collect();
        if let Some(scale) = terms.first().map(|(_, factor)| *factor) {
            let inverse = scale.inverse().unwrap_or_default();
            terms.iter_mut().for_each(|(_, factor)| *factor *= inverse);
            let sum = self.target.combination(&terms);
            let scale = self.target.constant(scale);
            let scaled = self.target.mul(&scale, &sum);
            add(&mut self.target, scaled);
        }
        if !value.constant.is_zero() {
            let constant = self.target.constant(value.constant);
            add(&mut self.target, constant);
        }
        total.unwrap_or_else(|| self.target.constant(Fr::zero()))
    }

    fn scaled(&mut self, value: &Gathered<T::Value>, factor: Fr) -> Gathered<T::Value> {
        let constant = self.target.constant(factor);
        Gathered {
            rest: value.rest.as_ref().map(|rest| self.target.mul(&constant, rest)),
            constant: value.constant * factor,
            terms: value.terms.iter().map(|(oracle, f)| (*oracle, *f * factor)).collect(),
        }
    }

    fn rest(&self, rest: T::Value) -> Gathered<T::Value> {
        Gathered { rest: Some(rest), constant: Fr::zero(), terms: BTreeMap::new() }
    }
}

impl<T: Target> Algebra for Gather<'_, T> {
    type Value = Gathered<T::Value>;

    fn constant(&mut self, constant: Fr) -> Self::Value {
        Gathered { rest: None, constant, terms: BTreeMap::new() }
    }

    fn query(&mut self, oracle: Oracle, rotation: i32) -> Self::Value {
        if rotation == 0 && is_linear(self.circuit, oracle) {
            let terms = BTreeMap::from([(oracle, Fr::one())]);
            return Gathered { rest: None, constant: Fr::zero(), terms };
        }
        let value = self.target.query(oracle, rotation);
        self.rest(value)
    }

    fn add(&mut self, a: &Self::Value, b: &Self::Value) -> Self::Value {
        let rest = match (&a.rest, &b.rest) {
            (Some(a), Some(b)) => Some(self.target.add(a, b)),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let mut terms = a.terms.clone();
        for (oracle, factor) in &b.terms {
            *terms.entry(*oracle).or_default() += factor;
        }
        Gathered { rest, constant: a.constant + b.constant, terms }
    }

    fn sub(&mut self, a: &Self::Value, b: &Self::Value) -> Self::Value {
        if let (Some(left), Some(right)) = (&a.rest, &b.rest) {
            let rest = self.target.sub(left, right);
            let linear = Gathered { rest: None, constant: b.constant, terms: b.terms.clone() };
            let linear = self.scaled(&linear, -Fr::one());
            let a = Gathered { rest: Some(rest), ..a.clone() };
            return self.add(&a, &linear);
        }
        let negative = self.scaled(b, -Fr::one());
        self.add(a, &negative)
    }

    fn mul(&mut self, a: &Self::Value, b: &Self::Value) -> Self::Value {
        if a.is_constant() {
            return self.scaled(b, a.constant);
        }
        if b.is_constant() {
            return self.scaled(a, b.constant);
        }
        let (a, b) = (self.finish(a), self.finish(b));
        let product = self.target.mul(&a, &b);
        self.rest(product)
    }
}

/// The combinations that are worth making, as polynomials of their own.
#[derive(Default)]
pub(crate) struct Combinations {
    numbers: BTreeMap<Terms, u32>,
}

impl Combinations {
    /// Finds the combinations that `Σ α^i·constraint_i` asks for, and keeps them if they are fewer than the polynomials
    /// that then need not be evaluated one by one.
    pub fn choose(circuit: &Circuit, plan: &Plan, challenges: &Challenges, alpha: Fr) -> Self {
        let mut gather = Gather::new(circuit, Survey::default());
        let mut total = gather.constant(Fr::zero());
        let mut power = gather.constant(Fr::one());
        for i in 0..constraints::count(circuit, plan) {
            let (_, value) = constraints::constraint(circuit, plan, challenges, i, &mut gather);
            let term = gather.mul(&power, &value);
            total = gather.add(&total, &term);
            power.constant *= alpha;
        }
        gather.finish(&total);
        let Survey { alone, combinations } = gather.target;
        let is_new = |terms: &Terms| terms.iter().any(|(oracle, _)| !alone.contains(oracle));
        let wanted: BTreeSet<Terms> = combinations.into_iter().filter(is_new).collect();
        let spared: BTreeSet<Oracle> = wanted
            .iter()
            .flatten()
            .map(|(oracle, _)| *oracle)
            .filter(|oracle| !alone.contains(oracle))
            .collect();
        if wanted.len() >= spared.len() {
            return Self::default();
        }
        Self { numbers: wanted.into_iter().zip(0..).collect() }
    }

    /// The polynomial that stands for a combination, if it was chosen.
    pub fn oracle(&self, terms: &Terms) -> Option<Oracle> {
        self.numbers.get(terms).map(|number| Oracle::Combination(*number))
    }

    /// All chosen combinations.
    pub fn all(&self) -> impl Iterator<Item = (Oracle, &Terms)> {
        self.numbers.iter().map(|(terms, number)| (Oracle::Combination(*number), terms))
    }
}

/// Takes down what would be asked of a program.
#[derive(Default)]
struct Survey {
    /// Polynomials needed by themselves in any case.
    alone: BTreeSet<Oracle>,
    combinations: BTreeSet<Terms>,
}

impl Algebra for Survey {
    type Value = ();

    fn constant(&mut self, _: Fr) {}

    fn query(&mut self, oracle: Oracle, _: i32) {
        self.alone.insert(oracle);
    }

    fn add(&mut self, (): &(), (): &()) {}

    fn sub(&mut self, (): &(), (): &()) {}

    fn mul(&mut self, (): &(), (): &()) {}
}

impl Target for Survey {
    fn combination(&mut self, terms: &Terms) {
        match terms.as_slice() {
            [(oracle, _)] => {
                self.alone.insert(*oracle);
            }
            _ => {
                self.combinations.insert(terms.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{CommittedGroup, Gate};
    use crate::expression::{Column, Expression};

    /// Gates `selector·Σ factor_j·w_j`, one per row of factors.
    fn chosen(rows: &[[i64; 3]]) -> Vec<Terms> {
        let gate = |factors: &[i64; 3]| {
            let lane = |(j, factor): (u32, &i64)| Expression::integer(*factor) * Column::Committed(j).here();
            let sum = Expression::Sum((0..).zip(factors).map(lane).collect());
            Gate { name: String::new(), expression: Column::Fixed(0).here() * sum }
        };
        let circuit = Circuit {
            k: 2,
            degree: 3,
            fixed: vec![String::new()],
            committed: vec![CommittedGroup { name: String::new(), columns: 3 }],
            gates: rows.iter().map(gate).collect(),
            ..Circuit::default()
        };
        let plan = Plan::new(&circuit).unwrap();
        let challenges = Challenges::placeholder(0);
        let chosen = Combinations::choose(&circuit, &plan, &challenges, Fr::from(7u64));
        chosen.all().map(|(_, terms)| terms.clone()).collect()
    }

    #[test]
    fn proportional_combinations_are_made_once() {
        let [terms] = chosen(&[[2, 4, 6], [3, 6, 9]]).try_into().unwrap();
        let expected = (0..).map(Oracle::Committed).zip([1u64, 2, 3].map(Fr::from));
        assert!(terms.into_iter().eq(expected));
    }

    #[test]
    fn combinations_that_spare_nothing_are_not_made() {
        assert_eq!(chosen(&[[1, 1, 1], [1, 2, 3], [1, 0, 1]]).len(), 0);
        assert_eq!(chosen(&[[1, 0, 0], [0, 1, 0], [1, 1, 0]]).len(), 0);
        assert_eq!(chosen(&[[1, 1, 1], [1, 2, 3]]).len(), 2);
    }
}
