//! Sums and differences of two tensors that the model itself quantises (`grid.rs`), with the integers that a runtime gives.
//!
//! Sums of `a` and `b` follow ONNX Runtime's `QLinearAdd`, which it also runs between `DequantizeLinear` and `QuantizeLinear` of unsigned integers:
//! `r = round(fma(a, s_a/s_y, fma(b, s_b/s_y, c)))`, `c = z_y − fma(s_a/s_y, z_a, z_b·s_b/s_y)`, in single precision. Between pairs of signed ones, and for differences,
//! it is `round((a·s_a ± b·s_b)/s_y)`. One of three forms is taken that agrees with it for every pair `(a, b)` in their ranges; every pair is tried.
//!
//! 1. `table(A·a + B·b)` with small factors, where the scales are in a ratio `A : B`: one node. Ties are fine.
//! 2. Otherwise `r = h(a) + h(b) + carry`, and whether there is a carry is a comparison of the two remainders, of whose sizes only the order
//!    counts: `[rank(a) ≥ rank(b)]` with ranks of at most 257. Six nodes: two tables of each operand, the comparison, and the sum. Of sums alone.
//! 3. One table of all pairs (`grid_pairs.rs`). Where tables hold it, it comes before ranks of large tensors. Where one tensor spreads over the other it is
//!    the only one.
//!
//! What fits none of these is requantised twice and said not to be exact.

use super::grid_operand::Operand;
use super::grid_pairs::{PAIRED_MIN, Pairs};
use super::{Builder, QuantiseError};
use crate::float::{FloatPart, FloatTerm, Grid};
use crate::graph::{Linear, TensorId, Term, View};

/// Largest factor of an operand in front of one table.
const RATIO_MAX: i64 = 16;

/// How near to a half a number is that several roundings could take to either side.
const TIE: f32 = 1.0 / 4096.0;

/// Tables of both operands whose entries add up, and whose ranks tell whether one more is added.
struct Ranked {
    base: [Vec<i64>; 2],
    rank: [Vec<i64>; 2],
}

/// What ONNX Runtime's `QLinearAdd` computes with.
struct Arithmetic {
    ra: f32,
    rb: f32,
    constant: f32,
}

impl Arithmetic {
    fn of(grid: &Grid, [a, b]: [&Operand<'_>; 2]) -> Self {
        let (ra, rb) = (a.grid.scale / grid.scale, b.grid.scale / grid.scale);
        let constant = grid.zero as f32 - ra.mul_add(a.grid.zero as f32, rb * b.grid.zero as f32);
        Self { ra, rb, constant }
    }
}

impl Pairs {
    /// Sums of two operands with signs: of positive ones as ONNX Runtime's `QLinearAdd` has them if it is `fused`, and else in real numbers.
    fn of_sum(grid: &Grid, [a, b]: [&Operand<'_>; 2], signs: [i64; 2], fused: bool) -> Self {
        let Arithmetic { ra, rb, constant } = Arithmetic::of(grid, [a, b]);
        let added = |va: i64, vb: i64| {
            let (a, b) = ((va + a.grid.zero) as f32, (vb + b.grid.zero) as f32);
            a.mul_add(ra, b.mul_add(rb, constant)).round_ties_even() as i64 - grid.zero
        };
        let [sign_a, sign_b] = signs.map(|sign| sign as f32);
        let real = |va: i64, vb: i64| {
            let sum = sign_a * (va as f32 * a.grid.scale) + sign_b * (vb as f32 * b.grid.scale);
            (sum / grid.scale).round_ties_even() as i64
        };
        Self::of((a.range, b.range), |a, b| if fused && signs == [1, 1] { added(a, b) } else { real(a, b) })
    }

    /// The results by ranks, if they have them; `whole` tells the whole part of each operand's share.
    fn ranked(&self, whole: [impl Fn(i64) -> i64; 2]) -> Option<Ranked> {
        let base = [(self.a, &whole[0] as &dyn Fn(i64) -> i64), (self.b, &whole[1])];
        let base = base.map(|((lo, hi), whole)| (lo..=hi).map(whole).collect::<Vec<_>>());
        let carries = |of_a: i64, row: &[i64]| {
            let carry = |(value, of_b): (&i64, &i64)| match value - of_a - of_b {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            };
            row.iter().zip(&base[1]).map(carry).collect::<Option<Vec<bool>>>()
        };
        let carries = self.rows().zip(&base[0]).map(|((_, row), of_a)| carries(*of_a, row));
        let carries = carries.collect::<Option<Vec<_>>>()?;
        let count = |row: &Vec<bool>| row.iter().filter(|carry| **carry).count() as i64;
        let of_a: Vec<i64> = carries.iter().map(count).collect();
        let columns = 0..base[1].len();
        let least = |column: usize| {
            let with = carries.iter().zip(&of_a).filter(|(row, _)| row[column]);
            with.map(|(_, count)| *count).min().unwrap_or(base[1].len() as i64 + 1)
        };
        let of_b: Vec<i64> = columns.map(least).collect();
        let agrees = |(row, count): (&Vec<bool>, &i64)| {
            row.iter().zip(&of_b).all(|(carry, least)| *carry == (count >= least))
        };
        carries.iter().zip(&of_a).all(agrees).then_some(Ranked { base, rank: [of_a, of_b] })
    }
}

impl Builder<'_> {
    /// A multiple of one tensor and a constant: float node `index`. Returns whether it could be computed in integers.
    pub(super) fn exact_function(
        &mut self,
        index: usize,
        terms: &[FloatTerm],
        constant: f32,
    ) -> Result<bool, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let Some(grid) = node.grid.clone().filter(|_| node.function.is_none()) else { return Ok(false) };
        let [term] = terms else { return Ok(false) };
        let Some(operand) = self.operand(&term.input).filter(|_| constant != 0.0 && term.target.is_none())
        else {
            return Ok(false);
        };
        let (scale, factor) = (operand.grid.scale, term.factor);
        let number = |v: i64| (v as f32 * scale * factor + constant) / grid.scale;
        // What several constants come to in single precision is not known, but not far from this.
        let near = |v: i64| (number(v) - number(v).floor() - 0.5).abs() <= TIE;
        let bit_exact = !(operand.range.0..=operand.range.1).any(near);
        let reach = operand.magnitude();
        if reach > self.table_top() {
            return Ok(false);
        }
        let of = |v: i64| number(v).round_ties_even() as i64;
        let table = self.saturating(index, &grid, ("of one number", reach), of);
        let linear = Linear::Combine { terms: vec![self.term(operand.view, 1)], constant: 0 };
        self.push_result(index, "table", linear, table, reach, &grid, bit_exact)?;
        Ok(true)
    }

    /// A sum of two tensors or an average: float node `index`; `hits` as from `sum::hits`. Returns whether it could be computed in integers.
    pub(super) fn exact_sum(
        &mut self,
        index: usize,
        terms: &[FloatTerm],
        hits: &[Vec<u32>],
    ) -> Result<bool, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let Some(grid) = node.grid.clone().filter(|_| node.function.is_none()) else { return Ok(false) };
        match terms {
            [a, b] if [a, b].iter().all(|term| term.factor.abs() == 1.0 && term.target.is_none()) => {
                let signs = [a, b].map(|term| if term.factor < 0.0 { -1 } else { 1 });
                let (Some(a), Some(b)) = (self.operand(&a.input), self.operand(&b.input)) else {
                    return Ok(false);
                };
                self.sum_of_two(index, &grid, [&a, &b], signs)
            }
            [_, _, ..]
                if hits.iter().all(|hits| hits.iter().sum::<u32>() <= 1)
                    && terms.iter().all(|term| term.factor == 1.0) =>
            {
                self.joined(index, &grid, terms)
            }
            _ => self.average(index, &grid, terms),
        }
    }

    fn sum_of_two(
        &mut self,
        index: usize,
        grid: &Grid,
        [a, b]: [&Operand<'_>; 2],
        signs: [i64; 2],
    ) -> Result<bool, QuantiseError> {
        let Arithmetic { ra, rb, constant } = Arithmetic::of(grid, [a, b]);
        let pairs = Pairs::of_sum(grid, [a, b], signs, self.fused(index, grid));
        let near = |x: i64, y: i64| {
            let (x, y) = (f64::from(ra) * y as f64, f64::from(rb) * x as f64);
            (x - y).abs() <= 1e-6 * x
        };
        let ratios = (1..=RATIO_MAX).flat_map(|x| (1..=RATIO_MAX).map(move |y| (x, y)));
        for (x, y) in ratios.filter(|(x, y)| near(*x, *y)) {
            let reach = x * a.magnitude() + y * b.magnitude();
            if reach > self.table_top() {
                break;
            }
            let [x, y] = [signs[0] * x, signs[1] * y];
            let Some(table) = pairs.as_one_table([x, y], reach) else { continue };
            let of = |q: i64| table[(q + reach) as usize].unwrap_or(0);
            let table = self.saturating(index, grid, ("sum", reach), of);
            let terms = vec![self.term(a.view, x), self.term(b.view, y)];
            self.push_result(index, "sum", Linear::Combine { terms, constant: 0 }, table, reach, grid, true)?;
            return Ok(true);
        }
        let share = f64::from(ra) * a.grid.zero as f64;
        let rest = f64::from(rb) * b.grid.zero as f64 + f64::from(constant) - grid.zero as f64 + 0.5;
        let of_a = |v: i64| (f64::from(ra) * v as f64).floor() as i64;
        let of_b = |v: i64| (f64::from(rb) * v as f64 + share + rest).floor() as i64;
        let whole: [&dyn Fn(i64) -> i64; 2] = [&of_a, &of_b];
        let terms = [a, b].map(|operand| vec![self.term(operand.view, 1)]);
        if signs != [1, 1] {
            return self.paired(index, grid, [a, b], &terms, &pairs);
        }
        if a.view.len() >= PAIRED_MIN && self.paired(index, grid, [a, b], &terms, &pairs)? {
            return Ok(true);
        }
        match pairs.ranked(whole) {
            Some(ranked) if self.sum_by_ranks(index, grid, [a, b], &ranked)? => Ok(true),
            _ => self.paired(index, grid, [a, b], &terms, &pairs),
        }
    }

    /// A sum of two tensors of which one spreads over the other: float node `index`. Returns whether it could be computed in integers.
    pub(super) fn exact_spread(
        &mut self,
        index: usize,
        (terms, sums, sums_first): (&[FloatPart], &[FloatPart], bool),
        blocks: usize,
    ) -> Result<bool, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let Some(grid) = node.grid.clone().filter(|_| node.function.is_none()) else { return Ok(false) };
        let ([all], [part]) = (terms, sums) else { return Ok(false) };
        let of_one = part.input.len() == blocks && [all, part].iter().all(|part| part.factor.abs() == 1.0);
        let (Some(a), Some(b), true) = (self.operand(&all.input), self.operand(&part.input), of_one) else {
            return Ok(false);
        };
        let signs = [all, part].map(|part| if part.factor < 0.0 { -1 } else { 1 });
        let fused = self.fused(index, &grid);
        let pairs = match sums_first {
            false => Pairs::of_sum(&grid, [&a, &b], signs, fused),
            true => Pairs::of_sum(&grid, [&b, &a], [signs[1], signs[0]], fused).turned(),
        };
        self.spread_pairs(index, &grid, [&a, &b], &pairs, blocks)
    }

    /// The six nodes.
    fn sum_by_ranks(
        &mut self,
        index: usize,
        grid: &Grid,
        operands: [&Operand<'_>; 2],
        ranked: &Ranked,
    ) -> Result<bool, QuantiseError> {
        let largest = |values: &[i64]| values.iter().map(|v| v.abs()).max().unwrap_or(0);
        let reach = ranked.base.iter().map(|base| largest(base)).sum::<i64>() + 1;
        let ranks = ranked.rank.iter().map(|rank| largest(rank)).max().unwrap_or(0) + 1;
        if reach.max(ranks) > self.table_top() {
            return Ok(false);
        }
        let flat = vec![operands[0].view.len()];
        let mut made = Vec::new();
        for (operand, (name, base, rank)) in operands
            .iter()
            .zip([("left", &ranked.base[0], &ranked.rank[0]), ("right", &ranked.base[1], &ranked.rank[1])])
        {
            let reach = operand.range.1.max(-operand.range.0);
            for (what, values) in [("whole", base), ("rank", rank)] {
                let entry = |q: i64| usize::try_from(q - operand.range.0).ok().and_then(|at| values.get(at));
                let table =
                    self.listed(&format!("{what} of {name}"), reach, |q| entry(q).map_or(0, |v| *v as i32));
                let copy = Linear::Combine { terms: vec![self.term(operand.view, 1)], constant: 0 };
                made.push(self.push_step(
                    index,
                    &format!("{name}.{what}"),
                    copy,
                    0,
                    table,
                    flat.clone(),
                    reach,
                    1.0,
                )?);
            }
        }
        let [a, rank_a, b, rank_b] = made[..] else { return Ok(false) };
        let term = |tensor: TensorId, coefficient| Term {
            input: View::plain(tensor, flat.clone()),
            coefficient,
            target: None,
        };
        let carries = self.listed("not below", ranks, |q| i32::from(q >= 0));
        let carry = Linear::Combine { terms: vec![term(rank_a, 1), term(rank_b, -1)], constant: 0 };
        let carry = self.push_step(index, "carry", carry, 0, carries, flat.clone(), ranks, 1.0)?;
        let table = self.saturating(index, grid, ("saturated", reach), |v| v);
        let sum = Linear::Combine { terms: vec![term(a, 1), term(b, 1), term(carry, 1)], constant: 0 };
        self.push_result(index, "sum", sum, table, reach, grid, true)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::Pairs;
    use crate::import::check::Onnx;
    use crate::{FloatModel, QuantiseOptions, quantise};
    use tract_onnx::pb::tensor_proto::DataType::Uint8;

    /// `round(x·a + y·b)`, halves to even.
    fn sums(x: f64, y: f64) -> Pairs {
        Pairs::of(((-128, 127), (-3, 252)), |a, b| (x * a as f64 + y * b as f64).round_ties_even() as i64)
    }

    #[test]
    fn ranks_give_every_pair_of_uneven_scales() {
        let (x, y) = (0.731, 0.2947);
        let pairs = sums(x, y);
        let whole =
            [|v: i64| (0.731 * v as f64).floor() as i64, |v: i64| (0.2947 * v as f64 + 0.5).floor() as i64];
        let ranked = pairs.ranked(whole).unwrap();
        assert!(ranked.rank.iter().flatten().all(|rank| (0..=257).contains(rank)));
        for (at_a, a) in (-128..=127).enumerate() {
            for (at_b, b) in (-3..=252).enumerate() {
                let carry = i64::from(ranked.rank[0][at_a] >= ranked.rank[1][at_b]);
                let got = ranked.base[0][at_a] + ranked.base[1][at_b] + carry;
                assert_eq!(got, (x * f64::from(a) + y * f64::from(b)).round_ties_even() as i64, "{a} {b}");
            }
        }
    }

    #[test]
    fn ties_have_one_table_but_no_ranks() {
        let pairs = sums(0.5, 0.5);
        let whole = [|v: i64| v.div_euclid(2), |v: i64| (v + 1).div_euclid(2)];
        assert!(pairs.ranked(whole).is_none());
        let table = pairs.as_one_table([1, 1], 380).unwrap();
        let at = |sum: i64| table[(sum + 380) as usize];
        assert_eq!([at(1), at(3), at(-1), at(-3), at(4)], [Some(0), Some(2), Some(0), Some(-2), Some(2)]);
        assert!(sums(0.5, 0.25).as_one_table([1, 1], 380).is_none(), "factors of another ratio");
        assert!(sums(0.5, 0.25).as_one_table([2, 1], 100).is_none(), "a table that is too small");
    }

    /// `operator` on quantised `x` and on its magnitude, of scale `t`; the result has scale `u`.
    fn of_two(operator: &str, scales: [f32; 3]) -> FloatModel {
        let mut onnx = Onnx::new(&[1, 511]).bytes("z", &[], Uint8, &[119]).bytes("o", &[], Uint8, &[40]);
        for (name, scale) in ["s", "t", "u"].iter().zip(scales) {
            onnx = onnx.floats(name, &[], vec![scale]);
        }
        let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
        let onnx =
            onnx.node("DequantizeLinear", &["q", "s", "z"], "d", vec![]).node("Abs", &["d"], "a", vec![]);
        let onnx = onnx.node("QuantizeLinear", &["a", "t", "o"], "b", vec![]);
        let onnx = onnx.node("DequantizeLinear", &["b", "t", "o"], "l", vec![]);
        let onnx = onnx.node(operator, &["d", "l"], "r", vec![]);
        onnx.node("QuantizeLinear", &["r", "u", "o"], "w", vec![]).import("w").unwrap()
    }

    #[test]
    fn tables_that_hold_the_results_make_them_exact_and_smaller_ones_are_said_not_to() {
        let record: Vec<f32> = (-255..=255).map(|step| step as f32 * 0.01).collect();
        for (operator, scales, q_bits, nodes, exact) in [
            ("Add", [0.02, 0.0113, 0.0297], 12, 6, true),
            ("Add", [0.02, 0.02, 0.02], 12, 1, true),
            ("Add", [0.02, 0.0113, 0.0297], 16, 6, true),
            ("Mul", [0.02, 0.0113, 0.0297], 16, 1, true),
            ("Mul", [0.02, 0.0113, 0.0297], 13, 3, false),
        ] {
            let model = of_two(operator, scales);
            let options = QuantiseOptions { q_bits: Some(q_bits), ..QuantiseOptions::default() };
            let (graph, _, report) = quantise(&model, std::slice::from_ref(&record), &options).unwrap();
            let last = report.nodes.last().unwrap();
            assert_eq!(last.bit_exact, Some(exact), "{operator} {q_bits}");
            let of_last = graph.nodes.iter().filter(|node| node.name.starts_with(&last.name));
            assert_eq!(of_last.count(), nodes, "{operator} {q_bits}");
        }
    }
}
