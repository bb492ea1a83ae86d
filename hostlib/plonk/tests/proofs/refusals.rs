//! What a verifier must refuse: every damage to a proof, every other statement, every witness that is not one.

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInteger, Field, One, PrimeField};
use kiln_plonk::circuit::Circuit;
use kiln_plonk::{
    ColumnValues, MalformedProof, MockFailure, ProveError, Rejection, VerifyError, Witness, WitnessError,
    mock,
};

use crate::sample::{Sample, Setting};
use crate::verdict::verify;

const HEADER_BYTES: usize = 8;
const FALSE: Result<(), VerifyError> = Err(VerifyError::Rejected(Rejection::Pairing));

fn words(proof: &[u8]) -> usize {
    (proof.len() - HEADER_BYTES) / 32
}

fn word(proof: &mut [u8], index: usize) -> &mut [u8; 32] {
    proof[HEADER_BYTES + 32 * index..].first_chunk_mut().unwrap()
}

/// How many points come first in a proof of the sample; then the evaluations, then two points.
fn leading_points(circuit: &Circuit) -> usize {
    let group = circuit.degree as usize - 1;
    let segments: usize = circuit.tables.iter().map(|table| table.segments.len()).sum();
    let fractions = circuit.lookups.len() + segments + 2 * circuit.copy_columns.len();
    circuit.advice.len() + segments + fractions.div_ceil(group) + 1 + group
}

/// `word + modulus`, which is the same element and fits 32 bytes.
fn aliased(word: &mut [u8; 32], modulus: impl BigInteger) {
    let mut carry = 0u16;
    for (byte, add) in word.iter_mut().rev().zip(modulus.to_bytes_le()) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_be_bytes()[1];
        carry >>= 8;
    }
}

#[test]
fn a_negated_commitment_is_rejected() {
    let setting = Setting::new(Sample::new(2, 3));
    let proof = setting.prove(1);
    let (leading, count) = (leading_points(&setting.sample.circuit), words(&proof));
    for index in (0..leading).chain(count - 2..count) {
        let mut negated = proof.clone();
        word(&mut negated, index)[0] ^= 0x80;
        assert_eq!(verify(&setting.vk, &setting.statement, &negated), FALSE, "point {index}");
    }
}

#[test]
fn infinity_and_aliases_are_malformed() {
    let setting = Setting::new(Sample::new(2, 3));
    let proof = setting.prove(1);
    let (leading, count) = (leading_points(&setting.sample.circuit), words(&proof));
    for index in 0..count {
        let is_point = index < leading || index >= count - 2;
        let malformed = |change: &dyn Fn(&mut [u8; 32])| {
            let mut bytes = proof.clone();
            change(word(&mut bytes, index));
            let result = verify(&setting.vk, &setting.statement, &bytes);
            let expected = if is_point {
                matches!(result, Err(VerifyError::Malformed(MalformedProof::Point { .. })))
            } else {
                matches!(result, Err(VerifyError::Malformed(MalformedProof::Scalar { .. })))
            };
            assert!(expected, "word {index}: {result:?}");
        };
        if is_point {
            malformed(&|word| {
                word.fill(0);
                word[0] = 0x40;
            });
            malformed(&|word| {
                let sign = word[0] & 0x80;
                word[0] &= 0x7f;
                aliased(word, Fq::MODULUS);
                word[0] |= sign;
            });
        } else {
            malformed(&|word| aliased(word, Fr::MODULUS));
            malformed(&|word| word.fill(0xff));
        }
    }
}

#[test]
fn swapped_and_repeated_words_are_refused() {
    let setting = Setting::new(Sample::new(3, 4));
    let proof = setting.prove(2);
    for index in 1..words(&proof) {
        let (mut first, mut second) = (proof.clone(), proof.clone());
        let (first, second) = (*word(&mut first, index - 1), *word(&mut second, index));
        if first == second {
            continue;
        }
        let mut swapped = proof.clone();
        *word(&mut swapped, index - 1) = second;
        *word(&mut swapped, index) = first;
        assert!(verify(&setting.vk, &setting.statement, &swapped).is_err(), "swapped {index}");
        let mut repeated = proof.clone();
        *word(&mut repeated, index) = first;
        assert!(verify(&setting.vk, &setting.statement, &repeated).is_err(), "repeated {index}");
    }
}

#[test]
fn every_public_input_counts() {
    let setting = Setting::new(Sample::new(3, 4));
    let proof = setting.prove(3);
    for input in 0..setting.statement.public_inputs.len() {
        let mut stale = setting.statement.clone();
        stale.public_inputs[input] -= Fr::one();
        assert_eq!(verify(&setting.vk, &stale, &proof), FALSE, "public input {input}");
    }
}

#[test]
fn a_commitment_off_the_curve_is_malformed() {
    // no file can hold one, but a caller can make one
    let setting = Setting::new(Sample::new(2, 3));
    let mut statement = setting.statement.clone();
    statement.committed[0].commitments[0].x += Fq::one();
    let result = verify(&setting.vk, &statement, &setting.prove(3));
    assert!(matches!(result, Err(VerifyError::Statement { .. })), "{result:?}");
}

/// The sample with one advice value changed after the fact.
struct Changed<'a> {
    sample: &'a Sample,
    phase: u8,
    column: usize,
    row: usize,
}

impl Witness for Changed<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.sample.phase(phase, challenges)?;
        if phase == self.phase {
            let mut values = columns[self.column].to_full();
            values[self.row] += Fr::one();
            columns[self.column] = ColumnValues::full(values);
        }
        Ok(columns)
    }
}

#[test]
fn the_mock_checker_names_the_column_of_a_wrong_cell() {
    let sample = &Sample::new(3, 4);
    let cases =
        [(0, 0, "x"), (0, 1, "square"), (0, 2, "power"), (0, 3, "edge"), (1, 0, "chain"), (1, 1, "weighted")];
    for (phase, column, name) in cases {
        let changed = Changed { sample, phase, column, row: 4 };
        let weights = [sample.weights.clone()];
        let failures =
            mock(&sample.circuit, &sample.fixed, &weights, &sample.public_inputs(), &changed).unwrap();
        let names = |failure: &MockFailure| match failure {
            MockFailure::Gate { values, .. } | MockFailure::Lookup { values, .. } => {
                values.iter().any(|value| value.name == name)
            }
            MockFailure::Copy { .. } => false,
        };
        assert!(failures.iter().any(names), "{name}: {failures:?}");
    }
}

#[test]
fn a_value_outside_its_table_is_named() {
    let mut sample = Sample::new(2, 3);
    sample.values[2] = -1;
    let setting = Setting::new(sample);
    let result = setting.prove_with(&setting.engine, &setting.sample, 5);
    assert!(matches!(result, Err(ProveError::NotInTable { lookup, row: 2 }) if lookup == "range"));
}

#[test]
fn a_stale_public_input_gives_no_proof() {
    let mut setting = Setting::new(Sample::new(2, 3));
    setting.statement.public_inputs[1] = Fr::from(3).inverse().unwrap();
    let result = setting.prove_with(&setting.engine, &setting.sample, 5);
    assert!(matches!(result, Err(ProveError::Unsatisfied(_))), "{result:?}");
}
