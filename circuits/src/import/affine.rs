//! `y = factor·x + offset` with constant factors and offsets: what additions and multiplications by constants and batch
//! normalisation come down to. It is folded into the weights of the convolution or matrix product before it, or else
//! becomes a node of its own.
//!
//! One number for all elements is a coefficient of the graph, which is public, only where the file shows that it is no weight
//! ([`Constant::is_public`](super::Constant::is_public)), and a note tells the user. Any other constant is committed as a weight.

use super::{Activation, Importer, OnnxNode, Problem};
use crate::float::{FloatNode, FloatOp, FloatTerm, FloatWeight};
use crate::graph::{ConvGeometry, View};

/// One factor and one offset per element of the operand, in the operand's order.
pub struct Affine {
    pub factor: Vec<f32>,
    pub offset: Vec<f32>,
    /// Whether factor and offset, should each be one number for all elements, may be seen in the graph.
    pub public: bool,
}

/// Binds `factor·operand + offset` to the node's output.
pub fn apply(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    operand: &Activation,
    affine: &Affine,
) -> Result<(), Problem> {
    if let Some(position) = affine.factor.iter().chain(&affine.offset).position(|v| !v.is_finite()) {
        let position = position % affine.factor.len();
        return Err(Problem::malformed(format!(
            "the constant for element {position} is not a finite number"
        )));
    }
    if let Some(producer) = importer.producer_of(operand)
        && fold(producer, &operand.view, affine)
    {
        if matches!(producer.op, FloatOp::BatchMatMul { .. }) {
            importer.is_public(node);
        }
        importer.absorbed(node, operand);
        return Ok(());
    }
    let shape = operand.shape().to_vec();
    if affine.factor.iter().all(|v| *v == 1.0) && affine.offset.iter().all(|v| *v == 0.0) {
        importer.emit_view(node, operand, operand.view.clone());
        return Ok(());
    }
    let op = match (uniform(&affine.factor, 1), uniform(&affine.offset, 1)) {
        (Some(factor), Some(offset)) if affine.public => {
            importer.is_public(node);
            let terms = vec![FloatTerm { input: operand.view.clone(), factor: factor[0], target: None }];
            FloatOp::Sum { terms, constant: offset[0] }
        }
        _ => {
            let leading = depthwise(node, operand, affine);
            return match trailing(affine, &shape).filter(|(_, size)| *size < channels(&leading)) {
                None => importer.emit(node, leading, shape),
                Some((axes, size)) => {
                    let turned = Activation { view: operand.permuted(&axes), ..operand.clone() };
                    // Constants repeat with period `size`, so turning the axes brings equal ones together.
                    let turn = |values: &[f32]| {
                        let repeats = values.len() / size;
                        (0..values.len()).map(|e| values[e / repeats]).collect()
                    };
                    let affine =
                        Affine { factor: turn(&affine.factor), offset: turn(&affine.offset), ..*affine };
                    importer.emit_permuted(node, depthwise(node, &turned, &affine), &shape, &axes)
                }
            };
        }
    };
    importer.emit(node, op, shape)
}

fn channels(op: &FloatOp) -> usize {
    match op {
        FloatOp::Conv { weight, .. } => weight.shape[0],
        _ => 0,
    }
}

/// Axes with as few trailing ones brought to the front as tell the constants apart, and the size of these together.
fn trailing(affine: &Affine, shape: &[usize]) -> Option<(Vec<usize>, usize)> {
    let repeats = |values: &[f32], size: usize| values.iter().zip(&values[size..]).all(|(a, b)| a == b);
    let mut size = 1;
    for axis in (1..shape.len()).rev() {
        size *= shape[axis];
        if repeats(&affine.factor, size) && repeats(&affine.offset, size) {
            return Some(((axis..shape.len()).chain(0..axis).collect(), size));
        }
    }
    None
}

/// Folds into the weights of the producer, where factor and offset depend on its output channel alone.
fn fold(producer: &mut FloatNode, view: &View, affine: &Affine) -> bool {
    let (weight, bias, channels) = match &mut producer.op {
        // What is added to a convolution cannot be scaled channel by channel.
        FloatOp::Conv { weight, bias, residual, .. } if residual.is_empty() => {
            let channels = weight.shape[0];
            (weight, bias, channels)
        }
        FloatOp::MatMul { weight, bias, .. } => {
            let channels = weight.shape[1];
            (weight, bias, channels)
        }
        FloatOp::BatchMatMul { factor, .. } => {
            let scales = affine.public && affine.offset.iter().all(|v| *v == 0.0);
            let Some(by) = uniform(&affine.factor, 1).filter(|_| scales) else {
                return false;
            };
            let product = *factor * by[0];
            if !product.is_finite() || product == 0.0 {
                return false;
            }
            *factor = product;
            return true;
        }
        _ => return false,
    };
    let by_column = weight.shape.len() == 2;
    let per_channel = |values: &[f32]| {
        let block = values.len() / channels;
        let mut found = vec![None; channels];
        for (e, value) in values.iter().enumerate() {
            let element = view.element(e);
            let channel = if by_column { element % channels } else { element / block };
            if found[channel].replace(*value).is_some_and(|other| other != *value) {
                return None;
            }
        }
        found.into_iter().collect::<Option<Vec<f32>>>()
    };
    let (Some(factor), Some(offset)) = (per_channel(&affine.factor), per_channel(&affine.offset)) else {
        return false;
    };
    let block = weight.values.len() / channels;
    for (e, value) in weight.values.iter_mut().enumerate() {
        *value *= factor[if by_column { e % channels } else { e / block }];
    }
    let name = format!("{}.bias", weight.name);
    let bias =
        bias.get_or_insert_with(|| FloatWeight { name, shape: vec![channels], values: vec![0.0; channels] });
    for (channel, value) in bias.values.iter_mut().enumerate() {
        *value = *value * factor[channel] + offset[channel];
    }
    true
}

/// A 1×1 convolution with one group per channel, channels being as few leading dimensions as tell the constants apart.
fn depthwise(node: &OnnxNode<'_>, operand: &Activation, affine: &Affine) -> FloatOp {
    let (mut channels, mut dims) = (1, operand.shape().iter());
    let (factor, offset) = loop {
        if let (Some(factor), Some(offset)) =
            (uniform(&affine.factor, channels), uniform(&affine.offset, channels))
        {
            break (factor, offset);
        }
        match dims.next() {
            Some(size) => channels *= size,
            None => break (affine.factor.clone(), affine.offset.clone()),
        }
    };
    let channels = factor.len();
    let input = operand.reshaped(vec![channels, 1, affine.factor.len() / channels]);
    let weight =
        FloatWeight { name: format!("{}.factor", node.name), shape: vec![channels, 1, 1, 1], values: factor };
    let bias = FloatWeight { name: format!("{}.offset", node.name), shape: vec![channels], values: offset };
    let geometry = ConvGeometry { stride: (1, 1), dilation: (1, 1), pads: (0, 0, 0, 0), groups: channels };
    FloatOp::Conv { input, weight, bias: Some(bias), geometry, residual: Vec::new() }
}

/// One value per channel, if the values of each of `channels` equal blocks agree.
fn uniform(values: &[f32], channels: usize) -> Option<Vec<f32>> {
    let block = values.len().checked_div(channels).filter(|b| *b > 0)?;
    let mut blocks = values.chunks_exact(block);
    blocks.all(|b| b.iter().all(|v| *v == b[0])).then(|| values.iter().step_by(block).copied().collect())
}
