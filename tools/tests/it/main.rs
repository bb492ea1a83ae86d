//! The command line from outside, and the whole library behind it from end to end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

mod backends;
mod ceremony;
mod documents;
mod faults;
mod flow;
mod golden;
mod help;
#[path = "../../../hostlib/plonk/tests/ptau_file/mod.rs"]
mod ptau_file;
mod range;
mod refusals;
mod support;
