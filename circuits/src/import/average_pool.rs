//! `AveragePool` in one or two dimensions: a sum with the factor one over the window's count.

use super::window::{Contribution, Image, Walk, terms};
use super::{Activation, Importer, OnnxNode, Problem};
use crate::float::FloatOp;
use crate::onnx::TENSOR_ELEMENTS_MAX;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let image = Image::new(&operand)?;
    let kernel = node.sizes("kernel_shape")?.ok_or_else(|| Problem::malformed("kernel_shape is missing"))?;
    let walk = Walk::new(node, &image, &kernel)?;
    average(importer, node, &operand, &image, &walk, node.flag("count_include_pad")?)
}

/// Emits the average over every window.
pub fn average(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    operand: &Activation,
    image: &Image,
    walk: &Walk,
    count_include_pad: bool,
) -> Result<(), Problem> {
    if walk.taps(image.channels) > TENSOR_ELEMENTS_MAX {
        return Err(Problem::unsupported(format!("windows of {:?} over an image of this size", walk.kernel)));
    }
    let (plane, outputs) = (image.height * image.width, walk.output.0 * walk.output.1);
    let mut contributions = Vec::new();
    for channel in 0..image.channels {
        for output in 0..outputs {
            let (under, padded) = walk.window(image, output / walk.output.1, output % walk.output.1);
            let count = if count_include_pad { padded } else { under.len() };
            if count == 0 {
                return Err(Problem::unsupported("a window that lies in the padding altogether"));
            }
            let output = channel * outputs + output;
            let factor = 1.0 / count as f32;
            contributions.extend(under.iter().map(|e| Contribution {
                input: channel * plane + e,
                output,
                factor,
            }));
        }
    }
    let terms = terms(&image.view(operand), &contributions);
    let op = FloatOp::Sum { terms, constant: 0.0 };
    importer.emit(node, op, image.result_shape(image.channels, walk.output))
}
