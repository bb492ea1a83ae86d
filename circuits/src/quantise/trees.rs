//! Ensembles of trees, hidden but for their number and depth: all comparisons are made at once, and level by level a tensor of bits
//! says which node each tree has reached.
//!
//! 1. `z = x·S + (2^(shift−1) − 1 − T)`, `S` a column of zeros and a single one for every comparison (of zeros alone where a tree
//!    has none): `q ≤ 0` if and only if `x_f ≤ T`. The table gives that bit `b`.
//! 2. A node of the next level is reached, `a' = 1`, if its parent is and `b` points to it: `a + b = 2` for the first child,
//!    `2a − b = 2` for the second. One table tells 2 from −1, 0 and 1.
//! 3. The sum of the reached leaves' values, a product with hidden weights.
//!
//! **Error.** `T` is `t/s` rounded as `x` is, `s` being the input's scale, and one less for `x < t`. A record's
//! value on the threshold itself is always decided as in the float model, and so is one on the side on which the comparison holds;
//! one on the other side may be taken to hold as well if it is less than `s` from the threshold. Everything behind the
//! comparisons is exact but for the leaves' values, each rounded to `s_y/2^shift`, so where all comparisons agree the output is within
//! `s_y·(1/2 + (trees + 1)/2^(shift+1))` of the float model's.

use super::linear::output_scale;
use super::{Builder, QuantiseError, Scaled};
use crate::float::FloatOp;
use crate::forest::{Forest, Split};
use crate::graph::{ConvGeometry, Linear, TableKind, TensorId, Term, View};

/// Integer leaves and what outputs begin with.
struct Leaves {
    values: Vec<i64>,
    base: Vec<i64>,
}

impl Builder<'_> {
    /// An ensemble: float node `index`.
    pub(super) fn trees(&mut self, index: usize) -> Result<(), QuantiseError> {
        let FloatOp::Trees { input, forest } = &self.model.graph.nodes[index].op else { return Ok(()) };
        let bits = self.comparisons(index, input, forest)?;
        let mut reached = self.roots(index, forest)?;
        for level in 0..forest.depth {
            reached = self.next_level(index, forest, level, bits, reached)?;
        }
        self.leaf_sums(index, forest, reached)
    }

    /// One bit a comparison: whether the first child is taken.
    fn comparisons(
        &mut self,
        index: usize,
        input: &View,
        forest: &Forest,
    ) -> Result<TensorId, QuantiseError> {
        let (lo, hi) = self.bound_of(input);
        let (shift, scale) = (self.graph.shift, self.scale_of(input));
        let half = 1i64 << (shift - 1);
        let count = forest.splits.len();
        let mut selection = vec![0; forest.features * count];
        let mut offsets = vec![0; count];
        for (node, split) in forest.splits.iter().enumerate() {
            let Some(split) = split else { continue };
            selection[split.feature as usize * count + node] = 1;
            // Beyond the range of the input, a threshold decides as at its ends.
            let threshold = threshold(split, scale).clamp((lo - 1) as f64, hi as f64) as i64;
            offsets[node] = (half - 1 - threshold) as i32;
        }
        let name = self.model.graph.nodes[index].name.clone();
        let weight = self.add_weight(&format!("{name}.features"), vec![forest.features, count], selection);
        let bias = Some(self.add_weight(&format!("{name}.thresholds"), vec![count], offsets));
        let reach = hi - lo + 1 + half;
        let holds = self.listed("at most 0", reach, |q| i32::from(q <= 0));
        let input = View { shape: vec![1, forest.features], ..self.view(input) };
        let linear = Linear::MatMul { input, weight, bias };
        let shape = vec![forest.leaf_count() - 1, 1, forest.trees];
        self.push_step(index, "compare", linear, shift, holds, shape, reach, 1.0)
    }

    /// The root of every tree is reached.
    fn roots(&mut self, index: usize, forest: &Forest) -> Result<TensorId, QuantiseError> {
        let linear = Linear::Combine { terms: Vec::new(), constant: 1 };
        self.push_step(index, "roots", linear, 0, TableKind::Identity, vec![1, 1, forest.trees], 1, 1.0)
    }

    /// Which nodes of the level after `level` are reached.
    fn next_level(
        &mut self,
        index: usize,
        forest: &Forest,
        level: u32,
        bits: TensorId,
        reached: TensorId,
    ) -> Result<TensorId, QuantiseError> {
        let nodes = forest.trees << level;
        let first = forest.split_index(level, 0, 0);
        let view = |tensor: TensorId| View::plain(tensor, self.graph.tensors[tensor.0].shape.clone());
        let to = |begin: usize, len: usize, child: usize| {
            let target =
                |e: usize| (begin..begin + nodes).contains(&e).then(|| (e - begin + child * nodes) as u32);
            Some((0..len).map(target).collect())
        };
        let term = |tensor, coefficient, begin, len, child| Term {
            input: view(tensor),
            coefficient,
            target: to(begin, len, child),
        };
        let terms = vec![
            term(reached, 1, 0, nodes, 0),
            term(reached, 2, 0, nodes, 1),
            term(bits, 1, first, forest.splits.len(), 0),
            term(bits, -1, first, forest.splits.len(), 1),
        ];
        let table = self.listed("is 2", 2, |q| i32::from(q == 2));
        let shape = vec![2 << level, 1, forest.trees];
        let linear = Linear::Combine { terms, constant: 0 };
        self.push_step(index, &format!("level{}", level + 1), linear, 0, table, shape, 2, 1.0)
    }

    /// The sums of the values of the leaves reached: a convolution whose kernel is as large as its input, so that few random
    /// evaluations prove it.
    fn leaf_sums(&mut self, index: usize, forest: &Forest, reached: TensorId) -> Result<(), QuantiseError> {
        let worst =
            forest.reach(f64::from).into_iter().fold(0.0, |worst: f64, (lo, hi)| worst.max(hi).max(-lo));
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => output_scale(self.graph.q_bits, worst),
        };
        let shift = self.graph.shift;
        let scaled = self.fit(index, calibrated, |scale| {
            let unit = f64::from(shift).exp2() / scale;
            let integer = |v: f32| (f64::from(v) * unit).round() as i64;
            let z = forest.reach(integer).into_iter();
            let z = z.fold((0, 0), |all: (i64, i64), one| (all.0.min(one.0), all.1.max(one.1)));
            let values = forest.leaves.iter().map(|v| integer(*v)).collect();
            let base = forest.base.iter().map(|v| integer(*v)).collect();
            Scaled { step: Leaves { values, base }, scale, z }
        })?;
        let Leaves { values, base } = scaled.step;
        let bits_of = |values: &[i64]| values.iter().map(|v| super::bits((*v, *v)) + 1).max().unwrap_or(0);
        let weight_bits = bits_of(&values);
        for (got, expected) in [(weight_bits, self.options.weight_bits_max), (bits_of(&base), i32::BITS - 1)]
        {
            if got > expected {
                let node = &self.model.graph.nodes[index];
                let (node, operator) = (node.name.clone(), node.operator.clone());
                return Err(QuantiseError::WeightRange { node, operator, expected, got });
            }
        }
        // The checks above leave values of at most 31 bits.
        let narrow = |values: Vec<i64>| values.into_iter().map(|v| v as i32).collect();
        let name = self.model.graph.nodes[index].name.clone();
        let image = vec![forest.leaf_count(), 1, forest.trees];
        let kernel = [&[forest.outputs], image.as_slice()].concat();
        let weight = self.add_weight(&format!("{name}.leaves"), kernel, narrow(values));
        let bias = Some(self.add_weight(&format!("{name}.base"), vec![forest.outputs], narrow(base)));
        let geometry = ConvGeometry { stride: (1, 1), dilation: (1, 1), pads: (0, 0, 0, 0), groups: 1 };
        let input = View::plain(reached, image);
        let linear = Linear::Conv { input, weight, bias, geometry, residual: Vec::new(), low_bits: 0 };
        let table = self.table(index);
        let scale = (scaled.scale, scaled.scale / calibrated);
        self.push(index, linear, shift, table, scale, scaled.z, weight_bits)
    }
}

/// The largest integer at which a comparison holds.
fn threshold(split: &Split, scale: f64) -> f64 {
    (f64::from(split.threshold) / scale).round() - f64::from(u8::from(split.strict))
}
