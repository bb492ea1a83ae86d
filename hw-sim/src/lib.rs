//! Cycle-level simulator of the Kiln accelerator card: exact results, and cycles from pipelines with their real
//! latencies, initiation intervals and bandwidths.
//!
//! ```text
//! host ═ Endpoint ═ Card ─┬─ kiln-firmware, unchanged
//!                         └─ Machine: registers, jobs, simulated time
//!                              └─ Datapath ─┬─ pcie::Link ── copies
//!                                           ├─ msm::MsmEngine ─┐
//!                                           ├─ ntt::NttEngine ─┼─ memory::CardMemory, timed by hbm::Hbm
//!                                           └─ vector ─────────┘
//! ```
//! The README says what is modelled, what is not, and where the figures come from. A card is made from a [`Profile`].
#![forbid(unsafe_code)]

pub mod card;
pub mod fault;
pub mod flash;
pub mod hbm;
pub mod image;
pub mod memory;
pub mod msm;
pub mod ntt;
pub mod pcie;
pub mod profile;
pub mod stats;
pub mod tiles;
pub mod time;
pub mod vector;

pub use card::{Card, VECTORS};
pub use fault::{Fault, FaultPlan};
pub use flash::{FlashError, FlashMemory};
pub use profile::{DEFAULT_PROFILE, Profile, ProfileError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeCompiles;
