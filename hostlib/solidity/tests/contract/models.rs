//! The models of this repository, laid out for Ethereum and as usual.

use ark_bn254::Fr;
use kiln_circuits::data::{read_records, read_test_set};
use kiln_circuits::{
    InputVisibility, IntGraph, Lowered, PlanOptions, QuantiseOptions, Target, Visibility, WeightValues,
    WeightVisibility, import, lower, quantise, quantise_record, run,
};
use kiln_kernels::Engine;
use kiln_plonk::{
    CommittedSecret, ProvingKey, Randomness, Silent, Srs, Statement, commit_group, keygen, prove,
};

use crate::evm::{CODE_BYTES_MAX, Verdict};
use crate::mutations;
use crate::sample::cpu_engine;
use crate::subject::Subject;

struct Model {
    engine: Engine,
    graph: IntGraph,
    weights: WeightValues,
    lowered: Lowered,
    srs: Srs,
    key: ProvingKey,
    secret: CommittedSecret,
    records: Vec<Vec<f32>>,
    subject: Subject,
}

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../../circuits/models/", $name))
    };
}

impl Model {
    /// Compiles a model; everything random comes from fixed seeds, so that its contract is the same every time.
    fn new(name: &str, onnx: &[u8], calibration: &[u8], test: &[u8], target: Target) -> Self {
        let calibration = read_records(calibration).unwrap();
        let options = QuantiseOptions::default();
        let (graph, weights, _) = quantise(&import(onnx).unwrap(), &calibration, &options).unwrap();
        let visibility = Visibility { input: InputVisibility::Private, weights: WeightVisibility::Hidden };
        let lowered = lower(&graph, visibility, &PlanOptions { target, ..PlanOptions::default() }).unwrap();
        let (engine, k) = (cpu_engine(), lowered.circuit.k);
        let srs = Srs::insecure_local(k, [7; 32]).unwrap();
        let (key, vk) = keygen(&engine, &srs, lowered.circuit.clone(), lowered.fixed.clone()).unwrap();
        let mut rng = Randomness::insecure_from_seed([3; 32]);
        let columns = lowered.model_columns(&weights).unwrap();
        let (secret, public) = commit_group(&engine, &srs, k, "model", columns, true, &mut rng).unwrap();
        let subject = Subject::new(name, vk, vec![public.clone()], vec![public]);
        let records = read_test_set(test).unwrap().records;
        Self { engine, graph, weights, lowered, srs, key, secret, records, subject }
    }

    /// Proves what the model answers on one of its test records: the calldata.
    fn prove(&self, record: usize) -> Vec<u8> {
        let integers = quantise_record(&self.graph, &self.records[record]).unwrap();
        let trace = run(&self.graph, &self.weights, &integers).unwrap();
        let witness = self.lowered.witness(&trace, &self.weights).unwrap();
        let public_inputs: Vec<Fr> = self.lowered.public_inputs(&trace).unwrap();
        let committed = self.subject.committed.clone();
        let statement = Statement { public_inputs: public_inputs.clone(), committed };
        let rng = Randomness::insecure_from_seed([record as u8; 32]);
        let secrets = [self.secret.clone()];
        let (engine, key, srs) = (&self.engine, &self.key, &self.srs);
        let (proof, _) = prove(engine, key, srs, &statement, &secrets, &witness, rng, &Silent).unwrap();
        self.subject.calldata(&public_inputs, &proof)
    }

    /// Proofs of several records are accepted; one line of figures.
    fn accepts(&mut self, name: &str) -> String {
        let mut gas = Vec::new();
        let mut bytes = 0;
        for record in 0..4 {
            let calldata = self.prove(record);
            assert!(self.subject.verdict(&calldata), "record {record}");
            let (verdict, used) = self.subject.chain.call(&calldata);
            assert_eq!(verdict, Verdict::Accepted);
            gas.push(used);
            bytes = calldata.len();
        }
        let chain = &self.subject.chain;
        assert!(chain.code_bytes <= CODE_BYTES_MAX, "{} bytes of code", chain.code_bytes);
        let source = self.subject.source();
        // The helper itself is one.
        let terms = source.matches("addTerm()").count() - 1;
        format!(
            "{name}: verify {} to {} gas, deploy {} gas, code {} bytes, calldata {bytes} bytes, {terms} multiplications",
            gas.iter().min().unwrap(),
            gas.iter().max().unwrap(),
            chain.deploy_gas,
            chain.code_bytes,
        )
    }
}

/// One of the repository's models.
fn model(label: &str, target: Target) -> Model {
    let (onnx, calibration, test): (&[u8], &[u8], &[u8]) = if label.starts_with("digits") {
        (file!("digits.onnx"), file!("digits.calibration.json"), file!("digits.test.json"))
    } else {
        (file!("diagnostic.onnx"), file!("diagnostic.calibration.json"), file!("diagnostic.test.json"))
    };
    Model::new(label, onnx, calibration, test, target)
}

/// Gas does not depend on time or chance but for the zero bytes of a proof.
#[test]
fn valid_proofs_of_the_models_are_accepted_and_cost_what_was_reviewed() {
    let lines = [
        ("diagnostic-ethereum", Target::Ethereum, "diagnostic, --target ethereum"),
        ("digits-ethereum", Target::Ethereum, "digits, --target ethereum"),
        ("diagnostic", Target::Proving, "diagnostic"),
        ("digits", Target::Proving, "digits"),
    ];
    let lines = lines.map(|(label, target, name)| model(label, target).accepts(name));
    insta::assert_snapshot!("gas", lines.join("\n"));
}

#[test]
fn every_cheating_call_about_the_diagnostic_model_is_refused() {
    let mut model = model("diagnostic-ethereum", Target::Ethereum);
    let calldata = model.prove(0);
    mutations::refuses_all(&mut model.subject, &calldata);
}
