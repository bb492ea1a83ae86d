//! The command line from outside, and the whole library behind it from end to end.

mod backends;
mod flow;
mod help;
mod refusals;
mod support;
