//! `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and `TreeEnsemble` of ai.onnx.ml: random forests and boosted trees as scikit-learn,
//! XGBoost and LightGBM are exported. Such a model reads the record itself and gives the sums of its leaves, or of a regressor a
//! function of them ([`tail`]).
//!
//! The output is the scores before `post_transform`, which keeps their order and so the decision; a binary classifier with one
//! column of weights has the scores `(−s, s)`, or `(1 − s, s)` where no weight is negative, as ONNX runtimes have it. Labels are
//! left out: they are the largest score's. See `quantise/trees.rs` for how exactly thresholds are compared.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{GraphProto, NodeProto};

use super::{ModelInput, OnnxNode, Problem};
use crate::float::{FloatGraph, FloatModel, FloatNode, FloatOp, FloatTensor, Function};
use crate::forest::{Forest, Split};
use crate::graph::{TensorId, View};
use crate::onnx::{ImportError, UnsupportedOperator};

const DOMAIN: &str = "ai.onnx.ml";
const CLASSIFIER: &str = "TreeEnsembleClassifier";
const REGRESSOR: &str = "TreeEnsembleRegressor";
/// Both in one, from ai.onnx.ml 5 on.
const UNIFIED: &str = "TreeEnsemble";

mod tail;
mod unified;
mod walk;

use tail::{Origin, Tail};

/// The model, if the graph is an ensemble of trees.
pub(crate) fn import(
    graph: &GraphProto,
    inputs: &[ModelInput<'_>],
) -> Result<Option<FloatModel>, ImportError> {
    let is_ensemble = |node: &&NodeProto| {
        node.domain == DOMAIN && [CLASSIFIER, REGRESSOR, UNIFIED].contains(&node.op_type.as_str())
    };
    let Some((position, proto)) = graph.node.iter().enumerate().find(|(_, node)| is_ensemble(node)) else {
        return Ok(None);
    };
    let node = OnnxNode::new(proto, position);
    let reader = Reader { graph, node: &node };
    let model = match inputs {
        [input] => reader.model(input.name, &input.shape),
        _ => Err(Problem::unsupported("supported with one input")),
    };
    let (name, operator) = (node.name.clone(), format!("{DOMAIN}.{}", proto.op_type));
    match model {
        Ok(model) => Ok(Some(model)),
        Err(Problem::Constant(error)) => Err(error),
        Err(Problem::Malformed(reason)) => Err(ImportError::MalformedNode { node: name, operator, reason }),
        Err(Problem::Unsupported(reason)) => Err(ImportError::Unsupported {
            operators: vec![UnsupportedOperator { node: name, operator, reason }],
        }),
        Err(Problem::Unknown) => {
            let reason = "an operand is unknown".into();
            Err(ImportError::MalformedNode { node: name, operator, reason })
        }
    }
}

/// A leaf's values: output and weight.
type Values = HashMap<(i64, i64), Vec<(usize, f32)>>;

/// A node of a tree as the file has it.
#[derive(Clone)]
enum Branch {
    Leaf,
    /// The comparison, and the ids of the children for yes and no.
    Split(Split, [i64; 2]),
    /// Whether a feature is one of some values, ascending and at least one; see `walk.rs`.
    Among(u32, Vec<f32>, [i64; 2]),
}

/// The nodes of one tree by id, and the id of the first.
struct Tree {
    root: i64,
    nodes: HashMap<i64, Branch>,
}

/// What the leaves give.
struct Score {
    /// By tree and node.
    values: Values,
    outputs: usize,
    /// What each output begins with.
    base: Vec<f32>,
    /// Of a binary classifier with one column, whether no weight is negative.
    binary: Option<bool>,
}

struct Reader<'a> {
    graph: &'a GraphProto,
    node: &'a OnnxNode<'a>,
}

impl Reader<'_> {
    fn model(&self, input: &str, record: &[usize]) -> Result<FloatModel, Problem> {
        let features = match record {
            [1, features] => *features,
            other => {
                return Err(Problem::unsupported(format!("a record of shape {other:?}; expected one row")));
            }
        };
        let read = self.node.input(0).ok_or_else(|| Problem::malformed("input 0 is missing"))?;
        if self.origin(read, input)? != Origin::Record {
            return Err(Problem::unsupported("supported when it reads the model's input itself"));
        }
        let (mut notes, tail) = self.outputs(input)?;
        let mut forest = self.forest(features)?;
        let function = tail.fold(&mut forest)?;
        finite(&forest)?;
        let forest = Arc::new(forest);
        let transform = self.transform()?;
        if transform != "NONE" {
            notes.push(format!(
                "the transform {transform} of `{}` is left out: the outputs are the scores before it",
                self.node.name
            ));
        }
        for operator in &tail.left_out {
            notes.push(format!("a {operator} behind `{}` is left out as well", self.node.name));
        }
        if function.is_some() && transform != "NONE" {
            return Err(Problem::unsupported(format!("a function behind the transform {transform}")));
        }
        let (trees, depth) = (forest.trees, forest.depth);
        notes
            .push(format!("{trees} trees, completed to depth {depth}: nothing else of their form is public"));
        Ok(FloatModel::of_forest(self.float_graph(input, &forest, function), notes, record.to_vec(), forest))
    }

    /// What the operator itself does to the scores.
    fn transform(&self) -> Result<String, Problem> {
        let names = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
        let name = match self.node.proto.op_type.as_str() {
            UNIFIED => {
                let number = usize::try_from(self.node.int("post_transform")?.unwrap_or(0)).ok();
                number.and_then(|number| names.get(number)).map(|name| (*name).to_owned())
            }
            _ => Some(self.node.text("post_transform")?.unwrap_or_else(|| "NONE".into())),
        };
        let name = name.ok_or_else(|| Problem::malformed("attribute post_transform is no transform"))?;
        match names.contains(&name.as_str()) {
            true => Ok(name),
            false => Err(Problem::malformed(format!("attribute post_transform is {name}"))),
        }
    }

    fn float_graph(&self, input: &str, forest: &Arc<Forest>, function: Option<Function>) -> FloatGraph {
        let (record, scores) = (TensorId(0), TensorId(1));
        let tensor = |name: &str, before, id, len| {
            let seen = Some(View::plain(id, vec![len]));
            FloatTensor { name: name.into(), before, shape: vec![len], seen }
        };
        let before = function.as_ref().map(|_| "sums".to_owned());
        let node = |name: &str, operator: &str, op, function, output| FloatNode {
            name: name.into(),
            operator: operator.into(),
            op,
            relu: false,
            function,
            compares: false,
            grid: None,
            output,
        };
        let trees =
            FloatOp::Trees { input: View::plain(record, vec![forest.features]), forest: Arc::clone(forest) };
        FloatGraph {
            tensors: vec![
                tensor(input, None, record, forest.features),
                tensor("scores", before, scores, forest.outputs),
            ],
            nodes: vec![
                node(input, "Input", FloatOp::Input, None, record),
                node(&self.node.name, &self.node.proto.op_type, trees, function, scores),
            ],
            output: View::plain(scores, vec![forest.outputs]),
            steps: std::collections::HashMap::new(),
            constants: std::collections::HashMap::new(),
        }
    }

    /// Whether the graph gives nothing but scores and labels; what a user should know of it, and what becomes of the scores.
    fn outputs(&self, input: &str) -> Result<(Vec<String>, Tail), Problem> {
        let mut notes = Vec::new();
        let mut tail: Option<Tail> = None;
        for output in &self.graph.output {
            match self.origin(&output.name, input)? {
                Origin::Scores(scores) if tail.as_ref().is_none_or(|tail| *tail == scores) => {
                    tail = Some(scores);
                }
                Origin::Scores(_) => {
                    return Err(Problem::unsupported(
                        "two outputs make different things of the scores; expected one output of scores",
                    ));
                }
                Origin::Label => {
                    notes.push(format!(
                        "output `{}` is left out: it is the label of the largest score",
                        output.name
                    ));
                }
                Origin::Record => {
                    return Err(Problem::unsupported(format!("output `{}` is the input", output.name)));
                }
            }
        }
        if self.graph.output.is_empty() {
            Err(Problem::malformed("the model has no output"))
        } else {
            Ok((notes, tail.unwrap_or_default()))
        }
    }

    fn origin(&self, value: &str, input: &str) -> Result<Origin, Problem> {
        let scores = usize::from(self.node.proto.op_type == CLASSIFIER);
        tail::origin(self.graph, (self.node.proto, &self.node.name), scores, value, input)
    }

    fn forest(&self, features: usize) -> Result<Forest, Problem> {
        let trees = match self.is_unified() {
            true => unified::trees(self.node, features)?,
            false => self.trees(features)?,
        };
        let share = self.share(trees.len())?;
        let Score { values, outputs, base, binary } = match self.is_unified() {
            true => unified::score(self.node, &trees)?,
            false => self.score()?,
        };
        let mut depth = 0;
        for (_, tree) in &trees {
            depth = depth.max(tree.depth()?);
        }
        let Some(mut forest) = Forest::new(trees.len(), depth, features, outputs) else {
            return Err(Problem::unsupported(format!(
                "{} trees of depth {depth} with {outputs} outputs; they are completed to 2^depth leaves each, so train with a smaller depth, and at least 1",
                trees.len()
            )));
        };
        for (index, (id, tree)) in trees.iter().enumerate() {
            tree.place(index, &mut forest, |node| values.get(&(*id, node)).map_or(&[], Vec::as_slice))?;
        }
        forest.leaves.iter_mut().for_each(|value| *value *= share);
        forest.base = base;
        if let Some(positive) = binary {
            forest = two_columns(&forest, positive);
        }
        finite(&forest)?;
        Ok(forest)
    }

    fn is_unified(&self) -> bool {
        self.node.proto.op_type == UNIFIED
    }

    /// The trees in order of appearance, each with its id.
    fn trees(&self, features: usize) -> Result<Vec<(i64, Tree)>, Problem> {
        let ids = self.ints("nodes_treeids")?;
        let (nodes, yes, no) =
            (self.ints("nodes_nodeids")?, self.ints("nodes_truenodeids")?, self.ints("nodes_falsenodeids")?);
        let (of, thresholds) = (self.ints("nodes_featureids")?, self.reals("nodes_values")?);
        let modes = self.node.attribute("nodes_modes", AttributeType::Strings)?;
        let modes = modes.map(|a| a.strings.as_slice()).unwrap_or_default();
        let lengths = [nodes.len(), yes.len(), no.len(), of.len(), thresholds.len(), modes.len()];
        if let Some(got) = lengths.into_iter().find(|len| *len != ids.len()) {
            return Err(Problem::malformed(format!("{} nodes, but a list of {got}", ids.len())));
        }
        let mut trees: BTreeMap<usize, (i64, Tree)> = BTreeMap::new();
        let mut number: HashMap<i64, usize> = HashMap::new();
        let rows = ids.iter().zip(nodes).zip(yes.iter().zip(no)).zip(of.iter().zip(&thresholds)).zip(modes);
        for ((((tree, node), (yes, no)), (feature, threshold)), mode) in rows {
            let branch = branch(mode, *feature, *threshold, [*yes, *no], features)?;
            let next = number.len();
            let index = *number.entry(*tree).or_insert(next);
            let (_, entry) =
                trees.entry(index).or_insert_with(|| (*tree, Tree { root: *node, nodes: HashMap::new() }));
            if entry.nodes.insert(*node, branch).is_some() {
                return Err(Problem::malformed(format!("node {node} of tree {tree} comes twice")));
            }
        }
        Ok(trees.into_values().collect())
    }

    fn score(&self) -> Result<Score, Problem> {
        let classifier = self.node.proto.op_type == CLASSIFIER;
        let prefix = if classifier { "class" } else { "target" };
        let list = |name: &str| self.ints(&format!("{prefix}_{name}"));
        let (trees, nodes, ids) = (list("treeids")?, list("nodeids")?, list("ids")?);
        let weights = self.reals(&format!("{prefix}_weights"))?;
        if [nodes.len(), ids.len(), weights.len()].iter().any(|len| *len != trees.len()) {
            return Err(Problem::malformed("the lists of the leaves' values differ in length"));
        }
        let mut outputs = self.outputs_declared(classifier)?;
        let one_column = ids.iter().all(|id| Some(id) == ids.first());
        let binary = (classifier && outputs == 2 && one_column).then(|| weights.iter().all(|w| *w >= 0.0));
        if binary.is_some() {
            outputs = 1;
        }
        let mut values = Values::new();
        for ((tree, node), (id, weight)) in trees.iter().zip(nodes).zip(ids.iter().zip(&weights)) {
            let output = if binary.is_some() { 0 } else { listed(*id, outputs)? };
            values.entry((*tree, *node)).or_default().push((output, *weight));
        }
        let base = match self.reals("base_values")? {
            none if none.is_empty() => vec![0.0; outputs],
            values if values.len() == outputs => values,
            values => {
                return Err(Problem::malformed(format!(
                    "{} base values for {outputs} outputs",
                    values.len()
                )));
            }
        };
        Ok(Score { values, outputs, base, binary })
    }

    fn outputs_declared(&self, classifier: bool) -> Result<usize, Problem> {
        if !classifier {
            return targets(self.node);
        }
        let labels = self.node.attribute("classlabels_strings", AttributeType::Strings)?;
        let named = labels.map_or(0, |a| a.strings.len());
        Ok(named.max(self.ints("classlabels_int64s")?.len()))
    }

    /// What a leaf's weight counts in its output.
    #[expect(clippy::as_conversions, reason = "a number of trees is small")]
    fn share(&self, trees: usize) -> Result<f32, Problem> {
        let how = match self.node.proto.op_type.as_str() {
            CLASSIFIER => "SUM".into(),
            UNIFIED => match self.node.int("aggregate_function")?.unwrap_or(1) {
                0 => "AVERAGE".into(),
                1 => "SUM".into(),
                other => other.to_string(),
            },
            _ => self.node.text("aggregate_function")?.unwrap_or_else(|| "SUM".into()),
        };
        match how.as_str() {
            "SUM" => Ok(1.0),
            "AVERAGE" => Ok(1.0 / trees.max(1) as f32),
            other => {
                Err(Problem::unsupported(format!("aggregate_function {other}; expected SUM or AVERAGE")))
            }
        }
    }

    fn ints(&self, name: &str) -> Result<&[i64], Problem> {
        Ok(self.node.ints(name)?.unwrap_or_default())
    }

    /// A list of real numbers, or since ai.onnx.ml 3 a tensor of them.
    fn reals(&self, name: &str) -> Result<Vec<f32>, Problem> {
        match self.node.attribute(name, AttributeType::Floats)? {
            Some(list) => Ok(list.floats.clone()),
            None => unified::reals(self.node, &format!("{name}_as_tensor")),
        }
    }
}

/// The number of outputs that a regressor names.
fn targets(node: &OnnxNode<'_>) -> Result<usize, Problem> {
    let targets = usize::try_from(node.int("n_targets")?.unwrap_or(1)).ok();
    let targets = targets.filter(|targets| (1..=1 << 16).contains(targets));
    targets.ok_or_else(|| Problem::malformed("n_targets is not a number of outputs"))
}

/// An output by its number.
fn listed(id: i64, outputs: usize) -> Result<usize, Problem> {
    let output = usize::try_from(id).ok().filter(|output| *output < outputs);
    output.ok_or_else(|| Problem::malformed(format!("output {id} of {outputs}")))
}

fn finite(forest: &Forest) -> Result<(), Problem> {
    match forest.leaves.iter().chain(&forest.base).all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(Problem::malformed("a leaf or base value is not a finite number")),
    }
}

fn branch(
    mode: &[u8],
    feature: i64,
    threshold: f32,
    [yes, no]: [i64; 2],
    features: usize,
) -> Result<Branch, Problem> {
    let found = u32::try_from(feature).ok().filter(|_| usize::try_from(feature).is_ok_and(|f| f < features));
    let feature = || found.ok_or_else(|| Problem::malformed(format!("feature {feature} of {features}")));
    let split = |strict, children| {
        if !threshold.is_finite() {
            return Err(Problem::malformed(format!("a threshold is {threshold}")));
        }
        Ok(Branch::Split(Split { feature: feature()?, threshold, strict }, children))
    };
    match mode {
        b"LEAF" => Ok(Branch::Leaf),
        b"BRANCH_LEQ" => split(false, [yes, no]),
        b"BRANCH_LT" => split(true, [yes, no]),
        b"BRANCH_GT" => split(false, [no, yes]),
        b"BRANCH_GTE" => split(true, [no, yes]),
        b"BRANCH_EQ" => among(feature()?, vec![threshold], [yes, no]),
        b"BRANCH_NEQ" => among(feature()?, vec![threshold], [no, yes]),
        other => {
            let mode = String::from_utf8_lossy(other).into_owned();
            Err(Problem::unsupported(format!("nodes of mode {mode}; expected LEAF or a comparison")))
        }
    }
}

/// Whether a feature is one of some values.
fn among(feature: u32, mut values: Vec<f32>, children: [i64; 2]) -> Result<Branch, Problem> {
    if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
        return Err(Problem::malformed("a node compares for equality with no number"));
    }
    values.sort_by(f32::total_cmp);
    // Zeros of either sign are equal.
    values.dedup_by(|a, b| a == b);
    Ok(Branch::Among(feature, values, children))
}

/// The scores of both classes from those of the second.
fn two_columns(forest: &Forest, positive: bool) -> Forest {
    let mirrored =
        |values: &[f32]| values.iter().map(|v| -v).chain(values.iter().copied()).collect::<Vec<_>>();
    let (leaves, mut base) = (mirrored(&forest.leaves), mirrored(&forest.base));
    if let Some(first) = base.first_mut().filter(|_| positive) {
        *first += 1.0;
    }
    Forest { outputs: 2, leaves, base, ..forest.clone() }
}

#[cfg(test)]
pub(crate) mod tests;
