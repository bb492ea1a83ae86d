//! One input of several: its elements of the record, at a scale of its own. Exact.

use super::{Builder, QuantiseError};
use crate::graph::{Linear, Part, TableKind, Term, View};

impl Builder<'_> {
    /// The record from element `first` on: float node `index`.
    pub(super) fn part(&mut self, index: usize, record: &View, first: usize) -> Result<(), QuantiseError> {
        let tensor = &self.model.graph.tensors[index];
        let (name, len) = (tensor.name.clone(), tensor.shape.iter().product::<usize>());
        let grid = self.model.graph.nodes[index].grid.as_ref();
        let scale = grid.map_or_else(|| self.calibrated_scale(index), |grid| f64::from(grid.scale));
        let range = grid.map(|grid| (grid.lo, grid.hi));
        self.graph.parts.push(Part { name, len, scale, range });
        let place = |e: usize| e.checked_sub(first).filter(|at| *at < len).map(|at| at as u32);
        let target = Some((0..record.len()).map(place).collect());
        let term = Term { input: self.view(record), coefficient: 1, target };
        let linear = Linear::Combine { terms: vec![term], constant: 0 };
        let table = TableKind::clamp(self.activation(index), false);
        self.push(index, linear, 0, table, (scale, 1.0), self.graph.record_range(), 0)
    }
}
