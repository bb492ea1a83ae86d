//! What a verifier must refuse: every damage to a proof, every other statement, every witness that is not one.

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInteger, Field, One, PrimeField};
use kiln_plonk::circuit::Circuit;
use kiln_plonk::{
    ColumnValues, MalformedProof, MockFailure, ProveError, Rejection, Statement, VerifyError, Witness,
    WitnessError, mock, verify,
};

use crate::sample::{Sample, Setting};

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
fn a_flipped_bit_in_any_byte_of_a_proof_is_refused() {
    let setting = Setting::new(Sample::new(2, 3));
    let proof = setting.prove(1);
    for index in 0..proof.len() {
        let mut flipped = proof.clone();
        flipped[index] ^= 1 << (index % 8);
        assert!(verify(&setting.vk, &setting.statement, &flipped).is_err(), "byte {index}");
    }
    // the sign of each point is a byte's highest bit: still a point, but not the right one
    for index in 0..leading_points(&setting.sample.circuit) {
        let mut negated = proof.clone();
        word(&mut negated, index)[0] ^= 0x80;
        assert_eq!(verify(&setting.vk, &setting.statement, &negated), FALSE, "point {index}");
    }
}

#[test]
fn truncated_and_prolonged_proofs_are_malformed() {
    let setting = Setting::new(Sample::new(2, 3));
    let proof = setting.prove(1);
    for got in (0..proof.len()).chain([proof.len() + 1, proof.len() + 32]) {
        let mut bytes = proof.clone();
        bytes.resize(got, 0);
        let result = verify(&setting.vk, &setting.statement, &bytes);
        assert!(matches!(result, Err(VerifyError::Malformed(_))), "{got} bytes");
        if got >= HEADER_BYTES {
            let expected = proof.len();
            assert_eq!(result, Err(VerifyError::Malformed(MalformedProof::Length { expected, got })));
        }
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
fn a_proof_serves_no_other_statement() {
    let setting = Setting::new(Sample::new(2, 3));
    let proof = setting.prove(3);
    for input in 0..setting.statement.public_inputs.len() {
        let mut stale = setting.statement.clone();
        stale.public_inputs[input] += Fr::one();
        assert_eq!(verify(&setting.vk, &stale, &proof), FALSE, "public input {input}");
    }
    // the same weights in another hiding, and other weights
    let mut other = Sample::new(2, 3);
    let (_, rehidden) = other.group(&setting.engine, &setting.srs, 2);
    other.weights[0] = ColumnValues::small(vec![-2, -1, 0, 2]);
    let (_, other_weights) = other.group(&setting.engine, &setting.srs, 1);
    for group in [rehidden, other_weights] {
        let statement = Statement { committed: vec![group], ..setting.statement.clone() };
        assert_eq!(verify(&setting.vk, &statement, &proof), FALSE);
    }
    let mut swapped = setting.statement.clone();
    swapped.committed[0].commitments.swap(0, 1);
    assert_eq!(verify(&setting.vk, &swapped, &proof), FALSE);
}

#[test]
fn a_statement_of_another_shape_is_malformed() {
    let setting = Setting::new(Sample::new(2, 3));
    let proof = setting.prove(3);
    let refused = |change: &dyn Fn(&mut Statement)| {
        let mut statement = setting.statement.clone();
        change(&mut statement);
        let result = verify(&setting.vk, &statement, &proof);
        assert!(matches!(result, Err(VerifyError::Statement { .. })), "{result:?}");
    };
    refused(&|statement| statement.public_inputs.push(Fr::one()));
    refused(&|statement| statement.public_inputs.truncate(3));
    refused(&|statement| statement.committed.clear());
    refused(&|statement| statement.committed[0].name.push('s'));
    refused(&|statement| statement.committed[0].commitments.truncate(1));
    // a point off the curve, which no file can hold, but a caller can make
    refused(&|statement| statement.committed[0].commitments[0].x += Fq::one());
}

#[test]
fn a_proof_serves_no_other_key() {
    let setting = Setting::new(Sample::new(2, 3));
    let proof = setting.prove(3);
    // one fixed cell, one copy, one gate's constant, or only the meaning of the public inputs differs
    let other = |change: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::new(2, 3);
        change(&mut sample);
        Setting::new(sample).vk
    };
    let keys = [
        other(&|sample| sample.fixed[0] = ColumnValues::small(vec![1, 1, 0, 1])),
        other(&|sample| sample.circuit.copies.truncate(2)),
        other(&|sample| sample.circuit.gates[0].name.push('!')),
        other(&|sample| sample.circuit.meaning.push_str("in thousands")),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(verify(key, &setting.statement, &proof), FALSE, "key {index}");
    }
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
fn one_wrong_cell_gives_no_proof_and_is_named_by_the_mock_checker() {
    let setting = Setting::new(Sample::new(2, 3));
    let sample = &setting.sample;
    let cases =
        [(0, 0, "x"), (0, 1, "square"), (0, 2, "power"), (0, 3, "edge"), (1, 0, "chain"), (1, 1, "weighted")];
    for (phase, column, name) in cases {
        let changed = Changed { sample, phase, column, row: 2 };
        let result = setting.prove_with(&setting.engine, &changed, 5);
        let refused = matches!(result, Err(ProveError::Unsatisfied(_) | ProveError::NotInTable { .. }));
        // an edge is only read by the chain that is computed over it
        assert!(refused, "{name}: {:?}", result.err());
        let weights = [sample.weights.clone()];
        let failures =
            mock(&sample.circuit, &sample.fixed, &weights, &sample.public_inputs(), &changed).unwrap();
        assert!(!failures.is_empty(), "{name}");
        let read = failures.iter().any(|failure| match failure {
            MockFailure::Gate { values, .. } | MockFailure::Lookup { values, .. } => {
                values.iter().any(|value| value.name == name)
            }
            MockFailure::Copy { .. } => false,
        });
        assert!(read, "{name}: {failures:?}");
    }
}

#[test]
fn weights_other_than_those_committed_to_give_no_proof() {
    let mut setting = Setting::new(Sample::new(2, 3));
    let mut other = Sample::new(2, 3);
    other.weights[1] = ColumnValues::small(vec![5, 2, -1, -3]);
    let (secret, _) = other.group(&setting.engine, &setting.srs, 1);
    setting.secret = vec![secret];
    // the chain over the weights is that of the other weights, so all gates hold for the prover
    let result = setting.prove_with(&setting.engine, &other, 5);
    assert!(matches!(result, Err(ProveError::Unsatisfied(_))), "{result:?}");
}

#[test]
fn a_violated_copy_gives_no_proof() {
    let mut sample = Sample::new(2, 3);
    // all gates and lookups hold, but x[0] and x[3] differ
    sample.values[3] = sample.values[0] + 1;
    let setting = Setting::new(sample);
    let result = setting.prove_with(&setting.engine, &setting.sample, 5);
    assert!(matches!(result, Err(ProveError::Unsatisfied(_))), "{result:?}");
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
