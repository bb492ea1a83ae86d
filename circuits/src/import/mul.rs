//! `Mul`, by a constant or of two computed tensors.

use super::affine::{self, Affine};
use super::{Activation, Importer, OnnxNode, Problem, Value, broadcast};
use crate::float::{FloatOp, FloatTerm};
use crate::onnx::elements;

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
    let (constant, values) = importer.constant(node, constant)?;
    let factor = broadcast(&constant.shape, &values, operand.shape())?;
    affine::apply(importer, node, &operand, &Affine { offset: vec![0.0; factor.len()], factor })
}

/// Most elements that one element of a factor is spread over.
const SPREAD_MAX: usize = 64;

fn product(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    a: &Activation,
    b: &Activation,
) -> Result<(), Problem> {
    let shape = common_shape(a.shape(), b.shape())?;
    let factors = [spread(a, &shape)?, spread(b, &shape)?];
    importer.emit(node, FloatOp::Product { factors }, shape)
}

/// The shape over which both operands spread, by the ONNX broadcasting rule.
fn common_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |position| shape[position])
    };
    let common = (0..rank).map(|axis| match (size(a, axis), size(b, axis)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(Problem::malformed(format!("shapes {a:?} and {b:?} do not spread over each other"))),
    });
    common.collect()
}

/// The operand over `shape`: each of its elements goes to one element of the result a term.
fn spread(operand: &Activation, shape: &[usize]) -> Result<Vec<FloatTerm>, Problem> {
    let term = |target| FloatTerm { input: operand.view.clone(), factor: 1.0, target };
    if operand.shape() == shape {
        return Ok(vec![term(None)]);
    }
    let repeats = elements(shape).map_or(usize::MAX, |len| len / operand.view.len().max(1));
    if repeats > SPREAD_MAX {
        let have = operand.shape();
        let reason =
            format!("a factor of shape {have:?} spread over {shape:?}, more than {SPREAD_MAX} times");
        return Err(Problem::unsupported(reason));
    }
    let lead = shape.len() - operand.shape().len();
    let mut targets = vec![vec![None; operand.view.len()]; repeats];
    let mut seen = vec![0; operand.view.len()];
    for e in 0..operand.view.len() * repeats {
        let (mut rest, mut from, mut stride) = (e, 0, 1);
        for (axis, size) in shape.iter().enumerate().rev() {
            if let Some(have) = axis.checked_sub(lead).map(|axis| operand.shape()[axis]) {
                from += if have == 1 { 0 } else { rest % size * stride };
                stride *= have;
            }
            rest /= size;
        }
        targets[seen[from]][from] = Some(e as u32);
        seen[from] += 1;
    }
    Ok(targets.into_iter().map(|target| term(Some(target))).collect())
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
    fn silu_as_exporters_write_it() {
        let onnx = Onnx::new(&[1, 7]).noise("w", &[7, 5], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
        onnx.node("Sigmoid", &["a"], "s", vec![]).node("Mul", &["a", "s"], "y", vec![]).check("y");
    }

    #[test]
    fn misfits_and_wide_spreads_are_refused() {
        let base = || Onnx::new(&[1, 3, 70]).node("ReduceMax", &["x"], "m", vec![ints("axes", &[2])]);
        assert!(base().node("Mul", &["m", "x"], "y", vec![]).unsupported("y")[0].contains("more than 64"));
        let transposed = base().node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 1])]);
        assert!(transposed.node("Mul", &["t", "x"], "y", vec![]).malformed("y").contains("do not spread"));
    }
}
