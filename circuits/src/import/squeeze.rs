//! `Squeeze`: drops axes of size 1.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let old = operand.shape();
    let axes = match node.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None => importer.integers(node, 1)?,
    };
    let dropped = match axes {
        Some(axes) => axes.iter().map(|a| super::axis(*a, old.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..old.len()).filter(|a| old[*a] == 1).collect(),
    };
    if let Some(axis) = dropped.iter().find(|a| old[**a] != 1) {
        return Err(Problem::malformed(format!("axis {axis} of shape {old:?} is not of size 1")));
    }
    let shape = old.iter().enumerate().filter(|(a, _)| !dropped.contains(a)).map(|(_, size)| *size).collect();
    let view = operand.reshaped(shape);
    importer.emit_view(node, &operand, view);
    Ok(())
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
