//! Why a task did not succeed.

use std::path::PathBuf;
use std::process::{Command, Output};

use thiserror::Error;

/// Why a task did not succeed.
#[derive(Debug, Error)]
pub enum Failure {
    /// Debian's packages, or the tools that unpack them, are not to be had.
    #[error("QEMU and a kernel cannot be had here: {0}")]
    Packages(String),
    /// A program could not be started or failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// Which.
        program: String,
        /// What it said.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What was tested does not hold.
    #[error("{0}")]
    Test(String),
}

/// Adds the path to a file's error.
pub fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.into();
    move |source| Failure::File { path, source }
}

/// Runs a program to its end.
///
/// # Errors
/// [`Failure::Program`] with what it said on standard error, when it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<Output, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let fail = |reason: String| Failure::Program { program: program.clone(), reason };
    let output = command.output().map_err(|error| fail(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        return Err(fail(format!(
            "{}: {}",
            output.status,
            last.into_iter().rev().collect::<Vec<_>>().join("; ")
        )));
    }
    Ok(output)
}
