//! `Mul` by a constant.

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, Value, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let (operand, constant) = match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(_), Value::Activation(_)) => {
            return Err(Problem::unsupported(
                "the product of two computed tensors; one factor must be constant",
            ));
        }
        (Value::Activation(_), _) => (0, 1),
        _ => (1, 0),
    };
    let operand = importer.activation(node, operand)?;
    let (constant, values) = importer.constant(node, constant)?;
    let factor = broadcast(&constant.shape, &values, operand.shape())?;
    affine::apply(importer, node, &operand, &Affine { offset: vec![0.0; factor.len()], factor })
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;
    use crate::float::FloatOp;

    #[test]
    fn scalar_factors_of_either_sign() {
        for factor in [3.7, -0.01] {
            let onnx =
                Onnx::new(&[1, 9]).floats("c", &[], vec![factor]).node("Mul", &["c", "x"], "y", vec![]);
            onnx.node("Relu", &["y"], "z", vec![]).check("z");
        }
    }

    #[test]
    fn factors_of_every_broadcast_shape() {
        for shape in [&[1][..], &[5], &[3, 1], &[2, 1, 1], &[2, 3, 5]] {
            Onnx::new(&[1, 2, 3, 5]).noise("c", shape, 3.0).node("Mul", &["x", "c"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn channel_factor_goes_into_the_convolution_before_it() {
        let onnx = Onnx::new(&[1, 2, 4, 3]).noise("w", &[3, 2, 1, 1], 1.0).noise("c", &[3, 1, 1], 2.0);
        let onnx = onnx.node("Conv", &["x", "w"], "a", vec![]).node("Mul", &["a", "c"], "y", vec![]);
        let model = onnx.check("y");
        assert!(matches!(&model.graph.nodes[..], [_, node] if matches!(node.op, FloatOp::Conv { .. })));
    }

    #[test]
    fn product_of_two_tensors_is_unsupported() {
        let onnx = Onnx::new(&[1, 4]).node("Mul", &["x", "x"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("two computed tensors"));
    }
}
