//! Products of two computed tensors by quarter squares: `a·b = ⌊(a + b)²/4⌋ − ⌊(a − b)²/4⌋`, exact for integers because
//! `a + b` and `a − b` are both even or both odd.
//!
//! Two nodes with one listed table give the quarter squares, a third their difference, requantised with an integer factor.

use super::linear::output_scale;
use super::sum::round_scale;
use super::{Builder, QuantiseError, Scaled};
use crate::float::FloatTerm;
use crate::graph::{Linear, ListedTable, TableId, TableKind, Tensor, TensorId, Term, View};

/// The table's name.
const NAME: &str = "quarter square";
/// Most bits of a sum or a difference.
const Q_BITS_MAX: u32 = 16;

impl Builder<'_> {
    /// A product: float node `index`.
    pub(super) fn product(
        &mut self,
        index: usize,
        factors: &[Vec<FloatTerm>; 2],
    ) -> Result<(), QuantiseError> {
        let [Some(a), Some(b)] = factors.each_ref().map(|terms| terms.first()) else { return Ok(()) };
        let (bound_a, bound_b) = (self.bound_of(&a.input), self.bound_of(&b.input));
        let worth = self.scale_of(&a.input) * self.scale_of(&b.input);
        let magnitude = |bound: (i64, i64)| bound.1.max(-bound.0);
        let reach = magnitude(bound_a) + magnitude(bound_b);
        if self.exact_product(index, factors)? {
            return Ok(());
        }
        let table = self.quarter_squares(index, reach)?;
        let [plus, minus] = [("sum", 1), ("difference", -1)]
            .map(|(what, sign)| self.push_square(index, what, factors, sign, reach, table));
        let corners = [bound_a.0, bound_a.1].map(|a| [a * bound_b.0, a * bound_b.1]).concat();
        let range = corners.iter().fold((0, 0), |range: (i64, i64), v| (range.0.min(*v), range.1.max(*v)));
        let calibrated = match self.fills_table(index) {
            false => self.calibrated_scale(index),
            true => output_scale(self.graph.q_bits, worth * magnitude(range) as f64),
        };
        let unit = f64::from(self.graph.shift).exp2();
        let scaled = self.fit(index, calibrated, |scale| {
            let scale = round_scale(&[worth], unit, scale);
            let step = (worth * unit / scale).round() as i64;
            let z = (range.0.saturating_mul(step), range.1.saturating_mul(step));
            Scaled { step, scale, z }
        })?;
        let exact = worth * unit / scaled.scale;
        if exact < 0.5 {
            let node = &self.model.graph.nodes[index];
            let (name, operator, shift) = (node.name.clone(), node.operator.clone(), self.graph.shift);
            return Err(QuantiseError::Factor { node: name, operator, shift, got: exact });
        }
        let shape = self.model.graph.tensors[index].shape.clone();
        let term = |tensor, coefficient| Term {
            input: View::plain(tensor, shape.clone()),
            coefficient,
            target: None,
        };
        let terms = vec![term(plus, scaled.step), term(minus, -scaled.step)];
        let (shift, table) = (self.graph.shift, self.table(index));
        let scale = (scaled.scale, scaled.scale / calibrated);
        self.push(index, Linear::Combine { terms, constant: 0 }, shift, table, scale, scaled.z, 0)
    }

    /// The table of `⌊q²/4⌋` for −`reach` ≤ q ≤ `reach`, or for more.
    fn quarter_squares(&mut self, index: usize, reach: i64) -> Result<TableKind, QuantiseError> {
        let (got, expected) = (super::bits((-reach, reach)), self.graph.q_bits.min(Q_BITS_MAX));
        if got > expected {
            let node = &self.model.graph.nodes[index];
            let (name, operator) = (node.name.clone(), node.operator.clone());
            return Err(QuantiseError::TableRange { node: name, operator, expected, got });
        }
        // |q| < 2^16, so the entries are below 2^30.
        let values = (-reach..=reach).map(|q| (q * q / 4) as i32).collect();
        let table = ListedTable { name: NAME.into(), first: -reach, values };
        let known = self.graph.tables.iter().position(|known| known.name == NAME);
        let id = match known {
            None => {
                self.graph.tables.push(table);
                self.graph.tables.len() - 1
            }
            Some(id) if self.graph.tables[id].first > table.first => {
                self.graph.tables[id] = table;
                id
            }
            Some(id) => id,
        };
        Ok(TableKind::Listed(TableId(id)))
    }

    /// The quarter square of the first factor plus `sign` times the second.
    fn push_square(
        &mut self,
        index: usize,
        what: &str,
        factors: &[Vec<FloatTerm>; 2],
        sign: i64,
        reach: i64,
        table: TableKind,
    ) -> TensorId {
        let node = &self.model.graph.nodes[index];
        let name = format!("{}.{what}", node.name);
        let terms = factors
            .iter()
            .zip([1, sign])
            .flat_map(|(terms, coefficient)| terms.iter().map(move |term| (term, coefficient)));
        let terms = terms
            .map(|(term, coefficient)| Term {
                input: self.view(&term.input),
                coefficient,
                target: term.target.clone(),
            })
            .collect();
        let shape = self.model.graph.tensors[index].shape.clone();
        let bound = (0, reach * reach / 4);
        let tensor = Tensor { name: name.clone(), shape, bound, scale: 1.0 };
        self.add_node(index, name, tensor, (Linear::Combine { terms, constant: 0 }, 0, table), reach)
    }
}
