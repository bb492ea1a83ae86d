//! `GlobalAveragePool`: one window, the whole image.

use super::average_pool::average;
use super::window::{Image, Walk};
use super::{Importer, OnnxNode, Problem};
use crate::graph::ConvGeometry;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let image = Image::new(&operand)?;
    let geometry = ConvGeometry { stride: (1, 1), dilation: (1, 1), pads: (0, 0, 0, 0), groups: 1 };
    let walk = Walk { geometry, kernel: (image.height, image.width), output: (1, 1) };
    average(importer, node, &operand, &image, &walk, false)
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn images_and_sequences() {
        Onnx::new(&[1, 3, 7, 5]).node("GlobalAveragePool", &["x"], "y", vec![]).check("y");
        Onnx::new(&[1, 3, 11]).node("GlobalAveragePool", &["x"], "y", vec![]).check("y");
    }
}
