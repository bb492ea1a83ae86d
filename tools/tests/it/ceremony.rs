//! From the file of a ceremony to a proof that is not called INSECURE, and what is refused on the way.

use std::fs;
use std::path::PathBuf;

use ark_bn254::Fr;
use tempfile::TempDir;

use crate::ptau_file;
use crate::support::{compile, kiln, model_file};

/// A folder with the file `ceremony` of 2^(power + 1) − 1 powers of some τ.
fn ceremony(power: u32) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("ceremony.ptau");
    fs::write(&path, ptau_file::file(&ptau_file::sections(power, Fr::from(1u64 << 50)))).unwrap();
    (place, path)
}

#[test]
fn a_proof_on_a_ceremony_string_is_valid_and_says_which_ceremony() {
    let (place, ptau) = ceremony(12);
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (ptau, srs) = (ptau.to_str().unwrap(), path("srs"));
    let setup = ["setup", "--rows-log2", "12", "-o", &srs, "--ptau", ptau, "--json"];
    let made = kiln(&setup).succeeds();
    assert!(made.stderr.contains("not pinned") && !made.stderr.contains("INSECURE"), "{made:#?}");
    let made = made.json();
    assert_eq!(made["insecure"], false);
    assert_eq!(made["origin"], "a ptau file of power 12, of a ceremony of power 12");
    let fingerprint = made["fingerprint"].as_str().unwrap();

    let again = kiln(&[&setup[..7], &["--expect-fingerprint", fingerprint]].concat()).succeeds();
    assert_eq!(again.stderr, "");
    assert!(again.stdout.contains("as expected") && !again.stdout.contains("INSECURE"), "{again:#?}");

    let compiled = compile(place.path().join("compiled").as_path(), &["--srs", &srs]).succeeds();
    assert!(!compiled.stderr.contains("INSECURE"), "{compiled:#?}");
    let (directory, proof, public) = (path("compiled"), path("proof"), path("public"));
    let record = model_file("diagnostic.record.json");
    let record = record.to_str().unwrap();
    let arguments = ["--record", record, "-o", &proof, "--public", &public, "--backend", "cpu"];
    kiln(&[&["prove", "--compiled", &directory], &arguments[..]].concat()).succeeds();

    let key = path("compiled/model.vk");
    let verify = ["verify", "--proof", &proof, "--vk", &key, "--public", &public];
    let verified = kiln(&verify).succeeds();
    assert_eq!(verified.stderr, "");
    assert!(verified.stdout.starts_with("VALID\n") && verified.stdout.contains(fingerprint), "{verified:#?}");
    let pinned =
        |fingerprint: &str| kiln(&[&verify[..], &["--expect-fingerprint", fingerprint, "--json"]].concat());
    let report = pinned(fingerprint).succeeds().json();
    assert_eq!(report["fingerprint_checked"], true);
    let other = pinned(&"0".repeat(64)).fails(2);
    assert!(other.stderr.contains("another ceremony") && other.stderr.contains(fingerprint), "{other:#?}");
}

#[test]
fn unusable_ceremony_files_leave_nothing_behind() {
    let (place, ptau) = ceremony(6);
    let srs = place.path().join("srs");
    let setup = |rows_log2: &str, more: &[&str]| {
        let arguments = ["setup", "--rows-log2", rows_log2, "-o", srs.to_str().unwrap(), "--ptau"];
        let run = kiln(&[&arguments[..], &[ptau.to_str().unwrap()], more].concat()).fails(2);
        assert!(!srs.exists());
        run.stderr
    };
    assert!(setup("6", &[]).contains("expected 128 powers of τ, got 127; get the file of power 7"));
    assert!(setup("5", &["--expect-fingerprint", &"ab".repeat(32)]).contains("another ceremony"));
    let bytes = fs::read(&ptau).unwrap();
    fs::write(&ptau, &bytes[..bytes.len() / 2]).unwrap();
    assert!(setup("5", &[]).contains("truncated"));
    let mut corrupted = bytes;
    corrupted[12 + 12 + 44 + 12 + 64 * 9] ^= 1;
    fs::write(&ptau, corrupted).unwrap();
    assert!(setup("5", &[]).contains("point 9 of the SRS is invalid: a point is not on the curve"));
    fs::remove_file(&ptau).unwrap();
    assert!(setup("5", &[]).contains("cannot access"));
}
