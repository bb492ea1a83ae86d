//! What proofs show, and what they must not.

use std::collections::HashSet;

use ark_bn254::Fr;
use ark_ff::One;
use kiln_plonk::encoding::scalar_to_bytes;
use kiln_plonk::{Randomness, commit_group};

use crate::sample::{Sample, Setting, reference_engine};

#[test]
fn two_proofs_of_one_statement_share_no_word_that_is_not_public() {
    let setting = Setting::new(Sample::new(3, 4));
    let (first, second) = (setting.prove(1), setting.prove(2));
    assert_eq!(first.len(), second.len());
    // Commitments of advice, multiplicities, helpers, running sum and quotient, evaluations, and the opening. The one
    // exception is public: a fixed column that is one on every row is one everywhere.
    let words = |proof: &[u8]| proof[8..].chunks(32).map(<[u8]>::to_vec).collect::<HashSet<_>>();
    let shared = words(&first).intersection(&words(&second)).cloned().collect::<Vec<_>>();
    assert_eq!(shared, [scalar_to_bytes(&Fr::one()).to_vec()]);
}

#[test]
fn equal_columns_have_different_commitments() {
    // in one proof, and in one group
    let mut sample = Sample::new(2, 3);
    sample.weights[1] = sample.weights[0].clone();
    let setting = Setting::new(sample);
    let commitments = &setting.statement.committed[0].commitments;
    assert_ne!(commitments[0], commitments[1]);
    let proof = setting.prove(1);
    let words = proof[8..].chunks(32).collect::<Vec<_>>();
    assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
}

#[test]
fn a_public_group_can_be_recomputed_and_a_hidden_one_cannot() {
    let setting = Setting::new(Sample::new(2, 3));
    let commit = |hiding, seed| {
        let mut rng = Randomness::insecure_from_seed([seed; 32]);
        let weights = setting.sample.weights.clone();
        commit_group(&setting.engine, &setting.srs, 2, "model", weights, hiding, &mut rng).unwrap()
    };
    assert_eq!(commit(false, 1).1, commit(false, 2).1);
    assert_ne!(commit(true, 1).1, commit(true, 2).1);
    assert!(commit(true, 1).0.is_hiding() && !commit(false, 1).0.is_hiding());
}

#[test]
fn one_seed_gives_the_same_proof_on_every_backend() {
    let setting = Setting::new(Sample::new(3, 5));
    let on_reference = setting.prove_with(&reference_engine(), &setting.sample, 6).unwrap();
    assert_eq!(on_reference, setting.prove(6));
}
