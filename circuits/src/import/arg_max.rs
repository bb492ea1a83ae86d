//! `ArgMax`, `ArgMin` and `TopK` along one axis, ties decided as ONNX says; see `quantise/rank.rs`. They rank the integers: numbers that
//! requantisation has made equal are a tie.

use super::{Activation, Importer, OnnxNode, Problem, axis};
use crate::float::{FloatOp, Told};
use crate::graph::View;

/// Most elements of a row that `TopK` gives: each takes a maximum of its own.
const COUNT_MAX: usize = 64;

pub fn max(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, 1)
}

pub fn min(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, -1)
}

fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>, sign: i64) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let along = axis(node.int("axis")?.unwrap_or(0), operand.shape().len())?;
    let last = node.flag("select_last_index")?;
    let mut shape = operand.shape().to_vec();
    if node.int("keepdims")?.unwrap_or(1) != 0 {
        shape[along] = 1;
    } else {
        shape.remove(along);
    }
    let (input, _) = rows(&operand, along);
    importer.emit(node, FloatOp::Rank { input, count: 1, sign, last, told: Told::Indices }, shape)
}

pub fn top_k(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let along = axis(node.int("axis")?.unwrap_or(-1), operand.shape().len())?;
    let columns = operand.shape()[along];
    let count = match node.int("k")? {
        Some(count) => vec![count],
        None => importer.integers(node, 1)?.unwrap_or_default(),
    };
    let count = match count[..] {
        [count] => usize::try_from(count).unwrap_or(0),
        _ => 0,
    };
    if !(1..=columns).contains(&count) {
        return Err(Problem::malformed(format!("the {count} largest of {columns} elements")));
    }
    if count > COUNT_MAX {
        return Err(Problem::unsupported(format!("the {count} largest, at most {COUNT_MAX} are supported")));
    }
    let sign = if node.int("largest")?.unwrap_or(1) != 0 { 1 } else { -1 };
    let (input, axes) = rows(&operand, along);
    let mut shape = operand.shape().to_vec();
    shape[along] = count;
    for (output, told) in node.proto.output.iter().zip([Told::Values, Told::Indices]) {
        if output.is_empty() || !importer.is_read(output) {
            continue;
        }
        let op = FloatOp::Rank { input: input.clone(), count, sign, last: false, told };
        importer.emit_permuted_as(node, op, &shape, &axes, output)?;
    }
    Ok(())
}

/// An operand as (rows, columns), and its axes with the one of the columns last.
fn rows(operand: &Activation, along: usize) -> (View, Vec<usize>) {
    let columns = operand.shape()[along];
    let axes: Vec<usize> = (0..operand.shape().len()).filter(|axis| *axis != along).chain([along]).collect();
    let rows = operand.view.len() / columns.max(1);
    (View { shape: vec![rows, columns], ..operand.permuted(&axes) }, axes)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, noise};
    use crate::{QuantiseOptions, quantise, quantise_record, run};

    /// Runs records of few different integers, so that there are many ties, in both models.
    fn exact(onnx: Onnx) {
        let model = onnx.import("y").unwrap();
        let record = |seed| -> Vec<f32> {
            let values = noise(seed, model.record_len(), 3.0);
            values.iter().map(|v| v.round()).collect()
        };
        let calibration = [(0..model.record_len()).map(|e| e as f32 % 4.0).collect::<Vec<_>>()];
        let options = QuantiseOptions { shift: Some(8), q_bits: Some(16), ..Default::default() };
        let (graph, weights, _) = quantise(&model, &calibration, &options).unwrap();
        let unit = graph.tensors[graph.output.tensor.0].scale;
        for seed in 0..20 {
            let integers = quantise_record(&graph, &record(seed)).unwrap();
            let output = run(&graph, &weights, &integers).unwrap().output;
            let floats = model.run(&record(seed)).unwrap().output;
            for (y, wanted) in output.iter().zip(&floats) {
                assert!((f64::from(*y) * unit - f64::from(*wanted)).abs() < 0.02, "{output:?} {floats:?}");
            }
        }
    }

    #[test]
    fn positions_of_the_first_and_of_the_last_of_equal_numbers() {
        for operator in ["ArgMax", "ArgMin"] {
            for (axis, keep, last) in [(1, 1, 0), (2, 0, 0), (-1, 1, 1), (1, 0, 1)] {
                let attributes =
                    vec![int("axis", axis), int("keepdims", keep), int("select_last_index", last)];
                // tract ignores select_last_index on ties other than of the first.
                if last == 0 {
                    exact(Onnx::new(&[1, 5, 7]).node(operator, &["x"], "y", attributes));
                } else {
                    assert!(
                        Onnx::new(&[1, 5, 7]).node(operator, &["x"], "y", attributes).import("y").is_ok()
                    );
                }
            }
        }
        exact(Onnx::new(&[1, 3, 1]).node("ArgMax", &["x"], "y", vec![int("axis", 2)]));
    }

    #[test]
    fn largest_and_smallest_values_and_their_positions() {
        for largest in [0, 1] {
            for (axis, count) in [(-1, 3), (1, 5), (2, 1), (1, 2)] {
                for which in ["v", "i"] {
                    let attributes = vec![int("axis", axis), int("largest", largest)];
                    let onnx = Onnx::new(&[1, 5, 7]).ints("k", &[count]).top_k("x", "k", attributes);
                    exact(onnx.node("Cast", &[which], "y", vec![int("to", 1)]));
                }
            }
        }
    }

    #[test]
    fn too_many_or_too_wide_is_refused() {
        let onnx = Onnx::new(&[1, 5]).ints("k", &[6]).top_k("x", "k", vec![]);
        assert!(onnx.node("Identity", &["v"], "y", vec![]).malformed("y").contains("6 largest of 5"));
        let onnx = Onnx::new(&[1, 70]).ints("k", &[65]).top_k("x", "k", vec![]);
        assert!(onnx.node("Identity", &["v"], "y", vec![]).unsupported("y")[0].contains("at most 64"));
        let model =
            Onnx::new(&[1, 600]).node("ArgMax", &["x"], "y", vec![int("axis", 1)]).import("y").unwrap();
        let error = quantise(&model, &[noise(1, 600, 2.0)], &QuantiseOptions::default()).unwrap_err();
        assert!(matches!(error, crate::QuantiseError::TableRange { expected: 16, .. }), "{error}");
        let options = QuantiseOptions { q_bits_max: 18, ..QuantiseOptions::default() };
        assert!(quantise(&model, &[noise(1, 600, 2.0)], &options).is_ok());
    }
}
