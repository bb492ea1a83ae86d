//! Convolutions and matrix products.

use super::{Builder, QuantiseError, Scaled};
use crate::float::{FloatOp, FloatWeight};
use crate::graph::Linear;

/// Integer weights and biases at one scale.
struct Integers {
    weight: Vec<i64>,
    bias: Option<Vec<i64>>,
}

/// How weights belong to outputs: weight `e` belongs to output channel `e % columns`, or `e / block`.
#[derive(Clone, Copy)]
enum Owner {
    Column(usize),
    Block(usize),
}

impl Owner {
    fn channel(self, e: usize) -> usize {
        match self {
            Self::Column(columns) => e % columns,
            Self::Block(block) => e / block,
        }
    }
}

impl Builder<'_> {
    /// A convolution or a matrix product: float node `index`.
    pub(super) fn weighted(&mut self, index: usize) -> Result<(), QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let (input, weight, bias, owner) = match &node.op {
            FloatOp::Conv { input, weight, bias, .. } => {
                (input, weight, bias, Owner::Block(weight.values.len() / weight.shape[0]))
            }
            FloatOp::MatMul { input, weight, bias } => (input, weight, bias, Owner::Column(weight.shape[1])),
            _ => return Ok(()),
        };
        // Padding is 0, so 0 is always among the values read.
        let (lo, hi) = self.bound_of(input);
        let (range, scale_in) = ((lo.min(0), hi.max(0)), self.scale_of(input));
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => output_scale(self.graph.q_bits, worst_float(weight, bias, owner, range, scale_in)),
        };
        let shift = self.graph.shift;
        let scaled = self.fit(index, calibrated, |scale| {
            let unit = (shift as f64).exp2() / scale;
            let integer = |v: &f32, factor: f64| (f64::from(*v) * factor).round() as i64;
            let weight: Vec<i64> = weight.values.iter().map(|w| integer(w, scale_in * unit)).collect();
            let bias: Option<Vec<i64>> =
                bias.as_ref().map(|b| b.values.iter().map(|b| integer(b, unit)).collect());
            let z = worst_case(&weight, bias.as_deref(), owner, range);
            Scaled { step: Integers { weight, bias }, scale, z }
        })?;
        let weight_bits = scaled.step.weight.iter().map(|w| super::bits((*w, *w)) + 1).max().unwrap_or(0);
        let bias_bits =
            scaled.step.bias.iter().flatten().map(|b| super::bits((*b, *b)) + 1).max().unwrap_or(0);
        for (got, expected) in [(weight_bits, self.options.weight_bits_max), (bias_bits, i32::BITS - 1)] {
            if got > expected {
                let (node, operator) = (node.name.clone(), node.operator.clone());
                return Err(QuantiseError::WeightRange { node, operator, expected, got });
            }
        }
        self.push_weighted(index, scaled, calibrated, weight_bits)
    }

    fn push_weighted(
        &mut self,
        index: usize,
        scaled: Scaled<Integers>,
        calibrated: f64,
        weight_bits: u32,
    ) -> Result<(), QuantiseError> {
        let node = &self.model.graph.nodes[index];
        // The bit checks above leave values of at most 31 bits.
        let narrow = |values: Vec<i64>| values.into_iter().map(|v| v as i32).collect();
        let Integers { weight: weight_values, bias: bias_values } = scaled.step;
        let (input, weight, bias, geometry) = match &node.op {
            FloatOp::Conv { input, weight, bias, geometry } => (input, weight, bias, Some(geometry)),
            FloatOp::MatMul { input, weight, bias } => (input, weight, bias, None),
            _ => return Ok(()),
        };
        let input = self.view(input);
        let weight = self.add_weight(&weight.name, weight.shape.clone(), narrow(weight_values));
        let bias = match (bias, bias_values) {
            (Some(bias), Some(values)) => {
                Some(self.add_weight(&bias.name, bias.shape.clone(), narrow(values)))
            }
            _ => None,
        };
        let linear = match geometry {
            Some(geometry) => Linear::Conv { input, weight, bias, geometry: geometry.clone() },
            None => Linear::MatMul { input, weight, bias },
        };
        let (shift, table) = (self.graph.shift, self.table(index));
        self.push(
            index,
            linear,
            shift,
            table,
            (scaled.scale, scaled.scale / calibrated),
            scaled.z,
            weight_bits,
        )
    }
}

/// The scale at which an output of worst-case magnitude `worst` fills the table.
pub(super) fn output_scale(q_bits: u32, worst: f64) -> f64 {
    super::fill(worst, f64::from(q_bits).exp2() - 2.0)
}

/// Worst-case range of z over all outputs, inputs being anywhere in `range`.
fn worst_case(weight: &[i64], bias: Option<&[i64]>, owner: Owner, range: (i64, i64)) -> (i64, i64) {
    let channels = weight.iter().enumerate().map(|(e, _)| owner.channel(e) + 1).max().unwrap_or(0);
    let mut reach = vec![(0i64, 0i64); channels];
    for (e, w) in weight.iter().enumerate() {
        let (a, b) = (w.saturating_mul(range.0), w.saturating_mul(range.1));
        let reach = &mut reach[owner.channel(e)];
        *reach = (reach.0.saturating_add(a.min(b)), reach.1.saturating_add(a.max(b)));
    }
    for (reach, bias) in reach.iter_mut().zip(bias.unwrap_or_default()) {
        *reach = (reach.0.saturating_add(*bias), reach.1.saturating_add(*bias));
    }
    reach.into_iter().fold((0, 0), |all, one| (all.0.min(one.0), all.1.max(one.1)))
}

/// As [`worst_case`], the largest magnitude in real numbers before any rounding.
fn worst_float(
    weight: &FloatWeight,
    bias: &Option<FloatWeight>,
    owner: Owner,
    range: (i64, i64),
    scale: f64,
) -> f64 {
    let (lo, hi) = (range.0 as f64 * scale, range.1 as f64 * scale);
    let mut reach: Vec<(f64, f64)> = Vec::new();
    for (e, w) in weight.values.iter().enumerate() {
        let (channel, a, b) = (owner.channel(e), f64::from(*w) * lo, f64::from(*w) * hi);
        if reach.len() <= channel {
            reach.resize(channel + 1, (0.0, 0.0));
        }
        reach[channel] = (reach[channel].0 + a.min(b), reach[channel].1 + a.max(b));
    }
    for (reach, b) in reach.iter_mut().zip(bias.iter().flat_map(|b| &b.values)) {
        *reach = (reach.0 + f64::from(*b), reach.1 + f64::from(*b));
    }
    reach.into_iter().fold(0.0, |worst, (lo, hi)| worst.max(hi).max(-lo))
}
