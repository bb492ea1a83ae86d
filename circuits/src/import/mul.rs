//! `Mul`, by a constant or of two computed tensors.

use super::affine::{self, Affine};
use super::{Activation, Importer, OnnxNode, Problem, Value, blocks, broadcast, common_shape};
use crate::float::{FloatOp, FloatTerm};
use crate::graph::View;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let (operand, constant) = match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(a), Value::Activation(b)) => {
            let (a, b) = (a.clone(), b.clone());
            return product(importer, node, &a, &b);
        }
        (Value::Activation(_), _) => (0, 1),
        _ => (1, 0),
    };
    let operand = importer.activation(node, operand)?;
    let first = constant == 0;
    let (constant, values) = importer.constant(node, constant)?;
    let factor = broadcast(&constant.shape, &values, operand.shape())?;
    let quantised = importer.has_constant(node, &constant.name, true, first);
    let (offset, public) = (vec![0.0; factor.len()], constant.is_public() && !quantised);
    affine::apply(importer, node, &operand, &Affine { factor, offset, public })
}

/// Two tensors of one shape: quarter squares. Or one factor spreads over the other: a product of each block with a number.
fn product(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    a: &Activation,
    b: &Activation,
) -> Result<(), Problem> {
    let shape = common_shape(a.shape(), b.shape())?;
    importer.fits(&shape)?;
    let whole = |x: &Activation| x.view.len() == shape.iter().product::<usize>();
    let (all, part) = match (whole(a), whole(b)) {
        (true, true) => {
            let factor =
                |x: &Activation| vec![FloatTerm { input: x.view.clone(), factor: 1.0, target: None }];
            return importer.emit(node, FloatOp::Product { factors: [factor(a), factor(b)] }, shape);
        }
        (true, false) => (a, b),
        (false, true) => (b, a),
        (false, false) => {
            let (a, b) = (a.shape(), b.shape());
            let reason = format!("factors of shapes {a:?} and {b:?} that spread over each other");
            return Err(Problem::unsupported(reason));
        }
    };
    let (axes, blocks) = blocks(part.shape(), &shape);
    let all = Activation { view: all.reshaped(shape.clone()), ..all.clone() }.permuted(&axes);
    let size = all.len() / blocks;
    let (left, right) = (part.reshaped(vec![blocks, 1, 1]), View { shape: vec![blocks, 1, size], ..all });
    importer.emit_permuted(node, FloatOp::BatchMatMul { left, right, factor: 1.0 }, &shape, &axes)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, ints};
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
    fn squares_and_products_of_two_layers() {
        Onnx::new(&[1, 3, 5]).node("Mul", &["x", "x"], "y", vec![]).check("y");
        let onnx = Onnx::new(&[1, 7]).noise("v", &[7, 5], 1.0).noise("w", &[7, 5], 0.5);
        let onnx = onnx.node("MatMul", &["x", "v"], "a", vec![]).node("MatMul", &["x", "w"], "b", vec![]);
        let onnx = onnx.node("Mul", &["a", "b"], "c", vec![]).node("Relu", &["c"], "y", vec![]);
        onnx.check("y");
    }

    #[test]
    fn products_with_every_broadcast_shape() {
        for axes in [&[2][..], &[3], &[2, 3], &[1, 2, 3]] {
            let onnx = Onnx::new(&[1, 2, 3, 5]).node("ReduceMax", &["x"], "m", vec![ints("axes", axes)]);
            onnx.node("Mul", &["m", "x"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn misfits_are_refused() {
        let base = || Onnx::new(&[1, 3, 70]).node("ReduceMax", &["x"], "m", vec![ints("axes", &[2])]);
        base().node("Mul", &["m", "x"], "y", vec![]).check("y");
        let transposed = base().node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 1])]);
        assert!(transposed.node("Mul", &["t", "x"], "y", vec![]).malformed("y").contains("do not spread"));
        let other = base().node("ReduceMax", &["x"], "n", vec![ints("axes", &[1])]);
        assert!(other.node("Mul", &["m", "n"], "y", vec![]).unsupported("y")[0].contains("over each other"));
    }
}
