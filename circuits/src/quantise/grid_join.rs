//! What is joined of several tensors that the model itself quantises (`grid.rs`), each element being one of theirs: a table brings each tensor to the
//! result's integers, as ONNX Runtime's `QLinearConcat` does; none is needed where the scale is the result's, and one for all where they have the same.

use super::{Builder, QuantiseError};
use crate::float::{FloatTerm, Grid};
use crate::graph::{Linear, Term, View};

impl Builder<'_> {
    /// Elements of several tensors.
    pub(super) fn joined(
        &mut self,
        index: usize,
        grid: &Grid,
        terms: &[FloatTerm],
    ) -> Result<bool, QuantiseError> {
        let operands = terms.iter().map(|term| self.operand(&term.input)).collect::<Option<Vec<_>>>();
        let Some(operands) = operands else { return Ok(false) };
        let scale = operands[0].grid.scale;
        let common = match operands.iter().all(|operand| operand.grid.scale == scale) {
            true => scale,
            false => grid.scale,
        };
        let mut reach = grid.hi.max(-grid.lo);
        let mut made = Vec::with_capacity(terms.len());
        for (at, (term, operand)) in terms.iter().zip(&operands).enumerate() {
            let scale = operand.grid.scale;
            let mut input = self.view(&term.input);
            if scale == common {
                reach = reach.max(operand.magnitude());
            } else {
                let nearest = |v: i64| grid.nearest(v as f32 * scale) as i32;
                let table = self.listed("rescaled", operand.magnitude(), nearest);
                let copy = Linear::Combine { terms: vec![self.term(operand.view, 1)], constant: 0 };
                let (what, flat) = (format!("part{at}"), vec![operand.view.len()]);
                let shape = flat.clone();
                let part = self.push_step(index, &what, copy, 0, table, flat, operand.magnitude(), 1.0)?;
                input = View::plain(part, shape);
            }
            made.push(Term { input, coefficient: 1, target: term.target.clone() });
        }
        let nearest = |v: i64| match common == grid.scale {
            true => v,
            false => grid.nearest(v as f32 * common),
        };
        let table = self.saturating(index, grid, ("joined", reach), nearest);
        let linear = Linear::Combine { terms: made, constant: 0 };
        self.push_result(index, "joined", linear, table, reach, grid, true)?;
        Ok(true)
    }
}
