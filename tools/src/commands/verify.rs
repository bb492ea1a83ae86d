//! Checks a proof. Needs the proof, the verifying key and the public values, and neither model nor reference string.
//!
//! ```console
//! $ kiln verify --proof proof.bin --vk model.vk --public public.json
//! $ kiln verify --proof proof.bin --vk model.vk --public public.json --model-id 5f0c…
//! ```
//! With `--model-id` it also checks that the proof is about that very model: use it whenever the id was published
//! before the proof was made. Exit code 0 means valid, 1 means that the proof does not show what the public values say,
//! 2 that some file is not what it should be.
//!
//! Many proofs are checked together, in a fraction of the time, by one pairing equation, if `--proof` and `--public` are
//! given once for each, in the same order (and `--vk` once for all, or once for each):
//!
//! ```console
//! $ kiln verify --vk model.vk --proof a.bin --public a.json --proof b.bin --public b.json
//! ```
//! With `--range` it also checks the model's range proof: that hidden weights are small integers. Without, that is taken
//! on the word of whoever made the model commitment.
//!
//! If the verifying key rests on a locally generated reference string, its maker could forge proofs: a warning says
//! INSECURE on standard error and in the result. Any other key names the ceremony that it rests on by a fingerprint;
//! only comparing that with one that you trust (`--expect-fingerprint`) tells a ceremony from somebody's own secret.

mod batch;

use std::fmt;
use std::path::{Path, PathBuf};

use kiln_plonk::{PortableThreads, ProcessorArithmetic};
use kiln_verify::{Arithmetic, VerifyError, VerifyingKey, verify_by};
use serde::Serialize;

use super::setup;
use crate::artefact::{self, SMALL_FILE_BYTES_MAX};
use crate::error::{Failure, Source};
use crate::hexadecimal;
use crate::meaning::{self, Input, InputVisibility, Meaning, WeightVisibility};
use crate::output::{self, Format, Report};
use crate::public::{MODEL_GROUP, PublicFile};
use crate::range::RangeProof;
use crate::resources::{Snapshot, Used};

/// Arguments of `kiln verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The proof; several are checked together
    #[arg(long, value_name = "FILE", required = true)]
    proof: Vec<PathBuf>,
    /// The verifying key: one for all proofs, or one for each
    #[arg(long, value_name = "FILE", required = true)]
    vk: Vec<PathBuf>,
    /// The public values, for each proof
    #[arg(long, value_name = "FILE", required = true)]
    public: Vec<PathBuf>,
    /// The id that the model must have, 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    model_id: Option<String>,
    /// Refuse a key that rests on another ceremony than the one with this fingerprint (see `kiln setup`)
    #[arg(long, value_name = "HEX", value_parser = setup::parse_fingerprint)]
    expect_fingerprint: Option<setup::Fingerprint>,
    /// The model's range proof, made by `kiln range`
    #[arg(long, value_name = "FILE")]
    range: Option<PathBuf>,
    /// Check with the small verifier's own arithmetic in plain Rust only, in about half as much time again
    #[arg(long)]
    portable: bool,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What was verified.
#[derive(Debug, Serialize)]
pub struct Verified {
    valid: bool,
    /// The reference string was made locally: its maker could forge proofs.
    insecure: bool,
    /// Names the τ of the reference string.
    fingerprint: String,
    /// The fingerprint was given, not only read from the key.
    fingerprint_checked: bool,
    model: String,
    model_id: String,
    /// The id was given, not only read from the public values.
    model_id_checked: bool,
    weights: WeightVisibility,
    /// Bits that a weight takes at most, sign included; null if that was not checked.
    weight_bits: Option<u32>,
    input_visibility: InputVisibility,
    /// Where inputs differ in who sees them, each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Input>,
    output: Vec<i64>,
    output_scale: f64,
    proof_bytes: usize,
    used: Used,
}

impl Args {
    /// What points are added with.
    fn arithmetic(&self) -> Box<dyn Arithmetic> {
        if self.portable { Box::new(PortableThreads) } else { Box::new(ProcessorArithmetic::detect()) }
    }
}

/// Runs the command and prints what it found.
pub fn run(args: &Args) -> Result<(), Failure> {
    match (args.proof.as_slice(), args.vk.as_slice(), args.public.as_slice()) {
        ([proof], [vk], [public]) => output::result(args.format, &run_one(args, proof, vk, public)?),
        _ => output::result(args.format, &batch::run(args)?),
    }
    Ok(())
}

/// A key says itself whether it is insecure, so what it rests on is known only by comparing.
fn expect_ceremony(args: &Args, key: &VerifyingKey) -> Result<(), Failure> {
    match &args.expect_fingerprint {
        Some(expected) => setup::expect_fingerprint("the verifying key", key.srs().fingerprint(), expected),
        None => Ok(()),
    }
}

fn run_one(args: &Args, proof: &Path, vk: &Path, public: &Path) -> Result<Verified, Failure> {
    let start = Snapshot::now();
    let (key, meaning) = read_key(vk)?;
    expect_ceremony(args, &key)?;
    let public = PublicFile::read(public)?;
    let proof = artefact::read("read the proof", proof, SMALL_FILE_BYTES_MAX)?;
    if let Some(expected) = &args.model_id {
        check_model_id(expected, &public.model.id)?;
    }
    let arithmetic = args.arithmetic();
    check(arithmetic.as_ref(), &key, &meaning, &public, &proof)?;
    let check_range = |path| check_range(arithmetic.as_ref(), path, &key, &public);
    let weight_bits = args.range.as_deref().map(check_range).transpose()?;
    if key.is_insecure() {
        output::warn(INSECURE);
    }
    Ok(Verified {
        valid: true,
        insecure: key.is_insecure(),
        fingerprint: hexadecimal::encode(&key.srs().fingerprint()),
        fingerprint_checked: args.expect_fingerprint.is_some(),
        model: meaning.model,
        model_id: public.model.id,
        model_id_checked: args.model_id.is_some(),
        weights: meaning.weights,
        weight_bits,
        input_visibility: meaning.input_visibility,
        inputs: meaning.inputs,
        output: public.output.values,
        output_scale: public.output.scale,
        proof_bytes: proof.len(),
        used: start.used(),
    })
}

/// Checks the range proof of a model.
fn check_range(
    arithmetic: &dyn Arithmetic,
    path: &Path,
    key: &VerifyingKey,
    public: &PublicFile,
) -> Result<u32, Failure> {
    const ACTION: &str = "read the range proof";
    let bytes = artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?;
    let range = RangeProof::parse(&bytes).map_err(|source| Failure::file(ACTION, path, source))?;
    range.check(arithmetic, key, &public.model.group(arithmetic, MODEL_GROUP)?)
}

/// Reads a verifying key.
pub fn read_key(path: &Path) -> Result<(VerifyingKey, Meaning), Failure> {
    const ACTION: &str = "read the verifying key";
    let bytes = artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?;
    parse_key(&bytes).map_err(|source| Failure::file(ACTION, path, source))
}

fn parse_key(bytes: &[u8]) -> Result<(VerifyingKey, Meaning), Source> {
    let key = VerifyingKey::from_file_bytes(bytes)?;
    let meaning = Meaning::from_text(&key.circuit().meaning)?;
    Ok((key, meaning))
}

/// Verifies from bytes alone, as they would arrive from elsewhere.
pub fn check_bytes(key: &[u8], public: &str, proof: &[u8]) -> Result<(), Failure> {
    let (key, meaning) = parse_key(key).map_err(|e| Failure::refused("read the verifying key", e))?;
    let public = PublicFile::from_text(public).map_err(|e| Failure::refused("read the public values", e))?;
    check(&ProcessorArithmetic::detect(), &key, &meaning, &public, proof)
}

/// What every user of an insecure reference string is told.
pub const INSECURE: &str = "INSECURE: this rests on a locally generated reference string, whose maker could forge proofs; \
                            for tests and demonstrations only";

/// Checks a proof against public values.
pub fn check(
    arithmetic: &dyn Arithmetic,
    key: &VerifyingKey,
    meaning: &Meaning,
    public: &PublicFile,
    proof: &[u8],
) -> Result<(), Failure> {
    let statement = public.statement(arithmetic, key, meaning)?;
    verify_by(arithmetic, key, &statement, proof).map_err(|error| match error {
        VerifyError::Rejected(_) => Failure::Invalid(error.to_string()),
        VerifyError::Malformed(_) => Failure::refused("read the proof", error),
        VerifyError::Statement { .. } => Failure::refused("check the proof", error),
    })
}

fn check_model_id(expected: &str, got: &str) -> Result<(), Failure> {
    if crate::hexadecimal::decode::<32>(expected).is_none() {
        return Err(Failure::Input(format!(
            "the model id {expected:?} is not 64 lower-case hexadecimal digits"
        )));
    }
    if expected != got {
        return Err(Failure::Invalid(format!("the proof is about model {got}, not about {expected}")));
    }
    Ok(())
}

impl Report for Verified {
    const SCHEMA: &'static str = "kiln.verify/1";
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = if self.insecure { "VALID, on an INSECURE reference string" } else { "VALID" };
        writeln!(f, "{standing}")?;
        writeln!(f, "  model      {:?}, weights {}", self.model, self.weights)?;
        let checked =
            if self.model_id_checked { "as expected" } else { "as claimed; compare it, or give --model-id" };
        writeln!(f, "  model id   {} ({checked})", self.model_id)?;
        if !self.insecure {
            let checked = if self.fingerprint_checked {
                "as expected"
            } else {
                "compare it, or give --expect-fingerprint"
            };
            writeln!(f, "  ceremony   {} ({checked})", self.fingerprint)?;
        }
        match self.weight_bits {
            Some(bits) => writeln!(f, "  range      every weight is an integer of at most {bits} bits")?,
            None if self.weights == WeightVisibility::Hidden => {
                writeln!(f, "  range      that weights are small integers is taken on promise; see --range")?;
            }
            None => {}
        }
        writeln!(f, "  record     {}", meaning::seen(self.input_visibility, &self.inputs))?;
        writeln!(f, "  output     {} × {}", output::integers(&self.output), self.output_scale)?;
        writeln!(f, "  proof      {}", output::bytes(self.proof_bytes as u64))?;
        write!(f, "  verified   in {}, measured", output::seconds(self.used.wall_s))
    }
}
