//! The whole way: compile, prove, verify.

use std::fs;
use std::path::Path;

use crate::support::{Proven, compile, diagnostic, kiln, model_file, names, prove, verify};

fn public(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_verifier_needs_three_files_and_nothing_else() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    for (from, to) in [("proof.bin", "p"), ("compiled/model.vk", "v"), ("public.json", "u")] {
        fs::copy(proven.path(from), place.path().join(to)).unwrap();
    }
    let [p, v, u] = ["p", "v", "u"].map(|name| place.path().join(name));
    let run = verify(&p, &v, &u).succeeds();
    assert!(run.stderr.contains("INSECURE"), "said aloud: {run:#?}");
    let result = run.json();
    assert_eq!(result["schema"], "kiln.verify/1");
    assert_eq!(result["valid"], true);
    assert_eq!(result["insecure"], true);
    assert_eq!(result["output"], public(&u)["output"]["values"]);
    assert!(fs::metadata(&p).unwrap().len() <= 6 * 1024, "a small model has a small proof");
}

#[test]
fn layers_are_told_with_their_error_and_their_cost() {
    let text = |name: &str| model_file(&format!("diagnostic.{name}")).to_str().unwrap().to_owned();
    let [model, calibration, record, held_out] =
        ["onnx", "calibration.json", "record.json", "test.json"].map(text);
    let arguments = ["run", "--model", &model, "--calibration", &calibration, "--input", &record];
    let result = kiln(&[&arguments[..], &["--held-out", &held_out, "--layers", "--json"]].concat());
    let result = result.succeeds().json();
    assert!(result["accuracy"]["integer_correct"].as_u64() > Some(100), "{}", result["accuracy"]);
    let fidelity = &result["fidelity"];
    assert_eq!(
        (&fidelity["measured_on"], &fidelity["records"]),
        (&"held-out".into(), &result["accuracy"]["records"])
    );
    let layers = fidelity["layers"].as_array().unwrap();
    assert!(layers.len() > 3 && layers.iter().all(|layer| layer["relative_error"].as_f64() < Some(0.1)));
    let cells: u64 = layers.iter().filter_map(|layer| layer["cells"].as_u64()).sum();
    assert!(cells > 100, "{fidelity}");
    let printed = kiln(&[&arguments[..], &["--layers"]].concat()).succeeds().stdout;
    assert!(printed.contains("dearest: ") && printed.contains("of 1 given records"), "{printed}");
}

#[test]
fn widths_that_a_search_found_are_told_proven_and_given_again_by_hand() {
    let text = |name: &str| model_file(&format!("diagnostic.{name}")).to_str().unwrap().to_owned();
    let [model, calibration, record] = ["onnx", "calibration.json", "record.json"].map(text);
    let place = Proven::in_new_directory();
    let result =
        compile(&place.path("compiled"), &["--activation-bits", "mixed:0.05", "--json"]).succeeds().json();
    let search = &result["mixed"];
    let steps = search["steps"].as_array().unwrap();
    let chosen = &steps[search["chosen"].as_u64().unwrap() as usize];
    assert!(chosen["within"] == true && chosen["relative_error"].as_f64() <= Some(0.05), "{search}");
    assert!(search["models_tried"].as_u64() > Some(steps.len() as u64), "{search}");
    let cost = |step: &serde_json::Value| step["predicted_cost"].as_f64().unwrap();
    assert!(steps.iter().all(|step| step["within"] == false || cost(step) >= cost(chosen)), "{search}");
    for layer in result["fidelity"]["layers"].as_array().unwrap() {
        let name = layer["name"].as_str().unwrap();
        assert_eq!(layer["activation_bits"], chosen["bits"][name], "{name}");
    }
    let bits = chosen["bits"].as_object().unwrap().values().map(|bits| bits.as_u64().unwrap());
    assert!(bits.clone().min() < bits.max(), "the widths differ: {chosen}");
    prove(&place, "proof.bin", "public.json", "cpu").succeeds();
    let valid =
        verify(&place.path("proof.bin"), &place.path("compiled/model.vk"), &place.path("public.json"));
    let output = valid.succeeds().json()["output"].clone();
    // The flags that were printed give the same integers.
    let flags = search["flags"].as_str().unwrap().split(' ');
    let arguments = ["run", "--model", &model, "--calibration", &calibration, "--input", &record, "--json"];
    let again = kiln(&arguments.into_iter().chain(flags).collect::<Vec<_>>()).succeeds().json();
    assert_eq!((&again["records"][0]["output"], &again["mixed"]), (&output, &serde_json::Value::Null));
    let unknown =
        kiln(&arguments.into_iter().chain(["--activation-bits", "8,nothing=4"]).collect::<Vec<_>>());
    assert!(unknown.fails(2).stderr.contains("those that have are"));
}

#[test]
fn tokens_at_scales_of_their_own_are_told_proven_and_closer_to_the_float_model() {
    let text = |name: &str| model_file(&format!("tokens.{name}")).to_str().unwrap().to_owned();
    let [model, calibration, record] = ["onnx", "calibration.json", "record.json"].map(text);
    let tables = ["--shift", "12", "--table-bits", "16"];
    let run = |more: &[&str]| {
        let arguments = ["--model", &model, "--calibration", &calibration, "--input", &record, "--compare"];
        kiln(&[&["run"], &arguments[..], &tables, more].concat())
    };
    // The least cosine of any token's four outputs.
    let cosine = |result: &serde_json::Value| {
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let record = &result["records"][0];
        let (got, want) = (numbers(&record["output"]), numbers(&record["comparison"]["float"]));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = |(a, b): (&[f64], &[f64])| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-9);
        got.chunks(4).zip(want.chunks(4)).map(cosine).fold(1.0, f64::min)
    };
    let per_tensor = run(&["--json"]).succeeds().json();
    let per_token = run(&["--per-token", "all", "--json"]).succeeds().json();
    assert!(cosine(&per_tensor) < 0.1 && cosine(&per_token) > 0.99, "{per_tensor} {per_token}");
    assert!(per_tensor["fidelity"]["layers"].as_array().unwrap().iter().all(|l| l["token_bits"].is_null()));
    let printed = run(&["--per-token", "first", "--layers"]).succeeds().stdout;
    assert!(printed.contains("MatMul \"first\", 8 bits by token"), "{printed}");
    assert!(printed.contains("MatMul \"second\"\n"), "{printed}");

    let place = Proven::in_new_directory();
    let [compiled, proof, public] = ["compiled", "proof.bin", "public.json"].map(|name| place.text(name));
    let arguments = ["compile", "--model", &model, "--calibration", &calibration, "-o", &compiled];
    let made = kiln(&[&arguments[..], &tables, &["--per-token", "all", "--json"]].concat()).succeeds().json();
    let layers = made["fidelity"]["layers"].as_array().unwrap();
    let bits = layers.iter().filter_map(|l| Some((l["name"].as_str()?, l["token_bits"].as_u64()?)));
    assert_eq!(bits.collect::<Vec<_>>(), [("first", 8), ("second", 8)]);
    let files = ["--compiled", &compiled, "--record", &record, "-o", &proof, "--public", &public];
    kiln(&[&["prove"], &files[..]].concat()).succeeds();
    let key = format!("{compiled}/model.vk");
    let valid = kiln(&["verify", "--proof", &proof, "--vk", &key, "--public", &public, "--json"]);
    assert_eq!(valid.succeeds().json()["output"], per_token["records"][0]["output"]);

    let unknown = run(&["--per-token", "first,add"]).fails(2).stderr;
    assert!(unknown.contains("`add`") && unknown.contains("`first`, `second`"), "{unknown}");
    let searched = run(&["--per-token", "all", "--activation-bits", "mixed"]).fails(2).stderr;
    assert!(searched.contains("give a number of bits"), "{searched}");
}

#[test]
fn rates_that_were_measured_are_read_and_the_usual_ones_are_the_same_everywhere() {
    let proven = diagnostic();
    let place = tempfile::tempdir().unwrap();
    let text = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let tuned = kiln(&["tune", "--sizes", "9", "-o", &text("rates.json"), "--json"]).succeeds().json();
    assert_eq!((&tuned["schema"], &tuned["sizes"][0]["k"]), (&"kiln.tune/1".into(), &9.into()));
    compile(&place.path().join("compiled"), &["--rates", &text("rates.json")]).succeeds();
    let record = model_file("diagnostic.record.json").to_str().unwrap().to_owned();
    let prove = |compiled: &str, rates: &str| {
        let files = ["-o", &text("p"), "--public", &text("u"), "--rates", rates, "--json"];
        let run = kiln(&[&["prove", "--compiled", compiled, "--record", &record], &files[..]].concat());
        let result = run.succeeds().json();
        assert!(result["proving_cpu_ms"].as_f64() > Some(0.0), "{result}");
        result["predicted_ms"].as_f64().unwrap()
    };
    assert!(prove(&text("compiled"), &text("rates.json")) > 0.0);
    let (usual, default) = (proven.text("compiled"), "default".to_owned());
    assert_eq!(prove(&usual, &default), prove(&usual, &default));
    fs::write(place.path().join("rates.json"), "{}").unwrap();
    let refused = kiln(&[
        "prove",
        "--compiled",
        &usual,
        "--record",
        &record,
        "-o",
        &text("p"),
        "--public",
        &text("u"),
        "--rates",
        &text("rates.json"),
    ]);
    assert!(refused.fails(2).stderr.contains("rates.json"));
}

/// A ZIP archive of one stored file (APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16).
fn stored(name: &str, content: &[u8]) -> Vec<u8> {
    let crc = content.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    });
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    let length = u16::try_from(name.len()).unwrap().to_le_bytes();
    // Version, flags, method, time, date.
    let common = [&[20, 0][..], &[0; 8], &(!crc).to_le_bytes(), &size, &size, &length, &[0; 2]].concat();
    let local = [b"PK\x03\x04", &common[..], name.as_bytes(), content].concat();
    let central = [b"PK\x01\x02\x14\x00", &common[..], &[0; 14], name.as_bytes()].concat();
    let at = u32::try_from(local.len()).unwrap().to_le_bytes();
    let central_size = u32::try_from(central.len()).unwrap().to_le_bytes();
    let end = [b"PK\x05\x06", &[0, 0, 0, 0, 1, 0, 1, 0][..], &central_size, &at, &[0; 2]].concat();
    [local, central, end].concat()
}

#[test]
fn run_prints_both_models_answers_to_inputs_of_every_format() {
    let place = tempfile::tempdir().unwrap();
    let record = model_file("diagnostic.record.json");
    let values: Vec<f32> = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let elements = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (1, {}), }}\n", values.len());
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let npy = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &elements].concat();
    // TensorProto: dims (field 1), data_type FLOAT (field 2), raw_data (field 9).
    let lengths = [u8::try_from(values.len()).unwrap(), u8::try_from(elements.len()).unwrap()];
    let pb = [&[8, 1, 8, lengths[0], 16, 1, 0x4a, lengths[1]][..], &elements].concat();
    for (name, bytes) in [("x.npy", npy), ("x.pb", pb)] {
        fs::write(place.path().join(name), bytes).unwrap();
    }
    fs::write(place.path().join("x.npz"), stored("x.npy", &fs::read(place.path().join("x.npy")).unwrap()))
        .unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let made = ["x.npy", "x.pb", "x.npz"].map(|name| place.path().join(name));
    let files = [&record].into_iter().chain(&made).map(|path| text(path)).collect::<Vec<_>>();
    let (model, calibration) =
        (text(&model_file("diagnostic.onnx")), text(&model_file("diagnostic.calibration.json")));
    let mut arguments = vec!["run", "--model", &model, "--calibration", &calibration, "--compare", "--json"];
    arguments.extend(files.iter().flat_map(|file| ["--input", file]));
    let result = kiln(&arguments).succeeds().json();
    assert_eq!(result["schema"], "kiln.run/1");
    let records = result["records"].as_array().unwrap();
    assert_eq!(records.len(), 4);
    assert!(records[3]["input"].as_str().unwrap().ends_with("x.npz:x"), "{}", records[3]);
    for answer in records {
        assert_eq!(answer["output"], records[0]["output"]);
        assert!(answer["comparison"]["cosine"].as_f64() > Some(0.99), "{answer}");
        assert_eq!(answer["comparison"]["same_largest"], true);
    }
    let proven = public(&diagnostic().path("public.json"));
    assert_eq!(records[0]["output"], proven["output"]["values"], "what is run is what is proven");
    let refused = kiln(&["run", "--model", &model, "--input", &model]);
    assert_eq!(refused.code, 2, "{refused:#?}");
}

#[test]
fn secrets_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let compiled = diagnostic().path("compiled");
    for name in ["model.kiln", "model.secret"] {
        let mode = fs::metadata(compiled.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let expected = ["model.json", "model.kiln", "model.secret", "model.vk", "proving.key", "srs"];
    assert_eq!(names(&compiled), expected);
}

#[test]
fn two_proofs_of_one_statement_differ_and_the_card_proves_too() {
    let proven = diagnostic();
    let report = prove(proven, "card.bin", "card.json", "card:u55c").succeeds().json();
    assert!(
        report["used"]["peak_rss_bytes"].as_u64().unwrap() < 200 << 20,
        "a small model takes little memory"
    );
    assert_ne!(fs::read(proven.path("proof.bin")).unwrap(), fs::read(proven.path("card.bin")).unwrap());
    assert_eq!(public(&proven.path("public.json")), public(&proven.path("card.json")));
    verify(&proven.path("card.bin"), &proven.path("compiled/model.vk"), &proven.path("card.json")).succeeds();

    assert_eq!(report["schema"], "kiln.prove/1");
    let card = &report["devices"][0];
    assert_eq!(card["kind"], "card");
    let kernels = card["kernels"].as_array().unwrap();
    for kernel in ["msm", "pointwise"] {
        let row = kernels.iter().find(|row| row["kernel"] == kernel).unwrap_or_else(|| panic!("{card:#}"));
        assert!(row["cycles"].as_u64().unwrap() > 0, "{row:#}");
    }
}

#[test]
fn a_public_record_is_in_the_public_values() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    compile(&path("compiled"), &["--input", "public"]).succeeds();
    let values = prove_in(place.path(), &[]);
    assert_eq!(values["input"]["visibility"], "public");
    assert_eq!(values["input"]["values"].as_array().unwrap().len(), 30);
    verify(&path("proof"), &path("compiled/model.vk"), &path("public")).succeeds();

    let text = fs::read_to_string(path("public")).unwrap();
    let value = values["input"]["values"][0].as_i64().unwrap();
    let changed = text.replacen(&format!("{value},"), &format!("{},", value + 1), 1);
    fs::write(path("changed"), changed).unwrap();
    verify(&path("proof"), &path("compiled/model.vk"), &path("changed")).fails(1);
}

#[test]
fn a_committed_record_is_named_by_its_commitment() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    compile(&path("compiled"), &["--input", "committed"]).succeeds();
    let values = prove_in(place.path(), &[]);
    assert_eq!(values["input"]["visibility"], "committed");
    verify(&path("proof"), &path("compiled/model.vk"), &path("public")).succeeds();

    // The commitment hides: another proof of the same record has another one.
    fs::copy(path("public"), path("first")).unwrap();
    assert_ne!(values["input"]["id"], prove_in(place.path(), &[])["input"]["id"]);
    verify(&path("proof"), &path("compiled/model.vk"), &path("first")).fails(1);

    // Unless they share it.
    let shared = path("shared");
    let shared = ["--input-commitment", shared.to_str().unwrap()];
    let one = prove_in(place.path(), &shared);
    assert_eq!(one["input"]["id"], prove_in(place.path(), &shared)["input"]["id"]);
    verify(&path("proof"), &path("compiled/model.vk"), &path("public")).succeeds();

    let other =
        fs::read_to_string(model_file("diagnostic.record.json")).unwrap().replacen("[-1.051", "[1.5", 1);
    fs::write(path("other"), other).unwrap();
    let texts = ["compiled", "other", "p", "u"].map(|name| path(name).to_str().unwrap().to_owned());
    let arguments =
        ["prove", "--compiled", &texts[0], "--record", &texts[1], "-o", &texts[2], "--public", &texts[3]];
    kiln(&[&arguments[..], &shared].concat()).fails(2);
    assert!(!path("p").exists() && !path("u").exists());
}

/// Proves the diagnostic record with `place/compiled`; gives the public values.
fn prove_in(place: &Path, more: &[&str]) -> serde_json::Value {
    let [compiled, proof, values] = ["compiled", "proof", "public"].map(|name| place.join(name));
    let record = model_file("diagnostic.record.json");
    let [compiled, record, proof, values_text] =
        [&compiled, &record, &proof, &values].map(|path| path.to_str().unwrap());
    let arguments =
        ["prove", "--compiled", compiled, "--record", record, "-o", proof, "--public", values_text];
    kiln(&[&arguments[..], more].concat()).succeeds();
    public(&values)
}

#[test]
fn a_public_model_has_one_id_and_a_hidden_one_a_new_id_each_time() {
    let place = tempfile::tempdir().unwrap();
    let srs = place.path().join("srs");
    let srs = srs.to_str().unwrap();
    let made = kiln(&["setup", "--rows-log2", "14", "-o", srs, "--json"]).succeeds();
    assert!(made.stderr.contains("INSECURE"));
    assert_eq!(made.json()["insecure"], true);
    let id = |name: &str, weights: &str| {
        let directory = place.path().join(name);
        let run = compile(&directory, &["--weights", weights, "--srs", srs, "--json"]).succeeds();
        run.json()["model_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id("a", "public"), id("b", "public"));
    assert_ne!(id("c", "hidden"), id("d", "hidden"));

    // Same model, same circuit, other blinding: a proof with one commitment does not stand for the other.
    let proven = |name: &str| {
        let directory = place.path().join(name);
        fs::rename(&directory, place.path().join("compiled")).unwrap();
        let values = prove_in(place.path(), &[]);
        fs::rename(place.path().join("compiled"), &directory).unwrap();
        values
    };
    let (c, d) = (proven("c"), proven("d"));
    assert_eq!(c["verifying_key"], d["verifying_key"]);
    let text = fs::read_to_string(place.path().join("public")).unwrap();
    let mut forged = text;
    forged = forged.replace(d["model"]["id"].as_str().unwrap(), c["model"]["id"].as_str().unwrap());
    let commitments = |values: &serde_json::Value| values["model"]["commitments"].as_array().unwrap().clone();
    for (from, to) in commitments(&d).iter().zip(commitments(&c)) {
        forged = forged.replace(from.as_str().unwrap(), to.as_str().unwrap());
    }
    let path = |name: &str| place.path().join(name);
    verify(&path("proof"), &path("d/model.vk"), &path("public")).succeeds();
    fs::write(path("forged"), forged).unwrap();
    verify(&path("proof"), &path("d/model.vk"), &path("forged")).fails(1);
}

#[test]
fn the_demonstration_shows_every_figure() {
    let run = kiln(&["--json"]).succeeds();
    let report = run.json();
    assert_eq!(report["schema"], "kiln.demo/1");
    assert_eq!(report["verified"], true);
    let text = kiln(&["demo", "--backend", "cpu"]).succeeds().stdout;
    for words in ["model commitment", "INSECURE", "class", "proof", "accuracy", "verify"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.lines().count() < 60, "{text}");
}

#[test]
fn cards_are_listed_and_described_by_the_card_itself() {
    let list = kiln(&["card", "list", "--json"]).succeeds().json();
    assert_eq!(list["schema"], "kiln.card.list/2");
    let cards = list["cards"].as_array().unwrap();
    assert!(cards.iter().any(|card| card["address"] == "sim:u55c"), "{list:#}");
    for card in cards {
        let info = kiln(&["card", "info", card["address"].as_str().unwrap(), "--json"]).succeeds().json();
        assert_eq!(info["schema"], "kiln.card.info/1");
        assert_eq!(info["name"], card["address"]);
    }
    kiln(&["card", "info", "sim:no-such-profile"]).fails(2);
    kiln(&["card", "info", "vfio:ffff:1f:1f.7"]).fails(3);
    let bare = kiln(&["card", "info", "0000:01:00.0"]);
    assert_eq!(bare.code, 2, "{bare:#?}");
    assert!(bare.stderr.contains("vfio:DOMAIN:BUS:DEVICE.FUNCTION"), "{bare:#?}");
}
