//! Products of two tensors that the model itself quantises (`grid.rs`), with the integers that a runtime gives: those of ONNX Runtime's `QLinearMul`,
//! `round(ab·(s_a·s_b/s_y) + z_y)`, or between pairs of signed integers, which it leaves to real numbers, `round(a·s_a·(b·s_b)/s_y)`. One table of all
//! pairs has them (`grid_pairs.rs`). Of matrices: `batch_matmul.rs`.

use super::grid_operand::Operand;
use super::grid_pairs::Pairs;
use super::{Builder, QuantiseError};
use crate::float::{FloatTerm, Grid};
use crate::graph::Term;

/// What ONNX Runtime's `QLinearMul` computes with.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) multiplier: f32,
    zero: i64,
}

impl Product {
    pub(super) fn of(grid: &Grid, [a, b]: [&Operand<'_>; 2]) -> Self {
        Self { multiplier: a.grid.scale * b.grid.scale / grid.scale, zero: grid.zero }
    }

    /// The integer of a product of integers. The zero point is added before halves go to the even number.
    pub(super) fn of_integers(self, product: i64) -> i64 {
        (product as f32 * self.multiplier + self.zero as f32).round_ties_even() as i64 - self.zero
    }
}

impl Pairs {
    /// Products of two operands, as ONNX Runtime's `QLinearMul` has them if it is `fused`, and else in real numbers.
    fn of_product(grid: &Grid, [a, b]: [&Operand<'_>; 2], fused: bool) -> Self {
        let product = Product::of(grid, [a, b]);
        let real = |va: i64, vb: i64| {
            let product = (va as f32 * a.grid.scale) * (vb as f32 * b.grid.scale);
            (product / grid.scale).round_ties_even() as i64
        };
        Self::of((a.range, b.range), |a, b| if fused { product.of_integers(a * b) } else { real(a, b) })
    }
}

impl Builder<'_> {
    /// A factor of a product, if it is one tensor.
    fn factor<'v>(&self, terms: &'v [FloatTerm]) -> Option<Operand<'v>> {
        let first = terms.first()?;
        let alike = terms.iter().all(|t| t.input.tensor == first.input.tensor && t.factor == 1.0);
        alike.then(|| self.operand(&first.input)).flatten()
    }

    /// A product of two tensors with scales of the model: float node `index`. Returns whether it could be computed in integers.
    pub(super) fn exact_product(
        &mut self,
        index: usize,
        factors: &[Vec<FloatTerm>; 2],
    ) -> Result<bool, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let Some(grid) = node.grid.clone().filter(|_| node.function.is_none()) else { return Ok(false) };
        let (Some(a), Some(b)) = (self.factor(&factors[0]), self.factor(&factors[1])) else {
            return Ok(false);
        };
        let pairs = Pairs::of_product(&grid, [&a, &b], self.fused(index, &grid));
        let term =
            |t: &FloatTerm| Term { input: self.view(&t.input), coefficient: 1, target: t.target.clone() };
        let terms = factors.each_ref().map(|terms| terms.iter().map(term).collect());
        self.paired(index, &grid, [&a, &b], &terms, &pairs)
    }

    /// A product of two tensors with scales of the model of which one spreads over the other, one number over each block: float node `index`.
    /// Returns whether tables hold all pairs.
    pub(super) fn spread_product(
        &mut self,
        index: usize,
        grid: &Grid,
        [all, part]: [&Operand<'_>; 2],
    ) -> Result<bool, QuantiseError> {
        let pairs = Pairs::of_product(grid, [all, part], self.fused(index, grid));
        self.spread_pairs(index, grid, [all, part], &pairs, part.view.len())
    }
}
