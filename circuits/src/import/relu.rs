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
