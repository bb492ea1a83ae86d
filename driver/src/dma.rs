//! Host memory that the card can reach.

use crate::error::CardError;
use crate::transport::{Mapping, Transport};

/// Host memory that the card can reach, as long as this lives. Starts zeroed, at a multiple of 4096.
///
/// The card may write it at any time, so there are no references into it, only copies in and out; who needs a value
/// twice keeps the copy.
pub struct DmaBuffer {
    mapping: Box<dyn Mapping>,
}

impl std::fmt::Debug for DmaBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the contents: they may be part of a witness.
        write!(f, "DmaBuffer({:#x}, {} bytes)", self.address(), self.length())
    }
}

impl DmaBuffer {
    /// Makes and maps a buffer.
    pub fn new(transport: &dyn Transport, bytes: usize) -> Result<DmaBuffer, CardError> {
        Ok(DmaBuffer { mapping: transport.map(bytes)? })
    }

    /// The address by which the card reaches it.
    pub fn address(&self) -> u64 {
        self.mapping.address()
    }

    /// Its length. \[bytes\]
    pub fn length(&self) -> usize {
        self.mapping.length()
    }

    /// Copies `buffer.len()` bytes out of it, from `offset`.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), CardError> {
        self.check(offset, buffer.len())?;
        self.mapping.read(offset, buffer);
        Ok(())
    }

    /// Copies `data` into it, to `offset`.
    pub fn write(&self, offset: usize, data: &[u8]) -> Result<(), CardError> {
        self.check(offset, data.len())?;
        self.mapping.write(offset, data);
        Ok(())
    }

    fn check(&self, offset: usize, length: usize) -> Result<(), CardError> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length() => Ok(()),
            _ => Err(CardError::BufferBounds {
                offset: offset as u64,
                end: (offset as u64).saturating_add(length as u64),
                length: self.length() as u64,
            }),
        }
    }
}
