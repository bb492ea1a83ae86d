//! Checks a witness against a circuit without proving, and names what fails in the user's words.

mod report;

use std::collections::HashSet;

use ark_bn254::Fr;
use ark_ff::{One, PrimeField, UniformRand, Zero};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::circuit::{Circuit, Lookup};
use crate::expression::{Column, Expression};
use crate::witness::{ColumnValues, Witness, WitnessError};

pub use report::{MockFailure, Place, QueryValue};

/// At most this many failures are reported of one gate, lookup or all copies together: the first ones tell.
const FAILURES_PER_CONSTRAINT_MAX: usize = 16;

/// Checks a witness against the circuit without proving: every gate and every lookup on every row (rotations wrap),
/// and every copy. `fixed` are the fixed columns, `committed` the columns of each committed group, `2^k` rows each. An
/// empty answer means that all constraints hold.
///
/// Challenges are random but the same on every call, so that a failure can be looked at twice.
///
/// # Errors
/// [`WitnessError`] if there is no witness, or if counts or lengths of columns do not fit the circuit.
pub fn mock(
    circuit: &Circuit,
    fixed: &[ColumnValues],
    committed: &[Vec<ColumnValues>],
    public_inputs: &[Fr],
    witness: &dyn Witness,
) -> Result<Vec<MockFailure>, WitnessError> {
    check_counts(circuit, fixed, committed, public_inputs)?;
    let (advice, challenges) = run_phases(circuit, witness)?;
    let table = Assignment {
        circuit,
        fixed: fixed.iter().collect(),
        committed: committed.iter().flatten().collect(),
        advice,
        instance: circuit.instance_columns(public_inputs, &challenges),
        challenges,
    };
    table.check_columns()?;
    let mut failures = table.check_gates();
    failures.extend(table.check_lookups());
    failures.extend(table.check_copies());
    Ok(failures)
}

/// Everything that the constraints speak about, with all values known.
struct Assignment<'a> {
    circuit: &'a Circuit,
    fixed: Vec<&'a ColumnValues>,
    committed: Vec<&'a ColumnValues>,
    advice: Vec<ColumnValues>,
    instance: Vec<Vec<Fr>>,
    challenges: Vec<Fr>,
}

impl Assignment<'_> {
    fn value(&self, column: Column, row: usize) -> Fr {
        let all = match column {
            Column::Fixed(index) => self.fixed.get(index as usize).copied(),
            Column::Committed(index) => self.committed.get(index as usize).copied(),
            Column::Advice(index) => self.advice.get(index as usize),
            Column::Instance(index) => {
                let value = self.instance.get(index as usize).and_then(|values| values.get(row));
                return value.copied().unwrap_or_default();
            }
        };
        all.map_or_else(Fr::zero, |values| values.get(row))
    }

    fn row_at(&self, row: usize, rotation: i32) -> usize {
        rotated_row(row, rotation, self.circuit.rows())
    }

    fn evaluate(&self, expression: &Expression, row: usize) -> Fr {
        expression.evaluate(&self.challenges, &mut |column, rotation| {
            self.value(column, self.row_at(row, rotation))
        })
    }

    fn column_exists(&self, column: Column) -> bool {
        let (index, count) = match column {
            Column::Fixed(index) => (index, self.fixed.len()),
            Column::Committed(index) => (index, self.committed.len()),
            Column::Advice(index) => (index, self.advice.len()),
            Column::Instance(index) => (index, self.instance.len()),
        };
        (index as usize) < count
    }

    /// Every column that the circuit names is there and as tall as the circuit.
    fn check_columns(&self) -> Result<(), WitnessError> {
        let rows = self.circuit.rows();
        for (values, name) in
            [(&self.fixed, Column::Fixed as fn(u32) -> Column), (&self.committed, Column::Committed)]
        {
            for (index, values) in (0..).zip(values) {
                check_length(name(index), values, rows)?;
            }
        }
        for (place, column) in self.named_columns() {
            if !self.column_exists(column) {
                return Err(WitnessError::UnknownColumn { place, column });
            }
        }
        Ok(())
    }

    fn named_columns(&self) -> Vec<(String, Column)> {
        let mut named = Vec::new();
        let mut expression = |place: &str, expression: &Expression| {
            named.extend(expression.queries().into_iter().map(|(column, _)| (place.to_owned(), column)));
        };
        for gate in &self.circuit.gates {
            expression(&gate.name, &gate.expression);
        }
        for lookup in &self.circuit.lookups {
            lookup.inputs.iter().for_each(|input| expression(&lookup.name, input));
        }
        for table in &self.circuit.tables {
            named.extend(table.segments.iter().flatten().map(|column| (table.name.clone(), *column)));
        }
        for (left, right) in &self.circuit.copies {
            named.extend([left.column, right.column].map(|column| ("a copy".to_owned(), column)));
        }
        named
    }

    fn check_gates(&self) -> Vec<MockFailure> {
        let mut failures = Vec::new();
        for gate in &self.circuit.gates {
            let expression = gate.expression.with_challenges(&self.challenges);
            let broken = (0..self.circuit.rows()).filter(|row| !self.evaluate(&expression, *row).is_zero());
            failures.extend(broken.take(FAILURES_PER_CONSTRAINT_MAX).map(|row| MockFailure::Gate {
                name: gate.name.clone(),
                row,
                place: self.place(&[&expression], row),
                values: self.query_values(&[&expression], row),
            }));
        }
        failures
    }

    fn check_lookups(&self) -> Vec<MockFailure> {
        let tables =
            self.circuit.tables.iter().map(|table| self.table_tuples(&table.segments)).collect::<Vec<_>>();
        let mut failures = Vec::new();
        for lookup in &self.circuit.lookups {
            failures.extend(self.check_lookup(lookup, tables.get(lookup.table as usize)));
        }
        failures
    }

    fn check_lookup(&self, lookup: &Lookup, table: Option<&HashSet<Tuple>>) -> Vec<MockFailure> {
        let inputs =
            lookup.inputs.iter().map(|input| input.with_challenges(&self.challenges)).collect::<Vec<_>>();
        let tuple = |row: usize| inputs.iter().map(|input| self.evaluate(input, row)).collect::<Vec<_>>();
        let missing = |row: &usize| table.is_none_or(|table| !table.contains(&Tuple::new(&tuple(*row))));
        let parts = inputs.iter().collect::<Vec<_>>();
        let failure = |row: usize| MockFailure::Lookup {
            name: lookup.name.clone(),
            table: self.circuit.tables.get(lookup.table as usize).map(|table| table.name.clone()),
            row,
            tuple: tuple(row),
            place: self.place(&parts, row),
            values: self.query_values(&parts, row),
        };
        (0..self.circuit.rows()).filter(missing).take(FAILURES_PER_CONSTRAINT_MAX).map(failure).collect()
    }

    fn table_tuples(&self, segments: &[Vec<Column>]) -> HashSet<Tuple> {
        let row_tuple = |segment: &Vec<Column>, row| {
            let tuple = segment.iter().map(|column| self.value(*column, row)).collect::<Vec<_>>();
            Tuple::new(&tuple)
        };
        let rows = self.circuit.rows();
        segments.iter().flat_map(|segment| (0..rows).map(move |row| row_tuple(segment, row))).collect()
    }

    fn check_copies(&self) -> Vec<MockFailure> {
        let mut failures = Vec::new();
        for (left, right) in &self.circuit.copies {
            let allowed = [left, right].iter().all(|cell| {
                self.circuit.copy_columns.contains(&cell.column) && (cell.row as usize) < self.circuit.rows()
            });
            let left_value = self.value(left.column, left.row as usize);
            let right_value = self.value(right.column, right.row as usize);
            if allowed && left_value == right_value {
                continue;
            }
            failures.push(MockFailure::Copy {
                left: *left,
                right: *right,
                left_value,
                right_value,
                allowed,
                places: [left, right].map(|cell| self.cell_place(cell.column, cell.row as usize)),
            });
            if failures.len() == FAILURES_PER_CONSTRAINT_MAX {
                break;
            }
        }
        failures
    }
}

/// A tuple by its integers, so that it can be hashed. Two tuples of different length are different.
#[derive(PartialEq, Eq, Hash)]
struct Tuple(Vec<[u64; 4]>);

impl Tuple {
    fn new(values: &[Fr]) -> Self {
        Self(values.iter().map(|value| value.into_bigint().0).collect())
    }
}

fn rotated_row(row: usize, rotation: i32, rows: usize) -> usize {
    let rows_signed = i64::try_from(rows).unwrap_or(i64::MAX);
    let start = i64::try_from(row).unwrap_or(0);
    usize::try_from((start + i64::from(rotation)).rem_euclid(rows_signed)).unwrap_or(0)
}

fn check_counts(
    circuit: &Circuit,
    fixed: &[ColumnValues],
    committed: &[Vec<ColumnValues>],
    public_inputs: &[Fr],
) -> Result<(), WitnessError> {
    let check = |what, expected, got| {
        if expected == got { Ok(()) } else { Err(WitnessError::Count { what, expected, got }) }
    };
    check("fixed columns", circuit.fixed.len(), fixed.len())?;
    check("committed groups", circuit.committed.len(), committed.len())?;
    for (group, columns) in circuit.committed.iter().zip(committed) {
        check("columns of a committed group", group.columns as usize, columns.len())?;
    }
    check("public inputs", circuit.public_inputs as usize, public_inputs.len())
}

fn check_length(column: Column, values: &ColumnValues, rows: usize) -> Result<(), WitnessError> {
    match values.len() {
        got if got == rows => Ok(()),
        got => Err(WitnessError::ColumnLength { column, expected: rows, got }),
    }
}

/// Asks for all phases; returns the advice columns in circuit order and all challenges.
fn run_phases(
    circuit: &Circuit,
    witness: &dyn Witness,
) -> Result<(Vec<ColumnValues>, Vec<Fr>), WitnessError> {
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let last_of_advice = circuit.advice.iter().map(|column| usize::from(column.phase) + 1).max().unwrap_or(0);
    let phases = circuit.challenges.len().max(last_of_advice);
    let mut advice: Vec<Option<ColumnValues>> = vec![None; circuit.advice.len()];
    let mut challenges = Vec::new();
    for (phase, index) in (0u8..).zip(0..phases) {
        let values = witness.phase(phase, &challenges)?;
        let slots =
            circuit.advice.iter().zip(&mut advice).zip(0..).filter(|((column, _), _)| column.phase == phase);
        let slots = slots.map(|((_, slot), index)| (slot, index)).collect::<Vec<_>>();
        if slots.len() != values.len() {
            return Err(WitnessError::ColumnCount { phase, expected: slots.len(), got: values.len() });
        }
        for ((slot, index), values) in slots.into_iter().zip(values) {
            check_length(Column::Advice(index), &values, circuit.rows())?;
            *slot = Some(values);
        }
        for _ in circuit.challenges.get(index).into_iter().flatten() {
            challenges.push(Fr::rand(&mut rng) + Fr::one());
        }
    }
    Ok((advice.into_iter().flatten().collect(), challenges))
}

#[cfg(test)]
mod tests;
