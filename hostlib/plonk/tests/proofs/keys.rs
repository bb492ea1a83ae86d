//! Keys and committed groups as files.

use kiln_plonk::{
    CommittedPublic, CommittedSecret, FileError, KeyFileError, Randomness, Silent, VerifyingKey, prove,
};
use sha3::{Digest, Keccak256};

use crate::proving_key;
use crate::sample::{Sample, Setting};
use crate::verdict::verify;

const HEADER_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 32;

/// What `write` writes.
fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), KeyFileError>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    bytes
}

/// The file with another body, framed as it should be.
fn resealed(file: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = file[..HEADER_BYTES - 8].to_vec();
    bytes.extend((body.len() as u64).to_be_bytes());
    bytes.extend(body);
    let checksum = Keccak256::digest(&bytes);
    bytes.extend(checksum);
    bytes
}

fn body(file: &[u8]) -> &[u8] {
    &file[HEADER_BYTES..file.len() - CHECKSUM_BYTES]
}

#[test]
fn keys_and_groups_from_files_prove_and_verify() {
    let setting = Setting::new(Sample::new(3, 4));
    let pk = proving_key::reread(&setting, |_| {}).unwrap();
    let vk = VerifyingKey::from_file_bytes(&setting.vk.to_file_bytes()).unwrap();
    let public = &setting.statement.committed[0];
    let public_again = CommittedPublic::from_file_bytes(&public.to_file_bytes()).unwrap();
    let secret = CommittedSecret::read(written(|out| setting.secret[0].write(out)).as_slice()).unwrap();
    assert_eq!(vk.digest(), setting.vk.digest());
    assert_eq!(pk.verifying_key().digest(), setting.vk.digest());
    assert_eq!((&public_again, public_again.id()), (public, public.id()));
    let rng = Randomness::insecure_from_seed([4; 32]);
    let (engine, srs, witness) = (&setting.engine, &setting.srs, &setting.sample);
    let (proof, _) = prove(engine, &pk, srs, &setting.statement, &[secret], witness, rng, &Silent).unwrap();
    assert_eq!(verify(&vk, &setting.statement, &proof), Ok(()));
    assert_eq!(proof, setting.prove(4));
}

#[test]
fn a_damaged_key_file_is_refused() {
    let setting = Setting::new(Sample::new(2, 3));
    let file = setting.vk.to_file_bytes();
    for index in 0..file.len() {
        let mut flipped = file.clone();
        flipped[index] ^= 1 << (index % 8);
        assert!(VerifyingKey::from_file_bytes(&flipped).is_err(), "byte {index}");
    }
    for length in (0..file.len()).step_by(7) {
        assert!(VerifyingKey::from_file_bytes(&file[..length]).is_err(), "{length} bytes");
    }
    let pk = proving_key::written(&setting);
    let result = VerifyingKey::from_file_bytes(&pk);
    assert!(matches!(result, Err(FileError::AnotherKind { expected: "verifying key" })));
}

#[test]
fn a_forged_key_file_is_refused_or_is_another_key() {
    let setting = Setting::new(Sample::new(2, 3));
    let file = setting.vk.to_file_bytes();
    for index in 0..body(&file).len() {
        for change in [1, 0x80, 0xff] {
            let mut body = body(&file).to_vec();
            body[index] ^= change;
            // the file is sound, its content need not be: no panic, no second file of the same key
            if let Ok(key) = VerifyingKey::from_file_bytes(&resealed(&file, &body)) {
                assert_ne!(key.digest(), setting.vk.digest(), "byte {index}");
            }
        }
    }
    for length in 0..body(&file).len() {
        let shorter = resealed(&file, &body(&file)[..length]);
        assert!(VerifyingKey::from_file_bytes(&shorter).is_err(), "{length} bytes");
    }
    let longer = resealed(&file, &[body(&file), &[0]].concat());
    assert!(matches!(VerifyingKey::from_file_bytes(&longer), Err(FileError::Malformed(_))));
}

#[test]
fn a_damaged_group_is_refused() {
    let setting = Setting::new(Sample::new(2, 3));
    let public = setting.statement.committed[0].to_file_bytes();
    let secret = written(|out| setting.secret[0].write(out));
    for bit in 0..8 * public.len() {
        let mut flipped = public.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(CommittedPublic::from_file_bytes(&flipped).is_err(), "bit {bit}");
    }
    for bit in 0..8 * secret.len() {
        let mut flipped = secret.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(CommittedSecret::read(flipped.as_slice()).is_err(), "bit {bit}");
    }
    let off_curve = body(&public).len() - 1;
    let mut forged = body(&public).to_vec();
    forged[off_curve - 31] |= 0x3f;
    assert!(matches!(
        CommittedPublic::from_file_bytes(&resealed(&public, &forged)),
        Err(FileError::Malformed(_))
    ));
}
