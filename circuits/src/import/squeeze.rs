//! `Squeeze`: drops axes of size 1.

use super::{Constant, Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let axes = match node.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None => importer.integers(node, 1)?,
    };
    if let Some(constant) = importer.folded(node)? {
        let shape = squeezed(&constant.shape, axes)?;
        importer.bind(node.output(), Value::Constant(Constant { shape, ..constant }));
        return Ok(());
    }
    let operand = importer.activation(node, 0)?;
    let view = operand.reshaped(squeezed(operand.shape(), axes)?);
    importer.emit_view(node, &operand, view);
    Ok(())
}

fn squeezed(old: &[usize], axes: Option<Vec<i64>>) -> Result<Vec<usize>, Problem> {
    let dropped = match axes {
        Some(axes) => axes.iter().map(|a| super::axis(*a, old.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..old.len()).filter(|a| old[*a] == 1).collect(),
    };
    if let Some(axis) = dropped.iter().find(|a| old[**a] != 1) {
        return Err(Problem::malformed(format!("axis {axis} of shape {old:?} is not of size 1")));
    }
    Ok(old.iter().enumerate().filter(|(a, _)| !dropped.contains(a)).map(|(_, size)| *size).collect())
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn named_axes_or_all_of_size_one() {
        let onnx = Onnx::new(&[1, 4, 1, 3]).ints("a", &[-2]).node("Squeeze", &["x", "a"], "y", vec![]);
        assert_eq!(onnx.check("y").graph.output.shape, [4, 3]);
        let onnx = Onnx::new(&[1, 4, 1, 3]).node("Squeeze", &["x"], "y", vec![]);
        assert_eq!(onnx.check("y").graph.output.shape, [4, 3]);
        let onnx = Onnx::new(&[1, 4, 1, 3]).ints("a", &[1]).node("Squeeze", &["x", "a"], "y", vec![]);
        assert!(onnx.malformed("y").contains("not of size 1"));
    }
}
