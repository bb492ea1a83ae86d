//! `kiln bench verify`: what a verifier of some proof spends, part by part.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use kiln_plonk::{PortableThreads, ProcessorArithmetic};
use kiln_verify::Arithmetic;
use serde::Serialize;

use super::machine;
use crate::artefact::{self, SMALL_FILE_BYTES_MAX};
use crate::commands::verify::{check, read_key};
use crate::error::Failure;
use crate::output::{Format, Report, seconds};
use crate::public::PublicFile;

/// Arguments of `kiln bench verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The proof
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// The verifying key
    #[arg(long, value_name = "FILE")]
    vk: PathBuf,
    /// The public values
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
    /// Times that each part is done
    #[arg(long, value_name = "N", default_value_t = 51, value_parser = clap::value_parser!(u16).range(1..=9999))]
    runs: u16,
    #[command(flatten)]
    pub format: Format,
}

/// What was measured: medians of wall times, on one thread but for the arithmetic of the processor.
#[derive(Debug, Serialize)]
pub struct Measured {
    machine: String,
    runs: u16,
    proof_bytes: usize,
    verifying_key_bytes: u64,
    /// Advice and committed columns.
    columns: usize,
    public_inputs: u32,
    /// Reading the verifying key, checks included.
    read_key_s: f64,
    /// Reading the public values.
    read_public_s: f64,
    /// Checking the proof, from its bytes, as `kiln verify` does.
    check_s: f64,
    /// The same with `--portable`.
    check_portable_s: f64,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Measured, Failure> {
    let (key, meaning) = read_key(&args.vk)?;
    let public = PublicFile::read(&args.public)?;
    let proof = artefact::read("read the proof", &args.proof, SMALL_FILE_BYTES_MAX)?;
    let check_by = |arithmetic: &dyn Arithmetic| {
        median(args.runs, || check(arithmetic, &key, &meaning, &public, &proof))
    };
    let circuit = key.circuit();
    let committed: usize = circuit.committed.iter().map(|group| group.columns as usize).sum();
    Ok(Measured {
        machine: machine(),
        runs: args.runs,
        proof_bytes: proof.len(),
        verifying_key_bytes: std::fs::metadata(&args.vk).map_or(0, |data| data.len()),
        columns: circuit.advice.len() + committed,
        public_inputs: circuit.public_inputs,
        read_key_s: median(args.runs, || read_key(&args.vk))?,
        read_public_s: median(args.runs, || PublicFile::read(&args.public))?,
        check_s: check_by(&ProcessorArithmetic::detect())?,
        check_portable_s: check_by(&PortableThreads)?,
    })
}

/// The median time of something that is done `runs` times.
fn median<T>(runs: u16, mut work: impl FnMut() -> Result<T, Failure>) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

impl Report for Measured {
    const SCHEMA: &'static str = "kiln.bench.verify/1";
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, medians of {} runs in one process", self.machine, self.runs)?;
        write!(f, "proof {} B, verifying key {} B", self.proof_bytes, self.verifying_key_bytes)?;
        write!(f, ", {} columns, {} public inputs", self.columns, self.public_inputs)?;
        for (part, time_s) in [
            ("read the key", self.read_key_s),
            ("read the public values", self.read_public_s),
            ("check the proof", self.check_s),
            ("… in plain Rust (--portable)", self.check_portable_s),
        ] {
            write!(f, "\n  {part:<30} {}", seconds(time_s))?;
        }
        Ok(())
    }
}
