//! `LeakyRelu`: `x` where it is positive and `alpha·x` elsewhere, of slope 1 or `alpha`. The attribute `alpha` is public.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem};
use crate::float::Function;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let alpha = f64::from(node.float("alpha", 0.01)?);
    let name = format!("LeakyRelu({alpha})");
    importer.apply(
        node,
        &operand,
        Function { name, value: Arc::new(move |x| if x < 0.0 { alpha * x } else { x }) },
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float};

    #[test]
    fn slopes_of_either_sign_and_the_default() {
        for attributes in [vec![], vec![float("alpha", 0.3)], vec![float("alpha", -0.5)]] {
            Onnx::new(&[1, 3, 7]).node("LeakyRelu", &["x"], "y", attributes).check("y");
        }
    }

    #[test]
    fn a_slope_that_is_no_number_is_malformed() {
        let onnx = Onnx::new(&[1, 3]).node("LeakyRelu", &["x"], "y", vec![float("alpha", f32::NAN)]);
        assert!(onnx.malformed("y").contains("alpha"));
    }
}
