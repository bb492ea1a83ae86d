//! `Gather` of rows of a constant table by numbers out of the record: an embedding lookup, see `quantise/embedding.rs` for its cost.
//! The rewriting gives it a name of its own, and the reference reads its numbers as integers again.

use super::{Importer, OnnxNode, Problem};
use crate::float::{FloatOp, FloatWeight};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let (table, values) = importer.constant(node, 0)?;
    let ids = importer.activation(node, 1)?;
    if table.shape.len() != 2 || !matches!(node.int("axis")?.unwrap_or(0), 0 | -2) {
        let shape = &table.shape;
        return Err(Problem::unsupported(format!(
            "supported along the rows of a table, not of a constant of shape {shape:?}"
        )));
    }
    if !matches!(importer.nodes[ids.view.tensor.0].op, FloatOp::Input | FloatOp::Part { .. }) {
        return Err(Problem::unsupported("supported by numbers that are an input of the model"));
    }
    let shape = [ids.shape(), &table.shape[1..]].concat();
    let table = FloatWeight { name: table.name, shape: table.shape, values };
    importer.emit(node, FloatOp::Embedding { input: ids.view, table }, shape)
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use super::super::check::{Onnx, int, noise, value_info};
    use crate::float::{FloatError, FloatModel};
    use crate::interpret::RunError;
    use crate::onnx::import_proto;
    use crate::quantise::{QuantiseError, QuantiseOptions, dequantise_output, quantise, quantise_record};

    /// Rows of width 3 by `ids` numbers, and a product after them.
    fn lookup(ids: i64, rows: i64) -> FloatModel {
        let onnx = Onnx::new(&[1, ids]).noise("table", &[rows, 3], 1.0).noise("w", &[3, 2], 1.0);
        let onnx = onnx.node("Gather", &["table", "x"], "e", vec![int("axis", 0)]);
        let mut proto = onnx.node("MatMul", &["e", "w"], "y", vec![]).proto("y");
        proto.graph.as_mut().unwrap().input[0] = value_info("x", DataType::Int64, &[1, ids]);
        import_proto(&proto).unwrap()
    }

    fn records(ids: usize, rows: usize) -> Vec<Vec<f32>> {
        let first = |record: usize| (0..ids).map(|id| ((record * 7 + id * 5) % rows) as f32).collect();
        (0..rows).map(first).collect()
    }

    #[test]
    fn rows_are_those_of_the_float_table() {
        for (ids, rows) in [(1, 2), (5, 11), (3, 128), (7, 1), (9, 120), (2, 1000)] {
            let model = lookup(ids, rows);
            let records = records(ids as usize, rows as usize);
            let options = QuantiseOptions { shift: Some(10), q_bits: Some(12), ..QuantiseOptions::default() };
            let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
            assert_eq!(graph.tensors[0].scale, 1.0, "a number is its integer");
            for record in &records {
                let integers = quantise_record(&graph, record).unwrap();
                let output = crate::run(&graph, &weights, &integers).unwrap().output;
                let floats = model.run(record).unwrap().output;
                for (got, want) in dequantise_output(&graph, &output).iter().zip(floats) {
                    assert!((got - f64::from(want)).abs() < 0.05, "{ids} of {rows}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn numbers_that_are_compared_beyond_the_table_have_no_row() {
        let model = lookup(2, 5);
        let options = QuantiseOptions { shift: Some(10), q_bits: Some(12), ..QuantiseOptions::default() };
        let (graph, weights, _) = quantise(&model, &records(2, 5), &options).unwrap();
        for beyond in [-128, -1, 5, 127] {
            let trace = crate::run(&graph, &weights, &[beyond, 4]).unwrap();
            let embedded = graph.nodes.iter().position(|node| node.name == "e").unwrap();
            assert!(trace.nodes[embedded].y[..3].iter().all(|y| *y == 0), "{beyond}");
            assert!(trace.nodes[embedded].y[3..].iter().any(|y| *y != 0));
        }
    }

    #[test]
    fn numbers_that_are_looked_up_are_row_numbers_or_refused_with_their_place() {
        let model = lookup(7, 300);
        let options = QuantiseOptions { shift: Some(10), q_bits: Some(12), ..QuantiseOptions::default() };
        let (graph, _, _) = quantise(&model, &records(7, 300), &options).unwrap();
        assert_eq!(graph.row_numbers(), Some((0, 299)));
        assert!(graph.nodes.iter().all(|node| node.table.range().is_none_or(|(_, hi)| hi == 127)));
        let last = quantise_record(&graph, &[0.0, 1.0, 299.0, 4.0, 5.0, 6.0, 7.0]).unwrap();
        assert_eq!(last, [0, 1, 299, 4, 5, 6, 7]);
        for none in [300.0, -1.0, 0.5] {
            let refused = quantise_record(&graph, &[0.0, 1.0, none, 4.0, 5.0, 6.0, 7.0]).unwrap_err();
            let got = none.to_string();
            assert_eq!(refused, FloatError::RecordRow { position: 2, last: 299, got });
        }
    }

    /// Words and their kinds, and a mask over them, as exporters give a sentence; the mask comes between the numbers.
    fn sentence(ids: i64, words: i64) -> FloatModel {
        let onnx = Onnx::new(&[1, ids]).input("mask", &[1, ids, 1]).input("kind", &[1, ids]);
        let onnx =
            onnx.noise("words", &[words, 3], 1.0).noise("kinds", &[2, 3], 1.0).noise("w", &[3, 2], 1.0);
        let onnx = onnx.node("Gather", &["words", "x"], "word", vec![int("axis", 0)]);
        let onnx = onnx.node("Gather", &["kinds", "kind"], "k", vec![int("axis", 0)]);
        let onnx = onnx.node("Add", &["word", "k"], "e", vec![]).node("Mul", &["e", "mask"], "m", vec![]);
        let mut proto = onnx.node("MatMul", &["m", "w"], "y", vec![]).proto("y");
        let inputs = &mut proto.graph.as_mut().unwrap().input;
        for (at, name) in [(0, "x"), (2, "kind")] {
            inputs[at] = value_info(name, DataType::Int64, &[1, ids]);
        }
        import_proto(&proto).unwrap()
    }

    #[test]
    fn numbers_may_come_beside_other_inputs() {
        // Compared with the rows, and looked up.
        for (ids, words) in [(5, 50), (7, 1000)] {
            let model = sentence(ids, words);
            let numbers = |record: i64| (0..ids).map(move |id| ((record * 331 + id * 577) % words) as f32);
            let mask = |record: i64| (0..ids).map(move |id| if id <= record % ids { 1.0 } else { 0.0 });
            let kinds = |record: i64| (0..ids).map(move |id| ((record + id) % 2) as f32);
            let record = |at| numbers(at).chain(mask(at)).chain(kinds(at)).collect::<Vec<_>>();
            let records = (0..20).map(record).collect::<Vec<_>>();
            let options = QuantiseOptions { shift: Some(10), q_bits: Some(13), ..QuantiseOptions::default() };
            let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
            for record in &records {
                let integers = quantise_record(&graph, record).unwrap();
                let output = crate::run(&graph, &weights, &integers).unwrap().output;
                let floats = model.run(record).unwrap().output;
                for (got, want) in dequantise_output(&graph, &output).iter().zip(floats) {
                    assert!((got - f64::from(want)).abs() < 0.1, "{ids} of {words}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_row_is_refused_with_its_place_among_all_inputs() {
        let (model, ids) = (sentence(7, 1000), 7);
        let record = [vec![3.0; ids], vec![-0.5; ids], vec![1.0; ids]].concat();
        let options = QuantiseOptions { shift: Some(10), q_bits: Some(13), ..QuantiseOptions::default() };
        let (graph, weights, _) = quantise(&model, &vec![record.clone(); 2], &options).unwrap();
        assert_eq!((graph.row_numbers(), graph.record_range()), (Some((0, 999)), (-128, 999)));
        for (position, none, last) in [(0, 1000.0, 999), (6, -1.0, 999), (14, 2.0, 1), (20, 0.5, 1)] {
            let mut spoilt = record.clone();
            spoilt[position] = none;
            let got = none.to_string();
            assert_eq!(quantise_record(&graph, &spoilt), Err(FloatError::RecordRow { position, last, got }));
        }
        // Integers in the range of the record that are none of the rows.
        let integers = quantise_record(&graph, &record).unwrap();
        for (position, none) in [(2, -5), (15, 2), (15, 999)] {
            let mut spoilt = integers.clone();
            spoilt[position] = none;
            let refused = crate::run(&graph, &weights, &spoilt).unwrap_err();
            assert!(matches!(refused, RunError::RowNumber { .. }), "{refused:?}");
        }
    }

    #[test]
    fn tables_of_more_rows_than_numbers_are_refused_by_name() {
        // Compared, numbers must be activations; looked up, entries of tables.
        let options = QuantiseOptions { activation_bits: 5, ..QuantiseOptions::default() };
        let refused = quantise(&lookup(2, 17), &records(2, 17), &options).unwrap_err();
        let (node, operator) = (String::from("e"), String::from("Embedding"));
        assert_eq!(refused, QuantiseError::Ids { node, operator, expected_max: 15, got: 16 });
        let options = QuantiseOptions { q_bits: Some(8), ..QuantiseOptions::default() };
        let refused = quantise(&lookup(8, 257), &records(8, 257), &options).unwrap_err();
        let (node, operator) = (String::from("e"), String::from("Embedding"));
        assert_eq!(refused, QuantiseError::TableRange { node, operator, expected: 8, got: 9 });
        assert!(quantise(&lookup(8, 256), &records(8, 256), &options).is_ok());
    }

    #[test]
    fn computed_numbers_and_other_axes_are_refused() {
        let onnx = || Onnx::new(&[1, 4]).floats("table", &[2, 3], noise(1, 6, 1.0));
        let columns = onnx().node("Gather", &["table", "x"], "y", vec![int("axis", 1)]);
        assert!(columns.unsupported("y")[0].contains("along the rows"));
        let computed = onnx().node("Relu", &["x"], "r", vec![]).node("Exp", &["r"], "i", vec![]);
        assert!(
            computed.node("Gather", &["table", "i"], "y", vec![]).unsupported("y")[0].contains("an input")
        );
    }
}
