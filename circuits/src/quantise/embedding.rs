//! Rows of a hidden table by their numbers: an embedding lookup, without committing the table again for each proof.
//!
//! The table's integers lie in the model's columns like every weight. **Error.** Rows are rounded to `s_y`, so `y·s_y` is within `s_y/2` of
//! the float table's row where nothing is clamped. Two ways lead from the numbers to the rows:
//!
//! - *By lookup* (`lower/linear/lookup.rs`): a full-width number and a fraction for each row, which are zero but for the rows asked for, and a few
//!   columns more. A number that is no row has no proof.
//! - *By comparison*: `z = id·1 − v` for every row `v`, and a table that tells 0 from all else; then the bits times the table. Two small cells a
//!   bit (ids times rows) and a relay for each row, no column more. A number that is no row has the row 0, and numbers must be activations.
//!
//! Numbers are the model's input or one of several. A model takes one way for all its tables, the one with less to commit to: see [`BITS_MAX`].

use super::linear::output_scale;
use super::{Builder, QuantiseError, Scaled};
use crate::float::{FloatOp, FloatWeight};
use crate::graph::{Linear, View, WeightId};

/// Most bits (ids times rows, of all tables) for which ids are compared with every row. So few lie beside a model's other tensors and spare the
/// columns of a lookup: for 16 ids, 64 rows of width 16 and one layer the planner predicts 122 ms and 132 ms.
const BITS_MAX: usize = 1024;

impl Builder<'_> {
    /// The tables: what numbers are looked up in them, and how many rows they have.
    fn tables_of_rows(&self) -> impl Iterator<Item = (&View, usize)> {
        self.model.graph.nodes.iter().filter_map(|node| match &node.op {
            FloatOp::Embedding { input, table } => Some((input, table.shape[0])),
            _ => None,
        })
    }

    /// Whether float tensor `index` numbers the rows of a table.
    pub(super) fn numbers_rows(&self, index: usize) -> bool {
        super::widths::numbers_rows(self.model, index)
    }

    /// The number of the last row of every table that the numbers in float tensor `index` are for, if rows are looked up and not compared
    /// with.
    pub(super) fn last_row(&self, index: usize) -> Option<i64> {
        let bits = |(ids, rows): (&View, usize)| ids.len().saturating_mul(rows);
        let bits = self.tables_of_rows().map(bits).fold(0, usize::saturating_add);
        let rows = self.tables_of_rows().filter(|(ids, _)| ids.tensor.0 == index).map(|(_, rows)| rows);
        // Tables have at most 2^27 elements.
        rows.min().filter(|_| bits > BITS_MAX).map(|rows| rows as i64 - 1)
    }

    /// The largest row number that the record may hold, if rows are looked up.
    pub(super) fn largest_row(&self) -> Option<i64> {
        self.tables_of_rows().filter_map(|(ids, _)| self.last_row(ids.tensor.0)).max()
    }

    /// A lookup: float node `index`.
    pub(super) fn embedding(&mut self, index: usize) -> Result<(), QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let FloatOp::Embedding { input, table } = &node.op else { return Ok(()) };
        let ids = input.len();
        let column = View { shape: vec![ids, 1], ..self.view(input) };
        let Some(last) = self.last_row(input.tensor.0) else { return self.compared(index, column, table) };
        let (got, expected) = (super::bits((0, last)), self.graph.q_bits);
        if got > expected {
            let (node, operator) = (node.name.clone(), node.operator.clone());
            return Err(QuantiseError::TableRange { node, operator, expected, got });
        }
        let rows = self.rows(index, table)?;
        let linear = Linear::Lookup { ids: column, weight: rows.weight };
        self.push(index, linear, 0, self.table(index), rows.scale, rows.z, rows.weight_bits)
    }

    /// Bits that say which row has which number, and their product with the table.
    fn compared(&mut self, index: usize, ids: View, table: &FloatWeight) -> Result<(), QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let (count, rows, name) = (ids.len(), table.shape[0], node.name.clone());
        let (lo, hi) = self.graph.tensors[ids.tensor.0].bound;
        let last = rows as i64 - 1;
        if last > hi {
            let operator = node.operator.clone();
            return Err(QuantiseError::Ids { node: name, operator, expected_max: hi, got: last });
        }
        // Rows are at most as many as activations, so their numbers have 16 bits.
        let numbers = (0..rows).map(|row| -(row as i32)).collect();
        let weight = self.add_weight(&format!("{name}.ones"), vec![1, rows], vec![1; rows]);
        let bias = Some(self.add_weight(&format!("{name}.numbers"), vec![rows], numbers));
        let reach = hi.max(last - lo);
        let is_zero = self.listed("is 0", reach, |q| i32::from(q == 0));
        let linear = Linear::MatMul { input: ids, weight, bias };
        let found = self.push_step(index, "rows", linear, 0, is_zero, vec![count, rows], reach, 1.0)?;
        let rows = self.rows(index, table)?;
        let bits = View::plain(found, vec![count, table.shape[0]]);
        let linear = Linear::MatMul { input: bits, weight: rows.weight, bias: None };
        self.push(index, linear, 0, self.table(index), rows.scale, rows.z, rows.weight_bits)
    }

    /// The table as a weight, at a scale at which no row leaves the range of tables.
    fn rows(&mut self, index: usize, table: &FloatWeight) -> Result<Rows, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let largest = table.values.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => output_scale(self.graph.q_bits, largest),
        };
        let shift = self.graph.shift;
        let scaled = self.fit(index, calibrated, |scale| {
            let values: Vec<i64> =
                table.values.iter().map(|v| (f64::from(*v) / scale).round() as i64).collect();
            let reach = reach(&values);
            Scaled { step: values, scale, z: (-reach << shift, reach << shift) }
        })?;
        let weight_bits = scaled.step.iter().map(|v| super::bits((*v, *v)) + 1).max().unwrap_or(0);
        if weight_bits > self.options.weight_bits_max {
            let (node, operator) = (node.name.clone(), node.operator.clone());
            let expected = self.options.weight_bits_max;
            return Err(QuantiseError::WeightRange { node, operator, expected, got: weight_bits });
        }
        // Every row is known, so a margin need not keep any of them out unless tables end before.
        let reach = reach(&scaled.step);
        let z = match super::bits((-reach, reach)) <= self.graph.q_bits {
            true => (-reach, reach),
            false => (scaled.z.0 >> shift, scaled.z.1 >> shift),
        };
        // Checked: at most 31 bits.
        let values = scaled.step.into_iter().map(|v| v as i32).collect();
        let weight = self.add_weight(&table.name, table.shape.clone(), values);
        Ok(Rows { weight, scale: (scaled.scale, scaled.scale / calibrated), z, weight_bits })
    }
}

/// The largest number of as many bits as the largest magnitude has: bounds are public.
fn reach(values: &[i64]) -> i64 {
    let largest = values.iter().map(|v| v.abs()).max().unwrap_or(0);
    (1 << super::bits((0, largest))) - 1
}

/// A table as a weight.
struct Rows {
    weight: WeightId,
    /// With its widening.
    scale: (f64, f64),
    z: (i64, i64),
    weight_bits: u32,
}
