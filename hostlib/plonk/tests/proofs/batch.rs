//! Many proofs, one pairing check.

use ark_bn254::G1Affine;
use ark_ec::{AffineRepr, CurveGroup};
use kiln_plonk::encoding::{g1_from_bytes, g1_to_bytes};
use kiln_plonk::{BatchError, BatchItem, Rejection, Srs, VerifyError};

use crate::sample::{Sample, Setting, cpu_engine};
use crate::verdict::{verify, verify_batch};

const FALSE: VerifyError = VerifyError::Rejected(Rejection::Pairing);

fn item<'a>(setting: &'a Setting, proof: &'a [u8]) -> BatchItem<'a> {
    BatchItem { key: &setting.vk, statement: &setting.statement, proof }
}

/// The proof with its last point, W', moved by a point.
fn shifted(proof: &[u8], by: G1Affine) -> Vec<u8> {
    let (rest, last) = proof.split_last_chunk::<32>().unwrap();
    let point = (g1_from_bytes(last).unwrap() + by).into_affine();
    [rest, &g1_to_bytes(&point)].concat()
}

#[test]
fn proofs_under_different_keys_hold_together() {
    let settings = [Sample::new(3, 4), Sample::new(3, 3)].map(Setting::new);
    let proofs: Vec<_> = settings.iter().flat_map(|s| [(s, s.prove(1)), (s, s.prove(2))]).collect();
    let items: Vec<_> = proofs.iter().map(|(setting, proof)| item(setting, proof)).collect();
    for count in 1..=items.len() {
        assert_eq!(verify_batch(&items[..count]), Ok(()), "{count} proofs");
    }
    // and the same one twice
    assert_eq!(verify_batch(&[items[1], items[1]]), Ok(()));
}

#[test]
fn false_proofs_are_found_among_many() {
    let setting = Setting::new(Sample::new(3, 4));
    let proofs: Vec<_> = (0..5).map(|seed| setting.prove(seed)).collect();
    let mut items: Vec<_> = proofs.iter().map(|proof| item(&setting, proof)).collect();
    let mut other = setting.statement.clone();
    other.public_inputs[0] += ark_bn254::Fr::from(1);
    items[3].statement = &other;
    assert_eq!(verify_batch(&items), Err(BatchError::False { indices: vec![3] }));
    let wrong = shifted(&proofs[0], G1Affine::generator());
    items[0].proof = &wrong;
    assert_eq!(verify_batch(&items), Err(BatchError::False { indices: vec![0, 3] }));
}

/// Both are false by the same error with opposite signs, and share all challenges: their plain sum would hold.
#[test]
fn errors_of_opposite_sign_do_not_cancel() {
    let setting = Setting::new(Sample::new(3, 4));
    let proof = setting.prove(1);
    let by = G1Affine::generator();
    let wrong = [shifted(&proof, by), shifted(&proof, -by)];
    for proof in &wrong {
        assert_eq!(verify(&setting.vk, &setting.statement, proof), Err(FALSE));
    }
    let items = wrong.each_ref().map(|proof| item(&setting, proof));
    assert_eq!(verify_batch(&items), Err(BatchError::False { indices: vec![0, 1] }));
}

#[test]
fn batches_that_cannot_be_checked_are_errors_and_no_verdicts() {
    assert_eq!(verify_batch(&[]), Err(BatchError::Empty));
    let setting = Setting::new(Sample::new(3, 4));
    let proof = setting.prove(1);
    let result = verify_batch(&[item(&setting, &proof), item(&setting, &proof[1..])]);
    assert!(matches!(result, Err(BatchError::Item { index: 1, source: VerifyError::Malformed(_) })));
    let srs = Srs::insecure_local(4, [8; 32]).unwrap();
    let other = Setting::with_srs(Sample::new(4, 4), cpu_engine(), srs);
    let apart = other.prove(1);
    let result = verify_batch(&[item(&setting, &proof), item(&other, &apart)]);
    assert_eq!(result, Err(BatchError::AnotherSrs { index: 1 }));
}
