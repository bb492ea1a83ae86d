//! The constraints, written once: an [`Algebra`] gives them their meaning.
//!
//! The prover compiles them into programs, the verifier evaluates them at one point, key generation works out their
//! degrees and queries. Because all three walk the same functions in the same order, they cannot disagree.

use alloc::vec::Vec;

use ark_bn254::Fr;
use ark_ff::One;

use crate::check::Check;
use crate::circuit::Circuit;
use crate::domain::coset_shift;
use crate::expression::{Column, Expression, Monomial};
use crate::plan::{Fraction, Plan, position};
use crate::transcript::Transcript;

/// A polynomial of the argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Oracle {
    /// Fixed column.
    Fixed(u32),
    /// Permutation column σ of a copy column.
    Sigma(u32),
    /// Instance column; the verifier evaluates it.
    Instance(u32),
    /// Column of a committed group.
    Committed(u32),
    /// Advice column.
    Advice(u32),
    /// Multiplicities of a table segment.
    Multiplicity(u32),
    /// Helper: the sum of one group of fractions.
    Helper(u32),
    /// Running sum of all helpers.
    RunningSum,
    /// The polynomial X.
    Identity,
    /// A combination of linear polynomials that the prover makes for itself; no verifier meets one.
    Combination(u32),
}

impl From<Column> for Oracle {
    fn from(column: Column) -> Self {
        match column {
            Column::Fixed(i) => Self::Fixed(i),
            Column::Instance(i) => Self::Instance(i),
            Column::Committed(i) => Self::Committed(i),
            Column::Advice(i) => Self::Advice(i),
        }
    }
}

/// The challenges that constraints are made of.
#[derive(Clone, Debug)]
pub struct Challenges {
    /// Those that the circuit names, in order. None of them is zero.
    pub circuit: Vec<Fr>,
    /// Compresses looked-up tuples.
    pub theta: Fr,
    /// Shift of the lookup denominators.
    pub gamma: Fr,
    /// Compresses (value, position) of the copy argument.
    pub beta: Fr,
    /// Shift of the copy denominators.
    pub delta: Fr,
}

impl Challenges {
    /// Draws the challenges of the lookup and copy arguments.
    pub fn draw(circuit: Vec<Fr>, transcript: &mut Transcript) -> Self {
        Self {
            circuit,
            theta: transcript.challenge("theta"),
            gamma: transcript.challenge("gamma"),
            beta: transcript.challenge("beta"),
            delta: transcript.challenge("delta"),
        }
    }

    /// Ones, where only the shape of constraints is of interest.
    pub fn placeholder(count: usize) -> Self {
        let one = Fr::one();
        Self { circuit: vec![one; count], theta: one, gamma: one, beta: one, delta: one }
    }
}

/// What constraints are computed in.
pub trait Algebra {
    /// A value.
    type Value: Clone;
    /// A constant.
    fn constant(&mut self, c: Fr) -> Self::Value;
    /// A product of powers of the circuit's challenges. Whoever evaluates many of them has tables of powers.
    fn monomial(&mut self, monomial: &Monomial, challenges: &[Fr]) -> Self::Value {
        self.constant(monomial.evaluate(challenges))
    }
    /// The value of a polynomial at the row, or point, that is `rotation` rows on.
    fn query(&mut self, oracle: Oracle, rotation: i32) -> Self::Value;
    /// `a + b`
    fn add(&mut self, a: &Self::Value, b: &Self::Value) -> Self::Value;
    /// `a − b`
    fn sub(&mut self, a: &Self::Value, b: &Self::Value) -> Self::Value;
    /// `a · b`
    fn mul(&mut self, a: &Self::Value, b: &Self::Value) -> Self::Value;
}

/// Where a constraint comes from, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Gate, by index.
    Gate(usize),
    /// Helper, by index.
    Helper(usize),
    /// The running sum.
    RunningSum,
}

/// How many constraints there are.
pub fn count(circuit: &Circuit, plan: &Plan) -> usize {
    let helpers = plan.helpers.len().saturating_add(usize::from(plan.has_running_sum()));
    circuit.gates.len().saturating_add(helpers)
}

/// Constraint number `index`, in the order of powers of α.
pub fn constraint<A: Algebra>(
    circuit: &Circuit,
    plan: &Plan,
    challenges: &Challenges,
    index: usize,
    algebra: &mut A,
) -> (Origin, A::Value) {
    if let Some(gate) = circuit.gates.get(index) {
        return (Origin::Gate(index), expression(&gate.expression, &challenges.circuit, algebra));
    }
    let helper = index.saturating_sub(circuit.gates.len());
    if let Some(group) = plan.helpers.get(helper) {
        return (Origin::Helper(helper), helper_constraint(circuit, group, challenges, helper, algebra));
    }
    (Origin::RunningSum, running_sum_constraint(plan, algebra))
}

/// An expression of the circuit.
pub fn expression<A: Algebra>(expression_: &Expression, challenges: &[Fr], algebra: &mut A) -> A::Value {
    match expression_ {
        Expression::Constant(c) => algebra.constant(*c),
        Expression::Challenge(monomial) => algebra.monomial(monomial, challenges),
        Expression::Query(column, rotation) => algebra.query((*column).into(), *rotation),
        Expression::Sum(parts) => fold(parts, challenges, algebra, Fr::from(0u64), A::add),
        Expression::Product(parts) => fold(parts, challenges, algebra, Fr::one(), A::mul),
        Expression::Negated(inner) => {
            let zero = algebra.constant(Fr::from(0u64));
            let inner = expression(inner, challenges, algebra);
            algebra.sub(&zero, &inner)
        }
    }
}

fn fold<A: Algebra>(
    parts: &[Expression],
    challenges: &[Fr],
    algebra: &mut A,
    neutral: Fr,
    join: impl Fn(&mut A, &A::Value, &A::Value) -> A::Value,
) -> A::Value {
    let mut total: Option<A::Value> = None;
    for part in parts {
        let value = expression(part, challenges, algebra);
        total = Some(match total {
            None => value,
            Some(total) => join(algebra, &total, &value),
        });
    }
    total.unwrap_or_else(|| algebra.constant(neutral))
}

/// `γ + tag + θ·f_0 + θ²·f_1 + …`, where `tag` sets tables apart.
fn tuple_denominator<A: Algebra>(
    table: u32,
    tuple: impl ExactSizeIterator<Item = A::Value>,
    challenges: &Challenges,
    algebra: &mut A,
) -> A::Value {
    let tag = if Check::TableTag.is_on() { u64::from(table) + 1 } else { 1 };
    let mut total = algebra.constant(challenges.gamma + Fr::from(tag));
    let mut power = challenges.theta;
    for value in tuple {
        let weight = algebra.constant(power);
        let term = algebra.mul(&weight, &value);
        total = algebra.add(&total, &term);
        power *= challenges.theta;
    }
    total
}

/// Numerator and denominator of one fraction.
pub fn fraction<A: Algebra>(
    circuit: &Circuit,
    fraction: Fraction,
    challenges: &Challenges,
    algebra: &mut A,
) -> (A::Value, A::Value) {
    match fraction {
        Fraction::Lookup(index) => {
            let (inputs, table) = lookup(circuit, index);
            let tuple: Vec<_> =
                inputs.iter().map(|input| expression(input, &challenges.circuit, algebra)).collect();
            let denominator = tuple_denominator(table, tuple.into_iter(), challenges, algebra);
            (algebra.constant(Fr::one()), denominator)
        }
        Fraction::Segment { table, segment, multiplicity } => {
            let tuple: Vec<_> = segment_columns(circuit, table, segment)
                .iter()
                .map(|column| algebra.query((*column).into(), 0))
                .collect();
            let denominator = tuple_denominator(table, tuple.into_iter(), challenges, algebra);
            let zero = algebra.constant(Fr::from(0u64));
            let count = algebra.query(Oracle::Multiplicity(multiplicity), 0);
            (algebra.sub(&zero, &count), denominator)
        }
        Fraction::CopyFrom(column) => {
            let position = algebra.query(Oracle::Identity, 0);
            let beta = algebra.constant(challenges.beta * coset_shift(column));
            (
                algebra.constant(Fr::one()),
                copy_denominator(circuit, column, &position, &beta, challenges, algebra),
            )
        }
        Fraction::CopyTo(column) => {
            let position = algebra.query(Oracle::Sigma(column), 0);
            let beta = algebra.constant(challenges.beta);
            (
                algebra.constant(-Fr::one()),
                copy_denominator(circuit, column, &position, &beta, challenges, algebra),
            )
        }
    }
}

// A plan names only what its circuit has; what is not there would be an empty tuple.

fn lookup(circuit: &Circuit, index: u32) -> (&[Expression], u32) {
    circuit.lookups.get(position(index)).map_or((&[], 0), |lookup| (&lookup.inputs, lookup.table))
}

fn segment_columns(circuit: &Circuit, table: u32, segment: u32) -> &[Column] {
    let table = circuit.tables.get(position(table));
    table.and_then(|table| table.segments.get(position(segment))).map_or(&[], Vec::as_slice)
}

/// `δ + v + β·position`
fn copy_denominator<A: Algebra>(
    circuit: &Circuit,
    column: u32,
    position: &A::Value,
    beta: &A::Value,
    challenges: &Challenges,
    algebra: &mut A,
) -> A::Value {
    let value = match circuit.copy_columns.get(self::position(column)) {
        Some(column) => algebra.query((*column).into(), 0),
        None => algebra.constant(Fr::from(0u64)),
    };
    let delta = algebra.constant(challenges.delta);
    let shifted = algebra.add(&value, &delta);
    let place = algebra.mul(beta, position);
    algebra.add(&shifted, &place)
}

/// The parts of a group of fractions over their common denominator: `(Σ num_i·Π_{k≠i} den_k, Π den_i)`.
pub fn joined_fractions<A: Algebra>(
    circuit: &Circuit,
    group: &[Fraction],
    challenges: &Challenges,
    algebra: &mut A,
) -> (A::Value, A::Value) {
    let mut joined: Option<(A::Value, A::Value)> = None;
    for &next in group.iter().filter(|fraction| Check::Fraction(**fraction).is_on()) {
        let (numerator, denominator) = fraction(circuit, next, challenges, algebra);
        joined = Some(match joined {
            None => (numerator, denominator),
            Some((top, bottom)) => {
                let left = algebra.mul(&top, &denominator);
                let right = algebra.mul(&numerator, &bottom);
                (algebra.add(&left, &right), algebra.mul(&bottom, &denominator))
            }
        });
    }
    joined.unwrap_or_else(|| (algebra.constant(Fr::from(0u64)), algebra.constant(Fr::one())))
}

/// `h·Π den_i − Σ num_i·Π_{k≠i} den_k`
fn helper_constraint<A: Algebra>(
    circuit: &Circuit,
    group: &[Fraction],
    challenges: &Challenges,
    helper: usize,
    algebra: &mut A,
) -> A::Value {
    let (top, bottom) = joined_fractions(circuit, group, challenges, algebra);
    let sum = algebra.query(Oracle::Helper(crate::plan::index(helper)), 0);
    let product = algebra.mul(&sum, &bottom);
    algebra.sub(&product, &top)
}

/// `Z(X) − Z(ω⁻¹·X) − Σ h`. Rows wrap, so the sum of all helpers over all rows is zero without a boundary condition.
fn running_sum_constraint<A: Algebra>(plan: &Plan, algebra: &mut A) -> A::Value {
    let here = algebra.query(Oracle::RunningSum, 0);
    let before = algebra.query(Oracle::RunningSum, -1);
    let mut difference = algebra.sub(&here, &before);
    for helper in 0..plan.helpers.len() {
        let sum = algebra.query(Oracle::Helper(crate::plan::index(helper)), 0);
        difference = algebra.sub(&difference, &sum);
    }
    difference
}
