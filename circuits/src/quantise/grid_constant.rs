//! A tensor that the model itself quantises and a constant that it quantises too, added or multiplied element by element, with the integers that a runtime
//! gives: as for two tensors (`grid_sum.rs`), `QLinearAdd`'s and `QLinearMul`'s arithmetic in single precision, or between pairs of signed integers that of real numbers. Each element of the constant
//! makes a function of one integer, which grows or falls with it, so that it is a channel of sums of one product with 1 or −1 (`grid_round.rs`);
//! the constant stays hidden in the offsets and factors of its channels.

use super::grid::Exact;
use super::grid_round::{Rounding, Sums};
use super::{Builder, Figures, QuantiseError};
use crate::float::FloatOp;

impl Builder<'_> {
    /// A sum or product with a constant: float node `index`. Returns whether it can be computed in integers.
    pub(super) fn exact_with_constant(&mut self, index: usize) -> Result<bool, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let (Some(grid), Some(with)) = (node.grid.clone(), self.model.graph.constants.get(&node.name)) else {
            return Ok(false);
        };
        let FloatOp::Conv { input, weight, bias: Some(bias), geometry, residual } = &node.op else {
            return Ok(false);
        };
        let Some(operand) = self.operand(input).filter(|_| node.function.is_none() && residual.is_empty())
        else {
            return Ok(false);
        };
        let (values, other, neutral) =
            if with.multiplies { (weight, bias, 0.0) } else { (bias, weight, 1.0) };
        // Something else went into the layer.
        if weight.values.len() != weight.shape[0] || other.values.iter().any(|v| *v != neutral) {
            return Ok(false);
        }
        let integers = values.values.iter().map(|v| f64::from(*v) / f64::from(with.scale));
        let integers: Vec<i64> = integers.map(|v| v.round() as i64).collect();
        if !integers.iter().zip(&values.values).all(|(b, v)| *b as f32 * with.scale == *v) {
            return Ok(false);
        }
        let (ra, rb) = (operand.grid.scale / grid.scale, with.scale / grid.scale);
        let zero = grid.zero;
        let (za, zb, zy) = (operand.grid.zero, with.zero, zero as f32);
        let product = operand.grid.scale * with.scale / grid.scale;
        // The operands in the order in which the model has them.
        let of_two = |[(first, r, z), (second, s, y)]: [(i64, f32, i64); 2]| {
            let constant = zy - r.mul_add(z as f32, s * y as f32);
            ((first + z) as f32).mul_add(r, ((second + y) as f32).mul_add(s, constant))
        };
        let saturated = grid.saturated(node.relu);
        let signs: Vec<i64> = match with.multiplies {
            true => integers.iter().map(|b| if *b < 0 { -1 } else { 1 }).collect(),
            false => vec![1; integers.len()],
        };
        let (fused, scales) = (self.fused(index, &grid), [operand.grid.scale, with.scale, grid.scale]);
        let of = |channel: usize, signed: i64| {
            let (a, b) = (signs[channel] * signed, integers[channel]);
            if !fused {
                let (x, y) = (a as f32 * scales[0], b as f32 * scales[1]);
                let v = if with.multiplies { x * y } else { x + y } / scales[2];
                return (v.round_ties_even() as i64).clamp(saturated.0, saturated.1);
            }
            let v = match (with.multiplies, with.first) {
                (true, _) => (a * b) as f32 * product + zy,
                (false, false) => of_two([(a, ra, za), (b, rb, zb)]),
                (false, true) => of_two([(b, rb, zb), (a, ra, za)]),
            };
            (v.round_ties_even() as i64 - zero).clamp(saturated.0, saturated.1)
        };
        let (lo, hi) = operand.range;
        let ranges = signs.iter().map(|sign| if *sign < 0 { (-hi, -lo) } else { (lo, hi) }).collect();
        let multiplier = |b: &i64| f64::from(if with.multiplies { product * b.abs() as f32 } else { ra });
        let multipliers: Vec<f64> = integers.iter().map(multiplier).collect();
        let most = integers.iter().map(|b| b.abs()).max().unwrap_or(0) as f64;
        let offset = if with.multiplies { 0.0 } else { most * f64::from(rb) };
        let steepest = multipliers.iter().copied().fold(0.0, f64::max);
        let bound = 4.0 * (steepest * hi.max(-lo).max(1) as f64 + offset + 1.0);
        let sums = Sums { ranges, multipliers, bound, offset, saturated, of: &of };
        let Some(rounding) = Rounding::of(&sums, self.graph.shift, self.graph.q_bits, true) else {
            return Ok(false);
        };
        let weight = (weight.name.clone(), weight.shape.clone(), signs.clone());
        let exact = Exact {
            input: input.clone(),
            weight,
            bias: None,
            geometry: geometry.clone(),
            turned: None,
            multipliers: Vec::new(),
            grid,
        };
        let figures = Figures {
            weight_bits: 1,
            q_bits: self.graph.q_bits,
            accumulator_bits: super::bits((lo, hi)) + 1,
            widened: 1.0,
            bit_exact: Some(true),
        };
        let linear = self.along(&exact, &rounding.lines);
        self.push_rounding(index, (&sums, &rounding, &exact.grid), linear, None, figures)?;
        Ok(true)
    }
}
