//! Real proofs.

use kiln_kernels::{Engine, cpu};
use kiln_plonk::{Randomness, Silent, Srs, Statement, commit_group, keygen, prove, verify};

use super::*;
use crate::import::check::{Onnx, ints, noise};
use crate::quantise::{QuantiseOptions, quantise, quantise_record};

/// Proves the sample and checks the proof, also against another output. Returns the proof and the predicted size.
pub(super) fn prove_and_verify(
    sample: &Sample,
    visibility: Visibility,
    options: &PlanOptions,
) -> (Vec<u8>, PlanReport) {
    let (graph, weights, record) = sample;
    let lowered = lower(graph, visibility, options).unwrap();
    let trace = run(graph, weights, record).unwrap();
    let engine = Engine::new(vec![cpu::device()]).unwrap();
    let k = lowered.circuit.k;
    let srs = Srs::insecure_local(k, [3; 32]).unwrap();
    let mut rng = Randomness::insecure_from_seed([4; 32]);
    let (pk, vk) = keygen(&engine, &srs, lowered.circuit.clone(), lowered.fixed.clone()).unwrap();
    let witness = lowered.witness(&trace, weights).unwrap();
    let hiding = visibility.weights == WeightVisibility::Hidden;
    let groups = lowered.circuit.committed.iter().zip(witness.committed());
    let groups = groups.map(|(group, values)| {
        let hiding = hiding || group.name == "input";
        commit_group(&engine, &srs, k, &group.name, values, hiding, &mut rng).unwrap()
    });
    let (secret, committed): (Vec<_>, Vec<_>) = groups.unzip();
    let public_inputs = lowered.public_inputs(&trace).unwrap();
    let mut statement = Statement { public_inputs, committed };
    let (proof, report) = prove(&engine, &pk, &srs, &statement, &secret, &witness, rng, &Silent).unwrap();
    println!(
        "{}proof of {} bytes in {} ms: {:?}",
        lowered.report,
        proof.len(),
        report.wall_ns() / 1_000_000,
        report.rounds
    );
    verify(&vk, &statement, &proof).unwrap();
    if let Some(last) = statement.public_inputs.last_mut() {
        *last += ark_bn254::Fr::from(1);
    }
    assert!(verify(&vk, &statement, &proof).is_err(), "another output");
    (proof, lowered.report)
}

fn model(onnx: &[u8], calibration: &[u8], record: &[u8]) -> Sample {
    let model = crate::onnx::import(onnx).unwrap();
    let calibration = crate::data::read_records(calibration).unwrap();
    let (graph, weights, _) = quantise(&model, &calibration, &QuantiseOptions::default()).unwrap();
    let record = quantise_record(&graph, &crate::data::read_record(record).unwrap()).unwrap();
    (graph, weights, record)
}

#[test]
fn hand_made_graphs_are_proven() {
    for (index, (name, sample)) in graphs::all().into_iter().enumerate() {
        println!("{name}");
        let input =
            [InputVisibility::Private, InputVisibility::Public, InputVisibility::Committed][index % 3];
        let visibility = Visibility { input, weights: WeightVisibility::Hidden };
        prove_and_verify(&sample, visibility, &PlanOptions::default());
    }
}

#[test]
fn a_block_of_a_transformer_is_proven() {
    let (sample, cosine) = graphs::transformer();
    assert!(cosine > 0.99, "cosine {cosine}");
    let (_, report) = prove_and_verify(&sample, PRIVATE, &PlanOptions::default());
    println!("cosine {cosine}; {report}");
}

#[test]
fn the_diagnostic_model_is_proven_in_few_bytes() {
    let sample = model(
        include_bytes!("../../../models/diagnostic.onnx"),
        include_bytes!("../../../models/diagnostic.calibration.json"),
        include_bytes!("../../../models/diagnostic.record.json"),
    );
    let (proof, _) = prove_and_verify(&sample, PRIVATE, &PlanOptions::default());
    assert!(proof.len() <= 6144, "{} bytes", proof.len());
}

#[test]
fn the_digits_model_is_proven_with_cells_that_grow_with_the_data() {
    let sample = model(
        include_bytes!("../../../models/digits.onnx"),
        include_bytes!("../../../models/digits.calibration.json"),
        include_bytes!("../../../models/digits.record.json"),
    );
    let (_, report) = prove_and_verify(&sample, PRIVATE, &PlanOptions::default());
    assert!(report.small_cells + report.full_cells <= 5 * report.data, "{report}");
}

#[test]
fn quantised_networks_are_proven_to_give_what_a_runtime_gives() {
    let cases = crate::quantise::grid::tests::cases();
    for name in [
        "pairs by channel",
        "windows of one scale",
        "windows with padding that does not count",
        "sum with one for each column, signed",
    ] {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let model = crate::onnx::import(&case.bytes()).unwrap();
        let (graph, weights, report) = quantise(&model, &case.records, &QuantiseOptions::default()).unwrap();
        assert!(report.nodes.iter().all(|node| node.bit_exact == Some(true)), "{report:?}");
        let record = quantise_record(&graph, &case.records[5]).unwrap();
        assert_eq!(run(&graph, &weights, &record).unwrap().output, case.outputs[5]);
        prove_and_verify(&(graph, weights, record), PRIVATE, &PlanOptions::default());
    }
}

#[test]
fn attention_that_its_file_quantises_while_it_runs_is_proven() {
    let cases = crate::quantise::grid::tests::dynamic_cases();
    let case = cases.iter().find(|case| case.name == "attention").unwrap();
    let model = crate::onnx::import(&case.bytes()).unwrap();
    let (graph, weights, _) = quantise(&model, &case.records, &QuantiseOptions::default()).unwrap();
    let record = quantise_record(&graph, &case.records[5]).unwrap();
    let output = crate::dequantise_output(&graph, &run(&graph, &weights, &record).unwrap().output);
    let cosine = crate::accuracy::cosine(&output, &case.outputs[5]);
    assert!(cosine > 0.99, "cosine {cosine}");
    prove_and_verify(&(graph, weights, record), PRIVATE, &PlanOptions::default());
}

/// LeNet-5 on 28×28 with weights of noise.
fn lenet() -> Sample {
    let pool = || vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let onnx = Onnx::new(&[1, 1, 28, 28]).noise("w1", &[6, 1, 5, 5], 0.5).noise("b1", &[6], 0.1);
    let onnx = onnx.noise("w2", &[16, 6, 5, 5], 0.2).noise("b2", &[16], 0.1);
    let onnx = onnx.noise("w3", &[400, 120], 0.12).noise("b3", &[120], 0.1);
    let onnx = onnx.noise("w4", &[120, 84], 0.22).noise("b4", &[84], 0.1);
    let onnx = onnx.noise("w5", &[84, 10], 0.26).noise("b5", &[10], 0.1);
    let onnx = onnx.node("Conv", &["x", "w1", "b1"], "c1", vec![ints("pads", &[2; 4])]);
    let onnx = onnx.node("Relu", &["c1"], "r1", vec![]).node("AveragePool", &["r1"], "p1", pool());
    let onnx = onnx.node("Conv", &["p1", "w2", "b2"], "c2", vec![]).node("Relu", &["c2"], "r2", vec![]);
    let onnx = onnx.node("AveragePool", &["r2"], "p2", pool()).node("Flatten", &["p2"], "f", vec![]);
    let onnx = onnx.node("Gemm", &["f", "w3", "b3"], "g3", vec![]).node("Relu", &["g3"], "r3", vec![]);
    let onnx = onnx.node("Gemm", &["r3", "w4", "b4"], "g4", vec![]).node("Relu", &["g4"], "r4", vec![]);
    let model = onnx.node("Gemm", &["r4", "w5", "b5"], "y", vec![]).import("y").unwrap();
    let records = (0..4).map(|seed| noise(seed, 784, 1.0)).collect::<Vec<_>>();
    let options = QuantiseOptions { shift: Some(10), q_bits: Some(12), ..QuantiseOptions::default() };
    let (graph, weights, report) = quantise(&model, &records, &options).unwrap();
    assert!(report.relative_error < 0.05, "{report:?}");
    let record = quantise_record(&graph, &records[1]).unwrap();
    (graph, weights, record)
}

#[test]
fn lenet_5_is_proven_in_few_bytes() {
    let (proof, report) = prove_and_verify(&lenet(), PRIVATE, &PlanOptions::default());
    assert_eq!(report.multiply_accumulates / 1000, 416);
    assert!(proof.len() <= 8192, "{} bytes", proof.len());
}

#[test]
fn a_loan_decision_by_boosted_trees_is_proven_in_few_bytes() {
    let sample = model(
        include_bytes!("../../../models/loan.onnx"),
        include_bytes!("../../../models/loan.calibration.json"),
        include_bytes!("../../../models/loan.record.json"),
    );
    let (proof, report) = prove_and_verify(&sample, PRIVATE, &PlanOptions::default());
    assert!(proof.len() <= 4096 && report.k <= 10, "{} bytes, {report}", proof.len());
}
