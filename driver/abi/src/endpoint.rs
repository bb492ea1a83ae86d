//! How a PCIe endpoint meets its root complex, when both live in one process.
//!
//! A root complex owns the endpoint, gives it access to host memory and to interrupts once, then reads and writes its
//! registers and lets it run. The endpoint owns no thread: it makes progress only inside [`Endpoint::advance`].

use core::fmt;

/// A DMA access that the host did not allow: no mapping covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaFault {
    /// First host address of the access.
    pub address: u64,
    /// Its length. \[bytes\]
    pub length: u64,
    /// Whether it was a write.
    pub write: bool,
}

impl fmt::Display for DmaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.write { "write" } else { "read" };
        write!(
            f,
            "DMA {kind} of {} bytes at host address {:#x} is outside every mapping",
            self.length, self.address
        )
    }
}

impl core::error::Error for DmaFault {}

/// Host memory as the endpoint sees it: only what has been mapped for it.
pub trait HostMemory: Send + Sync {
    /// Fills `buffer` from host memory, all of it or nothing.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), DmaFault>;
    /// Writes `data` to host memory, all of it or nothing. Writes become visible to the host in the order of the calls.
    fn write(&self, address: u64, data: &[u8]) -> Result<(), DmaFault>;
}

/// Message-signalled interrupts.
pub trait Interrupts: Send + Sync {
    /// Raises an interrupt, after everything written to host memory before it is visible.
    fn raise(&self, vector: u16);
}

/// Whether an endpoint has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// There is work left: call again.
    Busy,
    /// Nothing will happen until the next register write or reset.
    Idle,
}

/// A PCIe endpoint.
///
/// `M` and `I` are the ways to host memory and interrupts, usually `Arc<dyn HostMemory>` and `Arc<dyn Interrupts>`.
pub trait Endpoint<M, I>: Send {
    /// Connects the endpoint to its root complex. Called once, before anything else.
    fn attach(&mut self, memory: M, interrupts: I);
    /// Reads an aligned 32-bit word. An address that nothing answers reads all ones.
    fn read32(&mut self, bar: u8, offset: u64) -> u32;
    /// Writes an aligned 32-bit word. A write to an address that nothing answers is dropped.
    fn write32(&mut self, bar: u8, offset: u64, value: u32);
    /// Works for a short while (milliseconds of the caller's time, where possible).
    fn advance(&mut self) -> Activity;
    /// Function-level reset: all queues and all DMA stop before it returns; card memory may be lost.
    fn reset(&mut self);
}
