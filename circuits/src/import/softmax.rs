//! `Softmax` and `LogSoftmax` as the last node: left out, so that the model gives logits. Both keep the order of classes.

use super::{Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    if !importer.is_last(node) {
        return Err(Problem::unsupported("supported as the last node only"));
    }
    let (name, operator) = (&node.name, &node.proto.op_type);
    importer.note(format!("{operator} `{name}` is left out: the outputs are its inputs, the logits"));
    importer.bind(node.output(), Value::Activation(operand));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn last_softmax_is_left_out_with_a_note() {
        for operator in ["Softmax", "LogSoftmax"] {
            let onnx = Onnx::new(&[1, 6]).noise("w", &[6, 3], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
            let model = onnx.node(operator, &["a"], "y", vec![]).check("y");
            assert!(model.notes[0].contains("left out"), "{:?}", model.notes);
        }
    }

    #[test]
    fn softmax_in_the_middle_is_unsupported() {
        let onnx = Onnx::new(&[1, 6]).node("Softmax", &["x"], "a", vec![]).node("Relu", &["a"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("last node only"));
    }
}
