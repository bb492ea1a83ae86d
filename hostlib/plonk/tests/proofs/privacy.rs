//! What proofs show, and what they must not.

use std::collections::HashSet;

use kiln_plonk::{Randomness, commit_group};

use crate::sample::{Sample, Setting};

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
