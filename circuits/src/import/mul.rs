//! `Mul` by a constant.

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, Value, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let (operand, constant) = match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(_), Value::Activation(_)) => {
            return Err(Problem::unsupported(
                "the product of two computed tensors; one factor must be constant",
            ));
        }
        (Value::Activation(_), _) => (0, 1),
        _ => (1, 0),
    };
    let operand = importer.activation(node, operand)?;
    let (constant, values) = importer.constant(node, constant)?;
    let factor = broadcast(&constant.shape, &values, operand.shape())?;
    affine::apply(importer, node, &operand, &Affine { offset: vec![0.0; factor.len()], factor })
}
