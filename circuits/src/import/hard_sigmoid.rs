//! `HardSigmoid`: `max(0, min(1, alpha·x + beta))`, of slope `alpha`. The attributes are public.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem};
use crate::float::Function;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let (alpha, beta) = (f64::from(node.float("alpha", 0.2)?), f64::from(node.float("beta", 0.5)?));
    let name = format!("HardSigmoid({alpha}, {beta})");
    importer.apply(
        node,
        &operand,
        Function { name, value: Arc::new(move |x: f64| (alpha * x + beta).clamp(0.0, 1.0)) },
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float};

    #[test]
    fn with_and_without_its_attributes() {
        for attributes in
            [vec![], vec![float("alpha", 1.0 / 6.0)], vec![float("alpha", 0.9), float("beta", 0.1)]]
        {
            Onnx::new(&[1, 3, 7]).node("HardSigmoid", &["x"], "y", attributes).check("y");
        }
    }
}
