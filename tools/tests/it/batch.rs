//! Many proofs in one call of the verifier.

use std::fs;

use crate::support::{Run, diagnostic, kiln, prove};

/// A batch of proofs with public values, by name, under one key.
fn batch(files: &[[&str; 2]], more: &[&str]) -> Run {
    let proven = diagnostic();
    let vk = proven.text("compiled/model.vk");
    let mut arguments = vec!["verify".to_owned(), "--vk".into(), vk];
    for [proof, public] in files {
        arguments.extend(["--proof".into(), proven.text(proof), "--public".into(), proven.text(public)]);
    }
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    kiln(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn many_proofs_are_verified_in_one_call_and_false_ones_are_named() {
    let proven = diagnostic();
    prove(proven, "second.bin", "second.json", "cpu").succeeds();
    let both = [["proof.bin", "public.json"], ["second.bin", "second.json"]];
    let report = batch(&both, &["--json"]).succeeds().json();
    assert_eq!(report["schema"], "kiln.verify.batch/1");
    assert_eq!((&report["valid"], &report["insecure"]), (&true.into(), &true.into()));
    let proofs = report["proofs"].as_array().unwrap();
    assert_eq!(proofs.len(), 2);
    assert_eq!(proofs[0]["output"], proofs[1]["output"]);
    let words = batch(&both, &[]).succeeds();
    assert!(words.stdout.contains("all 2 proofs") && words.stderr.contains("INSECURE"), "{words:#?}");

    // A proof that ends in another point.
    let mut bytes = fs::read(proven.path("second.bin")).unwrap();
    let other = fs::read(proven.path("proof.bin")).unwrap();
    let end = bytes.len() - 32;
    bytes[end..].copy_from_slice(&other[end..]);
    fs::write(proven.path("false.bin"), &bytes).unwrap();
    let three = [both[0], ["false.bin", "second.json"], both[1]];
    let run = batch(&three, &[]).fails(1);
    assert!(run.stderr.contains("1 of 3") && run.stderr.contains("false.bin"), "{run:#?}");
    assert!(!run.stderr.contains("second.bin"), "{run:#?}");

    fs::write(proven.path("short.bin"), &bytes[1..]).unwrap();
    let run = batch(&[both[0], ["short.bin", "second.json"]], &[]).fails(2);
    assert!(run.stderr.contains("short.bin"), "{run:#?}");
}

#[test]
fn a_batch_needs_public_values_for_each_proof_and_one_key_or_as_many() {
    let proven = diagnostic();
    let (proof, public) = (proven.text("proof.bin"), proven.text("public.json"));
    let run = batch(&[["proof.bin", "public.json"]], &["--proof", &proof]).fails(2);
    assert!(run.stderr.contains("got 1"), "{run:#?}");
    let more = ["--proof", &proof, "--public", &public, "--proof", &proof, "--public", &public];
    let vk = proven.text("compiled/model.vk");
    let run = batch(&[["proof.bin", "public.json"]], &[&more[..], &["--vk", &vk]].concat()).fails(2);
    assert!(run.stderr.contains("got 2"), "{run:#?}");
    let id = "0".repeat(64);
    batch(&[["proof.bin", "public.json"]], &[&more[..], &["--model-id", &id]].concat()).fails(1);
}
