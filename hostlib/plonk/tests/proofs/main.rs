//! Proofs of a small circuit that uses everything there is, from witness to verdict.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod keys;
mod privacy;
mod refusals;
mod sample;

use kiln_plonk::{mock, verify};
use sample::{Sample, Setting};

#[test]
fn the_sample_satisfies_its_circuit() {
    for (k, degree) in [(2, 3), (4, 5)] {
        let sample = Sample::new(k, degree);
        let weights = vec![sample.weights.clone()];
        let failures =
            mock(&sample.circuit, &sample.fixed, &weights, &sample.public_inputs(), &sample).unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    }
}

#[test]
fn an_honest_proof_verifies_at_every_size_and_degree() {
    for (k, degree) in [(2, 3), (3, 3), (2, 6), (4, 4), (5, 5), (6, 3)] {
        let setting = Setting::new(Sample::new(k, degree));
        let proof = setting.prove(9);
        assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()), "k = {k}, degree = {degree}");
    }
}
