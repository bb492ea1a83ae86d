//! Proves what a machine-learning model answered, without showing the model or the record.
//!
//! Without a command, Kiln shows itself at work on real data: it calibrates and compiles a small diagnostic model (the
//! Wisconsin breast-cancer records), commits to its weights, proves what it says about one patient on a simulated
//! accelerator card, with the weights and the record hidden, and verifies the proof from its bytes alone. It needs no
//! file, no network and no card, and leaves nothing on disk.
//!
//! ```console
//! $ kiln                      # on the simulated card
//! $ kiln demo --backend cpu   # the same on this machine's processor
//! ```
//! The way to prove a model of your own:
//!
//! ```console
//! $ kiln compile --model m.onnx --calibration c.json -o compiled
//! $ kiln prove --compiled compiled --record r.json -o proof.bin --public public.json
//! $ kiln verify --proof proof.bin --vk compiled/model.vk --public public.json
//! ```

use std::fmt;

use kiln_circuits::accuracy::argmax;
use kiln_circuits::{Rates, Target, data};
use serde::Serialize;

use crate::backend::{self, Backend};
use crate::commands::verify;
use crate::compiled::{Accuracy, Compare, Compiled, Options, Shape};
use crate::error::Failure;
use crate::hexadecimal;
use crate::meaning::{InputVisibility, WeightVisibility};
use crate::memory::MemoryArgs;
use crate::output::{self, Format, Report};
use crate::progress::{Phase, Progress};
use crate::quantisation::Quantisation;
use crate::resources::{Snapshot, Used};
use crate::secret;
use crate::usage::{self, DeviceUsage};

const MODEL: &[u8] = include_bytes!("../../../circuits/models/diagnostic.onnx");
const CALIBRATION: &[u8] = include_bytes!("../../../circuits/models/diagnostic.calibration.json");
const RECORD: &[u8] = include_bytes!("../../../circuits/models/diagnostic.record.json");
const HELD_OUT: &[u8] = include_bytes!("../../../circuits/models/diagnostic.test.json");
/// In the order of the model's outputs.
const CLASSES: [&str; 2] = ["malignant", "benign"];

/// Arguments of `kiln demo`, and of `kiln` alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the heavy work is done: `cpu`, or `card:ADDRESS`, such as card:sim:u55c (see `kiln card list`)
    #[arg(long, value_name = "cpu|card:ADDRESS", default_value = "card:sim:u55c")]
    backend: Backend,
    #[command(flatten)]
    memory: MemoryArgs,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What the demonstration showed.
#[derive(Debug, Serialize)]
pub struct Shown {
    model: String,
    accuracy: Option<Accuracy>,
    shape: Shape,
    model_commitment: String,
    weights: WeightVisibility,
    input_visibility: InputVisibility,
    insecure: bool,
    output: Vec<i64>,
    output_scale: f64,
    logits: Vec<f64>,
    class: usize,
    class_name: &'static str,
    backend: String,
    proof_bytes: usize,
    verified: bool,
    phases: Vec<Phase>,
    devices: Vec<DeviceUsage>,
    used: Used,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Shown, Failure> {
    let start = Snapshot::now();
    let engine = backend::engine(&args.backend)?;
    let progress = Progress::new(args.format.json);
    let calibration = embedded(data::read_records(CALIBRATION))?;
    let record = embedded(data::read_record(RECORD))?;
    let options = Options {
        name: "diagnostic".into(),
        input: InputVisibility::Private.into(),
        weights: WeightVisibility::Hidden,
        target: Target::default(),
        quantise: Quantisation::default(),
        rates: Rates::default(),
        compare: Compare::HeldOut(embedded(data::read_test_set(HELD_OUT))?),
    };
    let mut compiled =
        Compiled::make(&engine, MODEL, &calibration, options, None, secret::randomness()?, &progress)?;
    let accuracy = compiled.compared.take().and_then(|compared| compared.accuracy);
    let proven = compiled.prove(&engine, &record, None, secret::randomness()?, &args.memory, &progress)?;
    // The verifier's side: bytes and text, as they would arrive from elsewhere.
    let key = compiled.verifying_key_bytes();
    let public = proven.public.to_text();
    progress.phase("verify from bytes", || verify::check_bytes(&key, &public, &proven.proof))?;
    let phases = progress.finish();
    let logits = compiled.meaning.output.values(&proven.public.output.values);
    let class = argmax(&logits);
    Ok(Shown {
        model: compiled.meaning.model.clone(),
        accuracy,
        shape: compiled.shape(),
        model_commitment: hexadecimal::encode(&compiled.commitment.id()),
        weights: compiled.meaning.weights,
        input_visibility: compiled.meaning.input_visibility,
        insecure: compiled.is_insecure(),
        output: proven.public.output.values,
        output_scale: proven.public.output.scale,
        class,
        class_name: CLASSES.get(class).copied().unwrap_or("unknown"),
        logits,
        backend: args.backend.to_string(),
        proof_bytes: proven.proof.len(),
        verified: true,
        phases,
        devices: usage::usage(&engine.report()),
        used: start.used(),
    })
}

fn embedded<T>(data: Result<T, data::DataError>) -> Result<T, Failure> {
    data.map_err(|e| Failure::refused("read the demonstration's data", e))
}

impl Report for Shown {
    const SCHEMA: &'static str = "kiln.demo/1";
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Kiln: a diagnosis, proven without showing the model or the patient's record\n")?;
        writeln!(
            f,
            "Model              {:?}: Wisconsin breast-cancer records, 30 numbers in, 2 classes out",
            self.model
        )?;
        if let Some(accuracy) = &self.accuracy {
            writeln!(f, "  accuracy         {accuracy}")?;
        }
        writeln!(f, "  circuit          {}", self.shape)?;
        writeln!(f, "  cells            {}", self.shape.density())?;
        writeln!(f, "  model commitment {}", self.model_commitment)?;
        writeln!(
            f,
            "\nStatement          the committed model gives this output; weights {}, record {}",
            self.weights, self.input_visibility
        )?;
        writeln!(f, "  class            {} ({})", self.class_name, self.class)?;
        write!(f, "  logits          ")?;
        for (logit, integer) in self.logits.iter().zip(&self.output) {
            write!(f, " {logit:.4} ({integer})")?;
        }
        writeln!(f, ", integers × {:.6}", self.output_scale)?;
        writeln!(f, "  proof            {} bytes, verified from its bytes alone", self.proof_bytes)?;
        if self.insecure {
            writeln!(
                f,
                "  WARNING          INSECURE test reference string, made here: its maker could forge proofs"
            )?;
        }
        writeln!(f, "\nWall time of each phase, measured on this machine")?;
        for phase in &self.phases {
            writeln!(f, "  {:<26}{:>10}", phase.phase, output::seconds(phase.wall_s))?;
        }
        writeln!(f, "  {:<26}{}", "all of it", self.used)?;
        for device in &self.devices {
            write!(f, "\n{device}")?;
        }
        write!(
            f,
            "\nSimulated figures are predictions of a card that was not built; they are not validated yet."
        )
    }
}
