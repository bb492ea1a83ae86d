//! `Concat` of constant lists of integers, as exporters write it into shape computations.

use super::{Constant, Data, Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let mut all = Vec::new();
    for index in 0..node.proto.input.len() {
        match importer.value(node, index)? {
            Value::Constant(Constant { shape, data: Data::Int(values), .. }) if shape.len() == 1 => {
                all.extend(values)
            }
            _ => return Err(Problem::unsupported("supported for constant lists of integers only")),
        }
    }
    let constant = Constant { name: node.output().into(), shape: vec![all.len()], data: Data::Int(all) };
    importer.bind(node.output(), Value::Constant(constant));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int};

    #[test]
    fn of_tensors_is_unsupported() {
        let onnx = Onnx::new(&[1, 4]).node("Concat", &["x", "x"], "y", vec![int("axis", 1)]);
        assert!(onnx.unsupported("y")[0].contains("constant lists"));
    }
}
