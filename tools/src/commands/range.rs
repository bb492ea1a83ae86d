//! Shows, once for each model, that the committed weights are small integers.
//!
//! ```console
//! $ kiln range --compiled compiled -o model.range
//! $ kiln verify --proof proof.bin --vk model.vk --public public.json --range model.range
//! ```
//! Proofs of inference reveal nothing of hidden weights, so they do not say that a weight is an integer of a few bits and
//! not some other element of the field, with which sums could wrap. The file that this makes says it of the model
//! commitment, and so of every proof that names it. Publish it beside the commitment.

use std::fmt;
use std::path::PathBuf;

use kiln_plonk::ProcessorArithmetic;
use serde::Serialize;

use crate::artefact::{self, Audience, Staged};
use crate::backend::{self, BackendArgs};
use crate::compiled::Compiled;
use crate::error::Failure;
use crate::output::{self, Format, Report};
use crate::progress::{Phase, Progress};
use crate::resources::{Snapshot, Used};
use crate::secret;

/// Arguments of `kiln range`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `kiln compile` made
    #[arg(long, value_name = "DIR")]
    compiled: PathBuf,
    /// Where to write the proof, with its verifying key
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    backend: BackendArgs,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What was proven.
#[derive(Debug, Serialize)]
pub struct Made {
    range_proof: PathBuf,
    model: String,
    model_id: String,
    /// Bits that a weight takes at most, sign included.
    bits: u32,
    bytes: usize,
    insecure: bool,
    phases: Vec<Phase>,
    used: Used,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Made, Failure> {
    let start = Snapshot::now();
    artefact::check_destination(&args.output)?;
    let progress = Progress::new(args.format.json);
    let compiled = progress.phase("read", || Compiled::read(&args.compiled))?;
    let engine = backend::engine(&args.backend.backend)?;
    let proof = compiled.prove_range(&engine, secret::randomness()?, &progress)?;
    let bits = proof.check(&ProcessorArithmetic::detect(), compiled.verifying_key(), &compiled.commitment)?;
    let bytes = proof.to_bytes();
    let mut staged = Staged::new();
    staged.add(&args.output, Audience::Anyone, &bytes)?;
    staged.commit()?;
    let phases = progress.finish();
    if compiled.is_insecure() {
        output::warn(super::verify::INSECURE);
    }
    Ok(Made {
        range_proof: args.output.clone(),
        model: compiled.meaning.model.clone(),
        model_id: crate::hexadecimal::encode(&compiled.commitment.id()),
        bits,
        bytes: bytes.len(),
        insecure: compiled.is_insecure(),
        phases,
        used: start.used(),
    })
}

impl Report for Made {
    const SCHEMA: &'static str = "kiln.range/1";
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Every weight of {:?} is an integer of at most {} bits, sign included",
            self.model, self.bits
        )?;
        writeln!(f, "  model id  {}", self.model_id)?;
        writeln!(f, "  proof     {}, {}", self.range_proof.display(), output::bytes(self.bytes as u64))?;
        write!(f, "  took      {}, measured", output::seconds(self.used.wall_s))
    }
}
