//! `TreeEnsemble` of ai.onnx.ml 5: inner nodes and leaves in lists of their own. Inner node `i` has the id `i` here, leaf `l` the id
//! `−1 − l`.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;

use super::super::{Constant, Data, OnnxNode, Problem};
use super::{Branch, Score, Tree, Values, branch, listed};

/// The modes of inner nodes by number, as the older operators write them.
const MODES: [&[u8]; 4] = [b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT"];

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
    let rows = rows.map(|((((yes, yes_leaf), (no, no_leaf)), (feature, threshold)), mode)| {
        let children = [id(*yes, *yes_leaf), id(*no, *no_leaf)];
        let mode = usize::try_from(*mode).ok().and_then(|mode| MODES.get(mode).copied());
        let mode = mode
            .ok_or_else(|| Problem::unsupported("nodes of equality or membership; expected inequalities"))?;
        branch(mode, *feature, *threshold, children, features)
    });
    let rows = rows.collect::<Result<Vec<_>, Problem>>()?;
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
        match *row {
            // A tree of one leaf.
            Branch::Split(_, [yes, no]) if yes == no && yes < 0 && id == root => {
                (root, open) = (yes, vec![yes]);
            }
            branch => {
                if let Branch::Split(_, children) = branch {
                    open.extend(children);
                }
                nodes.insert(id, branch);
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
