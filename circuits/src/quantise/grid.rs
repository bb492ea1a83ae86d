//! Tensors that the model itself quantises: `v = saturate(round(x/s) + zero) − zero` with halves to even, as `QuantizeLinear` says; `v` are
//! the integers of the tensor and `s` its scale.
//!
//! Bit for bit, as a runtime computes them in integers: records; maxima and changes of shape; functions of one number; convolutions and
//! products with weights of one step `t`, and a bias in units of `s_x·t`, whether ONNX writes them as `QLinearConv` or between
//! `DequantizeLinear` and `QuantizeLinear`. Their sums `a` are exact integers, and
//! `v = f(a) = saturate(round(single(a)·M))`, `M = (s_x·t)/s_y`, in single precision and halves to even. Such a step function is no
//! shift, but it is two tables: `a = 2^shift·h + l` with |l| ≤ 2^(shift−1), and where `f` steps at most once in so many numbers
//! (`2^shift·M ≤ 1`, nearly), `f(a) = base(h) + [l ≥ theta(h)]`. Six nodes say so: h; l, which is the same sum less `2^shift·h`; the two
//! table entries; the comparison; the sum. Where l could be either end of its range, both say the same.
//!
//! Weights with a step for each channel: `grid_channel.rs`. Sums of two tensors, averages, products of two and joins: `grid_sum.rs`.
//!
//! Everything else (sums that spread, what fits no table) is requantised first, to `s_y/32` or as fine as the table range
//! allows, and then rounded to `v`, so that it may differ by one from what a runtime gives; `NodeReport::bit_exact` tells.

use super::linear::{Owner, worst_case};
use super::{Builder, Figures, QuantiseError};
use crate::float::{FloatOp, FloatWeight, Function, Grid};
use crate::graph::{ConvGeometry, Linear, ListedTable, TableKind, TensorId, Term, View, requantise};

/// How much finer than its integers a sum is first, where the table range allows it.
pub(super) const FINER: f64 = 32.0;
/// How far from a whole number of steps a weight may be, by the rounding of single precision.
const WHOLE: f64 = 1e-4;

/// A convolution of integers, as ONNX has it.
pub(super) struct Exact {
    input: View,
    pub(super) weight: (String, Vec<usize>, Vec<i64>),
    pub(super) bias: Option<(String, Vec<i64>)>,
    geometry: ConvGeometry,
    /// Where in the convolution's result an element of the tensor is.
    pub(super) order: Option<Vec<u32>>,
    /// One, or one for each channel.
    pub(super) multipliers: Vec<f32>,
    pub(super) grid: Grid,
}

impl Exact {
    /// What becomes of a sum.
    pub(super) fn of(&self, channel: usize, sum: i64, relu: bool) -> i64 {
        let product = sum as f32 * self.multipliers[channel];
        self.saturate(product.round_ties_even() as i64, relu)
    }

    pub(super) fn saturate(&self, v: i64, relu: bool) -> i64 {
        let (lo, hi) = self.saturated(relu);
        v.clamp(lo, hi)
    }

    /// The least and the largest integer.
    pub(super) fn saturated(&self, relu: bool) -> (i64, i64) {
        let (lo, hi) = (self.grid.lo, self.grid.hi);
        if relu { (lo.max(0), hi.max(0)) } else { (lo, hi) }
    }
}

/// The weight in steps, of which each output channel may have its own, if it is whole numbers of them.
fn whole(weight: &FloatWeight, owner: Owner, units: &[f64]) -> Option<Vec<i64>> {
    let unit = |e: usize| units[if units.len() == 1 { 0 } else { owner.channel(e) }];
    let steps = weight.values.iter().enumerate().map(|(e, v)| f64::from(*v) / unit(e));
    let whole = |v: f64| (v - v.round()).abs() <= WHOLE.max(v.abs() * f64::from(f32::EPSILON));
    steps.map(|v| (whole(v) && v.abs() < f64::from(1u32 << 30)).then(|| v.round() as i64)).collect()
}

impl Builder<'_> {
    /// The table from `q` of scale `s_q` to the integers that the model asks for, and their scale.
    pub(super) fn grid_table(
        &mut self,
        grid: &Grid,
        function: Option<&Function>,
        relu: bool,
        s_q: f64,
        reach: i64,
    ) -> (TableKind, f64) {
        let range = 1i64 << self.graph.q_bits;
        let (first, last) = ((-reach).max(-range), reach.min(range - 1));
        let entry = |q: i64| {
            let x = q as f64 * s_q;
            let x = function.map_or(x, |function| (function.value)(x));
            grid.shown(grid.nearest(if relu { x.max(0.0) } else { x } as f32)) as i32
        };
        let name = format!("quantised {}", function.map_or("", |function| &function.name));
        let table = ListedTable { name, first, values: (first..=last).map(entry).collect() };
        (self.list(table), grid.shown_scale())
    }

    /// A convolution or product that can be computed as integers, in integers. Returns whether it can.
    pub(super) fn exact(&mut self, index: usize) -> Result<bool, QuantiseError> {
        let Some(exact) = self.as_integers(index) else { return Ok(false) };
        let (lo, hi) = self.bound_of(&exact.input);
        let range = (lo.min(0), hi.max(0));
        if exact.multipliers.len() > 1 {
            return self.rounded_by_channel(index, &exact, range);
        }
        let (_, shape, values) = &exact.weight;
        let owner = Owner::Block(values.len() / shape[0]);
        let bias = exact.bias.as_ref().map(|(_, values)| values.as_slice());
        let z = worst_case(values, bias, owner, range);
        let bound = self.public_bound(z.1.max(-z.0), self.graph.shift);
        let made = self.rounded(index, &exact, bound)?;
        let tops = requantise(bound, self.graph.shift);
        let figures = Figures {
            weight_bits: values.iter().map(|w| super::bits((*w, *w)) + 1).max().unwrap_or(0),
            q_bits: super::bits((-tops, tops)),
            accumulator_bits: super::bits(z) + 1,
            widened: 1.0,
            bit_exact: Some(true),
        };
        self.finish(index, made, figures);
        Ok(true)
    }

    /// High and low parts of the sums, which are at most `bound`.
    pub(super) fn high_and_low(
        &mut self,
        index: usize,
        exact: &Exact,
        bound: i64,
    ) -> Result<(TensorId, TensorId), QuantiseError> {
        let (name, shape, values) = &exact.weight;
        let narrow = |values: &[i64]| values.iter().map(|v| *v as i32).collect();
        let weight = self.add_weight(name, shape.clone(), narrow(values));
        let bias = exact.bias.as_ref();
        let bias = bias.map(|(name, values)| self.add_weight(name, vec![values.len()], narrow(values)));
        let input = self.view(&exact.input);
        let sums = |residual| {
            let (input, geometry) = (input.clone(), exact.geometry.clone());
            Linear::Conv { input, weight, bias, geometry, residual }
        };
        let (shift, half) = (self.graph.shift, 1i64 << (self.graph.shift - 1));
        let flat = vec![self.model.graph.tensors[index].shape.iter().product::<usize>()];
        let identity = TableKind::Identity;
        let high =
            self.push_step(index, "high", sums(Vec::new()), shift, identity, flat.clone(), bound, 1.0)?;
        // Nothing but this table holds l, so its ends are those of l.
        let table = self.listed("low part", half, |l| l as i32);
        let input = View::plain(high, flat.clone());
        let low = sums(vec![Term { input, coefficient: -(1 << shift), target: None }]);
        let low = self.push_step(index, "low", low, 0, table, flat, half, 1.0)?;
        Ok((high, low))
    }

    /// The six nodes.
    fn rounded(&mut self, index: usize, exact: &Exact, bound: i64) -> Result<TensorId, QuantiseError> {
        let (shift, node) = (self.graph.shift, &self.model.graph.nodes[index]);
        let (tops, half) = (requantise(bound, shift), 1i64 << (shift - 1));
        let Some(steps) = self.steps(exact, tops, node.relu) else {
            let (node, operator) = (node.name.clone(), node.operator.clone());
            return Err(QuantiseError::Steps { node, operator, shift, got: f64::from(exact.multipliers[0]) });
        };
        let shape = self.model.graph.tensors[index].shape.clone();
        let flat = vec![shape.iter().product::<usize>()];
        let term = |tensor, coefficient| Term {
            input: View::plain(tensor, flat.clone()),
            coefficient,
            target: None,
        };
        let sum = |terms, constant| Linear::Combine { terms, constant };
        let (high, low) = self.high_and_low(index, exact, bound)?;
        let mut entries = [high; 2];
        for (made, (what, second)) in entries.iter_mut().zip([("base", false), ("theta", true)]) {
            let entry = |h: i64| {
                let step = usize::try_from(h + tops).ok().and_then(|at| steps.get(at));
                step.map_or(0, |step| if second { step.1 } else { step.0 }) as i32
            };
            let table = self.listed(&format!("{what} of {}", exact.multipliers[0]), tops, entry);
            let copy = sum(vec![term(high, 1)], 0);
            *made = self.push_step(index, what, copy, 0, table, flat.clone(), tops, 1.0)?;
        }
        let [base, theta] = entries;
        let reach = 2 * half + 1;
        let table = self.listed("not below", reach, |q| i32::from(q >= 0));
        let beyond = sum(vec![term(low, 1), term(theta, -1)], 0);
        let beyond = self.push_step(index, "beyond", beyond, 0, table, flat.clone(), reach, 1.0)?;
        let seen = |tensor| Term {
            input: View { tensor, shape: flat.clone(), order: exact.order.clone() },
            coefficient: 1,
            target: None,
        };
        let constant = exact.grid.shown(0);
        let reach = exact.grid.hi.max(-exact.grid.lo) + constant.abs() + 1;
        let last = sum(vec![seen(base), seen(beyond)], constant);
        self.push_step(index, "sum", last, 0, TableKind::Identity, shape, reach, exact.grid.shown_scale())
    }

    /// For every high part, the result at the least low part, and the low part from which on it is one more.
    fn steps(&self, exact: &Exact, tops: i64, relu: bool) -> Option<Vec<(i64, i64)>> {
        let (shift, half) = (self.graph.shift, 1i64 << (self.graph.shift - 1));
        let step = |high: i64| {
            let f = |low: i64| exact.of(0, (high << shift) + low, relu);
            let base = f(-half);
            match f(half) - base {
                0 => Some((base, half + 1)),
                1 => {
                    let (mut below, mut beyond) = (-half, half);
                    while beyond - below > 1 {
                        let middle = (below + beyond).div_euclid(2);
                        *if f(middle) > base { &mut beyond } else { &mut below } = middle;
                    }
                    Some((base, beyond))
                }
                _ => None,
            }
        };
        (-tops..=tops).map(step).collect()
    }

    fn as_integers(&self, index: usize) -> Option<Exact> {
        let node = &self.model.graph.nodes[index];
        let grid = node.grid.clone()?;
        let (input, weight, bias) = match &node.op {
            FloatOp::Conv { input, weight, bias, residual, .. } if residual.is_empty() => {
                (input, weight, bias)
            }
            FloatOp::MatMul { input, weight, bias } => (input, weight, bias),
            _ => return None,
        };
        let of_input = self.model.graph.nodes[input.tensor.0].grid.as_ref().filter(|grid| !grid.raw)?;
        let steps = self.model.graph.steps.get(&weight.name)?;
        if node.function.is_some() {
            return None;
        }
        let owner = match &node.op {
            FloatOp::Conv { .. } => Owner::Block(weight.values.len() / weight.shape[0]),
            _ => Owner::Column(weight.shape[1]),
        };
        let channels = if let FloatOp::Conv { .. } = &node.op { weight.shape[0] } else { weight.shape[1] };
        if steps.len() != 1 && (steps.len() != channels || node.operator == "ConvTranspose") {
            return None;
        }
        let multipliers = steps.iter().map(|step| of_input.scale * step / grid.scale).collect();
        let units: Vec<f64> = steps.iter().map(|step| f64::from(*step)).collect();
        let integers = whole(weight, owner, &units)?;
        let bias = match bias {
            None => None,
            Some(bias) => {
                let units: Vec<f64> = units.iter().map(|step| f64::from(of_input.scale) * step).collect();
                Some((bias.name.clone(), whole(bias, Owner::Block(1), &units)?))
            }
        };
        let (input, shape, values, geometry, order) = match &node.op {
            FloatOp::Conv { geometry, .. } => {
                (input.clone(), weight.shape.clone(), integers, geometry.clone(), None)
            }
            // (M,K)·(K,N) is a convolution of K channels to N, of height 1 and width M.
            _ => {
                let (m, k, n) = (input.shape[0], input.shape[1], weight.shape[1]);
                let turned = (0..k * m).map(|e| input.element(e % m * k + e / m) as u32);
                let turned = View { order: Some(turned.collect()), shape: vec![k, 1, m], ..input.clone() };
                let values = (0..n * k).map(|e| integers[e % k * n + e / k]).collect();
                let geometry =
                    ConvGeometry { stride: (1, 1), dilation: (1, 1), pads: (0, 0, 0, 0), groups: 1 };
                let back = (0..m * n).map(|e| (e % n * m + e / n) as u32).collect();
                (turned, vec![n, k, 1, 1], values, geometry, Some(back))
            }
        };
        let weight = (weight.name.clone(), shape, values);
        Some(Exact { input, weight, bias, geometry, order, multipliers, grid })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde::Deserialize;

    use crate::{QuantiseOptions, import, quantise, quantise_record, run};

    /// A model and what ONNX Runtime computes, from `models/quantised.py`.
    #[derive(Deserialize)]
    pub(crate) struct Case<T> {
        pub(crate) name: String,
        onnx: String,
        pub(crate) records: Vec<Vec<f32>>,
        pub(crate) outputs: Vec<Vec<T>>,
    }

    pub(crate) fn cases() -> Vec<Case<i32>> {
        serde_json::from_slice(include_bytes!("golden/quantised.json")).unwrap()
    }

    /// Models that quantise tensors while they run.
    pub(crate) fn dynamic_cases() -> Vec<Case<f32>> {
        serde_json::from_slice(include_bytes!("golden/dynamic.json")).unwrap()
    }

    impl<T> Case<T> {
        pub(crate) fn bytes(&self) -> Vec<u8> {
            let digits = self.onnx.as_bytes().chunks(2);
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
        }
    }

    #[test]
    fn quantised_models_give_what_a_runtime_gives_bit_for_bit() {
        for case in cases() {
            let model = import(&case.bytes()).unwrap();
            let options = QuantiseOptions::default();
            let (graph, weights, report) = quantise(&model, &case.records, &options).unwrap();
            assert!(report.nodes.iter().all(|node| node.bit_exact != Some(false)), "{report:?}");
            for (record, expected) in case.records.iter().zip(&case.outputs) {
                let integers = quantise_record(&graph, record).unwrap();
                let output = &run(&graph, &weights, &integers).unwrap().output;
                assert_eq!(output, expected, "{}", case.name);
            }
            println!(
                "{}: shift {}, tables of {} bits, {} nodes",
                case.name,
                report.shift,
                report.q_bits,
                graph.nodes.len()
            );
        }
    }
}
