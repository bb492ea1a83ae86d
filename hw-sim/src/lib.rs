//! Cycle-level simulator of the Kiln accelerator card.
#![forbid(unsafe_code)]

pub mod hbm;
pub mod msm;
pub mod pcie;
pub mod profile;
pub mod stats;
pub mod time;
