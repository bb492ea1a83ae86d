//! Cycle-level simulator of the Kiln accelerator card.
#![forbid(unsafe_code)]

pub mod card;
pub mod hbm;
pub mod memory;
pub mod msm;
pub mod ntt;
pub mod pcie;
pub mod profile;
pub mod stats;
pub mod tiles;
pub mod time;
pub mod vector;

pub use card::Card;
pub use profile::{DEFAULT_PROFILE, Profile, ProfileError};
