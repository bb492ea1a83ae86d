//! How often each table entry is looked up.
//!
//! Specified in `docs/protocol.md`, "Round 2: `phases`" and "Round 3: `lookup`".

use std::collections::HashMap;
use std::hash::Hash;

use ark_bn254::Fr;
use ark_ff::{PrimeField, Zero};
use kiln_kernels::HostData;
use zeroize::{Zeroize, Zeroizing};

use super::phases::Assignment;
use crate::circuit::Lookup;
use crate::error::ProveError;
use crate::expression::{Column, Expression};
use crate::proving_key::ProvingKey;
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
trait Entry: Copy + Eq + Hash + Zeroize {
    /// The values of an expression on all rows.
    fn column(expression: &Affine, rows: usize, values: &Values<'_>) -> Vec<Self>;

    /// The value as an integer, where a list of places may be indexed by it.
    fn index(self) -> Option<i64>;
}

/// The columns of a tuple, wiped when dropped.
struct Tuples<E: Entry> {
    columns: Vec<Zeroizing<Vec<E>>>,
}

impl<E: Entry> Tuples<E> {
    fn new(expressions: &[Affine], rows: usize, values: &Values<'_>) -> Self {
        Self { columns: expressions.iter().map(|e| Zeroizing::new(E::column(e, rows, values))).collect() }
    }

    fn row(&self, row: usize) -> impl Iterator<Item = E> + '_ {
        self.columns.iter().map(move |column| column[row])
    }
}

fn count_table<'a, E: Entry>(
    rows: usize,
    segments: &[Vec<Affine>],
    lookups: impl Iterator<Item = (&'a Lookup, &'a Vec<Affine>)>,
    values: &Values<'_>,
) -> Result<Vec<ColumnValues>, ProveError> {
    let segments: Vec<Tuples<E>> = segments.iter().map(|s| Tuples::new(s, rows, values)).collect();
    let places = Places::new(&segments, rows);
    let mut counts = vec![0u64; segments.len() * rows];
    for (lookup, inputs) in lookups {
        let inputs = Tuples::new(inputs, rows, values);
        for row in 0..rows {
            let place = places.find(&inputs, row);
            let place = place.ok_or_else(|| ProveError::NotInTable { lookup: lookup.name.clone(), row })?;
            counts[place] += 1;
        }
    }
    Ok(counts.chunks(rows).map(column).collect())
}

/// Where a table has each of its entries for the first time.
enum Places<'a, E: Entry> {
    /// The first column tells entries apart and spans few integers: `first[i]` is the place of the entry that begins with
    /// `least + i`.
    Dense { segments: &'a [Tuples<E>], rows: usize, least: i64, first: Vec<u32> },
    /// Any entries.
    Sparse(HashMap<Vec<E>, usize>),
}

/// No place.
const NOWHERE: u32 = u32::MAX;

impl<'a, E: Entry> Places<'a, E> {
    fn new(segments: &'a [Tuples<E>], rows: usize) -> Self {
        Self::dense(segments, rows).unwrap_or_else(|| Self::sparse(segments, rows))
    }

    fn dense(segments: &'a [Tuples<E>], rows: usize) -> Option<Self> {
        let count = u32::try_from(segments.len() * rows).ok()?;
        let begins = || segments.iter().flat_map(|s| s.columns.first().into_iter().flat_map(|c| c.iter()));
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for begin in begins() {
            let begin = begin.index()?;
            (least, most) = (least.min(begin), most.max(begin));
        }
        let span = usize::try_from(most.checked_sub(least)?).ok()?;
        if span / 8 > count as usize {
            return None;
        }
        let mut first = vec![NOWHERE; span + 1];
        for (place, begin) in (0..count).zip(begins()) {
            let slot = &mut first[usize::try_from(begin.index()? - least).ok()?];
            if *slot == NOWHERE {
                *slot = place;
            } else {
                let (a, b) = (*slot as usize, place as usize);
                let same = segments[a / rows].row(a % rows).eq(segments[b / rows].row(b % rows));
                if !same {
                    return None;
                }
            }
        }
        Some(Self::Dense { segments, rows, least, first })
    }

    fn sparse(segments: &[Tuples<E>], rows: usize) -> Self {
        let mut places = HashMap::new();
        for (segment, tuples) in segments.iter().enumerate() {
            for row in 0..rows {
                places.entry(tuples.row(row).collect()).or_insert(segment * rows + row);
            }
        }
        Self::Sparse(places)
    }

    /// The place of the tuple on a row.
    fn find(&self, tuples: &Tuples<E>, row: usize) -> Option<usize> {
        match self {
            Self::Dense { segments, rows, least, first } => {
                let begin = tuples.columns.first()?[row].index()?;
                let slot = usize::try_from(begin.checked_sub(*least)?).ok()?;
                let place = *first.get(slot).filter(|place| **place != NOWHERE)? as usize;
                let entry = segments[place / rows].row(place % rows);
                entry.eq(tuples.row(row)).then_some(place)
            }
            Self::Sparse(places) => {
                let tuple = Zeroizing::new(tuples.row(row).collect::<Vec<E>>());
                places.get(&*tuple).copied()
            }
        }
    }
}

/// Counts as a column, small if they fit.
fn column(counts: &[u64]) -> ColumnValues {
    match counts.iter().map(|count| i32::try_from(*count)).collect::<Result<Vec<_>, _>>() {
        Ok(small) => HostData::small(small),
        Err(_) => HostData::full(counts.iter().map(|count| Fr::from(*count)).collect()),
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
    fn column(expression: &Affine, rows: usize, values: &Values<'_>) -> Vec<i64> {
        // Only asked of expressions that are small.
        let (constant, factors) = expression.small.clone().unwrap_or_default();
        let mut out = vec![constant; rows];
        for ((_, column, rotation), factor) in expression.terms.iter().zip(factors) {
            if let Some(HostData::Small(column)) = values.column(*column) {
                let rotated = rotated(column, *rotation);
                out.iter_mut().zip(rotated).for_each(|(sum, value)| *sum += factor * i64::from(*value));
            }
        }
        out
    }

    fn index(self) -> Option<i64> {
        Some(self)
    }
}

/// The values from the row `rotation` rows on, wrapping.
fn rotated<T>(values: &[T], rotation: i32) -> impl Iterator<Item = &T> {
    let offset = rotation.unsigned_abs() as usize % values.len().max(1);
    let start = if rotation < 0 { values.len() - offset } else { offset };
    let (before, from) = values.split_at(start);
    from.iter().chain(before)
}

impl Entry for Fr {
    fn column(expression: &Affine, rows: usize, values: &Values<'_>) -> Vec<Fr> {
        let mut out = vec![expression.constant; rows];
        for (factor, column, rotation) in &expression.terms {
            if let Some(column) = values.column(*column) {
                let full = Zeroizing::new(column.to_full());
                out.iter_mut().zip(rotated(&full, *rotation)).for_each(|(sum, v)| *sum += *factor * v);
            }
        }
        out
    }

    fn index(self) -> Option<i64> {
        None
    }
}
