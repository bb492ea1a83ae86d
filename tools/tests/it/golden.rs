//! Results as they are printed: text that does not depend on time or chance, and the form of every JSON result. A field that is
//! removed or changes its meaning asks for a new version in its `schema`.

use kiln_sim::image::{self, Conduct, ImageSpec};
use serde_json::{Map, Value};

use crate::support::{diagnostic, kiln, model_file, prove, verify};

/// A value with its leaves replaced by their types, and lists by their first element.
fn form(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let form = |(name, value): (&String, &Value)| {
                // The one leaf that must not change.
                let kept = if name == "schema" { value.clone() } else { form(value) };
                (name.clone(), kept)
            };
            Value::Object(fields.iter().map(form).collect::<Map<_, _>>())
        }
        Value::Array(elements) => Value::Array(elements.first().map(form).into_iter().collect()),
        Value::Null => "nothing".into(),
        Value::Bool(_) => "truth".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "text".into(),
    }
}

#[test]
fn cards_print_what_was_reviewed() {
    insta::assert_snapshot!("card_list", kiln(&["card", "list"]).succeeds().stdout);
    for action in ["sensors", "errors"] {
        let run = kiln(&["card", action, "sim:u55c"]).succeeds();
        insta::assert_snapshot!(format!("card_{action}"), run.stdout);
    }
    insta::assert_snapshot!("card_fw_list", kiln(&["card", "fw", "list", "sim:u55c"]).succeeds().stdout);
    let top = kiln(&["card", "top", "sim:u55c", "sim:f2", "--views", "1"]).succeeds();
    insta::assert_snapshot!("card_top", top.stdout);
    insta::assert_snapshot!("card_info", kiln(&["card", "info", "sim:u55c"]).succeeds().stdout);
}

/// A text with what a clock and a counter said left out: numbers, units of time, and what a check tells beside its name.
fn without_measures(text: &str) -> String {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let blank = |word: &str| match bare(word) {
        number if number.starts_with(|c: char| c.is_ascii_digit()) && number.parse::<f64>().is_ok() => {
            word.replace(&number, "#")
        }
        unit if ["ns", "µs", "ms", "s"].contains(&&*unit) => word.replace(&unit, "time"),
        _ => word.to_owned(),
    };
    let line = |line: &str| {
        let kept = if line.starts_with("check ") { line.split(':').next().unwrap_or(line) } else { line };
        kept.split(' ').map(blank).collect::<Vec<_>>().join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn measures_are_printed_in_the_words_that_were_reviewed() {
    for (action, more) in
        [("stats", &[][..]), ("reset", &["--yes"]), ("validate", &["--yes"]), ("bench", &["--yes"])]
    {
        let run = kiln(&[&["card", action, "sim:u55c"], more].concat()).succeeds();
        insta::assert_snapshot!(format!("card_{action}"), without_measures(&run.stdout));
    }
}

#[test]
fn json_results_have_the_form_that_was_reviewed() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let [model, calibration, held_out] = ["onnx", "calibration.json", "test.json"]
        .map(|extension| model_file(&format!("diagnostic.{extension}")).to_str().unwrap().to_owned());
    let (srs, compiled) = (path("srs"), path("compiled"));
    let compile = ["compile", "--model", &model, "--calibration", &calibration, "--held-out", &held_out];
    let (vk, contract) = (proven.text("compiled/model.vk"), path("KilnVerifier.sol"));
    let (proof, public, commitment) =
        (proven.text("proof.bin"), proven.text("public.json"), proven.text("compiled/model.json"));
    let solidity = ["verifier", "solidity", "--vk", &vk, "--model", &commitment, "-o", &contract, "--json"];
    let calldata = ["verifier", "calldata", "--vk", &vk, "--proof", &proof, "--public", &public, "--json"];
    let (solidity, calldata) = (kiln(&solidity), kiln(&calldata));
    let measured =
        ["bench", "verify", "--vk", &vk, "--proof", &proof, "--public", &public, "--runs", "3", "--json"];
    let results = [
        ("setup", kiln(&["setup", "--rows-log2", "5", "-o", &srs, "--json"])),
        ("compile", kiln(&[&compile[..], &["-o", &compiled, "--json"]].concat())),
        ("prove", prove(proven, "golden.bin", "golden.json", "card:u55c")),
        (
            "verify",
            verify(&proven.path("proof.bin"), &proven.path("compiled/model.vk"), &proven.path("public.json")),
        ),
        ("bench_verify", kiln(&measured)),
        ("verifier_solidity", solidity),
        ("verifier_calldata", calldata),
        ("range", kiln(&["range", "--compiled", &compiled, "-o", &path("range"), "--json"])),
        ("demo", kiln(&["--json"])),
        ("tune", kiln(&["tune", "--sizes", "9", "-o", &path("rates.json"), "--json"])),
        ("card_list", kiln(&["card", "list", "--json"])),
        ("card_info", kiln(&["card", "info", "sim:u55c", "--json"])),
        ("card_sensors", kiln(&["card", "sensors", "sim:u55c", "--json"])),
        ("card_stats", kiln(&["card", "stats", "sim:u55c", "--json"])),
        ("card_errors", kiln(&["card", "errors", "sim:u55c", "--json"])),
        ("card_validate", kiln(&["card", "validate", "sim:u55c", "--yes", "--json"])),
        ("card_fw_list", kiln(&["card", "fw", "list", "sim:u55c", "--json"])),
        (
            "card_fw_update",
            kiln(&["card", "fw", "install", "sim:u55c", &firmware(&place, Conduct::Runs), "--yes", "--json"]),
        ),
        ("card_reset", kiln(&["card", "reset", "sim:u55c", "--yes", "--json"])),
        ("card_top", kiln(&["card", "top", "sim:u55c", "sim:f2", "--views", "1", "--json"])),
        ("card_bench", kiln(&["card", "bench", "sim:u55c", "--yes", "--json"])),
    ];
    for (name, run) in results {
        insta::assert_json_snapshot!(format!("json_{name}"), form(&run.succeeds().json()));
    }
    let failure = kiln(&["card", "info", "no such card", "--json"]).fails(2);
    insta::assert_json_snapshot!("json_error", form(&failure.json()));
    let public = serde_json::from_slice(&std::fs::read(proven.path("public.json")).unwrap()).unwrap();
    insta::assert_json_snapshot!("json_public_file", form(&public));
}

/// A firmware image that the simulated u55c takes.
fn firmware(place: &tempfile::TempDir, conduct: Conduct) -> String {
    let (version, floor, model) = (0x1_0002, 0, image::model("u55c"));
    let spec = ImageSpec { version, floor, model, conduct, payload_bytes: 100_000 };
    let path = place.path().join(format!("firmware-{conduct:?}"));
    std::fs::write(&path, image::make(&spec, &image::insecure_test_key()).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn firmware_is_installed_and_started_as_was_reviewed() {
    let place = tempfile::tempdir().unwrap();
    let good = firmware(&place, Conduct::Runs);
    let install = |image: &str, more: &[&str]| {
        kiln(&[&["card", "fw", "install", "sim:u55c", image, "--yes"], more].concat())
    };
    insta::assert_snapshot!("card_fw_install", install(&good, &["--slot", "2"]).succeeds().stdout);
    insta::assert_snapshot!("card_fw_install_activate", install(&good, &["--activate"]).succeeds().stdout);
    let hangs = install(&firmware(&place, Conduct::Hangs), &["--activate"]).fails(3);
    insta::assert_snapshot!("card_fw_did_not_come_up", hangs.stderr);
    let factory = kiln(&["card", "fw", "activate", "sim:u55c", "0", "--yes"]).succeeds();
    insta::assert_snapshot!("card_fw_activate", factory.stdout);
    let validated = kiln(&["card", "validate", "sim:u55c", "--yes", "--firmware", &good]).succeeds();
    assert!(validated.stdout.contains("check passed firmware update and way back"), "{validated:#?}");
}

#[test]
fn firmware_that_cannot_be_is_refused_with_a_reason() {
    let place = tempfile::tempdir().unwrap();
    let good = firmware(&place, Conduct::Runs);
    let mut refusals = String::new();
    let mut refuse = |arguments: &[&str]| {
        let refused = kiln(&[&["card", "fw"], arguments].concat()).fails(2);
        refusals += &refused.stderr.replace(place.path().to_str().unwrap(), "…");
    };
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let mut bytes = std::fs::read(&good).unwrap();
    bytes[200] ^= 1;
    std::fs::write(path("forged"), &bytes).unwrap();
    std::fs::write(path("cut"), &std::fs::read(&good).unwrap()[..5000]).unwrap();
    std::fs::write(path("short"), "firmware").unwrap();
    std::fs::write(path("text"), "firmware ".repeat(100)).unwrap();
    std::fs::write(path("large"), vec![0; (1 << 20) + 1]).unwrap();
    for name in ["forged", "cut", "short", "text", "large", "not there"] {
        refuse(&["install", "sim:u55c", &path(name), "--yes"]);
    }
    refuse(&["install", "sim:f2", &good, "--yes"]);
    refuse(&["install", "sim:u55c", &good]);
    refuse(&["activate", "sim:u55c", "2", "--yes"]);
    refuse(&["activate", "sim:u55c", "0"]);
    refuse(&["rollback", "sim:u55c", "--yes"]);
    refuse(&["rollback", "sim:u55c"]);
    insta::assert_snapshot!("card_fw_refusals", refusals);
}

#[test]
fn waiting_for_an_event_has_an_end() {
    let quiet = kiln(&["card", "events", "sim:u55c", "--wait-s", "0"]).fails(2);
    insta::assert_snapshot!("card_events", quiet.stderr);
    let followed = kiln(&["card", "events", "sim:u55c", "--follow", "--timeout-s", "0"]).succeeds();
    assert_eq!((followed.stdout, followed.stderr), (String::new(), String::new()));
    let wanted = ["card", "events", "sim:u55c", "--follow", "--count", "2", "--timeout-s", "0"];
    assert_eq!(kiln(&wanted).fails(2).stderr, quiet.stderr);
    for wrong in
        [["--count", "1"], ["--timeout-s", "1"], ["--follow", "--count=0"], ["--follow", "--wait-s=1"]]
    {
        let run = kiln(&[&["card", "events", "sim:u55c"], &wrong[..]].concat());
        assert_eq!((run.code, &*run.stdout), (2, ""), "{run:#?}");
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
    }
}

#[test]
fn what_disturbs_a_card_wants_consent() {
    for action in ["validate", "reset", "bench"] {
        let refused = kiln(&["card", action, "sim:u55c"]).fails(2);
        assert!(refused.stderr.contains("--yes"), "{refused:#?}");
        assert_eq!(refused.stdout, "");
    }
    for action in ["bind", "unbind"] {
        let refused = kiln(&["card", action, "vfio:ffff:ff:1f.7"]).fails(2);
        assert!(refused.stderr.contains("--yes"), "{refused:#?}");
    }
    let not_there = kiln(&["card", "bind", "vfio:ffff:ff:1f.7", "--yes"]).fails(2);
    assert!(not_there.stderr.contains("ffff:ff:1f.7"), "{not_there:#?}");
    let not_on_the_bus = kiln(&["card", "bind", "sim:u55c", "--yes"]).fails(2);
    assert!(not_on_the_bus.stderr.contains("PCI"), "{not_on_the_bus:#?}");
    let nobody = kiln(&["card", "info", "vfio-user:/nonexistent/card.sock"]).fails(3);
    assert!(nobody.stderr.contains("/nonexistent/card.sock"), "{nobody:#?}");
}
