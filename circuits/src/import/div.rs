//! `Div` by a constant.

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let (constant, values) = importer.constant(node, 1)?;
    let mut factor = broadcast(&constant.shape, &values, operand.shape())?;
    factor.iter_mut().for_each(|v| *v = v.recip());
    affine::apply(importer, node, &operand, &Affine { offset: vec![0.0; factor.len()], factor })
}
