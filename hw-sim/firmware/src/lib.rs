//! The control program of the card: bring-up, admin commands, arbitration between queues, checking of everything that
//! the host supplies, and sequencing of the engines.
//!
//! `no_std`, no allocation, no `unsafe`: the same code runs on the card's control processor and in its simulator. It
//! sees the card through [`Hardware`] and is driven by calling [`Firmware::step`]:
//!
//! ```text
//!            registers, doorbells                      jobs, outcomes
//!   host  <---------------------->  Firmware::step  <------------------>  copy, MSM, NTT and vector engines
//!            entries, records, completions (DMA)
//! ```
//!
//! The commands of one queue run one after the other, so data written by one is there for the next; commands of
//! different queues share the engines. A queue has one command fetched at a time; its completion goes out after its
//! data and its record.
#![no_std]
#![forbid(unsafe_code)]

mod admin;
pub mod boot;
mod control;
mod finish;
pub mod flash;
mod hardware;
mod health;
mod image;
mod queue;
mod record;
mod sequence;
mod update;
mod validate;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod firmware_tests;
#[cfg(test)]
mod tests;

pub use boot::Running;
pub use control::Firmware;
pub use hardware::{Hardware, Outcome, Part, Readings};

/// Version of the factory image, major in the upper half.
pub const FIRMWARE_VERSION: u32 = 0x0000_0001;
/// Name of the factory image.
pub const FIRMWARE_NAME: &str = "kiln-firmware";
