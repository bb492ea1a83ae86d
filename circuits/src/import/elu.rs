//! `Elu`: `x` where it is positive and `alpha·(e^x − 1)` elsewhere, of slope at most 1 or `alpha`. The attribute is public.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem};
use crate::float::Function;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let alpha = f64::from(node.float("alpha", 1.0)?);
    let name = format!("Elu({alpha})");
    importer.apply(
        node,
        &operand,
        Function { name, value: Arc::new(move |x| if x < 0.0 { alpha * libm::expm1(x) } else { x }) },
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float};

    #[test]
    fn with_and_without_its_attribute() {
        for attributes in [vec![], vec![float("alpha", 0.3)]] {
            Onnx::new(&[1, 3, 7]).node("Elu", &["x"], "y", attributes).check("y");
        }
    }
}
