//! Measures the proving kernels, the prover and the verifier on this machine, beside other libraries.
//!
//! ```console
//! $ kiln bench kernels
//! $ kiln bench kernels --sizes 14,16,18 --threads 1,2 --only ntt,msm --plot kernels.svg
//! $ kiln bench kernels --instructions avx2 --json
//! $ kiln bench prove
//! $ kiln bench prove --sizes 14 --json
//! $ kiln bench verify --proof proof.bin --vk compiled/model.vk --public public.json
//! ```
//! `kernels`: each kernel and its peers take turns, with the same inputs in the same process. Times are medians of the
//! runs; a ratio is the peer's CPU time divided by Kiln's, so that what else the machine does counts little. On either
//! side it includes the memory for what is made. Peers are arkworks 0.6 and, in a program built with `--features peers`,
//! halo2curves 0.10 and halo2curves-axiom 0.7.
//!
//! `prove`: a proof of 16 advice columns with lookups and copies, on the processor backend. A program built with
//! `--features peers` measures halo2-axiom on the same statement and the same threads besides.
//!
//! `verify`: reading the key and the public values of a proof, and checking it, by this processor's vector instructions and in
//! plain Rust.

mod kernels;
mod limit;
mod prove;
mod verify;

use std::fs;

use clap::Subcommand;

use crate::error::Failure;
use crate::output::{self, Format};

/// Arguments of `kiln bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure the kernels
    Kernels(kernels::Args),
    /// Measure the prover; a build with `--features peers` sets halo2-axiom beside it
    Prove(prove::Args),
    /// Measure the verification of a proof, part by part
    Verify(verify::Args),
}

impl Args {
    /// How to print the result.
    pub fn format(&self) -> Format {
        match &self.action {
            Action::Kernels(args) => args.format,
            Action::Prove(args) => args.format,
            Action::Verify(args) => args.format,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Kernels(args) => output::result(args.format, &kernels::run(args)?),
        Action::Prove(args) => output::result(args.format, &prove::run(args)?),
        Action::Verify(args) => output::result(args.format, &verify::run(args)?),
    }
    Ok(())
}

/// The processor's name.
pub(super) fn machine() -> String {
    let model = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix("model name"))?.split_once(':')?.1;
        Some(line.trim().to_owned())
    };
    fs::read_to_string("/proc/cpuinfo").ok().and_then(model).unwrap_or_else(|| std::env::consts::ARCH.into())
}
