//! Bytes of proofs, and statements that do not belong to them.
//!
//! Promises: no panic; bounded memory; and only the proof itself, with its own statement, is accepted.

use ark_bn254::Fr;
use kiln_verify::encoding::{WORD_BYTES, g1_from_bytes, g1_to_bytes, scalar_from_bytes, scalar_to_bytes};
use kiln_verify::{Statement, verify};

use crate::bounded;
use crate::edits::{self, EDIT_BYTES, Words};
use crate::samples::{Valid, valid_samples};

const HEADER_BYTES: usize = 8;
const WORDS: Words = Words { first: HEADER_BYTES, stride: WORD_BYTES };

/// Memory that the verification of a sample may take, whatever the proof.
const MEMORY_BYTES: usize = 1 << 20;

/// Bits of the first byte: which sample, and what the rest is.
const RAW: u8 = 0x80;
const STATEMENT: u8 = 0x40;

/// The target: first byte, then a proof, a script for the proof, or a script for the statement.
pub fn run(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let samples = valid_samples();
    let sample = &samples[usize::from(first & 0x0f) % samples.len()];
    let mut proof = sample.proof.clone();
    let mut statement = sample.statement.clone();
    if first & RAW != 0 {
        proof = rest.to_vec();
    } else if first & STATEMENT != 0 {
        match edited_statement(sample, rest) {
            Some(edited) => statement = edited,
            None => return,
        }
    } else {
        edits::apply(&mut proof, WORDS, rest);
    }
    let accepted = bounded(MEMORY_BYTES + 2 * data.len(), || verify(&sample.vk, &statement, &proof)).is_ok();
    let honest = proof == sample.proof && statement == sample.statement;
    assert_eq!(accepted, honest, "a proof other than the honest one is accepted, or the honest one is not");
}

/// The statement with a script carried out on its words: public inputs, then commitments. None if what comes out is no
/// scalar, or no point.
fn edited_statement(sample: &Valid, script: &[u8]) -> Option<Statement> {
    let mut statement = sample.statement.clone();
    let scalars = statement.public_inputs.len();
    let mut bytes: Vec<u8> = statement.public_inputs.iter().flat_map(scalar_to_bytes).collect();
    bytes.extend(statement.committed.iter().flat_map(|group| group.commitments.iter().flat_map(g1_to_bytes)));
    edits::apply(&mut bytes, Words { first: 0, stride: WORD_BYTES }, script);
    let words = bytes.as_chunks().0;
    let (scalars, points) = words.split_at_checked(scalars)?;
    statement.public_inputs = scalars.iter().map(scalar_from_bytes).collect::<Result<Vec<Fr>, _>>().ok()?;
    let group = statement.committed.first_mut()?;
    group.commitments = points.iter().map(g1_from_bytes).collect::<Result<_, _>>().ok()?;
    Some(statement)
}

/// Every sample raw and without a change, and one change of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, sample) in (0u8..).zip(valid_samples()) {
        seeds.push([&[RAW | number], sample.proof.as_slice()].concat());
        for kind in [number, STATEMENT | number] {
            seeds.push(vec![kind]);
            seeds.extend((0..16).map(|what| script(kind, what)));
        }
    }
    seeds
}

/// A selector and one change.
pub(crate) fn script(selector: u8, what: u8) -> Vec<u8> {
    let mut script = vec![selector];
    script.extend([what, 0, 3, 0, 5, 1, 2, 3]);
    debug_assert_eq!(script.len(), 1 + EDIT_BYTES);
    script
}
