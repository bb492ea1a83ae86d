//! Operators on quantised tensors, in the words of real ones between `DequantizeLinear` and `QuantizeLinear`:
//!
//! | written | becomes |
//! |---|---|
//! | `QLinearConv(x, s, z, w, t, v, u, y, b)` | `Quantize(Conv(Dequantize(x), Dequantize(w), b·s·t), u, y)` |
//! | `QLinearMatMul(a, s, z, b, t, v, u, y)` | `Quantize(MatMul(Dequantize(a), Dequantize(b)), u, y)` |
//! | `QLinearAdd`, `QLinearMul` of com.microsoft | likewise with `Add` and `Mul` |
//! | `QLinearConcat(u, y, a, s, z, …)` of com.microsoft | `Quantize(Concat(Dequantize(a, s, z), …), u, y)` |
//! | `QGemm(a, s, z, b, t, v, c, u, y)` of com.microsoft, alpha 1 | `Quantize(Gemm(Dequantize(a), Dequantize(b), c·s·t), u, y)`, or without `u` the `Gemm` |
//! | `MatMulInteger(a, b, z, v)`, `a` by `QuantizeLinear` with scale `s` | `MatMul(Dequantize(a, s, z), Dequantize(b, 1/s, v))` |
//! | `ConvInteger` | likewise with `Conv` |
//! | `QLinearAveragePool`, `QLinearGlobalAveragePool`, `QLinearSigmoid`, `QLinearLeakyRelu` of com.microsoft | likewise, of one tensor |
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

use super::super::tensor::{Constant, Data};
use super::{OF_RECORD, QLINEAR, int_attribute, node};

/// Domain of ONNX Runtime's own operators.
pub(super) const MICROSOFT: &str = "com.microsoft";

/// Takes operators on quantised tensors apart.
pub fn apart(graph: &mut GraphProto) {
    let mut made = Vec::with_capacity(graph.node.len());
    let scales = scales(graph);
    for old in std::mem::take(&mut graph.node) {
        match (old.domain.as_str(), old.op_type.as_str()) {
            ("", "MatMulInteger") => integers("MatMul", &old, &scales, &mut graph.initializer, &mut made),
            ("", "ConvInteger") => integers("Conv", &old, &scales, &mut graph.initializer, &mut made),
            (MICROSOFT, "QLinearConcat") => joined(&old, &mut made),
            (MICROSOFT, "QGemm") => general_product(&old, &mut graph.initializer, &mut made),
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
    note_records(graph);
}

/// What ONNX Runtime's own operators compute, in ONNX's words, for the float reference.
pub fn without_own(graph: &mut GraphProto) {
    for node in &mut graph.node {
        let name = format!("{}.{}", node.domain, node.op_type);
        if let Some(operator) = name.strip_prefix(QLINEAR) {
            (node.domain, node.op_type) = (String::new(), operator.into());
        }
    }
}

/// Says of what dequantises a record of integers that it does, before these are taken as numbers.
fn note_records(graph: &mut GraphProto) {
    let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let inputs = graph.input.iter().filter(|input| is_small(input)).map(|input| input.name.as_str());
    let records: HashSet<&str> = inputs.filter(|name| !constants.contains(name)).collect();
    let reads = |node: &&mut NodeProto| {
        node.op_type == "DequantizeLinear" && node.input.first().is_some_and(|x| records.contains(x.as_str()))
    };
    let note = |node: &mut NodeProto| node.attribute.push(int_attribute(OF_RECORD, 1));
    graph.node.iter_mut().filter(reads).for_each(note);
}

/// Whether an input holds integers of 8 bits.
fn is_small(input: &ValueInfoProto) -> bool {
    let kind = input.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = kind else { return false };
    [DataType::Uint8, DataType::Int8].iter().any(|kind| tensor.elem_type == i32::from(*kind))
}

/// The record as the integers that it is, where it is dequantised, for the float reference.
pub fn with_integers(graph: &mut GraphProto) {
    let mut made = Vec::with_capacity(graph.node.len());
    for mut old in std::mem::take(&mut graph.node) {
        let of_record = old.attribute.iter().any(|a| a.name == OF_RECORD);
        old.attribute.retain(|a| a.name != OF_RECORD);
        let output = old.output.first().cloned().unwrap_or_default();
        if of_record && let [x, _, rest @ ..] = old.input.as_mut_slice() {
            let zero = rest.first().and_then(|zero| graph.initializer.iter().find(|i| i.name == *zero));
            let of_type = zero.map_or(i32::from(DataType::Uint8), |zero| zero.data_type);
            let whole = format!("{output}.integers");
            let mut cast = node("Cast", &NodeProto::default(), &[x], &whole);
            cast.attribute = vec![int_attribute("to", i64::from(of_type))];
            made.push(cast);
            *x = whole;
        }
        made.push(old);
    }
    graph.node = made;
}

/// What ONNX Runtime's own operator computes of real numbers.
fn own(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    let name = format!("{QLINEAR}{operator}");
    let (domain, operator) = name.rsplit_once('.').unwrap_or(("", operator));
    NodeProto { domain: domain.into(), ..node(operator, &NodeProto::default(), inputs, output) }
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
    Some(reals(name.into(), values.collect(), false))
}

/// Of each tensor that `QuantizeLinear` makes, or that holds elements of one, the names of scale and zero point.
fn scales(graph: &GraphProto) -> HashMap<String, [String; 2]> {
    let mut scales: HashMap<String, [String; 2]> = HashMap::new();
    for node in &graph.node {
        let known = match (node.op_type.as_str(), node.input.as_slice()) {
            ("QuantizeLinear", [_, scale, rest @ ..]) => {
                Some([scale.clone(), rest.first().cloned().unwrap_or_default()])
            }
            (
                "MaxPool" | "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" | "Identity",
                [x, ..],
            ) => scales.get(x).cloned(),
            _ => None,
        };
        if let (Some(known), Some(output)) = (known, node.output.first()) {
            scales.insert(output.clone(), known);
        }
    }
    scales
}

/// A product of integers, as numbers: with weights in units of one step of the other factor, steps and sums are integers again.
fn integers(
    operator: &str,
    old: &NodeProto,
    scales: &HashMap<String, [String; 2]>,
    constants: &mut Vec<TensorProto>,
    made: &mut Vec<NodeProto>,
) {
    let mut inputs = old.input.clone();
    // Zero points may be left out.
    inputs.resize(inputs.len().max(4), String::new());
    let [a, b, z, v] = inputs.as_slice() else { return made.push(old.clone()) };
    let Some([s, known]) = scales.get(a) else { return made.push(old.clone()) };
    let read = |name: &str| {
        let tensor = constants.iter().find(|tensor| tensor.name == name)?;
        Constant::read(tensor).ok().map(|constant| constant.data)
    };
    let zeros = |name: &str| match read(name) {
        Some(Data::Int(values)) => values,
        _ => vec![0],
    };
    let (Some(Data::Float(scale)), true) = (read(s), zeros(z) == zeros(known)) else {
        return made.push(old.clone());
    };
    let [scale] = scale.as_slice() else { return made.push(old.clone()) };
    let several = zeros(v).len();
    let output = old.output.first().cloned().unwrap_or_default();
    let part = |name: &str| format!("{output}.{name}");
    let unit = reals(part("unit"), vec![scale.recip(); several], several == 1);
    constants.push(unit);
    let left = real(made, [a, s, known], part("input"), 1);
    let right = real(made, [b, &part("unit"), v], part("weight"), if operator == "Conv" { 0 } else { 1 });
    let mut of_real = node(operator, old, &[&left, &right], &output);
    of_real.attribute = old.attribute.clone();
    made.push(of_real);
}

/// A constant of real numbers: a list, or one number without dimensions.
pub(super) fn reals(name: String, float_data: Vec<f32>, one: bool) -> TensorProto {
    let dims = if one { Vec::new() } else { vec![i64::try_from(float_data.len()).unwrap_or(0)] };
    let data_type = i32::from(DataType::Float);
    TensorProto { name, dims, data_type, float_data, ..TensorProto::default() }
}

/// Inputs: the result's scale and zero point, and of each tensor itself, its scale and zero point.
fn joined(old: &NodeProto, made: &mut Vec<NodeProto>) {
    let [u, y, tensors @ ..] = old.input.as_slice() else { return made.push(old.clone()) };
    let output = old.output.first().cloned().unwrap_or_default();
    let mut parts = Vec::new();
    for (at, tensor) in tensors.chunks(3).enumerate() {
        let [x, s, z] = tensor else { return made.push(old.clone()) };
        parts.push(real(made, [x, s, z], format!("{output}.input{at}"), 1));
    }
    let result = format!("{output}.result");
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut of_real = node("Concat", &NodeProto::default(), &parts, &result);
    of_real.attribute = old.attribute.clone();
    made.extend([of_real, node("QuantizeLinear", old, &[&result, u, y], &output)]);
}

/// Inputs: two matrices, each with scale and zero point; integers to add, which may be left out; and the result's scale and zero point, or none.
fn general_product(old: &NodeProto, constants: &mut Vec<TensorProto>, made: &mut Vec<NodeProto>) {
    let mut inputs = old.input.clone();
    inputs.resize(inputs.len().max(9), String::new());
    let [a, s, z, b, t, v, c, u, y] = inputs.as_slice() else { return made.push(old.clone()) };
    if old.attribute.iter().any(|a| a.name == "alpha" && a.f.to_bits() != 1f32.to_bits()) {
        return made.push(old.clone());
    }
    let turned = old.attribute.iter().any(|a| a.name == "transB" && a.i != 0);
    let output = old.output.first().cloned().unwrap_or_default();
    let part = |name: &str| format!("{output}.{name}");
    let left = real(made, [a, s, z], part("left"), 1);
    let right = real(made, [b, t, v], part("right"), i64::from(!turned));
    let mut operands = vec![left, right];
    if !c.is_empty() {
        let Some(tensor) = scaled(constants, c, s, t, &part("bias")) else { return made.push(old.clone()) };
        constants.push(tensor);
        operands.push(part("bias"));
    }
    let result = if u.is_empty() { output.clone() } else { part("result") };
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    let mut of_real = node("Gemm", &NodeProto::default(), &operands, &result);
    of_real.attribute = old.attribute.clone();
    made.push(of_real);
    if !u.is_empty() {
        made.push(node("QuantizeLinear", old, &[&result, u, y], &output));
    }
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
    made.push(match operator {
        "MatMul" => node(operator, &NodeProto::default(), &[&left, &right], &result),
        _ => own(operator, &[&left, &right], &result),
    });
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
    let mut of_real = match operator {
        "AveragePool" => own(operator, &[&input], &result),
        _ => node(operator, &NodeProto::default(), &[&input], &result),
    };
    of_real.attribute = old.attribute.iter().filter(|a| a.name != "channels_last").cloned().collect();
    made.extend([of_real, node("QuantizeLinear", old, &[&result, u, y], &output)]);
}
