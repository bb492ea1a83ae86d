//! Nodes put in the words of others before import: what exporters write in several nodes becomes one operator, and operators that
//! are compositions become several nodes. The float reference runs the rewritten model, which computes the same function.
//!
//! | written | becomes |
//! |---|---|
//! | `x − mean(x)` over the root of its mean square | `LayerNormalization` |
//! | `x·(1 + Erf(x/√2))/2` | `Gelu` |
//! | `x·Sigmoid(x)` | `Swish` |
//! | `a / b`, `b` computed | `a · Reciprocal(b)` |
//! | `Max(a, b)`, `Min(a, b)` | `b + Relu(a − b)`, `a − Relu(a − b)` |
//! | `ReduceMin(x)` | `−ReduceMax(−x)` |
//! | `PRelu(x, s)` | `Relu(x) − s·Relu(−x)` |
//!
//! Comparisons and logic: `rewrite/logic.rs`. Operators on integers: `rewrite/quantised.rs`, `rewrite/dynamic.rs`; only the latter changes what is
//! computed, by a rounding. Masked softmax: `rewrite/mask.rs`; it alone has no name in ONNX, so the float reference runs what [`reference`] makes of it.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

mod dynamic;
mod embedding;
mod logic;
mod mask;
mod quantised;

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

use super::tensor::{Constant, Data};

/// The model in fewer kinds of node.
pub fn rewritten(proto: &ModelProto) -> ModelProto {
    let mut proto = proto.clone();
    if let Some(graph) = &mut proto.graph {
        dynamic::real(graph);
        quantised::apart(graph);
        fuse(graph);
        logic::realise(graph);
        let of_nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
        let of_nodes = of_nodes.flat_map(|node| node.output.clone());
        let constants: HashSet<String> =
            graph.initializer.iter().map(|tensor| tensor.name.clone()).chain(of_nodes).collect();
        let nodes = std::mem::take(&mut graph.node);
        graph.node = nodes.into_iter().flat_map(|node| expand(node, &constants)).collect();
    }
    proto
}

pub use dynamic::note;

/// A softmax of its first input where its second, a mask, is not 0; or with attribute `drop`, where it is 0.
pub(super) const MASKED_SOFTMAX: &str = "kiln.internal.MaskedSoftmax";
/// `Gather` of constant rows by computed numbers.
pub(super) const EMBEDDING: &str = "kiln.internal.Embedding";
/// Of a `DequantizeLinear`: that it reads a record of integers.
pub(super) const OF_RECORD: &str = "kiln.internal.OfRecord";
/// Before the name of what ONNX Runtime's own operator on quantised tensors computes; the same between pairs has another arithmetic.
pub(super) const QLINEAR: &str = "kiln.internal.QLinear";

/// A rewritten model in the words of ONNX alone, with more nodes and constants.
pub fn reference(proto: &ModelProto, nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    let mut proto = proto.clone();
    if let Some(graph) = &mut proto.graph {
        logic::without_masks(graph);
        embedding::without_lookups(graph);
        quantised::without_own(graph);
        quantised::with_integers(graph);
        graph.node.extend(nodes);
        graph.initializer.extend(constants);
    }
    proto
}

/// A graph by names.
struct Names<'a> {
    nodes: &'a [NodeProto],
    maker: HashMap<&'a str, usize>,
    readers: HashMap<&'a str, Vec<usize>>,
    initialisers: HashMap<&'a str, &'a TensorProto>,
}

impl<'a> Names<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let mut maker = HashMap::new();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            node.input.iter().for_each(|name| readers.entry(name).or_default().push(index));
            maker.extend(node.output.iter().map(|name| (name.as_str(), index)));
        }
        for output in &graph.output {
            readers.entry(&output.name).or_default().push(usize::MAX);
        }
        let initialisers = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        Self { nodes: &graph.node, maker, readers, initialisers }
    }

    /// The node that makes a value, if it is of this operator.
    fn made_by(&self, name: &str, operator: &str) -> Option<(usize, &'a NodeProto)> {
        let index = *self.maker.get(name)?;
        let node = self.nodes.get(index).filter(|node| node.op_type == operator && node.domain.is_empty())?;
        Some((index, node))
    }

    /// Whether a value has one reader.
    fn read_by_one(&self, name: &str) -> Option<()> {
        (self.readers.get(name)?.len() == 1).then_some(())
    }

    /// The one reader of a value, if it is of this operator.
    fn read_by(&self, name: &str, operator: &str) -> Option<(usize, &'a NodeProto)> {
        let [index] = self.readers.get(name)?.as_slice() else { return None };
        let node =
            self.nodes.get(*index).filter(|node| node.op_type == operator && node.domain.is_empty())?;
        Some((*index, node))
    }

    /// The tensor of a constant value.
    fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        let of_node = || {
            let (_, node) = self.made_by(name, "Constant")?;
            attribute(node, "value")?.t.as_ref()
        };
        self.initialisers.get(name).copied().or_else(of_node)
    }

    /// A value that is one number for all.
    fn number(&self, name: &str) -> Option<f32> {
        match Constant::read_any(self.constant(name)?).ok()?.data {
            Data::Float(values) => match values.as_slice() {
                [value] => Some(*value),
                _ => None,
            },
            Data::Int(_) => None,
        }
    }

    /// Whether a `ReduceMean` is over the last axis and keeps it.
    fn is_row_mean(&self, node: &NodeProto) -> bool {
        let keeps = node.attribute.iter().all(|a| a.name != "keepdims" || a.i == 1);
        let attribute = node.attribute.iter().find(|a| a.name == "axes").map(|a| a.ints.clone());
        let of_input = || {
            let tensor = self.initialisers.get(node.input.get(1)?.as_str())?;
            match Constant::read(tensor).ok()?.data {
                Data::Int(axes) => Some(axes),
                Data::Float(_) => None,
            }
        };
        keeps && attribute.or_else(of_input).is_some_and(|axes| axes == [-1])
    }
}

/// The operand of a node with two inputs that is not `name`.
fn other<'a>(node: &'a NodeProto, name: &str) -> Option<&'a str> {
    match node.input.as_slice() {
        [a, b] if a == name => Some(b),
        [a, b] if b == name => Some(a),
        _ => None,
    }
}

fn near(value: f32, wanted: f32) -> bool {
    (value - wanted).abs() <= 1e-3 * wanted.abs()
}

/// What replaces the last of several nodes.
struct Fusion {
    /// Nodes that fall away.
    gone: Vec<usize>,
    /// The node that is replaced.
    last: usize,
    node: NodeProto,
    /// A constant that the new node needs.
    constant: Option<TensorProto>,
}

fn fuse(graph: &mut GraphProto) {
    let mut fusions = Vec::new();
    let live = read(graph);
    {
        let names = Names::new(graph);
        for index in 0..graph.node.len() {
            let found = layer_normalization(&names, index)
                .or_else(|| gelu(&names, index))
                .or_else(|| mask::masked_softmax(&names, index))
                .or_else(|| swish(&names, index));
            fusions.extend(found);
        }
    }
    let mut nodes: Vec<Option<NodeProto>> = std::mem::take(&mut graph.node).into_iter().map(Some).collect();
    for fusion in fusions {
        for index in fusion.gone {
            nodes.get_mut(index).map(Option::take);
        }
        if let Some(last) = nodes.get_mut(fusion.last) {
            *last = Some(fusion.node);
        }
        graph.initializer.extend(fusion.constant);
    }
    graph.node = nodes.into_iter().flatten().collect();
    drop_unread(graph, &live);
}

/// All values that something reads.
fn read(graph: &GraphProto) -> HashSet<String> {
    let of_nodes = graph.node.iter().flat_map(|node| node.input.iter());
    of_nodes.chain(graph.output.iter().map(|output| &output.name)).cloned().collect()
}

/// Nodes and constants that were read before the fusions and are no longer.
fn drop_unread(graph: &mut GraphProto, live: &HashSet<String>) {
    loop {
        let (now, before) = (read(graph), graph.node.len());
        let dead = |name: &String| live.contains(name) && !now.contains(name);
        graph
            .node
            .retain(|node| !node.output.iter().any(dead) || node.output.iter().any(|o| now.contains(o)));
        graph.initializer.retain(|tensor| !dead(&tensor.name));
        if graph.node.len() == before {
            return;
        }
    }
}

/// An attribute by its name.
fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

fn int_attribute(name: &str, i: i64) -> AttributeProto {
    let kind = i32::from(tract_onnx::pb::attribute_proto::AttributeType::Int);
    AttributeProto { name: name.into(), i, r#type: kind, ..Default::default() }
}

fn float_attribute(name: &str, f: f32) -> AttributeProto {
    let kind = i32::from(tract_onnx::pb::attribute_proto::AttributeType::Float);
    AttributeProto { name: name.into(), f, r#type: kind, ..Default::default() }
}

/// A number without dimensions.
fn number_tensor(name: &str, value: f32) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: i32::from(DataType::Float),
        float_data: vec![value],
        ..Default::default()
    }
}

pub(super) fn node(operator: &str, like: &NodeProto, input: &[&str], output: &str) -> NodeProto {
    // The node that gives the result keeps the name.
    let named = !like.name.is_empty() && like.output.first().is_some_and(|of| of == output);
    NodeProto {
        op_type: operator.into(),
        name: if named { like.name.clone() } else { output.into() },
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.into()],
        ..Default::default()
    }
}

/// `ReduceMean`, `Sub`, `Pow` (or `Mul` by itself), `ReduceMean`, `Add`, `Sqrt`, `Div`; `last` is the `Div`.
fn layer_normalization(names: &Names<'_>, last: usize) -> Option<Fusion> {
    let division = names.nodes.get(last).filter(|node| node.op_type == "Div")?;
    let [difference, root] = division.input.as_slice() else { return None };
    let (subtract, sub) = names.made_by(difference, "Sub")?;
    let (take_root, sqrt) = names.made_by(root, "Sqrt")?;
    let (add_epsilon, add) = names.made_by(sqrt.input.first()?, "Add")?;
    let (mean_square, variance) = add.input.iter().find_map(|name| names.made_by(name, "ReduceMean"))?;
    let epsilon = names.number(other(add, variance.output.first()?)?)?;
    let square = variance.input.first()?;
    let (take_square, squared) = names.made_by(square, "Pow").or_else(|| names.made_by(square, "Mul"))?;
    let by = squared.input.get(1)?;
    let squares = squared.input.first()? == difference && (by == difference || names.number(by) == Some(2.0));
    let [x, mean] = sub.input.as_slice() else { return None };
    let (take_mean, mean_node) = names.made_by(mean, "ReduceMean")?;
    let of_rows =
        mean_node.input.first()? == x && names.is_row_mean(mean_node) && names.is_row_mean(variance);
    let gone = vec![subtract, take_root, add_epsilon, mean_square, take_square, take_mean];
    let inside = |index: &usize| *index == last || gone.contains(index);
    let outputs = gone.iter().filter_map(|index| names.nodes.get(*index)?.output.first());
    let closed = outputs
        .into_iter()
        .all(|name| names.readers.get(name.as_str()).is_some_and(|all| all.iter().all(inside)));
    if !squares || !of_rows || !closed {
        return None;
    }
    let output = division.output.first()?;
    let one = format!("{output}.one");
    let mut fused = node("LayerNormalization", division, &[x, &one], output);
    fused.attribute = vec![float_attribute("epsilon", epsilon)];
    let constant = TensorProto {
        name: one,
        dims: vec![1],
        data_type: i32::from(DataType::Float),
        float_data: vec![1.0],
        ..Default::default()
    };
    Some(Fusion { gone, last, node: fused, constant: Some(constant) })
}

/// `Erf` of `x` over √2, plus 1, times `x` and a half in either order; `middle` is the `Erf`.
fn gelu(names: &Names<'_>, middle: usize) -> Option<Fusion> {
    let erf = names.nodes.get(middle).filter(|node| node.op_type == "Erf")?;
    let scaled = erf.input.first()?;
    let (scale, scaling) = names.made_by(scaled, "Div").or_else(|| names.made_by(scaled, "Mul"))?;
    names.read_by(scaled, "Erf")?;
    let [a, b] = scaling.input.as_slice() else { return None };
    let (x, factor) = match (names.number(a), names.number(b)) {
        (None, Some(factor)) => (a, factor),
        (Some(factor), None) if scaling.op_type == "Mul" => (b, factor),
        _ => return None,
    };
    let wanted =
        if scaling.op_type == "Div" { std::f32::consts::SQRT_2 } else { std::f32::consts::FRAC_1_SQRT_2 };
    let (plus, add) = names.read_by(erf.output.first()?, "Add")?;
    let one = names.number(other(add, erf.output.first()?)?)?;
    let share = add.output.first()?;
    let (times, product) = names.read_by(share, "Mul")?;
    if !near(factor, wanted) || !near(one, 1.0) {
        return None;
    }
    let partner = other(product, share)?;
    let half = |node: &NodeProto, name: &str| {
        other(node, name).and_then(|c| names.number(c)).is_some_and(|c| near(c, 0.5))
    };
    let (gone, last, output) = if partner == x {
        let (last, halved) = names.read_by(product.output.first()?, "Mul")?;
        if !half(halved, product.output.first()?) {
            return None;
        }
        (vec![scale, middle, plus, times], last, halved.output.first()?)
    } else {
        let (halve, halved) = names.made_by(partner, "Mul")?;
        names.read_by(partner, "Mul")?;
        if !half(halved, x) {
            return None;
        }
        (vec![scale, middle, plus, halve], times, product.output.first()?)
    };
    let fused = node("Gelu", names.nodes.get(last)?, &[x], output);
    Some(Fusion { gone, last, node: fused, constant: None })
}

/// `x` times `Sigmoid(x)`; `last` is the `Mul`.
fn swish(names: &Names<'_>, last: usize) -> Option<Fusion> {
    let product = names.nodes.get(last).filter(|node| node.op_type == "Mul")?;
    let [a, b] = product.input.as_slice() else { return None };
    let of = |gate: &str, x: &str| {
        let (index, sigmoid) = names.made_by(gate, "Sigmoid")?;
        names.read_by(gate, "Mul")?;
        (sigmoid.input.first()? == x).then_some(index)
    };
    let (gate, x) = of(b, a).map(|gate| (gate, a)).or_else(|| of(a, b).map(|gate| (gate, b)))?;
    let fused = node("Swish", product, &[x], product.output.first()?);
    Some(Fusion { gone: vec![gate], last, node: fused, constant: None })
}

/// A node as compositions of others.
fn expand(old: NodeProto, constants: &HashSet<String>) -> Vec<NodeProto> {
    let (Some(output), true) = (old.output.first().cloned(), old.domain.is_empty()) else { return vec![old] };
    let part = |name: &str| format!("{output}.{name}");
    let make = |operator: &str, input: &[&str], name: &str| node(operator, &old, input, name);
    match (old.op_type.as_str(), old.input.as_slice()) {
        ("Div", [a, b]) if !constants.contains(b) => {
            let inverse = part("inverse");
            vec![make("Reciprocal", &[b], &inverse), make("Mul", &[a, &inverse], &output)]
        }
        ("Max" | "Min", [a, b]) => {
            let (difference, excess) = (part("difference"), part("excess"));
            let (last, from) = if old.op_type == "Max" { ("Add", b) } else { ("Sub", a) };
            vec![
                make("Sub", &[a, b], &difference),
                make("Relu", &[&difference], &excess),
                make(last, &[from, &excess], &output),
            ]
        }
        ("ReduceMin", [x, rest @ ..]) => {
            let (negative, largest) = (part("negative"), part("largest"));
            let inputs: Vec<&str> =
                [negative.as_str()].into_iter().chain(rest.iter().map(String::as_str)).collect();
            let mut reduce = make("ReduceMax", &inputs, &largest);
            reduce.attribute.clone_from(&old.attribute);
            vec![make("Neg", &[x], &negative), reduce, make("Neg", &[&largest], &output)]
        }
        ("PRelu", [x, slope]) => {
            let [positive, negative, below, scaled] = ["positive", "negative", "below", "scaled"].map(part);
            vec![
                make("Relu", &[x], &positive),
                make("Neg", &[x], &negative),
                make("Relu", &[&negative], &below),
                make("Mul", &[&below, slope], &scaled),
                make("Sub", &[&positive, &scaled], &output),
            ]
        }
        _ => vec![old],
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, ints};

    #[test]
    fn gelu_as_exporters_write_it() {
        let base = || {
            let onnx = Onnx::new(&[1, 7]).noise("w", &[7, 5], 1.0).floats("half", &[], vec![0.5]);
            let onnx = onnx.floats("root", &[], vec![std::f32::consts::SQRT_2]).floats("one", &[], vec![1.0]);
            let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("Div", &["a", "root"], "b", vec![]);
            onnx.node("Erf", &["b"], "c", vec![]).node("Add", &["c", "one"], "d", vec![])
        };
        let after = base().node("Mul", &["a", "d"], "e", vec![]).node("Mul", &["e", "half"], "f", vec![]);
        let before = base().node("Mul", &["half", "a"], "e", vec![]).node("Mul", &["e", "d"], "f", vec![]);
        for onnx in [after, before] {
            let model = onnx.node("Relu", &["f"], "y", vec![]).check("y");
            assert_eq!(model.graph.nodes.len(), 3, "the layer's table holds it");
        }
    }

    #[test]
    fn what_looks_like_a_normalisation_and_is_none_is_left_alone() {
        let mean = || vec![ints("axes", &[-1])];
        let onnx = Onnx::new(&[1, 3, 7]).floats("two", &[], vec![2.0]).floats("eps", &[], vec![9.0]);
        let onnx = onnx.node("ReduceMean", &["x"], "m", mean()).node("Sub", &["x", "m"], "d", vec![]);
        let onnx = onnx.node("Pow", &["x", "two"], "p", vec![]).node("ReduceMean", &["p"], "v", mean());
        let onnx = onnx.node("Add", &["v", "eps"], "a", vec![]).node("Sqrt", &["a"], "s", vec![]);
        let model = onnx.node("Div", &["d", "s"], "y", vec![]).check("y");
        assert!(model.graph.nodes.iter().all(|node| node.operator != "LayerNormalization"));
    }

    #[test]
    fn smaller_and_larger_of_two_tensors_and_over_axes() {
        for operator in ["Max", "Min"] {
            let onnx =
                Onnx::new(&[1, 3, 5]).noise("w", &[5, 5], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
            onnx.node(operator, &["x", "a"], "y", vec![]).check("y");
            let onnx = Onnx::new(&[1, 3, 5]).noise("c", &[5], 1.0);
            onnx.node(operator, &["x", "c"], "y", vec![]).check("y");
        }
        Onnx::new(&[1, 3, 5]).node("ReduceMin", &["x"], "y", vec![ints("axes", &[1])]).check("y");
    }

    #[test]
    fn slopes_of_a_parametric_relu() {
        for shape in [&[1][..], &[5], &[3, 1]] {
            Onnx::new(&[1, 3, 5]).noise("s", shape, 0.5).node("PRelu", &["x", "s"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn division_by_a_tensor() {
        let onnx = Onnx::new(&[1, 3, 5]).floats("c", &[], vec![3.0]).node("Add", &["x", "c"], "a", vec![]);
        onnx.node("Div", &["x", "a"], "y", vec![]).check("y");
        let onnx = Onnx::new(&[1, 3, 5]).floats("c", &[], vec![3.0]).node("Add", &["x", "c"], "a", vec![]);
        let onnx = onnx.node("ReduceMax", &["a"], "m", vec![ints("axes", &[2])]);
        onnx.node("Div", &["x", "m"], "y", vec![]).check("y");
    }
}
