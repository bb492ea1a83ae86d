//! Sums of terms with constant factors: additions, scalings, averages.

use super::linear::output_scale;
use super::{Builder, QuantiseError, Scaled, Term};
use crate::float::{FloatPart, FloatTerm};
use crate::graph::{BlockSum, BlockTerm, Linear, View};

/// Integer factors and constant at one scale.
struct Integers {
    coefficients: Vec<i64>,
    constant: i64,
}

impl Builder<'_> {
    /// A sum: float node `index`.
    pub(super) fn sum(
        &mut self,
        index: usize,
        terms: &[FloatTerm],
        constant: f32,
    ) -> Result<(), QuantiseError> {
        let len: usize = self.model.graph.tensors[index].shape.iter().product();
        if self.exact_function(index, terms, constant)? {
            return Ok(());
        }
        let hits = hits(terms, len);
        if let [term] = terms
            && constant == 0.0
            && term.factor != 0.0
            && hits.iter().all(|h| h[0] <= 1)
        {
            return self.rescaled(index, term);
        }
        if constant == 0.0 && self.exact_sum(index, terms, &hits)? {
            return Ok(());
        }
        let inputs = terms.iter().map(|t| (&t.input, t.factor)).collect::<Vec<_>>();
        let (step, calibrated) = self.weighted_sum(index, &inputs, constant, &hits)?;
        let terms = self.integer_terms(terms, &step.step.coefficients);
        let linear = Linear::Combine { terms, constant: step.step.constant };
        self.push_sum(index, linear, &step, calibrated)
    }

    /// A sum with sums over blocks: float node `index`.
    pub(super) fn spread(
        &mut self,
        index: usize,
        (terms, sums, sums_first): (&[FloatPart], &[FloatPart], bool),
        blocks: usize,
    ) -> Result<(), QuantiseError> {
        if self.exact_spread(index, (terms, sums, sums_first), blocks)? {
            return Ok(());
        }
        let each = terms.iter().map(|_| 1).chain(sums.iter().map(|sum| sum.input.len() / blocks.max(1)));
        let hits = vec![each.map(|hits| hits as u32).collect::<Vec<_>>()];
        let inputs = terms.iter().chain(sums).map(|part| (&part.input, part.factor)).collect::<Vec<_>>();
        let (step, calibrated) = self.weighted_sum(index, &inputs, 0.0, &hits)?;
        let (of_terms, of_sums) = step.step.coefficients.split_at(terms.len());
        let terms = terms.iter().zip(of_terms);
        let terms = terms.map(|(part, coefficient)| BlockTerm {
            input: self.view(&part.input),
            coefficient: *coefficient,
            first: 0,
        });
        let sums = sums.iter().zip(of_sums);
        let sums = sums
            .map(|(part, coefficient)| BlockSum { input: self.view(&part.input), coefficient: *coefficient });
        let linear = Linear::Spread { terms: terms.collect(), sums: sums.collect(), blocks };
        self.push_sum(index, linear, &step, calibrated)
    }

    fn push_sum(
        &mut self,
        index: usize,
        linear: Linear,
        scaled: &Scaled<Integers>,
        calibrated: f64,
    ) -> Result<(), QuantiseError> {
        let (shift, table) = (self.graph.shift, self.table(index));
        let scale = (scaled.scale, scaled.scale / calibrated);
        self.push(index, linear, shift, table, scale, scaled.z, 0)
    }

    fn integer_terms(&self, terms: &[FloatTerm], coefficients: &[i64]) -> Vec<Term> {
        let term = |(term, coefficient): (&FloatTerm, &i64)| Term {
            input: self.view(&term.input),
            coefficient: *coefficient,
            target: term.target.clone(),
        };
        terms.iter().zip(coefficients).map(term).collect()
    }

    /// Integer factors of the inputs at a scale that fits, and the calibrated scale; `hits` as from [`hits`].
    fn weighted_sum(
        &self,
        index: usize,
        inputs: &[(&View, f32)],
        constant: f32,
        hits: &[Vec<u32>],
    ) -> Result<(Scaled<Integers>, f64), QuantiseError> {
        // What one unit of each input is worth.
        let worth: Vec<f64> =
            inputs.iter().map(|(input, factor)| f64::from(*factor) * self.scale_of(input)).collect();
        let bounds: Vec<(i64, i64)> = inputs.iter().map(|(input, _)| self.bound_of(input)).collect();
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => {
                let reach = |hits: &Vec<u32>| {
                    let each = hits.iter().zip(&worth).zip(&bounds);
                    each.map(|((h, w), b)| f64::from(*h) * w.abs() * b.1.max(-b.0) as f64).sum::<f64>()
                };
                let worst = hits.iter().map(reach).fold(0.0, f64::max) + f64::from(constant).abs();
                output_scale(self.graph.q_bits, worst)
            }
        };
        let unit = f64::from(self.graph.shift).exp2();
        let compares = self.model.graph.nodes[index].compares;
        let scaled = self.fit(index, calibrated, |scale| {
            let scale = round_scale(&worth, unit, scale);
            let coefficients: Vec<i64> = worth.iter().map(|w| (w * unit / scale).round() as i64).collect();
            let constant = match (&coefficients[..], &worth[..]) {
                ([coefficient], [worth]) if compares => {
                    ((f64::from(constant) / worth).round() as i64).saturating_mul(*coefficient)
                }
                _ => (f64::from(constant) * unit / scale).round() as i64,
            };
            let z = worst_case(&coefficients, constant, &bounds, hits);
            Scaled { step: Integers { coefficients, constant }, scale, z }
        })?;
        let exact = worth
            .iter()
            .map(|w| (w * unit / scaled.scale).abs())
            .filter(|c| *c > 0.0)
            .fold(f64::INFINITY, f64::min);
        if exact < 0.5 {
            let node = &self.model.graph.nodes[index];
            let (name, operator, shift) = (node.name.clone(), node.operator.clone(), self.graph.shift);
            return Err(QuantiseError::Factor { node: name, operator, shift, got: exact });
        }
        Ok((scaled, calibrated))
    }

    /// One term and no constant: the same integers (or their negatives) at another scale, exactly.
    fn rescaled(&mut self, index: usize, term: &FloatTerm) -> Result<(), QuantiseError> {
        let coefficient = if term.factor > 0.0 { 1 } else { -1 };
        let scale = f64::from(term.factor.abs()) * self.scale_of(&term.input);
        let (lo, hi) = self.bound_of(&term.input);
        let z = if coefficient > 0 { (lo, hi) } else { (-hi, -lo) };
        let z = (z.0.min(0), z.1.max(0));
        let term = Term { input: self.view(&term.input), coefficient, target: term.target.clone() };
        let linear = Linear::Combine { terms: vec![term], constant: 0 };
        self.push(index, linear, 0, self.keeping_table(index, z), (scale, 1.0), z, 0)
    }
}

/// For each output element, how many elements of each term it receives.
fn hits(terms: &[FloatTerm], len: usize) -> Vec<Vec<u32>> {
    let mut hits = vec![vec![0; terms.len()]; len];
    for (t, term) in terms.iter().enumerate() {
        match &term.target {
            None => hits.iter_mut().for_each(|h| h[t] += 1),
            Some(target) => target.iter().flatten().for_each(|o| hits[*o as usize][t] += 1),
        }
    }
    hits.sort_unstable();
    hits.dedup();
    hits
}

/// A scale a little above `scale` at which the largest coefficient is an integer and the others are nearly so.
pub(super) fn round_scale(worth: &[f64], unit: f64, scale: f64) -> f64 {
    let largest = worth.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
    let top = (largest * unit / scale).floor();
    if top < 1.0 {
        return scale;
    }
    let cost = |coefficient: f64| {
        let scale = largest * unit / coefficient;
        let off = |w: &f64| (w * unit / scale - (w * unit / scale).round()).abs();
        let error = worth.iter().map(off).fold(0.0, f64::max) / coefficient;
        // Coarseness costs half a unit of the activation range, an inexact coefficient its share of the whole range.
        error + (top / coefficient - 1.0) / 256.0
    };
    let candidates = (0..16).map(|step| top - f64::from(step)).filter(|c| *c >= 1.0 && *c >= top * 0.8);
    let best = candidates.min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(top);
    largest * unit / best
}

fn worst_case(coefficients: &[i64], constant: i64, bounds: &[(i64, i64)], hits: &[Vec<u32>]) -> (i64, i64) {
    let mut worst = (0, 0);
    for hits in hits {
        let mut reach = (constant, constant);
        for ((c, bound), hits) in coefficients.iter().zip(bounds).zip(hits) {
            let c = c.saturating_mul(i64::from(*hits));
            let (a, b) = (c.saturating_mul(bound.0), c.saturating_mul(bound.1));
            reach = (reach.0.saturating_add(a.min(b)), reach.1.saturating_add(a.max(b)));
        }
        worst = (worst.0.min(reach.0), worst.1.max(reach.1));
    }
    worst
}
