//! `Neg`: the factor −1, exact.

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let len = operand.view.len();
    let affine = Affine { factor: vec![-1.0; len], offset: vec![0.0; len], public: true };
    affine::apply(importer, node, &operand, &affine)
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn alone_and_into_the_weights() {
        Onnx::new(&[1, 3, 5]).node("Neg", &["x"], "y", vec![]).check("y");
        let onnx = Onnx::new(&[1, 5]).noise("w", &[5, 4], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
        assert_eq!(onnx.node("Neg", &["a"], "y", vec![]).check("y").graph.nodes.len(), 2);
    }
}
