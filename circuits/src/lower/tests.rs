use kiln_plonk::{MockFailure, mock};

use super::*;
use crate::graph::WeightValues;
use crate::interpret::run;
use crate::samples;

const PRIVATE: Visibility = Visibility { input: InputVisibility::Private, weights: WeightVisibility::Hidden };

fn failures(lowered: &Lowered, witness: &ModelWitness<'_>, public: &[ark_bn254::Fr]) -> Vec<MockFailure> {
    mock(&lowered.circuit, &lowered.fixed, &witness.committed(), public, witness).unwrap()
}

/// Honest run under the mock; returns the layout for more questions.
fn check(sample: &(IntGraph, WeightValues, Vec<i32>), visibility: Visibility, options: &PlanOptions) -> Lowered {
    let (graph, weights, record) = sample;
    let lowered = lower(graph, visibility, options).unwrap();
    let trace = run(graph, weights, record).unwrap();
    let witness = lowered.witness(&trace, weights).unwrap();
    let public = lowered.public_inputs(&trace).unwrap();
    for failure in failures(&lowered, &witness, &public) {
        panic!("{failure}\n{}", lowered.report);
    }
    lowered
}

fn options(lanes: usize) -> PlanOptions {
    PlanOptions { lanes: Some(lanes), ..PlanOptions::default() }
}

#[test]
fn multilayer_perceptrons_of_odd_sizes_are_accepted() {
    for widths in [&[30, 16, 8, 2][..], &[5, 3, 7], &[1, 1], &[4, 17, 16, 1]] {
        for lanes in [4, 8] {
            let lowered = check(&samples::mlp(widths), PRIVATE, &options(lanes));
            println!("{}", lowered.report);
        }
    }
}
