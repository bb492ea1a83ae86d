//! `Pow` with a constant exponent: `x^e`, of slope `e·x^(e−1)`. The exponent is public. Where ONNX has no number the table
//! holds its value at 0; calibration refuses a model that gets there.

use std::sync::Arc;

use super::{Importer, OnnxNode, Problem, Value};
use crate::float::Function;
use crate::import::Data;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let exponent = match importer.value(node, 1)? {
        Value::Constant(constant) => match &constant.data {
            Data::Float(values) if values.len() == 1 => f64::from(values[0]),
            Data::Int(values) if values.len() == 1 => values[0] as f64,
            _ => return Err(Problem::unsupported("an exponent of more than one number")),
        },
        _ => return Err(Problem::unsupported("an exponent that is computed")),
    };
    let value = move |x: f64| {
        let power = libm::pow(x + 0.0, exponent);
        if power.is_nan() { libm::pow(0.0, exponent) } else { power }
    };
    importer.apply(node, &operand, Function { name: format!("Pow({exponent})"), value: Arc::new(value) })
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn whole_exponents_of_all_numbers() {
        for exponent in [2.0, 3.0, 1.0] {
            let onnx = Onnx::new(&[1, 3, 7]).floats("e", &[], vec![exponent]);
            onnx.node("Pow", &["x", "e"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn other_exponents_of_positive_numbers() {
        for exponent in [0.5, -1.0, 2.5] {
            let onnx = Onnx::new(&[1, 3, 7]).floats("c", &[1], vec![2.5]).floats("e", &[], vec![exponent]);
            let onnx = onnx.node("Add", &["x", "c"], "a", vec![]);
            onnx.node("Pow", &["a", "e"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn exponents_that_are_not_one_constant_are_unsupported() {
        let onnx = Onnx::new(&[1, 3]).noise("e", &[3], 1.0).node("Pow", &["x", "e"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("more than one number"));
        let onnx = Onnx::new(&[1, 3]).node("Pow", &["x", "x"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("computed"));
    }
}
