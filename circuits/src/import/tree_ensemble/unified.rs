//! `TreeEnsemble` of ai.onnx.ml 5: inner nodes and leaves in lists of their own. Inner node `i` has the id `i` here, leaf `l` the id
//! `−1 − l`.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;

use super::super::{Constant, Data, OnnxNode, Problem};
use super::{Branch, Score, Tree, Values, among, branch, listed};

/// The modes of inner nodes by number, as the older operators write them.
const MODES: [&[u8]; 6] =
    [b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ"];
/// The mode of nodes that ask whether a feature is in a set.
const MEMBER: i64 = 6;

/// The numbers that a tensor attribute holds; none if it is absent.
pub(super) fn tensor(node: &OnnxNode<'_>, name: &str) -> Result<Option<Data>, Problem> {
    let found = node.attribute(name, AttributeType::Tensor)?.and_then(|a| a.t.as_ref());
    Ok(found.map(Constant::read).transpose()?.map(|constant| constant.data))
}

/// As [`tensor`], of real numbers.
pub(super) fn reals(node: &OnnxNode<'_>, name: &str) -> Result<Vec<f32>, Problem> {
    match tensor(node, name)? {
        Some(Data::Float(values)) => Ok(values),
        None => Ok(Vec::new()),
        Some(Data::Int(_)) => Err(Problem::malformed(format!("attribute {name} holds integers"))),
    }
}

/// The sets of the nodes of membership, in their order: one list, with NaN between them or after each.
fn sets(node: &OnnxNode<'_>) -> Result<Vec<Vec<f32>>, Problem> {
    let found = node.attribute("membership_values", AttributeType::Tensor)?.and_then(|a| a.t.as_ref());
    match found.map(Constant::read_any).transpose()?.map(|constant| constant.data) {
        Some(Data::Float(values)) => Ok(values.split(|value| value.is_nan()).map(<[f32]>::to_vec).collect()),
        None => Ok(Vec::new()),
        Some(Data::Int(_)) => Err(Problem::malformed("attribute membership_values holds integers")),
    }
}

/// The trees in the order of their roots, each with its number.
pub(super) fn trees(node: &OnnxNode<'_>, features: usize) -> Result<Vec<(i64, Tree)>, Problem> {
    let ints = |name: &str| Ok::<_, Problem>(node.ints(name)?.unwrap_or_default());
    let (yes, no) = (ints("nodes_truenodeids")?, ints("nodes_falsenodeids")?);
    let (yes_leaf, no_leaf) = (ints("nodes_trueleafs")?, ints("nodes_falseleafs")?);
    let (of, thresholds) = (ints("nodes_featureids")?, reals(node, "nodes_splits")?);
    let Some(Data::Int(modes)) = tensor(node, "nodes_modes")? else {
        return Err(Problem::malformed("attribute nodes_modes is no list of integers"));
    };
    let lengths = [no.len(), yes_leaf.len(), no_leaf.len(), of.len(), thresholds.len(), modes.len()];
    if let Some(got) = lengths.into_iter().find(|len| *len != yes.len()) {
        return Err(Problem::malformed(format!("{} nodes, but a list of {got}", yes.len())));
    }
    let id = |child: i64, leaf: i64| if leaf == 0 { child } else { (-1i64).saturating_sub(child) };
    let rows =
        yes.iter().zip(yes_leaf).zip(no.iter().zip(no_leaf)).zip(of.iter().zip(&thresholds)).zip(&modes);
    let mut sets = sets(node)?.into_iter();
    let rows = rows.map(|((((yes, yes_leaf), (no, no_leaf)), (feature, threshold)), mode)| {
        let children = [id(*yes, *yes_leaf), id(*no, *no_leaf)];
        if *mode == MEMBER {
            let set = sets.next().ok_or_else(|| Problem::malformed("a node of membership has no set"))?;
            let found = usize::try_from(*feature).ok().filter(|feature| *feature < features);
            let found = found.and_then(|feature| u32::try_from(feature).ok());
            let feature =
                found.ok_or_else(|| Problem::malformed(format!("feature {feature} of {features}")))?;
            return among(feature, set, children);
        }
        let known = usize::try_from(*mode).ok().and_then(|mode| MODES.get(mode).copied());
        let known =
            known.ok_or_else(|| Problem::malformed(format!("a node has mode {mode}, expected 0 to 6")))?;
        branch(known, *feature, *threshold, children, features)
    });
    let rows = rows.collect::<Result<Vec<_>, Problem>>()?;
    if sets.any(|set| !set.is_empty()) {
        return Err(Problem::malformed("more sets than nodes of membership"));
    }
    let mut left = rows.len();
    let numbered = (0i64..).zip(ints("tree_roots")?);
    numbered.map(|(number, root)| Ok((number, tree(&rows, *root, &mut left)?))).collect()
}

/// What hangs on a root; `left` inner nodes belong to no tree yet.
fn tree(rows: &[Branch], root: i64, left: &mut usize) -> Result<Tree, Problem> {
    let (mut nodes, mut open, mut root) = (HashMap::new(), vec![root], root);
    while let Some(id) = open.pop() {
        let Ok(index) = usize::try_from(id) else {
            nodes.insert(id, Branch::Leaf);
            continue;
        };
        let row = rows.get(index).ok_or_else(|| Problem::malformed(format!("there is no node {id}")))?;
        *left = left.checked_sub(1).ok_or_else(|| Problem::malformed("a node has two parents"))?;
        match row {
            // A tree of one leaf.
            Branch::Split(_, [yes, no]) if yes == no && *yes < 0 && id == root => {
                (root, open) = (*yes, vec![*yes]);
            }
            branch => {
                if let Branch::Split(_, children) | Branch::Among(.., children) = branch {
                    open.extend(children);
                }
                nodes.insert(id, branch.clone());
            }
        }
    }
    Ok(Tree { root, nodes })
}

/// The leaves' values for `trees` trees, and the number of outputs.
pub(super) fn score(node: &OnnxNode<'_>, trees: &[(i64, Tree)]) -> Result<Score, Problem> {
    let (targets, weights) = (node.ints("leaf_targetids")?.unwrap_or_default(), reals(node, "leaf_weights")?);
    if targets.len() != weights.len() {
        return Err(Problem::malformed("the lists of the leaves' values differ in length"));
    }
    let outputs = super::targets(node)?;
    let mut values = Values::new();
    for (number, tree) in trees {
        for leaf in tree.nodes.keys().filter(|id| **id < 0) {
            let index = usize::try_from((-1i64).saturating_sub(*leaf)).unwrap_or(usize::MAX);
            let (target, weight) = targets
                .get(index)
                .zip(weights.get(index))
                .ok_or_else(|| Problem::malformed(format!("leaf {index} of {}", weights.len())))?;
            let output = listed(*target, outputs)?;
            values.insert((*number, *leaf), vec![(output, *weight)]);
        }
    }
    Ok(Score { values, outputs, base: vec![0.0; outputs], binary: None })
}
