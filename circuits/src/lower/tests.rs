mod cheating;
mod graphs;
mod lookups;
mod operators;
mod proving;

use kiln_plonk::{MockFailure, mock};

use super::*;
use crate::graph::{ConvGeometry, TensorId, Term, View, WeightValues};
use crate::interpret::run;
use crate::samples::{self, GraphBuilder, Noise};

/// A graph, its weights and a record.
type Sample = (IntGraph, WeightValues, Vec<i32>);

const PRIVATE: Visibility = Visibility { input: InputVisibility::Private, weights: WeightVisibility::Hidden };

fn failures(lowered: &Lowered, witness: &ModelWitness<'_>, public: &[ark_bn254::Fr]) -> Vec<MockFailure> {
    mock(&lowered.circuit, &lowered.fixed, &witness.committed(), public, witness).unwrap()
}

/// An honest run under the mock; returns the layout for more questions.
fn check(sample: &Sample, visibility: Visibility, options: &PlanOptions) -> Lowered {
    let (graph, weights, record) = sample;
    let lowered = lower(graph, visibility, options).unwrap();
    let trace = run(graph, weights, record).unwrap();
    let witness = lowered.witness(&trace, weights).unwrap();
    let public = lowered.public_inputs(&trace).unwrap();
    if let Some(failure) = failures(&lowered, &witness, &public).first() {
        panic!("{failure}\n{}", lowered.report);
    }
    lowered
}

fn lanes(lanes: usize) -> PlanOptions {
    PlanOptions { lanes: Some(lanes), ..PlanOptions::default() }
}

#[test]
fn multilayer_perceptrons_of_odd_sizes_are_accepted() {
    for widths in [&[30, 16, 8, 2][..], &[5, 3, 7], &[1, 1], &[4, 17, 16, 1]] {
        for width in [1, 4, 8] {
            check(&samples::mlp(widths), PRIVATE, &lanes(width));
        }
    }
}

#[test]
fn convolutions_of_every_geometry_are_accepted() {
    let geometry = |stride, dilation, pads, groups| ConvGeometry { stride, dilation, pads, groups };
    for (input, outputs, kernel, geometry) in [
        ((1, 8, 8), 4, (3, 3), geometry((1, 1), (1, 1), (1, 1, 1, 1), 1)),
        ((2, 5, 7), 3, (3, 3), geometry((1, 1), (1, 1), (0, 0, 0, 0), 1)),
        ((3, 9, 6), 5, (3, 2), geometry((2, 2), (1, 1), (1, 0, 0, 1), 1)),
        ((4, 5, 7), 8, (3, 2), geometry((3, 2), (2, 1), (2, 1, 2, 1), 2)),
        ((4, 6, 6), 4, (3, 3), geometry((1, 1), (1, 1), (1, 1, 1, 1), 4)),
        ((3, 6, 5), 6, (3, 3), geometry((2, 1), (1, 2), (1, 2, 1, 2), 3)),
        ((5, 4, 3), 6, (1, 1), geometry((1, 1), (1, 1), (0, 0, 0, 0), 1)),
        ((2, 1, 11), 3, (1, 4), geometry((1, 3), (1, 1), (0, 2, 0, 0), 1)),
        ((2, 4, 4), 9, (1, 1), geometry((2, 2), (1, 1), (0, 0, 0, 0), 1)),
        ((2, 3, 3), 2, (3, 3), geometry((1, 1), (1, 1), (0, 0, 0, 0), 1)),
    ] {
        let sample = samples::convolution(input, outputs, kernel, geometry);
        for width in [4, 8] {
            check(&sample, PRIVATE, &lanes(width));
        }
    }
}

#[test]
fn every_kind_of_node_is_accepted() {
    for (name, sample) in graphs::all() {
        for (width, fold) in [(4, None), (16, None), (4, Some(true)), (16, Some(true))] {
            println!("{name}, {width} lanes, {fold:?}");
            check(&sample, PRIVATE, &PlanOptions { fold, ..lanes(width) });
        }
    }
}

#[test]
fn every_visibility_is_accepted() {
    for (_, sample) in graphs::all() {
        for input in [InputVisibility::Public, InputVisibility::Committed] {
            let visibility = Visibility { input, weights: WeightVisibility::Public };
            let lowered = check(&sample, visibility, &lanes(4));
            let outputs = sample.0.output.len() as u32;
            let inputs = if input == InputVisibility::Public { sample.2.len() as u32 } else { 0 };
            assert_eq!(lowered.circuit.public_inputs, inputs + outputs);
            let groups = lowered.circuit.committed.iter().filter(|group| group.name == "input").count();
            assert_eq!(groups, usize::from(input == InputVisibility::Committed));
        }
    }
}

#[test]
fn every_row_count_gives_the_same_statement() {
    let sample = graphs::cnn();
    for k in 8..12 {
        let lowered = check(&sample, PRIVATE, &PlanOptions { k: Some(k), ..lanes(4) });
        assert_eq!(lowered.circuit.k, k);
    }
    assert!(matches!(
        lower(&sample.0, PRIVATE, &PlanOptions { k: Some(5), ..lanes(4) }),
        Err(LowerError::Rows { .. })
    ));
    assert!(matches!(lower(&sample.0, PRIVATE, &lanes(0)), Err(LowerError::Lanes { got: 0, .. })));
}

#[test]
fn what_the_verifier_works_out_does_not_grow_with_the_channels() {
    let geometry = || ConvGeometry { stride: (2, 2), dilation: (1, 1), pads: (1, 1, 1, 1), groups: 1 };
    let cells = |channels: usize, fold| {
        let sample = samples::convolution((channels, 4, 4), 8, (3, 3), geometry());
        let lowered = check(&sample, PRIVATE, &PlanOptions { fold, ..lanes(8) });
        (lowered.report.instance_cells, lowered.report.columns.folds)
    };
    let (few, _) = cells(64, Some(true));
    let (many, columns) = cells(256, Some(true));
    assert!(many <= few + 8, "{few} cells for 64 channels, {many} for 256");
    assert!((1..=6).contains(&columns), "{columns} columns");
    assert!(cells(256, Some(false)).0 > 12 * 256, "three a channel and phase");
    assert!(cells(256, None).0 < 64, "so many are worth their columns");
    assert_eq!(cells(16, None).1, 0, "so few are not");
}

#[test]
fn lowering_is_deterministic() {
    let (graph, _, _) = graphs::cnn();
    let circuits = [0, 1].map(|_| lower(&graph, PRIVATE, &PlanOptions::default()).unwrap().circuit);
    assert_eq!(circuits[0], circuits[1]);
}

#[test]
fn the_options_of_a_choice_give_it_again() {
    for (graph, _, _) in [graphs::cnn(), samples::mlp(&[5, 3, 7])] {
        let searched = lower(&graph, PRIVATE, &PlanOptions::default()).unwrap();
        let again = lower(&graph, PRIVATE, &searched.options()).unwrap();
        assert_eq!(again.circuit, searched.circuit);
        assert_eq!(again.options(), searched.options());
        assert!(again.fixed.iter().zip(&searched.fixed).all(|(a, b)| a.to_full() == b.to_full()));
    }
}

#[test]
fn cells_grow_with_the_data_and_not_with_multiply_accumulates() {
    let geometry = || ConvGeometry { stride: (1, 1), dilation: (1, 1), pads: (1, 1, 1, 1), groups: 1 };
    for channels in [4, 16, 32] {
        let (graph, _, _) = samples::convolution((channels, 16, 16), channels, (3, 3), geometry());
        let report = lower(&graph, PRIVATE, &PlanOptions::default()).unwrap().report;
        assert!(report.small_cells + report.full_cells <= 5 * report.data, "{report}");
        let macs = (channels * channels * 9 * 256) as u64;
        assert_eq!(report.multiply_accumulates, macs);
    }
}

#[test]
fn values_of_another_model_are_refused() {
    let (graph, weights, record) = samples::mlp(&[5, 3, 7]);
    let lowered = lower(&graph, PRIVATE, &PlanOptions::default()).unwrap();
    let trace = run(&graph, &weights, &record).unwrap();
    let mut short = weights.clone();
    short.0[0].pop();
    assert!(matches!(lowered.model_columns(&short), Err(LowerError::Mismatch { expected: 15, got: 14, .. })));
    assert!(matches!(lowered.witness(&trace, &short), Err(LowerError::Mismatch { .. })));
    let mut cut = trace.clone();
    cut.nodes.pop();
    assert!(matches!(lowered.witness(&cut, &weights), Err(LowerError::Mismatch { .. })));
    assert!(matches!(lowered.input_columns(&record[1..]), Err(LowerError::Mismatch { .. })));
}

#[test]
fn a_graph_too_large_for_any_circuit_is_refused_before_it_is_laid_out() {
    let mut b = GraphBuilder::new(6, 11, (-128, 127));
    let shape = [1 << 26];
    let mut x = b.input("x", &shape);
    for _ in 0..4 {
        let term = Term { input: View::plain(x, shape.to_vec()), coefficient: 1, target: None };
        x = b.combine("copy", vec![term], 0, 0, b.clamp(), &shape);
    }
    let (graph, _) = b.finish(x);
    let refused = lower(&graph, PRIVATE, &PlanOptions::default()).err();
    assert!(matches!(refused, Some(LowerError::Cells { .. })), "{refused:?}");
}
