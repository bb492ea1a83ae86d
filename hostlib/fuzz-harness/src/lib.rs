//! What is done with hostile bytes: one function for each kind of bytes that comes from outside, used by the fuzz targets
//! in `fuzz/` and by a short test here.
//!
//! A target takes any bytes and panics if the code under test breaks a promise. Checksums, lengths and points on a curve
//! stop nearly all random bytes at the door, so most inputs are not the file itself: their first byte chooses a valid
//! sample, the rest is a [script](edits) of changes to it, and whatever frame belongs around the result is put there again
//! ([`samples::sealed`]). Every target also takes bytes as they are.
//!
//! Beside panics, overflows and false accepts, every target bounds how much memory an input may take: the allocator of this
//! crate refuses what exceeds a bound that depends on the input's length alone, and the process ends.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests: a broken promise is a panic"
)]

// The command line's reading of public values, file by file: the whole of it would bring in an ONNX reader, which is
// slow to build for a fuzzer and has no part in this.
#[allow(dead_code, reason = "shared with the command line, which uses all of it")]
#[path = "../../../tools/src/artefact.rs"]
mod artefact;
#[allow(dead_code, reason = "shared with the command line, which uses all of it")]
#[path = "../../../tools/src/error.rs"]
mod error;
#[path = "../../../tools/src/hexadecimal.rs"]
mod hexadecimal;
#[path = "../../../tools/src/meaning.rs"]
pub mod meaning;
#[path = "../../../tools/src/public.rs"]
pub mod public;

pub mod card;
pub mod edits;
pub mod keys;
pub mod proof;
#[path = "../../plonk/tests/ptau_file/mod.rs"]
mod ptau_file;
pub mod public_values;
#[allow(dead_code, missing_docs, reason = "shared with the tests of kiln-plonk, which use all of it")]
#[path = "../../plonk/tests/proofs/sample.rs"]
mod sample;
pub mod samples;
pub mod sections;
pub mod srs;

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What a target does, and inputs to begin with.
pub struct Target {
    /// As the fuzz target is called.
    pub name: &'static str,
    /// Takes any bytes; panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target { name: "proof", run: proof::run, seeds: proof::seeds },
    Target { name: "verifying_key", run: keys::verifying, seeds: keys::verifying_seeds },
    Target { name: "proving_key", run: keys::proving, seeds: keys::proving_seeds },
    Target { name: "srs", run: srs::run, seeds: srs::seeds },
    Target { name: "public_values", run: public_values::run, seeds: public_values::seeds },
    Target { name: "completion", run: card::completion, seeds: card::completion_seeds },
    Target { name: "command", run: card::command, seeds: card::command_seeds },
];

/// Runs something that may allocate `bytes` beyond what is allocated now; if it asks for more, the process ends. Not for
/// several at a time: memory is counted for the whole process.
pub fn bounded<T>(bytes: usize, run: impl FnOnce() -> T) -> T {
    let limit = ALLOCATOR.allocated().saturating_add(bytes);
    ALLOCATOR.set_limit(limit).expect("the bound begins above what is allocated");
    let result = run();
    ALLOCATOR.set_limit(usize::MAX).expect("no bound");
    result
}
