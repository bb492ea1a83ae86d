//! `Div` by a constant; by a computed tensor it is a product with its `Reciprocal`, see `rewrite.rs`.

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let (constant, values) = importer.constant(node, 1)?;
    let mut factor = broadcast(&constant.shape, &values, operand.shape())?;
    factor.iter_mut().for_each(|v| *v = v.recip());
    let (offset, public) = (vec![0.0; factor.len()], constant.is_public());
    affine::apply(importer, node, &operand, &Affine { factor, offset, public })
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn divides_by_constants() {
        Onnx::new(&[1, 3])
            .floats("c", &[3], vec![2.0, -0.5, 3.0])
            .node("Div", &["x", "c"], "y", vec![])
            .check("y");
    }

    #[test]
    fn division_by_zero_is_refused() {
        let onnx =
            Onnx::new(&[1, 3]).floats("c", &[3], vec![2.0, 0.0, 3.0]).node("Div", &["x", "c"], "y", vec![]);
        assert!(onnx.malformed("y").contains("element 1 "));
    }
}
