//! `Softplus`: `ln(1 + e^x)`, of slope at most 1.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem};
use crate::float::Function;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    importer.apply(
        node,
        &operand,
        Function {
            name: "Softplus".into(),
            value: Arc::new(|x| libm::log1p(libm::exp(-x.abs())) + x.max(0.0)),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn alone_and_after_a_layer() {
        Onnx::new(&[1, 3, 7]).node("Softplus", &["x"], "y", vec![]).check("y");
        let onnx = Onnx::new(&[1, 7]).noise("w", &[7, 5], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
        let model = onnx.node("Softplus", &["a"], "b", vec![]).node("Relu", &["b"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 3, "the layer's table holds it");
    }
}
