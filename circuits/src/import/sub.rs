//! `Sub`: of two computed tensors, one of which may spread over the other, of a constant, or from a constant.

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, Value, add, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let (operand, constant, sign) = match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(a), Value::Activation(b)) => {
            let (a, b) = (a.clone(), b.clone());
            return add::sum(importer, node, &a, &b, -1.0);
        }
        (Value::Activation(_), _) => (0, 1, 1.0),
        _ => (1, 0, -1.0),
    };
    let operand = importer.activation(node, operand)?;
    let (constant, values) = importer.constant(node, constant)?;
    let mut offset = broadcast(&constant.shape, &values, operand.shape())?;
    offset.iter_mut().for_each(|v| *v *= -sign);
    let (factor, public) = (vec![sign; offset.len()], constant.is_public());
    affine::apply(importer, node, &operand, &Affine { factor, offset, public })
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn differences_of_tensors_and_constants_either_way_round() {
        let base = || Onnx::new(&[1, 4, 3]).noise("w", &[3, 3], 1.0).noise("c", &[4, 1], 2.0);
        base().node("MatMul", &["x", "w"], "a", vec![]).node("Sub", &["x", "a"], "y", vec![]).check("y");
        base().node("Sub", &["x", "c"], "y", vec![]).check("y");
        base().node("Sub", &["c", "x"], "y", vec![]).check("y");
        base().node("MatMul", &["x", "w"], "a", vec![]).node("Sub", &["c", "a"], "y", vec![]).check("y");
    }
}
