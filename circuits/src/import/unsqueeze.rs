//! `Unsqueeze`: inserts axes of size 1.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let axes = match node.ints("axes")? {
        Some(axes) => axes.to_vec(),
        None => importer.integers(node, 1)?.ok_or_else(|| Problem::malformed("the axes are missing"))?,
    };
    let rank = operand.shape().len() + axes.len();
    let mut inserted = axes.iter().map(|a| super::axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
    inserted.sort_unstable();
    let count = inserted.len();
    inserted.dedup();
    if inserted.len() != count {
        return Err(Problem::malformed(format!("axes {axes:?} repeat one")));
    }
    let mut shape = operand.shape().to_vec();
    for axis in inserted {
        shape.insert(axis, 1);
    }
    let view = operand.reshaped(shape);
    importer.emit_view(node, &operand, view);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn axes_count_in_the_result() {
        let onnx = Onnx::new(&[1, 4, 3]).ints("a", &[1, -1]).node("Unsqueeze", &["x", "a"], "y", vec![]);
        assert_eq!(onnx.check("y").graph.output.shape, [1, 4, 3, 1]);
        let onnx = Onnx::new(&[1, 4, 3]).ints("a", &[1, -4]).node("Unsqueeze", &["x", "a"], "y", vec![]);
        assert!(onnx.malformed("y").contains("repeat"));
    }
}
