//! `Swish`, also called SiLU: `x·sigmoid(alpha·x)`, of slope at most 1.1 for `alpha = 1`. `x·Sigmoid(x)` is read as one.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem};
use crate::float::Function;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let alpha = node.float("alpha", 1.0)?;
    if alpha != 1.0 {
        return Err(Problem::unsupported(format!("alpha {alpha}, which is not 1")));
    }
    let value = |x: f64| x / (1.0 + libm::exp(-x));
    importer.apply(node, &operand, Function { name: "Swish".into(), value: Arc::new(value) })
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float};

    #[test]
    fn alone_and_as_exporters_write_it() {
        Onnx::new(&[1, 3, 7]).node("Swish", &["x"], "y", vec![]).check("y");
        for order in [["a", "s"], ["s", "a"]] {
            let onnx = Onnx::new(&[1, 7]).noise("w", &[7, 5], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
            let onnx = onnx.node("Sigmoid", &["a"], "s", vec![]).node("Mul", &order, "p", vec![]);
            let model = onnx.node("Relu", &["p"], "y", vec![]).check("y");
            assert_eq!(model.graph.nodes.len(), 3, "the layer's table holds it");
        }
        let onnx = Onnx::new(&[1, 3]).node("Swish", &["x"], "y", vec![float("alpha", 2.0)]);
        assert!(onnx.unsupported("y")[0].contains("alpha 2"));
    }
}
