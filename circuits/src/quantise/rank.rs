//! The largest elements of rows, with ties decided as ONNX does: exact.
//!
//! With n columns, element i of a row gets the key `n·x_i + (n − 1 − i)` (`+ i`, if the last of equal ones counts; `−n·x_i`, if the smallest
//! do). Keys of a row are all different and in the order that is asked for, so the largest key, `max(a, b) = a + max(b − a, 0)` over halves
//! as in a softmax, names value and position at once: two tables give the quotient by n and n − 1 less the remainder. For the
//! next one, a table of `key − largest` takes what brings it below all keys from the key where that is 0, and from it alone.
//!
//! Keys span n times the values: a row whose keys the table range does not hold is refused by name.

use super::{Builder, QuantiseError};
use crate::float::{FloatOp, Told};
use crate::graph::{BlockSum, BlockTerm, Linear, TableKind, TensorId, Term, View};

/// Rows of keys, and what they may be.
struct Keys {
    view: View,
    bound: (i64, i64),
}

impl Builder<'_> {
    /// The largest elements of rows: float node `index`.
    pub(super) fn rank(&mut self, index: usize) -> Result<(), QuantiseError> {
        let FloatOp::Rank { input, count, sign, last, told } = &self.model.graph.nodes[index].op else {
            return Ok(());
        };
        let (rows, columns, scale) = (input.shape[0], input.shape[1] as i64, self.scale_of(input));
        let mut keys = self.keys(index, input, *sign, *last)?;
        let whole = keys.bound;
        let mut terms = Vec::with_capacity(*count);
        for rank in 0..*count {
            let name = format!("rank{rank}.");
            let largest = self.row_maximum(index, &name, &keys.view, keys.bound, 1.0)?;
            let target = Some((0..rows).map(|row| Some((row * count + rank) as u32)).collect());
            terms.push(Term { input: View::plain(largest, vec![rows]), coefficient: 1, target });
            if rank + 1 < *count {
                keys = self.without(index, &name, &keys, whole, largest)?;
            }
        }
        let reach = whole.1.max(-whole.0);
        let (table, scale) = match told {
            Told::Values => {
                let value = |key: i64| (sign * key.div_euclid(columns)) as i32;
                (self.listed(&format!("value of {columns} keys, {sign}"), reach, value), scale)
            }
            Told::Indices => {
                let place = |key: i64| key.rem_euclid(columns);
                let position = |key| if *last { place(key) } else { columns - 1 - place(key) } as i32;
                (self.listed(&format!("position in {columns} keys, {last}"), reach, position), 1.0)
            }
        };
        let linear = Linear::Combine { terms, constant: 0 };
        self.push(index, linear, 0, table, (scale, 1.0), (whole.0.min(0), whole.1.max(0)), 0)
    }

    fn keys(&mut self, index: usize, input: &View, sign: i64, last: bool) -> Result<Keys, QuantiseError> {
        let (rows, columns) = (input.shape[0], input.shape[1]);
        let (lo, hi) = self.bound_of(input);
        let n = columns as i64;
        let ends = (sign * n * lo, sign * n * hi);
        let bound = (ends.0.min(ends.1), ends.0.max(ends.1) + n - 1);
        let positions = self.positions(index, columns, last)?;
        // Column by column, so that a block has one position.
        let order = (0..columns * rows).map(|e| input.element(e % rows * columns + e / rows) as u32);
        let turned = View { order: Some(order.collect()), shape: vec![columns, rows], ..self.view(input) };
        let linear = Linear::Spread {
            terms: vec![BlockTerm { input: turned, coefficient: sign * n, first: 0 }],
            sums: vec![BlockSum { input: View::plain(positions, vec![columns, 1]), coefficient: 1 }],
            blocks: columns,
        };
        let (reach, table) = (bound.1.max(-bound.0), TableKind::Identity);
        let made = self.push_step(index, "key", linear, 0, table, vec![columns, rows], reach, 1.0)?;
        let back = (0..rows * columns).map(|e| (e % columns * rows + e / columns) as u32);
        let view = View { tensor: made, shape: vec![rows, columns], order: Some(back.collect()) };
        Ok(Keys { view, bound })
    }

    /// For each column its part of a key, from powers of two.
    fn positions(&mut self, index: usize, columns: usize, last: bool) -> Result<TensorId, QuantiseError> {
        let shape = vec![columns];
        let ones = self.ones(index, columns)?;
        let part = |column: usize| if last { column } else { columns - 1 - column };
        let bits = usize::BITS - (columns - 1).leading_zeros();
        let term = |bit: u32| Term {
            input: View::plain(ones, shape.clone()),
            coefficient: 1 << bit,
            target: Some((0..columns).map(|c| (part(c) >> bit & 1 == 1).then_some(c as u32)).collect()),
        };
        let linear = Linear::Combine { terms: (0..bits).map(term).collect(), constant: 0 };
        let reach = (columns as i64 - 1).max(1);
        self.push_step(index, "position", linear, 0, TableKind::Identity, shape.clone(), reach, 1.0)
    }

    /// A tensor of ones.
    pub(super) fn ones(&mut self, index: usize, len: usize) -> Result<TensorId, QuantiseError> {
        let linear = Linear::Combine { terms: Vec::new(), constant: 1 };
        self.push_step(index, "one", linear, 0, TableKind::Identity, vec![len], 1, 1.0)
    }

    /// The keys without the largest of each row, which goes below all keys.
    fn without(
        &mut self,
        index: usize,
        name: &str,
        keys: &Keys,
        whole: (i64, i64),
        largest: TensorId,
    ) -> Result<Keys, QuantiseError> {
        let shape = keys.view.shape.clone();
        let (drop, span) = (whole.1 - whole.0 + 1, keys.bound.1 - keys.bound.0);
        let table = self.listed("found", span, |q| if q == 0 { -drop as i32 } else { 0 });
        let linear = Linear::Spread {
            terms: vec![BlockTerm { input: keys.view.clone(), coefficient: 1, first: 0 }],
            sums: vec![BlockSum { input: View::plain(largest, vec![shape[0], 1]), coefficient: -1 }],
            blocks: shape[0],
        };
        let found =
            self.push_step(index, &format!("{name}found"), linear, 0, table, shape.clone(), span, 1.0)?;
        let term = |input| Term { input, coefficient: 1, target: None };
        let terms = vec![term(keys.view.clone()), term(View::plain(found, shape.clone()))];
        let bound = (whole.0 - drop, whole.1);
        let (linear, reach) = (Linear::Combine { terms, constant: 0 }, bound.1.max(-bound.0));
        let name = format!("{name}rest");
        let made = self.push_step(index, &name, linear, 0, TableKind::Identity, shape.clone(), reach, 1.0)?;
        Ok(Keys { view: View::plain(made, shape), bound })
    }
}
