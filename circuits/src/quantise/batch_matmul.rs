//! Products of two computed matrices.
//!
//! `z = c·Σ_k a·b` is exact, of scale `s_a·s_b/c`; the integer `c` brings `q` to the scale that calibration asks for. Where even
//! `c = 1` leaves `q` finer than that, a listed table brings it there: `y = floor(q·s_q/s_y + 1/2)`, clamped. Given the integers
//! of the factors, `y·s_y` is within `s_y/2 + s_q/2` of the product where nothing is clamped.
//!
//! Of matrices that the model itself quantises, sums are integers, and become what `QLinearMatMul` makes of them (`grid_round.rs`).

use std::sync::Arc;

use super::grid_pairs::PAIRED_MIN;
use super::grid_product::Product;
use super::grid_round::{Rounding, Sums};
use super::linear::output_scale;
use super::sum::round_scale;
use super::{Builder, Figures, QuantiseError, Scaled};
use crate::float::Function;
use crate::graph::{Linear, View};

impl Builder<'_> {
    /// A product: float node `index`.
    pub(super) fn batch_matmul(
        &mut self,
        index: usize,
        left: &View,
        right: &View,
        factor: f32,
    ) -> Result<(), QuantiseError> {
        if self.exact_product_of_matrices(index, left, right, factor)? {
            return Ok(());
        }
        let (a, b) = (self.bound_of(left), self.bound_of(right));
        let depth = left.shape[2] as i64;
        let corners = [a.0, a.1].map(|a| [b.0, b.1].map(|b| a.saturating_mul(b))).concat();
        let range = corners.iter().fold((0, 0), |range: (i64, i64), v| (range.0.min(*v), range.1.max(*v)));
        let range = (range.0.saturating_mul(depth), range.1.saturating_mul(depth));
        let (worth, sign) = (
            self.scale_of(left) * self.scale_of(right) * f64::from(factor.abs()),
            if factor < 0.0 { -1 } else { 1 },
        );
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => output_scale(self.graph.q_bits, worth * range.1.max(-range.0) as f64),
        };
        let unit = f64::from(self.graph.shift).exp2();
        let scaled = self.fit(index, calibrated, |scale| {
            let scale = round_scale(&[worth], unit, scale);
            let whole = (worth * unit / scale).round().max(1.0);
            let step = sign * whole as i64;
            let ends = (range.0.saturating_mul(step), range.1.saturating_mul(step));
            let z = (ends.0.min(ends.1), ends.0.max(ends.1));
            Scaled { step, scale: worth * unit / whole, z }
        })?;
        let linear =
            Linear::BatchMatMul { left: self.view(left), right: self.view(right), factor: scaled.step };
        let function = self.model.graph.nodes[index].function.clone();
        let relu = self.model.graph.nodes[index].relu;
        let quantised = self.model.graph.nodes[index].grid.is_some();
        let open = function.is_none() && !quantised && !self.fills_table(index);
        let rescales = scaled.scale < 0.999 * calibrated && open;
        let function = match rescales {
            true => Some(rescaling(relu)),
            false => function,
        };
        let (shift, table) = (self.graph.shift, self.table(index));
        let scale = (scaled.scale, (scaled.scale / calibrated).max(1.0));
        self.push_function(index, linear, shift, table, function.as_ref(), scale, scaled.z, 0)
    }

    /// A product of two matrices of the model's own integers: float node `index`. Returns whether it can be computed in integers.
    fn exact_product_of_matrices(
        &mut self,
        index: usize,
        left: &View,
        right: &View,
        factor: f32,
    ) -> Result<bool, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let Some(grid) = node.grid.clone().filter(|_| node.function.is_none() && factor == 1.0) else {
            return Ok(false);
        };
        let (Some(a), Some(b)) = (self.operand(left), self.operand(right)) else {
            return Ok(false);
        };
        let corners = [a.range.0, a.range.1].map(|x| [x * b.range.0, x * b.range.1]).concat();
        let depth = left.shape[2] as i64;
        let range = corners.iter().fold((0, 0), |range: (i64, i64), v| (range.0.min(*v), range.1.max(*v)));
        let range = (range.0.saturating_mul(depth), range.1.saturating_mul(depth));
        let product = Product::of(&grid, [&a, &b]);
        let (multiplier, saturated) = (product.multiplier, grid.saturated(node.relu));
        // `Mul` where one factor spreads over the other; the zero point of a sum of products is added after rounding.
        let of_two = matches!(node.operator.as_str(), "Mul" | "QLinearMul") && depth == 1;
        let of = |_: usize, sum: i64| {
            let v = match of_two {
                true => product.of_integers(sum),
                false => (sum as f32 * multiplier).round_ties_even() as i64,
            };
            v.clamp(saturated.0, saturated.1)
        };
        let farthest = range.1.max(-range.0).max(1);
        let sums = Sums {
            ranges: vec![range],
            multipliers: vec![f64::from(multiplier)],
            bound: 2.0 * f64::from(multiplier) * farthest as f64,
            offset: 0.0,
            saturated,
            of: &of,
        };
        let spread = match right.len() == right.shape[0] {
            true => [&a, &b],
            false => [&b, &a],
        };
        let large = left.len().max(right.len()) >= PAIRED_MIN;
        if of_two && !self.fused(index, &grid) {
            return self.spread_product(index, &grid, spread);
        }
        if of_two && large && self.spread_product(index, &grid, spread)? {
            return Ok(true);
        }
        let Some(rounding) = Rounding::of(&sums, self.graph.shift, self.graph.q_bits, false) else {
            return if of_two { self.spread_product(index, &grid, spread) } else { Ok(false) };
        };
        let factor = rounding.lines[0].factor;
        let linear = Linear::BatchMatMul { left: self.view(left), right: self.view(right), factor };
        let figures = Figures {
            weight_bits: 0,
            q_bits: self.graph.q_bits,
            accumulator_bits: super::bits((-farthest, farthest)) + 1,
            widened: 1.0,
            bit_exact: Some(true),
        };
        self.push_rounding(index, (&sums, &rounding, &grid), linear, None, figures)?;
        Ok(true)
    }
}

/// The same number at another scale.
fn rescaling(relu: bool) -> Function {
    match relu {
        true => Function { name: "rescaled Relu".into(), value: Arc::new(|x: f64| x.max(0.0)) },
        false => Function { name: "rescaled".into(), value: Arc::new(|x| x) },
    }
}
