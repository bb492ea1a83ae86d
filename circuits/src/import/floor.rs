//! `Floor`, `Ceil` and `Round` (halves to even): of `x` requantised to a scale `s`, so that a number nearer than `s/2` to where the result
//! changes may fall on the other side.

use super::{Importer, OnnxNode, Problem};

pub fn floor(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, f64::floor)
}

pub fn ceil(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, f64::ceil)
}

pub fn round(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, f64::round_ties_even)
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn away_from_where_they_change() {
        for operator in ["Floor", "Ceil", "Round"] {
            let onnx = Onnx::new(&[1, 3, 7]).node(operator, &["x"], "y", vec![]);
            // Tenths, and none near a whole or a half.
            onnx.check_on("y", |record| record.iter().map(|v| (v * 5.0).round() / 5.0 + 0.05).collect());
        }
    }
}
