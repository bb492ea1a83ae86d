//! Functions of two integers, by all pairs of them: one node, and a table at `a` times as many as there are `b`, plus `b`, of up to 65,536 entries,
//! for whatever the integers are.

use super::grid_operand::Operand;
use super::{Builder, QuantiseError};
use crate::float::Grid;
use crate::graph::{BlockSum, BlockTerm, Linear, Term};

/// Elements of a sum from which on a table of all pairs is less than ranks.
pub(super) const PAIRED_MIN: usize = 1 << 14;

/// What becomes of each pair of integers, in two dimensions.
pub(super) struct Pairs {
    pub(super) a: (i64, i64),
    pub(super) b: (i64, i64),
    /// Row-major, before saturation and without the zero point.
    pub(super) values: Vec<i64>,
}

impl Pairs {
    pub(super) fn of((a, b): ((i64, i64), (i64, i64)), value: impl Fn(i64, i64) -> i64) -> Self {
        let values = (a.0..=a.1).flat_map(|a| (b.0..=b.1).map(move |b| (a, b))).map(|(a, b)| value(a, b));
        Self { a, b, values: values.collect() }
    }

    /// The same, by the second of the two and then the first.
    pub(super) fn turned(self) -> Self {
        let rows = (self.a.1 - self.a.0 + 1) as usize;
        let columns = self.values.len() / rows;
        let values = (0..self.values.len()).map(|at| self.values[at % rows * columns + at / rows]).collect();
        Self { a: self.b, b: self.a, values }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (i64, &[i64])> {
        let width = (self.b.1 - self.b.0 + 1) as usize;
        (self.a.0..=self.a.1).zip(self.values.chunks_exact(width))
    }

    /// The results as a function of `factors[0]·a + factors[1]·b`, from −`reach` on, if they are one.
    pub(super) fn as_one_table(&self, factors: [i64; 2], reach: i64) -> Option<Vec<Option<i64>>> {
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
}

impl Builder<'_> {
    /// One table of all pairs of an element and the number of its block.
    pub(super) fn spread_pairs(
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
        let table = self.saturating(index, grid, ("pairs", reach), |q| value(q).copied().unwrap_or(0));
        let all = BlockTerm { input: self.view(all.view), coefficient: width, first: 0 };
        let part = BlockSum { input: self.view(part.view), coefficient: 1 };
        let linear = Linear::Spread { terms: vec![all], sums: vec![part], blocks };
        self.push_result(index, "pair", linear, table, reach, grid, true)?;
        Ok(true)
    }

    /// One table of all pairs of what `terms` read of two operands.
    pub(super) fn paired(
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
        let table = self.saturating(index, grid, ("pairs", reach), |q| value(q).copied().unwrap_or(0));
        let times = |factor: i64| move |term: &Term| Term { coefficient: factor, ..term.clone() };
        let terms = terms[0].iter().map(times(width)).chain(terms[1].iter().map(times(1))).collect();
        self.push_result(index, "pair", Linear::Combine { terms, constant }, table, reach, grid, true)?;
        Ok(true)
    }
}
