//! Makes a structured reference string for circuits of up to 2^K rows.
//!
//! ```console
//! $ kiln setup --rows-log2 16 --ptau ceremony.ptau --expect-fingerprint HEX -o ceremony.srs
//! $ kiln setup --rows-log2 16 -o test.srs
//! $ kiln compile --model m.onnx --calibration c.json -o compiled --srs ceremony.srs
//! ```
//! With `--ptau` it takes the powers of a public ceremony (Perpetual Powers of Tau, as snarkjs writes them; a file of
//! power K or more, for K below 7 somewhat more), checks every point that it takes, and derives what provers need; that
//! takes minutes for large K, once, unless the file was prepared for phase 2 and has it already. The file cannot show that its ceremony was honest: compare its hash with a published
//! one, and pin the fingerprint that is printed here with `--expect-fingerprint`. All files of one ceremony have the
//! same.
//!
//! Without `--ptau` it makes a string on this machine. INSECURE, and marked so for ever: whoever makes such a string
//! could keep its secret and forge proofs with it. It is for tests and demonstrations.

use std::fmt;
use std::path::{Path, PathBuf};

use kiln_plonk::{Ptau, Srs};
use serde::Serialize;

use crate::artefact;
use crate::error::Failure;
use crate::hexadecimal;
use crate::output::{self, Format, Report};
use crate::progress::Progress;
use crate::resources::{Snapshot, Used};
use crate::secret;

/// Arguments of `kiln setup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Serve circuits of up to 2^K rows
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=24))]
    rows_log2: u32,
    /// The file of a public ceremony; without it the string is INSECURE
    #[arg(long, value_name = "FILE")]
    ptau: Option<PathBuf>,
    /// Refuse any other ceremony than the one with this fingerprint, 64 lower-case hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "ptau", value_parser = parse_fingerprint)]
    expect_fingerprint: Option<Fingerprint>,
    /// Where to write it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// Names the τ of a ceremony.
pub type Fingerprint = [u8; 32];

/// A fingerprint from the command line.
pub fn parse_fingerprint(text: &str) -> Result<Fingerprint, &'static str> {
    hexadecimal::decode(text).ok_or("expected 64 lower-case hexadecimal digits")
}

/// Refuses what rests on another ceremony than the expected one.
pub fn expect_fingerprint(what: &str, got: Fingerprint, expected: &Fingerprint) -> Result<(), Failure> {
    if got == *expected {
        return Ok(());
    }
    let [expected, got] = [*expected, got].map(|bytes| hexadecimal::encode(&bytes));
    Err(Failure::Input(format!(
        "{what} rests on another ceremony: expected the fingerprint {expected}, got {got}; do not rely on it"
    )))
}

/// What was made.
#[derive(Debug, Serialize)]
pub struct Made {
    srs: PathBuf,
    id: String,
    /// Names τ.
    fingerprint: String,
    /// The fingerprint was given, not only found.
    fingerprint_checked: bool,
    origin: String,
    rows_log2: u32,
    insecure: bool,
    bytes: u64,
    used: Used,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Made, Failure> {
    let start = Snapshot::now();
    artefact::check_destination(&args.output)?;
    let progress = Progress::new(args.format.json);
    let srs = match &args.ptau {
        Some(path) => ceremony_srs(path, args, &progress)?,
        None => {
            output::warn(INSECURE);
            progress.phase("make the reference string", || insecure_srs(args.rows_log2))?
        }
    };
    srs.write_to(&args.output).map_err(|e| Failure::refused("write the reference string", e))?;
    let bytes = std::fs::metadata(&args.output).map_err(|e| Failure::file("find", &args.output, e))?.len();
    Ok(Made {
        srs: args.output.clone(),
        id: hexadecimal::encode(&srs.id()),
        fingerprint: hexadecimal::encode(&srs.verifier().fingerprint()),
        fingerprint_checked: args.expect_fingerprint.is_some(),
        origin: srs.origin().to_string(),
        rows_log2: srs.k(),
        insecure: srs.is_insecure(),
        bytes,
        used: start.used(),
    })
}

const INSECURE: &str = "INSECURE: whoever makes a reference string could forge proofs with it; for tests and demonstrations only";
const NOT_PINNED: &str = "the ceremony is not pinned: whoever made this file could forge proofs, unless its fingerprint \
                          is one that you trust; give it with --expect-fingerprint";

/// The reference string of a ceremony file.
fn ceremony_srs(path: &Path, args: &Args, progress: &Progress) -> Result<Srs, Failure> {
    let refused = |e| Failure::file("use the ceremony file", path, e);
    let ptau = Ptau::open(path).map_err(refused)?;
    match &args.expect_fingerprint {
        Some(expected) => ptau.expect_fingerprint(expected).map_err(refused)?,
        None => output::warn(NOT_PINNED),
    }
    progress.phase("read the ceremony file", || ptau.read_srs(args.rows_log2, progress)).map_err(refused)
}

/// A reference string from a secret that is drawn and forgotten here.
pub fn insecure_srs(rows_log2: u32) -> Result<Srs, Failure> {
    let seed = secret::seed()?;
    Srs::insecure_local(rows_log2, *seed).map_err(|e| Failure::refused("make a reference string", e))
}

impl Report for Made {
    const SCHEMA: &'static str = "kiln.setup/1";
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = if self.insecure { "INSECURE reference string" } else { "Reference string" };
        writeln!(f, "{standing} {}", self.srs.display())?;
        writeln!(f, "  id      {}", self.id)?;
        writeln!(f, "  origin  {}", self.origin)?;
        let checked = if self.fingerprint_checked { ", as expected" } else { "" };
        writeln!(f, "  τ       fingerprint {}{checked}", self.fingerprint)?;
        writeln!(f, "  serves  circuits of up to 2^{} rows", self.rows_log2)?;
        write!(
            f,
            "  size    {}, made in {}, measured",
            output::bytes(self.bytes),
            output::seconds(self.used.wall_s)
        )
    }
}
