//! Nothing that is printed holds a secret: neither logs nor errors nor the debug form of anything.
//!
//! Values, weights and blinding that occur nowhere else are proven with, rightly and wrongly, while everything that is logged
//! at any level, in this thread or another, is searched for them.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once};

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use kiln_plonk::{
    ColumnValues, CommittedSecret, ProveError, Randomness, Silent, Witness, WitnessError, commit_group, prove,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::sample::{Sample, Setting};
use crate::verdict::verify;

/// In columns that are linear, where a value can be anything.
const EDGE: i32 = 1_203_946_577;
const WEIGHT: i32 = -1_857_192_043;

/// All that is logged while the tests run.
static LOG: Mutex<String> = Mutex::new(String::new());

/// Takes every span and every event at every level.
struct Everything;

struct Into<'a>(&'a mut String);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Into(&mut LOG.lock().unwrap()));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Into(&mut LOG.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Into(&mut LOG.lock().unwrap()));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Everything).unwrap());
}

/// A setting whose secrets are like nothing else, and those secrets as they might be printed.
fn setting() -> (Setting, Vec<String>) {
    let mut sample = Sample::new(3, 4);
    sample.edges[3] = EDGE;
    let mut weights: Vec<i32> = (0..8).collect();
    weights[5] = WEIGHT;
    sample.weights[1] = ColumnValues::small(weights);
    let setting = Setting::new(sample);
    let mut scalars = vec![Fr::from(EDGE), Fr::from(WEIGHT)];
    // The blinding of the committed group, from the file of its secret half.
    let mut file = Vec::new();
    setting.secret[0].write(&mut file).unwrap();
    let blinding_bytes = 2 * (8 + 3 * 32);
    let blinding = &file[file.len() - 32 - blinding_bytes..file.len() - 32];
    for column in blinding.chunks(8 + 3 * 32) {
        scalars.extend(column[8..].chunks(32).map(Fr::from_be_bytes_mod_order));
    }
    let mut secrets = vec![EDGE.to_string(), WEIGHT.to_string(), EDGE.unsigned_abs().to_string()];
    for scalar in scalars {
        let integer = scalar.into_bigint();
        secrets.push(integer.to_string());
        let bytes = integer.to_bytes_be();
        secrets.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        secrets.push(format!("{bytes:?}"));
        secrets.push(format!("{:?}", scalar.0.0));
    }
    secrets.retain(|secret| secret.len() >= 9);
    (setting, secrets)
}

#[track_caller]
fn assert_silent(text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is printed");
    }
}

/// What an error says, in every form.
fn everything_said(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let _ = write!(text, "{error} {error:?} {error:#?} ");
        next = error.source();
    }
    text
}

/// The sample with a value that is in no table, and which is a secret like no other.
struct OutOfTable<'a>(&'a Sample);

impl Witness for OutOfTable<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.0.phase(phase, challenges)?;
        if phase == 0 {
            let mut values = columns[0].to_full();
            values[2] = Fr::from(EDGE);
            columns[0] = ColumnValues::full(values);
        }
        Ok(columns)
    }
}

/// The sample with a wrong power of x: all lookups hold, and no constraint of the gate.
struct WrongPower<'a>(&'a Sample);

impl Witness for WrongPower<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.0.phase(phase, challenges)?;
        if phase == 0 {
            columns[2] = ColumnValues::full(vec![Fr::from(WEIGHT); 8]);
        }
        Ok(columns)
    }
}

/// One row too few.
struct Short<'a>(&'a Sample);

impl Witness for Short<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.0.phase(phase, challenges)?;
        columns[3 * usize::from(phase == 0)] = ColumnValues::small(vec![EDGE; 7]);
        Ok(columns)
    }
}

#[test]
fn neither_logs_nor_errors_nor_debug_forms_hold_a_secret() {
    listen();
    tracing::trace!(witness = EDGE, "the test listens");
    assert!(std::mem::take(&mut *LOG.lock().unwrap()).contains(&EDGE.to_string()), "logs are searched");

    let (setting, secrets) = setting();
    assert!(secrets.len() > 20);
    let proof = setting.prove(1);
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()));

    let mut said = String::new();
    let witnesses: [&dyn Witness; 3] =
        [&OutOfTable(&setting.sample), &WrongPower(&setting.sample), &Short(&setting.sample)];
    for witness in witnesses {
        let error: ProveError = setting.prove_with(&setting.engine, witness, 2).unwrap_err();
        said += &everything_said(&error);
    }
    // Columns of the committed group that are too short, a secret half of another circuit, a damaged secret file.
    let mut rng = Randomness::insecure_from_seed([3; 32]);
    let short = vec![ColumnValues::small(vec![WEIGHT; 7])];
    let commit = commit_group(&setting.engine, &setting.srs, 3, "model", short, true, &mut rng);
    said += &everything_said(&commit.err().unwrap());
    let rng = Randomness::insecure_from_seed([3; 32]);
    let (engine, srs, pk) = (&setting.engine, &setting.srs, &setting.pk);
    let without = prove(engine, pk, srs, &setting.statement, &[], &setting.sample, rng, &Silent);
    said += &everything_said(&without.unwrap_err());
    let mut file = Vec::new();
    setting.secret[0].write(&mut file).unwrap();
    for cut in [0, 1, 20, 60, file.len() - 40, file.len() - 1] {
        said += &everything_said(&CommittedSecret::read(&file[..cut]).err().unwrap());
    }
    for place in (0..file.len()).step_by(5) {
        let mut damaged = file.clone();
        damaged[place] ^= 0x55;
        said += &everything_said(&CommittedSecret::read(damaged.as_slice()).err().unwrap());
    }
    // The one type that holds secrets and has a debug form.
    said += &format!("{:?} {:#?}", setting.secret[0].values(), setting.sample.phase(0, &[]).unwrap());
    assert!(said.len() > 1000);
    assert_silent(&said, &secrets);
    assert_silent(&LOG.lock().unwrap(), &secrets);
}

#[test]
fn a_secret_that_were_printed_would_be_noticed() {
    let (setting, secrets) = setting();
    let leak = |text: String| std::panic::catch_unwind(|| assert_silent(&text, &secrets)).is_err();
    assert!(leak(format!("{:?}", setting.sample.edges)));
    assert!(leak(format!("{:?}", setting.secret[0].values()[1].to_full())));
    assert!(!leak(format!("{:?}", setting.vk)));
}
