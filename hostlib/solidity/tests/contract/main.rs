//! Generated contracts in an Ethereum virtual machine: the same verdict as the verifier on everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod compiled;
mod evm;
mod models;
mod mutations;
#[path = "../../../plonk/tests/proofs/sample.rs"]
#[allow(dead_code, reason = "shared with the proof system's own tests, which use all of it")]
mod sample;
mod subject;

use ark_bn254::Fr;
use kiln_plonk::Statement;
use kiln_solidity::{Call, Contract, SolidityError};
use sample::{Sample, Setting};
use subject::Subject;

/// The sample circuit: lookups in several tables and segments, copies, rotations, a committed group, public inputs, two
/// phases, and instance cells made of runs.
fn sample(k: u32, degree: u32) -> (Setting, Subject) {
    let setting = Setting::new(Sample::new(k, degree));
    let groups = setting.statement.committed.clone();
    let subject = Subject::new(&format!("sample-{k}-{degree}"), setting.vk.clone(), groups.clone(), groups);
    (setting, subject)
}

#[test]
fn valid_proofs_of_the_sample_are_accepted_at_every_degree() {
    for (k, degree) in [(2, 3), (3, 4), (4, 5)] {
        let (setting, mut subject) = sample(k, degree);
        for seed in 1..4 {
            let calldata = subject.calldata(&setting.statement.public_inputs, &setting.prove(seed));
            assert!(subject.verdict(&calldata), "k = {k}, degree = {degree}, seed = {seed}");
        }
    }
}

#[test]
fn every_cheating_call_is_refused() {
    let (setting, mut subject) = sample(3, 4);
    let calldata = subject.calldata(&setting.statement.public_inputs, &setting.prove(3));
    mutations::refuses_all(&mut subject, &calldata);
}

/// A group that the contract does not know is an argument of its function, and part of what it checks.
#[test]
fn a_group_may_be_an_argument() {
    let setting = Setting::new(Sample::new(2, 3));
    let groups = setting.statement.committed.clone();
    let mut subject = Subject::new("sample-2-3-argument", setting.vk.clone(), Vec::new(), groups);
    let calldata = subject.calldata(&setting.statement.public_inputs, &setting.prove(3));
    assert!(subject.verdict(&calldata));
    mutations::refuses_all(&mut subject, &calldata);
}

/// Columns that nothing constrains are in the transcript alone, so nothing multiplies their commitments.
#[test]
fn commitments_that_no_constraint_reads_are_still_points() {
    let mut sample = Sample::new(2, 3);
    let circuit = &mut sample.circuit;
    circuit.lookups.clear();
    circuit.tables.clear();
    circuit.copies.clear();
    circuit.copy_columns.clear();
    circuit.gates.truncate(1);
    circuit.challenges.clear();
    circuit.instance.clear();
    circuit.instance_cells.clear();
    circuit.advice.truncate(4);
    circuit.advice.iter_mut().for_each(|column| column.phase = 0);
    let setting = Setting::new(sample);
    let groups = setting.statement.committed.clone();
    let mut subject = Subject::new("unread", setting.vk.clone(), groups.clone(), groups);
    let calldata = subject.calldata(&setting.statement.public_inputs, &setting.prove(5));
    assert!(subject.verdict(&calldata));
    mutations::refuses_all(&mut subject, &calldata);
}

#[test]
fn a_proof_about_another_model_is_refused() {
    let (setting, mut subject) = sample(3, 4);
    let mut other = Setting::new(Sample::new(3, 4));
    let (secret, public) = other.sample.group(&other.engine, &other.srs, 2);
    (other.secret, other.statement.committed) = (vec![secret], vec![public]);
    let proof = other.prove(1);
    let call = Call::new(&subject.vk, &subject.known, &other.statement, &proof);
    assert!(matches!(call, Err(SolidityError::Group { .. })));
    let call = Call::new(&subject.vk, &other.statement.committed, &other.statement, &proof).unwrap();
    assert!(!subject.verdict(&call.to_bytes()));
    let calldata = subject.calldata(&setting.statement.public_inputs, &setting.prove(1));
    assert!(subject.verdict(&calldata));
}

#[test]
fn a_proof_for_another_key_is_refused() {
    let (_, mut subject) = sample(3, 4);
    let mut sample = Sample::new(3, 4);
    sample.circuit.meaning = "something else".to_owned();
    let setting = Setting::new(sample);
    let (groups, statement) = (&setting.statement.committed, &setting.statement);
    let call = Call::new(&setting.vk, groups, statement, &setting.prove(1)).unwrap();
    assert!(!subject.verdict(&call.to_bytes()));
}

#[test]
fn there_is_no_calldata_of_a_proof_that_is_not_valid() {
    let setting = Setting::new(Sample::new(2, 3));
    let groups = &setting.statement.committed;
    let mut proof = setting.prove(1);
    let mut other: Statement = setting.statement.clone();
    other.public_inputs[0] += Fr::from(1u64);
    assert!(matches!(Call::new(&setting.vk, groups, &other, &proof), Err(SolidityError::Invalid(_))));
    proof.pop();
    let call = Call::new(&setting.vk, groups, &setting.statement, &proof);
    assert!(matches!(call, Err(SolidityError::Invalid(_))));
}

#[test]
fn commitments_of_another_circuit_are_refused() {
    let setting = Setting::new(Sample::new(2, 3));
    let mut group = setting.statement.committed[0].clone();
    group.commitments.pop();
    assert!(matches!(Contract::new(&setting.vk, &[group], ""), Err(SolidityError::Group { .. })));
    let mut group = setting.statement.committed[0].clone();
    group.name = "other".to_owned();
    assert!(matches!(Contract::new(&setting.vk, &[group], ""), Err(SolidityError::Group { .. })));
}

#[test]
fn the_contract_says_what_it_is_and_its_title_cannot_leave_its_comment() {
    let setting = Setting::new(Sample::new(2, 3));
    let groups = &setting.statement.committed;
    let title = "model\n*/ selfdestruct(0); \u{2028}x \u{202e}y";
    let contract = Contract::new(&setting.vk, groups, title).unwrap();
    assert!(contract.source().is_ascii());
    assert!(contract.source().contains("// model??? selfdestruct?0?? ?x ?y\n"));
    assert!(contract.source().contains("INSECURE: the key rests on a locally generated reference string"));
    assert!(contract.source().contains("bool public constant INSECURE_SRS = true;"));
    let again = Contract::new(&setting.vk, groups, title).unwrap();
    assert_eq!(contract.source(), again.source(), "one key has one contract");
}

/// What the contract says of itself can be asked of it.
#[test]
fn constants_can_be_read_from_the_chain() {
    let (setting, mut subject) = sample(3, 4);
    let mut read = |function: &str| {
        use sha3::{Digest, Keccak256};
        let selector = Keccak256::digest(function.as_bytes());
        subject.chain.output(&selector[..4]).0.unwrap()
    };
    assert_eq!(read("KEY_DIGEST()"), setting.vk.digest());
    assert_eq!(read("SRS_FINGERPRINT()"), setting.vk.srs().fingerprint());
    assert_eq!(read("COMMITTED_ID_0()"), setting.statement.committed[0].id());
    assert_eq!(read("INSECURE_SRS()")[31], 1);
    assert_eq!(read("PROOF_VERSION()")[31], 1);
}
