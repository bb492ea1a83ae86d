//! `Reshape` to a constant shape.

use super::{Constant, Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let wanted = match node.ints("shape")? {
        Some(ints) => ints.to_vec(),
        None => importer.integers(node, 1)?.ok_or_else(|| Problem::malformed("the shape is missing"))?,
    };
    let zero_is_zero = node.flag("allowzero")?;
    if let Some(constant) = importer.folded(node)? {
        let shape = resolve(&wanted, &constant.shape, zero_is_zero)?;
        importer.bind(node.output(), Value::Constant(Constant { shape, ..constant }));
        return Ok(());
    }
    let operand = importer.activation(node, 0)?;
    let shape = resolve(&wanted, operand.shape(), zero_is_zero)?;
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

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn zeros_and_minus_one_are_filled_in() {
        for (wanted, shape) in
            [(vec![0, -1], vec![24]), (vec![6, 4], vec![6, 4]), (vec![1, 0, -1, 2], vec![2, 6, 2])]
        {
            let onnx = Onnx::new(&[1, 2, 3, 4]).ints("s", &wanted).node("Reshape", &["x", "s"], "y", vec![]);
            assert_eq!(onnx.check("y").graph.output.shape, shape);
        }
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for wanted in
            [vec![5], vec![-1, -1], vec![7, -1], vec![24, 0, 0, 0, 0], vec![-3], vec![i64::MAX, i64::MAX]]
        {
            let onnx = Onnx::new(&[1, 24]).ints("s", &wanted).node("Reshape", &["x", "s"], "y", vec![]);
            assert!(onnx.malformed("y").contains("cannot become"), "{wanted:?}");
        }
        let onnx = Onnx::new(&[1, 24]).node("Reshape", &["x", "x"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("not a constant"));
    }
}
