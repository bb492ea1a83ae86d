//! `Unsqueeze`: inserts axes of size 1.

use super::{Constant, Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let axes = match node.ints("axes")? {
        Some(axes) => axes.to_vec(),
        None => importer.integers(node, 1)?.ok_or_else(|| Problem::malformed("the axes are missing"))?,
    };
    if let Some(constant) = importer.folded(node)? {
        let shape = unsqueezed(&constant.shape, &axes)?;
        importer.bind(node.output(), Value::Constant(Constant { shape, ..constant }));
        return Ok(());
    }
    let operand = importer.activation(node, 0)?;
    let view = operand.reshaped(unsqueezed(operand.shape(), &axes)?);
    importer.emit_view(node, &operand, view);
    Ok(())
}

fn unsqueezed(old: &[usize], axes: &[i64]) -> Result<Vec<usize>, Problem> {
    let rank = old.len() + axes.len();
    let mut inserted = axes.iter().map(|a| super::axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
    inserted.sort_unstable();
    let count = inserted.len();
    inserted.dedup();
    if inserted.len() != count {
        return Err(Problem::malformed(format!("axes {axes:?} repeat one")));
    }
    let mut shape = old.to_vec();
    for axis in inserted {
        shape.insert(axis, 1);
    }
    Ok(shape)
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
