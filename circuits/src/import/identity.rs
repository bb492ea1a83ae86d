//! `Identity`, and `Dropout`, which is the identity in inference.

use super::{Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    if node.proto.op_type == "Dropout" && importer.integers(node, 2)?.is_some_and(|mode| mode.contains(&1)) {
        return Err(Problem::unsupported("training_mode 1; export the model for inference"));
    }
    match importer.value(node, 0)?.clone() {
        Value::Activation(operand) => importer.emit_view(node, &operand, operand.view.clone()),
        constant => importer.bind(node.output(), constant),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float};

    #[test]
    fn identity_and_dropout_cost_nothing() {
        let onnx = Onnx::new(&[-1, 6]).noise("w", &[6, 3], 1.0).node("Identity", &["w"], "v", vec![]);
        let onnx = onnx.node("Identity", &["x"], "a", vec![]).node("MatMul", &["a", "v"], "b", vec![]);
        let onnx = onnx.floats("ratio", &[], vec![0.5]).node("Dropout", &["b", "ratio"], "c", vec![]);
        assert_eq!(onnx.node("Relu", &["c"], "y", vec![]).check("y").graph.nodes.len(), 2);
    }

    #[test]
    fn model_may_be_no_more_than_its_input() {
        Onnx::new(&[1, 6]).node("Identity", &["x"], "y", vec![]).check("y");
    }

    #[test]
    fn old_dropout_with_its_ratio_as_an_attribute() {
        Onnx::new(&[1, 6]).node("Dropout", &["x"], "y", vec![float("ratio", 0.5)]).import("y").unwrap();
    }
}
