//! How the driver reaches a card: registers, DMA memory, interrupts, reset. Nothing above this trait knows what is
//! behind it.

use std::time::Instant;

use kiln_abi::DmaFault;

use crate::error::CardError;

pub mod in_process;
pub(crate) mod interrupt;
mod iova;
mod owner;
pub(crate) mod pci;
mod space;
#[allow(unsafe_code)] // Calls into the kernel.
pub mod vfio;
pub mod vfio_user;

/// The few duties of a transport.
///
/// Ordering that an implementation guarantees: register writes of one thread arrive in their order; what was written to
/// a mapping before a register write is visible to the card when the write arrives; what the card wrote to host memory
/// before it raised an interrupt is visible when [`Transport::interrupts_seen`] shows the interrupt.
pub trait Transport: Send + Sync {
    /// What to call the card in messages.
    fn name(&self) -> String;
    /// What carries it, in words.
    fn kind(&self) -> &'static str;
    /// Reads an aligned word of a BAR. All ones when nothing answers.
    fn read32(&self, bar: u8, offset: u64) -> u32;
    /// Writes an aligned word of a BAR. Posted: it may return before the card has seen it.
    fn write32(&self, bar: u8, offset: u64, value: u32);
    /// Reads an aligned word of PCI configuration space. All ones where there is none.
    fn config_read32(&self, _offset: u16) -> u32 {
        kiln_abi::register::ALL_ONES
    }
    /// Writes an aligned word of PCI configuration space.
    fn config_write32(&self, _offset: u16, _value: u32) {}
    /// Makes `bytes` bytes of zeroed host memory and maps them for the card, at a multiple of 4096.
    fn map(&self, bytes: usize) -> Result<Box<dyn Mapping>, CardError>;
    /// How often a vector was raised so far.
    fn interrupts_seen(&self, vector: u16) -> u64;
    /// Sleeps until a vector was raised more than `seen` times, or until the instant.
    fn wait_interrupt(&self, vector: u16, seen: u64, until: Instant);
    /// Function-level reset: the card stops all DMA before this returns.
    fn reset(&self) -> Result<(), CardError>;
    /// DMA accesses outside of every mapping since the last call, oldest first, at most a few.
    fn take_faults(&self) -> Vec<DmaFault>;
}

/// Host memory that the card can reach until this is dropped. Callers go through [`crate::DmaBuffer`], which checks
/// bounds: `offset + length` is within the mapping.
pub trait Mapping: Send + Sync {
    /// The address by which the card reaches it.
    fn address(&self) -> u64;
    /// Its length. \[bytes\]
    fn length(&self) -> usize;
    /// Copies out of it.
    fn read(&self, offset: usize, buffer: &mut [u8]);
    /// Copies into it.
    fn write(&self, offset: usize, data: &[u8]);
}

impl std::fmt::Debug for dyn Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}
