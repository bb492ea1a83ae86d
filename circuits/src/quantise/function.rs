//! Functions of one number: a listed table from `q` to `y`.
//!
//! The entry for `q` is `floor(f(q·s_q)/s_y + 1/2)` in double precision, clamped to the range of `y`: the activation range, or
//! for an output all that fits the table range. Where nothing is clamped, `y·s_y` is within `s_y/2` of `f(q·s_q)`, and
//! so within `s_y/2 + L·s_q/2` of `f(z·s_q/2^shift)`, `L` being the largest slope of `f` between the two.

use super::{Builder, WIDENING_MAX, fill};
use crate::float::Function;
use crate::graph::{ListedTable, TableKind};

/// How many activation ranges the calibrated range takes before a function: two bits more than an activation has.
pub(super) const FINER: f64 = 4.0;

impl Builder<'_> {
    /// The table of `function` for `−reach ≤ q ≤ reach` at the scale `s_q`, and the scale of `y`.
    pub(super) fn function_table(
        &mut self,
        index: usize,
        function: &Function,
        s_q: f64,
        reach: i64,
    ) -> (TableKind, f64) {
        let range = 1i64 << self.graph.q_bits;
        let (first, last) = ((-reach).max(-range), reach.min(range - 1));
        let results: Vec<f64> = (first..=last).map(|q| (function.value)(q as f64 * s_q)).collect();
        let seen = self.ranges[index].result;
        let (scale, (lo, hi)) = if self.is_output(index) {
            let largest = results.iter().filter(|v| v.is_finite()).fold(0.0, |m: f64, v| m.max(v.abs()));
            (fill(largest.min(WIDENING_MAX * seen), (range - 1) as f64), (-range, range - 1))
        } else {
            let range = self.activation(index);
            (fill(seen, range.1 as f64), range)
        };
        // Both ends have at most 25 bits; a function has no NaN.
        let entry = |v: &f64| (v / scale + 0.5).floor().clamp(lo as f64, hi as f64) as i32;
        let table =
            ListedTable { name: function.name.clone(), first, values: results.iter().map(entry).collect() };
        (self.list(table), scale)
    }
}
