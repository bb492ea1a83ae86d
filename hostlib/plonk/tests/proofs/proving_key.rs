//! Proving keys as files that are used in place.

use std::io::Cursor;

use kiln_plonk::{ProveError, ProvingKey, ProvingKeyError, Randomness, SectionError, Silent, prove};

use crate::sample::{Sample, Setting};

const PAGE_BYTES: usize = 4096;
/// Of the sample: fixed columns, and columns in all.
const FIXED: usize = 7;

/// The file of the setting's key.
pub fn written(setting: &Setting) -> Vec<u8> {
    setting.pk.write(&setting.engine, Cursor::new(Vec::new())).unwrap().into_inner()
}

/// The key from its file, with the bytes changed.
pub fn reread(setting: &Setting, change: impl FnOnce(&mut Vec<u8>)) -> Result<ProvingKey, ProvingKeyError> {
    let mut bytes = written(setting);
    change(&mut bytes);
    ProvingKey::read(bytes.as_slice())
}

fn proof(setting: &Setting, pk: &ProvingKey) -> Result<Vec<u8>, ProveError> {
    let rng = Randomness::insecure_from_seed([4; 32]);
    let Setting { engine, srs, statement, secret, sample, .. } = setting;
    prove(engine, pk, srs, statement, secret, sample, rng, &Silent).map(|(proof, _)| proof)
}

/// Where section `index` starts: each of the sample's, but the first, fills one page.
fn section_at(file: &[u8], index: usize) -> usize {
    let columns = 2 * (FIXED + Sample::new(3, 4).circuit.copy_columns.len());
    file.len() - PAGE_BYTES * (columns + 1 - index)
}

#[test]
fn a_key_in_place_gives_the_same_proof_as_the_key_in_memory() {
    let setting = Setting::new(Sample::new(3, 4));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    setting.pk.write(&setting.engine, std::fs::File::create(&path).unwrap()).unwrap();
    let mapped = ProvingKey::open(&path).unwrap();
    mapped.check().unwrap();
    let expected = setting.prove(4);
    assert_eq!(proof(&setting, &mapped).unwrap(), expected);
    assert_eq!(proof(&setting, &reread(&setting, |_| {}).unwrap()).unwrap(), expected);
    // What was opened is written as it was.
    let again = mapped.write(&setting.engine, Cursor::new(Vec::new())).unwrap().into_inner();
    assert_eq!(again, written(&setting));
}

#[test]
fn a_key_without_coefficients_is_smaller_gives_the_same_proof_and_stays_as_it_is() {
    let setting = Setting::new(Sample::new(3, 4));
    let bytes = setting.pk.write_values(Cursor::new(Vec::new())).unwrap().into_inner();
    let file = written(&setting);
    let columns = FIXED + setting.sample.circuit.copy_columns.len();
    assert_eq!(bytes.len() + columns * PAGE_BYTES, file.len());
    let key = ProvingKey::read(bytes.as_slice()).unwrap();
    key.check().unwrap();
    assert_eq!(proof(&setting, &key).unwrap(), setting.prove(4));
    assert_eq!(key.write(&setting.engine, Cursor::new(Vec::new())).unwrap().into_inner(), bytes);
}

#[test]
fn damage_is_found_by_a_check_and_never_makes_a_wrong_proof() {
    let setting = Setting::new(Sample::new(3, 4));
    let (file, expected) = (written(&setting), setting.prove(4));
    let columns_at = section_at(&file, 1);
    for at in (0..columns_at).step_by(11) {
        // What is no column is found when the key is opened or, between the sections, when it is checked.
        let key = reread(&setting, |bytes| bytes[at] ^= 1);
        assert!(key.is_err() || key.is_ok_and(|key| key.check().is_err()), "byte {at}");
    }
    let columns = (file.len() - columns_at) / PAGE_BYTES;
    for column in 0..columns {
        for at in [0, 7, 33, 1000] {
            let key = reread(&setting, |bytes| bytes[columns_at + column * PAGE_BYTES + at] ^= 0x41).unwrap();
            assert!(key.check().is_err(), "column {column}, byte {at}");
            match proof(&setting, &key) {
                // No constraint, or only a lookup that never happens, reads what was damaged.
                Ok(proof) => assert!(at == 1000 || proof == expected, "column {column}, byte {at}"),
                Err(error) => assert!(
                    matches!(
                        error,
                        ProveError::Unsatisfied(_) | ProveError::NotInTable { .. } | ProveError::Key(_)
                    ),
                    "{error}"
                ),
            }
        }
    }
}

#[test]
fn numbers_that_are_no_field_elements_are_refused_by_column() {
    let setting = Setting::new(Sample::new(3, 4));
    let file = written(&setting);
    let last = (file.len() - section_at(&file, 1)) / PAGE_BYTES;
    for section in [last, last - FIXED] {
        let key = reread(&setting, |bytes| {
            let at = section_at(&file, section) + 2 * 32;
            bytes[at..at + 32].fill(0xff);
        });
        let error = proof(&setting, &key.unwrap()).unwrap_err();
        let expected = section - 1;
        assert!(
            matches!(error, ProveError::Key(ProvingKeyError::Element { column }) if column == expected),
            "{error:?}"
        );
    }
}

#[test]
fn another_file_or_version_is_named() {
    let setting = Setting::new(Sample::new(2, 3));
    let vk = setting.vk.to_file_bytes();
    let error = |result: Result<ProvingKey, ProvingKeyError>| match result {
        Err(ProvingKeyError::File(error)) => error,
        other => panic!("{:?}", other.map(|_| ())),
    };
    let another = error(ProvingKey::read(vk.as_slice()));
    assert!(matches!(another, SectionError::AnotherKind { expected: "proving key" }));
    let version = error(reread(&setting, |bytes| bytes[11] = 1));
    assert!(matches!(version, SectionError::UnknownVersion { expected: 3, got: 1, .. }));
    let short = error(reread(&setting, |bytes| bytes.truncate(bytes.len() - 1)));
    assert!(matches!(short, SectionError::Truncated { .. }));
}
