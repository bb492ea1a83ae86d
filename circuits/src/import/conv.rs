//! `Conv` in one or two dimensions with constant weights.

use super::window::{Image, Walk};
use super::{Importer, OnnxNode, Problem};
use crate::float::{FloatOp, FloatWeight};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let image = Image::new(&operand)?;
    let (weight, values) = importer.constant(node, 1)?;
    let [outputs, per_group, ref kernel @ ..] = *weight.shape.as_slice() else {
        return Err(Problem::malformed(format!("weight of shape {:?}", weight.shape)));
    };
    let groups = usize::try_from(node.int("group")?.unwrap_or(1)).unwrap_or(0);
    let fits = groups > 0
        && outputs > 0
        && outputs % groups == 0
        && per_group.checked_mul(groups) == Some(image.channels);
    if !fits {
        let channels = image.channels;
        let reason =
            format!("weight {:?} and {groups} groups do not fit {channels} input channels", weight.shape);
        return Err(Problem::malformed(reason));
    }
    if node.sizes("kernel_shape")?.is_some_and(|k| k != kernel) {
        return Err(Problem::malformed(format!(
            "kernel_shape differs from the weight's shape {:?}",
            weight.shape
        )));
    }
    let mut walk = Walk::new(node, &image, kernel)?;
    walk.geometry.groups = groups;
    let bias = match node.input(2) {
        None => None,
        Some(_) => {
            let (bias, values) = importer.constant(node, 2)?;
            if values.len() != outputs {
                let got = values.len();
                return Err(Problem::malformed(format!("the bias should have {outputs} values, got {got}")));
            }
            Some(FloatWeight { name: bias.name, shape: vec![outputs], values })
        }
    };
    let shape = vec![outputs, per_group, walk.kernel.0, walk.kernel.1];
    let weight = FloatWeight { name: weight.name, shape, values };
    let (input, geometry) = (image.view(&operand), walk.geometry);
    let op = FloatOp::Conv { input, weight, bias, geometry, residual: Vec::new() };
    importer.emit(node, op, image.result_shape(outputs, walk.output))
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, ints, text};

    #[test]
    fn strides_pads_dilations_and_groups() {
        for (strides, pads, dilations, group) in [
            ([1, 1], [0, 0, 0, 0], [1, 1], 1),
            ([2, 1], [1, 2, 0, 1], [1, 2], 2),
            ([3, 2], [2, 0, 2, 3], [2, 1], 4),
            ([1, 3], [0, 1, 2, 0], [1, 1], 1),
        ] {
            let onnx = Onnx::new(&[-1, 4, 7, 5]).noise("w", &[8, 4 / group, 3, 2], 1.0).noise("b", &[8], 1.0);
            let attributes = vec![
                ints("strides", &strides),
                ints("pads", &pads),
                ints("dilations", &dilations),
                int("group", group),
            ];
            onnx.node("Conv", &["x", "w", "b"], "y", attributes).check("y");
        }
    }

    #[test]
    fn automatic_padding() {
        for auto_pad in ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"] {
            let onnx = Onnx::new(&[1, 2, 7, 6]).noise("w", &[3, 2, 3, 2], 1.0);
            let attributes = vec![text("auto_pad", auto_pad), ints("strides", &[2, 2])];
            onnx.node("Conv", &["x", "w"], "y", attributes).check("y");
        }
    }

    #[test]
    fn one_dimension() {
        let onnx = Onnx::new(&[1, 3, 11]).noise("w", &[2, 3, 4], 1.0).noise("b", &[2], 1.0);
        let attributes = vec![ints("strides", &[2]), ints("pads", &[1, 2]), ints("dilations", &[2])];
        onnx.node("Conv", &["x", "w", "b"], "y", attributes).check("y");
    }

    #[test]
    fn misfits_are_refused() {
        let base = |w: &[i64], attributes| {
            Onnx::new(&[1, 4, 5, 5]).noise("w", w, 1.0).noise("b", &[2], 1.0).node(
                "Conv",
                &["x", "w", "b"],
                "y",
                attributes,
            )
        };
        assert!(base(&[2, 3, 3, 3], vec![]).malformed("y").contains("do not fit 4 input channels"));
        assert!(base(&[2, 4, 3, 3], vec![int("group", 0)]).malformed("y").contains("0 groups"));
        assert!(base(&[2, 4, 7, 3], vec![]).malformed("y").contains("does not fit"));
        assert!(base(&[3, 4, 3, 3], vec![]).malformed("y").contains("3 values, got 2"));
        assert!(base(&[2, 4, 3, 3], vec![ints("strides", &[0, 1])]).malformed("y").contains("strides"));
        assert!(base(&[2, 4, 3, 3], vec![ints("pads", &[-1, 0, 0, 0])]).malformed("y").contains("negative"));
        assert!(base(&[2, 4, 3, 3], vec![ints("pads", &[1])]).malformed("y").contains("should be 4 sizes"));
        assert!(base(&[2, 4, 3, 3], vec![ints("kernel_shape", &[1, 1])]).malformed("y").contains("differs"));
        let huge = vec![ints("pads", &[1 << 23, 1 << 23, 1 << 23, 1 << 23])];
        assert!(base(&[2, 4, 3, 3], huge).unsupported("y")[0].contains("too large"));
        let batch =
            Onnx::new(&[2, 1, 5, 5]).noise("w", &[1, 1, 3, 3], 1.0).node("Conv", &["x", "w"], "y", vec![]);
        assert!(batch.unsupported("y")[0].contains("one image"));
    }
}
