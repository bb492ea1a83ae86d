//! `Reshape` to a constant shape.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let wanted = match node.ints("shape")? {
        Some(ints) => ints.to_vec(),
        None => importer.integers(node, 1)?.ok_or_else(|| Problem::malformed("the shape is missing"))?,
    };
    let shape = resolve(&wanted, operand.shape(), node.flag("allowzero")?)?;
    let view = operand.reshaped(shape);
    importer.emit_view(node, &operand, view);
    Ok(())
}

/// The wanted shape with 0 (as before) and −1 (what is left) filled in.
fn resolve(wanted: &[i64], old: &[usize], zero_is_zero: bool) -> Result<Vec<usize>, Problem> {
    let misfit = || Problem::malformed(format!("shape {old:?} cannot become {wanted:?}"));
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, size) in wanted.iter().enumerate() {
        shape.push(match size {
            -1 if open.replace(axis).is_none() => 1,
            0 if !zero_is_zero => *old.get(axis).ok_or_else(misfit)?,
            size => usize::try_from(*size).map_err(|_| misfit())?,
        });
    }
    let len: usize = old.iter().product();
    let product =
        shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size)).ok_or_else(misfit)?;
    if let Some(axis) = open {
        shape[axis] = len.checked_div(product).ok_or_else(misfit)?;
    }
    if shape.iter().product::<usize>() == len { Ok(shape) } else { Err(misfit()) }
}
