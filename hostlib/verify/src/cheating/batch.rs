//! Proofs that are false one by one, and whose errors cancel.

use ark_bn254::G1Affine;
use ark_ec::{AffineRepr, CurveGroup};

use super::FALSE;
use super::prover::{Prover, Step};
use super::sample::Setting;
use crate::check::{Check, without};
use crate::verifier::{BatchError, BatchItem, verify, verify_batch};

/// A proof whose second opening point is off by this.
fn tampered(setting: &Setting, by: G1Affine) -> std::vec::Vec<u8> {
    Prover::new(setting, &setting.statement, 5).finish(&mut |step, prover| {
        if step == Step::WPrime {
            prover.w_prime = (prover.w_prime + by).into_affine();
        }
    })
}

#[test]
fn false_proofs_that_cancel_each_other_are_refused_by_the_weights_of_their_batch() {
    // The same proof twice: once with G added to W', which nothing absorbs, and once with G taken away.
    let setting = Setting::new();
    let g = G1Affine::generator();
    let proofs = [tampered(&setting, g), tampered(&setting, -g)];
    let item = |proof| BatchItem { key: &setting.vk, statement: &setting.statement, proof };
    let items = [item(&proofs[0]), item(&proofs[1])];
    for proof in &proofs {
        assert_eq!(verify(&setting.vk, &setting.statement, proof), Err(FALSE));
    }
    assert_eq!(verify_batch(&items), Err(BatchError::False { indices: std::vec![0, 1] }));
    assert_eq!(without(&[Check::BatchWeights], || verify_batch(&items)), Ok(()));
    // Honest proofs in one batch are accepted.
    let honest = [1, 2].map(|seed| Prover::new(&setting, &setting.statement, seed).finish(&mut |_, _| ()));
    assert_eq!(verify_batch(&[item(&honest[0]), item(&honest[1])]), Ok(()));
}
