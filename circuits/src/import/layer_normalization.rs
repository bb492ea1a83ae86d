//! `LayerNormalization` and `RMSNormalization` over the last axes: rows brought to mean 0 (the latter: not) and variance 1, a step of
//! its own with its error stated in `quantise/normalise.rs`; then the learned factor and offset, as any constants.

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, axis, broadcast};
use crate::float::FloatOp;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    normalise(importer, node, true)
}

pub fn rms(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    normalise(importer, node, false)
}

fn normalise(importer: &mut Importer<'_>, node: &OnnxNode<'_>, centred: bool) -> Result<(), Problem> {
    if node.proto.output.iter().skip(1).any(|output| !output.is_empty()) {
        return Err(Problem::unsupported("mean or deviation as outputs of their own"));
    }
    let operand = importer.activation(node, 0)?;
    let shape = operand.shape().to_vec();
    let first = axis(node.int("axis")?.unwrap_or(-1), shape.len())?;
    let columns: usize = shape[first..].iter().product();
    let epsilon = f64::from(node.float("epsilon", 1e-5)?);
    if epsilon < 0.0 || columns == 0 {
        return Err(Problem::malformed(format!("epsilon {epsilon} over {columns} elements")));
    }
    let over = |importer: &Importer<'_>, index: usize| {
        let (constant, values) = importer.constant(node, index)?;
        broadcast(&constant.shape, &values, &shape)
    };
    let factor = over(importer, 1)?;
    let offset = match node.input(2) {
        Some(_) if centred => over(importer, 2)?,
        _ => vec![0.0; factor.len()],
    };
    let input = operand.reshaped(vec![operand.view.len() / columns, columns]);
    importer.emit(node, FloatOp::Normalise { input, epsilon, centred }, shape.clone())?;
    let affine = Affine { factor, offset, public: false };
    if affine.factor.iter().all(|v| *v == 1.0) && affine.offset.iter().all(|v| *v == 0.0) {
        return Ok(());
    }
    let normal = importer.unfinished(node, &operand.name)?;
    affine::apply(importer, node, &normal, &affine)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float, int, ints};
    use crate::float::FloatOp;

    #[test]
    fn of_rows_of_any_length() {
        for (shape, axis, columns) in [(&[1, 3, 5][..], -1, 5), (&[1, 4, 3, 3], 2, 9), (&[1, 17], 1, 17)] {
            let onnx = Onnx::new(shape).noise("g", &[columns], 1.5).noise("b", &[columns], 0.5);
            let onnx = if axis == 2 { onnx.ints("s", &[1, 4, 9]) } else { onnx };
            let onnx = match axis {
                2 => onnx.node("Reshape", &["x", "s"], "r", vec![]),
                _ => onnx.node("Relu", &["x"], "r", vec![]),
            };
            let attributes = vec![float("epsilon", 1e-4)];
            onnx.node("LayerNormalization", &["r", "g", "b"], "y", attributes).check("y");
        }
    }

    #[test]
    fn without_offset_and_without_factor_that_changes_anything() {
        let onnx = Onnx::new(&[1, 3, 6]).floats("g", &[6], vec![1.0; 6]);
        let model = onnx.node("LayerNormalization", &["x", "g"], "y", vec![]).check("y");
        assert!(matches!(&model.graph.nodes[..], [_, node] if matches!(node.op, FloatOp::Normalise { .. })));
    }

    #[test]
    fn without_mean() {
        let onnx = Onnx::new(&[1, 5, 7]).noise("g", &[7], 1.5);
        onnx.node("RMSNormalization", &["x", "g"], "y", vec![int("axis", -1)]).check("y");
    }

    #[test]
    fn as_exporters_write_it() {
        let onnx = Onnx::new(&[1, 3, 7]).noise("g", &[7], 1.5).noise("b", &[7], 0.5);
        let onnx = onnx.floats("two", &[], vec![2.0]).floats("eps", &[], vec![1e-5]);
        let mean = || vec![ints("axes", &[-1]), int("keepdims", 1)];
        let onnx = onnx.node("ReduceMean", &["x"], "m", mean()).node("Sub", &["x", "m"], "d", vec![]);
        let onnx = onnx.node("Pow", &["d", "two"], "p", vec![]).node("ReduceMean", &["p"], "v", mean());
        let onnx = onnx.node("Add", &["v", "eps"], "a", vec![]).node("Sqrt", &["a"], "s", vec![]);
        let onnx = onnx.node("Div", &["d", "s"], "n", vec![]).node("Mul", &["n", "g"], "h", vec![]);
        let model = onnx.node("Add", &["h", "b"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 3, "{:?}", model.graph.nodes);
    }

    #[test]
    fn rows_of_equal_numbers_become_zero() {
        let model = Onnx::new(&[1, 2, 5]).floats("g", &[5], vec![1.0; 5]);
        let model = model.node("LayerNormalization", &["x", "g"], "y", vec![]).import("y").unwrap();
        let calibration = [(0..10).map(|v| v as f32).collect::<Vec<_>>()];
        let options = crate::QuantiseOptions { q_bits: Some(14), shift: Some(10), ..Default::default() };
        let (graph, weights, _) = crate::quantise(&model, &calibration, &options).unwrap();
        for value in [-128, -1, 0, 127] {
            let output = crate::run(&graph, &weights, &[value; 10]).unwrap().output;
            assert_eq!(output, [0; 10]);
        }
        // One element of a row differs by one, and one by all there is.
        for (others, one) in [(0, 1), (-128, 127), (127, -128), (126, 127)] {
            let mut record = vec![others; 10];
            record[3] = one;
            let output = crate::run(&graph, &weights, &record).unwrap().output;
            assert!(output[3].signum() == (one - others).signum(), "{output:?}");
        }
    }
}
