//! `Flatten` to two dimensions at an axis.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let shape = operand.shape();
    let axis = match node.int("axis")?.unwrap_or(1) {
        axis if usize::try_from(axis) == Ok(shape.len()) => shape.len(),
        axis => super::axis(axis, shape.len())?,
    };
    let view = operand.reshaped(vec![shape[..axis].iter().product(), shape[axis..].iter().product()]);
    importer.emit_view(node, &operand, view);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int};

    #[test]
    fn every_axis() {
        for (axis, len) in [(0, 24), (1, 24), (2, 12), (3, 4), (4, 1), (-1, 4)] {
            let onnx = Onnx::new(&[1, 2, 3, 4]).noise("w", &[len, 5], 1.0);
            let onnx = onnx.node("Flatten", &["x"], "f", vec![int("axis", axis)]);
            onnx.node("Gemm", &["f", "w"], "y", vec![]).check("y");
        }
        let onnx = Onnx::new(&[1, 2]).node("Flatten", &["x"], "y", vec![int("axis", 3)]);
        assert!(onnx.malformed("y").contains("axis 3 of 2"));
    }
}
