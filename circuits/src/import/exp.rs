//! `Exp`; its slope is its value.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, libm::exp)
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn alone_and_after_a_layer() {
        Onnx::new(&[1, 3, 7]).node("Exp", &["x"], "y", vec![]).check("y");
        let onnx = Onnx::new(&[1, 7]).noise("w", &[7, 5], 0.5).node("MatMul", &["x", "w"], "a", vec![]);
        let model = onnx.node("Exp", &["a"], "b", vec![]).node("Relu", &["b"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 3, "the layer's table holds it");
    }
}
