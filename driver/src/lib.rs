//! The host's side of Kiln's accelerator card.
//!
//! ```text
//!   Card<Found> --bring_up--> Card<Ready> --lose--> Card<Lost> --reset--> Card<Found>
//!                                 |
//!                              Queue: submit(Job) -> Ticket, wait(&Ticket) -> Finished
//!                                 |
//!              DmaBuffer, rings   |   registers, doorbells, interrupts
//!                              Transport  (in process; others can be added)
//! ```
//!
//! Rules that the whole crate keeps:
//!
//! - Nothing that the card can write is trusted or read twice: a completion is copied once and checked against the
//!   driver's own copy of what is in flight; rings are never read back.
//! - Memory that the card can reach is mapped when a [`DmaBuffer`] is made and unmapped when it is dropped; afterwards
//!   the card's access faults.
//! - Every wait has a [`Deadline`], and ends in one of three ways when it does not succeed: *not yet*
//!   ([`CardError::NotYet`]), *never* ([`CardError::Never`]) or *gone* ([`CardError::Gone`]).
#![deny(unsafe_code)]
#![allow(unexpected_cfgs)] // `loom` is set by hand, for the model in `model`.

pub mod address;
pub mod card;
pub mod completion;
pub mod conformance;
pub mod dma;
pub mod error;
pub mod features;
pub mod firmware;
pub mod job;
pub mod memory;
pub mod queue;
pub mod recovery;
mod sync;
pub mod sysfs;
pub mod transport;
pub mod wait;

#[cfg(test)]
#[cfg(not(loom))]
mod hostile;
#[cfg(all(test, loom))]
mod model;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

pub use address::{Address, AddressError, PciAddress, VfioAddress};
pub use card::{Card, Found, Lost, Ready, Settings};
pub use dma::DmaBuffer;
pub use error::{CardError, Loss, Violation};
pub use features::Features;
pub use job::{Job, ProgramSource};
pub use memory::{CardMemory, CardRegion};
pub use queue::{Finished, Queue, Ticket};
pub use transport::Transport;
pub use transport::in_process::InProcess;
pub use transport::vfio::{Interface, Vfio};
pub use transport::vfio_user::VfioUser;
pub use wait::Deadline;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeCompiles;
