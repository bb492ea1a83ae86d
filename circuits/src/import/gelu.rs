//! `Gelu`: `x·(1 + erf(x/√2))/2`, or `x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2` with `approximate = "tanh"`; of slope at most 1.13.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem};
use crate::float::Function;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let tanh = match node.text("approximate")?.as_deref() {
        None | Some("none") => false,
        Some("tanh") => true,
        Some(other) => return Err(Problem::malformed(format!("approximate `{other}`"))),
    };
    let name = if tanh { "Gelu(tanh)" } else { "Gelu" }.into();
    importer.apply(
        node,
        &operand,
        Function {
            name,
            value: Arc::new(move |x| {
                let inner = std::f64::consts::FRAC_2_SQRT_PI
                    * std::f64::consts::FRAC_1_SQRT_2
                    * (x + 0.044_715 * x * x * x);
                let share =
                    if tanh { libm::tanh(inner) } else { libm::erf(x * std::f64::consts::FRAC_1_SQRT_2) };
                0.5 * x * (1.0 + share)
            }),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, text};

    #[test]
    fn exact_and_approximate() {
        for attributes in [vec![], vec![text("approximate", "tanh")]] {
            Onnx::new(&[1, 3, 7]).node("Gelu", &["x"], "y", attributes).check("y");
        }
        let onnx = Onnx::new(&[1, 3]).node("Gelu", &["x"], "y", vec![text("approximate", "fast")]);
        assert!(onnx.malformed("y").contains("fast"));
    }
}
