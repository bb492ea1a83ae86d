//! `Sigmoid`: `1/(1 + e^−x)`, of slope at most 1/4.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, sigmoid)
}

/// The logistic function.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn alone_and_after_a_layer() {
        Onnx::function("Sigmoid");
    }
}
