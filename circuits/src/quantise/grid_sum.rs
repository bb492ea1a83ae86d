//! Sums, products and joins of tensors that the model itself quantises (`grid.rs`), with the integers that a runtime gives.
//!
//! **Sums** of `a` and `b` follow ONNX Runtime's `QLinearAdd`, which it also runs between `DequantizeLinear` and `QuantizeLinear`:
//! `r = round(fma(a, s_a/s_y, fma(b, s_b/s_y, c)))`, `c = z_y − fma(s_a/s_y, z_a, z_b·s_b/s_y)`, in single precision. Either of two forms is taken
//! that agrees with it for every pair `(a, b)` in their ranges; every pair is tried.
//!
//! 1. `table(A·a + B·b)` with small factors, where the scales are in a ratio `A : B`: one node. Ties are fine.
//! 2. Otherwise `r = h(a) + h(b) + carry`, and whether there is a carry is a comparison of the two remainders, of whose sizes only the order
//!    counts: `[rank(a) ≥ rank(b)]` with ranks of at most 257. Six nodes: two tables of each operand, the comparison, and the sum.
//! 3. One table of all pairs, at `a` times as many as there are `b`, plus `b`: one node and 65,536 entries, for whatever the integers are. Where
//!    tables hold it, it comes before ranks of large tensors.
//!
//! **Differences**, and sums of which one spreads over the other (`QLinearAdd` too, in the order in which it takes its operands), take the third
//! form, differences in real numbers, element by element; those of scales in a small ratio the first.
//!
//! **Products** follow its `QLinearMul`, `round(ab·(s_a·s_b/s_y) + z_y)`: one table of all pairs.
//!
//! **What is joined** of several tensors, each element being one of theirs: a table brings each tensor to the result's integers, as
//! `QLinearConcat` does; none is needed where the scale is the result's, and one for all where they have the same.
//!
//! What fits none of these is requantised twice and said not to be exact.

use super::{Builder, Figures, QuantiseError};
use crate::float::{FloatPart, FloatTerm, Grid};
use crate::graph::{BlockSum, BlockTerm, Linear, TableKind, TensorId, Term, View};

/// Largest factor of an operand in front of one table.
const RATIO_MAX: i64 = 16;
/// Elements of a sum from which on a table of all pairs is less than ranks.
pub(super) const PAIRED_MIN: usize = 1 << 14;
/// What becomes of each pair of integers, in two dimensions.
struct Pairs {
    a: (i64, i64),
    b: (i64, i64),
    /// Row-major, before saturation and without the zero point.
    values: Vec<i64>,
}

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

    fn of((a, b): ((i64, i64), (i64, i64)), value: impl Fn(i64, i64) -> i64) -> Self {
        let values = (a.0..=a.1).flat_map(|a| (b.0..=b.1).map(move |b| (a, b))).map(|(a, b)| value(a, b));
        Self { a, b, values: values.collect() }
    }

    /// Products of two operands, as ONNX Runtime's `QLinearMul` has them if it is `fused`, and else in real numbers.
    fn of_product(grid: &Grid, [a, b]: [&Operand<'_>; 2], fused: bool) -> Self {
        let product = Product::of(grid, [a, b]);
        let real = |va: i64, vb: i64| {
            let product = (va as f32 * a.grid.scale) * (vb as f32 * b.grid.scale);
            (product / grid.scale).round_ties_even() as i64
        };
        Self::of((a.range, b.range), |a, b| if fused { product.of_integers(a * b) } else { real(a, b) })
    }

    /// The same, by the second of the two and then the first.
    fn turned(self) -> Self {
        let rows = (self.a.1 - self.a.0 + 1) as usize;
        let columns = self.values.len() / rows;
        let values = (0..self.values.len()).map(|at| self.values[at % rows * columns + at / rows]).collect();
        Self { a: self.b, b: self.a, values }
    }

    fn rows(&self) -> impl Iterator<Item = (i64, &[i64])> {
        let width = (self.b.1 - self.b.0 + 1) as usize;
        (self.a.0..=self.a.1).zip(self.values.chunks_exact(width))
    }

    /// The results as a function of `factors[0]·a + factors[1]·b`, from −`reach` on, if they are one.
    fn as_one_table(&self, factors: [i64; 2], reach: i64) -> Option<Vec<Option<i64>>> {
        let mut table = vec![None; (2 * reach + 1) as usize];
        for (a, row) in self.rows() {
            for (b, value) in (self.b.0..).zip(row) {
                let entry = table.get_mut((factors[0] * a + factors[1] * b + reach) as usize)?;
                if entry.is_some_and(|known| known != *value) {
                    return None;
                }
                *entry = Some(*value);
            }
        }
        Some(table)
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

/// What ONNX Runtime's `QLinearMul` computes with.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) multiplier: f32,
    zero: i64,
}

impl Product {
    pub(super) fn of(grid: &Grid, [a, b]: [&Operand<'_>; 2]) -> Self {
        Self { multiplier: a.grid.scale * b.grid.scale / grid.scale, zero: grid.zero }
    }

    /// The integer of a product of integers. The zero point is added before halves go to the even number.
    pub(super) fn of_integers(self, product: i64) -> i64 {
        (product as f32 * self.multiplier + self.zero as f32).round_ties_even() as i64 - self.zero
    }
}

/// Grid and integers' range of an operand.
pub(super) struct Operand<'a> {
    pub(super) view: &'a View,
    pub(super) grid: Grid,
    pub(super) range: (i64, i64),
}

impl Operand<'_> {
    /// How many integers it may be.
    fn span(&self) -> usize {
        (self.range.1 - self.range.0 + 1) as usize
    }

    pub(super) fn magnitude(&self) -> i64 {
        self.range.1.max(-self.range.0)
    }
}

impl Builder<'_> {
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

    /// What a node reads, if the model quantises it.
    pub(super) fn operand<'v>(&self, view: &'v View) -> Option<Operand<'v>> {
        let grid = self.model.graph.nodes[view.tensor.0].grid.as_ref().filter(|grid| !grid.raw)?;
        let (lo, hi) = self.bound_of(view);
        let range = (lo.max(grid.lo).min(0), hi.min(grid.hi).max(0));
        let grid = grid.clone();
        (range.1 - range.0 < 1 << 9).then_some(Operand { view, grid, range })
    }

    /// Whether ONNX Runtime computes float node `index` by an operator of its own: what the file has so, and pairs of unsigned integers.
    /// Between those of signed ones, some or all are left to real numbers.
    pub(super) fn fused(&self, index: usize, grid: &Grid) -> bool {
        self.model.graph.nodes[index].operator.starts_with("QLinear") || grid.lo + grid.zero >= 0
    }

    /// The result as the tensor holds it.
    pub(super) fn saturated(&self, index: usize, grid: &Grid, v: i64) -> i64 {
        let v = v.clamp(grid.lo, grid.hi);
        grid.shown(if self.model.graph.nodes[index].relu { v.max(0) } else { v })
    }

    /// The largest magnitude that the tables hold.
    pub(super) fn table_top(&self) -> i64 {
        (1 << self.graph.q_bits) - 1
    }

    /// Elements of several tensors.
    fn joined(&mut self, index: usize, grid: &Grid, terms: &[FloatTerm]) -> Result<bool, QuantiseError> {
        let operands = terms.iter().map(|term| self.operand(&term.input)).collect::<Option<Vec<_>>>();
        let Some(operands) = operands else { return Ok(false) };
        let scale = operands[0].grid.scale;
        let common = match operands.iter().all(|operand| operand.grid.scale == scale) {
            true => scale,
            false => grid.scale,
        };
        let mut reach = grid.hi.max(-grid.lo);
        let mut made = Vec::with_capacity(terms.len());
        for (at, (term, operand)) in terms.iter().zip(&operands).enumerate() {
            let scale = operand.grid.scale;
            let mut input = self.view(&term.input);
            if scale == common {
                reach = reach.max(operand.magnitude());
            } else {
                let nearest = |v: i64| grid.nearest(v as f32 * scale) as i32;
                let table = self.listed("rescaled", operand.magnitude(), nearest);
                let copy = Linear::Combine { terms: vec![self.term(operand.view, 1)], constant: 0 };
                let (what, flat) = (format!("part{at}"), vec![operand.view.len()]);
                let shape = flat.clone();
                let part = self.push_step(index, &what, copy, 0, table, flat, operand.magnitude(), 1.0)?;
                input = View::plain(part, shape);
            }
            made.push(Term { input, coefficient: 1, target: term.target.clone() });
        }
        let nearest = |v: i64| match common == grid.scale {
            true => v,
            false => grid.nearest(v as f32 * common),
        };
        let entries: Vec<i32> =
            (-reach..=reach).map(|v| self.saturated(index, grid, nearest(v)) as i32).collect();
        let table = self.listed("joined", reach, |q| entries[(q + reach) as usize]);
        let linear = Linear::Combine { terms: made, constant: 0 };
        self.push_result(index, "joined", linear, table, reach, grid, true)?;
        Ok(true)
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
            let entries: Vec<i32> =
                table.iter().map(|v| v.map_or(0, |v| self.saturated(index, grid, v)) as i32).collect();
            let table = self.listed("sum", reach, |q| entries[(q + reach) as usize]);
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

    /// A product of two tensors with scales of the model of which one spreads over the other, one number over each block: float node `index`.
    /// Returns whether tables hold all pairs.
    pub(super) fn spread_product(
        &mut self,
        index: usize,
        grid: &Grid,
        [all, part]: [&Operand<'_>; 2],
    ) -> Result<bool, QuantiseError> {
        let pairs = Pairs::of_product(grid, [all, part], self.fused(index, grid));
        self.spread_pairs(index, grid, [all, part], &pairs, part.view.len())
    }

    /// One table of all pairs of an element and the number of its block.
    fn spread_pairs(
        &mut self,
        index: usize,
        grid: &Grid,
        [all, part]: [&Operand<'_>; 2],
        pairs: &Pairs,
        blocks: usize,
    ) -> Result<bool, QuantiseError> {
        let width = part.span() as i64;
        let reach = width * all.magnitude() + part.magnitude();
        if reach > self.table_top() {
            return Ok(false);
        }
        let first = width * all.range.0 + part.range.0;
        let value = |q: i64| usize::try_from(q - first).ok().and_then(|at| pairs.values.get(at));
        let entries: Vec<i32> = (-reach..=reach)
            .map(|q| self.saturated(index, grid, value(q).copied().unwrap_or(0)) as i32)
            .collect();
        let table = self.listed("pairs", reach, |q| entries[(q + reach) as usize]);
        let all = BlockTerm { input: self.view(all.view), coefficient: width, first: 0 };
        let part = BlockSum { input: self.view(part.view), coefficient: 1 };
        let linear = Linear::Spread { terms: vec![all], sums: vec![part], blocks };
        self.push_result(index, "pair", linear, table, reach, grid, true)?;
        Ok(true)
    }

    /// One table of all pairs of what `terms` read of two operands.
    fn paired(
        &mut self,
        index: usize,
        grid: &Grid,
        [a, b]: [&Operand<'_>; 2],
        terms: &[Vec<Term>; 2],
        pairs: &Pairs,
    ) -> Result<bool, QuantiseError> {
        let width = b.range.1 - b.range.0 + 1;
        let count = pairs.values.len() as i64;
        // From −⌊count/2⌋ on.
        let constant = -a.range.0 * width - b.range.0 - count / 2;
        let reach = count / 2;
        if reach > self.table_top() {
            return Ok(false);
        }
        let value = |q: i64| usize::try_from(q + reach).ok().and_then(|at| pairs.values.get(at));
        let entries: Vec<i32> = (-reach..=reach)
            .map(|q| self.saturated(index, grid, value(q).copied().unwrap_or(0)) as i32)
            .collect();
        let table = self.listed("pairs", reach, |q| entries[(q + reach) as usize]);
        let times = |factor: i64| move |term: &Term| Term { coefficient: factor, ..term.clone() };
        let terms = terms[0].iter().map(times(width)).chain(terms[1].iter().map(times(1))).collect();
        self.push_result(index, "pair", Linear::Combine { terms, constant }, table, reach, grid, true)?;
        Ok(true)
    }

    pub(super) fn term(&self, view: &View, coefficient: i64) -> Term {
        Term { input: self.view(view), coefficient, target: None }
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
        let entries: Vec<i32> = (-reach..=reach).map(|v| self.saturated(index, grid, v) as i32).collect();
        let table = self.listed("saturated", reach, |q| entries[(q + reach) as usize]);
        let sum = Linear::Combine { terms: vec![term(a, 1), term(b, 1), term(carry, 1)], constant: 0 };
        self.push_result(index, "sum", sum, table, reach, grid, true)?;
        Ok(true)
    }

    /// A factor of a product, if it is one tensor.
    fn factor<'v>(&self, terms: &'v [FloatTerm]) -> Option<Operand<'v>> {
        let first = terms.first()?;
        let alike = terms.iter().all(|t| t.input.tensor == first.input.tensor && t.factor == 1.0);
        alike.then(|| self.operand(&first.input)).flatten()
    }

    /// A product of two tensors with scales of the model: float node `index`. Returns whether it could be computed in integers.
    pub(super) fn exact_product(
        &mut self,
        index: usize,
        factors: &[Vec<FloatTerm>; 2],
    ) -> Result<bool, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let Some(grid) = node.grid.clone().filter(|_| node.function.is_none()) else { return Ok(false) };
        let (Some(a), Some(b)) = (self.factor(&factors[0]), self.factor(&factors[1])) else {
            return Ok(false);
        };
        let pairs = Pairs::of_product(&grid, [&a, &b], self.fused(index, &grid));
        let term =
            |t: &FloatTerm| Term { input: self.view(&t.input), coefficient: 1, target: t.target.clone() };
        let terms = factors.each_ref().map(|terms| terms.iter().map(term).collect());
        self.paired(index, &grid, [&a, &b], &terms, &pairs)
    }

    /// The node that makes float tensor `index` itself.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn push_result(
        &mut self,
        index: usize,
        what: &str,
        linear: Linear,
        table: TableKind,
        reach: i64,
        grid: &Grid,
        bit_exact: bool,
    ) -> Result<(), QuantiseError> {
        let shape = self.model.graph.tensors[index].shape.clone();
        let scale = grid.shown_scale();
        let made = self.push_step(index, what, linear, 0, table, shape, reach, scale)?;
        let (q_bits, bit_exact) = (super::bits((-reach, reach)), Some(bit_exact));
        let accumulator_bits = q_bits + 1;
        self.finish(
            index,
            made,
            Figures { weight_bits: 0, q_bits, accumulator_bits, widened: 1.0, bit_exact },
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Pairs;
    use crate::import::check::Onnx;
    use crate::{FloatModel, QuantiseOptions, import, quantise};
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

    #[test]
    fn operators_of_the_runtime_with_channels_last_are_refused() {
        let onnx = Onnx::new(&[1, 3, 4, 4]).floats("s", &[], vec![0.5]).bytes("z", &[], Uint8, &[0]);
        let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
        let attributes = vec![crate::import::check::int("channels_last", 1)];
        let mut proto =
            onnx.node("QLinearGlobalAveragePool", &["q", "s", "z", "s", "z"], "y", attributes).proto("y");
        proto.graph.as_mut().unwrap().node[1].domain = "com.microsoft".into();
        let bytes = prost::Message::encode_to_vec(&proto);
        assert!(import(&bytes).unwrap_err().to_string().contains("com.microsoft.QLinearGlobalAveragePool"));
    }
}
