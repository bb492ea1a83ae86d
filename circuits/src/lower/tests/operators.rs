//! Operators that are compositions of nodes, from ONNX to proof: honest runs at the ends of the range, wrong cells anywhere, and provers
//! that follow another rule throughout.

use super::*;
use crate::import::check::{Onnx, float, int, ints, noise};
use crate::quantise::{QuantiseOptions, quantise, quantise_record};

/// A model of its output `y`, with the record of some noise.
fn sample(onnx: Onnx) -> Sample {
    let model = onnx.import("y").unwrap();
    let records = (0..6).map(|seed| noise(seed, model.record_len(), 2.0)).collect::<Vec<_>>();
    let options = QuantiseOptions { shift: Some(8), q_bits: Some(13), ..QuantiseOptions::default() };
    let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
    let record = quantise_record(&graph, &records[3]).unwrap();
    (graph, weights, record)
}

/// Scores of two heads, three queries and five keys, with a mask of the keys that is an input of its own.
fn attention() -> Sample {
    let onnx = Onnx::new(&[1, 2, 3, 5]).input("m", &[1, 1, 1, 5]).floats("f", &[], vec![-1e9]);
    let onnx =
        onnx.node("Cast", &["m"], "c", vec![int("to", 9)]).node("Where", &["c", "x", "f"], "s", vec![]);
    let (graph, weights, mut record) =
        sample(onnx.node("Softmax", &["s"], "y2", vec![int("axis", -1)]).node("Relu", &["y2"], "y", vec![]));
    record[30..].copy_from_slice(&[127, 0, 127, 127, 0]);
    (graph, weights, record)
}

fn causal() -> Sample {
    let mask = (0..9).map(|e| if e % 3 > e / 3 { f32::NEG_INFINITY } else { 0.0 }).collect();
    let onnx = Onnx::new(&[1, 3, 3]).floats("m", &[3, 3], mask).node("Add", &["x", "m"], "s", vec![]);
    let onnx = onnx.node("Softmax", &["s"], "p", vec![int("axis", -1)]);
    sample(onnx.node("Relu", &["p"], "y", vec![]))
}

fn logic() -> Sample {
    let onnx = Onnx::new(&[1, 3, 3]).node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 1])]);
    let onnx = onnx.node("GreaterOrEqual", &["x", "t"], "p", vec![]).floats("c", &[1], vec![0.3]);
    let onnx = onnx.node("Less", &["x", "c"], "q", vec![]).node("Xor", &["p", "q"], "r", vec![]);
    sample(onnx.node("Where", &["r", "x", "t"], "y", vec![]))
}

fn top(which: &str) -> Sample {
    let onnx = Onnx::new(&[1, 2, 5]).ints("k", &[3]).top_k("x", "k", vec![int("axis", 2)]);
    let (graph, weights, _) = sample(onnx.node("Cast", &[which], "y", vec![int("to", 1)]));
    // Ties everywhere.
    (graph, weights, vec![127, 127, -128, 7, 7, -128, -128, -128, -128, -128])
}

fn arg_max() -> Sample {
    let onnx = Onnx::new(&[1, 7]).node("ArgMax", &["x"], "y", vec![int("axis", 1)]);
    let (graph, weights, _) = sample(onnx);
    (graph, weights, vec![3, -128, 90, 90, 4, 90, -1])
}

fn transposed_convolution() -> Sample {
    let onnx = Onnx::new(&[1, 2, 3, 2]).noise("w", &[2, 3, 3, 2], 1.0).noise("b", &[3], 1.0);
    let attributes = vec![ints("strides", &[2, 3]), ints("pads", &[0, 1, 0, 0])];
    sample(onnx.node("ConvTranspose", &["x", "w", "b"], "y", attributes))
}

fn resized() -> Sample {
    let onnx = Onnx::new(&[1, 2, 3, 2]).floats("s", &[4], vec![1.0, 1.0, 3.0, 2.0]);
    sample(onnx.node("Resize", &["x", "", "s"], "a", vec![]).node("Relu", &["a"], "y", vec![]))
}

fn logarithms() -> Sample {
    let onnx = Onnx::new(&[1, 3, 5]).node("LogSoftmax", &["x"], "a", vec![int("axis", 1)]);
    sample(onnx.floats("one", &[], vec![1.0]).node("Add", &["a", "one"], "y", vec![]))
}

fn products() -> Sample {
    sample(Onnx::new(&[1, 5, 3]).node("ReduceProd", &["x"], "y", vec![ints("axes", &[2])]))
}

fn instances() -> Sample {
    let onnx = Onnx::new(&[1, 3, 7]).noise("g", &[3], 1.5).noise("b", &[3], 0.5);
    sample(onnx.node("InstanceNormalization", &["x", "g", "b"], "y", vec![float("epsilon", 1e-3)]))
}

/// A quantised model with scales that make many ties, and the record and output of `models/quantised.py`.
fn quantised() -> Sample {
    let cases: serde_json::Value =
        serde_json::from_slice(include_bytes!("../../quantise/golden/quantised.json")).unwrap();
    let digits = cases[2]["onnx"].as_str().unwrap().as_bytes().chunks(2);
    let bytes: Vec<u8> =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    let model = crate::onnx::import(&bytes).unwrap();
    let record: Vec<f32> = serde_json::from_value(cases[2]["records"][5].clone()).unwrap();
    let (graph, weights, _) =
        quantise(&model, std::slice::from_ref(&record), &QuantiseOptions::default()).unwrap();
    let record = quantise_record(&graph, &record).unwrap();
    let output: Vec<i32> = serde_json::from_value(cases[2]["outputs"][5].clone()).unwrap();
    assert_eq!(run(&graph, &weights, &record).unwrap().output, output);
    (graph, weights, record)
}

fn all() -> Vec<(&'static str, Sample)> {
    vec![
        ("attention", attention()),
        ("causal", causal()),
        ("logic", logic()),
        ("values", top("v")),
        ("positions", top("i")),
        ("arg max", arg_max()),
        ("transposed convolution", transposed_convolution()),
        ("resized", resized()),
        ("logarithms", logarithms()),
        ("products", products()),
        ("instances", instances()),
        ("quantised", quantised()),
    ]
}

#[test]
fn operators_are_accepted_at_the_ends_of_the_range() {
    for (name, (graph, weights, record)) in all() {
        println!("{name}");
        let ends = |at: usize, seed: usize| [-128, 127][(at * (seed + 1) + seed) / 3 % 2];
        let mut records = vec![record.clone(), vec![-128; record.len()], vec![127; record.len()]];
        records.extend((0..2).map(|seed| (0..record.len()).map(|at| ends(at, seed)).collect()));
        for record in records {
            check(&(graph.clone(), weights.clone(), record), PRIVATE, &lanes(4));
        }
    }
}

#[test]
fn operators_are_proven() {
    for (name, sample) in all() {
        println!("{name}");
        proving::prove_and_verify(&sample, PRIVATE, &PlanOptions::default());
    }
}

#[test]
fn any_wrong_cell_of_an_operator_is_caught_and_its_node_named() {
    for (_, sample) in all() {
        cheating::every_accumulator_counts(sample);
    }
}

/// The sample's circuit with the run of a prover who changed the integer graph.
fn follows_another_rule(sample: &Sample, change: impl Fn(&mut IntGraph)) {
    let (graph, weights, record) = sample;
    let lowered = lower(graph, PRIVATE, &lanes(4)).unwrap();
    let honest = run(graph, weights, record).unwrap();
    let mut other = graph.clone();
    change(&mut other);
    let trace = run(&other, weights, record).unwrap();
    assert_ne!(trace.output, honest.output, "another rule gives another output");
    let witness = lowered.witness(&trace, weights).unwrap();
    let public = lowered.public_inputs(&trace).unwrap();
    assert!(!failures(&lowered, &witness, &public).is_empty());
}

fn node<'g>(graph: &'g mut IntGraph, suffix: &str) -> &'g mut crate::graph::Node {
    graph.nodes.iter_mut().find(|node| node.name.ends_with(suffix)).unwrap()
}

#[test]
fn the_last_of_equal_numbers_is_not_the_largest() {
    // Positions the other way round: of equal numbers the last would win.
    let turned = |graph: &mut IntGraph| {
        let Linear::Combine { terms, .. } = &mut node(graph, ".position").linear else { panic!("a sum") };
        for term in terms {
            if let Some(target) = &mut term.target {
                let set = target.iter().map(Option::is_some).rev().collect::<Vec<_>>();
                *target = set.iter().zip(0..).map(|(set, at)| set.then_some(at)).collect();
            }
        }
    };
    follows_another_rule(&arg_max(), turned);
    follows_another_rule(&top("i"), turned);
}

#[test]
fn a_mask_cannot_be_left_out_or_turned_round() {
    for coefficient in [0, -1] {
        follows_another_rule(&attention(), |graph| {
            let Linear::Spread { sums, .. } = &mut node(graph, ".masked").linear else { panic!("a spread") };
            sums[0].coefficient *= coefficient;
            let node = node(graph, ".masked");
            node.accumulator_bound *= 2;
        });
    }
    follows_another_rule(&causal(), |graph| {
        let Linear::Combine { terms, .. } = &mut node(graph, ".masked").linear else { panic!("a sum") };
        terms[1].coefficient = 0;
    });
}

#[test]
fn parts_of_the_record_are_the_ones_that_the_model_names() {
    follows_another_rule(&attention(), |graph| {
        let Linear::Combine { terms, .. } = &mut node(graph, "x").linear else { panic!("a part") };
        if let Some(target) = &mut terms[0].target {
            target.swap(0, 3);
        }
    });
}
