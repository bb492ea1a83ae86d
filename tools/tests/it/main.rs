//! The command line from outside, and the whole library behind it from end to end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

mod backends;
mod batch;
mod ceremony;
mod documents;
mod faults;
mod flow;
mod golden;
mod help;
mod inputs;
mod memory;
#[path = "../../../hostlib/plonk/tests/ptau_file/mod.rs"]
mod ptau_file;
mod range;
mod refusals;
mod secrets;
mod support;
mod verifier;
