//! The integer interpreter: what the circuit proves, computed directly.

mod convolve;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::graph::{
    BlockSum, BlockTerm, IntGraph, Linear, Node, TensorId, Term, View, Weight, WeightId, WeightValues,
    quotient, requantise,
};
use crate::validate::{GraphError, validate_graph, validate_weights};
use convolve::{Image, Kernel, convolve};

/// The three values of every element of a node, in the order of the node's output tensor. Wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct NodeTrace {
    /// Accumulators: the linear step's results, divided by the node's modulus.
    pub z: Vec<i64>,
    /// Requantised accumulators.
    pub q: Vec<i32>,
    /// Table outputs: the elements of the output tensor.
    pub y: Vec<i32>,
}

impl std::fmt::Debug for NodeTrace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeTrace({} elements, not shown)", self.z.len())
    }
}

/// Everything that one run computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// One entry per node, in the order of [`IntGraph::nodes`].
    pub nodes: Vec<NodeTrace>,
    /// The graph's output, in the order of its view.
    pub output: Vec<i32>,
}

/// Why a record could not be run. Values of records and weights stay out of the messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum RunError {
    /// The graph or its weights are malformed.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The record has the wrong number of values.
    #[error("the record has {got} values, the model takes {expected}")]
    RecordLength { expected: usize, got: usize },
    /// A value of the record is beyond the activation range, or numbers no row.
    #[error(
        "value {position} of the record is outside {lo}..={hi}; quantise the record with this model's scale"
    )]
    RecordRange { position: usize, lo: i64, hi: i64, got: i64 },
    /// A number that is looked up and is no row.
    #[error(
        "node `{node}` ({operator}): number {position} is no row of its table, whose last is {last}; give a row's number"
    )]
    RowNumber { node: String, operator: String, position: usize, last: i64 },
    /// A requantised value leaves the table although the bounds promised otherwise.
    #[error(
        "node `{node}` ({operator}): a requantised value leaves the table, whose largest magnitude is 2^{q_bits}; compile the model again"
    )]
    TableRange { node: String, operator: String, q_bits: u32, got: i64 },
    /// An accumulator beyond the node's promise.
    #[error("node `{node}` ({operator}): a sum exceeds its bound {expected}; compile the model again")]
    AccumulatorRange { node: String, operator: String, expected: i64, got: i64 },
}

/// Runs one record (quantised, row-major) and keeps every intermediate value.
pub fn run(graph: &IntGraph, weights: &WeightValues, record: &[i32]) -> Result<Trace, RunError> {
    Interpreter::new(graph, weights)?.run(record)
}

/// A graph with its weights, checked once and run many times.
pub struct Interpreter<'a> {
    graph: &'a IntGraph,
    weights: &'a WeightValues,
    /// For each tensor, the node that makes it.
    maker: Vec<usize>,
}

impl<'a> Interpreter<'a> {
    /// Checks graph and weights.
    pub fn new(graph: &'a IntGraph, weights: &'a WeightValues) -> Result<Self, RunError> {
        validate_graph(graph)?;
        validate_weights(graph, weights)?;
        let mut maker = vec![0; graph.tensors.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            maker[node.output.0] = index;
        }
        Ok(Self { graph, weights, maker })
    }

    /// Runs one record (quantised, row-major over the input tensor's shape).
    pub fn run(&self, record: &[i32]) -> Result<Trace, RunError> {
        self.check_record(record)?;
        let mut trace = Trace { nodes: Vec::with_capacity(self.graph.nodes.len()), output: Vec::new() };
        let mut rest = Rest(None);
        for node in &self.graph.nodes {
            self.check_rows(node, &trace)?;
            let z = match (&node.linear, rest.0.take()) {
                (Linear::Rest { of }, Some((tensor, rest))) if tensor == *of => rest,
                _ => self.linear(node, &trace, record),
            };
            let (made, left) = self.activate(node, z)?;
            trace.nodes.push(made);
            rest.0 = left.map(|left| (node.output, left));
        }
        trace.output = self.gather(&self.graph.output, &trace);
        Ok(trace)
    }

    fn check_record(&self, record: &[i32]) -> Result<(), RunError> {
        let expected = self.graph.tensors[self.graph.input.0].shape.iter().product();
        if record.len() != expected {
            return Err(RunError::RecordLength { expected, got: record.len() });
        }
        let (lo, hi) = self.graph.record_range();
        match record.iter().position(|v| !(lo..=hi).contains(&i64::from(*v))) {
            Some(position) => Err(RunError::RecordRange { position, lo, hi, got: record[position].into() }),
            None => Ok(()),
        }
    }

    /// Where the record has several parts, its range is wider than that of the rows of a table.
    fn check_rows(&self, node: &Node, trace: &Trace) -> Result<(), RunError> {
        let Linear::Lookup { ids, weight } = &node.linear else { return Ok(()) };
        let rows = self.weight(*weight).0.shape[0];
        let is_row = |id: &i32| usize::try_from(*id).is_ok_and(|id| id < rows);
        match self.gather(ids, trace).iter().position(|id| !is_row(id)) {
            Some(position) => {
                let (node, operator) = (node.name.clone(), node.operator.clone());
                Err(RunError::RowNumber { node, operator, position, last: rows as i64 - 1 })
            }
            None => Ok(()),
        }
    }

    fn linear(&self, node: &Node, trace: &Trace, record: &[i32]) -> Vec<i64> {
        let len = self.graph.tensors[node.output.0].shape.iter().product();
        match &node.linear {
            Linear::Input => record.iter().map(|v| i64::from(*v)).collect(),
            Linear::MatMul { input, weight, bias } => {
                let (w, w_values) = self.weight(*weight);
                matmul(&self.gather(input, trace), w_values, w.shape[0], w.shape[1], self.bias(*bias))
            }
            Linear::Conv { input, weight, bias, geometry, residual, low_bits } => {
                let (w, w_values) = self.weight(*weight);
                let image = Image { values: &self.gather(input, trace), shape: &input.shape };
                let kernel = Kernel { values: w_values, shape: &w.shape, bias: self.bias(*bias) };
                let mut z = match low_bits {
                    0 => convolve(&image, &kernel, geometry, len),
                    _ => {
                        let parts = convolve(&image, &kernel, geometry, 2 * len);
                        joined(&parts, len / (w.shape[0] / 2).max(1), *low_bits)
                    }
                };
                residual.iter().for_each(|term| self.add_term(term, trace, &mut z));
                z
            }
            Linear::BatchMatMul { left, right, factor } => {
                let (a, b) = (self.gather(left, trace), self.gather(right, trace));
                batch_matmul((&a, &left.shape), (&b, &right.shape), *factor)
            }
            Linear::Lookup { ids, weight } => {
                let (w, w_values) = self.weight(*weight);
                let rows = self.gather(ids, trace);
                // Checked before: these are rows.
                let row = |id: &i32| &w_values[*id as usize * w.shape[1]..][..w.shape[1]];
                rows.iter().flat_map(row).map(|v| i64::from(*v)).collect()
            }
            Linear::Spread { terms, sums, blocks } => {
                let mut z = vec![0; len];
                terms.iter().for_each(|term| self.add_block_term(term, *blocks, trace, &mut z));
                sums.iter().for_each(|sum| self.add_block_sum(sum, *blocks, trace, &mut z));
                z
            }
            Linear::Combine { terms, constant } => {
                let mut z = vec![*constant; len];
                for term in terms {
                    self.add_term(term, trace, &mut z);
                }
                z
            }
            // Of a graph that is well formed, it follows its node at once.
            Linear::Rest { .. } => vec![0; len],
        }
    }

    fn add_term(&self, term: &Term, trace: &Trace, z: &mut [i64]) {
        for (i, x) in self.gather(&term.input, trace).into_iter().enumerate() {
            let target = match &term.target {
                None => Some(i),
                Some(target) => target[i].map(|o| o as usize),
            };
            if let Some(o) = target {
                z[o] += term.coefficient * i64::from(x);
            }
        }
    }

    fn add_block_term(&self, term: &BlockTerm, blocks: usize, trace: &Trace, z: &mut [i64]) {
        let x = self.gather(&term.input, trace);
        let (from, to) = ((x.len() / blocks.max(1)).max(1), (z.len() / blocks.max(1)).max(1));
        for (x, z) in x.chunks_exact(from).zip(z.chunks_exact_mut(to)) {
            for (x, z) in x.iter().skip(term.first).zip(z) {
                *z += term.coefficient * i64::from(*x);
            }
        }
    }

    fn add_block_sum(&self, sum: &BlockSum, blocks: usize, trace: &Trace, z: &mut [i64]) {
        let x = self.gather(&sum.input, trace);
        let (from, to) = ((x.len() / blocks.max(1)).max(1), (z.len() / blocks.max(1)).max(1));
        for (x, z) in x.chunks_exact(from).zip(z.chunks_exact_mut(to)) {
            let total = sum.coefficient * x.iter().map(|x| i64::from(*x)).sum::<i64>();
            z.iter_mut().for_each(|z| *z += total);
        }
    }

    /// A node's values, and what is left of its accumulators where it has a modulus.
    fn activate(&self, node: &Node, z: Vec<i64>) -> Result<(NodeTrace, Option<Vec<i64>>), RunError> {
        let range = 1i64 << self.graph.q_bits;
        let mut trace = NodeTrace { q: Vec::with_capacity(z.len()), y: Vec::with_capacity(z.len()), z };
        let mut rest = (node.modulus > 1).then(|| Vec::with_capacity(trace.z.len()));
        for z in &mut trace.z {
            let names = || (node.name.clone(), node.operator.clone());
            if z.abs() > node.accumulator_bound {
                let (node_name, operator) = names();
                let expected = node.accumulator_bound;
                return Err(RunError::AccumulatorRange { node: node_name, operator, expected, got: *z });
            }
            if let Some(rest) = &mut rest {
                let divided = quotient(*z, node.modulus);
                rest.push(*z - divided * node.modulus);
                *z = divided;
            }
            let q = requantise(*z, node.shift);
            if !(-range..range).contains(&q) {
                let (node, operator) = names();
                return Err(RunError::TableRange { node, operator, q_bits: self.graph.q_bits, got: q });
            }
            // |q| ≤ 2^24 and every table's output lies between q, 0 and the activation range or is listed in 32 bits.
            trace.q.push(q as i32);
            trace.y.push(self.graph.apply(node.table, q) as i32);
        }
        Ok((trace, rest))
    }

    fn gather(&self, view: &View, trace: &Trace) -> Vec<i32> {
        let y = &trace.nodes[self.maker[view.tensor.0]].y;
        match &view.order {
            None => y.clone(),
            Some(order) => order.iter().map(|e| y[*e as usize]).collect(),
        }
    }

    fn weight(&self, id: WeightId) -> (&Weight, &[i32]) {
        (&self.graph.weights[id.0], &self.weights.0[id.0])
    }

    fn bias(&self, id: Option<WeightId>) -> Option<&[i32]> {
        id.map(|id| self.weights.0[id.0].as_slice())
    }
}

/// What is left of the accumulators of the node before, and its tensor.
struct Rest(Option<(TensorId, Vec<i64>)>);

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some((_, values)) = &mut self.0 {
            values.zeroize();
        }
    }
}

/// Pairs of planes as one plane: `2^low_bits` times the first, plus the second.
fn joined(parts: &[i64], plane: usize, low_bits: u32) -> Vec<i64> {
    let pairs = parts.chunks_exact(2 * plane.max(1)).map(|pair| pair.split_at(plane));
    pairs.flat_map(|(high, low)| high.iter().zip(low).map(|(high, low)| (high << low_bits) + low)).collect()
}

/// (M,K) · (K,N) + bias, row-major.
fn matmul(input: &[i32], weight: &[i32], k: usize, n: usize, bias: Option<&[i32]>) -> Vec<i64> {
    let start = match bias {
        Some(bias) => bias.iter().map(|b| i64::from(*b)).collect(),
        None => vec![0i64; n],
    };
    let rows = input.len().checked_div(k).unwrap_or(0);
    let mut z = start.repeat(rows);
    for (row, z) in z.chunks_exact_mut(n.max(1)).enumerate() {
        for (x, weights) in input[row * k..(row + 1) * k].iter().zip(weight.chunks_exact(n.max(1))) {
            for (z, w) in z.iter_mut().zip(weights) {
                *z += i64::from(*x) * i64::from(*w);
            }
        }
    }
    z
}

/// `factor` · (B,M,K) · (B,K,N), row-major.
fn batch_matmul(left: (&[i32], &[usize]), right: (&[i32], &[usize]), factor: i64) -> Vec<i64> {
    let ((left, left_shape), (right, right_shape)) = (left, right);
    let (m, k, n) = (left_shape[1], left_shape[2], right_shape[2]);
    let batches = left.chunks_exact((m * k).max(1)).zip(right.chunks_exact((k * n).max(1)));
    let mut z = batches.flat_map(|(left, right)| matmul(left, right, k, n, None)).collect::<Vec<_>>();
    z.iter_mut().for_each(|z| *z *= factor);
    z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{ConvGeometry, TableKind, TensorId};
    use crate::samples::{self, GraphBuilder};

    #[test]
    fn requantisation_rounds_halves_upwards() {
        for (z, q) in [(7, 0), (8, 1), (23, 1), (24, 2), (-8, 0), (-9, -1), (-24, -1), (-25, -2)] {
            assert_eq!(requantise(z, 4), q, "z = {z}");
        }
        assert_eq!(requantise(-3, 0), -3);
    }

    #[test]
    fn mlp_gives_hand_computed_values() {
        let mut b = GraphBuilder::new(1, 8, (-8, 7));
        let x = b.input("x", &[2]);
        let (w, bias) = (b.weight("w", &[2, 2], vec![1, -2, 3, 4]), b.weight("b", &[2], vec![1, -30]));
        let h = b.matmul("fc", x, &[1, 2], w, Some(bias), b.relu_clamp());
        let (graph, values) = b.finish(h);
        let trace = run(&graph, &values, &[5, -1]).unwrap();
        assert_eq!(trace.nodes[1].z, [5 - 3 + 1, -10 - 4 - 30]);
        assert_eq!(trace.nodes[1].q, [2, -22]);
        assert_eq!(trace.output, [2, 0]);
        assert_eq!(run(&graph, &values, &[7, 7]).unwrap().output, [7, 0], "clamped at the activation range");
    }

    #[test]
    fn convolution_agrees_with_a_direct_sum_on_odd_geometries() {
        for (stride, dilation, pads, groups) in [
            ((1, 1), (1, 1), (0, 0, 0, 0), 1),
            ((2, 1), (1, 2), (1, 2, 0, 1), 1),
            ((3, 2), (2, 1), (2, 1, 2, 1), 2),
            ((1, 3), (1, 1), (0, 0, 3, 0), 4),
        ] {
            let geometry = ConvGeometry { stride, dilation, pads, groups };
            let (graph, values, record) = samples::convolution((4, 5, 7), 8, (3, 2), geometry.clone());
            let trace = run(&graph, &values, &record).unwrap();
            let (oh, ow) = geometry.output((5, 7), (3, 2)).unwrap();
            let at = |c: usize, y: i64, x: i64| {
                if (0..5).contains(&y) && (0..7).contains(&x) {
                    i64::from(record[c * 35 + y as usize * 7 + x as usize])
                } else {
                    0
                }
            };
            let cg = 4 / groups;
            for o in 0..8 {
                for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                    let mut z = i64::from(values.0[1][o]);
                    for (c, ky, kx) in (0..cg * 6).map(|t| (t / 6, t / 2 % 3, t % 2)) {
                        let y = (oy * stride.0 + ky * dilation.0) as i64 - pads.0 as i64;
                        let x = (ox * stride.1 + kx * dilation.1) as i64 - pads.1 as i64;
                        let w = i64::from(values.0[0][(o * cg + c) * 6 + ky * 2 + kx]);
                        z += w * at(o / (8 / groups) * cg + c, y, x);
                    }
                    assert_eq!(trace.nodes[1].z[(o * oh + oy) * ow + ox], z, "{geometry:?} {o} {oy} {ox}");
                }
            }
        }
    }

    #[test]
    fn maximum_by_steps_is_the_maximum() {
        let (graph, values, record) = samples::max_pool((2, 4, 6));
        let trace = run(&graph, &values, &record).unwrap();
        for c in 0..2 {
            for (oy, ox) in (0..2).flat_map(|y| (0..3).map(move |x| (y, x))) {
                let at = |dy: usize, dx: usize| record[c * 24 + (2 * oy + dy) * 6 + 2 * ox + dx];
                let max = at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1));
                assert_eq!(trace.output[c * 6 + oy * 3 + ox], max);
            }
        }
    }

    #[test]
    fn transposed_view_is_read_in_its_order() {
        let (graph, values, record) = samples::residual();
        let trace = run(&graph, &values, &record).unwrap();
        assert_eq!(trace.output.len(), 6);
        // z = 2·x + 3·xᵀ + 1 on a (2,3) tensor seen as (3,2).
        let transposed = [0, 3, 1, 4, 2, 5];
        for (e, z) in trace.nodes[1].z.iter().enumerate() {
            assert_eq!(*z, 2 * i64::from(record[e]) + 3 * i64::from(record[transposed[e]]) + 1);
        }
    }

    #[test]
    fn bad_records_are_named() {
        let (graph, values, record) = samples::mlp(&[6, 5, 3]);
        let short = run(&graph, &values, &record[1..]);
        assert_eq!(short.unwrap_err(), RunError::RecordLength { expected: 6, got: 5 });
        let mut wide = record.clone();
        wide[4] = 128;
        let wide = run(&graph, &values, &wide).unwrap_err();
        assert_eq!(wide, RunError::RecordRange { position: 4, lo: -128, hi: 127, got: 128 });
    }

    #[test]
    fn malformed_graphs_are_refused_without_a_panic() {
        type Spoil = fn(&mut IntGraph, &mut WeightValues);
        let spoils: [(&str, Spoil); 17] = [
            ("tensor index", |g, _| g.nodes[1].output = TensorId(99)),
            ("made twice", |g, _| g.nodes[1].output = TensorId(0)),
            ("input moved", |g, _| g.input = TensorId(1)),
            ("no nodes", |g, _| g.nodes.clear()),
            ("shift", |g, _| g.shift = 60),
            ("table", |g, _| g.q_bits = 40),
            ("range", |g, _| g.nodes[0].table = TableKind::Clamp { lo: -1 << 30, hi: 7 }),
            ("no upper end", |g, _| g.nodes[0].table = TableKind::Clamp { lo: -8, hi: i32::MAX }),
            ("without 0", |g, _| g.nodes[1].table = TableKind::Clamp { lo: 1, hi: 7 }),
            ("upside down", |g, _| g.nodes[1].table = TableKind::ReluClamp { hi: -1 }),
            ("wider than tables", |g, _| g.nodes[1].table = TableKind::ReluClamp { hi: 1 << 12 }),
            ("weight shape", |g, _| g.weights[0].shape = vec![2, 2]),
            ("huge weight shape", |g, _| g.weights[0].shape = vec![usize::MAX, 4]),
            ("weight values", |_, w| w.0[0].truncate(3)),
            ("weight bound", |g, _| g.weights[0].bound = 0),
            ("no elements", |g, _| g.tensors[1].shape = vec![0, 5]),
            ("wrapping", |g, _| g.weights[0].bound = i64::MAX),
        ];
        for (name, spoil) in spoils {
            let (mut graph, mut values, record) = samples::mlp(&[6, 5, 3]);
            spoil(&mut graph, &mut values);
            assert!(matches!(run(&graph, &values, &record), Err(RunError::Graph(_))), "{name}");
        }
    }

    #[test]
    fn malformed_lookups_are_refused_without_a_panic() {
        type Spoil = fn(&mut IntGraph);
        let graph = || {
            let mut b = GraphBuilder::new(4, 8, (-8, 7));
            let ids = b.row_numbers("ids", 3, 20);
            let table = b.weight("table", &[20, 2], (0..40).collect());
            let y = b.lookup("y", ids, table, TableKind::Identity);
            let z = b.lookup("z", ids, table, b.clamp());
            let term = |tensor| Term { input: View::plain(tensor, vec![6]), coefficient: 1, target: None };
            let sum = b.combine("sum", vec![term(y), term(z)], 0, 0, TableKind::Identity, &[3, 2]);
            b.finish(sum)
        };
        let (whole, values) = graph();
        let trace = run(&whole, &values, &[19, 0, 3]).unwrap();
        assert_eq!((trace.nodes[1].y.as_slice(), trace.nodes[2].y[0]), (&[38, 39, 0, 1, 6, 7][..], 7));
        for record in [[20, 0, 3], [1, -1, 3]] {
            assert!(matches!(run(&whole, &values, &record), Err(RunError::RecordRange { hi: 19, .. })));
        }
        let spoils: [(&str, Spoil); 7] = [
            ("a clamped input", |g| g.nodes[0].table = TableKind::clamp((0, 19), false)),
            ("fewer rows than promised", |g| g.weights[0].shape = vec![10, 2, 2]),
            ("no table", |g| g.weights.clear()),
            ("more rows than numbers", |g| g.q_bits = 4),
            ("another width", |g| g.tensors[1].shape = vec![3, 3]),
            ("ids that are computed", |g| {
                if let Linear::Lookup { ids, .. } = &mut g.nodes[2].linear {
                    *ids = View::plain(TensorId(1), vec![6]);
                    g.tensors[2].shape = vec![6, 2];
                }
            }),
            ("ids from nowhere", |g| {
                if let Linear::Lookup { ids, .. } = &mut g.nodes[1].linear {
                    ids.order = Some(vec![0, 1, 3]);
                }
            }),
        ];
        for (name, spoil) in spoils {
            let (mut graph, values) = graph();
            spoil(&mut graph);
            assert!(matches!(run(&graph, &values, &[19, 0, 3]), Err(RunError::Graph(_))), "{name}");
        }
    }

    #[test]
    fn malformed_listed_tables_are_refused_without_a_panic() {
        type Spoil = fn(&mut IntGraph);
        let listed = || {
            let mut b = GraphBuilder::new(4, 8, (-8, 7));
            let x = b.input("x", &[3]);
            let table = b.table("square", 8, |q| (q * q) as i32);
            let term = Term { input: View::plain(x, vec![3]), coefficient: 1, target: None };
            let y = b.combine("y", vec![term], 0, 0, table, &[3]);
            b.finish(y)
        };
        let (graph, values) = listed();
        assert_eq!(run(&graph, &values, &[-8, 0, 7]).unwrap().output, [64, 0, 49]);
        let spoils: [(&str, Spoil); 7] = [
            ("no such table", |g| g.nodes[1].table = TableKind::Listed(crate::graph::TableId(1))),
            ("no entries", |g| g.tables[0].values.clear()),
            ("no entry for 0", |g| g.tables[0].first = 1),
            ("starts too late", |g| g.tables[0].first = -7),
            ("ends too early", |g| g.tables[0].values.truncate(15)),
            ("starts far away", |g| g.tables[0].first = i64::MIN),
            ("a bound below 0", |g| g.nodes[1].accumulator_bound = -1),
        ];
        for (name, spoil) in spoils {
            let (mut graph, values) = listed();
            spoil(&mut graph);
            assert!(matches!(run(&graph, &values, &[1, 2, 3]), Err(RunError::Graph(_))), "{name}");
        }
    }

    #[test]
    fn malformed_products_and_spreads_are_refused_without_a_panic() {
        type Spoil = fn(&mut Linear);
        let graph = || {
            let mut b = GraphBuilder::new(4, 14, (-8, 7));
            let x = b.input("x", &[2, 3, 2]);
            let right = View::plain(x, vec![2, 2, 3]);
            let y = b.batch_matmul("y", View::plain(x, vec![2, 3, 2]), right, 5, b.clamp());
            let term = BlockTerm { input: View::plain(y, vec![18]), coefficient: 2, first: 1 };
            let sum = BlockSum { input: View::plain(x, vec![12]), coefficient: -1 };
            let z = b.spread("z", vec![term], vec![sum], 2, 0, b.clamp(), &[2, 4]);
            b.finish(z)
        };
        let (whole, values) = graph();
        let record = [1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6];
        let trace = run(&whole, &values, &record).unwrap();
        // The first rows: (1 2)·(1 2 3; 4 5 6) and 2·y − Σ x.
        assert_eq!(trace.nodes[1].z[..3], [45, 60, 75]);
        let y: Vec<i64> = trace.nodes[1].y.iter().map(|y| i64::from(*y)).collect();
        assert_eq!(trace.nodes[2].z[..2], [2 * y[1] - 21, 2 * y[2] - 21]);
        let product: [(&str, Spoil); 5] = [
            ("ranks", |l| {
                if let Linear::BatchMatMul { left, .. } = l {
                    left.shape = vec![6, 2]
                }
            }),
            ("batches", |l| {
                if let Linear::BatchMatMul { left, .. } = l {
                    left.shape = vec![3, 2, 2]
                }
            }),
            ("inner sizes", |l| {
                if let Linear::BatchMatMul { right, .. } = l {
                    right.shape = vec![2, 3, 2]
                }
            }),
            ("order", |l| {
                if let Linear::BatchMatMul { right, .. } = l {
                    right.order = Some(vec![12; 12])
                }
            }),
            ("factor", |l| {
                if let Linear::BatchMatMul { factor, .. } = l {
                    *factor = i64::MIN
                }
            }),
        ];
        let spread: [(&str, Spoil); 5] = [
            ("no blocks", |l| {
                if let Linear::Spread { blocks, .. } = l {
                    *blocks = 0
                }
            }),
            ("blocks left over", |l| {
                if let Linear::Spread { blocks, .. } = l {
                    *blocks = 8
                }
            }),
            ("first beyond the end", |l| {
                if let Linear::Spread { terms, .. } = l {
                    terms[0].first = 9
                }
            }),
            ("factor of a term", |l| {
                if let Linear::Spread { terms, .. } = l {
                    terms[0].coefficient = i64::MIN
                }
            }),
            ("factor of a sum", |l| {
                if let Linear::Spread { sums, .. } = l {
                    sums[0].coefficient = i64::MIN
                }
            }),
        ];
        let all = product.into_iter().map(|spoil| (1, spoil)).chain(spread.map(|spoil| (2, spoil)));
        for (node, (name, spoil)) in all {
            let (mut graph, values) = graph();
            spoil(&mut graph.nodes[node].linear);
            assert!(matches!(run(&graph, &values, &record), Err(RunError::Graph(_))), "{name}");
        }
    }

    #[test]
    fn sums_of_large_listed_entries_that_could_wrap_are_refused() {
        let mut b = GraphBuilder::new(4, 8, (-8, 7));
        let x = b.input("x", &[3]);
        let table = b.table("large", 8, |_| i32::MAX);
        let term =
            |tensor, coefficient| Term { input: View::plain(tensor, vec![3]), coefficient, target: None };
        let large = b.combine("large", vec![term(x, 1)], 0, 0, table, &[3]);
        let y = b.combine("y", vec![term(large, 1 << 31)], 0, 0, b.clamp(), &[3]);
        let (graph, values) = b.finish(y);
        let refused = run(&graph, &values, &[1, 2, 3]).unwrap_err();
        let RunError::Graph(GraphError::Accumulator { node, .. }) = refused else { panic!("{refused}") };
        assert_eq!(node, "y");
    }

    #[test]
    fn broken_promises_are_caught_at_run_time() {
        let (mut graph, values, record) = samples::mlp(&[6, 5, 3]);
        graph.nodes[1].accumulator_bound = 0;
        assert!(matches!(run(&graph, &values, &record), Err(RunError::AccumulatorRange { .. })));
        let (mut graph, values, record) = samples::mlp(&[6, 5, 3]);
        graph.nodes[1].shift = 0;
        graph.q_bits = 8;
        assert!(matches!(run(&graph, &values, &record), Err(RunError::TableRange { .. })));
    }
}
