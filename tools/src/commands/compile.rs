//! Turns an ONNX model into what proving needs: quantises it with calibration records, lays it out as a circuit, makes
//! the proving and the verifying key, and commits to the weights.
//!
//! ```console
//! $ kiln compile --model m.onnx --calibration c.json -o compiled
//! $ kiln compile --model m.onnx --calibration c.json -o compiled --input public --weights public --srs test.srs
//! ```
//! The directory that it makes holds, for everybody:
//!
//! ```text
//! model.vk         the verifying key, with the meaning of input and output: give it to verifiers
//! model.json       the model commitment and its id: publish it once, every proof names it
//! proving.key      the proving key
//! srs              the structured reference string
//! ```
//! and for the owner alone (mode 0600):
//!
//! ```text
//! model.kiln       the integer graph and the weights
//! model.secret     the blinding of the model commitment
//! ```
//! The calibration file is JSON, `[[0.1, 0.2, …], …]`: some dozens of typical inputs, each with as many
//! numbers as the model takes, in row-major order. They set the scales of the integers.
//!
//! Of a model with several inputs each may be seen by others: with `--input private,amount=public` the verifier sees `amount` and nothing of
//! the rest, with `--input private,applicant=committed` a hiding commitment to `applicant` alone.
//!
//! With `--layers` every layer of the integer model is compared with the float model, on the labelled records of `--held-out`
//! or else on those of calibration: the root mean square of the differences as a share of that of the layer's float values, with all
//! that was lost in the layers before it; the largest difference; how many of the float values are beyond what the layer's
//! integers reach; and the cells that it takes, with their share of the predicted time. Where the error jumps is where more bits
//! or other scales would help; where the cells are is where a smaller layer would.
//!
//! A model that is quantised already, by `QuantizeLinear` and `QLinearConv` and the like, needs no bits: its own integers are proven, and shift and
//! tables are chosen at which every layer gives what ONNX Runtime gives in integers, bit for bit. It says how many layers do;
//! `--layers` and `--json` tell which.
//!
//! With `--activation-bits mixed` the widths of activations are searched for, layer by layer (`mixed:0.05` with an error of the outputs of up
//! to 5 % on the calibration records). What a proof takes depends on widths by the tables alone, whose entries fill columns: so there
//! are steps, and within a step the search takes the widths of least error. Every state is printed with its entries, predicted time and
//! error. `kiln run` does the same without making keys.
//!
//! With `--per-token` products of tokens and weights read every token at a scale of its own, its largest element, which is proven and not
//! calibrated: for models whose tokens differ much in size. `--layers` and `--json` tell which layers do.
//!
//! With `--target ethereum` the circuit is laid out so that a contract verifies its proofs with little gas (see `kiln
//! verifier`): few columns and many rows. Proving takes longer.
//!
//! Without `--srs` a reference string of the right size is generated locally. Whoever runs that command could forge
//! proofs, so such a string is INSECURE, every verifier will say so, and it is for tests only. With `--srs` all of the
//! string is checked; pin the ceremony that it comes from with `--expect-fingerprint`.

use std::fmt;
use std::path::{Path, PathBuf};

use kiln_circuits::{PlanReport, Target};
use kiln_plonk::Srs;
use serde::Serialize;

use crate::artefact::{self, LARGE_FILE_BYTES_MAX, StagedDirectory};
use crate::backend::{self, BackendArgs};
use crate::commands::setup;
use crate::compiled::{Accuracy, Compare, Compiled, Options, Shape};
use crate::error::Failure;
use crate::fidelity::{Fidelity, Table};
use crate::hexadecimal;
use crate::inputs::Inputs;
use crate::meaning::{self, Input, InputVisibility, WeightVisibility};
use crate::memory::parse_size;
use crate::mixed::MixedSearch;
use crate::output::{self, Format, Report};
use crate::progress::{Phase, Progress};
use crate::quantisation::QuantiseArgs;
use crate::rates::RatesArgs;
use crate::record;
use crate::resources::{Snapshot, Used};
use crate::secret;

/// Arguments of `kiln compile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model, an ONNX file
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Typical inputs, a JSON list of lists
    #[arg(long, value_name = "FILE")]
    calibration: PathBuf,
    /// The directory to make
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Labelled records to measure accuracy on: JSON, `{"records": [[…], …], "labels": […]}`
    #[arg(long, value_name = "FILE")]
    held_out: Option<PathBuf>,
    /// Who sees the record: public (the verifier sees its integers), private (nobody but the prover), or committed (the verifier sees a
    /// hiding commitment to it); of a model with several inputs also with those that differ, such as private,amount=public
    #[arg(long, value_name = "WHO", value_parser = Inputs::parse, default_value = "private")]
    input: Inputs,
    /// Who can check the model commitment against the weights
    #[arg(long, value_enum, default_value_t = WeightVisibility::Hidden)]
    weights: WeightVisibility,
    /// What the circuit is laid out for
    #[arg(long, value_enum, default_value_t = TargetName::Proving)]
    target: TargetName,
    #[command(flatten)]
    quantise: QuantiseArgs,
    /// The reference string; without it an INSECURE one is generated
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
    /// Refuse any other reference string than those of the ceremony with this fingerprint, 64 lower-case hexadecimal
    /// digits
    #[arg(long, value_name = "HEX", requires = "srs", value_parser = setup::parse_fingerprint)]
    expect_fingerprint: Option<setup::Fingerprint>,
    /// Predict the CPU time of proofs within so much memory, as of `kiln prove --memory`, for example `4GiB`; left out, of proofs that hold
    /// all columns in memory. The layout does not depend on it
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    #[command(flatten)]
    rates: RatesArgs,
    #[command(flatten)]
    backend: BackendArgs,
    /// Print layer by layer (always part of --json): the layout with rows, inputs, outputs, weights and committed cells; and the error
    /// against the float model beside the predicted share of proving
    #[arg(long)]
    layers: bool,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What a circuit is laid out for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TargetName {
    /// Fast proving and short proofs
    Proving,
    /// A contract that verifies with little gas
    Ethereum,
}

impl From<TargetName> for Target {
    fn from(name: TargetName) -> Self {
        match name {
            TargetName::Proving => Self::Proving,
            TargetName::Ethereum => Self::Ethereum,
        }
    }
}

/// What was compiled.
#[derive(Debug, Serialize)]
pub struct Made {
    directory: PathBuf,
    model: String,
    model_id: String,
    weights: WeightVisibility,
    input_visibility: InputVisibility,
    /// Where inputs differ in who sees them, each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Input>,
    insecure: bool,
    shape: Shape,
    accuracy: Option<Accuracy>,
    fidelity: Option<Fidelity>,
    /// The search for widths, if there was one.
    mixed: Option<MixedSearch>,
    layout: PlanReport,
    /// What a proof is predicted to take; none if no proof fits `--memory`.
    prediction: Option<Prediction>,
    #[serde(skip)]
    layers: bool,
    phases: Vec<Phase>,
    used: Used,
}

/// What a proof is predicted to take.
#[derive(Debug, Serialize)]
struct Prediction {
    /// CPU time, all threads together \[ms\].
    cpu_ms: f64,
    /// The most memory of the process, if it held what this one holds \[bytes\].
    memory_bytes: u64,
    /// How it holds columns.
    way: String,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Made, Failure> {
    let start = Snapshot::now();
    let directory = StagedDirectory::new(&args.output)?;
    let onnx = artefact::read("read the model", &args.model, LARGE_FILE_BYTES_MAX)?;
    let calibration = record::read_calibration(&args.calibration)?;
    let engine = backend::engine(&args.backend.backend)?;
    let progress = Progress::new(args.format.json);
    let srs =
        args.srs.as_deref().map(|path| progress.phase("check the reference string", || open_srs(path, args)));
    let srs = srs.transpose()?;
    let name = args.model.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let quantise = args.quantise.quantisation();
    let (input, weights, target) = (args.input.clone(), args.weights, args.target.into());
    let compare = match &args.held_out {
        Some(path) => Compare::HeldOut(record::read_held_out(path)?),
        None if args.layers || args.format.json => Compare::Calibration,
        None => Compare::Nothing,
    };
    let rates = args.rates.read()?;
    let options = Options { name, input, weights, target, quantise, rates: rates.clone(), compare };
    let mut compiled =
        Compiled::make(&engine, &onnx, &calibration, options, srs, secret::randomness()?, &progress)?;
    let (accuracy, fidelity) = match compiled.compared.take() {
        Some(compared) => (compared.accuracy, Some(compared.fidelity)),
        None => (None, None),
    };
    progress.phase("write", || compiled.write(&engine, &directory))?;
    directory.commit()?;
    let prediction = match compiled.planned(&args.output, args.memory) {
        Ok((plan, work)) => Some(Prediction {
            cpu_ms: rates.proof_ms(&work),
            memory_bytes: plan.peak_bytes(),
            way: plan.to_string(),
        }),
        Err(failure) => {
            output::note(format_args!("no prediction: {failure}"));
            None
        }
    };
    let phases = progress.finish();
    if compiled.is_insecure() {
        output::warn(super::verify::INSECURE);
    }
    Ok(Made {
        directory: args.output.clone(),
        model: compiled.meaning.model.clone(),
        model_id: hexadecimal::encode(&compiled.commitment.id()),
        weights: args.weights,
        input_visibility: compiled.meaning.input_visibility,
        inputs: compiled.meaning.inputs.clone(),
        insecure: compiled.is_insecure(),
        shape: compiled.shape(),
        accuracy,
        fidelity,
        mixed: compiled.mixed.clone(),
        layout: compiled.layout().clone(),
        prediction,
        layers: args.layers,
        phases,
        used: start.used(),
    })
}

/// The reference string that was given, checked from end to end: what is committed to with it becomes part of keys.
fn open_srs(path: &Path, args: &Args) -> Result<Srs, Failure> {
    let refused = |e| Failure::file("use the reference string", path, e);
    let srs = Srs::open(path).map_err(refused)?;
    if let Some(expected) = &args.expect_fingerprint {
        setup::expect_fingerprint("the reference string", srs.verifier().fingerprint(), expected)?;
    }
    srs.check().map_err(refused)?;
    Ok(srs)
}

impl Report for Made {
    const SCHEMA: &'static str = "kiln.compile/1";
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Compiled {:?} into {}", self.model, self.directory.display())?;
        writeln!(f, "  model id  {}", self.model_id)?;
        writeln!(f, "  weights   {}", self.weights)?;
        writeln!(f, "  record    {}", meaning::seen(self.input_visibility, &self.inputs))?;
        writeln!(f, "  circuit   {}", self.shape)?;
        writeln!(f, "  cells     {}", self.shape.density())?;
        if let Some(accuracy) = &self.accuracy {
            writeln!(f, "  accuracy  {accuracy}")?;
        }
        if let Some(fidelity) = &self.fidelity {
            writeln!(f, "  outputs   {fidelity}")?;
        }
        if let Some(Prediction { cpu_ms, memory_bytes, way }) = &self.prediction {
            let (time, memory) = (output::seconds(cpu_ms * 1e-3), output::bytes(*memory_bytes));
            writeln!(f, "  a proof   {time} of CPU time, predicted: {way}, at most some {memory}")?;
        }
        if let Some(mixed) = &self.mixed {
            write!(f, "{mixed}")?;
        }
        if self.layers {
            writeln!(f, "\n{}", self.layout)?;
            if let Some(fidelity) = &self.fidelity {
                writeln!(f, "{}", Table(fidelity))?;
            }
        }
        write!(f, "  used      {}", self.used)?;
        output::phases(f, &self.phases)
    }
}
