//! `MaxPool` in one or two dimensions.

use super::window::{Image, Walk};
use super::{Importer, OnnxNode, Problem};
use crate::float::FloatOp;
use crate::onnx::TENSOR_ELEMENTS_MAX;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    if node.proto.output.get(1).is_some_and(|indices| !indices.is_empty()) {
        return Err(Problem::unsupported("the indices of the maxima; only the maxima are computed"));
    }
    let operand = importer.activation(node, 0)?;
    let image = Image::new(&operand)?;
    let kernel = node.sizes("kernel_shape")?.ok_or_else(|| Problem::malformed("kernel_shape is missing"))?;
    let walk = Walk::new(node, &image, &kernel)?;
    if walk.taps(image.channels) > TENSOR_ELEMENTS_MAX {
        return Err(Problem::unsupported(format!("windows of {kernel:?} over an image of this size")));
    }
    let plane = image.height * image.width;
    let mut windows = Vec::with_capacity(image.channels * walk.output.0 * walk.output.1);
    for channel in 0..image.channels {
        for (oy, ox) in (0..walk.output.0).flat_map(|y| (0..walk.output.1).map(move |x| (y, x))) {
            let (under, _) = walk.window(&image, oy, ox);
            if under.is_empty() {
                return Err(Problem::unsupported("a window that lies in the padding altogether"));
            }
            windows.push(under.into_iter().map(|e| (channel * plane + e) as u32).collect());
        }
    }
    let op = FloatOp::Max { input: image.view(&operand), windows };
    importer.emit(node, op, image.result_shape(image.channels, walk.output))
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, ints, text};

    #[test]
    fn windows_that_overlap_leave_gaps_or_hang_over_the_edge() {
        for (kernel, strides, pads, ceil) in [
            ([2, 2], [2, 2], [0, 0, 0, 0], 0),
            ([3, 2], [1, 2], [0, 0, 0, 0], 0),
            ([1, 1], [2, 3], [0, 0, 0, 0], 0),
            ([3, 3], [2, 2], [1, 1, 1, 1], 0),
            ([2, 2], [2, 2], [0, 0, 0, 0], 1),
        ] {
            let attributes = vec![
                ints("kernel_shape", &kernel),
                ints("strides", &strides),
                ints("pads", &pads),
                int("ceil_mode", ceil),
            ];
            Onnx::new(&[1, 2, 7, 5]).node("MaxPool", &["x"], "y", attributes).check("y");
        }
    }

    #[test]
    fn negative_maxima_survive_padding() {
        // Everything is below −5, so a padding zero that took part would win.
        let onnx =
            Onnx::new(&[1, 2, 5, 5]).floats("c", &[], vec![-7.0]).node("Add", &["x", "c"], "a", vec![]);
        let attributes =
            vec![ints("kernel_shape", &[3, 3]), text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])];
        onnx.node("MaxPool", &["a"], "m", attributes).node("Identity", &["m"], "y", vec![]).check("y");
    }

    #[test]
    fn one_dimension_and_relu_after_it() {
        let onnx = Onnx::new(&[1, 3, 9]);
        let onnx = onnx.node("MaxPool", &["x"], "m", vec![ints("kernel_shape", &[2]), ints("strides", &[2])]);
        assert_eq!(onnx.node("Relu", &["m"], "y", vec![]).check("y").graph.nodes.len(), 2);
    }

    #[test]
    fn missing_or_huge_kernels_are_refused() {
        let onnx = Onnx::new(&[1, 2, 7, 5]).node("MaxPool", &["x"], "y", vec![]);
        assert!(onnx.malformed("y").contains("kernel_shape is missing"));
        let onnx = Onnx::new(&[1, 2, 7, 5]);
        let onnx = onnx.node("MaxPool", &["x"], "y", vec![ints("kernel_shape", &[1 << 40, 2])]);
        assert!(onnx.malformed("y").contains("does not fit"));
    }
}
