//! One proof, whatever made it; and what the circuit proves is what the interpreter computes.

use kiln::backend::{Backend, engine};
use kiln::commands::verify;
use kiln::compiled::{Compare, Compiled, Options, Proven};
use kiln::error::Failure;
use kiln::meaning::{InputVisibility, WeightVisibility};
use kiln::memory::MemoryArgs;
use kiln::progress::Progress;
use kiln::public::Commitment;
use kiln::quantisation::Quantisation;
use kiln_circuits::{Rates, Target};
use kiln_kernels::Engine;
use kiln_plonk::{Randomness, Srs};

use crate::support::model_file;

fn json<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(model_file(name)).unwrap()).unwrap()
}

fn compile(engine: &Engine, model: &str, input: InputVisibility, seed: u8) -> Compiled {
    let onnx = std::fs::read(model_file(&format!("{model}.onnx"))).unwrap();
    let calibration: Vec<Vec<f32>> = json(&format!("{model}.calibration.json"));
    let options = Options {
        name: model.into(),
        input: input.into(),
        weights: WeightVisibility::Hidden,
        target: Target::default(),
        quantise: Quantisation::default(),
        rates: Rates::default(),
        compare: Compare::default(),
    };
    let srs = Srs::insecure_local(12, [7; 32]).unwrap();
    let randomness = Randomness::insecure_from_seed([seed; 32]);
    Compiled::make(engine, &onnx, &calibration, options, Some(srs), randomness, &Progress::new(true)).unwrap()
}

fn prove(compiled: &Compiled, engine: &Engine, model: &str, seed: u8) -> Proven {
    let record: Vec<f32> = json(&format!("{model}.record.json"));
    let randomness = Randomness::insecure_from_seed([seed; 32]);
    compiled.prove(engine, &record, None, randomness, &MemoryArgs::default(), &Progress::new(true)).unwrap()
}

fn check(compiled: &Compiled, proven: &Proven) -> Result<(), Failure> {
    verify::check_bytes(&compiled.verifying_key_bytes(), &proven.public.to_text(), &proven.proof)
}

#[test]
fn processor_and_card_make_the_same_proof_from_the_same_seed() {
    let (cpu, card) =
        (engine(&Backend::Cpu).unwrap(), engine(&Backend::Card("u55c".parse().unwrap())).unwrap());
    for model in ["diagnostic", "digits"] {
        let (by_cpu, by_card) = (
            compile(&cpu, model, InputVisibility::Private, 1),
            compile(&card, model, InputVisibility::Private, 1),
        );
        assert_eq!(by_cpu.verifying_key_bytes(), by_card.verifying_key_bytes());
        let (one, other) = (prove(&by_cpu, &cpu, model, 2), prove(&by_card, &card, model, 2));
        assert!(one.proof == other.proof, "{model}: the proofs differ");
        assert_eq!(one.public, other.public);
        check(&by_cpu, &other).unwrap();
        assert_ne!(prove(&by_cpu, &cpu, model, 3).proof, one.proof, "{model}: the randomness counts");

        // The card did the work, not the processor behind it.
        let report = card.report();
        let standby = &report.devices[1];
        assert!(standby.kernels.is_empty() && report.devices[0].quarantined.is_none(), "{report:#?}");
    }
}

#[test]
fn the_public_output_is_what_the_interpreter_computes() {
    let cpu = engine(&Backend::Cpu).unwrap();
    for model in ["diagnostic", "digits"] {
        let compiled = compile(&cpu, model, InputVisibility::Public, 1);
        let proven = prove(&compiled, &cpu, model, 2);
        let record: Vec<f32> = json(&format!("{model}.record.json"));
        let integers = kiln_circuits::quantise_record(compiled.graph(), &record).unwrap();
        let trace = kiln_circuits::run(compiled.graph(), compiled.weights(), &integers).unwrap();
        let output: Vec<i64> = trace.output.iter().map(|value| i64::from(*value)).collect();
        assert_eq!(proven.public.output.values, output, "{model}");
        check(&compiled, &proven).unwrap();
        for position in 0..output.len() {
            let mut public = proven.public.clone();
            public.output.values[position] += 1;
            let failure = check(
                &compiled,
                &Proven { proof: proven.proof.clone(), public, memory: None, work: proven.work },
            )
            .unwrap_err();
            assert_eq!(failure.exit_code(), 1, "{failure}");
        }
    }
}

#[test]
fn a_proof_for_other_weights_is_refused() {
    let cpu = engine(&Backend::Cpu).unwrap();
    // One circuit, two models: the same graph, with other weights and so another commitment.
    let model = compile(&cpu, "diagnostic", InputVisibility::Private, 1);
    let mut weights = model.weights().clone();
    weights.0[0][0] = if weights.0[0][0] > 0 { weights.0[0][0] - 1 } else { weights.0[0][0] + 1 };
    let randomness = Randomness::insecure_from_seed([1; 32]);
    let other = model.with_weights(&cpu, weights, randomness).unwrap();
    assert_eq!(model.verifying_key_bytes(), other.verifying_key_bytes());
    assert_ne!(model.commitment.id(), other.commitment.id());

    let mut proven = prove(&other, &cpu, "diagnostic", 2);
    check(&model, &proven).unwrap();
    proven.public.model = Commitment::new(&model.commitment);
    let failure = check(&model, &proven).unwrap_err();
    assert_eq!(failure.exit_code(), 1, "{failure}");
}
