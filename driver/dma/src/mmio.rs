//! Registers of a device, mapped into this process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};

/// A mapped BAR. Accesses are aligned 32-bit words, each done exactly once and in order.
#[derive(Debug)]
pub struct MmioRegion {
    map: MmapRaw,
    length: u64,
}

impl MmioRegion {
    /// Maps `length` bytes of a device's file from `offset`.
    pub fn map(device: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<MmioRegion> {
        let bytes = usize::try_from(length).map_err(io::Error::other)?;
        let map = MmapOptions::new().offset(offset).len(bytes).map_raw(device.as_raw_fd())?;
        Ok(MmioRegion { map, length })
    }

    /// Reads a word; none when it is not aligned or not inside.
    pub fn read32(&self, offset: u64) -> Option<u32> {
        let at = self.word(offset)?;
        // SAFETY: the word is aligned and inside the mapping, which lives as long as `self`.
        let value = unsafe { at.read_volatile() };
        // Memory is read after the register: what the device wrote before it answered is seen.
        fence(Ordering::SeqCst);
        Some(value)
    }

    /// Writes a word; false when it is not aligned or not inside.
    pub fn write32(&self, offset: u64, value: u32) -> bool {
        let Some(at) = self.word(offset) else { return false };
        // Memory is written before the register: the device sees it when it acts on the write.
        fence(Ordering::SeqCst);
        // SAFETY: as for a read.
        unsafe { at.write_volatile(value) };
        true
    }

    fn word(&self, offset: u64) -> Option<*mut u32> {
        let end = offset.checked_add(4)?;
        if !offset.is_multiple_of(4) || end > self.length {
            return None;
        }
        // The mapping starts at a page, so the word is aligned; inside it the addition cannot wrap.
        Some(self.map.as_mut_ptr().wrapping_add(usize::try_from(offset).ok()?).cast())
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
