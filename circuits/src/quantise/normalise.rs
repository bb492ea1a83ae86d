//! Rows brought to mean 0 and variance 1, before any learned factor: `c = x − mean`, `V = Σ c²`, `R ~ 1/√V`, `n = c·R`.
//!
//! `c = floor(κ·(D·x − Σ x)/2^shift + 1/2)`, of scale `s_x·2^shift/(κ·D)`: at most an eighth of `s_x` where tables allow. `c²` is a
//! table entry, rounded in units of `2^t` (`t = 0` unless the table range asks for more); `V` is requantised; its table holds
//! `R = N·2^shift/√(V/D + epsilon)` rounded; `n = floor(c·R/2^shift + 1/2)` has `N` units. Without centring `c` is `x` itself.
//!
//! Error, given the integers of `x`: with `v` the requantised `V`, |n/N − exact| ≤ |exact|·(1/(4v) + 1/(2R)) + (1/2)·R/(2^shift·N)
//! + 1/(2N): from rounding `V`, `R`, `c` and `n` in turn.

use super::{Builder, QuantiseError};
use crate::graph::{BlockSum, BlockTerm, Linear, TableKind, TensorId, View};

/// Largest |c|, so that squares have 31 bits.
const CENTRED_MAX: i64 = (1 << 15) - 1;
/// How much finer than `x` is `c` at most.
const FINER: f64 = 8.0;
/// A part of so many is not noticed.
const NEGLIGIBLE: f64 = 1_048_576.0;
/// Most bits of a requantised sum of squares.
const SQUARES_BITS_MAX: u32 = 17;
/// With a margin of 1 over calibration, a row's squares add up to at most so many times the largest of all rows.
const LARGEST: f64 = 4.0;

/// Rows less their means.
struct Centred {
    tensor: View,
    /// Largest magnitude.
    reach: i64,
    scale: f64,
    /// Bound on the sum of squares of a row.
    squares: f64,
}

impl Builder<'_> {
    /// Normalises the rows of a (rows, columns) view: float node `index`.
    pub(super) fn normalise(
        &mut self,
        index: usize,
        input: &View,
        epsilon: f64,
        centred: bool,
    ) -> Result<(), QuantiseError> {
        let (rows, columns) = (input.shape[0], input.shape[1]);
        let mut rest = self.centre(index, input, centred)?;
        if let Some(margin) = self.options.margin {
            // Few elements of a row are as large as the largest of all rows: as much as so many of these together.
            rest.squares = rest.squares.min(LARGEST * margin * (rest.reach as f64 / 2.0).powi(2).max(1.0));
        }
        let shift = self.graph.shift;
        let q_bits = self.graph.q_bits.min(SQUARES_BITS_MAX);
        let unit = f64::from(shift).exp2();
        // Rounding to units of 2^t adds at most half of one an element.
        let most = (f64::from(q_bits).exp2() - 2.0) * unit - columns as f64;
        let t = (rest.squares / most).log2().ceil().max(0.0) as i32;
        let of_square = f64::from(t).exp2();
        let squares = self.squares(index, &rest, of_square)?;
        let reach = (rest.squares / of_square).ceil() as i64 + columns as i64;
        let one = self.normal_units(index, columns);
        // An epsilon that changes no entry is left out, so that models with many normalisations have one table.
        let least = 0.5 * unit * of_square / columns as f64;
        let floor = Some(epsilon / (rest.scale * rest.scale)).filter(|floor| *floor > least / NEGLIGIBLE);
        let floor = floor.unwrap_or(0.0);
        // Nothing is divided by zero: a sum that rounds to 0 counts as the largest that does.
        let variance = |q: i64| (q as f64).max(0.5) * unit * of_square / columns as f64 + floor;
        let factor = |q: i64| (one * unit / libm::sqrt(variance(q)) + 0.5).floor().min(f64::from(i32::MAX));
        let q_max = crate::graph::requantise(reach, shift);
        let table = self.listed("1/deviation", q_max, |q| factor(q) as i32);
        let sums = vec![BlockSum { input: View::plain(squares, vec![rows, columns]), coefficient: 1 }];
        let linear = Linear::Spread { terms: Vec::new(), sums, blocks: rows };
        let factors = self.push_step(index, "deviation", linear, shift, table, vec![rows], reach, 1.0)?;
        let linear = Linear::BatchMatMul {
            left: View::plain(factors, vec![rows, 1, 1]),
            right: View { shape: vec![rows, 1, columns], ..rest.tensor },
            factor: 1,
        };
        // c² ≤ V, and V is at most thrice what it was rounded to (from 1/2 up): |n| ≤ √3·√D·N, and a little for R.
        let z = (2.0 * one * (columns as f64).sqrt() * unit).ceil() as i64 + rest.reach;
        let table = if self.model.graph.nodes[index].relu { TableKind::Relu } else { TableKind::Identity };
        self.push(index, linear, shift, table, (1.0 / one, 1.0), (-z, z), 0)
    }

    /// Units of a normal number: as fine as an activation, if |n| ≤ 2·√D fits the table.
    fn normal_units(&self, index: usize, columns: usize) -> f64 {
        let most = (f64::from(self.graph.q_bits).exp2() - 2.0) / (2.0 * (columns as f64).sqrt() + 1.0);
        most.min(self.activation(index).1 as f64).floor().max(1.0)
    }

    fn centre(&mut self, index: usize, input: &View, centred: bool) -> Result<Centred, QuantiseError> {
        let (rows, columns) = (input.shape[0], input.shape[1]);
        let ((lo, hi), scale) = (self.bound_of(input), self.scale_of(input));
        let (size, tensor) = (columns as f64, self.view(input));
        if !centred {
            let reach = hi.max(-lo);
            return Ok(Centred { tensor, reach, scale, squares: size * (reach * reach) as f64 });
        }
        let unit = f64::from(self.graph.shift).exp2();
        let span = (hi - lo).max(1) as f64;
        let most = CENTRED_MAX.min((1 << self.graph.q_bits) - 2) as f64;
        let kappa = (FINER.min(most / span) * unit / size).floor().max(1.0);
        let finer = kappa * size / unit;
        let terms =
            vec![BlockTerm { input: tensor.clone(), coefficient: kappa as i64 * columns as i64, first: 0 }];
        let sums = vec![BlockSum { input: tensor, coefficient: -(kappa as i64) }];
        let linear = Linear::Spread { terms, sums, blocks: rows };
        let z = (span * kappa * size) as i64;
        let shape = vec![rows, columns];
        let (shift, scale) = (self.graph.shift, scale / finer);
        let made =
            self.push_step(index, "centred", linear, shift, TableKind::Identity, shape.clone(), z, scale)?;
        let reach = crate::graph::requantise(z, shift);
        // Of numbers within a span the variance is at most a quarter of its square (Popoviciu).
        let half = span * finer / 2.0 + 1.0;
        Ok(Centred { tensor: View::plain(made, shape), reach, scale, squares: size * half * half })
    }

    /// The squares of a tensor in units of `of_square`.
    fn squares(&mut self, index: usize, of: &Centred, of_square: f64) -> Result<TensorId, QuantiseError> {
        if of.reach > CENTRED_MAX {
            let node = &self.model.graph.nodes[index];
            let (got, expected) = (super::bits((0, of.reach)), super::bits((0, CENTRED_MAX)));
            let (node, operator) = (node.name.clone(), node.operator.clone());
            return Err(QuantiseError::TableRange { node, operator, expected, got });
        }
        let table = self.listed("square", of.reach, |q| ((q * q) as f64 / of_square + 0.5).floor() as i32);
        let blocks = of.tensor.shape[0];
        let terms = vec![BlockTerm { input: of.tensor.clone(), coefficient: 1, first: 0 }];
        let linear = Linear::Spread { terms, sums: Vec::new(), blocks };
        self.push_step(index, "square", linear, 0, table, of.tensor.shape.clone(), of.reach, of_square)
    }
}
