//! `InstanceNormalization`: each channel brought to mean 0 and variance 1, a step of its own with its error stated in
//! `quantise/normalise.rs`; then the learned factor and offset of each channel, as any constants.

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, broadcast};
use crate::float::FloatOp;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let shape = operand.shape().to_vec();
    let [1, channels, ref rest @ ..] = *shape.as_slice() else {
        return Err(Problem::unsupported(format!("input of shape {shape:?}; its batch must be 1")));
    };
    let columns: usize = rest.iter().product();
    let epsilon = f64::from(node.float("epsilon", 1e-5)?);
    if epsilon < 0.0 || rest.is_empty() {
        return Err(Problem::malformed(format!("epsilon {epsilon} over an input of shape {shape:?}")));
    }
    let mut spread = vec![channels];
    spread.extend(rest.iter().map(|_| 1));
    let over = |index: usize| {
        let (constant, values) = importer.constant(node, index)?;
        match values.len() == channels {
            true => broadcast(&spread, &values, &shape),
            false => Err(Problem::malformed(format!(
                "`{}` should have {channels} values, got {}",
                constant.name,
                values.len()
            ))),
        }
    };
    let affine = Affine { factor: over(1)?, offset: over(2)?, public: false };
    let input = operand.reshaped(vec![channels, columns]);
    importer.emit(node, FloatOp::Normalise { input, epsilon, centred: true }, shape.clone())?;
    if affine.factor.iter().all(|v| *v == 1.0) && affine.offset.iter().all(|v| *v == 0.0) {
        return Ok(());
    }
    let normal = importer.unfinished(node, &operand.name)?;
    affine::apply(importer, node, &normal, &affine)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float};

    #[test]
    fn of_channels_of_any_shape() {
        for shape in [&[1, 3, 5, 7][..], &[1, 5, 11]] {
            let onnx = Onnx::new(shape).noise("g", &shape[1..2], 1.5).noise("b", &shape[1..2], 0.5);
            let attributes = vec![float("epsilon", 1e-3)];
            onnx.node("InstanceNormalization", &["x", "g", "b"], "y", attributes).check("y");
        }
        let onnx = Onnx::new(&[1, 2, 9]).floats("g", &[2], vec![1.0; 2]).floats("b", &[2], vec![0.0; 2]);
        let model = onnx.node("InstanceNormalization", &["x", "g", "b"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 2);
    }

    #[test]
    fn misfits_are_refused() {
        let onnx = Onnx::new(&[1, 3, 5]).noise("g", &[3], 1.5).noise("b", &[2], 0.5);
        let onnx = onnx.node("InstanceNormalization", &["x", "g", "b"], "y", vec![]);
        assert!(onnx.malformed("y").contains("should have 3 values, got 2"));
    }
}
