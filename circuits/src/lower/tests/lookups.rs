//! Rows looked up by their numbers: every way to take another row, and what each check is for.

use kiln_plonk::Witness;

use super::cheating::{Case, Forged, mock_challenges, place_of, put, spoil_chain_relay};
use super::*;
use crate::import::check::{Onnx, int, value_info};
use crate::lower::identity::Source;
use crate::lower::ledger::{RelayColumn, Slot};
use crate::lower::monomial::Variable;
use crate::onnx::import_proto;
use crate::quantise::{QuantiseOptions, quantise, quantise_record};
use tract_onnx::pb::tensor_proto::DataType;

fn case() -> Case {
    Case::new(graphs::looked_up(), PRIVATE)
}

/// Column and row of the indicator of a row in a lookup.
fn indicator(case: &Case, of: usize, number: u32) -> (usize, usize) {
    let choice = &case.lowered.choice;
    let relays = choice.plan.identities.relays.iter().zip(&choice.ledger.relays);
    let is = |source| matches!(source, Source::Indicator { lookup, row } if (lookup, row) == (of, number));
    let place = relays.filter(|(relay, _)| is(relay.source)).map(|(_, place)| place).next().unwrap();
    let RelayColumn::Chain(column) = place.column else { panic!("an indicator is of full width") };
    (column, place.row as usize)
}

fn set_id(case: &Case, witness: &mut ModelWitness<'_>, position: usize, id: i32) {
    let (lane, row) = case.spot(0, position);
    put(&mut witness.cells.q[lane], row, id);
    put(&mut witness.cells.y[lane], row, id);
}

/// The names of all that fails.
fn names(failures: &[MockFailure]) -> Vec<String> {
    let name = |failure: &MockFailure| match failure {
        MockFailure::Gate { name, .. } | MockFailure::Lookup { name, .. } => name.clone(),
        MockFailure::Copy { .. } => "copy".to_owned(),
    };
    failures.iter().map(name).collect()
}

#[test]
fn rows_of_other_ids_are_caught_by_the_product_or_else_by_the_fractions() {
    let case = case();
    let (graph, weights, record) = &case.sample;
    for position in 0..record.len() {
        // The whole run is that of another id, but for the cell of the id.
        let mut other = record.clone();
        other[position] = (other[position] + 4) % 11;
        let trace = run(graph, weights, &other).unwrap();
        let public = case.lowered.public_inputs(&trace).unwrap();
        let mut witness = case.lowered.witness(&trace, weights).unwrap();
        set_id(&case, &mut witness, position, record[position]);
        let told = failures(&case.lowered, &witness, &public);
        assert!(place_of(&told).contains("Gather"), "honest indicators: {}", place_of(&told));
        // Indicators of the other id as well: the product holds.
        let mut witness = case.lowered.witness(&trace, weights).unwrap();
        witness.phase(1, &mock_challenges(&case)).unwrap();
        set_id(&case, &mut witness, position, record[position]);
        let told = failures(&case.lowered, &witness, &public);
        assert_eq!(names(&told), ["identities"]);
        assert!(place_of(&told).contains("Input"), "forged indicators: {}", place_of(&told));
    }
}

#[test]
fn an_id_that_is_no_row_is_caught_by_the_fractions() {
    let case = case();
    for id in [-1, 13, 20] {
        // Its row is zero, as that of the id in its place.
        let mut witness = case.witness();
        set_id(&case, &mut witness, 0, id);
        let told = case.failures(&witness);
        assert_eq!(names(&told), ["identities"], "{id} is in the table of activations");
        assert!(place_of(&told).contains("Input"));
        let refused = run(&case.sample.0, &case.sample.1, &[id, 0, 10, 7, 3]);
        assert!(matches!(refused, Err(crate::RunError::RecordRange { position: 0, hi: 10, .. })));
    }
}

#[test]
fn a_wrong_indicator_is_caught_by_the_fractions_where_the_product_does_not_see_it() {
    let case = case();
    // Row 7 is zero, asked for twice; and a row that nobody asks for in a table where it is not zero.
    for (lookup, number, seen) in [(0, 7, false), (1, 7, false), (0, 1, true)] {
        let (column, row) = indicator(&case, lookup, number);
        let mut witness = case.witness();
        spoil_chain_relay(&case, &mut witness, column, row);
        let told = case.failures(&witness);
        assert!(names(&told).iter().all(|name| name == "identities"), "{told:?}");
        let rows = told.len();
        assert_eq!(rows, if seen { 2 } else { 1 }, "the product sees it: {seen}");
        let of_input = |failure: &MockFailure| place_of(std::slice::from_ref(failure)).contains("Input");
        assert!(told.iter().any(of_input));
    }
}

#[test]
fn a_wrong_fraction_or_inverse_is_caught_by_its_own_gate() {
    let case = case();
    let public = case.lowered.public_inputs(&case.trace).unwrap();
    let (fraction, inverse) = (indicator(&case, 0, 7), case.spot(0, 2));
    let unused = indicator(&case, 0, 1);
    let of_phase = case.lowered.circuit.advice.iter().filter(|column| column.phase == 2);
    let columns = of_phase.map(|column| column.name.clone()).collect::<Vec<_>>();
    for (kind, gate, (index, row)) in [
        ("g", "fraction", fraction),
        ("g", "fraction", unused),
        ("u", "inverse", inverse),
        ("u", "inverse", (0, inverse.1 + 5)),
    ] {
        let name = format!("{kind}{index}");
        let column = columns.iter().position(|column| *column == name).unwrap();
        let forged = Forged { honest: case.witness(), phase: 2, column, row };
        let committed = case.witness().committed();
        let told = mock(&case.lowered.circuit, &case.lowered.fixed, &committed, &public, &forged).unwrap();
        assert!(names(&told).contains(&format!("{gate} {name}")), "{told:?}");
    }
}

#[test]
fn rows_other_than_the_committed_are_caught() {
    let case = case();
    for (weight, width) in [(0, 6), (1, 3)] {
        let mut others = case.sample.1.clone();
        others.0[weight][3 * width] -= 1;
        others.0[weight][3 * width + 1] += 1;
        let trace = run(&case.sample.0, &others, &case.sample.2).unwrap();
        let public = case.lowered.public_inputs(&trace).unwrap();
        let mut witness = case.lowered.witness(&trace, &others).unwrap();
        witness.cells.w = case.witness().cells.w.clone();
        assert!(place_of(&failures(&case.lowered, &witness, &public)).contains("Gather"));
        let witness = case.lowered.witness(&trace, &others).unwrap();
        let committed = case.witness().committed();
        let told = mock(&case.lowered.circuit, &case.lowered.fixed, &committed, &public, &witness).unwrap();
        assert!(names(&told).iter().any(|name| name.starts_with("chain")), "chains over other rows");
    }
}

/// With one factor for both, indicators of two lookups could be wrong by amounts that cancel each other.
#[test]
fn fractions_of_lookups_and_ties_of_relays_have_powers_of_their_own() {
    let lowered = Case::new(graphs::looked_up(), PRIVATE).lowered;
    let mut powers = std::collections::BTreeMap::<i32, std::collections::BTreeSet<String>>::new();
    for entry in &lowered.choice.ledger.entries {
        let power = entry.factor.0[Variable::Lambda as usize];
        let what = match (entry.slot, entry.identity) {
            (Slot::Fraction(_) | Slot::Inverse(_), Some(identity)) => format!("lookup {identity}"),
            (_, None) => "relay".to_owned(),
            _ => "identity".to_owned(),
        };
        powers.entry(power).or_default().insert(what);
    }
    assert!(powers.values().all(|kinds| kinds.len() == 1), "{powers:?}");
    let lookups = powers.values().flatten().filter(|what| what.starts_with("lookup")).count();
    assert_eq!((lookups, powers[&0].contains("identity")), (2, true));
}

/// `ids` row numbers into `rows` rows of `width`, and a product after them.
fn model(ids: i64, rows: i64, width: i64) -> Sample {
    let onnx = Onnx::new(&[1, ids]).noise("table", &[rows, width], 1.0).noise("w", &[width, 3], 1.0);
    let onnx = onnx.node("Gather", &["table", "x"], "e", vec![int("axis", 0)]);
    let mut proto = onnx.node("MatMul", &["e", "w"], "y", vec![]).proto("y");
    proto.graph.as_mut().unwrap().input[0] = value_info("x", DataType::Int64, &[1, ids]);
    let model = import_proto(&proto).unwrap();
    let record = |seed: i64| (0..ids).map(|id| ((seed * 331 + id * 577) % rows) as f32).collect::<Vec<_>>();
    let records = (0..8).map(record).collect::<Vec<_>>();
    let options = QuantiseOptions { shift: Some(8), q_bits: Some(13), ..QuantiseOptions::default() };
    let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
    let record = quantise_record(&graph, &records[3]).unwrap();
    (graph, weights, record)
}

#[test]
fn rows_of_a_vocabulary_of_a_thousand_are_proven() {
    let sample = model(5, 1000, 8);
    assert!(
        sample.0.row_numbers() == Some((0, 999))
            && sample.0.nodes.iter().all(|node| node.table.range().is_none_or(|(_, hi)| hi < 999))
    );
    for input in [InputVisibility::Private, InputVisibility::Committed] {
        let visibility = Visibility { input, weights: WeightVisibility::Hidden };
        let (_, report) = proving::prove_and_verify(&sample, visibility, &PlanOptions::default());
        let table = report.layers.iter().find(|layer| layer.operator == "Embedding").unwrap();
        assert!(table.cells < 8000 + 2000 + 200, "the table, a relay and a fraction each: {table:?}");
    }
}

#[test]
fn row_numbers_beside_another_input_are_proven() {
    let (ids, rows) = (6, 400);
    let onnx = Onnx::new(&[1, ids, 1]).input("ids", &[1, ids]).noise("table", &[rows, 5], 1.0);
    let onnx = onnx.node("Gather", &["table", "ids"], "e", vec![int("axis", 0)]);
    let mut proto = onnx.node("Mul", &["e", "x"], "y", vec![]).proto("y");
    proto.graph.as_mut().unwrap().input[1] = value_info("ids", DataType::Int64, &[1, ids]);
    let model = import_proto(&proto).unwrap();
    let mask = (0..ids).map(|id| (id % 2 * 3) as f32 - 1.0);
    let record =
        |seed: i64| mask.clone().chain((0..ids).map(move |id| ((seed * 331 + id * 577) % rows) as f32));
    let records = (0..8).map(|seed| record(seed).collect()).collect::<Vec<Vec<f32>>>();
    let options = QuantiseOptions { shift: Some(8), q_bits: Some(13), ..QuantiseOptions::default() };
    let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
    assert_eq!(graph.record_range(), (-128, 399));
    let record = quantise_record(&graph, &records[3]).unwrap();
    let sample = (graph, weights, record);
    for input in [InputVisibility::Private, InputVisibility::Committed] {
        let visibility = Visibility { input, weights: WeightVisibility::Hidden };
        proving::prove_and_verify(&sample, visibility, &PlanOptions::default());
    }
    // Another row's number in the copy that is looked up, and everything after it as for that row.
    let case = Case::new(sample, PRIVATE);
    let (graph, weights, record) = &case.sample;
    let mut other = record.clone();
    other[ids as usize] = (other[ids as usize] + 1) % rows as i32;
    let trace = run(graph, weights, &other).unwrap();
    let public = case.lowered.public_inputs(&trace).unwrap();
    let mut witness = case.lowered.witness(&trace, weights).unwrap();
    set_id(&case, &mut witness, ids as usize, record[ids as usize]);
    let told = failures(&case.lowered, &witness, &public);
    assert_eq!(names(&told), ["identities"], "{told:?}");
}
