//! `BatchNormalization` in inference: `scale·(x − mean)/√(variance + epsilon) + bias` per channel (axis 1).

use super::affine::{self, Affine};
use super::{Importer, OnnxNode, Problem, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    if node.flag("training_mode")? {
        return Err(Problem::unsupported("training_mode 1; export the model for inference"));
    }
    let operand = importer.activation(node, 0)?;
    let [_, channels, rest @ ..] = operand.shape() else {
        return Err(Problem::malformed(format!("input of shape {:?} has no channels", operand.shape())));
    };
    let parameter = |index: usize| {
        let (constant, values) = importer.constant(node, index)?;
        if values.len() == *channels {
            return Ok(values);
        }
        let (name, got) = (constant.name, values.len());
        Err(Problem::malformed(format!("`{name}` should have {channels} values, got {got}")))
    };
    let (scale, bias, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = node.float("epsilon", 1e-5)?;
    let factor: Vec<f32> = scale.iter().zip(&variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
    let offset: Vec<f32> = (0..*channels).map(|c| bias[c] - mean[c] * factor[c]).collect();
    let mut shape = vec![*channels];
    shape.extend(rest.iter().map(|_| 1));
    let spread = |values: &[f32]| broadcast(&shape, values, operand.shape());
    let affine = Affine { factor: spread(&factor)?, offset: spread(&offset)?, public: false };
    affine::apply(importer, node, &operand, &affine)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float, int};
    use crate::float::FloatOp;

    fn parameters(onnx: Onnx, channels: i64) -> Onnx {
        let variance = (1..=channels).map(|c| 0.3 * c as f32).collect();
        let onnx = onnx.noise("scale", &[channels], 2.0).noise("bias", &[channels], 1.0);
        onnx.noise("mean", &[channels], 1.0).floats("variance", &[channels], variance)
    }

    const INPUTS: [&str; 5] = ["a", "scale", "bias", "mean", "variance"];

    #[test]
    fn folds_into_the_convolution_before_it() {
        let onnx =
            parameters(Onnx::new(&[1, 2, 5, 4]), 3).noise("w", &[3, 2, 2, 3], 1.0).noise("b", &[3], 1.0);
        let onnx = onnx.node("Conv", &["x", "w", "b"], "a", vec![]);
        let onnx = onnx.node("BatchNormalization", &INPUTS, "n", vec![float("epsilon", 0.1)]);
        let model = onnx.node("Relu", &["n"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 2);
    }

    #[test]
    fn folds_into_the_product_before_it() {
        let onnx = parameters(Onnx::new(&[1, 6]), 4).noise("w", &[6, 4], 1.0);
        let onnx =
            onnx.node("Gemm", &["x", "w"], "a", vec![]).node("BatchNormalization", &INPUTS, "y", vec![]);
        assert_eq!(onnx.check("y").graph.nodes.len(), 2);
    }

    #[test]
    fn stands_alone_where_nothing_absorbs_it() {
        let onnx = parameters(Onnx::new(&[1, 3, 5]), 3).node("Relu", &["x"], "a", vec![]);
        let model = onnx.node("BatchNormalization", &INPUTS, "y", vec![]).check("y");
        let FloatOp::Conv { weight, .. } = &model.graph.nodes[2].op else {
            panic!("a convolution per channel")
        };
        assert_eq!(weight.shape, [3, 1, 1, 1]);
        // A convolution that something else reads too must stay as it is.
        let onnx = parameters(Onnx::new(&[1, 2, 5]), 3).noise("w", &[3, 2, 2], 1.0);
        let onnx =
            onnx.node("Conv", &["x", "w"], "a", vec![]).node("BatchNormalization", &INPUTS, "n", vec![]);
        onnx.node("Add", &["n", "a"], "y", vec![]).check("y");
    }

    #[test]
    fn training_and_wrong_parameters_are_refused() {
        let onnx = parameters(Onnx::new(&[1, 3, 5]), 3).node("Relu", &["x"], "a", vec![]);
        let onnx = onnx.node("BatchNormalization", &INPUTS, "y", vec![int("training_mode", 1)]);
        assert!(onnx.unsupported("y")[0].contains("training_mode"));
        let onnx = parameters(Onnx::new(&[1, 3, 5]), 2).node("Relu", &["x"], "a", vec![]);
        let onnx = onnx.node("BatchNormalization", &INPUTS, "y", vec![]);
        assert!(onnx.malformed("y").contains("should have 3 values, got 2"));
    }
}
