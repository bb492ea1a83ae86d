//! `Softmax` and `LogSoftmax` over one axis, see `quantise/softmax.rs` for their error. As the last node they are left out, so that
//! the model gives logits: both keep the order of classes. A softmax whose scores are masked: see `rewrite/mask.rs`.

use super::{Activation, Data, Importer, OnnxNode, Problem, Value, axis, blocks, broadcast, common_shape};
use crate::float::{FloatOp, Mask, MaskValues};
use crate::graph::{TensorId, View};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let (name, operator) = (&node.name, &node.proto.op_type);
    if importer.is_last(node) {
        importer.note(format!("{operator} `{name}` is left out: the outputs are its inputs, the logits"));
        importer.bind(node.output(), Value::Activation(operand));
        return Ok(());
    }
    let shape = operand.shape().to_vec();
    let (axes, columns) = rows(importer, node, &shape)?;
    let input = turned(&operand, &axes, columns);
    let log = operator == "LogSoftmax";
    importer.emit_permuted(node, FloatOp::Softmax { input, mask: None, log }, &shape, &axes)
}

/// As [`import`], of scores and a mask that spreads over them.
pub fn masked(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let shape = operand.shape().to_vec();
    let (axes, columns) = rows(importer, node, &shape)?;
    let drops = node.flag("drop")?;
    let mask = match importer.value(node, 1)?.clone() {
        Value::Constant(constant) => {
            let real: Vec<f32> = match &constant.data {
                Data::Float(values) => values.clone(),
                Data::Int(values) => values.iter().map(|v| if *v == 0 { 0.0 } else { 1.0 }).collect(),
            };
            let set = broadcast(&constant.shape, &real, &shape)?.iter().map(|v| *v != 0.0).collect();
            let plain = Activation { view: placeholder(&shape), ..operand.clone() };
            let order = turned(&plain, &axes, columns).order;
            Mask { scores: operand.view.clone(), values: MaskValues::Constant(set), drops, order }
        }
        Value::Activation(mask) => {
            if common_shape(&shape, mask.shape())? != shape {
                return Err(Problem::unsupported(format!(
                    "scores of shape {shape:?} that spread over a mask of shape {:?}",
                    mask.shape()
                )));
            }
            let (mask_axes, blocks) = blocks(mask.shape(), &shape);
            let scores = operand.permuted(&mask_axes);
            // The masked scores lie in that order; here is the way back.
            let mut inverse = vec![0; mask_axes.len()];
            mask_axes.iter().enumerate().for_each(|(position, axis)| inverse[*axis] = position);
            let made = Activation { view: placeholder(&scores.shape), ..operand.clone() };
            let plain = Activation { view: made.permuted(&inverse), ..operand.clone() };
            let order = turned(&plain, &axes, columns).order;
            let values = MaskValues::Computed(mask.reshaped(vec![blocks, 1]));
            Mask { scores, values, drops, order }
        }
        Value::Unknown => return Err(Problem::Unknown),
    };
    let input = turned(&operand, &axes, columns);
    importer.emit_permuted(node, FloatOp::Softmax { input, mask: Some(mask), log: false }, &shape, &axes)
}

/// A view of a tensor that is still to be made, for its order alone.
fn placeholder(shape: &[usize]) -> View {
    View::plain(TensorId(usize::MAX), shape.to_vec())
}

/// Axes of a shape with those that make a row last, and the size of a row.
fn rows(
    importer: &Importer<'_>,
    node: &OnnxNode<'_>,
    shape: &[usize],
) -> Result<(Vec<usize>, usize), Problem> {
    let rank = shape.len();
    let along = axis(node.int("axis")?.unwrap_or(if importer.opset < 13 { 1 } else { -1 }), rank)?;
    // Before opset 13 all axes from this one on were one.
    let merged = if importer.opset < 13 { rank - along } else { 1 };
    let axes = (0..along).chain(along + merged..rank).chain(along..along + merged).collect();
    Ok((axes, shape[along..along + merged].iter().product()))
}

/// An operand as (rows, columns).
fn turned(operand: &Activation, axes: &[usize], columns: usize) -> View {
    let rows = operand.view.len() / columns.max(1);
    View { shape: vec![rows, columns], ..operand.permuted(axes) }
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int};

    #[test]
    fn last_softmax_is_left_out_with_a_note() {
        for operator in ["Softmax", "LogSoftmax"] {
            let onnx = Onnx::new(&[1, 6]).noise("w", &[6, 3], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
            let model = onnx.node(operator, &["a"], "y", vec![]).check("y");
            assert!(model.notes[0].contains("left out"), "{:?}", model.notes);
        }
    }

    #[test]
    fn inside_a_model_along_every_axis() {
        for (shape, axis) in [(&[1, 6][..], 1), (&[1, 3, 5], -1), (&[1, 3, 5], 1), (&[1, 2, 7, 1], 2)] {
            let onnx = Onnx::new(shape).node("Softmax", &["x"], "a", vec![int("axis", axis)]);
            onnx.node("Relu", &["a"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn rows_at_the_ends_of_the_range_keep_their_sum() {
        let onnx = Onnx::new(&[1, 3, 9]).node("Softmax", &["x"], "a", vec![int("axis", -1)]);
        let model = onnx.node("Relu", &["a"], "y", vec![]).import("y").unwrap();
        let calibration = [(0..27).map(|v| v as f32 / 3.0 - 4.5).collect::<Vec<_>>()];
        let options = crate::QuantiseOptions { q_bits: Some(14), shift: Some(10), ..Default::default() };
        let (graph, weights, _) = crate::quantise(&model, &calibration, &options).unwrap();
        // All smallest, all largest, one of each against all others.
        let mut record = [vec![-128; 9], vec![127; 9], vec![-128; 9]].concat();
        record[20] = 127;
        let output = crate::run(&graph, &weights, &record).unwrap().output;
        let unit = graph.tensors[graph.output.tensor.0].scale;
        for row in output.chunks(9) {
            let sum = f64::from(row.iter().sum::<i32>()) * unit;
            assert!((sum - 1.0).abs() < 0.05, "{row:?} adds up to {sum}");
        }
        assert!(f64::from(output[20]) * unit > 0.98 && output[18] == 0, "{output:?}");
    }

    #[test]
    fn logarithms_inside_a_model_along_every_axis() {
        for (shape, axis) in [(&[1, 6][..], 1), (&[1, 3, 5], -1), (&[1, 3, 5], 1), (&[1, 1, 7], 1)] {
            let onnx = Onnx::new(shape).node("LogSoftmax", &["x"], "a", vec![int("axis", axis)]);
            let onnx = onnx.floats("one", &[], vec![1.0]).node("Add", &["a", "one"], "y", vec![]);
            onnx.check("y");
        }
    }
}
