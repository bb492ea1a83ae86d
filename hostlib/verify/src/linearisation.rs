//! The linearisation: all constraints at ζ as one affine combination of the polynomials that are not evaluated.
//!
//! Every constraint is affine in the linear polynomials (plans make sure of it). With all other polynomials replaced
//! by their values at ζ, `Σ α^i·constraint_i − (X^n − 1)·t` becomes a combination of commitments that must open to zero.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero, batch_inversion};

use crate::arithmetic::{Arithmetic, both};
use crate::check::Check;
use crate::circuit::Circuit;
use crate::constraints::{self, Algebra, Challenges, Oracle};
use crate::domain::root_of_unity;
use crate::encoding::count;
use crate::evaluate::instance_values;
use crate::expression::Monomial;
use crate::formula::InstanceCell;
use crate::plan::{Plan, is_linear};
use crate::powers::{ChallengePowers, PowerTable};

/// The values at ζ·ω^rotation of all polynomials that are not linear.
pub struct Evaluations {
    /// The point ζ.
    pub zeta: Fr,
    values: BTreeMap<(Oracle, i32), Fr>,
}

/// `constant + Σ factor·[polynomial] − (ζ^n − 1)·Σ ζ^{n·i}·[t_i]`
pub struct Linearisation {
    /// Factors of the linear polynomials, in order.
    pub terms: Vec<(Oracle, Fr)>,
    /// The factors `−(ζ^n − 1)·ζ^{n·i}` of the quotient's pieces.
    pub pieces: Vec<Fr>,
    /// The constant.
    pub constant: Fr,
}

impl Evaluations {
    /// Adds to the evaluations that are in the proof, in the plan's order, those that both sides know: the instance
    /// columns and the identity. `None` if ζ is a row, which happens with negligible probability.
    pub fn new(
        arithmetic: &dyn Arithmetic,
        circuit: &Circuit,
        plan: &Plan,
        challenges: &Challenges,
        public_inputs: &[Fr],
        zeta: Fr,
        sent: &[Fr],
    ) -> Option<Self> {
        let mut values: BTreeMap<_, _> = plan.queries.iter().copied().zip(sent.iter().copied()).collect();
        values.insert((Oracle::Identity, 0), zeta);
        values.extend(instance_evaluations(arithmetic, circuit, plan, challenges, public_inputs, zeta)?);
        Some(Self { zeta, values })
    }

    /// The value of a polynomial.
    pub fn value(&self, oracle: Oracle, rotation: i32) -> Fr {
        self.values.get(&(oracle, rotation)).copied().unwrap_or_default()
    }
}

/// The point `ζ·ω^rotation`.
pub fn rotated(plan: &Plan, zeta: Fr, rotation: i32) -> Fr {
    // An inverse takes longer than the power that it is.
    let rows = i64::try_from(plan.rows()).unwrap_or(i64::MAX);
    let exponent = i64::from(rotation).checked_rem_euclid(rows).unwrap_or(0);
    zeta * root_of_unity(plan.k).pow([exponent.unsigned_abs()])
}

/// Values of the instance columns at ζ·ω^rotation, from their cells: `Σ value·L_row`, where
/// `L_row(x) = ω^row·(x^n − 1)/(n·(x − ω^row))`.
fn instance_evaluations(
    arithmetic: &dyn Arithmetic,
    circuit: &Circuit,
    plan: &Plan,
    challenges: &Challenges,
    public_inputs: &[Fr],
    zeta: Fr,
) -> Option<Vec<((Oracle, i32), Fr)>> {
    let rows = count(plan.rows());
    let vanishing = zeta.pow([rows]) - Fr::one();
    if vanishing.is_zero() {
        return None;
    }
    let scale = vanishing * Fr::from(rows).inverse()?;
    let cells = &circuit.instance_cells;
    let names = PowerTable::new(root_of_unity(plan.k), rows, cells.len());
    let powers = circuit.instance_powers(&challenges.circuit);
    let queries = &plan.instance_queries;
    let points: Vec<(u32, Fr)> =
        queries.iter().map(|&(column, rotation)| (column, rotated(plan, zeta, rotation))).collect();
    let sums = |cells: &[InstanceCell]| {
        lagrange_sums(cells, instance_values(cells, public_inputs, &powers), &names, &points)
    };
    let (some, others) = cells.split_at(cells.len() / 2);
    let (some, others) = both(arithmetic, || sums(some), || sums(others));
    let values = queries.iter().zip(some).zip(others);
    Some(
        values
            .map(|((&(column, rotation), some), others)| {
                ((Oracle::Instance(column), rotation), (some + others) * scale)
            })
            .collect(),
    )
}

/// `Σ value·ω^row/(point − ω^row)` over the cells of a column, for each (column, point). `names` are the powers of ω.
fn lagrange_sums(
    cells: &[InstanceCell],
    values: Vec<Fr>,
    names: &PowerTable,
    points: &[(u32, Fr)],
) -> Vec<Fr> {
    let weighted: Vec<(u32, Fr, Fr)> = cells
        .iter()
        .zip(values)
        .map(|(cell, value)| {
            let name = names.power(u64::from(cell.row));
            (cell.column, name, value * name)
        })
        .collect();
    let cells_of = |column: u32| weighted.iter().filter(move |cell| cell.0 == column);
    let differences =
        points.iter().flat_map(|&(column, point)| cells_of(column).map(move |(_, name, _)| point - name));
    let mut inverses: Vec<Fr> = differences.collect();
    batch_inversion(&mut inverses);
    let mut inverses = inverses.into_iter();
    let sum = |&(column, _): &(u32, Fr)| {
        let terms = cells_of(column).zip(&mut inverses);
        terms.map(|((_, _, value), inverse)| *value * inverse).sum()
    };
    points.iter().map(sum).collect()
}

impl Linearisation {
    /// Linearises all constraints, combined with powers of α.
    pub fn new(
        arithmetic: &dyn Arithmetic,
        circuit: &Circuit,
        plan: &Plan,
        challenges: &Challenges,
        alpha: Fr,
        evaluations: &Evaluations,
    ) -> Self {
        let powers = ChallengePowers::new(&challenges.circuit, circuit.monomials().into_iter());
        let algebra = Affine { circuit, evaluations, powers: &powers };
        let sum = |constraints: Range<usize>| {
            let mut algebra = algebra;
            let mut terms: BTreeMap<Oracle, Fr> =
                plan.linear.iter().map(|oracle| (*oracle, Fr::zero())).collect();
            let mut constant = Fr::zero();
            let mut power = alpha.pow([count(constraints.start)]);
            for i in constraints {
                let (_, value) = constraints::constraint(circuit, plan, challenges, i, &mut algebra);
                if Check::Constraint(i).is_on() {
                    constant += power * value.constant;
                    for (oracle, factor) in value.terms {
                        *terms.entry(oracle).or_default() += power * factor;
                    }
                }
                power *= alpha;
            }
            (terms, constant)
        };
        let all = constraints::count(circuit, plan);
        let ((mut terms, constant), (others, other)) =
            both(arithmetic, || sum(0..all / 2), || sum(all / 2..all));
        for (oracle, factor) in others {
            *terms.entry(oracle).or_default() += factor;
        }
        let zeta_n = evaluations.zeta.pow([count(plan.rows())]);
        let first = Fr::one() - zeta_n;
        let pieces = core::iter::successors(Some(first), |factor| Some(*factor * zeta_n)).take(plan.pieces);
        Self { terms: terms.into_iter().collect(), pieces: pieces.collect(), constant: constant + other }
    }
}

/// `constant + Σ factor·polynomial`
#[derive(Clone)]
struct AffineValue {
    constant: Fr,
    terms: Vec<(Oracle, Fr)>,
}

impl AffineValue {
    fn scaled(&self, factor: Fr) -> Self {
        let terms = self.terms.iter().map(|(oracle, f)| (*oracle, *f * factor)).collect();
        Self { constant: self.constant * factor, terms }
    }
}

/// The algebra of affine combinations of linear polynomials.
#[derive(Clone, Copy)]
struct Affine<'a> {
    circuit: &'a Circuit,
    evaluations: &'a Evaluations,
    powers: &'a ChallengePowers,
}

impl Algebra for Affine<'_> {
    type Value = AffineValue;

    fn constant(&mut self, c: Fr) -> AffineValue {
        AffineValue { constant: c, terms: Vec::new() }
    }

    fn monomial(&mut self, monomial: &Monomial, _: &[Fr]) -> AffineValue {
        self.constant(self.powers.monomial(monomial))
    }

    fn query(&mut self, oracle: Oracle, rotation: i32) -> AffineValue {
        if rotation == 0 && is_linear(self.circuit, oracle) {
            return AffineValue { constant: Fr::zero(), terms: vec![(oracle, Fr::one())] };
        }
        self.constant(self.evaluations.value(oracle, rotation))
    }

    fn add(&mut self, a: &AffineValue, b: &AffineValue) -> AffineValue {
        let terms = a.terms.iter().chain(&b.terms).copied().collect();
        AffineValue { constant: a.constant + b.constant, terms }
    }

    fn sub(&mut self, a: &AffineValue, b: &AffineValue) -> AffineValue {
        let negative = b.terms.iter().map(|(oracle, factor)| (*oracle, -*factor));
        let terms = a.terms.iter().copied().chain(negative).collect();
        AffineValue { constant: a.constant - b.constant, terms }
    }

    /// Plans refuse circuits in which both sides have terms.
    fn mul(&mut self, a: &AffineValue, b: &AffineValue) -> AffineValue {
        if b.terms.is_empty() { a.scaled(b.constant) } else { b.scaled(a.constant) }
    }
}
