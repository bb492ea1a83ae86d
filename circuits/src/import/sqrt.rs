//! `Sqrt`, of slope `1/(2√x)`. The table holds 0 for x < 0, where ONNX has no number; calibration refuses a model that
//! gets there.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem};
use crate::float::Function;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    importer.apply(
        node,
        &operand,
        Function { name: "Sqrt".into(), value: Arc::new(|x| libm::sqrt(x.max(0.0))) },
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn of_positive_numbers() {
        // Noise is at least −2, so x + 2.5 is at least 0.5.
        let base =
            || Onnx::new(&[1, 3, 7]).floats("c", &[1], vec![2.5]).node("Add", &["x", "c"], "a", vec![]);
        base().node("Sqrt", &["a"], "y", vec![]).check("y");
        let other = base().node("Relu", &["a"], "b", vec![]).node("Sqrt", &["b"], "y", vec![]).check("y");
        assert_eq!(other.graph.nodes.len(), 3);
    }
}
