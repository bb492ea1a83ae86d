//! Proves what a compiled model answers on one record. Writes the proof, and the public values that it speaks about.
//!
//! ```console
//! $ kiln prove --compiled compiled --record r.json -o proof.bin --public public.json
//! $ kiln prove --compiled compiled --record r.json -o proof.bin --public public.json --backend card:u55c --json
//! ```
//! The record is JSON, `[0.1, 0.2, …]`: as many numbers as the model takes, in row-major order. Neither the
//! record nor the weights can be learnt from proof and public values, unless the model was compiled to make them public.
//!
//! For a model compiled with `--input committed`, the public values name the record (or those of several inputs that are committed) by a
//! hiding commitment. With `--input-commitment FILE` several proofs name it by the same one: the file is made by the first and used by the others.
//! It is a secret (mode 0600).
//!
//! With `--memory 4GiB` the process keeps below that bound, or says before it starts what the least is. It prints what each way to
//! prove would take and picks the fastest that fits: hold all columns in memory; keep them on disk (only with `--spill-dir`);
//! make them again whenever they are needed, some at a time or all. Each also shrinks the largest step by taking it in slices. The
//! proof is the same. A spilled column is a secret: the file has no name, is the owner's alone, goes when the process ends, and is encrypted
//! with a key that is drawn for this proof and never written. Estimates hold for `--backend cpu`.
//!
//! With `--multiples DIR` multiples of the reference string's points are kept in files there, eight times as large as the
//! points, made by the first proof and used by all that follow with the same reference string. From some 2^14 rows on they save
//! part of the time of commitments on the processor.
//!
//! The CPU time that was predicted stands beside the one that was measured. What is predicted is the proof with memory used as it was, on the
//! processor, without `--multiples`; predictions are good on a machine that `kiln tune` has measured.
//!
//! A proof is verified before it is written. If it fails, nothing is written and the exit code is 3.

use std::fmt;
use std::path::PathBuf;

use kiln_kernels::Engine;
use kiln_plonk::Work;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::artefact::{self, Audience, LARGE_FILE_BYTES_MAX, Staged};
use crate::backend::{self, BackendArgs};
use crate::compiled::{Compiled, InputCommitment};
use crate::error::Failure;
use crate::memory::{MemoryArgs, MemoryUse};
use crate::output::{self, Format, Report};
use crate::progress::{Phase, Progress};
use crate::rates::RatesArgs;
use crate::record;
use crate::resources::{Snapshot, Used};
use crate::secret;
use crate::usage::{self, DeviceUsage};

/// Arguments of `kiln prove`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `kiln compile` made
    #[arg(long, value_name = "DIR")]
    compiled: PathBuf,
    /// The record, a JSON list
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    /// Where to write the proof
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Where to write the public values
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
    /// The record's commitment, with its secret: used if it exists, otherwise made
    #[arg(long, value_name = "FILE")]
    input_commitment: Option<PathBuf>,
    #[command(flatten)]
    rates: RatesArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    backend: BackendArgs,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What was proven.
#[derive(Debug, Serialize)]
pub struct Made {
    proof: PathBuf,
    public: PathBuf,
    model: String,
    model_id: String,
    output: Vec<i64>,
    output_scale: f64,
    proof_bytes: usize,
    insecure: bool,
    backend: String,
    /// The CPU time of a proof on the processor with memory used as it was, by the rates that were given or found.
    predicted_ms: f64,
    /// What the prediction counted.
    work: Work,
    /// The CPU time that it took, from the record to the proof's own check; none where the system does not say.
    proving_cpu_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryUse>,
    phases: Vec<Phase>,
    devices: Vec<DeviceUsage>,
    used: Used,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Made, Failure> {
    let start = Snapshot::now();
    if args.output == args.public {
        return Err(Failure::Input("proof and public values need different files".into()));
    }
    artefact::check_destination(&args.output)?;
    artefact::check_destination(&args.public)?;
    let progress = Progress::new(args.format.json);
    let record = record::read_record(&args.record)?;
    let compiled = progress.phase("read", || Compiled::read(&args.compiled))?;
    let engine = backend::engine(&args.backend.backend)?;
    let mut staged = Staged::new();
    let commitment = input_commitment(args, &compiled, &engine, &record, &mut staged)?;
    let rates = args.rates.read()?;
    let before = Snapshot::now();
    let proven =
        compiled.prove(&engine, &record, commitment, secret::randomness()?, &args.memory, &progress)?;
    let proving_cpu_ms = before.used().cpu_s.map(|cpu_s| cpu_s * 1e3);
    staged.add(&args.output, Audience::Anyone, &proven.proof)?;
    staged.add(&args.public, Audience::Anyone, proven.public.to_text().as_bytes())?;
    staged.commit()?;
    let phases = progress.finish();
    if compiled.is_insecure() {
        output::warn(super::verify::INSECURE);
    }
    Ok(Made {
        proof: args.output.clone(),
        public: args.public.clone(),
        model: compiled.meaning.model.clone(),
        model_id: proven.public.model.id.clone(),
        output_scale: proven.public.output.scale,
        output: proven.public.output.values,
        proof_bytes: proven.proof.len(),
        insecure: compiled.is_insecure(),
        backend: args.backend.backend.to_string(),
        predicted_ms: rates.proof_ms(&proven.work),
        work: proven.work,
        proving_cpu_ms,
        memory: proven.memory,
        phases,
        devices: usage::usage(&engine.report()),
        used: start.used(),
    })
}

/// The commitment to the record that several proofs share, if that was asked for.
fn input_commitment(
    args: &Args,
    compiled: &Compiled,
    engine: &Engine,
    record: &[f32],
    staged: &mut Staged,
) -> Result<Option<InputCommitment>, Failure> {
    const ACTION: &str = "read the record's commitment";
    let Some(path) = &args.input_commitment else { return Ok(None) };
    if !compiled.meaning.commits() {
        let reason = "--input-commitment needs a model that was compiled with --input committed, of all inputs or some";
        return Err(Failure::Input(reason.into()));
    }
    if path.exists() {
        let bytes = Zeroizing::new(artefact::read(ACTION, path, LARGE_FILE_BYTES_MAX)?);
        return InputCommitment::parse(&bytes).map(Some).map_err(|e| Failure::file(ACTION, path, e));
    }
    let commitment = compiled.commit_input(engine, record, &mut secret::randomness()?)?;
    staged.add(path, Audience::Owner, &commitment.to_bytes()?)?;
    Ok(Some(commitment))
}

impl Report for Made {
    const SCHEMA: &'static str = "kiln.prove/1";
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Proven on {}", self.backend)?;
        writeln!(f, "  model     {:?}", self.model)?;
        writeln!(f, "  model id  {}", self.model_id)?;
        writeln!(f, "  output    {} × {}", output::integers(&self.output), self.output_scale)?;
        writeln!(f, "  proof     {}, {}", self.proof.display(), output::bytes(self.proof_bytes as u64))?;
        writeln!(f, "  public    {}", self.public.display())?;
        if let Some(memory) = &self.memory {
            writeln!(f, "  memory    {memory}")?;
        }
        let measured = self.proving_cpu_ms.map(|ms| format!(", measured {}", output::seconds(ms * 1e-3)));
        writeln!(
            f,
            "  CPU time  predicted {}{}",
            output::seconds(self.predicted_ms * 1e-3),
            measured.unwrap_or_default()
        )?;
        write!(f, "  used      {}", self.used)?;
        output::phases(f, &self.phases)?;
        writeln!(f)?;
        for device in &self.devices {
            write!(f, "\n{device}")?;
        }
        Ok(())
    }
}
