//! Rows of a hidden table by their numbers: an embedding lookup, without committing the table again for each proof.
//!
//! 1. `z = id·1 − v` for every row `v` of the table, and a table that tells 0 from all else: a row of bits per id, in which the one
//!    at `id` is set, and none where the id is beyond the table.
//! 2. These bits times the table, whose integers lie in the model's columns like every weight.
//!
//! The cost is two small cells a bit (ids times rows), one relay for each row of the table, and the result. **Error.** Rows are rounded
//! to `s_y/2^shift` and then to `s_y`, so `y·s_y` is within `s_y·(1/2 + 1/2^(shift+1))` of the float table's row where nothing is clamped.

use super::linear::output_scale;
use super::{Builder, QuantiseError, Scaled};
use crate::float::FloatOp;
use crate::graph::{Linear, View};

impl Builder<'_> {
    /// A lookup: float node `index`.
    pub(super) fn embedding(&mut self, index: usize) -> Result<(), QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let FloatOp::Embedding { input, table } = &node.op else { return Ok(()) };
        let (ids, rows, name) = (input.len(), table.shape[0], node.name.clone());
        let (lo, hi) = self.graph.activation;
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
        let column = View { shape: vec![ids, 1], ..self.view(input) };
        let linear = Linear::MatMul { input: column, weight, bias };
        let found = self.push_step(index, "rows", linear, 0, is_zero, vec![ids, rows], reach, 1.0)?;

        let largest = table.values.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => output_scale(self.graph.q_bits, largest),
        };
        let shift = self.graph.shift;
        let scaled = self.fit(index, calibrated, |scale| {
            let unit = f64::from(shift).exp2() / scale;
            let values: Vec<i64> =
                table.values.iter().map(|v| (f64::from(*v) * unit).round() as i64).collect();
            let z = values.iter().fold((0, 0), |z: (i64, i64), v| (z.0.min(*v), z.1.max(*v)));
            Scaled { step: values, scale, z }
        })?;
        let weight_bits = scaled.step.iter().map(|v| super::bits((*v, *v)) + 1).max().unwrap_or(0);
        if weight_bits > self.options.weight_bits_max {
            let (operator, expected) = (node.operator.clone(), self.options.weight_bits_max);
            return Err(QuantiseError::WeightRange { node: name, operator, expected, got: weight_bits });
        }
        // Checked: at most 31 bits.
        let values = scaled.step.into_iter().map(|v| v as i32).collect();
        let weight = self.add_weight(&table.name, table.shape.clone(), values);
        let linear = Linear::MatMul { input: View::plain(found, vec![ids, rows]), weight, bias: None };
        let table = self.table(index);
        let scale = (scaled.scale, scaled.scale / calibrated);
        self.push(index, linear, shift, table, scale, scaled.z, weight_bits)
    }
}
