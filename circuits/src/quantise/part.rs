//! One input of several: its elements of the record, at a scale of its own, or row numbers as they are. Exact.

use super::{Builder, QuantiseError};
use crate::graph::{Linear, Part, TableKind, Term, View};

impl Builder<'_> {
    /// The record from element `first` on: float node `index`.
    pub(super) fn part(&mut self, index: usize, record: &View, first: usize) -> Result<(), QuantiseError> {
        let tensor = &self.model.graph.tensors[index];
        let (name, len) = (tensor.name.clone(), tensor.shape.iter().product::<usize>());
        let grid = self.model.graph.nodes[index].grid.as_ref();
        let numbers_rows = self.numbers_rows(index);
        let last = self.last_row(index);
        let scale = match grid {
            Some(grid) => f64::from(grid.scale),
            None if numbers_rows => 1.0,
            None => self.calibrated_scale(index),
        };
        let range = last.map(|last| (0, last)).or(grid.map(|grid| (grid.lo, grid.hi)));
        self.graph.parts.push(Part { name, len, scale, range });
        let place = |e: usize| e.checked_sub(first).filter(|at| *at < len).map(|at| at as u32);
        let target = Some((0..record.len()).map(place).collect());
        let term = Term { input: self.view(record), coefficient: 1, target };
        let linear = Linear::Combine { terms: vec![term], constant: 0 };
        // Row numbers of another input may be larger than activations.
        let reach = self.graph.tensors[self.tensors[record.tensor.0].0].bound;
        let table = if last.is_some() {
            TableKind::Identity
        } else {
            TableKind::clamp(self.activation(index), false)
        };
        self.push(index, linear, 0, table, (scale, 1.0), reach, 0)
    }
}
