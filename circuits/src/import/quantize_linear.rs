//! `QuantizeLinear` and `DequantizeLinear` with constant scales and zero points: the integers `q` of a tensor less its zero point are the
//! integers of the tensor here, and its scale is the model's instead of one from calibration. So a pair of the two costs no more
//! than the table of the node before it. What is computed bit for bit as in ONNX, and what is not: `quantise/grid.rs`.

use tract_onnx::pb::tensor_proto::DataType;

use super::{Activation, Constant, Data, Importer, OnnxNode, Problem, Value, axis, rewrite};
use crate::float::{FloatOp, FloatTerm, Grid};
use crate::graph::TensorId;

/// Scale and zero point: inputs 1 and 2.
struct Parameters {
    scales: Vec<f32>,
    zeros: Vec<i64>,
}

impl Parameters {
    fn read(importer: &Importer<'_>, node: &OnnxNode<'_>) -> Result<Self, Problem> {
        let (_, scales) = importer.constant(node, 1)?;
        if scales.iter().any(|scale| *scale <= 0.0) || scales.is_empty() {
            return Err(Problem::malformed(format!("scales {scales:?}; they must be positive")));
        }
        let zeros = match node.input(2) {
            None => vec![0; scales.len()],
            Some(_) => match importer.value(node, 2)? {
                Value::Constant(Constant { data: Data::Int(zeros), .. }) => zeros.clone(),
                _ => return Err(Problem::unsupported("a zero point that is computed")),
            },
        };
        if zeros.len() != scales.len() {
            let (got, expected) = (zeros.len(), scales.len());
            return Err(Problem::malformed(format!("{expected} scales and {got} zero points")));
        }
        Ok(Self { scales, zeros })
    }

    /// Of a tensor with one scale.
    fn one(&self) -> Result<(f32, i64), Problem> {
        match (self.scales.as_slice(), self.zeros.as_slice()) {
            ([scale], [zero]) => Ok((*scale, *zero)),
            _ => Err(Problem::unsupported("a computed tensor with a scale for each channel")),
        }
    }
}

pub fn quantize(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let (scale, zero) = Parameters::read(importer, node)?.one()?;
    let (lo, hi) = range_of(importer, node)?;
    if !(lo..=hi).contains(&zero) {
        return Err(Problem::malformed(format!("zero point {zero}")));
    }
    let raw = importer.is_last(node);
    if importer.is_output(node) && !raw {
        return Err(Problem::unsupported("integers that are the model's output and read by other nodes too"));
    }
    let grid = Grid { scale, zero, lo: lo - zero, hi: hi - zero, raw };
    let index = operand.view.tensor.0;
    let maker = &mut importer.nodes[index];
    let is_record = matches!(maker.op, FloatOp::Input | FloatOp::Part { .. });
    if raw && is_record && operand.exclusive && maker.grid.is_none() {
        // The record's integers have no zero point, the output's have.
        maker.grid = Some(Grid { raw: false, ..grid.clone() });
    } else if operand.exclusive && maker.grid.is_none() && !matches!(maker.op, FloatOp::Rank { .. }) {
        maker.grid = Some(grid);
        importer.absorbed(node, &operand);
        return Ok(());
    }
    let terms = vec![FloatTerm { input: operand.view.clone(), factor: 1.0, target: None }];
    importer.emit(node, FloatOp::Sum { terms, constant: 0.0 }, operand.shape().to_vec())?;
    if let Some(made) = importer.nodes.last_mut() {
        made.grid = Some(grid);
    }
    Ok(())
}

/// What is left where `rewrite/dynamic.rs` could not take all readers to real numbers: scales of the integer graph are fixed.
pub fn dynamic(_: &mut Importer<'_>, _: &OnnxNode<'_>) -> Result<(), Problem> {
    Err(Problem::unsupported(
        "its scale depends on the record, and something reads it that is no product of its integers with a Cast and a Mul by both scales after it; quantise the model statically (with calibration records), or give its float model",
    ))
}

/// What is left of products of integers: `rewrite/quantised.rs` and `rewrite/dynamic.rs` take those of quantised tensors apart.
pub fn integers(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.activation(node, 0)?;
    Err(Problem::unsupported(
        "of a tensor that no QuantizeLinear with a constant scale and the same zero point made",
    ))
}

pub fn dequantize(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let parameters = Parameters::read(importer, node)?;
    if let Value::Constant(constant) = importer.value(node, 0)?.clone() {
        return weights(importer, node, &parameters, constant);
    }
    let operand = importer.activation(node, 0)?;
    let (scale, zero) = parameters.one()?;
    if node.flag(rewrite::OF_RECORD)? {
        return record(importer, node, &operand, (scale, zero));
    }
    match grid_of(importer, operand.view.tensor) {
        Some(grid) if (grid.scale, grid.zero) == (scale, zero) => {
            importer.emit_view(node, &operand, operand.view.clone());
            Ok(())
        }
        Some(_) => {
            Err(Problem::unsupported("another scale or zero point than the tensor was quantised with"))
        }
        None => Err(Problem::unsupported("of a tensor that no QuantizeLinear made")),
    }
}

/// Integers of the record, which stay what they are; what they stand for is a number of each.
fn record(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    operand: &Activation,
    (scale, zero): (f32, i64),
) -> Result<(), Problem> {
    let (lo, hi) = range_of(importer, node)?;
    let maker = &mut importer.nodes[operand.view.tensor.0];
    let own = Grid { scale: 1.0, zero: 0, lo, hi, raw: false };
    match &maker.grid {
        Some(known) if *known != own => {
            return Err(Problem::unsupported("of a record that other nodes read as other integers"));
        }
        _ => maker.grid = Some(own),
    }
    let terms = vec![FloatTerm { input: operand.view.clone(), factor: scale, target: None }];
    let constant = -(zero as f32) * scale;
    importer.emit(node, FloatOp::Sum { terms, constant }, operand.shape().to_vec())?;
    if let Some(made) = importer.nodes.last_mut() {
        made.grid = Some(Grid { scale, zero, lo: lo - zero, hi: hi - zero, raw: false });
    }
    Ok(())
}

/// The least and the largest integer of the zero point's type.
fn range_of(importer: &Importer<'_>, node: &OnnxNode<'_>) -> Result<(i64, i64), Problem> {
    match node.input(2).map(|name| importer.element_type(name)) {
        None | Some(Some(DataType::Uint8)) => Ok((0, 255)),
        Some(Some(DataType::Int8)) => Ok((-128, 127)),
        _ => Err(Problem::unsupported("a zero point that is no 8-bit initialiser")),
    }
}

/// The integers of a tensor; a maximum of quantised numbers has theirs.
fn grid_of(importer: &mut Importer<'_>, tensor: TensorId) -> Option<Grid> {
    let node = importer.nodes.get(tensor.0)?;
    if node.grid.is_some() {
        return node.grid.clone();
    }
    let FloatOp::Max { input, .. } = &node.op else { return None };
    let input = input.tensor;
    if node.relu || node.function.is_some() {
        return None;
    }
    let grid = grid_of(importer, input)?;
    importer.nodes[tensor.0].grid = Some(grid.clone());
    Some(grid)
}

/// Constants: real numbers, with a note of their steps.
fn weights(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    parameters: &Parameters,
    constant: Constant,
) -> Result<(), Problem> {
    let Data::Int(values) = &constant.data else {
        return Err(Problem::malformed("integers are dequantised, got real numbers"));
    };
    let (channels, block) = match parameters.scales.len() {
        1 => (1, values.len().max(1)),
        channels => {
            let along = axis(node.int("axis")?.unwrap_or(1), constant.shape.len())?;
            if constant.shape[along] != channels {
                let got = constant.shape[along];
                return Err(Problem::malformed(format!("{channels} scales for {got} channels")));
            }
            (channels, constant.shape[along + 1..].iter().product())
        }
    };
    let real = |(e, value): (usize, &i64)| {
        let channel = e / block % channels;
        (value - parameters.zeros[channel]) as f32 * parameters.scales[channel]
    };
    let data = Data::Float(values.iter().enumerate().map(real).collect());
    importer.steps.insert(node.output().into(), parameters.scales.clone());
    if let [zero] = parameters.zeros.as_slice() {
        importer.zeros.insert(node.output().into(), *zero);
    }
    let constant = Constant { name: node.output().into(), data, ..constant };
    importer.bind(node.output(), Value::Constant(constant));
    Ok(())
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType::{Int8, Uint8};
    use tract_onnx::pb::type_proto;

    use super::super::check::{Onnx, int, noise};
    use crate::{FloatModel, QuantiseError, QuantiseOptions, QuantiseReport, quantise, quantise_record, run};

    /// `x` through a grid of 8 bits, as `d`.
    fn base(shape: &[i64], scale: f32) -> Onnx {
        let onnx = Onnx::new(shape).floats("s", &[], vec![scale]).bytes("z", &[], Uint8, &[119]);
        onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]).node(
            "DequantizeLinear",
            &["q", "s", "z"],
            "d",
            vec![],
        )
    }

    /// `v` quantised and back, as `y`.
    fn ends(onnx: Onnx, v: &str, scale: f32) -> Onnx {
        let onnx = onnx.floats("u", &[], vec![scale]).bytes("o", &[], Uint8, &[123]);
        onnx.node("QuantizeLinear", &[v, "u", "o"], "w", vec![]).node(
            "DequantizeLinear",
            &["w", "u", "o"],
            "y",
            vec![],
        )
    }

    fn report(model: &FloatModel) -> Result<QuantiseReport, QuantiseError> {
        let records: Vec<_> = (0..6).map(|seed| noise(seed, model.record_len(), 2.0)).collect();
        quantise(model, &records, &QuantiseOptions::default()).map(|made| made.2)
    }

    #[test]
    fn a_pair_costs_nothing_where_a_table_can_hold_it() {
        assert_eq!(base(&[1, 7], 0.0171).import("d").unwrap().graph.nodes.len(), 1);
        let onnx = ends(base(&[1, 7], 0.0171).node("Sigmoid", &["d"], "v", vec![]), "v", 0.009);
        let model = onnx.import("y").unwrap();
        assert_eq!(model.graph.nodes.len(), 2);
        assert!(report(&model).unwrap().nodes.iter().all(|node| node.bit_exact == Some(true)));
    }

    #[test]
    fn integers_as_the_models_output_keep_their_zero_point() {
        assert!(base(&[1, 7], 0.25).unsupported("q")[0].contains("read by other nodes"));
        let onnx = Onnx::new(&[1, 7]).floats("s", &[], vec![0.25]).bytes("z", &[], Uint8, &[119]);
        let model = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]).import("q").unwrap();
        let record = [-2.0, -0.13, -0.12, 0.0, 0.3, 1.0, 500.0];
        let (graph, weights, _) = quantise(&model, &[record.to_vec()], &QuantiseOptions::default()).unwrap();
        let integers = quantise_record(&graph, &record).unwrap();
        assert_eq!(run(&graph, &weights, &integers).unwrap().output, [111, 118, 119, 119, 120, 123, 255]);
    }

    #[test]
    fn integers_of_the_record_are_of_one_type() {
        for (zero, accepted) in [("z", true), ("n", false)] {
            let onnx = Onnx::new(&[1, 4]).floats("s", &[], vec![0.5]).bytes("z", &[], Uint8, &[7]);
            let onnx = onnx.bytes("n", &[], Int8, &[7]).floats("t", &[], vec![0.25]);
            let onnx = onnx.node("DequantizeLinear", &["x", "s", "z"], "d", vec![]);
            let onnx = onnx.node("DequantizeLinear", &["x", "t", zero], "e", vec![]);
            let mut proto = onnx.node("Add", &["d", "e"], "y", vec![]).proto("y");
            let record = proto.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap().value.as_mut();
            let Some(type_proto::Value::TensorType(tensor)) = record else { panic!("a tensor") };
            tensor.elem_type = Uint8.into();
            let made = crate::import(&prost::Message::encode_to_vec(&proto));
            assert_eq!(made.is_ok(), accepted, "{zero}");
            let reason = made.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(accepted || reason.contains("other integers"), "{reason}");
        }
    }

    #[test]
    fn scales_of_channels_are_exact() {
        let weights: Vec<i32> = (0..36).map(|e| e * 37 % 255 - 127).collect();
        let onnx = base(&[1, 2, 5, 7], 0.0171).bytes("k", &[3, 2, 3, 2], Int8, &weights);
        let onnx = onnx.floats("t", &[3], vec![0.003, 0.005, 0.001]).bytes("n", &[3], Int8, &[0, 0, 0]);
        let onnx = onnx.node("DequantizeLinear", &["k", "t", "n"], "f", vec![int("axis", 0)]);
        let model = ends(onnx.node("Conv", &["d", "f"], "v", vec![]), "v", 0.03).check("y");
        assert_eq!(report(&model).unwrap().nodes[1].bit_exact, Some(true));
    }

    #[test]
    fn sums_that_spread_are_close_and_said_not_to_be_exact() {
        let onnx = base(&[1, 3, 3], 0.0171).node("ReduceMean", &["d"], "m", vec![]);
        let model = ends(onnx.node("Add", &["d", "m"], "v", vec![]), "v", 0.02).import("y").unwrap();
        assert_eq!(report(&model).unwrap().nodes[2].bit_exact, Some(false));
    }

    #[test]
    fn a_product_that_makes_several_steps_at_once_is_exact() {
        let onnx = base(&[1, 4], 0.5).bytes("k", &[4, 3], Int8, &[1, -2, 3, 0, 5, -6, 7, 8, -9, 2, 1, 4]);
        let onnx = onnx.floats("t", &[], vec![0.5]).bytes("n", &[], Int8, &[0]);
        let onnx = onnx.node("DequantizeLinear", &["k", "t", "n"], "f", vec![]);
        let model = ends(onnx.node("MatMul", &["d", "f"], "v", vec![]), "v", 0.5).import("y").unwrap();
        assert_eq!(report(&model).unwrap().nodes[1].bit_exact, Some(true));
    }

    #[test]
    fn products_of_integers_are_those_of_the_numbers_less_their_zero_points() {
        let bytes = |onnx: Onnx| onnx.floats("s", &[], vec![0.0171]).bytes("z", &[], Uint8, &[119]);
        let onnx = bytes(Onnx::new(&[1, 7])).bytes("k", &[7, 3], Int8, &(-10..11).collect::<Vec<i32>>());
        let onnx = onnx.bytes("n", &[3], Int8, &[1, -2, 5]).floats("c", &[3], vec![0.003, 0.05, 0.01]);
        let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
        let onnx = onnx.node("MatMulInteger", &["q", "k", "z", "n"], "i", vec![]);
        let onnx = onnx.node("Cast", &["i"], "r", vec![int("to", 1)]).node("Mul", &["r", "c"], "y", vec![]);
        let model = onnx.check("y");
        assert_eq!(model.graph.nodes.len(), 2, "the factor goes into the product");
        let onnx = bytes(Onnx::new(&[1, 2, 5, 3]));
        let onnx = onnx.bytes("k", &[3, 2, 2, 1], Uint8, &(120..132).collect::<Vec<i32>>());
        let onnx = onnx.bytes("n", &[], Uint8, &[125]).floats("c", &[1], vec![0.003]);
        let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
        let onnx = onnx.node("ConvInteger", &["q", "k", "z", "n"], "i", vec![]);
        let onnx = onnx.node("Cast", &["i"], "r", vec![int("to", 1)]).node("Mul", &["r", "c"], "y", vec![]);
        onnx.check("y");
    }

    #[test]
    fn what_cannot_be_taken_is_refused() {
        let other = base(&[1, 4], 0.5).floats("t", &[], vec![0.25]);
        let other = other.node("DequantizeLinear", &["q", "t", "z"], "y", vec![]);
        assert!(other.unsupported("y")[0].contains("another scale"));
        let none = base(&[1, 4], 0.5).node("DequantizeLinear", &["x", "s", "z"], "y", vec![]);
        assert!(none.unsupported("y")[0].contains("no QuantizeLinear"));
        let zero = base(&[1, 4], 0.5).floats("t", &[], vec![0.0]);
        assert!(
            zero.node("QuantizeLinear", &["d", "t", "z"], "y", vec![]).malformed("y").contains("positive")
        );
        let wide = base(&[1, 4], 0.5).ints("n", &[3]).floats("t", &[], vec![0.5]);
        let wide = wide.node("QuantizeLinear", &["d", "t", "n"], "y", vec![]);
        assert!(wide.unsupported("y")[0].contains("8-bit"));
        let channels = base(&[1, 4], 0.5).floats("t", &[2], vec![0.5; 2]).bytes("n", &[2], Uint8, &[0, 0]);
        let channels = channels.node("QuantizeLinear", &["d", "t", "n"], "y", vec![]);
        assert!(channels.unsupported("y")[0].contains("for each channel"));
        for operator in ["MatMulInteger", "ConvInteger"] {
            let real = Onnx::new(&[1, 4]).bytes("k", &[4, 1], Int8, &[1, 2, 3, 4]);
            let real = real.node(operator, &["x", "k"], "y", vec![]);
            assert!(real.unsupported("y")[0].contains("no QuantizeLinear"));
        }
        let dynamic = Onnx::new(&[1, 4]).node("DynamicQuantizeLinear", &["x"], "y", vec![]);
        assert!(dynamic.unsupported("y")[0].contains("depends on the record"));
    }
}
