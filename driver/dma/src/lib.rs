//! Memory that somebody else writes while we look: a card on a bus, or its simulator in another process.
//!
//! [`SharedMemory`] is a mapping of a file without a name (a *memfd*). Its file descriptor goes to the other side, so
//! both work on the same pages and nothing is copied in between. There are no references into it, only copies in and
//! out: a reference would promise that the bytes hold still. [`MmioRegion`] is a mapping of a device's registers.
//!
//! This is the only place where memory that the other side can change is touched by address; all that does is in
//! `access`.

mod access;
mod mmio;
mod shared;

pub use mmio::MmioRegion;
pub use shared::{HUGE_PAGE_BYTES, PAGE_BYTES, SharedMemory};
