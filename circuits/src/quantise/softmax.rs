//! Softmax over rows, stable: `m = max x`, `e = exp(x − m)` in units of `1/T`, `S = Σ e`, `R = 1/S`, `y = e·R`.
//!
//! All steps are exact integer arithmetic or table entries. The maximum is exact: halves of a row are compared at a time,
//! `max(a, b) = a + max(b − a, 0)`. `e` is `T·exp(q·s_x)` rounded, so `T ≤ S ≤ columns·T`; `S` has no shift, and its table holds
//! `R = G/S` rounded, `G = P·2^shift`, `P` being the `y` that stands for 1. The last step is `y = floor(e·R/2^shift + 1/2)`, a
//! product of each row with its own number.
//!
//! Error, given the integers of `x`: |y/P − softmax| ≤ softmax·(K/(2T) + K·T/(2G)) + 1/T + 1/(2P), K columns, the bound of
//! rounding each `e` the same way; `T` makes the two parts of the sum equal, √G, unless the table range allows less.

use super::{Builder, QuantiseError};
use crate::graph::{BlockSum, BlockTerm, Linear, TableKind, TensorId, View};

/// Fewest units of an exponential, so that it is worth its name.
const UNITS_MIN: i64 = 16;

impl Builder<'_> {
    /// A softmax over the rows of a (rows, columns) view: float node `index`.
    pub(super) fn softmax(&mut self, index: usize, input: &View) -> Result<(), QuantiseError> {
        let (rows, columns) = (input.shape[0], input.shape[1]);
        let ((lo, hi), scale) = (self.bound_of(input), self.scale_of(input));
        let (span, input) = (hi - lo, self.view(input));
        let largest = self.row_maximum(index, &input, (lo, hi), scale)?;
        let one = match self.fills_table(index) {
            true => 1i64 << (self.graph.q_bits - 1),
            false => self.graph.activation.1,
        };
        let unity = (one as f64) * f64::from(self.graph.shift).exp2();
        let most = ((1i64 << self.graph.q_bits) - 1) / columns as i64;
        let units = (unity.sqrt() as i64).min(most);
        if units < UNITS_MIN {
            let node = &self.model.graph.nodes[index];
            let got = super::bits((0, UNITS_MIN * columns as i64));
            let (node, operator, expected) = (node.name.clone(), node.operator.clone(), self.graph.q_bits);
            return Err(QuantiseError::TableRange { node, operator, expected, got });
        }
        let exp = |q: i64| (units as f64 * libm::exp(q.min(0) as f64 * scale) + 0.5).floor() as i32;
        let table = self.listed("exp", span, exp);
        let linear = Linear::Spread {
            terms: vec![BlockTerm { input, coefficient: 1, first: 0 }],
            sums: vec![BlockSum { input: View::plain(largest, vec![rows, 1]), coefficient: -1 }],
            blocks: rows,
        };
        let shape = vec![rows, columns];
        let unit = 1.0 / units as f64;
        let exps = self.push_step(index, "exp", linear, 0, table, shape.clone(), span, unit)?;
        let total = units * columns as i64;
        // A total is at least that of the largest element alone.
        let reciprocal = |q: i64| (unity / q.max(units) as f64 + 0.5).floor() as i32;
        let table = self.listed("1/total", total, reciprocal);
        let sums = vec![BlockSum { input: View::plain(exps, shape), coefficient: 1 }];
        let linear = Linear::Spread { terms: Vec::new(), sums, blocks: rows };
        let factors = self.push_step(index, "total", linear, 0, table, vec![rows], total, 1.0)?;
        let linear = Linear::BatchMatMul {
            left: View::plain(factors, vec![rows, 1, 1]),
            right: View::plain(exps, vec![rows, 1, columns]),
            factor: 1,
        };
        // e ≤ S and R ≤ G/S + 1/2.
        let z = (0, unity as i64 + total);
        let shift = self.graph.shift;
        self.push(index, linear, shift, self.table(index), (1.0 / one as f64, 1.0), z, 0)
    }

    /// The largest element of each row of a (rows, columns) view whose elements are within `bound`: exact. The maximum of positions `p` and `p + half` stays at `p`, as what was there plus a step that is not negative.
    fn row_maximum(
        &mut self,
        index: usize,
        input: &View,
        bound: (i64, i64),
        scale: f64,
    ) -> Result<TensorId, QuantiseError> {
        let (rows, columns, span) = (input.shape[0], input.shape[1], bound.1 - bound.0);
        let mut steps: Vec<View> = Vec::new();
        let mut live = columns;
        while live > 1 {
            let half = live.div_ceil(2);
            let mut terms = running(input, &steps, half, 1);
            terms.extend(running(input, &steps, 0, -1));
            let linear = Linear::Spread { terms, sums: Vec::new(), blocks: rows };
            let (name, shape) = (format!("step{}", steps.len() + 1), vec![rows, live - half]);
            let step =
                self.push_step(index, &name, linear, 0, TableKind::Relu, shape.clone(), span, scale)?;
            steps.push(View::plain(step, shape));
            live = half;
        }
        let linear = Linear::Spread { terms: running(input, &steps, 0, 1), sums: Vec::new(), blocks: rows };
        let reach = bound.1.max(-bound.0);
        self.push_step(index, "maximum", linear, 0, TableKind::Identity, vec![rows], reach, scale)
    }
}

/// The maxima so far from position `first` on.
fn running(input: &View, steps: &[View], first: usize, coefficient: i64) -> Vec<BlockTerm> {
    let all = [input].into_iter().chain(steps).filter(|view| first < view.shape[1]);
    all.map(|view| BlockTerm { input: view.clone(), coefficient, first }).collect()
}
