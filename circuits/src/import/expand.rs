//! `Expand` to a constant shape: copies of each element, exact.

use super::{Importer, OnnxNode, Problem, blocks, common_shape};
use crate::float::{FloatOp, FloatPart};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let sizes = importer.integers(node, 1)?.ok_or_else(|| Problem::malformed("the shape is missing"))?;
    let wanted: Result<Vec<usize>, _> = sizes.iter().map(|size| usize::try_from(*size)).collect();
    let wanted = wanted.map_err(|_| Problem::malformed(format!("a negative size in {sizes:?}")))?;
    let shape = common_shape(operand.shape(), &wanted)?;
    importer.fits(&shape)?;
    if shape.iter().product::<usize>() == operand.view.len() {
        importer.emit_view(node, &operand, operand.reshaped(shape));
        return Ok(());
    }
    let (axes, blocks) = blocks(operand.shape(), &shape);
    let sums = vec![FloatPart { input: operand.reshaped(vec![blocks, 1]), factor: 1.0 }];
    importer.emit_permuted(
        node,
        FloatOp::Spread { terms: Vec::new(), sums, blocks, sums_first: false },
        &shape,
        &axes,
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn along_any_axes_and_along_none() {
        for wanted in [&[1, 3, 5, 1][..], &[1, 3, 5, 4], &[2, 3, 5, 1], &[2, 1, 1, 3], &[1]] {
            let onnx = Onnx::new(&[1, 3, 5, 1]).ints("s", wanted);
            onnx.node("Expand", &["x", "s"], "a", vec![]).node("Relu", &["a"], "y", vec![]).check("y");
        }
        let onnx = Onnx::new(&[1, 3]).ints("s", &[2, 4]).node("Expand", &["x", "s"], "y", vec![]);
        assert!(onnx.malformed("y").contains("do not spread"));
    }
}
