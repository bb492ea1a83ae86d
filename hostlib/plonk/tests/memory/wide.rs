//! A circuit as wide and as varied as a model's: 32 small columns, products with a neighbouring row, range checks, copies.

use ark_bn254::Fr;
use kiln_plonk::circuit::{AdviceColumn, Cell, Circuit, Gate, Lookup, Table};
use kiln_plonk::expression::{Column, Expression};
use kiln_plonk::{ColumnValues, Witness, WitnessError};

/// Pairs of columns: one in range, and its products with its next row.
const PAIRS: u32 = 16;
/// The range of every first column of a pair, log2.
const RANGE_LOG2: u32 = 10;

pub struct Wide {
    k: u32,
}

impl Wide {
    pub fn new(k: u32) -> Self {
        Self { k }
    }

    fn rows(&self) -> usize {
        1 << self.k
    }

    fn range(&self) -> usize {
        1 << RANGE_LOG2.min(self.k)
    }

    /// Some number in range for each cell; columns 0 and 2 are copies of each other.
    fn value(&self, pair: u32, row: usize) -> i32 {
        let mixed = (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 + u64::from(pair / 2) * 2);
        (mixed >> 40) as i32 & (self.range() as i32 - 1)
    }

    pub fn circuit(&self) -> Circuit {
        let selector = Column::Fixed(0).here();
        let pair = |pair: u32| (Column::Advice(2 * pair), Column::Advice(2 * pair + 1));
        let gate = |i: u32| {
            let (value, product) = pair(i);
            let expression = selector.clone() * (value.here() * Expression::Query(value, 1) - product.here());
            Gate { name: format!("product {i}"), expression }
        };
        let lookup = |i: u32| Lookup { name: format!("range {i}"), inputs: vec![pair(i).0.here()], table: 0 };
        let copy = |row| (Cell { column: pair(0).0, row }, Cell { column: pair(1).0, row });
        Circuit {
            k: self.k,
            degree: 4,
            fixed: vec!["selector".into(), "range".into()],
            advice: (0..2 * PAIRS)
                .map(|i| AdviceColumn { name: format!("column {i}"), phase: 0, linear: i % 2 == 1 })
                .collect(),
            gates: (0..PAIRS).map(gate).collect(),
            lookups: (0..PAIRS).map(lookup).collect(),
            tables: vec![Table { name: "range".into(), segments: vec![vec![Column::Fixed(1)]] }],
            copy_columns: vec![pair(0).0, pair(1).0],
            copies: (0..self.rows() as u32).step_by(7).map(copy).collect(),
            ..Circuit::default()
        }
    }

    pub fn fixed(&self) -> Vec<ColumnValues> {
        let selector = (0..self.rows()).map(|row| i32::from(row % 3 > 0)).collect();
        let range = (0..self.rows()).map(|row| (row % self.range()) as i32).collect();
        vec![ColumnValues::small(selector), ColumnValues::small(range)]
    }
}

impl Witness for Wide {
    fn phase(&self, _: u8, _: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let rows = self.rows();
        let columns = (0..PAIRS).flat_map(|pair| {
            let value = |row: usize| self.value(pair, row % rows);
            let values = (0..rows).map(value).collect();
            let products = (0..rows).map(|row| value(row) * value(row + 1)).collect();
            [ColumnValues::small(values), ColumnValues::small(products)]
        });
        Ok(columns.collect())
    }

    fn value_bytes(&self, _: u8) -> usize {
        4
    }
}
