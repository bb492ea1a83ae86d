//! `Where` with a constant condition. Of a computed tensor and a constant it is a factor of 0 or 1 and an offset, as any constants, so
//! the condition and the constant become weights; of two computed tensors it is a public choice. With a computed condition:
//! `rewrite/logic.rs`.

use super::affine::{self, Affine};
use super::{Activation, Constant, Data, Importer, OnnxNode, Problem, Value, broadcast};
use crate::float::{FloatOp, FloatTerm};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let Value::Constant(condition) = importer.value(node, 0)?.clone() else {
        // `rewrite/logic.rs` has made sums and products of it, unless the node breaks the rules.
        return Err(Problem::malformed("a condition that is computed, and not two values to choose from"));
    };
    let Data::Int(bits) = &condition.data else {
        return Err(Problem::malformed("a condition of real numbers"));
    };
    if let (Value::Activation(a), Value::Activation(b)) = (importer.value(node, 1)?, importer.value(node, 2)?)
    {
        let (a, b) = (a.clone(), b.clone());
        return choose(importer, node, &condition, [&a, &b]);
    }
    let (kept, other, keeps) = match (importer.value(node, 1)?, importer.value(node, 2)?) {
        (Value::Activation(_), Value::Constant(_)) => (1, 2, true),
        (Value::Constant(_), Value::Activation(_)) => (2, 1, false),
        _ => return Err(Problem::unsupported("of two constants")),
    };
    let operand = importer.activation(node, kept)?;
    let (constant, values) = importer.constant(node, other)?;
    let bits: Vec<f32> = bits.iter().map(|bit| if (*bit != 0) == keeps { 1.0 } else { 0.0 }).collect();
    let factor = broadcast(&condition.shape, &bits, operand.shape())?;
    let mut offset = broadcast(&constant.shape, &values, operand.shape())?;
    offset.iter_mut().zip(&factor).for_each(|(value, factor)| *value *= 1.0 - factor);
    affine::apply(importer, node, &operand, &Affine { factor, offset, public: false })
}

/// Each element from one of two tensors of the same shape: exact but for the common scale.
fn choose(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    condition: &Constant,
    of: [&Activation; 2],
) -> Result<(), Problem> {
    let Data::Int(bits) = &condition.data else {
        return Err(Problem::malformed("a condition of real numbers"));
    };
    if of[0].shape() != of[1].shape() {
        let (a, b) = (of[0].shape(), of[1].shape());
        return Err(Problem::unsupported(format!(
            "tensors of shapes {a:?} and {b:?} that spread over each other"
        )));
    }
    let bits: Vec<f32> = bits.iter().map(|bit| if *bit != 0 { 1.0 } else { 0.0 }).collect();
    let bits = broadcast(&condition.shape, &bits, of[0].shape())?;
    let term = |(operand, wanted): (&Activation, f32)| {
        let target = bits.iter().zip(0u32..).map(|(bit, e)| (*bit == wanted).then_some(e));
        FloatTerm { input: operand.view.clone(), factor: 1.0, target: Some(target.collect()) }
    };
    let terms = of.into_iter().zip([1.0, 0.0]).map(term).collect();
    importer.emit(node, FloatOp::Sum { terms, constant: 0.0 }, of[0].shape().to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, ints};

    #[test]
    fn takes_either_side() {
        for order in [["c", "x", "o"], ["c", "o", "x"]] {
            let onnx = Onnx::new(&[1, 3, 5]).bools("c", &[3, 1], &[1, 0, 1]).floats("o", &[], vec![1.5]);
            onnx.node("Where", &order, "y", vec![]).check("y");
        }
    }

    #[test]
    fn chooses_from_two_tensors_by_a_constant() {
        let onnx = Onnx::new(&[1, 3, 3]).node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 1])]);
        let onnx = onnx.bools("c", &[3, 1], &[1, 0, 1]);
        onnx.node("Where", &["c", "x", "t"], "y", vec![]).check("y");
    }

    #[test]
    fn chooses_by_a_computed_condition() {
        let base = || {
            let onnx = Onnx::new(&[1, 3, 5]).noise("w", &[5, 5], 1.0).noise("k", &[5], 1.5);
            let onnx = onnx.floats("zero", &[], vec![0.0]).floats("two", &[], vec![2.0]);
            onnx.node("MatMul", &["x", "w"], "a", vec![]).node("Greater", &["x", "a"], "c", vec![])
        };
        for values in [["x", "a"], ["a", "zero"], ["k", "x"], ["two", "zero"], ["k", "two"]] {
            base().node("Where", &["c", values[0], values[1]], "y", vec![]).check("y");
        }
        let row = Onnx::new(&[1, 3, 5]).node("ReduceMax", &["x"], "m", vec![ints("axes", &[2])]);
        let row = row.floats("one", &[], vec![1.25]).node("Less", &["m", "one"], "c", vec![]);
        row.node("Where", &["c", "x", "one"], "y", vec![]).check("y");
    }
}
