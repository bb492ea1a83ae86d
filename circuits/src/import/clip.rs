//! `Clip`: `min(max(x, lo), hi)`, of slope 1. The ends are public.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem};
use crate::float::Function;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    if node.proto.attribute.iter().any(|attribute| ["min", "max"].contains(&attribute.name.as_str())) {
        let reason = "its ends are attributes, as before opset 11; export the model with a newer opset";
        return Err(Problem::unsupported(reason));
    }
    let lo = end(importer, node, 1, f64::NEG_INFINITY)?;
    let hi = end(importer, node, 2, f64::INFINITY)?;
    // As ONNX has it: where the ends cross, the upper one holds.
    let value = move |x: f64| x.max(lo).min(hi);
    importer.apply(node, &operand, Function { name: format!("Clip({lo}, {hi})"), value: Arc::new(value) })
}

/// An end of the range, or open.
fn end(importer: &Importer<'_>, node: &OnnxNode<'_>, index: usize, open: f64) -> Result<f64, Problem> {
    if node.input(index).is_none() {
        return Ok(open);
    }
    match importer.constant(node, index)?.1.as_slice() {
        [value] => Ok(f64::from(*value)),
        values => Err(Problem::malformed(format!("an end should be one number, got {}", values.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float};

    #[test]
    fn two_ends_one_end_and_none() {
        for inputs in [&["x", "lo", "hi"][..], &["x", "lo"], &["x", "", "hi"], &["x"]] {
            let onnx = Onnx::new(&[1, 3, 7]).floats("lo", &[], vec![-0.3]).floats("hi", &[], vec![1.1]);
            onnx.node("Clip", inputs, "y", vec![]).check("y");
        }
    }

    #[test]
    fn ends_as_attributes_are_unsupported() {
        let onnx = Onnx::new(&[1, 3]).node("Clip", &["x"], "y", vec![float("min", 0.0)]);
        assert!(onnx.unsupported("y")[0].contains("newer opset"));
    }

    #[test]
    fn relu6_joins_the_layer_before_it() {
        let onnx = Onnx::new(&[1, 7]).noise("w", &[7, 5], 3.0).node("MatMul", &["x", "w"], "a", vec![]);
        let onnx = onnx.floats("lo", &[], vec![0.0]).floats("hi", &[], vec![6.0]);
        let model = onnx.node("Clip", &["a", "lo", "hi"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 2);
    }

    #[test]
    fn an_end_of_several_numbers_is_malformed() {
        let onnx = Onnx::new(&[1, 3]).noise("lo", &[3], 1.0).node("Clip", &["x", "lo"], "y", vec![]);
        assert!(onnx.malformed("y").contains("one number, got 3"));
    }
}
