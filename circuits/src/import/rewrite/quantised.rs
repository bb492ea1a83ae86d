//! Operators on quantised tensors, in the words of real ones between `DequantizeLinear` and `QuantizeLinear`:
//!
//! | written | becomes |
//! |---|---|
//! | `QLinearConv(x, s, z, w, t, v, u, y, b)` | `Quantize(Conv(Dequantize(x), Dequantize(w), b·s·t), u, y)` |
//! | `QLinearMatMul(a, s, z, b, t, v, u, y)` | `Quantize(MatMul(Dequantize(a), Dequantize(b)), u, y)` |
//! | `QLinearAdd`, `QLinearMul` of com.microsoft | likewise with `Add` and `Mul` |
//! | `QLinearAveragePool`, `QLinearGlobalAveragePool`, `QLinearSigmoid`, `QLinearLeakyRelu` of com.microsoft | likewise, of one tensor |
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::super::tensor::{Constant, Data};
use super::{int_attribute, node};

/// Domain of ONNX Runtime's own operators.
const MICROSOFT: &str = "com.microsoft";

/// Takes operators on quantised tensors apart.
pub fn apart(graph: &mut GraphProto) {
    let mut made = Vec::with_capacity(graph.node.len());
    for old in std::mem::take(&mut graph.node) {
        match (old.domain.as_str(), old.op_type.as_str()) {
            ("", "QLinearConv") => convolution(&old, &mut graph.initializer, &mut made),
            ("", "QLinearMatMul") => of_two("MatMul", &old, &mut made),
            (MICROSOFT, "QLinearAdd") => of_two("Add", &old, &mut made),
            (MICROSOFT, "QLinearMul") => of_two("Mul", &old, &mut made),
            (MICROSOFT, "QLinearAveragePool") => of_one("AveragePool", &old, &mut made),
            (MICROSOFT, "QLinearGlobalAveragePool") => of_one("GlobalAveragePool", &old, &mut made),
            (MICROSOFT, "QLinearSigmoid") => of_one("Sigmoid", &old, &mut made),
            (MICROSOFT, "QLinearLeakyRelu") => of_one("LeakyRelu", &old, &mut made),
            _ => made.push(old),
        }
    }
    graph.node = made;
}

/// `value` by its scale and zero point.
fn real(made: &mut Vec<NodeProto>, [value, scale, zero]: [&String; 3], name: String, axis: i64) -> String {
    let mut step = node("DequantizeLinear", &NodeProto::default(), &[value, scale, zero], &name);
    step.attribute = vec![int_attribute("axis", axis)];
    made.push(step);
    name
}

fn convolution(old: &NodeProto, constants: &mut Vec<TensorProto>, made: &mut Vec<NodeProto>) {
    let (&[x, s, z, w, t, v, u, y], bias) = match old.input.iter().collect::<Vec<_>>().as_slice() {
        [x, s, z, w, t, v, u, y, rest @ ..] => (&[*x, *s, *z, *w, *t, *v, *u, *y], rest.first().copied()),
        _ => return made.push(old.clone()),
    };
    let output = old.output.first().cloned().unwrap_or_default();
    let part = |name: &str| format!("{output}.{name}");
    let input = real(made, [x, s, z], part("input"), 1);
    let weight = real(made, [w, t, v], part("weight"), 0);
    let mut inputs = vec![input, weight];
    if let Some(bias) = bias.filter(|bias| !bias.is_empty()) {
        let name = part("bias");
        let Some(tensor) = scaled(constants, bias, s, t, &name) else { return made.push(old.clone()) };
        constants.push(tensor);
        inputs.push(name);
    }
    let result = part("result");
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let mut real = node("Conv", &NodeProto::default(), &inputs, &result);
    real.attribute = old.attribute.clone();
    made.extend([real, node("QuantizeLinear", old, &[&result, u, y], &output)]);
}

/// A bias of integers in real numbers: its unit is the product of both scales, of each channel or of all.
fn scaled(constants: &[TensorProto], bias: &str, s: &str, t: &str, name: &str) -> Option<TensorProto> {
    let read = |name: &str| {
        let tensor = constants.iter().find(|tensor| tensor.name == name)?;
        Constant::read(tensor).ok()
    };
    let (Data::Int(values), Data::Float(s), Data::Float(t)) =
        (read(bias)?.data, read(s)?.data, read(t)?.data)
    else {
        return None;
    };
    let units: Vec<f64> =
        t.iter().map(|t| f64::from(*t) * f64::from(s.first().copied().unwrap_or(0.0))).collect();
    #[expect(
        clippy::as_conversions,
        reason = "at most 32 bits; single precision is what the model is computed in"
    )]
    let values = values.iter().zip(units.iter().cycle()).map(|(v, unit)| (*v as f64 * unit) as f32);
    let float_data: Vec<f32> = values.collect();
    let dims = vec![i64::try_from(float_data.len()).ok()?];
    Some(TensorProto {
        name: name.into(),
        dims,
        data_type: i32::from(DataType::Float),
        float_data,
        ..TensorProto::default()
    })
}

/// Inputs: two tensors, each with scale and zero point, and the result's.
fn of_two(operator: &str, old: &NodeProto, made: &mut Vec<NodeProto>) {
    let mut inputs = old.input.clone();
    // The last zero point may be left out.
    inputs.resize(inputs.len().max(8), String::new());
    let [a, s, z, b, t, v, u, y] = inputs.as_slice() else { return made.push(old.clone()) };
    let output = old.output.first().cloned().unwrap_or_default();
    let part = |name: &str| format!("{output}.{name}");
    let left = real(made, [a, s, z], part("left"), 1);
    let right = real(made, [b, t, v], part("right"), 1);
    let result = part("result");
    made.push(node(operator, &NodeProto::default(), &[&left, &right], &result));
    made.push(node("QuantizeLinear", old, &[&result, u, y], &output));
}

/// Inputs: a tensor with scale and zero point, and the result's. Channels come first.
fn of_one(operator: &str, old: &NodeProto, made: &mut Vec<NodeProto>) {
    let mut inputs = old.input.clone();
    inputs.resize(inputs.len().max(5), String::new());
    let last = old.attribute.iter().any(|a| a.name == "channels_last" && a.i != 0);
    let ([x, s, z, u, y], false) = (inputs.as_slice(), last) else { return made.push(old.clone()) };
    let output = old.output.first().cloned().unwrap_or_default();
    let part = |name: &str| format!("{output}.{name}");
    let input = real(made, [x, s, z], part("input"), 1);
    let result = part("result");
    let mut of_real = node(operator, &NodeProto::default(), &[&input], &result);
    of_real.attribute = old.attribute.iter().filter(|a| a.name != "channels_last").cloned().collect();
    made.extend([of_real, node("QuantizeLinear", old, &[&result, u, y], &output)]);
}
