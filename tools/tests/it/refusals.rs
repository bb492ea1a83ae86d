//! Bad input gives one clear line and exit code 2, a false proof exit code 1, and nothing is left behind.

use std::fs;
use std::path::Path;

use crate::support::{Proven, compile, diagnostic, kiln, model_file, names, verify};

/// A copy of a file with one bit flipped.
fn flipped(bytes: &[u8], position: usize, bit: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[position] ^= 1 << bit;
    bytes
}

/// Positions spread over a file: the first and last 40 bytes, and some between.
fn positions(len: usize, between: usize) -> impl Iterator<Item = usize> {
    let spread = (0..between).map(move |i| i * len / between);
    (0..40.min(len)).chain(spread).chain(len.saturating_sub(40)..len)
}

#[test]
fn a_flipped_bit_in_any_file_that_a_verifier_gets_is_refused() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let changed = place.path().join("changed");
    let files = ["proof.bin", "compiled/model.vk", "public.json"].map(|name| proven.path(name));
    for (which, between) in [(0, 60), (1, 60), (2, 100)] {
        let original = fs::read(&files[which]).unwrap();
        for (count, position) in positions(original.len(), between).enumerate() {
            fs::write(&changed, flipped(&original, position, (count % 8) as u8)).unwrap();
            let mut paths = files.each_ref().map(|path| path.as_path());
            paths[which] = &changed;
            let run = verify(paths[0], paths[1], paths[2]);
            assert!(matches!(run.code, 1 | 2), "{} byte {position}: {run:#?}", files[which].display());
            let code = run.code;
            run.fails(code);
        }
    }
}

#[test]
fn truncated_and_extended_files_are_refused() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let changed = place.path().join("changed");
    let files = ["proof.bin", "compiled/model.vk", "public.json"].map(|name| proven.path(name));
    for which in 0..3 {
        let original = fs::read(&files[which]).unwrap();
        let mut longer = original.clone();
        longer.push(b'x');
        for bytes in [&original[..0], &original[..1], &original[..original.len() / 2], &longer] {
            fs::write(&changed, bytes).unwrap();
            let mut paths = files.each_ref().map(|path| path.as_path());
            paths[which] = &changed;
            verify(paths[0], paths[1], paths[2]).fails(2);
        }
    }
}

#[test]
fn the_answer_cannot_be_changed() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let changed = place.path().join("public.json");
    let mut public: serde_json::Value =
        serde_json::from_slice(&fs::read(proven.path("public.json")).unwrap()).unwrap();
    let value = public["output"]["values"][0].as_i64().unwrap();
    public["output"]["values"][0] = (value + 1).into();
    // serde_json keeps the order of fields only as sorted; write through text to keep Kiln's own order.
    let original = fs::read_to_string(proven.path("public.json")).unwrap();
    let text = original.replacen(&format!("{value},"), &format!("{},", value + 1), 1);
    assert_ne!(text, original);
    fs::write(&changed, text).unwrap();
    let run = verify(&proven.path("proof.bin"), &proven.path("compiled/model.vk"), &changed).fails(1);
    assert_eq!(run.json()["kind"], "invalid-proof");
    let portable = |public: &str| {
        let [proof, vk] = ["proof.bin", "compiled/model.vk"].map(|name| proven.text(name));
        kiln(&["verify", "--portable", "--json", "--proof", &proof, "--vk", &vk, "--public", public])
    };
    assert_eq!(portable(changed.to_str().unwrap()).fails(1).json()["kind"], "invalid-proof");
    assert_eq!(portable(&proven.text("public.json")).succeeds().json()["valid"], true);
}

#[test]
fn another_models_id_is_refused() {
    let proven = diagnostic();
    let run = |id: &str| {
        let [proof, vk, public] =
            ["proof.bin", "compiled/model.vk", "public.json"].map(|name| proven.text(name));
        kiln(&["verify", "--proof", &proof, "--vk", &vk, "--public", &public, "--model-id", id])
    };
    let public: serde_json::Value =
        serde_json::from_slice(&fs::read(proven.path("public.json")).unwrap()).unwrap();
    let id = public["model"]["id"].as_str().unwrap();
    run(id).succeeds();
    run(&"0".repeat(64)).fails(1);
    run("not an id").fails(2);
    run(&id.to_uppercase()).fails(2);
}

#[test]
fn bad_models_and_calibrations_are_refused_and_nothing_is_left() {
    let place = tempfile::tempdir().unwrap();
    let onnx = fs::read(model_file("diagnostic.onnx")).unwrap();
    let inputs = tempfile::tempdir().unwrap();
    let calibration = model_file("diagnostic.calibration.json");
    let attempt = |model: &Path, calibration: &Path| {
        let destination = place.path().join("compiled");
        let [model, calibration, destination] =
            [model, calibration, &destination].map(|path| path.to_str().unwrap());
        kiln(&["compile", "--model", model, "--calibration", calibration, "-o", destination]).fails(2);
        assert!(names(place.path()).is_empty());
    };
    let model = inputs.path().join("model.onnx");
    for bytes in
        [&onnx[..0], &onnx[..1], &onnx[..onnx.len() / 2], &onnx[..onnx.len() - 1], b"not an onnx file"]
    {
        fs::write(&model, bytes).unwrap();
        attempt(&model, &calibration);
    }
    attempt(&inputs.path().join("missing.onnx"), &calibration);
    attempt(inputs.path(), &calibration);
    let records = inputs.path().join("calibration.json");
    for text in ["", "[]", "[[]]", "[[1, 2, 3]]", "[[NaN]]", "{}", "[[1e999]]"] {
        fs::write(&records, text).unwrap();
        attempt(&model_file("diagnostic.onnx"), &records);
    }
}

#[test]
fn a_reference_string_that_is_too_small_or_damaged_is_refused_and_nothing_is_left() {
    let (place, inputs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let srs = inputs.path().join("srs");
    let text = srs.to_str().unwrap();
    kiln(&["setup", "--rows-log2", "4", "-o", text]).succeeds();
    let attempt = || {
        compile(&place.path().join("compiled"), &["--srs", text]).fails(2);
        assert!(names(place.path()).is_empty());
    };
    attempt();
    let original = fs::read(&srs).unwrap();
    fs::write(&srs, flipped(&original, original.len() / 2, 0)).unwrap();
    attempt();
    fs::remove_file(&srs).unwrap();
    attempt();
    kiln(&["setup", "--rows-log2", "4", "-o", place.path().join("no/such").to_str().unwrap()]).fails(2);
    assert!(names(place.path()).is_empty());
}

#[test]
fn compiling_over_something_else_is_refused_and_keeps_it() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("precious"), "data").unwrap();
    compile(place.path(), &[]).fails(2);
    assert_eq!(names(place.path()), ["precious"]);
}

/// Runs `prove` with a record of this text into an empty directory, which must stay empty.
fn refused_record(proven: &Proven, record: &str) {
    let (place, inputs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = inputs.path().join("record.json");
    fs::write(&path, record).unwrap();
    let [proof, public] =
        ["proof", "public"].map(|name| place.path().join(name).to_str().unwrap().to_owned());
    let compiled = proven.text("compiled");
    let record = path.to_str().unwrap();
    kiln(&["prove", "--compiled", &compiled, "--record", record, "-o", &proof, "--public", &public]).fails(2);
    assert!(names(place.path()).is_empty());
}

#[test]
fn bad_records_are_refused_and_nothing_is_left() {
    let good = fs::read_to_string(model_file("diagnostic.record.json")).unwrap();
    let proven = diagnostic();
    refused_record(proven, &good.replacen('[', "[NaN,", 1));
    refused_record(proven, &good.replacen('[', "[1.0,", 1));
    refused_record(proven, &good.replacen("[-1.051", "[1e300", 1));
    refused_record(proven, "[1, 2, 3]");
    refused_record(proven, "");
}

#[test]
fn a_corrupt_compiled_model_is_refused_and_nothing_is_left() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let compiled = place.path().join("compiled");
    fs::create_dir(&compiled).unwrap();
    let files = names(&proven.path("compiled"));
    for name in &files {
        fs::copy(proven.path("compiled").join(name), compiled.join(name)).unwrap();
    }
    let record = model_file("diagnostic.record.json");
    let [proof, public] =
        ["proof", "public"].map(|name| place.path().join(name).to_str().unwrap().to_owned());
    let run = || {
        let (compiled, record) = (compiled.to_str().unwrap(), record.to_str().unwrap());
        kiln(&["prove", "--compiled", compiled, "--record", record, "-o", &proof, "--public", &public])
    };
    let attempt = || {
        run().fails(2);
        assert_eq!(names(place.path()), ["compiled"]);
    };
    for name in &files {
        let path = compiled.join(name);
        let original = fs::read(&path).unwrap();
        let in_place = ["proving.key", "srs"].contains(&name.as_str());
        for position in [0, 50, original.len() / 3, original.len() / 2, original.len() - 1] {
            fs::write(&path, flipped(&original, position, 3)).unwrap();
            if in_place && original[position] == 0 && run().code == 0 {
                // Between the sections of a file that is used in place, nothing is read.
                for name in [&proof, &public] {
                    fs::remove_file(name).unwrap();
                }
                continue;
            }
            attempt();
        }
        fs::write(&path, &original[..original.len() - 1]).unwrap();
        attempt();
        fs::remove_file(&path).unwrap();
        attempt();
        fs::write(&path, &original).unwrap();
    }
}
