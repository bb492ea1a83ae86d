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
