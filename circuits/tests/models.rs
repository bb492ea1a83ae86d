//! The models of this repository, from their ONNX bytes to integer accuracy.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use kiln_circuits::data::{read_record, read_records, read_test_set};
use kiln_circuits::{InputVisibility, IntGraph, PlanOptions, QuantiseOptions};
use kiln_circuits::{Visibility, WeightValues, WeightVisibility};
use kiln_circuits::{import, lower, measure, quantise, quantise_record, run};
use kiln_plonk::mock;

struct Files {
    onnx: &'static [u8],
    calibration: &'static [u8],
    test: &'static [u8],
    record: &'static [u8],
}

macro_rules! files {
    ($name:literal) => {
        Files {
            onnx: include_bytes!(concat!("../models/", $name, ".onnx")),
            calibration: include_bytes!(concat!("../models/", $name, ".calibration.json")),
            test: include_bytes!(concat!("../models/", $name, ".test.json")),
            record: include_bytes!(concat!("../models/", $name, ".record.json")),
        }
    };
}

/// Imports, quantises and measures; tables may have `entries` rows.
fn check(files: &Files, activation_bits: u32, float_accuracy_min: f64, entries: usize) {
    let model = import(files.onnx).unwrap();
    let calibration = read_records(files.calibration).unwrap();
    let options = QuantiseOptions { activation_bits, ..QuantiseOptions::default() };
    let (graph, weights, report) = quantise(&model, &calibration, &options).unwrap();
    let test = read_test_set(files.test).unwrap();
    let accuracy = measure(&model, &graph, &weights, &test.records, &test.labels).unwrap();
    println!(
        "float {:.2} %, integer {:.2} %, agreement {:.2} %, relative error {:.2} %, shift {}, table range {} bits",
        100.0 * accuracy.float(),
        100.0 * accuracy.integer(),
        100.0 * accuracy.comparison.agreement(),
        100.0 * accuracy.comparison.relative_error(),
        report.shift,
        report.q_bits,
    );
    assert!(accuracy.float() >= float_accuracy_min, "{accuracy:?}");
    assert!(accuracy.integer() >= accuracy.float() - 0.005, "{accuracy:?}");
    assert!(report.table_entries <= entries, "{report:?}");

    let record = read_record(files.record).unwrap();
    let trace = run(&graph, &weights, &quantise_record(&graph, &record).unwrap()).unwrap();
    assert_eq!(trace.output.len(), model.run(&record).unwrap().output.len());
}

#[test]
fn diagnostic_model_keeps_its_accuracy_in_integers() {
    check(&files!("diagnostic"), 8, 0.97, 4096);
}

#[test]
fn digits_model_keeps_its_accuracy_in_integers() {
    check(&files!("digits"), 8, 0.96, 8192);
}

#[test]
fn loan_model_keeps_its_accuracy_in_integers() {
    check(&files!("loan"), 10, 0.8, 4096);
}

#[test]
fn truncated_onnx_is_refused_without_a_panic() {
    for files in [files!("diagnostic"), files!("digits"), files!("loan")] {
        for len in (0..files.onnx.len()).step_by(100) {
            assert!(import(&files.onnx[..len]).is_err(), "{len} bytes");
        }
    }
}

/// Lowers a model with weights and record hidden, and lets the mock check every gate of the honest witness.
fn check_circuit(files: &Files, rows_max: u32) {
    let model = import(files.onnx).unwrap();
    let calibration = read_records(files.calibration).unwrap();
    let (graph, weights, _) = quantise(&model, &calibration, &QuantiseOptions::default()).unwrap();
    check_graph(&graph, &weights, &read_record(files.record).unwrap(), rows_max);
}

fn check_graph(graph: &IntGraph, weights: &WeightValues, record: &[f32], rows_max: u32) {
    let visibility = Visibility { input: InputVisibility::Private, weights: WeightVisibility::Hidden };
    let lowered = lower(graph, visibility, &PlanOptions::default()).unwrap();
    assert!(1 << lowered.report.k <= rows_max, "{}", lowered.report);

    let record = quantise_record(graph, record).unwrap();
    let trace = run(graph, weights, &record).unwrap();
    let witness = lowered.witness(&trace, weights).unwrap();
    let public = lowered.public_inputs(&trace).unwrap();
    let failures = mock(&lowered.circuit, &lowered.fixed, &witness.committed(), &public, &witness).unwrap();
    assert!(failures.is_empty(), "{}", failures[0]);
}

#[test]
fn diagnostic_circuit_accepts_a_patient() {
    check_circuit(&files!("diagnostic"), 1 << 10);
}

#[test]
fn digits_circuit_accepts_an_image() {
    check_circuit(&files!("digits"), 1 << 10);
}

#[test]
fn loan_circuit_accepts_an_applicant() {
    check_circuit(&files!("loan"), 1 << 10);
}

/// What ONNX Runtime computed on `trees/*.onnx` (`models/trees.py` made both).
#[derive(serde::Deserialize)]
struct Trees {
    records: Vec<Vec<f32>>,
    outputs: std::collections::BTreeMap<String, Vec<Vec<f64>>>,
}

fn trees() -> Trees {
    serde_json::from_str(include_str!("../models/trees/trees.json")).unwrap()
}

fn trees_onnx(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/models/trees/{name}.onnx", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Scores to what the file's own operators make of them.
fn transformed(name: &str, scores: &[f64]) -> Vec<f64> {
    if name.ends_with("two") {
        return scores.iter().map(|s| 1.0 / (1.0 + (-s).exp())).collect();
    }
    if !name.ends_with("three") {
        return scores.to_vec();
    }
    let total: f64 = scores.iter().map(|s| s.exp()).sum();
    scores.iter().map(|s| s.exp() / total).collect()
}

#[test]
fn exported_trees_give_what_a_runtime_gives() {
    let Trees { records, outputs } = trees();
    assert_eq!(outputs.len(), 7);
    for (name, expected) in outputs {
        let model = import(&trees_onnx(&name)).unwrap();
        let options = QuantiseOptions { activation_bits: 12, q_bits: Some(13), ..QuantiseOptions::default() };
        let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
        let largest = expected.iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
        for (record, expected) in records.iter().zip(&expected) {
            let float = model.run(record).unwrap().output.into_iter().map(f64::from).collect::<Vec<_>>();
            let integers = run(&graph, &weights, &quantise_record(&graph, record).unwrap()).unwrap().output;
            let integers = kiln_circuits::dequantise_output(&graph, &integers);
            for (scores, error) in [(float, 1e-5), (integers, 1e-3)] {
                let got = transformed(&name, &scores);
                assert_eq!(got.len(), expected.len(), "{name}");
                for (got, want) in got.iter().zip(expected) {
                    assert!((got - want).abs() <= error * largest, "{name}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn exported_trees_become_circuits_that_accept_a_record() {
    let Trees { records, outputs } = trees();
    for name in outputs.keys() {
        let model = import(&trees_onnx(name)).unwrap();
        let options = QuantiseOptions { activation_bits: 10, ..QuantiseOptions::default() };
        let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
        check_graph(&graph, &weights, &records[0], 1 << 12);
    }
}
