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

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, ints};

    #[test]
    fn padding_counts_or_does_not() {
        for (kernel, strides, pads, count) in [
            ([2, 2], [2, 2], [0, 0, 0, 0], 0),
            ([3, 2], [1, 2], [1, 1, 1, 0], 0),
            ([3, 2], [1, 2], [1, 1, 1, 0], 1),
            ([3, 3], [2, 2], [1, 1, 1, 1], 1),
        ] {
            let attributes = vec![
                ints("kernel_shape", &kernel),
                ints("strides", &strides),
                ints("pads", &pads),
                int("count_include_pad", count),
            ];
            Onnx::new(&[1, 2, 7, 5]).node("AveragePool", &["x"], "y", attributes).check("y");
        }
    }

    #[test]
    fn windows_without_overlap_are_one_term() {
        let attributes = vec![ints("kernel_shape", &[2, 3]), ints("strides", &[2, 3])];
        let model = Onnx::new(&[1, 2, 6, 6]).node("AveragePool", &["x"], "y", attributes).check("y");
        let crate::float::FloatOp::Sum { terms, .. } = &model.graph.nodes[1].op else { panic!("a sum") };
        assert_eq!(terms.len(), 1);
    }
}
