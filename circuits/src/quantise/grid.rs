//! Tensors that the model itself quantises: `v = saturate(round(x/s) + zero) − zero` with halves to even, as `QuantizeLinear` says; `v` are
//! the integers of the tensor and `s` its scale.
//!
//! Bit for bit, as a runtime computes them in integers: records; maxima and changes of shape; functions of one number; convolutions and
//! products with weights of one step `t`, or one for each channel, and a bias in units of `s_x·t`, whether ONNX writes them as `QLinearConv` or between
//! `DequantizeLinear` and `QuantizeLinear`. Their sums `a` are exact integers, and
//! `v = f(a) = saturate(round(single(a)·M))`, `M = (s_x·t)/s_y`, in single precision and halves to even: `grid_round.rs`, which also
//! takes products of two tensors' matrices (`batch_matmul.rs`). Sums of two tensors, products of two, joins, averages: `grid_sum.rs` and its neighbours.
//!
//! Everything else (what real numbers are computed between) is requantised first, to `s_y/32` or as fine as the table range
//! allows, and then rounded to `v`, so that it may differ by one from what a runtime gives; `NodeReport::bit_exact` tells.

use super::grid_round::{Line, Rounding, Sums};
use super::linear::{Owner, ranges_of};
use super::{Builder, Figures, QuantiseError};
use crate::float::{FloatOp, FloatWeight, Function, Grid};
use crate::graph::{ConvGeometry, Linear, ListedTable, TableKind, View, requantise};

/// How much finer than its integers a sum is first, where the table range allows it.
pub(super) const FINER: f64 = 32.0;
/// Most bits of a committed number, with its sign.
const WEIGHT_BITS_MAX: u32 = 30;
/// How far from a whole number of steps a weight may be, by the rounding of single precision.
const WHOLE: f64 = 1e-4;

/// A convolution of integers, as ONNX has it.
pub(super) struct Exact {
    pub(super) input: View,
    pub(super) weight: (String, Vec<usize>, Vec<i64>),
    pub(super) bias: Option<(String, Vec<i64>)>,
    pub(super) geometry: ConvGeometry,
    /// As in [`super::NodeReport`].
    pub(super) turned: Option<usize>,
    /// One, or one for each channel.
    pub(super) multipliers: Vec<f32>,
    pub(super) grid: Grid,
}

impl Exact {
    /// What becomes of a sum.
    fn of(&self, channel: usize, sum: i64, relu: bool) -> i64 {
        let product = sum as f32 * self.multiplier(channel);
        self.saturate(product.round_ties_even() as i64, relu)
    }

    fn multiplier(&self, channel: usize) -> f32 {
        self.multipliers[channel % self.multipliers.len()]
    }

    fn saturate(&self, v: i64, relu: bool) -> i64 {
        let (lo, hi) = self.grid.saturated(relu);
        v.clamp(lo, hi)
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
        let Some(exact) = self.as_integers(index) else { return self.exact_with_constant(index) };
        let (lo, hi) = self.bound_of(&exact.input);
        let range = (lo.min(0), hi.max(0));
        let relu = self.model.graph.nodes[index].relu;
        let (_, shape, values) = &exact.weight;
        let owner = Owner::Block(values.len() / shape[0]);
        let bias = exact.bias.as_ref().map(|(_, values)| values.as_slice());
        let ranges = ranges_of(values, bias, owner, range);
        let multipliers = (0..ranges.len()).map(|channel| f64::from(exact.multiplier(channel))).collect();
        let of = |channel: usize, sum: i64| exact.of(channel, sum, relu);
        // As `validate_graph` bounds them: the largest weight at every tap.
        let (taps, farthest) = ((values.len() / shape[0]) as f64, range.1.max(-range.0).max(1) as f64);
        let largest = |values: &[i64]| values.iter().map(|v| v.abs()).max().unwrap_or(0) as f64;
        let of_channel = |(channel, weights): (usize, &[i64])| {
            let bias = bias.map_or(0.0, |bias| bias[channel].abs() as f64);
            f64::from(exact.multiplier(channel)) * (taps * farthest * largest(weights) + bias)
        };
        let blocks = values.chunks((values.len() / shape[0]).max(1)).enumerate();
        // Two digits of a number, each with a bound that is a power of two, come to at most four times as much.
        let bound = 4.0 * blocks.map(of_channel).fold(0.0, f64::max);
        let sums =
            Sums { ranges, multipliers, bound, offset: 0.0, saturated: exact.grid.saturated(relu), of: &of };
        let Some(rounding) = Rounding::of(&sums, self.graph.shift, self.graph.q_bits, true) else {
            return Ok(false);
        };
        let z = sums.ranges.iter().fold((0, 0), |all: (i64, i64), one| (all.0.min(one.0), all.1.max(one.1)));
        let figures = Figures {
            weight_bits: values.iter().map(|w| super::bits((*w, *w)) + 1).max().unwrap_or(0),
            q_bits: self.graph.q_bits,
            accumulator_bits: super::bits(z) + 1,
            widened: 1.0,
            bit_exact: Some(true),
        };
        let linear = self.along(&exact, &rounding.lines);
        self.push_rounding(index, (&sums, &rounding, &exact.grid), linear, exact.turned, figures)?;
        Ok(true)
    }

    /// The sums, each along its channel's line. Numbers of more bits than a weight has take two.
    pub(super) fn along(&mut self, exact: &Exact, lines: &[Line]) -> Linear {
        let (name, shape, values) = &exact.weight;
        let block = values.len() / shape[0];
        let weight: Vec<i64> = values.iter().enumerate().map(|(e, w)| w * lines[e / block].factor).collect();
        let of = |channel: usize| exact.bias.as_ref().map_or(0, |(_, values)| values[channel]);
        let bias: Vec<i64> =
            lines.iter().enumerate().map(|(c, line)| of(c) * line.factor + line.offset).collect();
        let bits = |values: &[i64]| values.iter().map(|v| super::bits((*v, *v)) + 1).max().unwrap_or(0);
        let (of_weight, of_bias) = (bits(&weight), bits(&bias));
        let low_bits = match of_weight.max(of_bias) <= WEIGHT_BITS_MAX {
            true => 0,
            false => of_weight.div_ceil(2).max(of_bias.saturating_sub(WEIGHT_BITS_MAX)).max(1),
        };
        let digits = |values: Vec<i64>, block: usize| -> Vec<i32> {
            let high = |v: &i64| requantise(*v, low_bits) as i32;
            let low = |v: &i64| (v - (requantise(*v, low_bits) << low_bits)) as i32;
            match low_bits {
                0 => values.into_iter().map(|v| v as i32).collect(),
                _ => values.chunks(block).flat_map(|c| c.iter().map(high).chain(c.iter().map(low))).collect(),
            }
        };
        let mut shape = shape.clone();
        shape[0] *= if low_bits == 0 { 1 } else { 2 };
        let bias_name =
            exact.bias.as_ref().map_or_else(|| format!("{name}.offset"), |(name, _)| name.clone());
        let bias = self.add_weight(&bias_name, vec![shape[0]], digits(bias, 1));
        let weight = self.add_weight(name, shape, digits(weight, block));
        let (input, geometry) = (self.view(&exact.input), exact.geometry.clone());
        Linear::Conv { input, weight, bias: Some(bias), geometry, residual: Vec::new(), low_bits }
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
        let (input, shape, values, geometry, turned) = match &node.op {
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
                (turned, vec![n, k, 1, 1], values, geometry, (m > 1).then_some(m))
            }
        };
        let weight = (weight.name.clone(), shape, values);
        Some(Exact { input, weight, bias, geometry, turned, multipliers, grid })
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
