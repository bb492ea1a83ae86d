//! Cheats, each of which breaks exactly one thing, and the check that refuses it.
//!
//! Every test here makes a proof of something false, or takes a liberty with true bytes, and shows two things: the
//! verifier refuses with the reason that is expected; and the same verifier *without one named check* accepts. So it is that
//! check, and none of the others, that the refusal rests on. Where two checks each refuse by themselves, the test says so:
//! without both the cheat passes, without either alone it does not.
//!
//! The cheater knows which check is missing and does its best: with a commitment that is not absorbed it waits for the
//! challenge, with a constraint that is not enforced it leaves it out of its quotient, and so on.

mod arguments;
mod batch;
mod bytes;
mod document;
mod opening;
mod polynomial;
mod prover;
mod sample;
mod statement;
mod transcript;

use std::vec::Vec;

use self::prover::{Prover, Step, prove};
use self::sample::Setting;
use crate::check::{Check, without};
use crate::error::{Rejection, VerifyError};
use crate::verifier::verify;

/// The proof is well-formed and false.
const FALSE: VerifyError = VerifyError::Rejected(Rejection::Pairing);

/// A lie between the steps of a proof of the setting's own statement: refused as false, but for these checks.
fn bites(setting: &Setting, checks: &[Check], lie: &mut dyn FnMut(Step, &mut Prover<'_>)) {
    let proof = without(checks, || prove(setting, &setting.statement, lie));
    bites_bytes(setting, checks, &proof, &FALSE);
}

/// As [`bites`], for the bytes of a proof of the setting's statement.
fn bites_bytes(setting: &Setting, checks: &[Check], proof: &[u8], refusal: &VerifyError) {
    let verdict = || verify(&setting.vk, &setting.statement, proof);
    assert_eq!(verdict().as_ref(), Err(refusal), "with all checks");
    assert_eq!(without(checks, verdict), Ok(()), "without {checks:?}");
    if checks.len() > 1 {
        for kept in checks {
            let fewer: Vec<Check> = checks.iter().filter(|check| *check != kept).copied().collect();
            assert!(without(&fewer, verdict).is_err(), "{kept:?} is not needed");
        }
    }
}

#[test]
fn without_a_lie_the_proof_verifies() {
    let setting = Setting::new();
    assert_eq!(verify(&setting.vk, &setting.statement, &prover::honest(&setting)), Ok(()));
}

/// Every check is the subject of a test in this folder.
#[test]
fn no_check_is_without_a_cheat() {
    let tests = [
        include_str!("arguments.rs"),
        include_str!("batch.rs"),
        include_str!("bytes.rs"),
        include_str!("opening.rs"),
        include_str!("statement.rs"),
        include_str!("transcript.rs"),
    ]
    .concat();
    let names = include_str!("../check.rs");
    let names = names.split_once("enum Check {").unwrap().1.split_once("\n}").unwrap().0;
    let mut count = 0;
    for line in names.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let name = line.split(['(', ',']).next().unwrap();
        assert!(tests.contains(&std::format!("Check::{name}")), "{name}");
        count += 1;
    }
    assert!(count > 20);
}
