//! `Softplus`: `ln(1 + e^x)`, of slope at most 1.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, |x| libm::log1p(libm::exp(-x.abs())) + x.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn alone_and_after_a_layer() {
        Onnx::function("Softplus");
    }
}
