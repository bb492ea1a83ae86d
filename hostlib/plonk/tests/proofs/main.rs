//! Proofs of a small circuit that uses everything there is, from witness to verdict.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod batch;
mod ceremony;
mod format;
mod keys;
mod privacy;
mod proving_key;
#[path = "../ptau_file/mod.rs"]
mod ptau_file;
mod refusals;
mod sample;
mod secrets;
mod verdict;
mod wide;
mod work;

use ark_bn254::Fr;
use ark_ff::Zero;
use kiln_plonk::circuit::{AdviceColumn, Gate, Lookup};
use kiln_plonk::expression::{Column, Expression};
use kiln_plonk::{
    CircuitError, ColumnValues, KeyError, MalformedProof, ProveError, Randomness, Rejection, Silent, Srs,
    VerifyError, Witness, WitnessError, keygen, mock, prove,
};
use sample::{Sample, Setting, cpu_engine, reference_engine};
use verdict::verify;

const REJECTED: Result<(), VerifyError> = Err(VerifyError::Rejected(Rejection::Pairing));

fn small() -> Setting {
    Setting::new(Sample::new(3, 4))
}

#[test]
fn the_sample_satisfies_its_circuit() {
    for (k, degree) in [(2, 3), (4, 5)] {
        let sample = Sample::new(k, degree);
        let weights = vec![sample.weights.clone()];
        let failures =
            mock(&sample.circuit, &sample.fixed, &weights, &sample.public_inputs(), &sample).unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    }
}

/// On few rows the quotient's excess is longer than the columns; at degree 6 most coefficients come from it.
#[test]
fn an_honest_proof_verifies_at_every_size_and_degree() {
    for (k, degree) in [(2, 3), (3, 3), (2, 6), (4, 4), (5, 5), (6, 3)] {
        let setting = Setting::new(Sample::new(k, degree));
        let proof = setting.prove(9);
        assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()), "k = {k}, degree = {degree}");
    }
}

#[test]
fn a_smaller_circuit_may_use_a_larger_srs() {
    let sample = Sample::new(3, 3);
    let (engine, srs) = (cpu_engine(), Srs::insecure_local(5, [7; 32]).unwrap());
    let (pk, vk) = sample.keys(&engine, &srs);
    let (secret, public) = sample.group(&engine, &srs, 1);
    let setting = small();
    let statement = kiln_plonk::Statement { public_inputs: sample.public_inputs(), committed: vec![public] };
    let rng = Randomness::insecure_from_seed([1; 32]);
    let (proof, report) = prove(&engine, &pk, &srs, &statement, &[secret], &sample, rng, &Silent).unwrap();
    assert_eq!(verify(&vk, &statement, &proof), Ok(()));
    let names: Vec<_> = report.rounds.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["statement", "phases", "lookup", "quotient", "evaluations", "opening", "self-check"]);
    let too_small = Srs::insecure_local(2, [7; 32]).unwrap();
    let refused = keygen(&engine, &too_small, sample.circuit.clone(), sample.fixed.clone());
    assert!(matches!(refused, Err(KeyError::SrsTooSmall { expected: 3, got: 2 })));
    let rng = Randomness::insecure_from_seed([1; 32]);
    let refused = prove(&engine, &pk, &setting.srs, &statement, &setting.secret, &sample, rng, &Silent);
    assert!(matches!(refused, Err(ProveError::SrsMismatch)));
}

#[test]
fn the_seed_and_nothing_else_determines_the_bytes() {
    let setting = small();
    let on_cpu = setting.prove(9);
    let on_reference = setting.prove_with(&reference_engine(), &setting.sample, 9).unwrap();
    assert!(on_cpu == on_reference);
    assert!(on_cpu != setting.prove(10));
}

#[test]
fn no_part_of_two_proofs_is_the_same() {
    let setting = small();
    let (a, b) = (setting.prove(1), setting.prove(2));
    assert_eq!(a[..8], b[..8]);
    // The evaluations of the fixed and permutation columns differ too: ζ does.
    for (i, (a, b)) in a[8..].chunks(32).zip(b[8..].chunks(32)).enumerate() {
        assert_ne!(a, b, "word {i}");
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    let setting = small();
    let proof = setting.prove(3);
    let mut rejected = 0;
    for i in 0..proof.len() {
        // Every byte of a few words, one byte of each other word.
        if i >= 80 && i % 32 != 8 + (i / 32) % 23 {
            continue;
        }
        let mut bytes = proof.clone();
        bytes[i] ^= 1 << (i % 8);
        match verify(&setting.vk, &setting.statement, &bytes) {
            Ok(()) => panic!("byte {i} does not matter"),
            Err(VerifyError::Rejected(_)) => rejected += 1,
            Err(VerifyError::Malformed(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(rejected > 0);
}

#[test]
fn bytes_that_are_no_proof_are_malformed() {
    let setting = small();
    let proof = setting.prove(3);
    let verdict = |bytes: &[u8]| verify(&setting.vk, &setting.statement, bytes);
    let malformed = |what| Err(VerifyError::Malformed(what));
    let expected = proof.len();
    for len in [0, 1, 7] {
        assert_eq!(verdict(&proof[..len]), malformed(MalformedProof::Header { expected: 1 }));
    }
    for len in [8, 9, 40, expected - 1] {
        assert_eq!(verdict(&proof[..len]), malformed(MalformedProof::Length { expected, got: len }));
    }
    let longer = [proof.as_slice(), &[0]].concat();
    assert_eq!(verdict(&longer), malformed(MalformedProof::Length { expected, got: expected + 1 }));
    for fill in [0x00, 0x40, 0x80, 0xff] {
        let mut bytes = proof.clone();
        bytes[8..].fill(fill);
        assert!(matches!(verdict(&bytes), Err(VerifyError::Malformed(MalformedProof::Point { .. }))));
    }
    // A first word that is the point at infinity, properly encoded.
    let mut bytes = proof.clone();
    bytes[8..40].fill(0);
    bytes[8] = 0x40;
    assert!(matches!(verdict(&bytes), Err(VerifyError::Malformed(MalformedProof::Point { .. }))));
    // An evaluation that is not reduced.
    let mut bytes = proof.clone();
    let evaluation = expected - 2 * 32 - 32;
    bytes[evaluation..evaluation + 32].fill(0xff);
    assert!(matches!(verdict(&bytes), Err(VerifyError::Malformed(MalformedProof::Scalar { .. }))));
}

#[test]
fn a_proof_is_bound_to_its_statement() {
    let setting = small();
    let proof = setting.prove(3);
    let mut other = setting.statement.clone();
    other.public_inputs[2] += Fr::from(1u64);
    assert_eq!(verify(&setting.vk, &other, &proof), REJECTED);
    // The same weights under another blinding, and other weights under the same.
    let mut other = setting.statement.clone();
    other.committed = vec![setting.sample.group(&setting.engine, &setting.srs, 2).1];
    assert_eq!(verify(&setting.vk, &other, &proof), REJECTED);
    let mut swapped = setting.statement.clone();
    swapped.committed[0].commitments.swap(0, 1);
    assert_eq!(verify(&setting.vk, &swapped, &proof), REJECTED);
    let mut fewer = setting.statement.clone();
    fewer.public_inputs.pop();
    assert!(matches!(verify(&setting.vk, &fewer, &proof), Err(VerifyError::Statement { .. })));
    let mut renamed = setting.statement.clone();
    renamed.committed[0].name = "input".to_owned();
    assert!(matches!(verify(&setting.vk, &renamed, &proof), Err(VerifyError::Statement { .. })));
    let mut none = setting.statement.clone();
    none.committed.clear();
    assert!(matches!(verify(&setting.vk, &none, &proof), Err(VerifyError::Statement { .. })));
}

#[test]
fn a_proof_is_bound_to_its_key() {
    let setting = small();
    let proof = setting.prove(3);
    let mut sample = setting.sample.clone();
    sample.circuit.meaning = "something else".to_owned();
    let (_, vk) = sample.keys(&setting.engine, &setting.srs);
    assert_eq!(verify(&vk, &setting.statement, &proof), REJECTED);
    let mut sample = setting.sample.clone();
    sample.circuit.copies.pop();
    let (_, vk) = sample.keys(&setting.engine, &setting.srs);
    assert_eq!(verify(&vk, &setting.statement, &proof), REJECTED);
}

/// A witness that tampers with one cell of an honest one.
struct Tampered<'a> {
    honest: &'a Sample,
    phase: u8,
    column: usize,
    row: usize,
}

impl Witness for Tampered<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.honest.phase(phase, challenges)?;
        if phase == self.phase {
            let mut values = columns[self.column].to_full();
            values[self.row] += Fr::from(1u64);
            columns[self.column] = ColumnValues::full(values);
        }
        Ok(columns)
    }
}

#[test]
fn no_proof_comes_out_of_a_witness_that_breaks_the_circuit() {
    let setting = small();
    // Every advice column, on the first, a middle and the last row. Values leave their tables or break their gate.
    for (phase, columns) in [(0, 0..4), (1, 0..2)] {
        for (column, row) in columns.flat_map(|column| [0, 4, 7].map(|row| (column, row))) {
            let witness = Tampered { honest: &setting.sample, phase, column, row };
            let refused = setting.prove_with(&setting.engine, &witness, 5);
            let unsatisfied = matches!(refused, Err(ProveError::Unsatisfied(VerifyError::Rejected(_))));
            let not_in_table = matches!(refused, Err(ProveError::NotInTable { .. }));
            assert!(unsatisfied || not_in_table, "phase {phase}, column {column}, row {row}: {refused:?}");
        }
    }
}

#[test]
fn no_proof_comes_out_of_a_broken_copy() {
    let mut sample = Sample::new(3, 4);
    // All gates and lookups hold, but x[0] = x[last] does not.
    sample.values[7] += 2;
    let setting = Setting::new(sample);
    let refused = setting.prove_with(&setting.engine, &setting.sample, 5);
    assert!(matches!(refused, Err(ProveError::Unsatisfied(VerifyError::Rejected(_)))));
}

#[test]
fn other_weights_than_the_committed_ones_prove_nothing() {
    let mut setting = small();
    setting.sample.weights[1] = ColumnValues::small(vec![4; 8]);
    let refused = setting.prove_with(&setting.engine, &setting.sample, 5);
    assert!(matches!(refused, Err(ProveError::Unsatisfied(_))));
    // With a commitment of their own they do.
    let setting = Setting::new(setting.sample);
    assert_eq!(verify(&setting.vk, &setting.statement, &setting.prove(5)), Ok(()));
}

#[test]
fn a_witness_of_the_wrong_shape_is_an_error() {
    struct Shape(usize, usize);
    impl Witness for Shape {
        fn phase(&self, _: u8, _: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
            Ok(vec![ColumnValues::full(vec![Fr::zero(); self.1]); self.0])
        }
    }
    let setting = small();
    for (columns, rows) in [(3, 8), (5, 8), (4, 7), (4, 9), (4, 0), (0, 0)] {
        let refused = setting.prove_with(&setting.engine, &Shape(columns, rows), 5);
        assert!(matches!(refused, Err(ProveError::Witness(_))), "{columns} columns, {rows} rows");
    }
}

fn circuit_error(change: impl FnOnce(&mut Sample)) -> CircuitError {
    let mut sample = Sample::new(3, 3);
    change(&mut sample);
    let srs = Srs::insecure_local(3, [7; 32]).unwrap();
    match keygen(&cpu_engine(), &srs, sample.circuit, sample.fixed) {
        Ok(_) => panic!("the circuit is accepted"),
        Err(KeyError::Circuit(error)) => error,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn circuits_that_break_a_rule_are_refused_with_the_name_of_the_gate() {
    let gate = |expression: Expression| {
        let error = circuit_error(|sample| sample.circuit.gates[1].expression = expression);
        let CircuitError::Expression { name, problem, .. } = error else { panic!("{error}") };
        assert_eq!(name, "power");
        problem
    };
    let committed = Column::Committed(0);
    assert!(gate(committed.here() * committed.here()).contains("multiplies"));
    assert!(gate(committed.here() * sample::EDGE.here()).contains("multiplies"));
    assert!(gate(committed.previous()).contains("rows on"));
    assert!(gate(Expression::Query(sample::X, 4)).contains("rows on"));
    assert!(gate(Expression::Query(sample::X, i32::MIN)).contains("rows on"));
    assert!(gate(Expression::Product(vec![sample::X.here(); 4])).contains("degree"));
    assert!(gate(Column::Advice(6).here()).contains("such columns"));
    assert!(gate(Column::Fixed(7).here()).contains("such columns"));
    let deep = (0..100).fold(sample::X.here(), |inner, _| Expression::Negated(Box::new(inner)));
    assert!(gate(deep).contains("nests"));
}

#[test]
fn circuits_out_of_range_are_refused() {
    assert!(matches!(circuit_error(|s| s.circuit.degree = 2), CircuitError::Range { what: "degree", .. }));
    assert!(matches!(circuit_error(|s| s.circuit.degree = 0), CircuitError::Range { what: "degree", .. }));
    assert!(matches!(circuit_error(|s| s.circuit.degree = 10), CircuitError::Range { what: "degree", .. }));
    assert!(matches!(circuit_error(|s| s.circuit.k = 0), CircuitError::Range { what: "k", .. }));
    assert!(matches!(circuit_error(|s| s.circuit.k = 40), CircuitError::Range { what: "k", .. }));
    assert!(matches!(circuit_error(|s| s.circuit.public_inputs = 7), CircuitError::Range { .. }));
    assert!(matches!(circuit_error(|s| s.circuit.copies[0].0.row = 8), CircuitError::Range { .. }));
    assert!(matches!(circuit_error(|s| s.circuit.instance_cells[0].row = 8), CircuitError::Range { .. }));
    assert!(matches!(circuit_error(|s| s.circuit.advice[0].phase = 2), CircuitError::Range { .. }));
    assert!(matches!(
        circuit_error(|s| s.circuit.copy_columns[0] = sample::EDGE),
        CircuitError::Expression { .. }
    ));
    assert!(matches!(
        circuit_error(|s| s.circuit.copies[0].0.column = sample::EDGE),
        CircuitError::Expression { .. }
    ));
    assert!(matches!(
        circuit_error(|s| s.circuit.lookups[0].inputs.clear()),
        CircuitError::Expression { .. }
    ));
    assert!(matches!(circuit_error(|s| s.circuit.lookups[0].table = 2), CircuitError::Expression { .. }));
    let linear = circuit_error(|s| s.circuit.lookups[0].inputs[0] = sample::EDGE.here());
    assert!(matches!(linear, CircuitError::Expression { what: "lookup", .. }));
    assert!(matches!(
        circuit_error(|s| drop(s.fixed.pop())),
        CircuitError::Count { expected: 7, got: 6, .. }
    ));
    assert!(matches!(
        circuit_error(|s| s.fixed[3] = ColumnValues::small(vec![1; 9])),
        CircuitError::Count { .. }
    ));
}

/// Neither lookups, tables, copies, phases nor challenges; and columns that nothing constrains.
#[test]
fn the_simplest_circuits_are_proven_too() {
    for gates in [0, 1] {
        let mut sample = Sample::new(2, 3);
        let circuit = &mut sample.circuit;
        circuit.lookups.clear();
        circuit.tables.clear();
        circuit.copies.clear();
        circuit.copy_columns.clear();
        circuit.gates.truncate(gates);
        circuit.challenges.clear();
        circuit.instance.clear();
        circuit.instance_cells.clear();
        circuit.advice.truncate(4);
        circuit.advice.iter_mut().for_each(|column: &mut AdviceColumn| column.phase = 0);
        let setting = Setting::new(sample);
        assert_eq!(verify(&setting.vk, &setting.statement, &setting.prove(5)), Ok(()));
    }
}

/// So many columns, gates and lookups that every sum over them takes several programs.
#[test]
fn a_circuit_too_wide_for_one_program_is_proven_too() {
    const COLUMNS: u32 = 160;
    let mut sample = Sample::new(2, 3);
    let circuit = &mut sample.circuit;
    let columns = circuit.advice.len() as u32..circuit.advice.len() as u32 + COLUMNS;
    for column in columns.clone().map(Column::Advice) {
        circuit.advice.push(AdviceColumn { name: "wide".to_owned(), phase: 1, linear: false });
        let products = Expression::Sum(
            (0..16)
                .map(|i| Expression::integer(i) * column.here() * (column.previous() - sample::X.here()))
                .collect(),
        );
        let expression = products - Expression::integer(120) * column.here() * column.previous()
            + Expression::integer(120) * column.here() * sample::X.here();
        circuit.gates.push(Gate { name: "wide".to_owned(), expression });
        circuit.lookups.push(Lookup { name: "wide".to_owned(), inputs: vec![column.here()], table: 0 });
    }
    let setting = Setting::new(sample);
    let witness = Wide { narrow: &setting.sample, columns: COLUMNS as usize, broken: None };
    let proof = setting.prove_with(&setting.engine, &witness, 5).unwrap();
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()));
    for broken in [0, 99, 159] {
        let witness = Wide { broken: Some(broken), ..witness };
        let refused = setting.prove_with(&setting.engine, &witness, 5);
        assert!(matches!(refused, Err(ProveError::NotInTable { .. })));
    }
}

/// The sample's witness and many columns more, one of them possibly out of its table.
#[derive(Clone, Copy)]
struct Wide<'a> {
    narrow: &'a Sample,
    columns: usize,
    broken: Option<usize>,
}

impl Witness for Wide<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.narrow.phase(phase, challenges)?;
        if phase == 1 {
            let rows = self.narrow.values.len() as i32;
            let value = |column: usize, row: i32| if self.broken == Some(column) { -1 } else { row };
            let wide = |column| ColumnValues::small((0..rows).map(|row| value(column, row)).collect());
            columns.extend((0..self.columns).map(wide));
        }
        Ok(columns)
    }
}
