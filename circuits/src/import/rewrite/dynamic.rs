//! Products of tensors that the model quantises while it runs, as products of the real numbers themselves:
//!
//! | written, with `q, s, z = DynamicQuantizeLinear(x)` | becomes |
//! |---|---|
//! | `Cast(MatMulInteger(q, W, z, v)) · (s·t)` | `MatMul(x, (W − v)·t)` |
//! | the same of two such tensors | `MatMul(x, y)` |
//! | `ConvInteger` | likewise with `Conv` |
//! | `MatMulIntegerToFloat(q, W, s, t, z, v, b)` of com.microsoft | `MatMul(x, (W − v)·t) + b` |
//! | `DynamicQuantizeMatMul(x, W, t, v, b)` of com.microsoft | likewise |
//! | `DequantizeLinear(q, s, z)` | `x` |
//! | `DequantizeLinear(Gather(W, ids), t, v)` | `Gather((W − v)·t, ids)` |
//!
//! The scale `s` is (max − min)/255 of the record's own values, which no fixed graph of integers knows. What is left out is the rounding of `x` to
//! multiples of `s`, which moves a number by at most `s/2`: so a product is within `s/2` times the sum of its weights' magnitudes of what a runtime gives, and never
//! bit for bit the same. The last line of the table changes nothing.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::super::tensor::{Constant, Data};
use super::quantised::{MICROSOFT, reals};
use super::{Names, attribute, drop_unread, node, other, read};

/// What stands in the places of some nodes, and the constants that it reads.
#[derive(Default)]
struct Replaced {
    nodes: Vec<(usize, Vec<NodeProto>)>,
    constants: Vec<TensorProto>,
}

/// What a user should know of a model that quantises tensors while it runs.
pub fn note(graph: &GraphProto) -> Option<String> {
    let operators = ["DynamicQuantizeLinear", "DynamicQuantizeMatMul"];
    match graph.node.iter().filter(|node| operators.contains(&node.op_type.as_str())).count() {
        0 => None,
        count => Some(format!(
            "the file quantises tensors while it runs ({count} times), by scales that depend on the record; here the numbers themselves are taken, so answers are close to those of a runtime, not bit for bit the same"
        )),
    }
}

/// Takes the integers of such tensors back to the numbers that they stand for.
pub fn real(graph: &mut GraphProto) {
    let live = read(graph);
    let found: Vec<Replaced> = {
        let names = Names::new(graph);
        let places = 0..graph.node.len();
        places
            .filter_map(|at| product(&names, at).or_else(|| fused(&names, at)).or_else(|| back(&names, at)))
            .collect()
    };
    let mut nodes: Vec<Vec<NodeProto>> =
        std::mem::take(&mut graph.node).into_iter().map(|node| vec![node]).collect();
    for replaced in found {
        for (at, made) in replaced.nodes {
            if let Some(place) = nodes.get_mut(at) {
                *place = made;
            }
        }
        graph.initializer.extend(replaced.constants);
    }
    graph.node = nodes.into_iter().flatten().collect();
    drop_unread(graph, &live);
}

/// A tensor that is quantised while the model runs.
struct Dynamic<'a> {
    x: &'a str,
    scale: &'a str,
    zero: &'a str,
}

/// The tensor whose integers `value` is.
fn dynamic<'a>(names: &Names<'a>, value: &str) -> Option<Dynamic<'a>> {
    let (_, maker) = names.made_by(value, "DynamicQuantizeLinear")?;
    match (maker.input.as_slice(), maker.output.as_slice()) {
        ([x], [q, scale, zero]) if q == value => Some(Dynamic { x, scale, zero }),
        _ => None,
    }
}

/// Input `index` of a node, if it is there.
fn input(node: &NodeProto, index: usize) -> Option<&str> {
    node.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
}

/// `MatMulInteger` or `ConvInteger`, `Cast`, and `Mul` by the product of both scales; `last` is that `Mul`.
fn product(names: &Names<'_>, last: usize) -> Option<Replaced> {
    let scaled = names.nodes.get(last).filter(|node| node.op_type == "Mul" && node.domain.is_empty())?;
    let (converted, cast) = scaled.input.iter().find_map(|name| names.made_by(name, "Cast"))?;
    let (sums, sum) = (cast.output.first()?, cast.input.first()?);
    let made = |operator: &str| names.made_by(sum, operator);
    let (operator, (at, integer)) = made("MatMulInteger")
        .map(|found| ("MatMul", found))
        .or_else(|| made("ConvInteger").map(|found| ("Conv", found)))?;
    names.read_by(sum, "Cast")?;
    names.read_by(sums, "Mul")?;
    let (_, scales) = names.made_by(other(scaled, sums)?, "Mul")?;
    let left = dynamic(names, input(integer, 0)?)?;
    let (right, of_right) = (input(integer, 1)?, other(scales, left.scale)?);
    let to_real = attribute(cast, "to")?.i == i64::from(i32::from(DataType::Float));
    if !to_real || input(integer, 2) != Some(left.zero) {
        return None;
    }
    let output = scaled.output.first()?;
    let (right, constants) = match dynamic(names, right) {
        Some(right) if right.scale == of_right && input(integer, 3) == Some(right.zero) => {
            (right.x.to_owned(), vec![])
        }
        Some(_) => return None,
        None => {
            let several = operator == "MatMul";
            let weight =
                numbers(names, [right, of_right], input(integer, 3), &format!("{output}.weight"), several)?;
            (weight.name.clone(), vec![weight])
        }
    };
    let mut made = node(operator, scaled, &[left.x, &right], output);
    made.attribute.clone_from(&integer.attribute);
    Some(Replaced { nodes: vec![(at, vec![]), (converted, vec![]), (last, vec![made])], constants })
}

/// The same in one node, as ONNX Runtime writes it when it has optimised a model.
fn fused(names: &Names<'_>, at: usize) -> Option<Replaced> {
    let old = names.nodes.get(at).filter(|node| node.domain == MICROSOFT)?;
    let (x, scale, zero, bias) = match old.op_type.as_str() {
        "DynamicQuantizeMatMul" => (input(old, 0)?, input(old, 2)?, input(old, 3), input(old, 4)),
        "MatMulIntegerToFloat" => {
            let left = dynamic(names, input(old, 0)?)?;
            let known = input(old, 2) == Some(left.scale) && input(old, 4) == Some(left.zero);
            (known.then_some(left.x)?, input(old, 3)?, input(old, 5), input(old, 6))
        }
        _ => return None,
    };
    let output = old.output.first()?;
    let weight = numbers(names, [input(old, 1)?, scale], zero, &format!("{output}.weight"), true)?;
    let operands = [x, &weight.name];
    let made = match bias {
        None => vec![node("MatMul", old, &operands, output)],
        Some(bias) => {
            let product = format!("{output}.product");
            let made = node("MatMul", old, &operands, &product);
            vec![made, node("Add", old, &[&product, bias], output)]
        }
    };
    Some(Replaced { nodes: vec![(at, made)], constants: vec![weight] })
}

/// What `DequantizeLinear` gives of such a tensor, or of rows of a constant table.
fn back(names: &Names<'_>, last: usize) -> Option<Replaced> {
    let old =
        names.nodes.get(last).filter(|node| node.op_type == "DequantizeLinear" && node.domain.is_empty())?;
    let (value, scale, zero, output) = (input(old, 0)?, input(old, 1)?, input(old, 2), old.output.first()?);
    if let Some(of) = dynamic(names, value) {
        let known = scale == of.scale && zero == Some(of.zero);
        let nodes = vec![(last, vec![node("Identity", old, &[of.x], output)])];
        return known.then_some(Replaced { nodes, ..Replaced::default() });
    }
    let (at, gather) = names.made_by(value, "Gather")?;
    names.read_by(value, "DequantizeLinear")?;
    let table = numbers(names, [input(gather, 0)?, scale], zero, &format!("{output}.table"), false)?;
    let mut made = node("Gather", old, &[&table.name, input(gather, 1)?], output);
    made.attribute.clone_from(&gather.attribute);
    Some(Replaced { nodes: vec![(at, vec![]), (last, vec![made])], constants: vec![table] })
}

/// The numbers that a constant of integers stands for, by one scale and zero point, or where there may be `several`, by those of each column.
fn numbers(
    names: &Names<'_>,
    [value, scale]: [&str; 2],
    zero: Option<&str>,
    name: &str,
    several: bool,
) -> Option<TensorProto> {
    let constant = |name: &str| Constant::read(names.constant(name)?).ok();
    let (value, scale) = (constant(value)?, constant(scale)?);
    let zero = match zero {
        Some(zero) => constant(zero)?,
        None => Constant { shape: Vec::new(), data: Data::Int(vec![0]), ..scale.clone() },
    };
    let columns = value.shape.last().copied().filter(|_| several);
    let fits = |shape: &[usize]| {
        let (last, others) = shape.split_last().unwrap_or((&1, &[]));
        (*last == 1 || columns == Some(*last)) && others.iter().all(|size| *size == 1)
    };
    if !fits(&scale.shape) || !fits(&zero.shape) {
        return None;
    }
    let (Data::Int(integers), Data::Float(scales), Data::Int(zeros)) = (value.data, scale.data, zero.data)
    else {
        return None;
    };
    let each = integers.iter().zip(zeros.iter().cycle()).zip(scales.iter().cycle());
    #[expect(clippy::as_conversions, reason = "8 bits; single precision is what the model is computed in")]
    let values = each.map(|((q, zero), scale)| q.saturating_sub(*zero) as f32 * scale).collect();
    let dims = value.shape.iter().map(|size| i64::try_from(*size)).collect::<Result<_, _>>().ok()?;
    Some(TensorProto { dims, ..reals(name.into(), values, false) })
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType::{Int8, Uint8};

    use super::super::super::check::{Onnx, int};
    use crate::quantise::grid::tests::dynamic_cases;
    use crate::{QuantiseOptions, dequantise_output, import, quantise, quantise_record, run};

    /// Both models' largest difference from what ONNX Runtime gave, as a part of its largest output.
    const ERROR_MAX: f32 = 0.03;

    #[test]
    fn models_quantised_while_they_run_give_nearly_what_a_runtime_gives() {
        let cases = dynamic_cases();
        assert_eq!(cases.len(), 8);
        for case in cases {
            let model = import(&case.bytes()).unwrap();
            assert!(model.notes.iter().any(|note| note.contains("not bit for bit")), "{:?}", model.notes);
            let (activation_bits, shift, q_bits) = (12, Some(13), Some(16));
            let options = QuantiseOptions { activation_bits, shift, q_bits, ..QuantiseOptions::default() };
            let (graph, weights, _) = quantise(&model, &case.records, &options).unwrap();
            let largest = case.outputs.iter().flatten().fold(0.0, |most: f32, v| most.max(v.abs()));
            let mut error = [0f32; 2];
            for (record, expected) in case.records.iter().zip(&case.outputs) {
                let float = model.run(record).unwrap().output;
                let integers = run(&graph, &weights, &quantise_record(&graph, record).unwrap()).unwrap();
                let integers = dequantise_output(&graph, &integers.output);
                assert_eq!((float.len(), integers.len()), (expected.len(), expected.len()), "{}", case.name);
                for ((float, integer), want) in float.iter().zip(integers).zip(expected) {
                    error[0] = error[0].max((float - want).abs() / largest);
                    error[1] = error[1].max((integer as f32 - want).abs() / largest);
                }
            }
            println!("{}: real numbers {:.4}, integers {:.4}", case.name, error[0], error[1]);
            assert!(error.iter().all(|error| *error <= ERROR_MAX), "{}: {error:?}", case.name);
        }
    }

    /// Integers of `x` and of constants multiplied, as `r`, and the product of both scales, as `m`.
    fn sums(zero: &str, scale: &str) -> Onnx {
        let onnx = Onnx::new(&[1, 4]).bytes("k", &[4, 3], Int8, &[1, -2, 3, 0, 5, -6, 7, 8, -9, 2, 1, 4]);
        let onnx = onnx.floats("t", &[], vec![0.25]).floats("c", &[], vec![0.5]);
        let onnx = onnx.bytes("n", &[], Int8, &[1]).bytes("o", &[], Uint8, &[3]);
        let onnx = onnx.several("DynamicQuantizeLinear", &["x"], &["q", "s", "z"]);
        let onnx = onnx.node("MatMulInteger", &["q", "k", zero, "n"], "i", vec![]);
        let onnx = onnx.node("Cast", &["i"], "r", vec![int("to", 1)]);
        onnx.node("Mul", &[scale, "t"], "m", vec![])
    }

    #[test]
    fn the_scale_of_a_product_and_its_bias_go_into_its_weights() {
        let onnx = sums("z", "s").node("Mul", &["m", "r"], "p", vec![]).noise("b", &[3], 1.0);
        let model = onnx.node("Add", &["p", "b"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 2);
        let float = model.run(&[0.0, 2.0, 0.0, 0.0]).unwrap().output;
        let none = model.run(&[0.0; 4]).unwrap().output;
        // Row 1 of k, less 1, times 1/4 and 2.
        for ((got, none), want) in float.iter().zip(none).zip([-0.5, 2.0, -3.5]) {
            assert!((got - none - want).abs() < 1e-6, "{float:?}");
        }
    }

    #[test]
    fn integers_that_become_anything_else_are_refused() {
        let dequantised = |q: &str, s: &str| {
            let onnx = Onnx::new(&[1, 4]).floats("c", &[], vec![0.5]);
            let onnx = onnx.several("DynamicQuantizeLinear", &["x"], &["q", "s", "z"]);
            onnx.node("DequantizeLinear", &[q, s, "z"], "y", vec![])
        };
        assert_eq!(dequantised("q", "s").check("y").graph.nodes.len(), 1);
        let ends = |onnx: Onnx, by: &str| onnx.node("Mul", &["r", by], "y", vec![]);
        for onnx in [
            ends(sums("o", "s"), "m"),
            ends(sums("z", "c"), "m"),
            ends(sums("z", "s"), "c"),
            ends(sums("z", "s"), "s"),
            dequantised("q", "c"),
        ] {
            assert!(onnx.unsupported("y")[0].contains("depends on the record"));
        }
        let twice = ends(sums("z", "s"), "m").node("Add", &["r", "y"], "w", vec![]);
        assert!(twice.unsupported("w")[0].contains("depends on the record"));
    }

    #[test]
    fn scales_that_fit_no_column_are_refused() {
        let onnx = Onnx::new(&[1, 4]).bytes("k", &[4, 3], Int8, &[1; 12]).floats("t", &[2], vec![0.25; 2]);
        let onnx = onnx.several("DynamicQuantizeLinear", &["x"], &["q", "s", "z"]);
        let onnx = onnx.node("MatMulInteger", &["q", "k", "z"], "i", vec![]);
        let onnx = onnx.node("Cast", &["i"], "r", vec![int("to", 1)]).node("Mul", &["s", "t"], "m", vec![]);
        assert!(
            onnx.node("Mul", &["r", "m"], "y", vec![]).unsupported("y")[0].contains("depends on the record")
        );
    }
}
