//! Products with weights that read every token at a scale of its own: `y = (x̂·W)·a + bias`, `a = max |x|`, `x̂ = x/a`, a token
//! being a row of the (rows, columns) view that is read.
//!
//! `a` is exact: magnitudes are table entries, and halves of a row are compared at a time. A table has `R = floor(N·2^shift/a)`, `N` the
//! largest activation, and `x̂ = floor(x·R/2^shift + 1/2)`, so |x̂| ≤ N. `p` is the requantised product of `x̂` and the weights, with
//! [`FINER_BITS`] bits more than `x̂`. `A = 2^α·N·2^shift/R` rounded is the inverse of what `x` was multiplied by, not of what it
//! should have been, so what `R` loses by rounding costs nothing; `y = floor(p·A/2^shift + 1/2)`, and a 1×1 convolution adds the bias.
//! α is an integer and the scale of `p` goes by it, so layers share their tables. A token of zeros counts as one with `a = 1`.
//!
//! Error, given the integers of `x`, of the products without bias: |y·s_y − exact| ≤ a·s_x·(Σ|W|/(2N) + s_p/2)·(1 + 1/(2A)) + |exact|/(2A) +
//! s_y/2, weights that are rounded aside: relative to the token's own largest element, but for the last part.
//!
//! `x` and `y` themselves have one scale each and are kept at more bits ([`SPAN_BITS`]): what is rounded away before the token's own
//! scale is known is lost.

use super::linear::{Owner, output_scale, worst_case, worst_float};
use super::{Builder, QuantiseError, Scaled, bits, fill};
use crate::float::{FloatModel, FloatOp, FloatTrace, FloatWeight};
use crate::graph::{BlockTerm, ConvGeometry, Linear, TableKind, TensorId, Term, View, requantise};

/// Bits that tensors have besides those of a token's elements: a token a 64th as large as the largest still has all of its own.
pub(super) const SPAN_BITS: u32 = 6;
/// Bits of a product of normalised tokens besides those of their elements.
const FINER_BITS: u32 = 4;
/// How much finer than the result is what a bias is added to.
const FINER: f64 = 4.0;
/// Least factor of a token, so that rounding it leaves most of the range of `x̂`.
const FACTOR_MIN: i64 = 8;
/// How many powers of two are tried for the scale of a product.
const POWERS: i32 = 24;

/// Normalised tokens.
#[derive(Clone)]
pub(super) struct Tokens {
    /// What was read, of the float graph.
    input: View,
    /// `x̂`, as (rows, columns).
    elements: TensorId,
    /// `a` of each row.
    largest: TensorId,
    /// Bound on `a`.
    reach: i64,
    /// What a unit of `a` is worth.
    scale: f64,
}

/// The product of normalised tokens and weights, for results of a certain scale.
struct Product {
    weights: Vec<i64>,
    weight_bits: u32,
    /// What a unit of `p` is worth.
    scale: f64,
    /// Bound on the sums.
    reach: i64,
    /// The exponent α.
    power: i32,
}

/// A product, the scale of its result and the bound on the sums that give it.
struct Found {
    product: Product,
    scale: f64,
    reach: i64,
}

/// Whether a float node multiplies tokens by weights.
pub(super) fn has_tokens(model: &FloatModel, index: usize) -> bool {
    let node = &model.graph.nodes[index];
    node.grid.is_none() && matches!(&node.op, FloatOp::MatMul { input, .. } if input.shape[0] > 1)
}

/// The largest magnitude of `x̂·W` of float node `index` on a record, from the float model's values, or where these are in no known
/// order, the largest that there can be.
pub(super) fn largest_product(model: &FloatModel, index: usize, trace: &FloatTrace) -> f64 {
    let FloatOp::MatMul { input, weight, .. } = &model.graph.nodes[index].op else { return 0.0 };
    let (columns, values) = (weight.shape[1], &trace.tensors[input.tensor.0]);
    let Some(seen) = model.graph.tensors[input.tensor.0].seen.as_ref().filter(|v| v.len() == values.len())
    else {
        let of_column = |n| weight.values.iter().skip(n).step_by(columns).map(|w| f64::from(w.abs())).sum();
        return (0..columns).map(of_column).fold(0.0, f64::max);
    };
    let mut x = vec![0.0f32; values.len()];
    values.iter().enumerate().for_each(|(e, v)| x[seen.element(e)] = *v);
    let mut largest = 0.0f32;
    for row in 0..input.shape[0] {
        let token = (0..input.shape[1]).map(|k| x[input.element(row * input.shape[1] + k)]);
        let reach = token.clone().fold(0.0f32, |reach, v| reach.max(v.abs()));
        if reach > 0.0 {
            let mut sums = vec![0.0f32; columns];
            for (v, weights) in token.zip(weight.values.chunks_exact(columns)) {
                sums.iter_mut().zip(weights).for_each(|(sum, w)| *sum += v / reach * w);
            }
            largest = sums.iter().fold(largest, |largest, sum| largest.max(sum.abs()));
        }
    }
    largest.into()
}

/// `R` of a row whose largest magnitude is `a`.
fn inverse(units: i64, shift: u32, a: i64) -> i64 {
    ((units << shift) / a.max(1)).min(i32::MAX.into())
}

/// `A` of such a row.
fn factor(units: i64, shift: u32, power: i32, a: i64) -> f64 {
    let exact = (units << shift) as f64 / inverse(units, shift, a) as f64;
    (exact * f64::from(power).exp2() + 0.5).floor()
}

impl Builder<'_> {
    /// A product whose tokens have scales of their own: float node `index`. `seen` is the largest magnitude of `x̂·W` in calibration.
    pub(super) fn per_token(&mut self, index: usize, seen: f64) -> Result<(), QuantiseError> {
        let model = self.model;
        let FloatOp::MatMul { input, weight, bias } = &model.graph.nodes[index].op else { return Ok(()) };
        let tokens = self.tokens_of(index, input)?;
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => {
                let (lo, hi) = self.bound_of(input);
                let (range, owner) = ((lo.min(0), hi.max(0)), Owner::Column(weight.shape[1]));
                output_scale(self.graph.q_bits, worst_float(weight, bias, owner, range, tokens.scale))
            }
        };
        let result_seen = self.seen(index).1;
        if let Some(bias) = bias {
            let largest = bias.values.iter().fold(0.0, |largest: f64, b| largest.max(f64::from(b.abs())));
            let scales = (calibrated / FINER, self.coarsest(index, calibrated));
            let found = self.find(index, &tokens, weight, (seen, result_seen + largest), scales)?;
            return self.push_with_bias(index, &tokens, weight, bias, found, calibrated);
        }
        let scales = (calibrated, self.coarsest(index, calibrated));
        let found = self.find(index, &tokens, weight, (seen, result_seen), scales)?;
        let (shift, table, weight_bits) = (self.graph.shift, self.table(index), found.product.weight_bits);
        let linear = self.push_product(index, &tokens, weight, &found)?;
        let scale = (found.scale, found.scale / calibrated);
        self.push(index, linear, shift, table, scale, (-found.reach, found.reach), weight_bits)
    }

    /// The tokens of a view, made once.
    fn tokens_of(&mut self, index: usize, input: &View) -> Result<Tokens, QuantiseError> {
        let same = |known: &&Tokens| {
            let of = |view: &View| (view.tensor, view.shape.clone());
            of(&known.input) == of(input) && known.input.order == input.order
        };
        if let Some(known) = self.tokens.iter().find(same) {
            return Ok(known.clone());
        }
        let (rows, columns) = (input.shape[0], input.shape[1]);
        let (shift, units) = (self.graph.shift, self.token_units());
        let ((lo, hi), scale, x) = (self.bound_of(input), self.scale_of(input), self.view(input));
        let reach = hi.max(-lo).max(1);
        let got = inverse(units, shift, reach);
        if got < FACTOR_MIN {
            let node = &self.model.graph.nodes[index];
            let (node, operator) = (node.name.clone(), node.operator.clone());
            return Err(QuantiseError::TokenFactor { node, operator, shift, got });
        }
        let shape = vec![rows, columns];
        let magnitudes = match lo < 0 {
            false => x.clone(),
            true => {
                let table = self.listed("magnitude", reach, |q| q.unsigned_abs() as i32);
                let terms = vec![BlockTerm { input: x.clone(), coefficient: 1, first: 0 }];
                let linear = Linear::Spread { terms, sums: Vec::new(), blocks: rows };
                let made =
                    self.push_step(index, "magnitude", linear, 0, table, shape.clone(), reach, scale)?;
                View::plain(made, shape.clone())
            }
        };
        let largest = self.row_maximum(index, "", &magnitudes, (0, reach), scale)?;
        let table = self.listed("1/largest", reach, |a| inverse(units, shift, a) as i32);
        let inverses = self.push_of_rows(index, "1/largest", largest, rows, table, reach)?;
        let left = View::plain(inverses, vec![rows, 1, 1]);
        let right = View { shape: vec![rows, 1, columns], ..x };
        let linear = Linear::BatchMatMul { left, right, factor: 1 };
        let (reach_of_elements, unit) = (units << shift, 1.0 / units as f64);
        let table = TableKind::Identity;
        let elements =
            self.push_step(index, "token", linear, shift, table, shape, reach_of_elements, unit)?;
        let tokens = Tokens { input: input.clone(), elements, largest, reach, scale };
        self.tokens.push(tokens.clone());
        Ok(tokens)
    }

    /// A table entry for each row's largest magnitude.
    fn push_of_rows(
        &mut self,
        index: usize,
        what: &str,
        largest: TensorId,
        rows: usize,
        table: TableKind,
        reach: i64,
    ) -> Result<TensorId, QuantiseError> {
        let input = View::plain(largest, vec![rows]);
        let terms = vec![Term { input, coefficient: 1, target: None }];
        let linear = Linear::Combine { terms, constant: 0 };
        self.push_step(index, what, linear, 0, table, vec![rows], reach, 1.0)
    }

    /// The largest element of a token.
    fn token_units(&self) -> i64 {
        (1 << (self.options.activation_bits - 1)) - 1
    }

    /// A scale of the result, from `start` on and up to `limit`, at which it fits the table. `seen` are the largest magnitudes of `x̂·W`
    /// and of the result in calibration.
    fn find(
        &self,
        index: usize,
        tokens: &Tokens,
        weight: &FloatWeight,
        seen: (f64, f64),
        (start, limit): (f64, f64),
    ) -> Result<Found, QuantiseError> {
        let (shift, q_bits) = (self.graph.shift, self.graph.q_bits);
        let (mut scale, mut got) = (start, q_bits + 1);
        while scale <= limit {
            let Some(product) = self.product_for(tokens, weight, seen.0, scale) else { break };
            let factor = factor(self.token_units(), shift, product.power, tokens.reach) as i64;
            let reach = requantise(product.reach, shift).saturating_mul(factor);
            let (lo, hi) = self.within(seen.1, scale, (-reach, reach));
            let q = (requantise(lo, shift), requantise(hi, shift));
            got = bits(q);
            if got <= q_bits {
                return Ok(Found { product, scale, reach: hi.max(-lo) });
            }
            scale *= (q.1 as f64 / f64::from(q_bits).exp2()).max(1.0) * 1.001;
        }
        let node = &self.model.graph.nodes[index];
        let (node, operator) = (node.name.clone(), node.operator.clone());
        Err(QuantiseError::TableRange { node, operator, expected: q_bits, got })
    }

    /// The finest product that fits tables and weights, but no finer than it needs to be.
    fn product_for(&self, tokens: &Tokens, weight: &FloatWeight, seen: f64, scale: f64) -> Option<Product> {
        let (shift, units) = (self.graph.shift, self.token_units());
        let unit = f64::from(shift).exp2();
        let wanted = fill(seen, f64::from(self.options.activation_bits + FINER_BITS - 1).exp2() - 1.0);
        let first = (wanted * tokens.scale * unit / scale).log2().floor().clamp(-64.0, 64.0) as i32;
        (first..first + POWERS).find_map(|power| {
            let of_product = scale * f64::from(power).exp2() / (tokens.scale * unit);
            let by = unit / (units as f64 * of_product);
            let weights: Vec<i64> =
                weight.values.iter().map(|w| (f64::from(*w) * by).round() as i64).collect();
            let weight_bits = weights.iter().map(|w| bits((*w, *w)) + 1).max().unwrap_or(0);
            let z = worst_case(&weights, None, Owner::Column(weight.shape[1]), (-units, units));
            let z = self.within(seen, of_product, z);
            let fits = weight_bits <= self.options.weight_bits_max
                && bits((requantise(z.0, shift), requantise(z.1, shift))) <= self.graph.q_bits
                && factor(units, shift, power, tokens.reach) <= f64::from(i32::MAX);
            let reach = z.1.max(-z.0);
            fits.then_some(Product { weights, weight_bits, scale: of_product, reach, power })
        })
    }

    /// Adds `p` and `A`; their product is what is returned.
    fn push_product(
        &mut self,
        index: usize,
        tokens: &Tokens,
        weight: &FloatWeight,
        found: &Found,
    ) -> Result<Linear, QuantiseError> {
        let (rows, inner, columns) = (tokens.input.shape[0], weight.shape[0], weight.shape[1]);
        let (shift, units, product) = (self.graph.shift, self.token_units(), &found.product);
        // At most `weight_bits_max` bits, which is below 32.
        let values = product.weights.iter().map(|w| *w as i32).collect();
        let weight = self.add_weight(&weight.name, weight.shape.clone(), values);
        let input = View::plain(tokens.elements, vec![rows, inner]);
        let linear = Linear::MatMul { input, weight, bias: None };
        let (reach, shape) = (self.public_bound(product.reach, shift), vec![rows, columns]);
        let table = TableKind::Identity;
        let made = self.push_step(index, "normalised", linear, shift, table, shape, reach, product.scale)?;
        let power = product.power;
        let name = format!("largest × 2^{power}");
        let table = self.listed(&name, tokens.reach, |a| factor(units, shift, power, a) as i32);
        let factors = self.push_of_rows(index, "largest", tokens.largest, rows, table, tokens.reach)?;
        let left = View::plain(factors, vec![rows, 1, 1]);
        Ok(Linear::BatchMatMul { left, right: View::plain(made, vec![rows, 1, columns]), factor: 1 })
    }

    /// The result with its bias, column by column.
    fn push_with_bias(
        &mut self,
        index: usize,
        tokens: &Tokens,
        weight: &FloatWeight,
        bias: &FloatWeight,
        found: Found,
        calibrated: f64,
    ) -> Result<(), QuantiseError> {
        let (rows, columns, shift) = (tokens.input.shape[0], weight.shape[1], self.graph.shift);
        let unit = f64::from(shift).exp2();
        let linear = self.push_product(index, tokens, weight, &found)?;
        let (most, shape) = (self.public_bound(found.reach, shift), vec![rows, columns]);
        let made =
            self.push_step(index, "product", linear, shift, TableKind::Identity, shape, most, found.scale)?;
        let reach = requantise(found.reach, shift);
        let scaled = self.fit(index, calibrated, |scale| {
            let whole = (found.scale * unit / scale).round().max(1.0);
            let (scale, by) = (found.scale * unit / whole, whole as i64);
            let offsets: Vec<i64> =
                bias.values.iter().map(|b| (f64::from(*b) * unit / scale).round() as i64).collect();
            let largest = offsets.iter().map(|b| b.saturating_abs()).max().unwrap_or(0);
            let z = reach.saturating_mul(by).saturating_add(largest);
            Scaled { step: (by, offsets), scale, z: (-z, z) }
        })?;
        let (by, offsets) = scaled.step;
        let widest = offsets.iter().chain([&by]).map(|v| bits((*v, *v)) + 1).max().unwrap_or(0);
        if widest >= i32::BITS {
            let node = &self.model.graph.nodes[index];
            let (node, operator) = (node.name.clone(), node.operator.clone());
            return Err(QuantiseError::WeightRange { node, operator, expected: i32::BITS - 1, got: widest });
        }
        let ones = self.add_weight(
            &format!("{}.factor", weight.name),
            vec![columns, 1, 1, 1],
            vec![by as i32; columns],
        );
        let offsets = offsets.into_iter().map(|b| b as i32).collect();
        let offsets = self.add_weight(&bias.name, bias.shape.clone(), offsets);
        let order = (0..columns).flat_map(|n| (0..rows).map(move |row| (row * columns + n) as u32));
        let input = View { tensor: made, shape: vec![columns, 1, rows], order: Some(order.collect()) };
        let geometry = ConvGeometry { stride: (1, 1), dilation: (1, 1), pads: (0, 0, 0, 0), groups: columns };
        let linear = Linear::Conv {
            input,
            weight: ones,
            bias: Some(offsets),
            geometry,
            residual: Vec::new(),
            low_bits: 0,
        };
        let (table, weight_bits) = (self.table(index), found.product.weight_bits);
        let scale = (scaled.scale, scaled.scale / calibrated);
        self.push(index, linear, shift, table, scale, scaled.z, weight_bits)?;
        if let (Some(report), Some(tensor)) = (self.reports.last_mut(), self.graph.tensors.last_mut()) {
            report.turned = Some(rows);
            tensor.shape = vec![columns, rows];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::{cosine, measure_layers};
    use crate::graph::IntGraph;
    use crate::import::check::{Onnx, noise};
    use crate::interpret::run;
    use crate::quantise::{
        NodeReport, PerToken, QuantiseOptions, QuantiseReport, dequantise_output, quantise, quantise_record,
    };

    /// Two layers of six tokens of nine numbers.
    fn layers() -> FloatModel {
        let onnx = Onnx::new(&[1, 6, 9]).noise("w", &[9, 7], 1.0).noise("v", &[7, 5], 1.0);
        let onnx = onnx.node("MatMul", &["x", "w"], "h", vec![]).node("Relu", &["h"], "r", vec![]);
        onnx.node("MatMul", &["r", "v"], "y", vec![]).import("y").unwrap()
    }

    /// Tokens of magnitudes 1, 10 and 100 in turn, of `width` numbers each.
    fn uneven(seed: u64, len: usize, width: usize) -> Vec<f32> {
        let scale = |e: usize| [1.0, 10.0, 100.0][(e / width + seed as usize) % 3];
        noise(seed, len, 1.0).iter().enumerate().map(|(e, v)| v * scale(e)).collect()
    }

    fn options(per_token: PerToken) -> QuantiseOptions {
        QuantiseOptions { per_token, shift: Some(12), q_bits: Some(16), ..QuantiseOptions::default() }
    }

    fn named(names: &[&str]) -> PerToken {
        PerToken::Layers(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// The least cosine of any token of any record's output.
    fn least_cosine(
        model: &FloatModel,
        records: &[Vec<f32>],
        options: &QuantiseOptions,
        width: usize,
    ) -> f64 {
        let (graph, weights, _) = quantise(model, records, options).unwrap();
        let mut least = 1.0f64;
        for record in records {
            let integers = run(&graph, &weights, &quantise_record(&graph, record).unwrap()).unwrap().output;
            let (got, want) = (dequantise_output(&graph, &integers), model.run(record).unwrap().output);
            for (got, want) in got.chunks(width).zip(want.chunks(width)) {
                least = least.min(cosine(got, want));
            }
        }
        least
    }

    #[test]
    fn small_tokens_beside_large_ones_keep_their_direction_where_one_scale_for_all_loses_it() {
        let (model, records) = (layers(), (0..12).map(|seed| uneven(seed, 54, 9)).collect::<Vec<_>>());
        let per_tensor = least_cosine(&model, &records, &options(PerToken::None), 5);
        let per_token = least_cosine(&model, &records, &options(PerToken::All), 5);
        assert!(per_tensor < 0.9, "{per_tensor}");
        assert!(per_token > 0.99, "{per_token}");
    }

    /// Quantises with tokens' own scales, looks at every layer, and returns the integer model.
    fn check(onnx: Onnx, per_token: PerToken, width: usize) -> (IntGraph, QuantiseReport) {
        let model = onnx.import("y").unwrap();
        let len = model.record_len();
        let mut records: Vec<_> = (0..12).map(|seed| uneven(seed, len, width)).collect();
        records.push(vec![0.0; len]);
        records[1][..width].fill(0.0);
        let options = options(per_token);
        let (graph, weights, report) = quantise(&model, &records, &options).unwrap();
        let measured = measure_layers(&model, &graph, &weights, &report.nodes, &records, None).unwrap();
        assert!(measured.0.comparison.relative_error() < 0.01, "{measured:?}");
        for layer in measured.1 {
            // Elements that were compared in the wrong order would have an error near 1.
            assert!(layer.relative_error().is_none_or(|error| error < 0.02), "{layer:?}");
        }
        // Corners of the range, far outside what calibration saw: the interpreter checks every bound.
        let (lo, hi) = graph.record_range();
        for seed in 0..20 {
            let corner = |v: &f32| if *v > 0.0 { hi as i32 } else { lo as i32 };
            run(&graph, &weights, &noise(seed, len, 1.0).iter().map(corner).collect::<Vec<_>>()).unwrap();
        }
        (graph, report)
    }

    fn bits(report: &[NodeReport]) -> Vec<(&str, Option<u32>, Option<u32>)> {
        report.iter().map(|node| (node.name.as_str(), node.activation_bits, node.token_bits)).collect()
    }

    #[test]
    fn with_bias_and_function_and_every_view_of_the_tokens() {
        let onnx = Onnx::new(&[1, 3, 5]).noise("w", &[5, 7], 1.0).noise("b", &[7], 1.0);
        let onnx = onnx.noise("v", &[4, 3], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
        let onnx = onnx.node("Add", &["a", "b"], "c", vec![]).node("Relu", &["c"], "d", vec![]);
        // A matrix from the left: its tokens are columns of what stands there.
        let onnx = onnx.node("MatMul", &["v", "d"], "e", vec![]).noise("u", &[7, 1], 1.0);
        let onnx = onnx.node("Tanh", &["e"], "f", vec![]);
        let onnx = onnx.node("MatMul", &["f", "u"], "y", vec![]);
        let (_, report) = check(onnx, named(&["a", "e"]), 5);
        let told = [("x", Some(14), None), ("a", Some(14), Some(8)), ("e", Some(14), Some(8))];
        assert_eq!(bits(&report.nodes)[..3], told);
        assert_eq!(report.nodes.last().unwrap().token_bits, None);
    }

    #[test]
    fn with_a_bias_as_the_output_and_of_single_columns() {
        for (inner, columns) in [(1i64, 3i64), (4, 1), (6, 5)] {
            let onnx =
                Onnx::new(&[1, 5, inner]).noise("w", &[inner, columns], 1.0).noise("b", &[columns], 1.0);
            let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("Add", &["a", "b"], "y", vec![]);
            check(onnx, PerToken::All, inner as usize);
        }
    }

    #[test]
    fn products_that_read_the_same_tokens_share_what_they_are_divided_by() {
        let onnx = Onnx::new(&[1, 4, 6]).noise("w", &[6, 6], 1.0).noise("v", &[6, 6], 1.0);
        let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("MatMul", &["x", "v"], "b", vec![]);
        let onnx = onnx.node("Add", &["a", "b"], "y", vec![]);
        let (graph, _) = check(onnx, PerToken::All, 6);
        let divided = graph.nodes.iter().filter(|node| node.name.ends_with(".token")).count();
        assert_eq!(divided, 1, "{:?}", graph.nodes.iter().map(|node| &node.name).collect::<Vec<_>>());
    }

    #[test]
    fn layers_without_tokens_or_unknown_are_refused_with_those_that_have_them() {
        let onnx = Onnx::new(&[1, 4, 6]).noise("w", &[6, 6], 1.0).noise("v", &[24, 3], 1.0);
        let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("Flatten", &["a"], "f", vec![]);
        let model = onnx.node("MatMul", &["f", "v"], "y", vec![]).import("y").unwrap();
        let records = [noise(1, 24, 1.0)];
        for name in ["y", "x", "nothing"] {
            let error = quantise(&model, &records, &options(named(&["a", name]))).unwrap_err();
            let expected = QuantiseError::Tokens { expected: "`a`".into(), got: name.into() };
            assert_eq!(error, expected);
        }
        assert!(quantise(&model, &records, &options(PerToken::All)).is_ok());
        let onnx = Onnx::new(&[1, 6]).noise("w", &[6, 6], 1.0).node("MatMul", &["x", "w"], "y", vec![]);
        let error = quantise(&onnx.import("y").unwrap(), &[noise(1, 6, 1.0)], &options(PerToken::All));
        assert!(matches!(error.unwrap_err(), QuantiseError::Tokens { got, .. } if got == "all"));
    }

    #[test]
    fn a_shift_that_leaves_no_factor_for_the_largest_token_is_refused() {
        let options = QuantiseOptions { shift: Some(7), ..options(PerToken::All) };
        let error = quantise(&layers(), &[uneven(1, 54, 9)], &options).unwrap_err();
        assert!(matches!(error, QuantiseError::TokenFactor { shift: 7, .. }), "{error}");
    }

    #[test]
    fn widths_given_by_hand_stay_as_they_are() {
        let layer_bits = [("x".to_owned(), 11)].into();
        let options = QuantiseOptions { layer_bits, ..options(PerToken::All) };
        let (_, _, report) = quantise(&layers(), &[uneven(1, 54, 9)], &options).unwrap();
        let told = [("x", Some(11), None), ("h", Some(14), Some(8)), ("y", None, Some(8))];
        assert_eq!(bits(&report.nodes), told);
    }
}
