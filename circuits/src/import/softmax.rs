//! `Softmax` over one axis, see `quantise/softmax.rs` for its error. As the last node, `Softmax` and `LogSoftmax` are left out, so that
//! the model gives logits: both keep the order of classes.

use super::{Activation, Importer, OnnxNode, Problem, Value, axis};
use crate::float::FloatOp;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let (name, operator) = (&node.name, &node.proto.op_type);
    if importer.is_last(node) {
        importer.note(format!("{operator} `{name}` is left out: the outputs are its inputs, the logits"));
        importer.bind(node.output(), Value::Activation(operand));
        return Ok(());
    }
    if operator == "LogSoftmax" {
        return Err(Problem::unsupported("supported as the last node only"));
    }
    let shape = operand.shape().to_vec();
    let rank = shape.len();
    let along = axis(node.int("axis")?.unwrap_or(if importer.opset < 13 { 1 } else { -1 }), rank)?;
    // Before opset 13 all axes from this one on were one.
    let merged = if importer.opset < 13 { rank - along } else { 1 };
    let axes: Vec<usize> = (0..along).chain(along + merged..rank).chain(along..along + merged).collect();
    let columns: usize = shape[along..along + merged].iter().product();
    let rows = operand.view.len() / columns.max(1);
    let turned = Activation { view: operand.permuted(&axes), ..operand };
    let input = turned.reshaped(vec![rows, columns]);
    importer.emit_permuted(node, FloatOp::Softmax { input }, &shape, &axes)
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
    fn a_logarithm_in_the_middle_is_unsupported() {
        let onnx = Onnx::new(&[1, 6]).node("LogSoftmax", &["x"], "a", vec![]);
        assert!(onnx.node("Relu", &["a"], "y", vec![]).unsupported("y")[0].contains("last node only"));
    }
}
