//! The command line from outside, and the whole library behind it from end to end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

mod backends;
mod documents;
mod flow;
mod golden;
mod help;
mod range;
mod refusals;
mod support;
