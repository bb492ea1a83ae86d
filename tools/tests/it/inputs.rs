//! A model of several inputs, of which each has its own visibility.

use std::fs;

use kiln::public::{NamedTensor, PublicFile, PublicInput};

use crate::support::{Proven, Run, kiln, model_file, verify};

fn compile(place: &Proven, input: &str) -> Run {
    let [model, calibration] =
        ["onnx", "calibration.json"].map(|name| model_file(&format!("several.{name}")));
    let files = [model.to_str().unwrap(), "--calibration", calibration.to_str().unwrap()];
    let more = ["-o", &place.text("compiled"), "--input", input];
    kiln(&[&["compile", "--model"], &files[..], &more].concat())
}

fn prove(place: &Proven, more: &[&str]) -> Run {
    let record = model_file("several.record.json");
    let files = ["prove", "--compiled", &place.text("compiled"), "--record", record.to_str().unwrap()];
    let made = ["-o", &place.text("proof.bin"), "--public", &place.text("public.json")];
    kiln(&[&files[..], &made, more].concat())
}

fn check(place: &Proven, public: &str) -> Run {
    verify(&place.path("proof.bin"), &place.path("compiled/model.vk"), &place.path(public))
}

fn record() -> Vec<f64> {
    serde_json::from_slice(&fs::read(model_file("several.record.json")).unwrap()).unwrap()
}

#[test]
fn a_public_amount_beside_a_private_applicant_is_bound_and_nothing_else_told() {
    let place = Proven::in_new_directory();
    let told = compile(&place, "private,amount=public").succeeds().stdout;
    assert!(told.contains(r#""amount" public, "applicant" private"#), "{told}");
    prove(&place, &[]).succeeds();
    let said = check(&place, "public.json").succeeds().json();
    assert_eq!(said["input_visibility"], "several");
    assert_eq!(
        (&said["inputs"][0]["name"], &said["inputs"][0]["visibility"]),
        (&"amount".into(), &"public".into())
    );
    let public = PublicFile::read(&place.path("public.json")).unwrap();
    let PublicInput::Several { public: shown, commitment: None } = &public.input else {
        panic!("{public:?}")
    };
    let [NamedTensor { name, tensor }] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!(name, "amount");
    let amount = tensor.values[0] as f64 * tensor.scale;
    assert!((amount - record()[0]).abs() <= tensor.scale, "{amount}");

    let forged = |change: fn(&mut NamedTensor)| {
        let mut other = shown.clone();
        change(&mut other[0]);
        PublicInput::Several { public: other, commitment: None }
    };
    for input in [
        forged(|amount| amount.tensor.values[0] += 1),
        forged(|amount| amount.tensor.scale *= 2.0),
        forged(|amount| amount.name = "applicant".into()),
        PublicInput::Several { public: Vec::new(), commitment: None },
        PublicInput::Several { public: [&shown[..], shown].concat(), commitment: None },
        PublicInput::Several { public: shown.clone(), commitment: Some(public.model.clone()) },
        PublicInput::Private {},
        PublicInput::Public(tensor.clone()),
    ] {
        let other = PublicFile { input, ..public.clone() };
        fs::write(place.path("forged.json"), other.to_text()).unwrap();
        check(&place, "forged.json").fails(1);
    }
}

#[test]
fn a_committed_applicant_is_the_same_beside_every_amount() {
    let place = Proven::in_new_directory();
    compile(&place, "public,applicant=committed").succeeds();
    let shared = place.text("commitment");
    let commitment = || {
        prove(&place, &["--input-commitment", &shared]).succeeds();
        check(&place, "public.json").succeeds();
        let PublicInput::Several { commitment, .. } =
            PublicFile::read(&place.path("public.json")).unwrap().input
        else {
            panic!()
        };
        commitment.unwrap()
    };
    let first = commitment();
    assert_eq!(commitment(), first);
    // The amount is not in the commitment, so another one keeps it; another applicant does not.
    let others = |position: usize| {
        let mut record = record();
        record[position] += if position == 0 { -0.7 } else { 0.5 };
        let path = place.path("other.json");
        fs::write(&path, serde_json::to_string(&record).unwrap()).unwrap();
        let files = ["prove", "--compiled", &place.text("compiled"), "--record", path.to_str().unwrap()];
        let made =
            ["-o", &place.text("other.bin"), "--public", &place.text("other"), "--input-commitment", &shared];
        kiln(&[&files[..], &made].concat())
    };
    others(0).succeeds();
    let other = PublicFile::read(&place.path("other")).unwrap();
    assert!(matches!(other.input, PublicInput::Several { commitment: Some(same), .. } if same == first));
    others(3).fails(2);
}

#[test]
fn all_inputs_may_be_public_and_names_must_be_those_of_inputs() {
    let place = Proven::in_new_directory();
    compile(&place, "public").succeeds();
    prove(&place, &[]).succeeds();
    check(&place, "public.json").succeeds();
    let public = PublicFile::read(&place.path("public.json")).unwrap();
    assert!(matches!(public.input, PublicInput::Several { public, .. } if public.len() == 2));
    let other = Proven::in_new_directory();
    assert!(compile(&other, "private,income=public").fails(2).stderr.contains("`amount`, `applicant`"));
    let one = crate::support::compile(&other.path("one"), &["--input", "private,x=public"]);
    assert!(one.fails(2).stderr.contains("one input"));
}
