//! `Flatten` to two dimensions at an axis.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let shape = operand.shape();
    let axis = match node.int("axis")?.unwrap_or(1) {
        axis if usize::try_from(axis) == Ok(shape.len()) => shape.len(),
        axis => super::axis(axis, shape.len())?,
    };
    let view = operand.reshaped(vec![shape[..axis].iter().product(), shape[axis..].iter().product()]);
    importer.emit_view(node, &operand, view);
    Ok(())
}
