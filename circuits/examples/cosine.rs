//! How close a model in integers comes to its float model: the cosine of their outputs, record by record.
//!
//! `cargo run --release --example cosine -- MODEL.onnx CALIBRATION.json RECORDS.json ACTIVATION_BITS SHIFT TABLE_BITS MARGIN`

#![allow(clippy::unwrap_used, reason = "an example that cannot go on should stop")]

use kiln_circuits::data::read_records;
use kiln_circuits::{Interpreter, QuantiseOptions, dequantise_output, import, quantise, quantise_record};

fn main() {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    let [model, calibration, records, activation_bits, shift, table_bits, margin] = args.as_slice() else {
        eprintln!("expected 7 arguments, got {}; the first lines of this file name them", args.len());
        std::process::exit(2);
    };
    let model = import(&std::fs::read(model).unwrap()).unwrap();
    let calibration = read_records(&std::fs::read(calibration).unwrap()).unwrap();
    let records = read_records(&std::fs::read(records).unwrap()).unwrap();
    let table_bits = table_bits.parse().unwrap();
    let options = QuantiseOptions {
        activation_bits: activation_bits.parse().unwrap(),
        shift: Some(shift.parse().unwrap()),
        q_bits: Some(table_bits),
        q_bits_max: table_bits,
        margin: Some(margin.parse().unwrap()),
        ..QuantiseOptions::default()
    };
    let (graph, weights, report) = quantise(&model, &calibration, &options).unwrap();
    println!(
        "{} table entries; relative error on calibration {:.4}",
        report.table_entries, report.relative_error
    );
    let interpreter = Interpreter::new(&graph, &weights).unwrap();
    for (index, record) in records.iter().enumerate() {
        let floats = model.run(record).unwrap().output;
        match interpreter.run(&quantise_record(&graph, record).unwrap()) {
            Err(refused) => println!("record {index}: {refused}"),
            Ok(trace) => {
                let integers = dequantise_output(&graph, &trace.output);
                let floats = floats.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
                println!("record {index}: cosine {:.6}", cosine(&integers, &floats));
            }
        }
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
