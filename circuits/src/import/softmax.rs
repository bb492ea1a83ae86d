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
