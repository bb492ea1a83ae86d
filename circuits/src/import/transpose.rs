//! `Transpose`: another order of the same elements.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let rank = operand.shape().len();
    let axes = match node.ints("perm")? {
        Some(axes) => axes.iter().map(|a| super::axis(*a, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(Problem::malformed(format!("{axes:?} is no permutation of {rank} axes")));
    }
    let view = operand.permuted(&axes);
    importer.emit_view(node, &operand, view);
    Ok(())
}
