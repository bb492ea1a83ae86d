//! `Sqrt`, of slope `1/(2√x)`. The table holds 0 for x < 0, where ONNX has no number; calibration refuses a model that
//! gets there.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, |x| libm::sqrt(x.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn of_positive_numbers() {
        Onnx::positive("Sqrt");
    }
}
