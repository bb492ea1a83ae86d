//! Small hand-made graphs for tests.

use crate::graph::{
    BlockSum, BlockTerm, ConvGeometry, IntGraph, Linear, ListedTable, Node, TableId, TableKind, Tensor,
    TensorId, Term, View, Weight, WeightId, WeightValues,
};

/// Numbers that look random and are always the same (a 64-bit linear congruential generator, Knuth's constants).
pub struct Noise(pub u64);

impl Noise {
    /// A number in `-magnitude..=magnitude`.
    pub fn next(&mut self, magnitude: i32) -> i32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = 2 * i64::from(magnitude) + 1;
        ((self.0 >> 33) as i64 % span - i64::from(magnitude)) as i32
    }

    /// Many of them.
    pub fn vector(&mut self, len: usize, magnitude: i32) -> Vec<i32> {
        (0..len).map(|_| self.next(magnitude)).collect()
    }
}

/// Puts a graph together node by node, with worst-case bounds from interval arithmetic.
pub struct GraphBuilder {
    graph: IntGraph,
    values: WeightValues,
    /// The range of activations, unless a node is given another.
    activation: (i64, i64),
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(shift: u32, q_bits: u32, activation: (i64, i64)) -> Self {
        Self { graph: IntGraph::empty(shift, q_bits), values: WeightValues(Vec::new()), activation }
    }

    /// The table that clamps to the range of activations.
    pub fn clamp(&self) -> TableKind {
        TableKind::clamp(self.activation, false)
    }

    /// The same after a Relu.
    pub fn relu_clamp(&self) -> TableKind {
        TableKind::clamp(self.activation, true)
    }

    /// The input node.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> TensorId {
        let (lo, hi) = self.activation;
        self.graph.input = TensorId(self.graph.tensors.len());
        self.push(name, "Input", Linear::Input, 0, self.clamp(), shape, hi.max(-lo))
    }

    /// The input node of a model that looks rows up: their numbers.
    pub fn row_numbers(&mut self, name: &str, ids: usize, rows: usize) -> TensorId {
        self.graph.input = TensorId(self.graph.tensors.len());
        self.push(name, "Input", Linear::Input, 0, TableKind::Identity, &[ids], rows as i64 - 1)
    }

    /// Rows of a weight (K,N) by the numbers `ids`.
    pub fn lookup(&mut self, name: &str, ids: TensorId, weight: WeightId, table: TableKind) -> TensorId {
        let (shape, reach) = (&self.graph.weights[weight.0].shape, self.graph.weights[weight.0].bound);
        let count = self.graph.tensors[ids.0].shape.iter().product();
        let shape = [count, shape[1]];
        let linear = Linear::Lookup { ids: View::plain(ids, vec![count]), weight };
        self.push(name, "Gather", linear, 0, table, &shape, reach)
    }

    /// A weight with its values.
    pub fn weight(&mut self, name: &str, shape: &[usize], values: Vec<i32>) -> WeightId {
        let bound = values.iter().map(|v| i64::from(*v).abs()).max().unwrap_or(0);
        self.graph.weights.push(Weight { name: name.into(), shape: shape.into(), bound });
        self.values.0.push(values);
        WeightId(self.graph.weights.len() - 1)
    }

    /// `input` seen as (M,K), times a weight.
    pub fn matmul(
        &mut self,
        name: &str,
        input: TensorId,
        seen: &[usize],
        weight: WeightId,
        bias: Option<WeightId>,
        table: TableKind,
    ) -> TensorId {
        let shape = self.graph.weights[weight.0].shape.clone();
        let reach = self.reach(input, shape[0], weight, bias);
        let input = View::plain(input, seen.into());
        let linear = Linear::MatMul { input, weight, bias };
        let shift = self.graph.shift;
        self.push(name, "Gemm", linear, shift, table, &[seen[0], shape[1]], reach)
    }

    /// A convolution of a (C,H,W) tensor.
    pub fn conv(
        &mut self,
        name: &str,
        input: TensorId,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: ConvGeometry,
        table: TableKind,
    ) -> TensorId {
        let x = self.graph.tensors[input.0].shape.clone();
        let w = self.graph.weights[weight.0].shape.clone();
        let (oh, ow) = geometry.output((x[1], x[2]), (w[2], w[3])).unwrap_or((0, 0));
        let reach = self.reach(input, w[1] * w[2] * w[3], weight, bias);
        let input = View::plain(input, x);
        let linear = Linear::Conv { input, weight, bias, geometry, residual: Vec::new(), low_bits: 0 };
        let shift = self.graph.shift;
        self.push(name, "Conv", linear, shift, table, &[w[0], oh, ow], reach)
    }

    /// (B,M,K) view times (B,K,N) view.
    pub fn batch_matmul(
        &mut self,
        name: &str,
        left: View,
        right: View,
        factor: i64,
        table: TableKind,
    ) -> TensorId {
        let shape = [left.shape[0], left.shape[1], right.shape[2]];
        let fan_in = factor.abs() * left.shape[2] as i64;
        let reach = fan_in * self.magnitude(left.tensor) * self.magnitude(right.tensor);
        let linear = Linear::BatchMatMul { left, right, factor };
        let shift = self.graph.shift;
        self.push(name, "MatMul", linear, shift, table, &shape, reach)
    }

    /// A sum of terms and of sums over blocks; `shift` is 0 or the graph's shift.
    #[allow(clippy::too_many_arguments)]
    pub fn spread(
        &mut self,
        name: &str,
        terms: Vec<BlockTerm>,
        sums: Vec<BlockSum>,
        blocks: usize,
        shift: u32,
        table: TableKind,
        shape: &[usize],
    ) -> TensorId {
        let of_term = |t: &BlockTerm| t.coefficient.abs() * self.magnitude(t.input.tensor);
        let of_sum = |s: &BlockSum| {
            let len = (s.input.len() / blocks) as i64;
            s.coefficient.abs() * len * self.magnitude(s.input.tensor)
        };
        let reach = terms.iter().map(of_term).sum::<i64>() + sums.iter().map(of_sum).sum::<i64>();
        self.push(name, "Sub", Linear::Spread { terms, sums, blocks }, shift, table, shape, reach)
    }

    /// A sum of terms; `shift` is 0 or the graph's shift.
    pub fn combine(
        &mut self,
        name: &str,
        terms: Vec<Term>,
        constant: i64,
        shift: u32,
        table: TableKind,
        shape: &[usize],
    ) -> TensorId {
        let reach = |t: &Term| t.coefficient.abs() * self.magnitude(t.input.tensor);
        let reach = constant.abs() + terms.iter().map(reach).sum::<i64>();
        self.push(name, "Add", Linear::Combine { terms, constant }, shift, table, shape, reach)
    }

    /// A listed table of `function` for all `q` in −`reach`..=`reach`.
    pub fn table(&mut self, name: &str, reach: i64, function: impl Fn(i64) -> i32) -> TableKind {
        let values = (-reach..=reach).map(function).collect();
        self.graph.tables.push(ListedTable { name: name.into(), first: -reach, values });
        TableKind::Listed(TableId(self.graph.tables.len() - 1))
    }

    /// Ends the graph with `output` as it is.
    pub fn finish(mut self, output: TensorId) -> (IntGraph, WeightValues) {
        self.graph.output = View::plain(output, self.graph.tensors[output.0].shape.clone());
        (self.graph, self.values)
    }

    fn magnitude(&self, tensor: TensorId) -> i64 {
        let (lo, hi) = self.graph.tensors[tensor.0].bound;
        hi.max(-lo)
    }

    fn reach(&self, input: TensorId, fan_in: usize, weight: WeightId, bias: Option<WeightId>) -> i64 {
        let bias = bias.map_or(0, |b| self.graph.weights[b.0].bound);
        self.magnitude(input) * fan_in as i64 * self.graph.weights[weight.0].bound + bias
    }

    #[allow(clippy::too_many_arguments)]
    fn push(
        &mut self,
        name: &str,
        operator: &str,
        linear: Linear,
        shift: u32,
        table: TableKind,
        shape: &[usize],
        reach: i64,
    ) -> TensorId {
        let q = crate::graph::requantise(reach, shift) + 1;
        let output = TensorId(self.graph.tensors.len());
        let bound = self.graph.range_of(table, (-q, q));
        self.graph.tensors.push(Tensor { name: name.into(), shape: shape.into(), bound, scale: 1.0 });
        let (name, operator) = (name.into(), operator.into());
        self.graph.nodes.push(Node {
            name,
            operator,
            linear,
            modulus: 1,
            shift,
            table,
            output,
            accumulator_bound: reach,
        });
        output
    }
}

/// A multilayer perceptron with the given widths, shift 6, 12 table bits; also a record.
pub fn mlp(widths: &[usize]) -> (IntGraph, WeightValues, Vec<i32>) {
    let mut noise = Noise(1);
    let mut b = GraphBuilder::new(6, 12, (-128, 127));
    let mut x = b.input("x", &[widths[0]]);
    for (layer, pair) in widths.windows(2).enumerate() {
        let weight = noise.vector(pair[0] * pair[1], 15);
        let weight = b.weight(&format!("w{layer}"), &[pair[0], pair[1]], weight);
        let bias = noise.vector(pair[1], 200);
        let bias = b.weight(&format!("b{layer}"), &[pair[1]], bias);
        let last = layer + 2 == widths.len();
        let table = if last { TableKind::Identity } else { b.relu_clamp() };
        x = b.matmul(&format!("fc{layer}"), x, &[1, pair[0]], weight, Some(bias), table);
    }
    let (graph, values) = b.finish(x);
    (graph, values, noise.vector(widths[0], 127))
}

/// One convolution with bias of a (C,H,W) record, shift 6.
pub fn convolution(
    input: (usize, usize, usize),
    outputs: usize,
    kernel: (usize, usize),
    geometry: ConvGeometry,
) -> (IntGraph, WeightValues, Vec<i32>) {
    let mut noise = Noise(2);
    let mut b = GraphBuilder::new(6, 12, (-128, 127));
    let x = b.input("x", &[input.0, input.1, input.2]);
    let shape = [outputs, input.0 / geometry.groups, kernel.0, kernel.1];
    let weight = noise.vector(shape.iter().product(), 31);
    let weight = b.weight("w", &shape, weight);
    let bias = noise.vector(outputs, 500);
    let bias = b.weight("b", &[outputs], bias);
    let y = b.conv("conv", x, weight, Some(bias), geometry, b.relu_clamp());
    let (graph, values) = b.finish(y);
    (graph, values, noise.vector(input.0 * input.1 * input.2, 127))
}

/// The term that adds window element (dy, dx) of every 2×2 window of a (C,H,W) tensor to its output.
fn window_term(
    input: TensorId,
    shape: (usize, usize, usize),
    offset: (usize, usize),
    coefficient: i64,
) -> Term {
    let (channels, height, width) = shape;
    let target = (0..channels * height * width).map(|e| {
        let (c, y, x) = (e / (height * width), e / width % height, e % width);
        let hit = y % 2 == offset.0 && x % 2 == offset.1 && y / 2 < height / 2 && x / 2 < width / 2;
        hit.then_some((c * (height / 2) * (width / 2) + y / 2 * (width / 2) + x / 2) as u32)
    });
    let target = Some(target.collect());
    Term { input: View::plain(input, vec![channels, height, width]), coefficient, target }
}

/// A 2×2 maximum with stride 2 of a (C,H,W) record, in steps m ← m + max(x − m, 0).
pub fn max_pool(shape: (usize, usize, usize)) -> (IntGraph, WeightValues, Vec<i32>) {
    let mut b = GraphBuilder::new(6, 10, (-128, 127));
    let x = b.input("x", &[shape.0, shape.1, shape.2]);
    let pooled = [shape.0, shape.1 / 2, shape.2 / 2];
    let mut steps = Vec::new();
    let maximum = |steps: &[TensorId], sign: i64| {
        let step =
            |d: &TensorId| Term { input: View::plain(*d, pooled.into()), coefficient: sign, target: None };
        let mut terms = vec![window_term(x, shape, (0, 0), sign)];
        terms.extend(steps.iter().map(step));
        terms
    };
    for offset in [(0, 1), (1, 0), (1, 1)] {
        let mut terms = maximum(&steps, -1);
        terms.push(window_term(x, shape, offset, 1));
        steps.push(b.combine("pool", terms, 0, 0, TableKind::Relu, &pooled));
    }
    let y = b.combine("pool", maximum(&steps, 1), 0, 0, b.clamp(), &pooled);
    let (graph, values) = b.finish(y);
    (graph, values, Noise(3).vector(shape.0 * shape.1 * shape.2, 127))
}

/// `2·x + 3·xᵀ + 1` on a (2,3) record, flattened as (3,2) and rescaled by 2^2.
pub fn residual() -> (IntGraph, WeightValues, Vec<i32>) {
    let mut b = GraphBuilder::new(2, 10, (-128, 127));
    let x = b.input("x", &[2, 3]);
    let straight = Term { input: View::plain(x, vec![3, 2]), coefficient: 2, target: None };
    let transposed = View { tensor: x, shape: vec![3, 2], order: Some(vec![0, 3, 1, 4, 2, 5]) };
    let transposed = Term { input: transposed, coefficient: 3, target: None };
    let y = b.combine("sum", vec![straight, transposed], 1, 2, b.clamp(), &[3, 2]);
    let (graph, values) = b.finish(y);
    (graph, values, Noise(4).vector(6, 127))
}
