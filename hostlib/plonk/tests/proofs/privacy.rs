//! What proofs show, and what they must not.

use std::collections::HashSet;

use ark_bn254::Fr;
use ark_ff::One;
use kiln_plonk::circuit::{AdviceColumn, Gate};
use kiln_plonk::expression::{Column, Expression};
use kiln_plonk::{
    ColumnValues, ProveError, Randomness, Rejection, VerifyError, Witness, WitnessError, commit_group,
};

use crate::sample::{Sample, Setting};
use crate::verdict::verify;

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

/// The sample, and the square of a hidden weight on each row.
struct Squares {
    sample: Sample,
    /// A row on which the re-randomised column is not the committed one.
    wrong_row: Option<usize>,
}

impl Squares {
    fn setting() -> Setting {
        let mut sample = Sample::new(3, 4);
        let weight = sample.circuit.re_randomise(0, "weight");
        let square = Column::Advice(sample.circuit.advice.len() as u32);
        sample.circuit.advice.push(AdviceColumn {
            name: "square of the weight".into(),
            phase: 0,
            linear: false,
        });
        let expression = square.here() - Expression::Product(vec![weight.here(), weight.here()]);
        sample.circuit.gates.push(Gate { name: "square of the weight".into(), expression });
        Setting::new(sample)
    }

    fn prove(setting: &Setting, wrong_row: Option<usize>, seed: u8) -> Result<Vec<u8>, ProveError> {
        setting.prove_with(&setting.engine, &Self { sample: setting.sample.clone(), wrong_row }, seed)
    }
}

impl Witness for Squares {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.sample.phase(phase, challenges)?;
        if phase == 0 {
            let mut weights = self.sample.weights[0].to_full();
            if let Some(row) = self.wrong_row {
                weights[row] += Fr::one();
            }
            let squares = weights.iter().map(|weight| *weight * weight).collect();
            columns.extend([ColumnValues::full(weights), ColumnValues::full(squares)]);
        }
        Ok(columns)
    }
}

#[test]
fn two_proofs_by_one_hidden_model_share_nothing_but_its_commitment() {
    // Once where the model enters linearly only, and once where its values are multiplied.
    let linear = Setting::new(Sample::new(3, 4));
    let squares = Squares::setting();
    let proofs = [
        [linear.prove(1), linear.prove(2)],
        [1, 2].map(|seed| Squares::prove(&squares, None, seed).unwrap()),
    ];
    for ([a, b], setting) in proofs.iter().zip([&linear, &squares]) {
        for proof in [a, b] {
            assert_eq!(verify(&setting.vk, &setting.statement, proof), Ok(()));
        }
        let words = |proof: &[u8]| proof[8..].chunks(32).map(<[u8]>::to_vec).collect::<HashSet<_>>();
        let (a, b) = (words(a), words(b));
        assert!(a.is_disjoint(&b), "a commitment, an evaluation or an opening is in both");
        for commitment in &setting.statement.committed[0].commitments {
            let commitment = kiln_plonk::encoding::g1_to_bytes(commitment).to_vec();
            assert!(!a.contains(&commitment) && !b.contains(&commitment), "a proof repeats the commitment");
        }
    }
}

#[test]
fn a_re_randomised_column_that_is_not_the_committed_one_proves_nothing() {
    let setting = Squares::setting();
    for row in 0..8 {
        let refused = Squares::prove(&setting, Some(row), 3);
        let expected = VerifyError::Rejected(Rejection::Pairing);
        assert!(matches!(refused, Err(ProveError::Unsatisfied(error)) if error == expected), "row {row}");
    }
}
