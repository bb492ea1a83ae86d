//! `Add`: of two computed tensors of one shape, or of a constant.

use super::affine::{self, Affine};
use super::{Activation, Importer, OnnxNode, Problem, Value, broadcast};
use crate::float::{FloatOp, FloatTerm};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(a), Value::Activation(b)) => {
            let (a, b) = (a.clone(), b.clone());
            sum(importer, node, &a, &b, 1.0)
        }
        (Value::Activation(_), _) => add_constant(importer, node, 0, 1),
        _ => add_constant(importer, node, 1, 0),
    }
}

/// `a + factor·b`.
pub fn sum(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    a: &Activation,
    b: &Activation,
    factor: f32,
) -> Result<(), Problem> {
    if a.shape() != b.shape() {
        let (a, b) = (a.shape(), b.shape());
        return Err(Problem::unsupported(format!(
            "operands of shapes {a:?} and {b:?}; they must be the same"
        )));
    }
    let term = |x: &Activation, factor| FloatTerm { input: x.view.clone(), factor, target: None };
    let op = FloatOp::Sum { terms: vec![term(a, 1.0), term(b, factor)], constant: 0.0 };
    importer.emit(node, op, a.shape().to_vec())
}

fn add_constant(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    operand: usize,
    constant: usize,
) -> Result<(), Problem> {
    let operand = importer.activation(node, operand)?;
    let (constant, values) = importer.constant(node, constant)?;
    let offset = broadcast(&constant.shape, &values, operand.shape())?;
    affine::apply(importer, node, &operand, &Affine { factor: vec![1.0; offset.len()], offset })
}
