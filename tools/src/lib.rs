//! Kiln's command line: one file per command, and what they share.
//!
//! Ground rules. A command prints its result on standard output and nothing else there; progress, warnings and errors
//! go to standard error. Every time is measured on this machine unless it is called *simulated*; a simulated time is
//! cycles of the simulated card divided by its clock, and says nothing about this machine. A figure that is not known
//! is left out, never guessed. What a command writes appears complete or not at all.
#![forbid(unsafe_code)]

pub mod artefact;
pub mod backend;
pub mod cli;
pub mod commands;
pub mod compiled;
pub mod container;
pub mod error;
pub mod fidelity;
pub mod hexadecimal;
pub mod inputs;
pub mod meaning;
pub mod memory;
pub mod mixed;
pub mod output;
pub mod progress;
pub mod public;
pub mod quantisation;
pub mod range;
pub mod rates;
pub mod record;
pub mod resources;
pub mod secret;
pub mod usage;
