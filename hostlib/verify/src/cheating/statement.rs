//! Statements that do not fit the circuit. Each proof is right but for that: it was made for the statement as it is.

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::One;

use super::prover::prove;
use super::sample::Setting;
use crate::check::{Check, without};
use crate::error::VerifyError;
use crate::keys::CommittedPublic;
use crate::statement::Statement;
use crate::verifier::verify;

/// Refused as a statement, but for this check; then the proof made for it is accepted.
fn bites(check: Check, change: impl FnOnce(&mut Statement)) {
    let setting = Setting::new();
    let mut statement = setting.statement.clone();
    change(&mut statement);
    let proof = without(&[check], || prove(&setting, &statement, &mut |_, _| ()));
    let verdict = || verify(&setting.vk, &statement, &proof);
    assert!(matches!(verdict(), Err(VerifyError::Statement { .. })), "{:?}", verdict());
    assert_eq!(without(&[check], verdict), Ok(()));
}

#[test]
fn a_public_input_that_the_circuit_does_not_read_is_refused() {
    bites(Check::PublicInputCount, |statement| statement.public_inputs.push(Fr::one()));
}

#[test]
fn a_missing_public_input_is_refused_and_never_taken_for_zero() {
    // The last value of the sample would be zero if it were not there.
    let mut setting = Setting::new();
    *setting.values.last_mut().unwrap() = Fr::from(0);
    setting.statement.public_inputs = setting.values.clone();
    let mut statement = setting.statement.clone();
    statement.public_inputs.pop();
    let proof = prove(&setting, &statement, &mut |_, _| ());
    let verdict = || verify(&setting.vk, &statement, &proof);
    assert!(matches!(verdict(), Err(VerifyError::Statement { .. })));
    assert_eq!(without(&[Check::PublicInputCount], verdict), Ok(()));
}

#[test]
fn a_committed_group_that_the_circuit_does_not_have_is_refused() {
    bites(Check::GroupCount, |statement| {
        let commitments = vec![G1Affine::generator()];
        statement.committed.push(CommittedPublic { name: "input".into(), commitments });
    });
}

#[test]
fn a_committed_group_under_another_name_is_refused() {
    bites(Check::GroupName, |statement| statement.committed[0].name = "input".into());
}

#[test]
fn a_committed_group_with_a_column_more_is_refused() {
    bites(Check::GroupColumns, |statement| {
        statement.committed[0].commitments.push(G1Affine::generator());
    });
}

#[test]
fn a_commitment_outside_the_group_is_refused() {
    // No file can hold one, but a caller can make one. No constraint reads the third column, so nothing else would see it.
    bites(Check::GroupOnCurve, |statement| {
        let point = &mut statement.committed[0].commitments[2];
        *point = G1Affine::new_unchecked(point.x, point.y + ark_bn254::Fq::one());
    });
}
