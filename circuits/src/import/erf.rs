//! `Erf`, of slope at most 2/√π, 1.13.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, libm::erf)
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn alone_and_after_a_layer() {
        Onnx::function("Erf");
    }
}
