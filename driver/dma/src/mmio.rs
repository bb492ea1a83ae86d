//! Registers of a device, mapped into this process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapOptions, MmapRaw};

use crate::access::Shared;

/// A mapped BAR. Accesses are aligned 32-bit words, each done exactly once and in order.
#[derive(Debug)]
pub struct MmioRegion {
    map: MmapRaw,
}

impl MmioRegion {
    /// Maps `length` bytes of a device's file from `offset`.
    pub fn map(device: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<MmioRegion> {
        let bytes = usize::try_from(length).map_err(io::Error::other)?;
        let map = MmapOptions::new().offset(offset).len(bytes).map_raw(device.as_raw_fd())?;
        Ok(MmioRegion { map })
    }

    /// Reads a word; none when it is not aligned or not inside.
    pub fn read32(&self, offset: u64) -> Option<u32> {
        self.words().read_register(offset)
    }

    /// Writes a word; false when it is not aligned or not inside.
    pub fn write32(&self, offset: u64, value: u32) -> bool {
        self.words().write_register(offset, value)
    }

    fn words(&self) -> Shared<'_> {
        // SAFETY: the mapping has this length, is readable and writable, starts at a page, and lives as long as `self`;
        // nothing else here knows its address.
        unsafe { Shared::new(self.map.as_mut_ptr(), self.map.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedMemory;

    #[test]
    fn only_aligned_words_inside_are_reached() {
        let memory = SharedMemory::create(4096).expect("memory");
        let region = MmioRegion::map(memory.file(), 0, 4096).expect("mapped");
        assert!(region.write32(4092, 0x0403_0201));
        assert_eq!(region.read32(4092), Some(0x0403_0201));
        let mut bytes = [0; 4];
        assert!(memory.read(4092, &mut bytes));
        assert_eq!(bytes, [1, 2, 3, 4]);
        for offset in [4096, 4094, 2, u64::MAX, u64::MAX - 3] {
            assert_eq!(region.read32(offset), None);
            assert!(!region.write32(offset, 1));
        }
    }
}
