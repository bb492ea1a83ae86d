//! Makes a structured reference string on this machine, for circuits of up to 2^K rows.
//!
//! ```console
//! $ kiln setup --rows-log2 16 -o test.srs
//! ```
//! INSECURE, and marked so for ever: whoever makes such a string could keep its secret and forge proofs with it. It is
//! for tests and demonstrations. Proofs that others rely on need the string of a public ceremony.

use std::fmt;
use std::path::PathBuf;

use kiln_plonk::Srs;
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
    /// Where to write it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What was made.
#[derive(Debug, Serialize)]
pub struct Made {
    srs: PathBuf,
    id: String,
    rows_log2: u32,
    insecure: bool,
    bytes: u64,
    used: Used,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Made, Failure> {
    let start = Snapshot::now();
    artefact::check_destination(&args.output)?;
    output::warn(
        "INSECURE: whoever makes a reference string could forge proofs with it; for tests and demonstrations only",
    );
    let progress = Progress::new(args.format.json);
    let srs = progress.phase("make the reference string", || insecure_srs(args.rows_log2))?;
    srs.write_to(&args.output).map_err(|e| Failure::refused("write the reference string", e))?;
    let bytes = std::fs::metadata(&args.output).map_err(|e| Failure::file("find", &args.output, e))?.len();
    Ok(Made {
        srs: args.output.clone(),
        id: hexadecimal::encode(&srs.id()),
        rows_log2: srs.k(),
        insecure: srs.is_insecure(),
        bytes,
        used: start.used(),
    })
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
        writeln!(f, "INSECURE reference string {}", self.srs.display())?;
        writeln!(f, "  id      {}", self.id)?;
        writeln!(f, "  serves  circuits of up to 2^{} rows", self.rows_log2)?;
        write!(
            f,
            "  size    {}, made in {}, measured",
            output::bytes(self.bytes),
            output::seconds(self.used.wall_s)
        )
    }
}
