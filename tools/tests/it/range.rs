//! The proof that hidden weights are small integers.

use std::fs;

use crate::support::{Run, compile, diagnostic, kiln};

fn range(compiled: &str, output: &str) -> Run {
    kiln(&["range", "--json", "--compiled", compiled, "-o", output])
}

fn verify_with(range: &str) -> Run {
    let proven = diagnostic();
    let texts = ["proof.bin", "compiled/model.vk", "public.json"].map(|name| proven.text(name));
    kiln(&[
        "verify", "--json", "--proof", &texts[0], "--vk", &texts[1], "--public", &texts[2], "--range", range,
    ])
}

#[test]
fn a_verifier_can_check_that_hidden_weights_are_small_integers() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let made = range(&diagnostic().text("compiled"), &path("range")).succeeds().json();
    let bits = made["bits"].as_u64().unwrap();
    assert!((30..=60).contains(&bits), "products with activations stay far below the modulus: {bits}");
    assert_eq!(verify_with(&path("range")).succeeds().json()["weight_bits"], bits);

    // Of another commitment, it shows nothing.
    compile(&place.path().join("other"), &[]).succeeds();
    range(&path("other"), &path("of-other")).succeeds();
    verify_with(&path("of-other")).fails(1);
}

#[test]
fn a_damaged_range_proof_or_another_file_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    range(&diagnostic().text("compiled"), &path("range")).succeeds();
    let bytes = fs::read(path("range")).unwrap();
    for position in (0..bytes.len()).step_by(bytes.len() / 20) {
        let mut changed = bytes.clone();
        changed[position] ^= 4;
        fs::write(path("changed"), changed).unwrap();
        verify_with(&path("changed")).fails(2);
    }
    verify_with(&diagnostic().text("compiled/model.vk")).fails(2);
    verify_with(&path("missing")).fails(2);
}
