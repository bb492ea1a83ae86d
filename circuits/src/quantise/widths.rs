//! Bits of activations, layer by layer.
//!
//! A layer has a width of its own where calibration sets its scale. It has none where it keeps its input's integers (a maximum, a copy), where
//! its integers are the model's own or number rows, where it is the output, which takes all of the table, and where it is the record of
//! several inputs, which have widths instead.

use super::{PerToken, QuantiseError, QuantiseOptions, token};
use crate::float::{FloatModel, FloatNode, FloatOp, FloatTerm};

/// Fewest bits of an activation.
pub(super) const BITS_MIN: u32 = 2;
/// Most bits of an activation.
pub(super) const BITS_MAX: u32 = 16;

/// The input whose integers a node keeps, if it does.
fn kept(node: &FloatNode) -> Option<usize> {
    match &node.op {
        _ if node.function.is_some() || node.grid.is_some() => None,
        FloatOp::Max { input, .. } | FloatOp::Rank { input, .. } => Some(input.tensor.0),
        FloatOp::Sum { terms, constant } => match terms.as_slice() {
            [term] if *constant == 0.0 && term.factor != 0.0 && copies(term) => Some(term.input.tensor.0),
            _ => None,
        },
        _ => None,
    }
}

/// Whether no element of the result gets two of the term's.
fn copies(term: &FloatTerm) -> bool {
    let mut targets: Vec<u32> = term.target.iter().flatten().flatten().copied().collect();
    targets.sort_unstable();
    targets.windows(2).all(|pair| pair[0] != pair[1])
}

/// Whether a node makes the output and nothing else reads it: then it is not clamped.
pub(super) fn is_output(model: &FloatModel, index: usize) -> bool {
    let tensor = model.graph.nodes[index].output;
    let reads = |op: &FloatOp| op.inputs().iter().any(|view| view.tensor == tensor);
    model.graph.output.tensor == tensor && !model.graph.nodes.iter().any(|n| reads(&n.op))
}

/// Whether a node's `q` is the output, and takes all of the table.
pub(super) fn fills_table(model: &FloatModel, index: usize) -> bool {
    let node = &model.graph.nodes[index];
    is_output(model, index) && node.function.is_none() && node.grid.is_none()
}

/// Whether the record holds several inputs.
pub(super) fn several_inputs(model: &FloatModel) -> bool {
    model.graph.nodes.iter().any(|node| matches!(node.op, FloatOp::Part { .. }))
}

/// Whether float tensor `index` numbers the rows of a table.
pub(super) fn numbers_rows(model: &FloatModel, index: usize) -> bool {
    let looks_up = |op: &FloatOp| matches!(op, FloatOp::Embedding { input, .. } if input.tensor.0 == index);
    model.graph.nodes.iter().any(|node| looks_up(&node.op))
}

/// Whether a float node has a width of its own.
pub(super) fn has_width(model: &FloatModel, index: usize) -> bool {
    let node = &model.graph.nodes[index];
    let whole = matches!(node.op, FloatOp::Input) && several_inputs(model);
    !whole
        && !numbers_rows(model, index)
        && node.grid.is_none()
        && kept(node).is_none()
        && !fills_table(model, index)
}

/// The layers that have widths, in the order in which they are computed: their names, each with the float nodes that have it.
pub(super) fn layers(model: &FloatModel) -> Vec<(String, Vec<usize>)> {
    let mut layers: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, node) in model.graph.nodes.iter().enumerate().filter(|(index, _)| has_width(model, *index)) {
        match layers.iter_mut().find(|(name, _)| *name == node.name) {
            Some((_, nodes)) => nodes.push(index),
            None => layers.push((node.name.clone(), vec![index])),
        }
    }
    layers
}

/// The bits of every float node: `chosen` says those of [`layers`]; the others have what they keep, or `bits`.
pub(super) fn fill(model: &FloatModel, bits: u32, chosen: &[(String, Vec<usize>)], of: &[u32]) -> Vec<u32> {
    let mut widths = vec![bits; model.graph.nodes.len()];
    for ((_, nodes), bits) in chosen.iter().zip(of) {
        nodes.iter().for_each(|index| widths[*index] = *bits);
    }
    for (index, node) in model.graph.nodes.iter().enumerate() {
        if let Some(input) = kept(node) {
            widths[index] = widths[input];
        }
    }
    if several_inputs(model) {
        // Every part fits the record that it is copied from.
        let parts = model.graph.nodes.iter().zip(&widths);
        let parts = parts.filter(|(node, _)| matches!(node.op, FloatOp::Part { .. })).map(|(_, bits)| *bits);
        let widest = parts.max().unwrap_or(bits);
        let of_record = model.graph.nodes.iter().zip(&mut widths);
        of_record.filter(|(node, _)| matches!(node.op, FloatOp::Input)).for_each(|(_, bits)| *bits = widest);
    }
    widths
}

/// The float nodes that read every token at a scale of its own.
pub(super) fn per_token(model: &FloatModel, options: &QuantiseOptions) -> Result<Vec<bool>, QuantiseError> {
    let nodes = &model.graph.nodes;
    let able: Vec<bool> = (0..nodes.len()).map(|index| token::has_tokens(model, index)).collect();
    let names = || nodes.iter().zip(&able).filter(|(_, able)| **able).map(|(node, _)| node.name.as_str());
    let refused = |got: &str| {
        let expected = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let expected = if expected.is_empty() { "none of this model's".into() } else { expected };
        Err(QuantiseError::Tokens { expected, got: got.into() })
    };
    match &options.per_token {
        PerToken::None => Ok(vec![false; nodes.len()]),
        PerToken::All if names().next().is_none() => refused("all"),
        PerToken::All => Ok(able),
        PerToken::Layers(chosen) => match chosen.iter().find(|name| !names().any(|known| known == *name)) {
            Some(got) => refused(got),
            None => Ok(nodes.iter().zip(able).map(|(n, able)| able && chosen.contains(&n.name)).collect()),
        },
    }
}

/// The float nodes whose tensors have more bits than tokens: those that products with tokens read or make, or all.
fn wide(model: &FloatModel, options: &QuantiseOptions, per_token: &[bool]) -> Vec<bool> {
    let all = options.per_token == PerToken::All;
    let mut wide: Vec<bool> = per_token.iter().map(|chosen| all || *chosen).collect();
    for (node, _) in model.graph.nodes.iter().zip(per_token).filter(|(_, chosen)| **chosen) {
        for view in node.op.inputs() {
            let mut read = view.tensor.0;
            wide[read] = true;
            while let Some(input) = kept(&model.graph.nodes[read]) {
                wide[input] = true;
                read = input;
            }
        }
    }
    wide
}

/// The bits of every float node that options ask for.
pub(super) fn resolve(
    model: &FloatModel,
    options: &QuantiseOptions,
    per_token: &[bool],
) -> Result<Vec<u32>, QuantiseError> {
    let layers = layers(model);
    if let Some(got) = options.layer_bits.keys().find(|name| !layers.iter().any(|(known, _)| known == *name))
    {
        let expected = layers.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(QuantiseError::Layer { expected, got: got.clone() });
    }
    let table = options.q_bits.unwrap_or(options.q_bits_max);
    let most = (options.activation_bits + token::SPAN_BITS).min(BITS_MAX).min(table);
    let wide = wide(model, options, per_token);
    let bits = |(name, nodes): &(String, Vec<usize>)| {
        let usual = if nodes.iter().any(|index| wide[*index]) { most } else { options.activation_bits };
        options.layer_bits.get(name).copied().unwrap_or(usual)
    };
    let chosen = layers.iter().map(bits).collect::<Vec<_>>();
    Ok(fill(model, options.activation_bits, &layers, &chosen))
}
