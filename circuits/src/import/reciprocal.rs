//! `Reciprocal`: `1/x`, of slope `1/x²`. The table holds its highest entry for x = 0, where ONNX has no number; calibration
//! refuses a model that gets there.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, |x| 1.0 / (x + 0.0))
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn of_positive_numbers() {
        Onnx::positive("Reciprocal");
    }
}
