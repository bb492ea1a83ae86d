//! Contracts and calldata from the command line. What the contracts do is tested where they are written, in `kiln-solidity`.

use std::fs;

use crate::support::{Proven, compile, diagnostic, kiln, names, prove};

fn calldata(proven: &Proven, proof: &str, more: &[&str]) -> crate::support::Run {
    let (vk, public) = (proven.text("compiled/model.vk"), proven.text("public.json"));
    let arguments = ["verifier", "calldata", "--vk", &vk, "--public", &public, "--proof", proof];
    kiln(&[&arguments, more].concat())
}

#[test]
fn a_contract_is_written_and_warns_of_an_insecure_key() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let contract = place.path().join("KilnVerifier.sol");
    let (vk, model) = (proven.text("compiled/model.vk"), proven.text("compiled/model.json"));
    let output = contract.to_str().unwrap();
    let run = kiln(&["verifier", "solidity", "--vk", &vk, "--model", &model, "-o", output]).succeeds();
    assert!(run.stderr.contains("WARNING: INSECURE"), "{run:#?}");
    let source = fs::read_to_string(&contract).unwrap();
    assert!(source.contains("// Model diagnostic\n//\n// INSECURE"), "{}", &source[..400]);
    let model: serde_json::Value = serde_json::from_slice(&fs::read(&model).unwrap()).unwrap();
    assert!(source.contains(model["id"].as_str().unwrap()), "the contract names its model");
    assert_eq!(names(place.path()), ["KilnVerifier.sol"]);
}

#[test]
fn a_call_is_its_selector_and_its_arguments() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("call.json");
    let proof = proven.text("proof.bin");
    let printed = calldata(proven, &proof, &[]).succeeds().stdout;
    calldata(proven, &proof, &["-o", file.to_str().unwrap()]).succeeds();
    let call: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().trim_start_matches("0x").to_owned();
    let words = call["arguments"].as_array().unwrap().iter().flat_map(|words| words.as_array().unwrap());
    let joined = words.fold(text(&call["selector"]), |all, word| all + &text(word));
    assert_eq!(call["schema"], "kiln.call/1");
    assert_eq!(text(&call["calldata"]), joined);
    assert_eq!(printed.trim(), format!("0x{joined}"));
    let arguments = call["arguments"].as_array().unwrap().iter().map(|words| words.as_array().unwrap().len());
    let types = arguments.map(|words| format!("uint256[{words}]")).collect::<Vec<_>>().join(",");
    assert_eq!(call["function"], format!("verify({types})"));
}

#[test]
fn a_false_proof_has_no_calldata() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let (damaged, file) = (place.path().join("proof"), place.path().join("call.json"));
    let mut proof = fs::read(proven.path("proof.bin")).unwrap();
    // The last byte of an evaluation: still a proof in form.
    let at = proof.len() - 2 * 32 - 1;
    proof[at] ^= 1;
    fs::write(&damaged, proof).unwrap();
    calldata(proven, damaged.to_str().unwrap(), &["-o", file.to_str().unwrap()]).fails(1);
    fs::write(&damaged, b"no proof").unwrap();
    calldata(proven, damaged.to_str().unwrap(), &["-o", file.to_str().unwrap()]).fails(2);
    assert_eq!(names(place.path()), ["proof"]);
}

#[test]
fn what_is_missing_or_does_not_fit_is_said() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("KilnVerifier.sol");
    let output = output.to_str().unwrap();
    let (vk, public) = (proven.text("compiled/model.vk"), proven.text("public.json"));
    let solidity =
        |more: &[&str]| kiln(&[&["verifier", "solidity", "--vk", &vk][..], more].concat()).fails(2);
    let run = solidity(&["-o", output]);
    assert!(run.stderr.contains("model.json, with --model"), "{run:#?}");
    let run = solidity(&["--model", &public, "-o", output]);
    assert!(run.stderr.contains("cannot read the model commitment"), "{run:#?}");
    let run = solidity(&["--model", &vk, "-o", place.path().to_str().unwrap()]);
    assert!(run.stderr.contains("there is a directory of that name"), "{run:#?}");
    // The commitment of the same model in another layout.
    let other = place.path().join("other");
    compile(&other, &["--target", "ethereum"]).succeeds();
    let model = other.join("model.json");
    let run = solidity(&["--model", model.to_str().unwrap(), "-o", output]);
    assert!(run.stderr.contains("use files of one model"), "{run:#?}");
    assert_eq!(names(place.path()), ["other"]);
}

/// Everything works in the layout for Ethereum too, and its contract is the smaller one.
#[test]
fn a_model_laid_out_for_ethereum_proves_and_has_fewer_words() {
    let usual = diagnostic();
    let proven = Proven::in_new_directory();
    compile(&proven.path("compiled"), &["--target", "ethereum"]).succeeds();
    prove(&proven, "proof.bin", "public.json", "cpu").succeeds();
    let words = |proven: &Proven| {
        let call = calldata(proven, &proven.text("proof.bin"), &["--json"]).succeeds().json();
        call["arguments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|words| words.as_array().unwrap().len())
            .sum::<usize>()
    };
    assert!(2 * words(&proven) < words(usual), "{} and {}", words(&proven), words(usual));
    let range = proven.text("range");
    kiln(&["range", "--compiled", &proven.text("compiled"), "-o", &range]).succeeds();
    let (proof, vk, public) =
        (proven.text("proof.bin"), proven.text("compiled/model.vk"), proven.text("public.json"));
    kiln(&["verify", "--proof", &proof, "--vk", &vk, "--public", &public, "--range", &range]).succeeds();
}
