//! Is an integer graph well formed? Graphs and weights are read back from files, so every index, shape and bound is
//! checked before anything is computed from them; what passes here can be interpreted without a panic and without
//! wrapping.

use crate::graph::{
    BlockSum, BlockTerm, IntGraph, Linear, Node, TableKind, TensorId, Term, View, Weight, WeightId,
    WeightValues,
};

/// No accumulator may exceed this, so that sums of two stay inside `i64`.
pub const ACCUMULATOR_MAX: i64 = 1 << 61;
/// Largest supported [`IntGraph::q_bits`].
pub const Q_BITS_MAX: u32 = 24;
/// Largest supported [`IntGraph::shift`].
pub const SHIFT_MAX: u32 = 24;
/// Largest [`Linear::Conv`] `low_bits`: the bits of a weight, with its sign.
pub const LOW_BITS_MAX: u32 = 30;
/// Largest number of elements of one tensor or weight.
pub const ELEMENTS_MAX: usize = 1 << 27;

/// What is wrong with a graph. Values of weights stay out of the messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum GraphError {
    /// A tensor or weight index outside the graph.
    #[error("node `{node}` ({operator}) reads {what} {index}, but the graph has {len}; the file is corrupt")]
    Index { node: String, operator: String, what: &'static str, index: usize, len: usize },
    /// A tensor is read before a node makes it, or made twice.
    #[error("node `{node}` ({operator}) uses tensor {tensor} out of order; the file is corrupt")]
    Order { node: String, operator: String, tensor: usize },
    /// Two shapes that must agree do not.
    #[error("node `{node}` ({operator}): {what} should have {expected} elements or this size, got {got}")]
    Shape { node: String, operator: String, what: &'static str, expected: usize, got: usize },
    /// A shape without elements, or with absurdly many.
    #[error("node `{node}` ({operator}): {what} of shape {shape:?} should have 1 to {ELEMENTS_MAX} elements")]
    Size { node: String, operator: String, what: &'static str, shape: Vec<usize> },
    /// A node's accumulator could leave its promised range.
    #[error(
        "node `{node}` ({operator}): its sums could reach {got}, more than the supported {expected}; use smaller weights or fewer bits"
    )]
    Accumulator { node: String, operator: String, expected: i64, got: i128 },
    /// A remainder whose table does not hold just what a division leaves.
    #[error(
        "node `{node}` ({operator}) holds what is left of a division by {expected}, but its table holds {got} numbers, or is another node's too; the file is corrupt"
    )]
    Rest { node: String, operator: String, expected: i64, got: i64 },
    /// A graph-wide parameter out of range.
    #[error("{what} is {got}, outside {lo}..={hi}; compile the model again")]
    Parameter { what: &'static str, lo: i64, hi: i64, got: i64 },
    /// The weight values do not fit the weights' shapes.
    #[error(
        "weight `{name}` should have {expected} values, got {got}; this is not the model that the graph was made from"
    )]
    WeightLength { name: String, expected: usize, got: usize },
    /// A weight value larger than the weight's promise.
    #[error("weight `{name}` exceeds its bound {expected} at position {position}")]
    WeightBound { name: String, position: usize, expected: i64, got: i64 },
}

/// Checks indices, order, shapes and parameters of a graph, and that no node's sum can wrap.
pub fn validate_graph(graph: &IntGraph) -> Result<(), GraphError> {
    parameter("shift", graph.shift.into(), 0, SHIFT_MAX.into())?;
    parameter("q_bits", graph.q_bits.into(), 1, Q_BITS_MAX.into())?;
    let range = 1i64 << graph.q_bits;
    if let Some((_, last)) = graph.row_numbers() {
        parameter("the number of the last row of a table", last, 0, range - 1)?;
    }
    check_tables(graph)?;
    let mut made = vec![None; graph.tensors.len()];
    for node in &graph.nodes {
        Checker { graph, node, made: &made }.check()?;
        match made.get_mut(node.output.0) {
            Some(made) if made.is_none() => *made = Some(magnitude(graph, node)),
            Some(_) => return Err(order_error(node, node.output)),
            None => return Err(index_error(node, "tensor", node.output.0, graph.tensors.len())),
        }
    }
    let Some(last) = graph.nodes.last() else {
        return Err(GraphError::Parameter { what: "the number of nodes", lo: 1, hi: i64::MAX, got: 0 });
    };
    if made.get(graph.input.0).copied().flatten().is_none() {
        return Err(order_error(last, graph.input));
    }
    let checker = Checker { graph, node: last, made: &made };
    if !graph.parts.is_empty() {
        let len = graph.parts.iter().fold(0usize, |len, part| len.saturating_add(part.len));
        checker.equal("the parts of the record", graph.tensors[graph.input.0].shape.iter().product(), len)?;
    }
    checker.view(&graph.output).map(|_| ())
}

/// Checks that the values are of the shapes and within the bounds that the graph promises.
pub fn validate_weights(graph: &IntGraph, values: &WeightValues) -> Result<(), GraphError> {
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    if values.0.len() != graph.weights.len() {
        let expected = count(graph.weights.len());
        let got = count(values.0.len());
        return Err(GraphError::Parameter { what: "the number of weights", lo: expected, hi: expected, got });
    }
    for (weight, values) in graph.weights.iter().zip(&values.0) {
        let expected = weight.shape.iter().product();
        if values.len() != expected {
            return Err(GraphError::WeightLength { name: weight.name.clone(), expected, got: values.len() });
        }
        if let Some(position) = values.iter().position(|v| i64::from(*v).abs() > weight.bound) {
            let (name, got) = (weight.name.clone(), i64::from(values[position]));
            return Err(GraphError::WeightBound { name, position, expected: weight.bound, got });
        }
    }
    Ok(())
}

/// The largest |y| of a node, at least 1, so that every factor counts: it looks up no `q` beyond its accumulators' bound and the table range.
fn magnitude(graph: &IntGraph, node: &Node) -> i64 {
    let (bound, range) = (node.accumulator_bound.clamp(0, ACCUMULATOR_MAX), 1i64 << graph.q_bits);
    let reach = match node.linear {
        Linear::Input => graph.record_range(),
        _ => (node.requantise(-bound).max(-range), node.requantise(bound).min(range - 1)),
    };
    let (lo, hi) = graph.range_of(node.table, reach);
    hi.max(lo.saturating_neg()).max(1)
}

/// Listed tables have an entry for 0, and only entries that a table may have.
fn check_tables(graph: &IntGraph) -> Result<(), GraphError> {
    let range = 1i64 << graph.q_bits;
    for table in &graph.tables {
        let entries = i64::try_from(table.values.len()).unwrap_or(i64::MAX);
        parameter("the number of entries of a table", entries, 1, 2 * range)?;
        parameter("the first entry of a table", table.first, -range, 0)?;
        parameter("the last entry of a table", table.last(), 0, range - 1)?;
    }
    Ok(())
}

fn parameter(what: &'static str, got: i64, lo: i64, hi: i64) -> Result<(), GraphError> {
    if (lo..=hi).contains(&got) { Ok(()) } else { Err(GraphError::Parameter { what, lo, hi, got }) }
}

fn index_error(node: &Node, what: &'static str, index: usize, len: usize) -> GraphError {
    GraphError::Index { node: node.name.clone(), operator: node.operator.clone(), what, index, len }
}

fn order_error(node: &Node, tensor: TensorId) -> GraphError {
    GraphError::Order { node: node.name.clone(), operator: node.operator.clone(), tensor: tensor.0 }
}

/// One node under inspection, with the largest magnitudes of the tensors made before it.
struct Checker<'a> {
    graph: &'a IntGraph,
    node: &'a Node,
    made: &'a [Option<i64>],
}

impl Checker<'_> {
    fn check(&self) -> Result<(), GraphError> {
        let node = self.node;
        if node.shift != 0 && node.shift != self.graph.shift {
            let shift = i64::from(self.graph.shift);
            return Err(GraphError::Parameter {
                what: "a node's shift",
                lo: shift,
                hi: shift,
                got: node.shift.into(),
            });
        }
        let tensor = self.graph.tensors.get(node.output.0);
        let tensor =
            tensor.ok_or_else(|| index_error(node, "tensor", node.output.0, self.graph.tensors.len()))?;
        let output = self.elements("the output", &tensor.shape)?;
        parameter("a node's modulus", node.modulus, 1, ACCUMULATOR_MAX)?;
        self.table()?;
        self.is_divided()?;
        match &node.linear {
            Linear::Input if node.output != self.graph.input => Err(order_error(node, node.output)),
            Linear::Input => self.input_table(),
            Linear::Conv { input, weight, bias, geometry, residual, low_bits } => {
                let weight = self.weight(*weight)?;
                let (x, [numbers, cg, kh, kw]) =
                    (self.dims::<3>(&input.shape)?, self.dims::<4>(&weight.shape)?);
                self.view(input)?;
                parameter("the bits of a low digit", i64::from(*low_bits), 0, i64::from(LOW_BITS_MAX))?;
                let digits = if *low_bits == 0 { 1 } else { 2 };
                self.equal("numbers of weights without their low digits", 0, numbers % digits)?;
                let o = numbers / digits;
                let groups = geometry.groups;
                self.equal("groups × channels per group", x[0], cg.saturating_mul(groups))?;
                self.equal("output channels left over by the groups", 0, o.checked_rem(groups).unwrap_or(1))?;
                let Some((oh, ow)) = geometry.output((x[1], x[2]), (kh, kw)) else {
                    return Err(self.shape("the kernel inside the padded input", x[1], kh));
                };
                self.equal("the output", o.saturating_mul(oh).saturating_mul(ow), output)?;
                self.bias(*bias, numbers)?;
                let mut added = 0;
                for term in residual {
                    self.equal("a residual term", output, self.view(&term.input)?)?;
                    let targets = term.target.as_ref().map_or(0, |target| target.len().max(1));
                    self.equal("targets of a residual term", 0, targets)?;
                    added += i128::from(term.coefficient).abs() * self.magnitude(&term.input);
                }
                // What both digits of numbers come to.
                let each = if digits == 1 { 1 } else { 1 + (1 << *low_bits) };
                self.accumulator(cg * kh * kw, input, (weight.bound, *bias), each, added)
            }
            Linear::MatMul { input, weight, bias } => {
                let weight = self.weight(*weight)?;
                let ([m, k], [kw, n]) = (self.dims::<2>(&input.shape)?, self.dims::<2>(&weight.shape)?);
                self.view(input)?;
                self.equal("the weight's first dimension", k, kw)?;
                self.equal("the output", m.saturating_mul(n), output)?;
                self.bias(*bias, n)?;
                self.accumulator(k, input, (weight.bound, *bias), 1, 0)
            }
            Linear::BatchMatMul { left, right, factor } => {
                let ([b, m, k], [rb, rk, n]) = (self.dims::<3>(&left.shape)?, self.dims::<3>(&right.shape)?);
                self.view(left)?;
                self.view(right)?;
                self.equal("the batches of the second factor", b, rb)?;
                self.equal("the rows of the second factor", k, rk)?;
                self.equal("the output", b.saturating_mul(m).saturating_mul(n), output)?;
                let product = self.magnitude(left).saturating_mul(self.magnitude(right));
                self.reach(i128::from(*factor).abs().saturating_mul(product).saturating_mul(k as i128))
            }
            Linear::Lookup { ids, weight } => {
                let weight = self.weight(*weight)?;
                let [_, n] = self.dims::<2>(&weight.shape)?;
                // What is computed is seldom a row.
                if ids.tensor != self.graph.input && !self.is_part(ids.tensor) {
                    return Err(order_error(node, ids.tensor));
                }
                self.equal("the output", self.view(ids)?.saturating_mul(n), output)?;
                self.reach(weight.bound.into())
            }
            Linear::Spread { terms, sums, blocks } => self.spread(terms, sums, *blocks, output),
            Linear::Combine { terms, constant } => {
                let reach = self.terms(terms, output)?;
                self.reach(reach.saturating_add(i128::from(*constant).abs()))
            }
            Linear::Rest { of } => self.rest(*of, output),
        }
    }

    /// Only nodes of these kinds have a modulus, and what is left of their accumulators is held by the next node.
    fn is_divided(&self) -> Result<(), GraphError> {
        let node = self.node;
        if node.modulus == 1 {
            return Ok(());
        }
        let divides = match node.linear {
            Linear::Conv { .. }
            | Linear::BatchMatMul { .. }
            | Linear::Combine { .. }
            | Linear::Rest { .. } => true,
            Linear::Input | Linear::MatMul { .. } | Linear::Lookup { .. } | Linear::Spread { .. } => false,
        };
        let rests = |other: &Node| matches!(other.linear, Linear::Rest { of } if of == node.output);
        let at = self.graph.nodes.iter().position(|other| other.output == node.output);
        let next = at.and_then(|at| self.graph.nodes.get(at + 1));
        let held = next.is_some_and(rests) && self.graph.nodes.iter().filter(|node| rests(node)).count() == 1;
        if divides && held { Ok(()) } else { Err(order_error(node, node.output)) }
    }

    /// What is left of a division by `modulus` is in −⌊modulus/2⌋..modulus − ⌊modulus/2⌋, and this node's digits hold just that: with `2·X + 1`
    /// entries and the shift `2^shift·(2·X + 1)` numbers, or so many multiples of its own modulus.
    fn rest(&self, of: TensorId, output: usize) -> Result<(), GraphError> {
        let node = self.node;
        let maker = self.graph.nodes.iter().find(|maker| maker.output == of && maker.modulus > 1);
        let maker = maker.ok_or_else(|| order_error(node, of))?;
        if self.made.get(of.0).copied().flatten().is_none() {
            return Err(order_error(node, of));
        }
        let expected = self.graph.tensors.get(of.0).map_or(0, |tensor| tensor.shape.iter().product());
        self.equal("what is left of a tensor", expected, output)?;
        let alone = |other: &&Node| other.table == node.table && !matches!(other.linear, Linear::Rest { .. });
        let shared = self.graph.nodes.iter().any(|other| alone(&other));
        let entries = match node.table {
            TableKind::Listed(id) => self.graph.tables.get(id.0).filter(|table| table.first == -table.last()),
            _ => None,
        };
        let entries = entries.map_or(0, |table| table.values.len() as i64);
        let got = entries.saturating_mul(1 << node.shift).saturating_mul(node.modulus);
        // The ends are even only so.
        let whole = node.shift == 0 || node.modulus == 1;
        if got != maker.modulus || shared || !whole || node.accumulator_bound != maker.modulus / 2 {
            let (node, operator) = self.names();
            return Err(GraphError::Rest { node, operator, expected: maker.modulus, got });
        }
        Ok(())
    }

    /// Whether a tensor holds values of the record as they are.
    fn is_part(&self, tensor: TensorId) -> bool {
        let copies = |linear: &Linear| match linear {
            Linear::Combine { terms, constant: 0 } => match terms.as_slice() {
                [term] => term.coefficient == 1 && term.input.tensor == self.graph.input,
                _ => false,
            },
            _ => false,
        };
        let node = self.graph.nodes.iter().find(|node| node.output == tensor);
        node.is_some_and(|node| (node.table, node.shift) == (TableKind::Identity, 0) && copies(&node.linear))
    }

    /// Row numbers stay as they are.
    fn input_table(&self) -> Result<(), GraphError> {
        match (self.graph.row_numbers(), self.node.table, self.node.shift) {
            (Some(_), TableKind::Identity, 0) | (None, _, _) => Ok(()),
            _ => Err(self.shape("the steps between a row number and its table", 0, 1)),
        }
    }

    /// A range of activations is in that of tables, and a listed table has an entry for every `q` that the node may ask for.
    fn table(&self) -> Result<(), GraphError> {
        if let Some((lo, hi)) = self.node.table.range() {
            let range = 1i64 << self.graph.q_bits;
            parameter("the lower end of an activation range", lo, -range, 0)?;
            return parameter("the upper end of an activation range", hi, 0, range - 1);
        }
        let TableKind::Listed(id) = self.node.table else { return Ok(()) };
        let tables = &self.graph.tables;
        let table = tables.get(id.0).ok_or_else(|| index_error(self.node, "table", id.0, tables.len()))?;
        let (bound, range) = (self.node.accumulator_bound, 1i64 << self.graph.q_bits);
        parameter("the bound of a node with a listed table", bound, 0, ACCUMULATOR_MAX)?;
        if let Linear::Rest { .. } = self.node.linear {
            return Ok(());
        }
        let (lo, hi) = (self.node.requantise(-bound), self.node.requantise(bound));
        parameter("the first entry of a table in use", table.first, -range, lo.max(-range))?;
        parameter("the last entry of a table in use", table.last(), hi.min(range - 1), range - 1)
    }

    fn spread(
        &self,
        terms: &[BlockTerm],
        sums: &[BlockSum],
        blocks: usize,
        output: usize,
    ) -> Result<(), GraphError> {
        self.equal("output elements left over by the blocks", 0, output.checked_rem(blocks).unwrap_or(1))?;
        let mut reach = 0i128;
        for term in terms {
            let size = self.block(&term.input, blocks)?;
            if term.first >= size {
                return Err(self.shape("a block with its first element", size, term.first));
            }
            let each = i128::from(term.coefficient).abs().saturating_mul(self.magnitude(&term.input));
            reach = reach.saturating_add(each);
        }
        for sum in sums {
            let size = self.block(&sum.input, blocks)?;
            let each = i128::from(sum.coefficient).abs().saturating_mul(self.magnitude(&sum.input));
            reach = reach.saturating_add(each.saturating_mul(size as i128));
        }
        self.reach(reach)
    }

    /// The size of a block of a view that is cut into equal ones.
    fn block(&self, view: &View, blocks: usize) -> Result<usize, GraphError> {
        let len = self.view(view)?;
        self.equal("elements left over by the blocks", 0, len.checked_rem(blocks).unwrap_or(1))?;
        Ok(len / blocks)
    }

    /// How far the sum of terms may reach.
    fn terms(&self, terms: &[Term], output: usize) -> Result<i128, GraphError> {
        let mut reach = 0i128;
        for term in terms {
            let len = self.view(&term.input)?;
            let mut hits = 1;
            match &term.target {
                None => self.equal("a term without targets", output, len)?,
                Some(target) => {
                    self.equal("a term's targets", len, target.len())?;
                    let mut count = vec![0u32; output];
                    for o in target.iter().flatten() {
                        let count = count.get_mut(*o as usize);
                        *count.ok_or_else(|| self.shape("a term's target", output, *o as usize))? += 1;
                    }
                    hits = count.into_iter().max().unwrap_or(0);
                }
            }
            let each = i128::from(term.coefficient).abs().saturating_mul(self.magnitude(&term.input));
            reach = reach.saturating_add(each.saturating_mul(hits.into()));
        }
        Ok(reach)
    }

    /// `each` is what a weight and a bias come to, in units of their bounds, and `added` what comes on top of products and bias.
    fn accumulator(
        &self,
        fan_in: usize,
        input: &View,
        (weight, bias): (i64, Option<WeightId>),
        each: i128,
        added: i128,
    ) -> Result<(), GraphError> {
        let bias = match bias {
            Some(bias) => self.weight(bias)?.bound,
            None => 0,
        };
        let products =
            i128::from(weight).saturating_mul(self.magnitude(input)).saturating_mul(fan_in as i128);
        let sums = products.saturating_add(bias.into()).saturating_mul(each);
        self.reach(sums.saturating_add(added))
    }

    /// Largest magnitude of what a view shows; the view has been checked.
    fn magnitude(&self, view: &View) -> i128 {
        self.made.get(view.tensor.0).copied().flatten().map_or(i128::MAX, i128::from)
    }

    fn reach(&self, got: i128) -> Result<(), GraphError> {
        if (0..=i128::from(ACCUMULATOR_MAX)).contains(&got) {
            return Ok(());
        }
        let (node, operator) = self.names();
        Err(GraphError::Accumulator { node, operator, expected: ACCUMULATOR_MAX, got })
    }

    /// The number of elements of a view that is sound.
    fn view(&self, view: &View) -> Result<usize, GraphError> {
        let tensors = &self.graph.tensors;
        let tensor = tensors.get(view.tensor.0);
        let tensor = tensor.ok_or_else(|| index_error(self.node, "tensor", view.tensor.0, tensors.len()))?;
        if self.made.get(view.tensor.0).copied().flatten().is_none() {
            return Err(order_error(self.node, view.tensor));
        }
        let len = self.elements("a tensor", &tensor.shape)?;
        self.equal("a view", len, self.elements("a view", &view.shape)?)?;
        if let Some(order) = &view.order {
            self.equal("a view's order", len, order.len())?;
            if let Some(e) = order.iter().find(|e| **e as usize >= len) {
                return Err(self.shape("a view's order", len, *e as usize));
            }
        }
        Ok(len)
    }

    fn weight(&self, id: WeightId) -> Result<&Weight, GraphError> {
        let weights = &self.graph.weights;
        let weight =
            weights.get(id.0).ok_or_else(|| index_error(self.node, "weight", id.0, weights.len()))?;
        self.elements("a weight", &weight.shape)?;
        Ok(weight)
    }

    fn bias(&self, id: Option<WeightId>, len: usize) -> Result<(), GraphError> {
        match id {
            Some(id) => self.equal("the bias", len, self.weight(id)?.shape.iter().product()),
            None => Ok(()),
        }
    }

    fn elements(&self, what: &'static str, shape: &[usize]) -> Result<usize, GraphError> {
        let product = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        let (node, operator) = self.names();
        let size = || GraphError::Size { node, operator, what, shape: shape.to_vec() };
        product.filter(|len| (1..=ELEMENTS_MAX).contains(len)).ok_or_else(size)
    }

    fn dims<const N: usize>(&self, shape: &[usize]) -> Result<[usize; N], GraphError> {
        shape.try_into().map_err(|_| self.shape("the number of dimensions", N, shape.len()))
    }

    fn equal(&self, what: &'static str, expected: usize, got: usize) -> Result<(), GraphError> {
        if expected == got { Ok(()) } else { Err(self.shape(what, expected, got)) }
    }

    fn shape(&self, what: &'static str, expected: usize, got: usize) -> GraphError {
        let (node, operator) = self.names();
        GraphError::Shape { node, operator, what, expected, got }
    }

    fn names(&self) -> (String, String) {
        (self.node.name.clone(), self.node.operator.clone())
    }
}
