//! `Gather` from a constant list of integers, as exporters write it into shape computations.

use super::{Constant, Data, Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let Some(Constant { shape, data: Data::Int(values), .. }) = importer.folded(node)? else {
        return Err(Problem::unsupported("supported on constant integers only"));
    };
    if shape.len() != 1 || node.int("axis")?.unwrap_or(0) != 0 {
        return Err(Problem::unsupported(format!("supported along a list only, not along shape {shape:?}")));
    }
    let Value::Constant(Constant { shape, data: Data::Int(indices), .. }) = importer.value(node, 1)?.clone()
    else {
        return Err(Problem::unsupported("the indices are not constant integers"));
    };
    let picked =
        indices.iter().map(|i| Ok(values[super::axis(*i, values.len())?])).collect::<Result<_, Problem>>()?;
    let constant = Constant { name: node.output().into(), shape, data: Data::Int(picked), literal: true };
    importer.bind(node.output(), Value::Constant(constant));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn beyond_the_end_or_of_a_tensor_is_refused() {
        let onnx = Onnx::new(&[1, 4]).ints("i", &[2]).node("Shape", &["x"], "s", vec![]);
        assert!(onnx.node("Gather", &["s", "i"], "y", vec![]).malformed("y").contains("axis 2 of 2"));
        let onnx = Onnx::new(&[1, 4]).ints("i", &[0]).node("Gather", &["x", "i"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("constant integers"));
    }
}
