//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor` of ai.onnx.ml: random forests and boosted trees as scikit-learn, XGBoost and
//! LightGBM are exported. Such a model reads the record itself and gives the sums of its leaves.
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
use crate::float::{FloatGraph, FloatModel, FloatNode, FloatOp, FloatTensor};
use crate::forest::{Forest, Split};
use crate::graph::{TensorId, View};
use crate::onnx::{ImportError, UnsupportedOperator};

const DOMAIN: &str = "ai.onnx.ml";
const CLASSIFIER: &str = "TreeEnsembleClassifier";
const REGRESSOR: &str = "TreeEnsembleRegressor";

/// The model, if the graph is an ensemble of trees.
pub(crate) fn import(
    graph: &GraphProto,
    inputs: &[ModelInput<'_>],
) -> Result<Option<FloatModel>, ImportError> {
    let is_ensemble =
        |node: &&NodeProto| node.domain == DOMAIN && [CLASSIFIER, REGRESSOR].contains(&node.op_type.as_str());
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

/// What a value of the graph is made from.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Record,
    Scores,
    Label,
}

/// A leaf's values: output and weight.
type Values = HashMap<(i64, i64), Vec<(usize, f32)>>;

/// A node of a tree as the file has it.
#[derive(Clone, Copy)]
enum Branch {
    Leaf,
    /// The comparison, and the ids of the children for yes and no.
    Split(Split, [i64; 2]),
}

/// The nodes of one tree by id, and the id of the first.
struct Tree {
    root: i64,
    nodes: HashMap<i64, Branch>,
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
        let mut notes = self.outputs(input)?;
        let forest = self.forest(features)?;
        let transform = self.node.text("post_transform")?.unwrap_or_else(|| "NONE".into());
        match transform.as_str() {
            "NONE" => {}
            "LOGISTIC" | "SOFTMAX" | "SOFTMAX_ZERO" | "PROBIT" => notes.push(format!(
                "the transform {transform} of `{}` is left out: the outputs are the scores before it",
                self.node.name
            )),
            other => return Err(Problem::malformed(format!("attribute post_transform is {other}"))),
        }
        let (trees, depth) = (forest.trees, forest.depth);
        notes
            .push(format!("{trees} trees, completed to depth {depth}: nothing else of their form is public"));
        Ok(FloatModel::of_forest(self.float_graph(input, &forest), notes, record.to_vec(), forest))
    }

    fn float_graph(&self, input: &str, forest: &Arc<Forest>) -> FloatGraph {
        let (record, scores) = (TensorId(0), TensorId(1));
        let tensor = |name: &str, id, len| {
            let seen = Some(View::plain(id, vec![len]));
            FloatTensor { name: name.into(), before: None, shape: vec![len], seen }
        };
        let node = |name: &str, operator: &str, op, output| FloatNode {
            name: name.into(),
            operator: operator.into(),
            op,
            relu: false,
            function: None,
            compares: false,
            grid: None,
            output,
        };
        let trees =
            FloatOp::Trees { input: View::plain(record, vec![forest.features]), forest: Arc::clone(forest) };
        FloatGraph {
            tensors: vec![tensor(input, record, forest.features), tensor("scores", scores, forest.outputs)],
            nodes: vec![
                node(input, "Input", FloatOp::Input, record),
                node(&self.node.name, &self.node.proto.op_type, trees, scores),
            ],
            output: View::plain(scores, vec![forest.outputs]),
            steps: std::collections::HashMap::new(),
        }
    }

    /// Whether the graph gives nothing but scores and labels; what a user should know of it.
    fn outputs(&self, input: &str) -> Result<Vec<String>, Problem> {
        let mut notes = Vec::new();
        for output in &self.graph.output {
            match self.origin(&output.name, input)? {
                Origin::Scores => {}
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
            Ok(notes)
        }
    }

    /// Follows a value back through nodes that change no order of scores.
    fn origin(&self, value: &str, input: &str) -> Result<Origin, Problem> {
        let (mut value, mut label) = (value, false);
        for _ in 0..=self.graph.node.len() {
            if value == input {
                return Ok(Origin::Record);
            }
            let maker = self.graph.node.iter().find(|node| node.output.iter().any(|name| name == value));
            let maker = maker.ok_or_else(|| Problem::malformed(format!("nothing makes `{value}`")))?;
            if std::ptr::eq(maker, self.node.proto) {
                let scores =
                    maker.op_type == REGRESSOR || maker.output.first().is_none_or(|name| name != value);
                return Ok(if scores && !label { Origin::Scores } else { Origin::Label });
            }
            let operand = match maker.op_type.as_str() {
                "Identity" | "Cast" | "ZipMap" | "Flatten" | "Reshape" | "Squeeze" | "Softmax" => 0,
                "Normalizer" if maker.attribute.iter().any(|a| a.name == "norm" && a.s == b"L1") => 0,
                "ArgMax" => {
                    label = true;
                    0
                }
                "ArrayFeatureExtractor" => {
                    label = true;
                    1
                }
                other => {
                    let node = self.node.name.as_str();
                    return Err(Problem::unsupported(format!(
                        "`{node}` stands beside a {other}; an ensemble of trees is supported as a whole model"
                    )));
                }
            };
            let missing =
                || Problem::malformed(format!("an input of the node that makes `{value}` is missing"));
            value = maker.input.get(operand).ok_or_else(missing)?;
        }
        Err(Problem::malformed(format!("`{value}` depends on itself")))
    }

    fn forest(&self, features: usize) -> Result<Arc<Forest>, Problem> {
        let trees = self.trees(features)?;
        let (values, outputs, base, binary) = self.values()?;
        let mut depth = 0;
        for tree in &trees {
            depth = depth.max(tree.depth()?);
        }
        let Some(mut forest) = Forest::new(trees.len(), depth, features, outputs) else {
            return Err(Problem::unsupported(format!(
                "{} trees of depth {depth} with {outputs} outputs; they are completed to 2^depth leaves each, so train with a smaller depth, and at least 1",
                trees.len()
            )));
        };
        for ((id, tree), index) in self.ids()?.into_iter().zip(&trees).zip(0usize..) {
            tree.place(index, &mut forest, |node| values.get(&(id, node)).map_or(&[], Vec::as_slice))?;
        }
        forest.base = base;
        if let Some(positive) = binary {
            forest = two_columns(&forest, positive);
        }
        if forest.leaves.iter().chain(&forest.base).any(|v| !v.is_finite()) {
            return Err(Problem::malformed("a leaf or base value is not a finite number"));
        }
        Ok(Arc::new(forest))
    }

    /// The ids of the trees, in order of appearance.
    fn ids(&self) -> Result<Vec<i64>, Problem> {
        let mut ids = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for id in self.ints("nodes_treeids")? {
            if seen.insert(*id) {
                ids.push(*id);
            }
        }
        Ok(ids)
    }

    fn trees(&self, features: usize) -> Result<Vec<Tree>, Problem> {
        let ids = self.ints("nodes_treeids")?;
        let (nodes, yes, no) =
            (self.ints("nodes_nodeids")?, self.ints("nodes_truenodeids")?, self.ints("nodes_falsenodeids")?);
        let (of, thresholds) = (self.ints("nodes_featureids")?, self.floats("nodes_values")?);
        let modes = self.node.attribute("nodes_modes", AttributeType::Strings)?;
        let modes = modes.map(|a| a.strings.as_slice()).unwrap_or_default();
        let lengths = [nodes.len(), yes.len(), no.len(), of.len(), thresholds.len(), modes.len()];
        if let Some(got) = lengths.into_iter().find(|len| *len != ids.len()) {
            return Err(Problem::malformed(format!("{} nodes, but a list of {got}", ids.len())));
        }
        let mut trees: BTreeMap<usize, Tree> = BTreeMap::new();
        let mut number: HashMap<i64, usize> = HashMap::new();
        let rows = ids.iter().zip(nodes).zip(yes.iter().zip(no)).zip(of.iter().zip(thresholds)).zip(modes);
        for ((((tree, node), (yes, no)), (feature, threshold)), mode) in rows {
            let branch = branch(mode, *feature, *threshold, [*yes, *no], features)?;
            let next = number.len();
            let index = *number.entry(*tree).or_insert(next);
            let entry = trees.entry(index).or_insert_with(|| Tree { root: *node, nodes: HashMap::new() });
            if entry.nodes.insert(*node, branch).is_some() {
                return Err(Problem::malformed(format!("node {node} of tree {tree} comes twice")));
            }
        }
        Ok(trees.into_values().collect())
    }

    /// The leaves' values, the number of outputs and what they begin with; of a binary classifier with one column, whether
    /// no weight is negative.
    fn values(&self) -> Result<(Values, usize, Vec<f32>, Option<bool>), Problem> {
        let classifier = self.node.proto.op_type == CLASSIFIER;
        let prefix = if classifier { "class" } else { "target" };
        let list = |name: &str| self.ints(&format!("{prefix}_{name}"));
        let (trees, nodes, ids) = (list("treeids")?, list("nodeids")?, list("ids")?);
        let weights = self.floats(&format!("{prefix}_weights"))?;
        if [nodes.len(), ids.len(), weights.len()].iter().any(|len| *len != trees.len()) {
            return Err(Problem::malformed("the lists of the leaves' values differ in length"));
        }
        let mut outputs = self.outputs_declared(classifier)?;
        let one_column = ids.iter().all(|id| Some(id) == ids.first());
        let binary = (classifier && outputs == 2 && one_column).then(|| weights.iter().all(|w| *w >= 0.0));
        if binary.is_some() {
            outputs = 1;
        }
        let share = self.share(classifier)?;
        let mut values = Values::new();
        for ((tree, node), (id, weight)) in trees.iter().zip(nodes).zip(ids.iter().zip(weights)) {
            let output = if binary.is_some() { Some(0) } else { usize::try_from(*id).ok() };
            let output = output.filter(|output| *output < outputs);
            let output = output.ok_or_else(|| Problem::malformed(format!("output {id} of {outputs}")))?;
            values.entry((*tree, *node)).or_default().push((output, *weight * share));
        }
        let base = match self.floats("base_values")? {
            [] => vec![0.0; outputs],
            values if values.len() == outputs => values.to_vec(),
            values => {
                return Err(Problem::malformed(format!(
                    "{} base values for {outputs} outputs",
                    values.len()
                )));
            }
        };
        Ok((values, outputs, base, binary))
    }

    fn outputs_declared(&self, classifier: bool) -> Result<usize, Problem> {
        if !classifier {
            let targets = self.node.int("n_targets")?.unwrap_or(1);
            let targets = usize::try_from(targets).ok().filter(|targets| (1..=1 << 16).contains(targets));
            return targets.ok_or_else(|| Problem::malformed("n_targets is not a number of outputs"));
        }
        let labels = self.node.attribute("classlabels_strings", AttributeType::Strings)?;
        let named = labels.map_or(0, |a| a.strings.len());
        Ok(named.max(self.ints("classlabels_int64s")?.len()))
    }

    /// What a leaf's weight counts in its output.
    #[expect(clippy::as_conversions, reason = "a number of trees is small")]
    fn share(&self, classifier: bool) -> Result<f32, Problem> {
        let how =
            self.node.text("aggregate_function")?.filter(|_| !classifier).unwrap_or_else(|| "SUM".into());
        match how.as_str() {
            "SUM" => Ok(1.0),
            "AVERAGE" => Ok(1.0 / self.ids()?.len().max(1) as f32),
            other => {
                Err(Problem::unsupported(format!("aggregate_function {other}; expected SUM or AVERAGE")))
            }
        }
    }

    fn ints(&self, name: &str) -> Result<&[i64], Problem> {
        Ok(self.node.ints(name)?.unwrap_or_default())
    }

    fn floats(&self, name: &str) -> Result<&[f32], Problem> {
        Ok(self.node.attribute(name, AttributeType::Floats)?.map(|a| a.floats.as_slice()).unwrap_or_default())
    }
}

fn branch(
    mode: &[u8],
    feature: i64,
    threshold: f32,
    [yes, no]: [i64; 2],
    features: usize,
) -> Result<Branch, Problem> {
    let (strict, children) = match mode {
        b"LEAF" => return Ok(Branch::Leaf),
        b"BRANCH_LEQ" => (false, [yes, no]),
        b"BRANCH_LT" => (true, [yes, no]),
        b"BRANCH_GT" => (false, [no, yes]),
        b"BRANCH_GTE" => (true, [no, yes]),
        other => {
            let mode = String::from_utf8_lossy(other).into_owned();
            return Err(Problem::unsupported(format!(
                "nodes of mode {mode}; expected LEAF or an inequality"
            )));
        }
    };
    let found = u32::try_from(feature).ok().filter(|_| usize::try_from(feature).is_ok_and(|f| f < features));
    let feature = found.ok_or_else(|| Problem::malformed(format!("feature {feature} of {features}")))?;
    if !threshold.is_finite() {
        return Err(Problem::malformed(format!("a threshold is {threshold}")));
    }
    Ok(Branch::Split(Split { feature, threshold, strict }, children))
}

impl Tree {
    /// Every node with its level and its number in it, from the root on.
    fn walk(&self, mut visit: impl FnMut(i64, Branch, u32, usize)) -> Result<(), Problem> {
        let mut left = self.nodes.len();
        let mut open = vec![(self.root, 0u32, 0usize)];
        while let Some((id, level, j)) = open.pop() {
            let branch = self.nodes.get(&id).copied();
            let branch = branch.ok_or_else(|| Problem::malformed(format!("a tree has no node {id}")))?;
            left = left.checked_sub(1).ok_or_else(|| Problem::malformed("a node has two parents"))?;
            visit(id, branch, level, j);
            if let Branch::Split(_, [at_most, above]) = branch {
                let deep =
                    || Problem::unsupported("a tree of more than 24 levels; train with a smaller depth");
                let width = 1usize.checked_shl(level).filter(|_| level < 24).ok_or_else(deep)?;
                open.push((at_most, level.saturating_add(1), j));
                open.push((above, level.saturating_add(1), j.saturating_add(width)));
            }
        }
        Ok(())
    }

    fn depth(&self) -> Result<u32, Problem> {
        let mut depth = 0;
        self.walk(|_, _, level, _| depth = depth.max(level))?;
        Ok(depth)
    }

    /// Writes the tree into a forest that is at least as deep.
    fn place<'v>(
        &self,
        tree: usize,
        forest: &mut Forest,
        values: impl Fn(i64) -> &'v [(usize, f32)],
    ) -> Result<(), Problem> {
        self.walk(|id, branch, level, j| match branch {
            Branch::Split(split, _) => {
                let index = forest.split_index(level, j, tree);
                if let Some(place) = forest.splits.get_mut(index) {
                    *place = Some(split);
                }
            }
            // Below it only first children are taken, and these keep its number.
            Branch::Leaf => {
                for (output, value) in values(id) {
                    let index = forest.leaf_index(*output, j, tree);
                    if let Some(place) = forest.leaves.get_mut(index) {
                        *place += value;
                    }
                }
            }
        })
    }
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
