//! `Relu`: the table of the node before it where that is possible, else a node of its own.

use super::{Importer, OnnxNode, Problem};
use crate::float::{FloatOp, FloatTerm};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    if let Some(producer) = importer.producer_of(&operand) {
        producer.relu = true;
        importer.absorbed(node, &operand);
        return Ok(());
    }
    let terms = vec![FloatTerm { input: operand.view.clone(), factor: 1.0, target: None }];
    importer.emit(node, FloatOp::Sum { terms, constant: 0.0 }, operand.shape().to_vec())?;
    if let Some(made) = importer.nodes.last_mut() {
        made.relu = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn of_the_input_and_twice_over() {
        Onnx::new(&[1, 9]).node("Relu", &["x"], "a", vec![]).node("Relu", &["a"], "y", vec![]).check("y");
    }

    #[test]
    fn joins_the_node_before_it_only_when_nothing_else_reads_that() {
        let base = || Onnx::new(&[1, 5]).noise("w", &[5, 4], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
        let joined = base().node("Relu", &["a"], "y", vec![]).check("y");
        assert_eq!(joined.graph.nodes.len(), 2);
        let apart = base().node("Relu", &["a"], "r", vec![]).node("Add", &["r", "a"], "y", vec![]).check("y");
        assert_eq!(apart.graph.nodes.len(), 4);
    }

    #[test]
    fn through_a_reshape() {
        let onnx = Onnx::new(&[1, 6]).noise("w", &[6, 6], 1.0).ints("s", &[1, 2, 3]);
        let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("Reshape", &["a", "s"], "r", vec![]);
        assert_eq!(onnx.node("Relu", &["r"], "y", vec![]).check("y").graph.nodes.len(), 2);
    }
}
