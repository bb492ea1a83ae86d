//! The one tagged table: `(0, r, 0)` for `0 ≤ r < 2^shift`, and `(tag, q, table(q))` for every kind of table in use.
//!
//! A kind's `q` run only as far as the worst case of its nodes. The entries are spread over as many segments as they need.

use std::collections::BTreeMap;

use crate::graph::{IntGraph, Linear, TableKind};

/// The tag of the range entries.
const RANGE_TAG: i32 = 0;

/// How far the tables of a graph reach.
#[derive(Clone, Debug)]
pub(crate) struct TableReach {
    /// Each kind in use with its smallest and largest `q`. `Clamp` or `Identity` is always among them, by the input, so the first
    /// kind holds `(0, 0)`: rows that hold nothing have its tag.
    kinds: BTreeMap<TableKind, (i64, i64)>,
    /// 0 when no node shifts.
    shift: u32,
}

/// The first and last `q` of a listed table.
fn listed(graph: &IntGraph, table: TableKind) -> (i64, i64) {
    let TableKind::Listed(id) = table else { return (0, 0) };
    graph.tables.get(id.0).map_or((0, 0), |table| (table.first, table.last()))
}

impl TableReach {
    pub(crate) fn new(graph: &IntGraph) -> Self {
        let mut kinds: BTreeMap<TableKind, (i64, i64)> = BTreeMap::new();
        let limit = 1i64 << graph.q_bits;
        for node in &graph.nodes {
            let bound = node.accumulator_bound;
            let (lo, hi) = match node.linear {
                Linear::Input => graph.record_range(),
                // All of its table, and nothing else.
                Linear::Rest { .. } => listed(graph, node.table),
                _ => (node.requantise(-bound), node.requantise(bound)),
            };
            let (lo, hi) = (lo.clamp(-limit, 0), hi.clamp(0, limit - 1));
            let range = kinds.entry(node.table).or_insert((lo, hi));
            *range = (range.0.min(lo), range.1.max(hi));
        }
        let shift = if graph.nodes.iter().any(|node| node.shift > 0) { graph.shift } else { 0 };
        Self { kinds, shift }
    }

    /// Number of entries of all tables.
    pub(crate) fn entries(&self) -> u64 {
        let kinds = self.kinds.values().map(|(lo, hi)| lo.abs_diff(*hi) + 1);
        (1 << self.shift) + kinds.sum::<u64>()
    }
}

/// The entries that a graph needs.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// In order of their tags, with the smallest `q` and the `y` from there on.
    kinds: Vec<(TableKind, i64, Vec<i32>)>,
    /// 0 when no node shifts.
    shift: u32,
}

impl Tables {
    pub(crate) fn new(graph: &IntGraph) -> Self {
        let TableReach { kinds, shift } = TableReach::new(graph);
        // |q| ≤ 2^24, the limit of a reach; listed entries have 32 bits.
        let values = |kind, (lo, hi)| (lo..=hi).map(|q| graph.apply(kind, q) as i32).collect();
        let kinds = kinds.into_iter().map(|(kind, range)| (kind, range.0, values(kind, range)));
        Self { kinds: kinds.collect(), shift }
    }

    /// The graph's shift, 0 if no node shifts.
    pub(crate) fn shift(&self) -> u32 {
        self.shift
    }

    /// The tag of a kind; of the first kind in use if it is not in use.
    pub(crate) fn tag(&self, kind: TableKind) -> i32 {
        self.kinds.iter().zip(1..).find(|((of, ..), _)| *of == kind).map_or(1, |(_, tag)| tag)
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        let kinds = self.kinds.iter().map(|(.., values)| values.len());
        (1 << self.shift) + kinds.sum::<usize>()
    }

    /// The segments, three columns (tag, u, v) of `rows` rows each; what is left over repeats `(0, 0, 0)`.
    pub(crate) fn segments(&self, rows: usize) -> Vec<[Vec<i32>; 3]> {
        let mut entries = (0..1i32 << self.shift).map(|r| [RANGE_TAG, r, 0]).collect::<Vec<_>>();
        for ((_, first, values), tag) in self.kinds.iter().zip(1..) {
            entries.extend((*first..).zip(values).map(|(q, y)| [tag, q as i32, *y]));
        }
        let column = |part: &[[i32; 3]], index: usize| {
            let mut values = part.iter().map(|entry| entry[index]).collect::<Vec<_>>();
            values.resize(rows, 0);
            values
        };
        entries.chunks(rows).map(|part| std::array::from_fn(|index| column(part, index))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn segments_hold_every_entry_and_zero() {
        let (graph, _, _) = samples::mlp(&[5, 4, 3]);
        let tables = Tables::new(&graph);
        let segments = tables.segments(64);
        assert_eq!(segments.len(), tables.len().div_ceil(64));
        let all = segments.iter().flat_map(|s| (0..64).map(move |row| [s[0][row], s[1][row], s[2][row]]));
        let all = all.collect::<std::collections::HashSet<_>>();
        assert!((0..64).all(|r| all.contains(&[0, r, 0])) && !all.contains(&[0, 64, 0]));
        let (clamp, relu_clamp) = (TableKind::clamp((-128, 127), false), TableKind::clamp((-128, 127), true));
        let relu = tables.tag(relu_clamp);
        assert!(all.contains(&[relu, -5, 0]) && all.contains(&[relu, 7, 7]) && !all.contains(&[relu, 7, 8]));
        for kind in [clamp, relu_clamp, TableKind::Identity] {
            assert!(all.contains(&[tables.tag(kind), 0, 0]), "unused rows hold zeros");
        }
    }
}
