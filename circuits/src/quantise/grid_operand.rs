//! What the exact arithmetic of tensors that the model itself quantises (`grid.rs`) has in common: what it reads, and the node that gives its result.

use super::{Builder, Figures, QuantiseError};
use crate::float::Grid;
use crate::graph::{Linear, ListedTable, TableKind, Term, View};

/// Grid and integers' range of an operand.
pub(super) struct Operand<'a> {
    pub(super) view: &'a View,
    pub(super) grid: Grid,
    pub(super) range: (i64, i64),
}

impl Operand<'_> {
    /// How many integers it may be.
    pub(super) fn span(&self) -> usize {
        (self.range.1 - self.range.0 + 1) as usize
    }

    pub(super) fn magnitude(&self) -> i64 {
        self.range.1.max(-self.range.0)
    }
}

impl Builder<'_> {
    /// What a node reads, if the model quantises it.
    pub(super) fn operand<'v>(&self, view: &'v View) -> Option<Operand<'v>> {
        let grid = self.model.graph.nodes[view.tensor.0].grid.as_ref().filter(|grid| !grid.raw)?;
        let (lo, hi) = self.bound_of(view);
        let range = (lo.max(grid.lo).min(0), hi.min(grid.hi).max(0));
        let grid = grid.clone();
        (range.1 - range.0 < 1 << 9).then_some(Operand { view, grid, range })
    }

    /// Whether ONNX Runtime computes float node `index` by an operator of its own: what the file has so, and pairs of unsigned integers.
    /// Between those of signed ones, some or all are left to real numbers.
    pub(super) fn fused(&self, index: usize, grid: &Grid) -> bool {
        self.model.graph.nodes[index].operator.starts_with("QLinear") || grid.lo + grid.zero >= 0
    }

    /// The result as the tensor holds it.
    pub(super) fn saturated(&self, index: usize, grid: &Grid, v: i64) -> i64 {
        let v = v.clamp(grid.lo, grid.hi);
        grid.shown(if self.model.graph.nodes[index].relu { v.max(0) } else { v })
    }

    /// The table of the result's integers by numbers of at most `reach`, which tables have to hold; `of` tells them before saturation.
    pub(super) fn saturating(
        &mut self,
        index: usize,
        grid: &Grid,
        (name, reach): (&str, i64),
        of: impl Fn(i64) -> i64,
    ) -> TableKind {
        let values = (-reach..=reach).map(|q| self.saturated(index, grid, of(q)) as i32).collect();
        self.list(ListedTable { name: name.into(), first: -reach, values })
    }

    /// The largest magnitude that the tables hold.
    pub(super) fn table_top(&self) -> i64 {
        (1 << self.graph.q_bits) - 1
    }

    pub(super) fn term(&self, view: &View, coefficient: i64) -> Term {
        Term { input: self.view(view), coefficient, target: None }
    }

    /// The node that makes float tensor `index` itself.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn push_result(
        &mut self,
        index: usize,
        what: &str,
        linear: Linear,
        table: TableKind,
        reach: i64,
        grid: &Grid,
        bit_exact: bool,
    ) -> Result<(), QuantiseError> {
        let shape = self.model.graph.tensors[index].shape.clone();
        let scale = grid.shown_scale();
        let made = self.push_step(index, what, linear, 0, table, shape, reach, scale)?;
        let (q_bits, bit_exact) = (super::bits((-reach, reach)), Some(bit_exact));
        let accumulator_bits = q_bits + 1;
        self.finish(
            index,
            made,
            Figures { weight_bits: 0, q_bits, accumulator_bits, widened: 1.0, bit_exact },
        );
        Ok(())
    }
}
