//! The report of a failing constraint: which row, whose row it is, and what stood there.

use std::fmt;

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};

use super::Assignment;
use crate::circuit::{Cell, Region};
use crate::expression::{Column, Expression};

/// Whose row it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Operator, for example `Conv "/conv1/Conv"`.
    pub operator: String,
    /// Tensor, for example `/conv1/Conv_output_0`.
    pub tensor: String,
    /// Row within the region.
    pub offset: usize,
}

/// One value that a failing constraint read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryValue {
    /// The column.
    pub column: Column,
    /// Its name in the circuit.
    pub name: String,
    /// The rotation it was read at.
    pub rotation: i32,
    /// What stood there.
    pub value: Fr,
}

/// A constraint that does not hold. It may show secret values: for the circuit's author, not for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum MockFailure {
    /// A gate is not zero on a row.
    Gate { name: String, row: usize, place: Option<Place>, values: Vec<QueryValue> },
    /// A tuple is not in the table.
    Lookup {
        name: String,
        /// `None`: the circuit has no such table.
        table: Option<String>,
        row: usize,
        tuple: Vec<Fr>,
        place: Option<Place>,
        values: Vec<QueryValue>,
    },
    /// Two cells differ, or may not be copied at all.
    Copy {
        left: Cell,
        right: Cell,
        left_value: Fr,
        right_value: Fr,
        /// False: a cell is outside the circuit's rows or its column is not a copy column.
        allowed: bool,
        places: [Option<Place>; 2],
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, tensor {}, row {} of its region", self.operator, self.tensor, self.offset)
    }
}

impl fmt::Display for QueryValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if self.rotation != 0 {
            write!(f, "[{:+}]", self.rotation)?;
        }
        write!(f, " = {}", signed(&self.value))
    }
}

impl fmt::Display for MockFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate { name, row, place, values } => {
                write!(f, "gate `{name}` is not zero on row {row}{}{}", in_place(place), list(values))
            }
            Self::Lookup { name, table, row, tuple, place, values } => {
                let tuple = tuple.iter().map(signed).collect::<Vec<_>>().join(", ");
                let table = table.as_deref().unwrap_or("(missing)");
                let (place, values) = (in_place(place), list(values));
                write!(f, "lookup `{name}`: ({tuple}) is not in table `{table}` on row {row}{place}{values}")
            }
            Self::Copy { left, right, left_value, right_value, allowed, places } => {
                let side = |cell: &Cell, value: &Fr, place: &Option<Place>| {
                    format!("{:?} row {}{} = {}", cell.column, cell.row, in_place(place), signed(value))
                };
                let [left_place, right_place] = places;
                let left = side(left, left_value, left_place);
                let right = side(right, right_value, right_place);
                let verdict = if *allowed { "differ" } else { "may not be copied" };
                write!(f, "copied cells {verdict}: {left}; {right}")
            }
        }
    }
}

fn in_place(place: &Option<Place>) -> String {
    place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default()
}

fn list(values: &[QueryValue]) -> String {
    if values.is_empty() {
        return String::new();
    }
    let values = values.iter().map(QueryValue::to_string).collect::<Vec<_>>().join(", ");
    format!(": {values}")
}

/// A field element as a person reads it: the integer of smallest absolute value.
fn signed(value: &Fr) -> String {
    let negative = -*value;
    if negative.into_bigint() < value.into_bigint() && negative.into_bigint().num_bits() > 0 {
        format!("-{}", negative.into_bigint())
    } else {
        value.into_bigint().to_string()
    }
}

impl Assignment<'_> {
    /// Every value that the expressions read on this row.
    pub(super) fn query_values(&self, expressions: &[&Expression], row: usize) -> Vec<QueryValue> {
        let queries = expressions.iter().flat_map(|expression| expression.queries());
        let mut values = queries
            .map(|(column, rotation)| QueryValue {
                column,
                name: self.column_name(column),
                rotation,
                value: self.value(column, self.row_at(row, rotation)),
            })
            .collect::<Vec<_>>();
        values.sort_by_key(|value| (value.column, -value.rotation));
        values.dedup();
        values
    }

    /// The innermost region that holds a cell which the expressions read; one on the row itself comes first.
    pub(super) fn place(&self, expressions: &[&Expression], row: usize) -> Option<Place> {
        let queries = expressions.iter().flat_map(|expression| expression.queries()).collect::<Vec<_>>();
        let search = |here: bool| {
            let cells = queries.iter().filter(|(_, rotation)| (*rotation == 0) == here);
            let places = cells.filter_map(|(column, rotation)| {
                let row = self.row_at(row, *rotation);
                self.innermost_region(*column, row).map(|region| (region, row))
            });
            places.min_by_key(|(region, _)| region.rows)
        };
        search(true).or_else(|| search(false)).map(|(region, row)| place_in(region, row))
    }

    /// Whose cell it is.
    pub(super) fn cell_place(&self, column: Column, row: usize) -> Option<Place> {
        self.innermost_region(column, row).map(|region| place_in(region, row))
    }

    fn innermost_region(&self, column: Column, row: usize) -> Option<&Region> {
        let holds = |region: &&Region| {
            let first = region.first_row as usize;
            (first..first + region.rows as usize).contains(&row) && region.columns.contains(&column)
        };
        self.circuit.regions.iter().filter(holds).min_by_key(|region| region.rows)
    }

    fn column_name(&self, column: Column) -> String {
        let name = match column {
            Column::Fixed(index) => self.circuit.fixed.get(index as usize).cloned(),
            Column::Instance(index) => self.circuit.instance.get(index as usize).cloned(),
            Column::Advice(index) => {
                self.circuit.advice.get(index as usize).map(|column| column.name.clone())
            }
            Column::Committed(index) => self.committed_name(index),
        };
        name.unwrap_or_else(|| format!("{column:?}"))
    }

    fn committed_name(&self, index: u32) -> Option<String> {
        let mut first = 0;
        for group in &self.circuit.committed {
            if index < first + group.columns {
                return Some(format!("{}[{}]", group.name, index - first));
            }
            first += group.columns;
        }
        None
    }
}

fn place_in(region: &Region, row: usize) -> Place {
    Place {
        operator: region.operator.clone(),
        tensor: region.tensor.clone(),
        offset: row - region.first_row as usize,
    }
}
