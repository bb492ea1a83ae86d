//! `Add`: of two computed tensors, one of which may spread over the other, or of a constant.

use super::affine::{self, Affine};
use super::{Activation, Importer, OnnxNode, Problem, Value, blocks, broadcast, common_shape};
use crate::float::{FloatOp, FloatPart, FloatTerm};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(a), Value::Activation(b)) => {
            let (a, b) = (a.clone(), b.clone());
            sum(importer, node, &a, &b, 1.0)
        }
        (Value::Activation(_), _) => add_constant(importer, node, 0, 1),
        _ => add_constant(importer, node, 1, 0),
    }
}

/// `a + factor·b`.
pub fn sum(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    a: &Activation,
    b: &Activation,
    factor: f32,
) -> Result<(), Problem> {
    if a.shape() != b.shape() {
        return spread(importer, node, (a, 1.0), (b, factor));
    }
    if add_to_convolution(importer, node, a, b, factor)
        || (factor == 1.0 && add_to_convolution(importer, node, b, a, 1.0))
    {
        return Ok(());
    }
    let term = |x: &Activation, factor| FloatTerm { input: x.view.clone(), factor, target: None };
    let op = FloatOp::Sum { terms: vec![term(a, 1.0), term(b, factor)], constant: 0.0 };
    importer.emit(node, op, a.shape().to_vec())
}

/// The sum of two parts, one of which spreads over the other.
fn spread(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    a: (&Activation, f32),
    b: (&Activation, f32),
) -> Result<(), Problem> {
    let shape = common_shape(a.0.shape(), b.0.shape())?;
    importer.fits(&shape)?;
    let whole = |x: &Activation| x.view.len() == shape.iter().product::<usize>();
    let (all, part) = match (whole(a.0), whole(b.0)) {
        (true, _) => (a, b),
        (false, true) => (b, a),
        (false, false) => {
            let (a, b) = (a.0.shape(), b.0.shape());
            let reason = format!("operands of shapes {a:?} and {b:?} that spread over each other");
            return Err(Problem::unsupported(reason));
        }
    };
    let (axes, blocks) = blocks(part.0.shape(), &shape);
    let view = Activation { view: all.0.reshaped(shape.clone()), ..all.0.clone() }.permuted(&axes);
    let terms = vec![FloatPart { input: view, factor: all.1 }];
    let sums = vec![FloatPart { input: part.0.reshaped(vec![blocks, 1]), factor: part.1 }];
    // One number for many in a row comes last in a runtime's arithmetic, wherever it is in the file.
    let in_a_row = axes.is_sorted();
    let sums_first = !in_a_row && std::ptr::eq(part.0, a.0);
    importer.emit_permuted(node, FloatOp::Spread { terms, sums, blocks, sums_first }, &shape, &axes)
}

/// Lets the convolution that makes `a`, and for nothing else, add `factor·b`. It must be the later of the two.
fn add_to_convolution(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    a: &Activation,
    b: &Activation,
    factor: f32,
) -> bool {
    if a.view.order.is_some() || a.view.tensor <= b.view.tensor {
        return false;
    }
    let Some(producer) = importer.producer_of(a) else { return false };
    let FloatOp::Conv { residual, .. } = &mut producer.op else { return false };
    residual.push(FloatTerm { input: b.view.clone(), factor, target: None });
    importer.absorbed(node, a);
    true
}

fn add_constant(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    operand: usize,
    constant: usize,
) -> Result<(), Problem> {
    let operand = importer.activation(node, operand)?;
    let first = constant == 0;
    let (constant, values) = importer.constant(node, constant)?;
    let offset = broadcast(&constant.shape, &values, operand.shape())?;
    let quantised = importer.has_constant(node, &constant.name, false, first);
    let (factor, public) = (vec![1.0; offset.len()], constant.is_public() && !quantised);
    affine::apply(importer, node, &operand, &Affine { factor, offset, public })
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, ints};
    use crate::float::FloatOp;

    #[test]
    fn two_tensors_of_different_scales_add_up() {
        let onnx = Onnx::new(&[1, 7]).noise("w", &[7, 5], 1.0).noise("v", &[7, 5], 0.03);
        let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("MatMul", &["x", "v"], "b", vec![]);
        onnx.node("Add", &["a", "b"], "s", vec![]).node("Relu", &["s"], "y", vec![]).check("y");
    }

    #[test]
    fn one_tensor_spreads_over_the_other_along_any_axes() {
        for (axes, keep) in [(&[2][..], 1), (&[3], 1), (&[1, 3], 1), (&[1, 2, 3], 1), (&[0, 1], 0)] {
            for order in [["m", "x"], ["x", "m"]] {
                let attributes = vec![ints("axes", axes), int("keepdims", keep)];
                let onnx = Onnx::new(&[1, 2, 3, 5]).node("ReduceMax", &["x"], "m", attributes);
                onnx.node("Sub", &order, "y", vec![]).check("y");
            }
        }
        let onnx = Onnx::new(&[1, 3, 5]).node("ReduceMax", &["x"], "m", vec![ints("axes", &[1])]);
        let onnx = onnx.node("ReduceMax", &["x"], "n", vec![ints("axes", &[2])]);
        assert!(onnx.node("Add", &["m", "n"], "y", vec![]).unsupported("y")[0].contains("over each other"));
    }

    #[test]
    fn the_sum_of_a_residual_block_joins_its_last_convolution() {
        let pads = || vec![ints("pads", &[1, 1, 1, 1])];
        let base = || {
            let onnx = Onnx::new(&[1, 2, 5, 7]).noise("w", &[2, 2, 3, 3], 1.0).noise("v", &[2, 2, 3, 3], 0.2);
            let onnx = onnx.noise("f", &[1, 2, 1, 1], 1.0).node("Conv", &["x", "w"], "a", pads());
            onnx.node("Relu", &["a"], "r", vec![]).node("Conv", &["r", "v"], "b", pads())
        };
        for operands in [["b", "x"], ["x", "b"], ["r", "b"]] {
            let model =
                base().node("Add", &operands, "s", vec![]).node("Relu", &["s"], "y", vec![]).check("y");
            assert_eq!(model.graph.nodes.len(), 3, "{operands:?}");
        }
        let model = base().node("Sub", &["b", "x"], "s", vec![]).node("Relu", &["s"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 3);
        // Not where the convolution is the subtrahend, is read again, is the earlier one, or is scaled afterwards.
        assert_eq!(base().node("Sub", &["x", "b"], "y", vec![]).check("y").graph.nodes.len(), 4);
        let again = base().node("Add", &["b", "x"], "s", vec![]).node("Add", &["s", "b"], "y", vec![]);
        assert_eq!(again.check("y").graph.nodes.len(), 5);
        let scaled = base().node("Add", &["b", "x"], "s", vec![]).node("Mul", &["s", "f"], "y", vec![]);
        assert_eq!(scaled.check("y").graph.nodes.len(), 4);
    }

    #[test]
    fn tensor_adds_to_itself() {
        Onnx::new(&[1, 3, 5]).node("Add", &["x", "x"], "y", vec![]).check("y");
    }

    #[test]
    fn constant_becomes_the_bias_of_the_product_before_it() {
        let onnx = Onnx::new(&[1, 7]).noise("w", &[7, 5], 1.0).noise("b", &[5], 1.0);
        let model =
            onnx.node("MatMul", &["x", "w"], "m", vec![]).node("Add", &["b", "m"], "y", vec![]).check("y");
        assert!(
            matches!(&model.graph.nodes[..], [_, node] if matches!(node.op, FloatOp::MatMul { bias: Some(_), .. }))
        );
    }

    #[test]
    fn constants_of_every_broadcast_shape() {
        for shape in [&[][..], &[1], &[5], &[3, 1], &[3, 5], &[2, 1, 1], &[2, 3, 5], &[1, 2, 3, 1]] {
            Onnx::new(&[1, 2, 3, 5]).noise("c", shape, 3.0).node("Add", &["x", "c"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn constant_that_would_widen_the_tensor_is_unsupported() {
        let onnx = Onnx::new(&[1, 1, 5]).noise("c", &[3, 1], 1.0).node("Add", &["x", "c"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("node `y` (Add)"));
        let onnx = Onnx::new(&[1, 2]).noise("w", &[2, 1], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
        onnx.node("Add", &["x", "a"], "y", vec![]).check("y");
    }
}
