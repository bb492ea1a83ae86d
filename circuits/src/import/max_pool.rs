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
