//! `Shape`: a constant, since every shape is known.

use super::{Constant, Data, Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let shape = match importer.value(node, 0)? {
        Value::Constant(constant) => &constant.shape,
        Value::Activation(activation) => activation.shape(),
        Value::Unknown => return Err(Problem::Unknown),
    };
    let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
    let bound = |name: &str, default: i64| -> Result<usize, Problem> {
        let position = node.int(name)?.unwrap_or(default);
        let from_front = if position < 0 { position.saturating_add(rank) } else { position };
        Ok(from_front.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    let sizes: Vec<i64> = shape.get(start..end).unwrap_or_default().iter().map(|size| *size as i64).collect();
    let constant = Constant {
        name: node.output().into(),
        shape: vec![sizes.len()],
        data: Data::Int(sizes),
        literal: true,
    };
    importer.bind(node.output(), Value::Constant(constant));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int};

    #[test]
    fn shape_computations_of_exporters_are_folded() {
        // x.view(x.size(0), -1), as PyTorch writes it for an open batch.
        let onnx = Onnx::new(&[-1, 2, 3, 4]).ints("zero", &[0]).ints("rest", &[-1]).noise("w", &[24, 3], 1.0);
        let onnx = onnx.node("Constant", &[], "index", vec![int("value_int", 0)]);
        let onnx = onnx.node("Shape", &["x"], "s", vec![]).node("Gather", &["s", "index"], "batch", vec![]);
        let onnx = onnx.node("Unsqueeze", &["batch", "zero"], "b", vec![]);
        let onnx = onnx.node("Concat", &["b", "rest"], "wanted", vec![int("axis", 0)]);
        let onnx = onnx.node("Cast", &["wanted"], "as64", vec![int("to", 7)]);
        let onnx = onnx.node("Reshape", &["x", "as64"], "r", vec![]);
        onnx.node("MatMul", &["r", "w"], "y", vec![]).check("y");
    }

    #[test]
    fn part_of_a_shape() {
        let onnx = Onnx::new(&[1, 6, 4]).node("Shape", &["x"], "s", vec![int("start", -2), int("end", 9)]);
        assert_eq!(
            onnx.node("Reshape", &["x", "s"], "y", vec![]).import("y").unwrap().graph.output.shape,
            [6, 4]
        );
    }
}
