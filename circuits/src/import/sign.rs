//! `Sign`: −1, 0 or 1, of `x` requantised to a scale `s`: numbers nearer to 0 than `s/2` count as 0. A constant that was added just before
//! is rounded to the integers of what it was added to.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    importer.function(node, |x| match x {
        x if x > 0.0 => 1.0,
        x if x < 0.0 => -1.0,
        _ => 0.0,
    })?;
    importer.compares(node);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float, int, ints};

    /// Noise is a multiple of 1/500, so no sum of two is near 0.001.
    fn apart(onnx: Onnx) -> Onnx {
        onnx.floats("d", &[1], vec![0.001]).node("Add", &["x", "d"], "a", vec![])
    }

    #[test]
    fn of_either_sign_and_of_zero() {
        Onnx::new(&[1, 3, 7]).node("Sign", &["x"], "y", vec![]).check("y");
        let onnx = Onnx::new(&[1, 3, 7]).node("Relu", &["x"], "r", vec![]);
        onnx.node("Sign", &["r"], "y", vec![]).check("y");
    }

    #[test]
    fn every_comparison_of_two_tensors_and_with_constants() {
        for operator in ["Greater", "Less", "GreaterOrEqual", "LessOrEqual"] {
            let base = || apart(Onnx::new(&[1, 5, 5])).floats("c", &[], vec![0.302]);
            let onnx = base().node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 1])]);
            onnx.node(operator, &["a", "t"], "y", vec![]).check("y");
            for order in [["a", "c"], ["c", "a"]] {
                base().node(operator, &order, "y", vec![]).check("y");
            }
            let onnx = base().node("ReduceMax", &["x"], "m", vec![ints("axes", &[1])]);
            onnx.node(operator, &["m", "a"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn equal_numbers_are_neither_greater_nor_less() {
        for (operator, expected) in
            [("Greater", 0), ("Less", 0), ("GreaterOrEqual", 1), ("LessOrEqual", 1), ("Equal", 1)]
        {
            let onnx = Onnx::new(&[1, 7]).node("Identity", &["x"], "b", vec![]);
            let model = onnx.node(operator, &["x", "b"], "y", vec![]).import("y").unwrap();
            let record = [-2.0, -0.016, -1e-9, 0.0, 0.03, 1.0, 2.0];
            let options = crate::QuantiseOptions::default();
            let (graph, weights, _) = crate::quantise(&model, &[record.to_vec()], &options).unwrap();
            let output = crate::run(&graph, &weights, &[-128, -127, -1, 0, 1, 126, 127]).unwrap().output;
            assert!(output.iter().all(|y| (*y != 0) == (expected == 1)), "{operator}: {output:?}");
        }
    }

    #[test]
    fn equality_with_a_constant_among_integers() {
        let onnx = Onnx::new(&[1, 4, 6]).floats("c", &[1], vec![2.0]).node("Equal", &["x", "c"], "y", vec![]);
        onnx.check_on("y", |record| record.iter().map(|v| (v * 1.6).round()).collect());
    }

    #[test]
    fn logic_of_truth_values_is_exact() {
        for operator in ["And", "Or", "Xor"] {
            let base = || {
                let onnx = apart(Onnx::new(&[1, 5, 5])).floats("c", &[], vec![0.302]);
                let onnx = onnx.node("Greater", &["a", "c"], "p", vec![]);
                let onnx = onnx.node("Transpose", &["a"], "t", vec![ints("perm", &[0, 2, 1])]);
                onnx.node("Less", &["t", "c"], "q", vec![]).bools("k", &[5, 1], &[1, 0, 0, 1, 1])
            };
            for order in [["p", "q"], ["k", "q"], ["p", "p"]] {
                let onnx = base().node(operator, &order, "z", vec![]).node("Not", &["z"], "n", vec![]);
                let onnx = onnx.node("Cast", &["n"], "y", vec![int("to", 1)]);
                let model = onnx.import("y").unwrap();
                let records: Vec<_> = (0..9).map(|s| super::super::check::noise(s, 25, 2.0)).collect();
                let options = crate::QuantiseOptions { activation_bits: 12, ..Default::default() };
                let (graph, weights, _) = crate::quantise(&model, &records, &options).unwrap();
                let one = graph.tensors[graph.output.tensor.0].bound.1;
                for record in &records {
                    let integers = crate::quantise_record(&graph, record).unwrap();
                    let output = crate::run(&graph, &weights, &integers).unwrap().output;
                    for (y, wanted) in output.iter().zip(model.run(record).unwrap().output) {
                        assert_eq!(i64::from(*y), if wanted == 1.0 { one } else { 0 }, "{operator}");
                    }
                }
            }
        }
    }

    #[test]
    fn casts_between_truth_integers_and_numbers() {
        let onnx = Onnx::new(&[1, 3, 5]).node("Relu", &["x"], "r", vec![]);
        let onnx =
            onnx.node("Cast", &["r"], "b", vec![int("to", 9)]).node("Cast", &["b"], "i", vec![int("to", 7)]);
        onnx.node("Cast", &["i"], "y", vec![int("to", 1)]).check("y");
        let steep = vec![float("alpha", 1.0), float("beta", 0.0)];
        let onnx =
            Onnx::new(&[1, 9]).node("Sign", &["x"], "s", vec![]).node("HardSigmoid", &["s"], "y", steep);
        assert_eq!(onnx.check("y").graph.nodes.len(), 2, "one table holds both functions");
    }
}
