//! Convolutions and matrix products.

use super::sum::round_scale;
use super::{Builder, QuantiseError, Scaled};
use crate::float::{FloatOp, FloatTerm, FloatWeight};
use crate::graph::{Linear, Term};

/// Integer weights and biases at one scale, and the factors of what is added.
struct Integers {
    weight: Vec<i64>,
    bias: Option<Vec<i64>>,
    residual: Vec<i64>,
}

/// What a convolution adds besides.
struct Residual {
    /// What one unit of each term's input is worth.
    worth: Vec<f64>,
    bounds: Vec<(i64, i64)>,
}

/// How weights belong to outputs: weight `e` belongs to output channel `e % columns`, or `e / block`.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    Column(usize),
    Block(usize),
}

impl Owner {
    pub(super) fn channel(self, e: usize) -> usize {
        match self {
            Self::Column(columns) => e % columns,
            Self::Block(block) => e / block,
        }
    }
}

impl Builder<'_> {
    /// A convolution or a matrix product: float node `index`.
    pub(super) fn weighted(&mut self, index: usize) -> Result<(), QuantiseError> {
        if self.exact(index)? {
            return Ok(());
        }
        let node = &self.model.graph.nodes[index];
        let (input, weight, bias, owner, residual) = match &node.op {
            FloatOp::Conv { input, weight, bias, residual, .. } => (
                input,
                weight,
                bias,
                Owner::Block(weight.values.len() / weight.shape[0]),
                residual.as_slice(),
            ),
            FloatOp::MatMul { input, weight, bias } => {
                (input, weight, bias, Owner::Column(weight.shape[1]), &[][..])
            }
            _ => return Ok(()),
        };
        let residual = self.residual(residual);
        // Padding is 0, so 0 is always among the values read.
        let (lo, hi) = self.bound_of(input);
        let (range, scale_in) = ((lo.min(0), hi.max(0)), self.scale_of(input));
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => {
                let worst = worst_float(weight, bias, owner, range, scale_in) + residual.worst_float();
                output_scale(self.graph.q_bits, worst)
            }
        };
        let shift = self.graph.shift;
        let scaled = self.fit(index, calibrated, |scale| {
            let scale = match residual.worth.is_empty() {
                true => scale,
                false => round_scale(&residual.worth, (shift as f64).exp2(), scale),
            };
            let unit = (shift as f64).exp2() / scale;
            let integer = |v: &f32, factor: f64| (f64::from(*v) * factor).round() as i64;
            let copies = matches!(node.op, FloatOp::Conv { .. })
                && weight.values.len() == weight.shape[0]
                && weight.values.iter().all(|w| w.abs() == 1.0);
            let weight: Vec<i64> = weight.values.iter().map(|w| integer(w, scale_in * unit)).collect();
            let bias: Option<Vec<i64>> = bias.as_ref().map(|b| match copies && node.compares {
                // As many units of the operand as its own rounding gives.
                true => {
                    let whole = |(b, w): (&f32, &i64)| {
                        ((f64::from(*b) / scale_in).round() as i64).saturating_mul(w.abs())
                    };
                    b.values.iter().zip(&weight).map(whole).collect()
                }
                false => b.values.iter().map(|b| integer(b, unit)).collect(),
            });
            let added: Vec<i64> = residual.worth.iter().map(|worth| (worth * unit).round() as i64).collect();
            let z = residual.add_to(worst_case(&weight, bias.as_deref(), owner, range), &added);
            Scaled { step: Integers { weight, bias, residual: added }, scale, z }
        })?;
        self.check_residual(index, &residual, scaled.scale)?;
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

    fn residual(&self, terms: &[FloatTerm]) -> Residual {
        let worth = terms.iter().map(|t| f64::from(t.factor) * self.scale_of(&t.input)).collect();
        let bounds = terms.iter().map(|t| self.bound_of(&t.input)).collect();
        Residual { worth, bounds }
    }

    /// A term that rounds away is an error, as in a sum.
    fn check_residual(&self, index: usize, residual: &Residual, scale: f64) -> Result<(), QuantiseError> {
        let unit = f64::from(self.graph.shift).exp2() / scale;
        match residual.worth.iter().map(|w| (w * unit).abs()).find(|c| (f64::MIN_POSITIVE..0.5).contains(c)) {
            None => Ok(()),
            Some(got) => {
                let node = &self.model.graph.nodes[index];
                let (name, operator, shift) = (node.name.clone(), node.operator.clone(), self.graph.shift);
                Err(QuantiseError::Factor { node: name, operator, shift, got })
            }
        }
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
        let Integers { weight: weight_values, bias: bias_values, residual: coefficients } = scaled.step;
        let (input, weight, bias, conv) = match &node.op {
            FloatOp::Conv { input, weight, bias, geometry, residual } => {
                (input, weight, bias, Some((geometry, residual)))
            }
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
        let linear = match conv {
            Some((geometry, residual)) => {
                let term = |(term, coefficient): (&FloatTerm, i64)| Term {
                    input: self.view(&term.input),
                    coefficient,
                    target: None,
                };
                let residual = residual.iter().zip(coefficients).map(term).collect();
                Linear::Conv { input, weight, bias, geometry: geometry.clone(), residual, low_bits: 0 }
            }
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

impl Residual {
    /// The largest magnitude of all terms together, in real numbers.
    fn worst_float(&self) -> f64 {
        self.worth.iter().zip(&self.bounds).map(|(w, b)| w.abs() * b.1.max(-b.0) as f64).sum()
    }

    /// The range of z with all terms.
    fn add_to(&self, z: (i64, i64), coefficients: &[i64]) -> (i64, i64) {
        coefficients.iter().zip(&self.bounds).fold(z, |z, (c, bound)| {
            let (a, b) = (c.saturating_mul(bound.0), c.saturating_mul(bound.1));
            (z.0.saturating_add(a.min(b)), z.1.saturating_add(a.max(b)))
        })
    }
}

/// The scale at which an output of worst-case magnitude `worst` fills the table.
pub(super) fn output_scale(q_bits: u32, worst: f64) -> f64 {
    super::fill(worst, f64::from(q_bits).exp2() - 2.0)
}

/// Worst-case range of z over all outputs, inputs being anywhere in `range`.
pub(super) fn worst_case(
    weight: &[i64],
    bias: Option<&[i64]>,
    owner: Owner,
    range: (i64, i64),
) -> (i64, i64) {
    let ranges = ranges_of(weight, bias, owner, range);
    ranges.into_iter().fold((0, 0), |all, one| (all.0.min(one.0), all.1.max(one.1)))
}

/// As [`worst_case`], of each channel.
pub(super) fn ranges_of(
    weight: &[i64],
    bias: Option<&[i64]>,
    owner: Owner,
    range: (i64, i64),
) -> Vec<(i64, i64)> {
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
    reach
}

/// As [`worst_case`], the largest magnitude in real numbers before any rounding.
pub(super) fn worst_float(
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
