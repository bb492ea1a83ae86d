//! `Where` with a constant condition, of a computed tensor and a constant: a factor of 0 or 1 and an offset, as any constants. So
//! the condition and the constant become weights.

use super::affine::{self, Affine};
use super::{Data, Importer, OnnxNode, Problem, Value, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let Value::Constant(condition) = importer.value(node, 0)?.clone() else {
        return Err(Problem::unsupported("a condition that is computed"));
    };
    let Data::Int(bits) = &condition.data else {
        return Err(Problem::malformed("a condition of real numbers"));
    };
    let (kept, other, keeps) = match (importer.value(node, 1)?, importer.value(node, 2)?) {
        (Value::Activation(_), Value::Constant(_)) => (1, 2, true),
        (Value::Constant(_), Value::Activation(_)) => (2, 1, false),
        _ => return Err(Problem::unsupported("other than of one computed tensor and one constant")),
    };
    let operand = importer.activation(node, kept)?;
    let (constant, values) = importer.constant(node, other)?;
    let bits: Vec<f32> = bits.iter().map(|bit| if (*bit != 0) == keeps { 1.0 } else { 0.0 }).collect();
    let factor = broadcast(&condition.shape, &bits, operand.shape())?;
    let mut offset = broadcast(&constant.shape, &values, operand.shape())?;
    offset.iter_mut().zip(&factor).for_each(|(value, factor)| *value *= 1.0 - factor);
    affine::apply(importer, node, &operand, &Affine { factor, offset })
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn takes_either_side() {
        for order in [["c", "x", "o"], ["c", "o", "x"]] {
            let onnx = Onnx::new(&[1, 3, 5]).bools("c", &[3, 1], &[1, 0, 1]).floats("o", &[], vec![1.5]);
            onnx.node("Where", &order, "y", vec![]).check("y");
        }
        let onnx =
            Onnx::new(&[1, 3]).floats("o", &[], vec![1.5]).node("Where", &["x", "x", "o"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("computed"));
    }
}
