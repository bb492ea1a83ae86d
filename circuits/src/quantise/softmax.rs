//! Softmax over rows, stable: `m = max x`, `e = exp(x − m)` in units of `1/T`, `S = Σ e`, `R = 1/S`, `y = e·R`.
//!
//! All steps are exact integer arithmetic or table entries. The maximum is exact: halves of a row are compared at a time,
//! `max(a, b) = a + max(b − a, 0)`. `e` is `T·exp(q·s_x)` rounded, so `T ≤ S ≤ columns·T`; `S` has no shift, and its table holds
//! `R = G/S` rounded, `G = P·2^shift`, `P` being the `y` that stands for 1. The last step is `y = floor(e·R/2^shift + 1/2)`, a
//! product of each row with its own number.
//!
//! Error, given the integers of `x`: |y/P − softmax| ≤ softmax·(K/(2T) + K·T/(2G)) + 1/T + 1/(2P), K columns, the bound of
//! rounding each `e` the same way; `T` makes the two parts of the sum equal, √G, unless the table range allows less.
//!
//! The logarithm is `x − m − ln(S/T)`, the last part a table of `S` in units of `s_x/8`: with the same `e` it is within
//! `K/(2T) + s_x/16 + s_y/2`, `s_y` the scale of the result.
//!
//! A mask adds so much to the scores that count (or takes it from the others) that the others' `e` is 0; where none counts, all
//! do. The mask is 0 or the integer that stands for 1.

use super::linear::output_scale;
use super::sum::round_scale;
use super::{Builder, QuantiseError, Scaled};
use crate::float::{Mask, MaskValues};
use crate::graph::{BlockSum, BlockTerm, Linear, TableKind, TensorId, Term, View};

/// Fewest units of an exponential, so that it is worth its name.
const UNITS_MIN: i64 = 16;
/// How much finer than scores is the logarithm of a total.
const FINER: f64 = 8.0;

/// Scores, row by row.
struct Scores {
    view: View,
    bound: (i64, i64),
    scale: f64,
}

/// The exponentials of rows, their units and the rows' largest scores.
struct Exps {
    tensor: TensorId,
    units: i64,
    largest: TensorId,
}

impl Builder<'_> {
    /// A softmax over the rows of a (rows, columns) view: float node `index`.
    pub(super) fn softmax(
        &mut self,
        index: usize,
        input: &View,
        mask: Option<&Mask>,
        log: bool,
    ) -> Result<(), QuantiseError> {
        let one = match self.fills_table(index) {
            true => 1i64 << (self.graph.q_bits - 1),
            false => self.activation(index).1,
        };
        let unity = (one as f64) * f64::from(self.graph.shift).exp2();
        let most = ((1i64 << self.graph.q_bits) - 1) / input.shape[1] as i64;
        let units = (unity.sqrt() as i64).min(most);
        if units < UNITS_MIN {
            let node = &self.model.graph.nodes[index];
            let got = super::bits((0, UNITS_MIN * input.shape[1] as i64));
            let (node, operator, expected) = (node.name.clone(), node.operator.clone(), self.graph.q_bits);
            return Err(QuantiseError::TableRange { node, operator, expected, got });
        }
        let scores = match mask {
            Some(mask) => self.masked(index, input, mask, units)?,
            None => {
                Scores { view: self.view(input), bound: self.bound_of(input), scale: self.scale_of(input) }
            }
        };
        let exps = self.exponentials(index, &scores, units)?;
        match log {
            true => self.logarithms(index, &scores, &exps),
            false => self.shares(index, &scores, &exps, one, unity),
        }
    }

    /// `e`, in `units`, of scores less the largest of their row.
    fn exponentials(&mut self, index: usize, scores: &Scores, units: i64) -> Result<Exps, QuantiseError> {
        let (rows, scale, span) = (scores.view.shape[0], scores.scale, scores.bound.1 - scores.bound.0);
        let largest = self.row_maximum(index, "", &scores.view, scores.bound, scale)?;
        let exp = |q: i64| (units as f64 * libm::exp(q.min(0) as f64 * scale) + 0.5).floor() as i32;
        let table = self.listed("exp", span, exp);
        let linear = Linear::Spread {
            terms: vec![BlockTerm { input: scores.view.clone(), coefficient: 1, first: 0 }],
            sums: vec![BlockSum { input: View::plain(largest, vec![rows, 1]), coefficient: -1 }],
            blocks: rows,
        };
        let (shape, unit) = (scores.view.shape.clone(), 1.0 / units as f64);
        let tensor = self.push_step(index, "exp", linear, 0, table, shape, span, unit)?;
        Ok(Exps { tensor, units, largest })
    }

    /// A table entry for the total of each row.
    fn totals(
        &mut self,
        index: usize,
        scores: &Scores,
        exps: &Exps,
        table: TableKind,
        scale: f64,
    ) -> Result<TensorId, QuantiseError> {
        let (rows, total) = (scores.view.shape[0], exps.units * scores.view.shape[1] as i64);
        let sums =
            vec![BlockSum { input: View::plain(exps.tensor, scores.view.shape.clone()), coefficient: 1 }];
        let linear = Linear::Spread { terms: Vec::new(), sums, blocks: rows };
        self.push_step(index, "total", linear, 0, table, vec![rows], total, scale)
    }

    fn shares(
        &mut self,
        index: usize,
        scores: &Scores,
        exps: &Exps,
        one: i64,
        unity: f64,
    ) -> Result<(), QuantiseError> {
        let (rows, columns, units) = (scores.view.shape[0], scores.view.shape[1], exps.units);
        let total = units * columns as i64;
        // A total is at least that of the largest element alone.
        let reciprocal = |q: i64| (unity / q.max(units) as f64 + 0.5).floor() as i32;
        let table = self.listed("1/total", total, reciprocal);
        let factors = self.totals(index, scores, exps, table, 1.0)?;
        let linear = Linear::BatchMatMul {
            left: View::plain(factors, vec![rows, 1, 1]),
            right: View::plain(exps.tensor, vec![rows, 1, columns]),
            factor: 1,
        };
        // e ≤ S and R ≤ G/S + 1/2.
        let z = (0, unity as i64 + total);
        let shift = self.graph.shift;
        self.push(index, linear, shift, self.table(index), (1.0 / one as f64, 1.0), z, 0)
    }

    fn logarithms(&mut self, index: usize, scores: &Scores, exps: &Exps) -> Result<(), QuantiseError> {
        let (rows, columns, units) = (scores.view.shape[0], scores.view.shape[1], exps.units);
        let total = units * columns as i64;
        let finer = scores.scale / FINER;
        let log = |q: i64| (libm::log(q.max(units) as f64 / units as f64) / finer + 0.5).floor() as i32;
        let (table, largest_log) = (self.listed("log of total", total, log), i64::from(log(total)));
        let logs = self.totals(index, scores, exps, table, finer)?;
        let least = FINER as i64 * (scores.bound.1 - scores.bound.0) + largest_log;
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => output_scale(self.graph.q_bits, least as f64 * finer),
        };
        let unit = f64::from(self.graph.shift).exp2();
        let scaled = self.fit(index, calibrated, |scale| {
            let scale = round_scale(&[finer], unit, scale);
            let whole = (finer * unit / scale).round().max(1.0);
            let step = whole as i64;
            Scaled { step, scale: finer * unit / whole, z: (step.saturating_mul(-least), 0) }
        })?;
        let step = scaled.step;
        let sum = |tensor, coefficient| BlockSum { input: View::plain(tensor, vec![rows, 1]), coefficient };
        let fine = step.saturating_mul(FINER as i64);
        let linear = Linear::Spread {
            terms: vec![BlockTerm { input: scores.view.clone(), coefficient: fine, first: 0 }],
            sums: vec![sum(exps.largest, -fine), sum(logs, -step)],
            blocks: rows,
        };
        let (shift, table) = (self.graph.shift, self.table(index));
        self.push(index, linear, shift, table, (scaled.scale, scaled.scale / calibrated), scaled.z, 0)
    }

    /// The scores, with those that count raised above all others, or those that do not put below: by so much that their
    /// exponentials are 0.
    fn masked(
        &mut self,
        index: usize,
        input: &View,
        mask: &Mask,
        units: i64,
    ) -> Result<Scores, QuantiseError> {
        let ((lo, hi), scale) = (self.bound_of(&mask.scores), self.scale_of(&mask.scores));
        // e^(−cut·s)·T < 1/2
        let cut = (libm::log(2.0 * units as f64) / scale).ceil().min(f64::from(1u32 << 30)) as i64 + 1;
        let one = match &mask.values {
            MaskValues::Computed(values) => ((1.0 / self.scale_of(values)).round() as i64).max(1),
            MaskValues::Constant(_) => 1,
        };
        let by = ((hi - lo + cut) + one - 1) / one;
        let coefficient = if mask.drops { -by } else { by };
        let of_mask = match &mask.values {
            MaskValues::Computed(values) => self.bound_of(values),
            MaskValues::Constant(_) => (0, 1),
        };
        let ends = (coefficient * of_mask.0, coefficient * of_mask.1);
        let bound = (lo + ends.0.min(ends.1), hi + ends.0.max(ends.1));
        let scores = self.view(&mask.scores);
        let linear = match &mask.values {
            MaskValues::Computed(values) => Linear::Spread {
                terms: vec![BlockTerm { input: scores.clone(), coefficient: 1, first: 0 }],
                sums: vec![BlockSum { input: self.view(values), coefficient }],
                blocks: values.shape[0],
            },
            MaskValues::Constant(set) => {
                let ones = self.ones(index, set.len())?;
                let target = set.iter().zip(0u32..).map(|(set, e)| set.then_some(e)).collect();
                let of_mask =
                    Term { input: View::plain(ones, vec![set.len()]), coefficient, target: Some(target) };
                let of_scores = Term { input: scores.clone(), coefficient: 1, target: None };
                Linear::Combine { terms: vec![of_scores, of_mask], constant: 0 }
            }
        };
        let (shape, reach) = (vec![scores.len()], bound.1.max(-bound.0));
        let tensor = self.push_step(index, "masked", linear, 0, TableKind::Identity, shape, reach, scale)?;
        let view = View { tensor, shape: input.shape.clone(), order: mask.order.clone() };
        Ok(Scores { view, bound, scale })
    }

    /// The largest element of each row of a (rows, columns) view whose elements are within `bound`: exact. The maximum of positions `p` and `p + half` stays at `p`, as what was there plus a step that is not negative.
    pub(super) fn row_maximum(
        &mut self,
        index: usize,
        prefix: &str,
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
            let (name, shape) = (format!("{prefix}step{}", steps.len() + 1), vec![rows, live - half]);
            let step =
                self.push_step(index, &name, linear, 0, TableKind::Relu, shape.clone(), span, scale)?;
            steps.push(View::plain(step, shape));
            live = half;
        }
        let linear = Linear::Spread { terms: running(input, &steps, 0, 1), sums: Vec::new(), blocks: rows };
        let reach = bound.1.max(-bound.0);
        self.push_step(
            index,
            &format!("{prefix}maximum"),
            linear,
            0,
            TableKind::Identity,
            vec![rows],
            reach,
            scale,
        )
    }
}

/// The maxima so far from position `first` on.
fn running(input: &View, steps: &[View], first: usize, coefficient: i64) -> Vec<BlockTerm> {
    let all = [input].into_iter().chain(steps).filter(|view| first < view.shape[1]);
    all.map(|view| BlockTerm { input: view.clone(), coefficient, first }).collect()
}
