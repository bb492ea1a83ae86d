//! Runs the conformance suite on a card.

use std::fmt;
use std::path::Path;

use kiln_driver::conformance::{self, Check};
use serde::Serialize;

use crate::artefact;
use crate::backend::CardAddress;
use crate::error::Failure;
use crate::output::{self, Report};

/// What the checks found.
#[derive(Debug, Serialize)]
pub struct Validation {
    card: String,
    passed: bool,
    checks: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    passed: bool,
    finding: String,
    duration_s: f64,
}

/// Longest firmware image that is read; what the card takes, it says itself. \[bytes\]
const IMAGE_BYTES_MAX: u64 = 256 << 20;

/// Runs every check.
pub fn run(address: &CardAddress, firmware: Option<&Path>) -> Result<Validation, Failure> {
    let image = firmware.map(|path| artefact::read("read the image", path, IMAGE_BYTES_MAX)).transpose()?;
    let checks = conformance::run(address.open()?, image.as_deref(), |_| {});
    let checks: Vec<Entry> = checks.iter().map(Entry::of).collect();
    Ok(Validation { card: address.to_string(), passed: checks.iter().all(|check| check.passed), checks })
}

impl Validation {
    /// An error unless every check passed.
    pub fn judge(&self) -> Result<(), Failure> {
        let failed: Vec<&str> =
            self.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(Failure::device("validate the card", format!("it did not pass: {}", failed.join(", "))))
    }
}

impl Entry {
    fn of(check: &Check) -> Entry {
        let (passed, finding) = match &check.outcome {
            Ok(finding) => (true, finding.clone()),
            Err(fault) => (false, fault.to_string()),
        };
        Entry { name: check.name, passed, finding, duration_s: check.took.as_secs_f64() }
    }
}

impl Report for Validation {
    const SCHEMA: &'static str = "kiln.card.validate/1";
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { name, passed, finding, duration_s } in &self.checks {
            let verdict = if *passed { "passed" } else { "FAILED" };
            writeln!(f, "check {verdict} {name}: {finding} ({})", output::seconds(*duration_s))?;
        }
        let verdict = if self.passed { "conforms" } else { "does NOT conform" };
        write!(f, "{} {verdict}", self.card)
    }
}
