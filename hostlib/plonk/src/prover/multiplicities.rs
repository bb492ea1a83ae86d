//! How often each table entry is looked up.
//!
//! Specified in `docs/protocol.md`, "Round 2: `phases`" and "Round 3: `lookup`".

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{PrimeField, Zero};
use kiln_kernels::HostData;

use super::phases::Assignment;
use crate::circuit::Lookup;
use crate::error::ProveError;
use crate::expression::{Column, Expression};
use crate::keys::ProvingKey;
use crate::witness::ColumnValues;

/// Multiplicity columns of all table segments, in the plan's order. An entry that a table holds several times is counted
/// at its first place.
///
/// # Errors
/// [`ProveError::NotInTable`] for a tuple that its table does not hold.
pub(super) fn count(
    pk: &ProvingKey,
    assignment: &Assignment,
    challenges: &[Fr],
) -> Result<Vec<ColumnValues>, ProveError> {
    let circuit = pk.vk.circuit();
    let values = Values { pk, assignment };
    let mut counts = Vec::new();
    for (table, content) in circuit.tables.iter().enumerate() {
        let lookups = || circuit.lookups.iter().filter(|lookup| lookup.table as usize == table);
        let inputs: Vec<Vec<Affine>> = lookups()
            .map(|lookup| lookup.inputs.iter().map(|i| Affine::new(i, challenges)).collect())
            .collect();
        let small =
            |expressions: &[Affine]| expressions.iter().all(|expression| expression.is_small(&values));
        let segments: Vec<Vec<Affine>> = content
            .segments
            .iter()
            .map(|columns| columns.iter().copied().map(Affine::column).collect())
            .collect();
        let rows = circuit.rows();
        counts.extend(if inputs.iter().chain(&segments).all(|tuple| small(tuple)) {
            count_table::<i64>(rows, &segments, lookups().zip(&inputs), &values)?
        } else {
            count_table::<Fr>(rows, &segments, lookups().zip(&inputs), &values)?
        });
    }
    Ok(counts)
}

/// What tuples are made of: small integers where all are known to be small, which is much faster, or field elements.
trait Entry: Copy + Eq + Hash {
    fn evaluate(expression: &Affine, row: usize, values: &Values<'_>) -> Self;
}

fn count_table<'a, E: Entry>(
    rows: usize,
    segments: &[Vec<Affine>],
    lookups: impl Iterator<Item = (&'a Lookup, &'a Vec<Affine>)>,
    values: &Values<'_>,
) -> Result<Vec<ColumnValues>, ProveError> {
    let tuple = |expressions: &[Affine], row: usize, out: &mut Vec<E>| {
        out.clear();
        out.extend(expressions.iter().map(|expression| E::evaluate(expression, row, values)));
    };
    let mut places: HashMap<Vec<E>, usize> = HashMap::new();
    let mut entry = Vec::new();
    for (segment, columns) in segments.iter().enumerate() {
        for row in 0..rows {
            tuple(columns, row, &mut entry);
            if !places.contains_key(&entry) {
                places.insert(entry.clone(), segment * rows + row);
            }
        }
    }
    let mut counts = vec![0u64; segments.len() * rows];
    for (lookup, inputs) in lookups {
        for row in 0..rows {
            tuple(inputs, row, &mut entry);
            let place = places
                .get(&entry)
                .ok_or_else(|| ProveError::NotInTable { lookup: lookup.name.clone(), row })?;
            counts[*place] += 1;
        }
    }
    Ok(counts.chunks(rows).map(column).collect())
}

/// Counts as a column, small if they fit.
fn column(counts: &[u64]) -> ColumnValues {
    match counts.iter().map(|count| i32::try_from(*count)).collect::<Result<Vec<_>, _>>() {
        Ok(small) => HostData::Small(Arc::new(small)),
        Err(_) => HostData::Full(Arc::new(counts.iter().map(|count| Fr::from(*count)).collect())),
    }
}

/// The columns that lookups may read.
struct Values<'a> {
    pk: &'a ProvingKey,
    assignment: &'a Assignment,
}

impl Values<'_> {
    fn column(&self, column: Column) -> Option<&ColumnValues> {
        match column {
            Column::Fixed(i) => self.pk.fixed.get(i as usize),
            _ => self.assignment.columns.get(&column),
        }
    }
}

/// `constant + Σ factor·column`: what an expression of degree at most one comes to.
struct Affine {
    constant: Fr,
    terms: Vec<(Fr, Column, i32)>,
    /// Constant and factors, if they are small.
    small: Option<(i64, Vec<i64>)>,
}

/// Factors below this, times values below 2^31, summed a few thousand times, stay below 2^63.
const SMALL_MAX: u64 = 1 << 20;

impl Affine {
    fn new(expression: &Expression, challenges: &[Fr]) -> Self {
        let mut affine = Self::unsized_terms(expression, challenges);
        let factors: Option<Vec<i64>> =
            affine.terms.iter().map(|(factor, ..)| small_integer(*factor)).collect();
        affine.small =
            small_integer(affine.constant).zip(factors).filter(|(_, factors)| factors.len() <= 1024);
        affine
    }

    fn column(column: Column) -> Self {
        Self::new(&column.here(), &[])
    }

    fn unsized_terms(expression: &Expression, challenges: &[Fr]) -> Self {
        let constant = |constant| Self { constant, terms: Vec::new(), small: None };
        match expression {
            Expression::Constant(c) => constant(*c),
            Expression::Challenge(monomial) => constant(monomial.evaluate(challenges)),
            Expression::Query(column, rotation) => {
                Self { constant: Fr::zero(), terms: vec![(Fr::from(1u64), *column, *rotation)], small: None }
            }
            Expression::Negated(inner) => Self::unsized_terms(inner, challenges).scaled(-Fr::from(1u64)),
            Expression::Sum(parts) => parts.iter().fold(constant(Fr::zero()), |mut sum, part| {
                let part = Self::unsized_terms(part, challenges);
                sum.constant += part.constant;
                sum.terms.extend(part.terms);
                sum
            }),
            Expression::Product(parts) => parts.iter().fold(constant(Fr::from(1u64)), |product, part| {
                let part = Self::unsized_terms(part, challenges);
                // Plans allow at most one factor that is not a constant.
                if part.terms.is_empty() {
                    product.scaled(part.constant)
                } else {
                    part.scaled(product.constant)
                }
            }),
        }
    }

    fn scaled(mut self, factor: Fr) -> Self {
        self.constant *= factor;
        self.terms.iter_mut().for_each(|term| term.0 *= factor);
        self
    }

    fn is_small(&self, values: &Values<'_>) -> bool {
        let small = |column| matches!(values.column(column), Some(HostData::Small(_)));
        self.small.is_some() && self.terms.iter().all(|(_, column, _)| small(*column))
    }
}

/// The integer of magnitude at most [`SMALL_MAX`] that a scalar stands for.
fn small_integer(scalar: Fr) -> Option<i64> {
    let magnitude = |scalar: Fr| {
        let limbs = scalar.into_bigint().0;
        let small = limbs[1..] == [0, 0, 0] && limbs[0] <= SMALL_MAX;
        small.then_some(limbs[0]).and_then(|limb| i64::try_from(limb).ok())
    };
    magnitude(scalar).or_else(|| magnitude(-scalar).map(|m| -m))
}

impl Entry for i64 {
    fn evaluate(expression: &Affine, row: usize, values: &Values<'_>) -> i64 {
        let Some((constant, factors)) = &expression.small else { return 0 };
        expression.terms.iter().zip(factors).fold(*constant, |sum, ((_, column, rotation), factor)| {
            let value = match values.column(*column) {
                Some(HostData::Small(values)) => values[rotated_row(values.len(), row, *rotation)],
                _ => 0,
            };
            sum + factor * i64::from(value)
        })
    }
}

fn rotated_row(rows: usize, row: usize, rotation: i32) -> usize {
    let offset = rotation.unsigned_abs() as usize % rows;
    if rotation < 0 { (row + rows - offset) % rows } else { (row + offset) % rows }
}

impl Entry for Fr {
    fn evaluate(expression: &Affine, row: usize, values: &Values<'_>) -> Fr {
        let terms = expression.terms.iter().map(|(factor, column, rotation)| {
            let value = |column: &ColumnValues| column.get(rotated_row(column.len(), row, *rotation));
            *factor * values.column(*column).map_or(Fr::zero(), value)
        });
        expression.constant + terms.sum::<Fr>()
    }
}
