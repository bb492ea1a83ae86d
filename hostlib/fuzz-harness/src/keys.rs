//! Key files and committed groups.
//!
//! Promises: no panic; memory bounded by the length of the file; what is accepted is written again as the same bytes; and a
//! verifier with a strange key still gives a verdict.

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use kiln_plonk::{CommittedSecret, ProvingKey};
use kiln_verify::{CommittedPublic, FileError, MalformedProof, Statement, VerifyError, VerifyingKey, verify};

use crate::bounded;
use crate::edits::{self, Words};
use crate::proof::script;
use crate::samples::{self, Valid, valid_samples, written, written_key};
use crate::sections;

const WORDS: Words = Words { first: 0, stride: 1 };

/// Memory that a key file may take: so much, and so much for each of its bytes.
const MEMORY_BYTES: usize = 4 << 20;
const MEMORY_PER_BYTE: usize = 4096;

/// The largest statement that is put to a strange key.
const COUNT_MAX: usize = 1 << 12;

/// Bits of the first byte: the file as it is, or a body to be sealed; otherwise a script for the body.
const RAW: u8 = 0x80;
const BODY: u8 = 0x40;
/// The other file of the same target.
const GROUP: u8 = 0x20;

/// The target for verifying keys and the public halves of committed groups.
pub fn verifying(data: &[u8]) {
    if is_group(data) {
        let Some((_, file)) = file(data, |sample| &sample.public_group_file) else { return };
        let read = bounded(bound(&file), || CommittedPublic::from_file_bytes(&file));
        round_trip(&file, read, CommittedPublic::to_file_bytes);
        return;
    }
    let Some((sample, file)) = file(data, |sample| &sample.vk_file) else { return };
    let Some(key) = bounded(bound(&file), || VerifyingKey::from_file_bytes(&file)).ok() else { return };
    let same = file == sample.vk_file;
    assert_eq!(same, key.digest() == sample.vk.digest(), "two files of one key");
    use_strange_key(&key);
    round_trip(&file, Ok::<_, FileError>(key), VerifyingKey::to_file_bytes);
}

/// The target for proving keys and the secret halves of committed groups.
pub fn proving(data: &[u8]) {
    if is_group(data) {
        let Some((_, file)) = file(data, |sample| &sample.secret_group_file) else { return };
        let read = bounded(bound(&file), || CommittedSecret::read(file.as_slice()));
        round_trip(&file, read, |group| written(|out| group.write(out)));
        return;
    }
    let Some((&first, rest)) = data.split_first() else { return };
    let samples = valid_samples();
    let mut file = rest.to_vec();
    if first & (RAW | BODY) == 0 {
        file = samples[usize::from(first & 0x0f) % samples.len()].pk_file.clone();
        edits::apply(&mut file, sections::WORDS, rest);
    }
    if first & RAW == 0 {
        sections::seal(&mut file);
    }
    // A key that is opened is not checked yet; one that passes the check is written as it was.
    let read =
        bounded(bound(&file), || ProvingKey::read(file.as_slice()).and_then(|key| key.check().map(|()| key)));
    round_trip(&file, read, written_key);
}

fn bound(file: &[u8]) -> usize {
    MEMORY_BYTES + MEMORY_PER_BYTE * file.len()
}

fn is_group(data: &[u8]) -> bool {
    data.first().is_some_and(|first| first & GROUP != 0)
}

/// The file that the input stands for, and the sample that it was made from.
fn file(data: &[u8], of: impl Fn(&Valid) -> &Vec<u8>) -> Option<(&'static Valid, Vec<u8>)> {
    let (&first, rest) = data.split_first()?;
    let samples = valid_samples();
    let sample = &samples[usize::from(first & 0x0f) % samples.len()];
    let valid = of(sample);
    if first & RAW != 0 {
        return Some((sample, rest.to_vec()));
    }
    if first & BODY != 0 {
        return Some((sample, samples::sealed(valid, rest)));
    }
    let mut body = samples::body(valid).to_vec();
    edits::apply(&mut body, WORDS, rest);
    Some((sample, samples::sealed(valid, &body)))
}

fn round_trip<T, E>(file: &[u8], read: Result<T, E>, write: impl Fn(&T) -> Vec<u8>) {
    if let Ok(value) = read {
        assert!(write(&value) == file, "what is read is written as other bytes");
    }
}

/// Verifies with a key that nobody made, a statement of the right shape, and a proof whose every word is both a scalar and
/// a point: all of the verifier runs.
fn use_strange_key(key: &VerifyingKey) {
    let circuit = key.circuit();
    let columns: usize = circuit.committed.iter().map(|group| group.columns as usize).sum();
    let runs: usize =
        circuit.instance_cells.iter().flat_map(|cell| &cell.runs).map(|run| run.len as usize).sum();
    if circuit.public_inputs as usize > COUNT_MAX || columns > COUNT_MAX || runs > COUNT_MAX {
        return;
    }
    let group = |name: &String, columns: u32| CommittedPublic {
        name: name.clone(),
        commitments: vec![G1Affine::generator(); columns as usize],
    };
    let statement = Statement {
        public_inputs: vec![Fr::from(1); circuit.public_inputs as usize],
        committed: circuit.committed.iter().map(|declared| group(&declared.name, declared.columns)).collect(),
    };
    let mut proof = b"KILNPRF\x01".to_vec();
    let verdict = verify(key, &statement, &proof);
    let Err(VerifyError::Malformed(MalformedProof::Length { expected, .. })) = verdict else {
        panic!("a header is taken for a proof: {verdict:?}");
    };
    let mut one = [0; 32];
    one[31] = 1;
    proof.extend(one.iter().cycle().take(expected - proof.len()));
    let verdict = verify(key, &statement, &proof);
    assert!(
        !matches!(verdict, Err(VerifyError::Malformed(_) | VerifyError::Statement { .. })),
        "{verdict:?}"
    );
}

/// Files, bodies and changes, of both kinds.
pub fn verifying_seeds() -> Vec<Vec<u8>> {
    seeds(|sample| [&sample.vk_file, &sample.public_group_file])
}

/// As [`verifying_seeds`].
pub fn proving_seeds() -> Vec<Vec<u8>> {
    seeds(|sample| [&sample.pk_file, &sample.secret_group_file])
}

fn seeds(files: impl Fn(&Valid) -> [&Vec<u8>; 2]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, sample) in (0u8..).zip(valid_samples()) {
        for (kind, file) in [number, GROUP | number].into_iter().zip(files(sample)) {
            seeds.push([&[RAW | kind], file.as_slice()].concat());
            let body = if file.starts_with(b"KILN-PK") { file } else { samples::body(file) };
            seeds.push([&[BODY | kind], body].concat());
            seeds.push(vec![kind]);
            seeds.extend((0..16).map(|what| script(kind, what)));
        }
    }
    seeds
}
