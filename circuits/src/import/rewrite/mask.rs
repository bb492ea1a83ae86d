//! Softmax over scores of which some are masked. Exporters write a mask as a huge negative number that is put in the place of a score
//! or added to it, and no scale holds such numbers beside the scores. So scores and mask go to one operator:
//!
//! | written, `f` below −1000 or −∞ | mask |
//! |---|---|
//! | `Softmax(Where(c, x, f))`, `Softmax(Where(c, f, x))` | keeps where `c`; drops where `c` |
//! | `Softmax(x + Where(c, 0, f))`, `Softmax(x + Where(c, f, 0))` | the same |
//! | `Softmax(x + t·f)` | drops where `t` |
//! | `Softmax(x + m)`, `m` constant, each 0 or below −1000 | drops where `m` is not 0 |
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto};

use super::super::tensor::{Constant, Data};
use super::{Fusion, MASKED_SOFTMAX, Names, int_attribute, node};

/// A number below this is a mask and no score.
const FILL_MAX: f32 = -1000.0;

/// The mask of a sum or a choice.
struct Mask {
    scores: String,
    name: String,
    drops: bool,
    constant: Option<TensorProto>,
}

/// `last` is the `Softmax`.
pub fn masked_softmax(names: &Names<'_>, last: usize) -> Option<Fusion> {
    let softmax = names.nodes.get(last).filter(|node| node.op_type == "Softmax" && node.domain.is_empty())?;
    let (input, output) = (softmax.input.first()?, softmax.output.first()?);
    let (gone, mask) = names
        .read_by_one(input)
        .and_then(|()| names.made_by(input, "Where"))
        .and_then(|(index, choice)| Some((index, chosen(names, choice)?)))
        .or_else(|| {
            let (index, sum) = names.read_by_one(input).and_then(|()| names.made_by(input, "Add"))?;
            let [a, b] = sum.input.as_slice() else { return None };
            let mask = added(names, a, b, output).or_else(|| added(names, b, a, output))?;
            Some((index, mask))
        })?;
    let (domain, operator) = MASKED_SOFTMAX.split_once('.')?;
    let mut fused = node(operator, softmax, &[&mask.scores, &mask.name], output);
    fused.domain = domain.into();
    fused.attribute = softmax.attribute.clone();
    fused.attribute.push(int_attribute("drop", i64::from(mask.drops)));
    Some(Fusion { gone: vec![gone], last, node: fused, constant: mask.constant })
}

fn is_fill(names: &Names<'_>, name: &str) -> bool {
    names.number(name).is_some_and(|value| value < FILL_MAX)
}

fn chosen(names: &Names<'_>, choice: &NodeProto) -> Option<Mask> {
    let [condition, a, b] = choice.input.as_slice() else { return None };
    let (scores, drops) = match (is_fill(names, a), is_fill(names, b)) {
        (true, false) => (b, true),
        (false, true) => (a, false),
        _ => return None,
    };
    Some(Mask { scores: scores.clone(), name: condition.clone(), drops, constant: None })
}

/// The mask that is added to `scores`.
fn added(names: &Names<'_>, scores: &str, mask: &str, output: &str) -> Option<Mask> {
    let found = |name: &str, drops, constant| {
        Some(Mask { scores: scores.into(), name: name.into(), drops, constant })
    };
    if let Some((_, choice)) = names.made_by(mask, "Where") {
        let [condition, a, b] = choice.input.as_slice() else { return None };
        return match (names.number(a), names.number(b)) {
            (Some(0.0), Some(_)) if is_fill(names, b) => found(condition, false, None),
            (Some(_), Some(0.0)) if is_fill(names, a) => found(condition, true, None),
            _ => None,
        };
    }
    if let Some((_, product)) = names.made_by(mask, "Mul") {
        let [a, b] = product.input.as_slice() else { return None };
        return match (is_fill(names, a), is_fill(names, b)) {
            (true, false) => found(b, true, None),
            (false, true) => found(a, true, None),
            _ => None,
        };
    }
    let constant = Constant::read_any(names.constant(mask)?).ok()?;
    let Data::Float(values) = constant.data else { return None };
    let is_mask = values.iter().all(|v| *v == 0.0 || *v < FILL_MAX) && values.iter().any(|v| *v != 0.0);
    if !is_mask {
        return None;
    }
    let name = format!("{output}.drop");
    let drop = TensorProto {
        name: name.clone(),
        dims: constant.shape.iter().map(|size| i64::try_from(*size).unwrap_or(0)).collect(),
        data_type: i32::from(DataType::Float),
        float_data: values.iter().map(|v| if *v == 0.0 { 0.0 } else { 1.0 }).collect(),
        ..TensorProto::default()
    };
    found(&name, true, Some(drop))
}

#[cfg(test)]
mod tests {
    use crate::import::check::{Onnx, int};

    /// Scores of 2 heads, 3 queries and 5 keys, and a mask of the keys.
    fn scores() -> Onnx {
        Onnx::new(&[1, 2, 3, 5]).input("m", &[1, 1, 1, 5])
    }

    fn after(onnx: Onnx, scores: &str) -> usize {
        let onnx = onnx.node("Softmax", &[scores], "p", vec![int("axis", -1)]);
        onnx.node("Relu", &["p"], "y", vec![]).check_masks("y", 30).graph.nodes.len()
    }

    #[test]
    fn masks_of_every_spelling_become_one_operator() {
        // The record, its two parts, the truth values, the softmax with its Relu.
        let base = || scores().floats("f", &[], vec![-3.0e38]).floats("z", &[], vec![0.0]);
        let truth = || base().node("Cast", &["m"], "c", vec![int("to", 9)]);
        assert_eq!(after(truth().node("Where", &["c", "x", "f"], "s", vec![]), "s"), 5);
        let not = truth().node("Not", &["c"], "n", vec![]);
        assert_eq!(after(not.node("Where", &["n", "f", "x"], "s", vec![]), "s"), 5);
        let added = truth().node("Where", &["c", "z", "f"], "w", vec![]);
        assert_eq!(after(added.node("Add", &["x", "w"], "s", vec![]), "s"), 5);
        let one = base().floats("one", &[], vec![1.0]).node("Sub", &["one", "m"], "t", vec![]);
        let product = one.floats("g", &[], vec![-1.0e4]).node("Mul", &["t", "g"], "w", vec![]);
        assert_eq!(after(product.node("Add", &["w", "x"], "s", vec![]), "s"), 5);
    }

    #[test]
    fn constant_masks_take_infinity() {
        let infinite = f32::NEG_INFINITY;
        let mask = vec![0.0, infinite, infinite, 0.0, 0.0, infinite, 0.0, 0.0, 0.0];
        let onnx = Onnx::new(&[1, 2, 3, 3]).floats("m", &[3, 3], mask).node("Add", &["x", "m"], "s", vec![]);
        let onnx = onnx.node("Softmax", &["s"], "p", vec![int("axis", -1)]);
        onnx.node("Relu", &["p"], "y", vec![]).check("y");
        let onnx = Onnx::new(&[1, 2, 2]).bools("c", &[2, 2], &[1, 0, 1, 1]);
        let onnx = onnx.floats("f", &[], vec![-1e9]).node("Where", &["c", "x", "f"], "s", vec![]);
        let onnx = onnx.node("Softmax", &["s"], "p", vec![int("axis", -1)]);
        onnx.node("Relu", &["p"], "y", vec![]).check("y");
    }

    #[test]
    fn a_row_that_is_masked_altogether_is_a_softmax_of_its_scores() {
        let onnx = scores().floats("f", &[], vec![-1e9]).node("Cast", &["m"], "c", vec![int("to", 9)]);
        let onnx = onnx.node("Where", &["c", "x", "f"], "s", vec![]);
        let onnx = onnx.node("Softmax", &["s"], "p", vec![int("axis", -1)]);
        let model = onnx.node("Relu", &["p"], "y", vec![]).import("y").unwrap();
        let record = |mask: f32| [vec![0.5; 30], vec![mask; 5]].concat();
        let options = crate::QuantiseOptions::default();
        let (graph, weights, _) = crate::quantise(&model, &[record(1.0), record(0.0)], &options).unwrap();
        for mask in [0.0, 1.0] {
            let integers = crate::quantise_record(&graph, &record(mask)).unwrap();
            let output = crate::run(&graph, &weights, &integers).unwrap().output;
            let unit = graph.tensors[graph.output.tensor.0].scale;
            assert!(output.iter().all(|y| (f64::from(*y) * unit - 0.2).abs() < 0.02), "{output:?}");
        }
    }
}
