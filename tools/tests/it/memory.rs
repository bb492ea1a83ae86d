//! `--memory`: estimates first, then a proof within the bound or a refusal that says what is needed.

use crate::support::{Run, diagnostic, kiln, model_file, names, verify};

/// Proves into `place` with more arguments.
fn prove(place: &std::path::Path, more: &[&str]) -> Run {
    let compiled = diagnostic().text("compiled");
    let record = model_file("diagnostic.record.json");
    let [proof, public] = ["proof", "public"].map(|name| place.join(name).to_str().unwrap().to_owned());
    let record = record.to_str().unwrap();
    let mut arguments = vec!["prove", "--compiled", &compiled, "--record", record, "-o", &proof];
    arguments.extend(["--public", &public, "--json"]);
    arguments.extend(more);
    kiln(&arguments)
}

#[test]
fn estimates_are_printed_and_every_way_gives_a_proof() {
    let place = tempfile::tempdir().unwrap();
    let spill = place.path().to_str().unwrap();
    let refused = prove(place.path(), &["--memory", "1MiB", "--spill-dir", spill]);
    assert_eq!(refused.code, 2, "{refused:#?}");
    assert!(names(place.path()).is_empty(), "nothing is left");
    // The refusal names the least that is needed; a little more is enough, and a lot more holds everything.
    let least = refused.stderr.split('(').nth(1).and_then(|rest| rest.split(' ').next());
    let least: u64 = least.and_then(|least| least.parse().ok()).unwrap();
    let least = format!("{}MB", least / 1_000_000 + 8);
    for (bound, way) in [(least.as_str(), None), ("4GiB", Some("hold all columns in memory"))] {
        let run = prove(place.path(), &["--memory", bound, "--spill-dir", spill]).succeeds();
        assert!(run.stderr.contains("hold columns on disk, encrypted"), "{run:#?}");
        let memory = run.json()["memory"].clone();
        assert!(memory["estimate_bytes"].as_u64() <= memory["bound_bytes"].as_u64(), "{memory}");
        assert!(way.is_none_or(|way| memory["way"] == way), "{memory}");
        assert_eq!(names(place.path()), ["proof", "public"]);
        let vk = diagnostic().path("compiled/model.vk");
        verify(&place.path().join("proof"), &vk, &place.path().join("public")).succeeds();
    }
}

#[test]
fn multiples_are_kept_and_used_again_where_the_bound_has_room() {
    let place = tempfile::tempdir().unwrap();
    let kept = place.path().join("kept");
    let more = |bound| ["--memory", bound, "--multiples", kept.to_str().unwrap()];
    for _ in 0..2 {
        let memory = prove(place.path(), &more("4GiB")).succeeds().json()["memory"].clone();
        assert!(memory["multiples_bytes"].as_u64() > Some(0), "{memory}");
        assert_eq!(names(&kept).len(), 2);
        let vk = diagnostic().path("compiled/model.vk");
        verify(&place.path().join("proof"), &vk, &place.path().join("public")).succeeds();
    }
}

#[test]
fn a_spill_directory_without_a_bound_and_a_bound_without_a_unit_are_refused() {
    let place = tempfile::tempdir().unwrap();
    for more in [&["--spill-dir", "."][..], &["--memory", "4"], &["--memory", "0GiB"]] {
        assert_eq!(prove(place.path(), more).code, 2);
    }
}
