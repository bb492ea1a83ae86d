//! Sums of integers whose weights have a step `t_c` for each channel: `v = saturate(round(single(a)·M_c))` with halves to even and
//! `M_c = (s_x·t_c)/s_y`, bit for bit as in `grid.rs`. Tables for each channel would be too many, so the steps follow by formula:
//!
//! 1. `a = 2^s·h + l`, as there (`s`: the graph's shift).
//! 2. `t = ⌊p_c·h/2^(s+r)⌋`, `p_c ≈ M_c·2^(2s+r)`. While `2^s·M_c < 1`, `v` is `t` or `t + 1` before saturation.
//! 3. It is `t + 1` from `T = (t + 1/2 + ω)/M_c` on. `ω` is what single precision makes of halves: a product within half a unit in the last place
//!    of `t + 1/2` counts as the half, which goes to `t` or `t + 1`, whichever is even. So `2^25·ω = ±w`, `w` the largest power of two up to
//!    |2t + 1|, + for even `t`. With `u = 2s + f` bits after the point, `2^u·T ≈ k_c·t + b_c + g_c·(±w)`, `k_c ≈ 2^u/M_c`.
//! 4. The bit `a ≥ T` takes two digits, `k_c = 2^(s+f)·k_1 + k_0` and `b_c` likewise: `e = −⌊…⌋` of the low ones, `[2^s·a − k_1·t − b_1 + e ≥ 0]`.
//! 5. `v = saturate(t + bit)`.
//!
//! Eight nodes, or six where no sum that can occur is so near to a half that `ω` counts. All numbers with index c are weights: 1×1 convolutions of
//! one channel each. **Exactness.** For every channel the threshold of every `t` that its sums can reach is compared with that of
//! `single(a)·M_c` itself, which is found by bisection (the products grow with `a`). Where `k_c` and `b_c` as rounded miss one, others nearby
//! are tried; a layer with a channel for which none does, or whose numbers do not fit the tables, is requantised twice.

use super::grid::Exact;
use super::linear::Owner;
use super::{Builder, Figures, QuantiseError};
use crate::graph::{ConvGeometry, Linear, TableKind, TensorId, Term, View, WeightId, requantise};

/// Most bits that a table drops after a shift.
const DROPPED_MAX: u32 = 8;
/// Largest shift.
const SHIFT_MAX: u32 = 16;
/// Most bits of a weight's magnitude.
const WEIGHT_BITS_MAX: u32 = 30;

/// A channel's sums with the same `t`.
struct Step {
    t: i64,
    first: i64,
    last: i64,
    /// The first of them from which on `v` is that of `t + 1`, or the one after the last; none where both are the same.
    least: Option<i64>,
}

/// The numbers of a channel.
#[derive(Clone, Copy)]
struct Channel {
    slope: i64,
    offset: i64,
    tie: i64,
}

/// Bits after the point.
#[derive(Clone, Copy)]
struct Digits {
    shift: u32,
    /// `f`
    fine: u32,
}

impl Digits {
    fn all(self) -> u32 {
        2 * self.shift + self.fine
    }

    /// High and low digit.
    fn split(self, x: i64) -> (i64, i64) {
        let bits = self.shift + self.fine;
        let high = requantise(x, bits);
        (high, x - (high << bits))
    }

    /// Accumulator of the low digits, with what makes rounding a floor.
    fn low(self, channel: &Channel, t: i64, tie: i64) -> i64 {
        let carried = requantise(channel.tie * tie, self.shift) << self.shift;
        -self.split(channel.slope).1 * t - self.split(channel.offset).1 - carried - self.half()
    }

    /// Accumulator of the comparison, likewise.
    fn compared(self, channel: &Channel, a: i64, t: i64, tie: i64) -> i64 {
        let low = requantise(self.low(channel, t, tie), self.shift) >> self.fine;
        let (slope, offset) = (self.split(channel.slope).0, self.split(channel.offset).0);
        (a << self.shift) - slope * t - offset + low - self.half()
    }

    /// The least `a` that is not below `T`.
    fn threshold(self, channel: &Channel, t: i64, tie: i64) -> i64 {
        -((self.compared(channel, 0, t, tie) + self.half()) >> self.shift)
    }

    fn half(self) -> i64 {
        1 << (self.shift - 1)
    }
}

/// A layer's numbers, and how far its accumulators reach.
struct Layer {
    /// `r`
    dropped: u32,
    coarse: Vec<i64>,
    digits: Digits,
    channels: Vec<Channel>,
    /// Whether halves count.
    ties: bool,
    /// Of `t`, as a number of bits.
    t_bits: u32,
    floor: i64,
    tie: i64,
    low: i64,
    compared: i64,
}

/// What step 3 adds for `t`, in units of 2^−25.
fn tie(t: i64) -> i64 {
    let odd = (2 * t + 1).unsigned_abs();
    let w = 1i64 << odd.ilog2();
    if t % 2 == 0 { w } else { -w }
}

/// The steps of a channel whose sums are in `range`.
fn steps(
    exact: &Exact,
    channel: usize,
    relu: bool,
    range: (i64, i64),
    p: i64,
    bits: (u32, u32),
) -> Option<Vec<Step>> {
    let ((shift, dropped), half) = (bits, 1i64 << (bits.0 - 1));
    let of = |sum: i64| exact.of(channel, sum, relu);
    let mut made = Vec::new();
    let (mut high, last_high) = (requantise(range.0, shift), requantise(range.1, shift));
    while high <= last_high {
        let t = (p * high) >> (shift + dropped);
        let end = match p {
            0 => last_high,
            p => ((((t + 1) << (shift + dropped)) - 1).div_euclid(p)).min(last_high),
        };
        let (first, last) = (((high << shift) - half).max(range.0), ((end << shift) + half - 1).min(range.1));
        let (below, beyond) = (exact.saturate(t, relu), exact.saturate(t + 1, relu));
        if of(first) < below || of(last) > beyond {
            return None;
        }
        let least = (below != beyond).then(|| {
            let (mut least, mut end) = (first, last + 1);
            while least < end {
                let middle = (least + end).div_euclid(2);
                if of(middle) >= beyond { end = middle } else { least = middle + 1 }
            }
            least
        });
        made.push(Step { t, first, last, least });
        high = end + 1;
    }
    Some(made)
}

/// Numbers of a channel that give all of its steps, if some near the right ones do.
fn fit(steps: &[Step], multiplier: f32, digits: Digits, ties: bool) -> Option<Channel> {
    let unit = f64::from(digits.all()).exp2() / f64::from(multiplier);
    let gives = |channel: &Channel| {
        let right = |step: &Step| {
            let Some(least) = step.least else { return true };
            let tie = if ties { tie(step.t) } else { 0 };
            digits.threshold(channel, step.t, tie).clamp(step.first, step.last + 1) == least
        };
        steps.iter().all(right)
    };
    let bound = f64::from(WEIGHT_BITS_MAX + digits.shift + digits.fine).exp2();
    if unit >= bound {
        // So small a multiplier that its sums may not make a step at all.
        let [step] = steps else { return None };
        let offset = step.least.unwrap_or(step.first).checked_mul(1 << digits.all())?;
        let channel = Channel { slope: 0, offset, tie: 0 };
        return gives(&channel).then_some(channel);
    }
    let nearby = |bits: u32| 1i64 << digits.all().saturating_sub(bits);
    // Products that are multiples of much more than a unit in the last place leave room for more than ω, and need it where ω is rounded away.
    for scale in if ties { &[1.0, 1.04, 64.0, 1024.0][..] } else { &[0.0] } {
        for offset in [0, 1, -1, 2, -2, 4, -4, 8, -8] {
            for slope in [0, 1, -1, 2, -2, 4, -4] {
                let channel = Channel {
                    slope: unit.round() as i64 + slope * nearby(18),
                    offset: (unit / 2.0).round() as i64 + offset * nearby(11),
                    tie: (unit * scale / f64::from(1u32 << 25)).round() as i64,
                };
                if channel.tie >> WEIGHT_BITS_MAX == 0 && gives(&channel) {
                    return Some(channel);
                }
            }
        }
    }
    None
}

/// The layer's numbers, if all of its channels have some whose tables fit.
fn layer(exact: &Exact, ranges: &[(i64, i64)], relu: bool, shift: u32, q_bits: u32) -> Option<Layer> {
    // Also keeps all numbers below far within 64 bits.
    if shift > SHIFT_MAX || exact.multipliers.iter().any(|m| f64::from(*m) * f64::from(shift).exp2() >= 1.0) {
        return None;
    }
    let bits = |reach: i64| super::bits((0, requantise(reach, shift)));
    let high = |range: &(i64, i64)| requantise(range.0, shift).abs().max(requantise(range.1, shift).abs());
    let coarse = |dropped: u32| {
        let scale = f64::from(2 * shift + dropped).exp2();
        let p: Vec<i64> = exact.multipliers.iter().map(|m| (f64::from(*m) * scale).round() as i64).collect();
        let each = p.iter().zip(ranges).enumerate();
        let each = each.map(|(c, (p, range))| steps(exact, c, relu, *range, *p, (shift, dropped)));
        let steps = each.collect::<Option<Vec<_>>>()?;
        let floor = p.iter().zip(ranges).map(|(p, range)| p * high(range)).max()? + (1 << (shift - 1));
        (bits(floor) <= q_bits && p.iter().all(|p| p >> WEIGHT_BITS_MAX == 0))
            .then_some((dropped, p, steps, floor))
    };
    let (dropped, coarse, steps, floor) = (0..=DROPPED_MAX).find_map(coarse)?;
    let t_bits = bits(floor).saturating_sub(dropped);
    let choices = [false, true].into_iter().flat_map(|ties| (0..=DROPPED_MAX).map(move |fine| (ties, fine)));
    choices.into_iter().find_map(|(ties, fine)| {
        let digits = Digits { shift, fine };
        let channels = steps.iter().zip(&exact.multipliers);
        let channels = channels.map(|(steps, m)| fit(steps, *m, digits, ties)).collect::<Option<Vec<_>>>()?;
        let mut layer = Layer {
            dropped,
            coarse: coarse.clone(),
            digits,
            channels,
            ties,
            t_bits,
            floor,
            tie: 0,
            low: 0,
            compared: 0,
        };
        for (channel, steps) in layer.channels.iter().zip(&steps) {
            for step in steps {
                let tie = exact.tie(step.t, ties, relu);
                layer.tie = layer.tie.max((channel.tie * tie).abs());
                layer.low = layer.low.max(digits.low(channel, step.t, tie).abs());
                for a in [step.first, step.last] {
                    layer.compared = layer.compared.max(digits.compared(channel, a, step.t, tie).abs());
                }
            }
        }
        let tables = [layer.tie, layer.low, layer.compared].into_iter().all(|reach| bits(reach) <= q_bits);
        let narrow = |c: &Channel| {
            let (slope, offset) = (digits.split(c.slope), digits.split(c.offset));
            [slope.0, slope.1, offset.0, offset.1, c.tie].into_iter().all(|w| w.abs() >> WEIGHT_BITS_MAX == 0)
        };
        (tables && t_bits < q_bits && layer.channels.iter().all(narrow)).then_some(layer)
    })
}

impl Exact {
    /// What step 3 adds for `t`: nothing where no sum's integer is at stake.
    fn tie(&self, t: i64, ties: bool, relu: bool) -> i64 {
        if ties && self.saturate(t, relu) != self.saturate(t + 1, relu) { tie(t) } else { 0 }
    }
}

impl Builder<'_> {
    /// The nodes of a layer with a multiplier for each channel; `sums` computes its sums and adds terms to them. Returns none where it
    /// has to be requantised twice.
    pub(super) fn rounded_by_channel(
        &mut self,
        index: usize,
        exact: &Exact,
        range: (i64, i64),
    ) -> Result<bool, QuantiseError> {
        let (shift, relu) = (self.graph.shift, self.model.graph.nodes[index].relu);
        let (name, shape, values) = &exact.weight;
        let owner = Owner::Block(values.len() / shape[0]);
        let bias = exact.bias.as_ref().map(|(_, values)| values.as_slice());
        let ranges = super::linear::ranges_of(values, bias, owner, range);
        let z = ranges.iter().fold((0, 0), |all: (i64, i64), one| (all.0.min(one.0), all.1.max(one.1)));
        let bound = self.public_bound(z.1.max(-z.0), shift);
        if super::bits((0, requantise(bound, shift))) > self.graph.q_bits {
            return Ok(false);
        }
        let Some(layer) = layer(exact, &ranges, relu, shift, self.graph.q_bits) else { return Ok(false) };
        let (high, low) = self.high_and_low(index, exact, bound)?;
        let name = name.clone();
        let made = self.by_formula(index, exact, &name, &layer, (high, low))?;
        let figures = Figures {
            weight_bits: values.iter().map(|w| super::bits((*w, *w)) + 1).max().unwrap_or(0),
            q_bits: super::bits((0, requantise(bound, shift))),
            accumulator_bits: super::bits(z) + 1,
            widened: 1.0,
            bit_exact: Some(true),
        };
        self.finish(index, made, figures);
        Ok(true)
    }

    fn by_formula(
        &mut self,
        index: usize,
        exact: &Exact,
        name: &str,
        layer: &Layer,
        (high, low): (TensorId, TensorId),
    ) -> Result<TensorId, QuantiseError> {
        let (shift, relu, digits) = (layer.digits.shift, self.model.graph.nodes[index].relu, layer.digits);
        let count = layer.channels.len();
        let flat = vec![self.graph.tensors[high.0].shape.iter().product::<usize>()];
        let term = |tensor, coefficient| Term {
            input: View::plain(tensor, flat.clone()),
            coefficient,
            target: None,
        };
        let copy = |tensor| Linear::Combine { terms: vec![term(tensor, 1)], constant: 0 };
        let by_channel = |tensor, (weight, bias), residual| {
            let input = View::plain(tensor, vec![count, 1, flat[0] / count]);
            let geometry =
                ConvGeometry { stride: (1, 1), dilation: (1, 1), pads: (0, 0, 0, 0), groups: count };
            Linear::Conv { input, weight, bias, geometry, residual }
        };
        let of = |value: &dyn Fn(&Channel) -> i64| layer.channels.iter().map(value).collect::<Vec<i64>>();
        let half = 1i64 << (shift - 1);
        // t
        let weights = self.numbers(name, "floor", layer.coarse.clone(), Some(vec![-half; count]));
        let bound = self.public_bound(layer.floor, shift);
        let table = self.listed("floor", requantise(bound, shift), |q| (q >> layer.dropped) as i32);
        let floor = self.push_step(
            index,
            "floor",
            by_channel(high, weights, vec![]),
            shift,
            table,
            flat.clone(),
            bound,
            1.0,
        )?;
        // The low digits.
        let mut carried = Vec::new();
        if layer.ties {
            let entry = |t: i64| exact.tie(t, true, relu) as i32;
            let table = self.listed("halves", 1 << layer.t_bits, entry);
            let halves =
                self.push_step(index, "half", copy(floor), 0, table, flat.clone(), 1 << layer.t_bits, 1.0)?;
            let weights = self.numbers(name, "half", of(&|c| c.tie), None);
            let bound = self.public_bound(layer.tie, shift);
            let linear = by_channel(halves, weights, vec![]);
            let ties = self.push_step(
                index,
                "halves",
                linear,
                shift,
                TableKind::Identity,
                flat.clone(),
                bound,
                1.0,
            )?;
            carried.push(term(ties, -(1 << shift)));
        }
        let offsets = of(&|c| -digits.split(c.offset).1 - half);
        let weights = self.numbers(name, "low", of(&|c| -digits.split(c.slope).1), Some(offsets));
        let bound = self.public_bound(layer.low, shift);
        let table = self.listed("floor", requantise(bound, shift), |q| (q >> digits.fine) as i32);
        let linear = by_channel(floor, weights, carried);
        let rest = self.push_step(index, "rest", linear, shift, table, flat.clone(), bound, 1.0)?;
        // The comparison.
        let offsets = of(&|c| -digits.split(c.offset).0 - half);
        let weights = self.numbers(name, "step", of(&|c| -digits.split(c.slope).0), Some(offsets));
        let bound = self.public_bound(layer.compared, shift);
        let table = self.listed("not below", requantise(bound, shift), |q| i32::from(q >= 0));
        let sums = vec![term(high, 1 << (2 * shift)), term(low, 1 << shift), term(rest, 1)];
        let linear = by_channel(floor, weights, sums);
        let step = self.push_step(index, "beyond", linear, shift, table, flat.clone(), bound, 1.0)?;
        // The sum.
        let seen = |tensor| Term {
            input: View { tensor, shape: flat.clone(), order: exact.order.clone() },
            coefficient: 1,
            target: None,
        };
        let reach = (1 << layer.t_bits) + 1;
        let entry = |v: i64| exact.grid.shown(exact.saturate(v, relu)) as i32;
        let table = self.listed("saturated", reach, entry);
        let sum = Linear::Combine { terms: vec![seen(floor), seen(step)], constant: 0 };
        let shape = self.model.graph.tensors[index].shape.clone();
        self.push_step(index, "sum", sum, 0, table, shape, reach, exact.grid.shown_scale())
    }

    /// Numbers of the channels as weights of a 1×1 convolution; all have at most 31 bits.
    fn numbers(
        &mut self,
        name: &str,
        what: &str,
        factors: Vec<i64>,
        offsets: Option<Vec<i64>>,
    ) -> (WeightId, Option<WeightId>) {
        let narrow = |values: Vec<i64>| values.into_iter().map(|v| v as i32).collect();
        let weight =
            self.add_weight(&format!("{name}.{what}"), vec![factors.len(), 1, 1, 1], narrow(factors));
        let bias = offsets.map(|offsets| {
            self.add_weight(&format!("{name}.{what}.offset"), vec![offsets.len()], narrow(offsets))
        });
        (weight, bias)
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType::{Int8, Uint8};

    use super::tie;
    use crate::import::check::{Onnx, int};
    use crate::{QuantiseOptions, quantise, quantise_record, run};

    /// Every pair of two integers of 8 bits under 1×1 convolutions, so that sums are dense; input scale 1, output scale `u`, zero 3.
    fn every_pair(scales: [f32; 5], u: f32, relu: bool, shift: u32) -> (Vec<i32>, usize, Option<bool>) {
        let weights = [127, 1, -127, -1, 113, -7, 1, 127, -5, 3];
        let onnx = Onnx::new(&[1, 2, 256, 256]).floats("s", &[], vec![1.0]).bytes("z", &[], Uint8, &[0]);
        let onnx = onnx.bytes("k", &[5, 2, 1, 1], Int8, &weights).floats("t", &[5], scales.to_vec());
        let onnx =
            onnx.bytes("n", &[5], Int8, &[0; 5]).floats("u", &[], vec![u]).bytes("o", &[], Uint8, &[3]);
        let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
        let onnx = onnx.node("DequantizeLinear", &["q", "s", "z"], "d", vec![]);
        let onnx = onnx.node("DequantizeLinear", &["k", "t", "n"], "f", vec![int("axis", 0)]);
        let onnx = onnx.node("Conv", &["d", "f"], "c", vec![]);
        let onnx = if relu { onnx.node("Relu", &["c"], "v", vec![]) } else { onnx };
        let onnx = onnx.node("QuantizeLinear", &[if relu { "v" } else { "c" }, "u", "o"], "y", vec![]);
        let model = onnx.import("y").unwrap();
        let record: Vec<f32> =
            (0..1 << 17).map(|e| (if e < 1 << 16 { e / 256 } else { e % 256 }) as f32).collect();
        let options = QuantiseOptions { shift: Some(shift), q_bits: Some(16), ..QuantiseOptions::default() };
        let (graph, values, report) = quantise(&model, std::slice::from_ref(&record), &options).unwrap();
        let integers = quantise_record(&graph, &record).unwrap();
        let output = run(&graph, &values, &integers).unwrap().output;
        for (channel, t) in scales.iter().enumerate() {
            let multiplier = (1.0f32 * t) / u;
            for (pair, got) in output[channel << 16..(channel + 1) << 16].iter().enumerate() {
                let (x, y) = ((pair / 256) as i32, (pair % 256) as i32);
                let sum = weights[2 * channel] * x + weights[2 * channel + 1] * y;
                let v = ((sum as f32 * multiplier).round_ties_even() as i32).clamp(-3, 252);
                let v = if relu { v.max(0) } else { v };
                if report.nodes[1].bit_exact == Some(true) {
                    assert_eq!(*got, v + 3, "channel {channel}, sum {sum}");
                } else {
                    assert!((got - v - 3).abs() <= 1, "channel {channel}, sum {sum}");
                }
            }
        }
        (output, graph.nodes.len() - 1, report.nodes[1].bit_exact)
    }

    #[test]
    fn every_sum_gives_what_single_precision_gives() {
        let scales = [0.00731, 0.0112, 0.0093, 0.0051, 0.0133];
        for (u, relu, shift) in [(1.0, false, 6), (1.7, true, 6), (5.3, false, 8), (11.0, false, 9)] {
            let (output, nodes, exact) = every_pair(scales, u, relu, shift);
            assert_eq!(exact, Some(true), "{u}");
            assert!([6, 8].contains(&nodes), "{nodes}");
            assert!(output.contains(&3) && output.iter().max() > output.iter().min());
        }
    }

    #[test]
    fn halves_go_to_the_even_integer() {
        // Powers of two, whose products are exact, and one that is not.
        let scales = [2f32.powi(-8), 2f32.powi(-7), 0.0051, 2f32.powi(-9), 2f32.powi(-10)];
        let (_, nodes, exact) = every_pair(scales, 1.0, false, 6);
        assert_eq!((nodes, exact), (8, Some(true)));
        assert_eq!([0, 1, 2, 7, -1, -2, 127].map(tie), [1, -2, 4, -8, -1, 2, -128]);
    }

    #[test]
    fn channels_that_the_shift_cannot_tell_apart_are_said_not_to_be_exact() {
        let scales = [0.00731, 0.0112, 0.0093, 0.0051, 0.0133];
        assert_eq!(every_pair(scales, 1.0, false, 7).2, Some(false));
        assert_eq!(every_pair([1e-7, 0.0112, 0.0093, 0.0101, 0.0133], 1.0, false, 6).2, Some(false));
    }
}
