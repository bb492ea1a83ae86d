//! Proves what a compiled model answers on one record. Writes the proof, and the public values that it speaks about.
//!
//! ```console
//! $ kiln prove --compiled compiled --record r.json -o proof.bin --public public.json
//! $ kiln prove --compiled compiled --record r.json -o proof.bin --public public.json --backend card:u55c --json
//! ```
//! The record is JSON, `[0.1, 0.2, …]`: as many numbers as the model takes, in row-major order. Neither the
//! record nor the weights can be learnt from proof and public values, unless the model was compiled to make them public.
//!
//! A proof is verified before it is written. If it fails, nothing is written and the exit code is 3.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::artefact::{Audience, Staged};
use crate::backend::{self, BackendArgs};
use crate::compiled::Compiled;
use crate::error::Failure;
use crate::output::{self, Format, Report};
use crate::progress::{Phase, Progress};
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
    let progress = Progress::new(args.format.json);
    let record = record::read_record(&args.record)?;
    let compiled = progress.phase("read", || Compiled::read(&args.compiled))?;
    let engine = backend::engine(&args.backend.backend)?;
    let proven = compiled.prove(&engine, &record, secret::randomness()?, &progress)?;
    let mut staged = Staged::new();
    staged.add(&args.output, Audience::Anyone, &proven.proof)?;
    staged.add(&args.public, Audience::Anyone, proven.public.to_text().as_bytes())?;
    staged.commit()?;
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
        phases: progress.phases(),
        devices: usage::usage(&engine.report()),
        used: start.used(),
    })
}

impl Report for Made {
    const SCHEMA: &'static str = "kiln.prove/1";
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Proven on {}", self.backend)?;
        writeln!(f, "  model     {:?}", self.model)?;
        writeln!(f, "  model id  {}", self.model_id)?;
        writeln!(f, "  output    {:?} × {}", self.output, self.output_scale)?;
        writeln!(f, "  proof     {}, {}", self.proof.display(), output::bytes(self.proof_bytes as u64))?;
        writeln!(f, "  public    {}", self.public.display())?;
        writeln!(f, "  used      {}", self.used)?;
        for device in &self.devices {
            write!(f, "\n{device}")?;
        }
        Ok(())
    }
}
