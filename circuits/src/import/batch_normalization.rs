//! `BatchNormalization` in inference: `scale·(x − mean)/√(variance + epsilon) + bias` per channel (axis 1).

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    if node.flag("training_mode")? {
        return Err(Problem::unsupported("training_mode 1; export the model for inference"));
    }
    let operand = importer.activation(node, 0)?;
    let [_, channels, rest @ ..] = operand.shape() else {
        return Err(Problem::malformed(format!("input of shape {:?} has no channels", operand.shape())));
    };
    let parameter = |index: usize| {
        let (constant, values) = importer.constant(node, index)?;
        if values.len() == *channels {
            return Ok(values);
        }
        let (name, got) = (constant.name, values.len());
        Err(Problem::malformed(format!("`{name}` should have {channels} values, got {got}")))
    };
    let (scale, bias, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = node.float("epsilon", 1e-5)?;
    let factor: Vec<f32> = scale.iter().zip(&variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
    let offset: Vec<f32> = (0..*channels).map(|c| bias[c] - mean[c] * factor[c]).collect();
    let mut shape = vec![*channels];
    shape.extend(rest.iter().map(|_| 1));
    let spread = |values: &[f32]| broadcast(&shape, values, operand.shape());
    let affine = Affine { factor: spread(&factor)?, offset: spread(&offset)? };
    affine::apply(importer, node, &operand, &affine)
}
