//! `Pad` with zeros, exact.

use super::{Importer, OnnxNode, Problem, axis, place};
use crate::float::FloatOp;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let rank = operand.shape().len();
    if node.text("mode")?.is_some_and(|mode| mode != "constant") {
        return Err(Problem::unsupported("supported with constants only"));
    }
    if node.input(2).is_some() && importer.constant(node, 2)?.1.iter().any(|value| *value != 0.0) {
        return Err(Problem::unsupported("supported with zeros only"));
    }
    let pads = match node.ints("pads")? {
        Some(pads) => pads.to_vec(),
        None => importer.integers(node, 1)?.ok_or_else(|| Problem::malformed("pads are missing"))?,
    };
    let axes = match importer.integers(node, 3)? {
        Some(axes) => axes.iter().map(|a| axis(*a, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let sizes = pads.iter().map(|p| usize::try_from(*p).ok().filter(|p| *p < 1 << 24));
    let sizes = sizes.collect::<Option<Vec<_>>>();
    let sizes = sizes.ok_or_else(|| Problem::unsupported(format!("pads {pads:?}, of which one cuts off")))?;
    if sizes.len() != 2 * axes.len() {
        let (want, got) = (2 * axes.len(), sizes.len());
        return Err(Problem::malformed(format!("pads should be {want} sizes, got {got}")));
    }
    let (mut shape, mut before) = (operand.shape().to_vec(), vec![0; rank]);
    for (index, axis) in axes.iter().enumerate() {
        before[*axis] = sizes[index];
        shape[*axis] += sizes[index] + sizes[axes.len() + index];
    }
    importer.fits(&shape)?;
    let term = place::term(&operand, &shape, |axis, position| Some(position + before[axis]))?;
    importer.emit(node, FloatOp::Sum { terms: vec![term], constant: 0.0 }, shape)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, text};

    #[test]
    fn any_axis_on_either_side() {
        for pads in [[0, 0, 1, 2, 0, 0, 0, 3], [0, 2, 0, 0, 0, 1, 0, 0], [0; 8]] {
            let onnx = Onnx::new(&[1, 2, 3, 5]).ints("p", &pads);
            onnx.node("Pad", &["x", "p"], "a", vec![]).node("Relu", &["a"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn other_modes_and_cuts_are_unsupported() {
        let base = |pads: &[i64], attributes| {
            let onnx = Onnx::new(&[1, 3]).ints("p", pads).floats("c", &[], vec![1.0]);
            onnx.node("Pad", &["x", "p", "c"], "y", attributes)
        };
        assert!(base(&[0, 1, 0, 1], vec![text("mode", "edge")]).unsupported("y")[0].contains("constants"));
        assert!(base(&[0, 1, 0, 1], vec![]).unsupported("y")[0].contains("zeros"));
        let cut = Onnx::new(&[1, 3]).ints("p", &[0, -1, 0, 0]).node("Pad", &["x", "p"], "y", vec![]);
        assert!(cut.unsupported("y")[0].contains("cuts off"));
        let short = Onnx::new(&[1, 3]).ints("p", &[0, 1]).node("Pad", &["x", "p"], "y", vec![]);
        assert!(short.malformed("y").contains("4 sizes, got 2"));
        let huge =
            Onnx::new(&[1, 3]).ints("p", &[0, 1 << 23, 0, 1 << 23]).node("Pad", &["x", "p"], "a", vec![]);
        let huge = huge.ints("q", &[1 << 23, 0, 0, 0]).node("Pad", &["a", "q"], "y", vec![]);
        assert!(huge.unsupported("y")[0].contains("too large"));
    }
}
