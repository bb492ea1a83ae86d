//! A mapping of a file that another process, or a device, has mapped too.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use crate::access::Shared;

/// Bytes of a page of memory.
pub const PAGE_BYTES: usize = 4096;
/// Bytes of a huge page; buffers of at least this size ask for them.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Memory shared through a file descriptor.
///
/// Copies move aligned 64-bit words, in ascending order, each as one access that releases (write) or acquires (read):
/// who sees a word of a copy sees everything that was written before it.
#[derive(Debug)]
pub struct SharedMemory {
    file: File,
    map: MmapRaw,
    length: usize,
    page_bytes: usize,
}

impl SharedMemory {
    /// Makes at least `bytes` bytes of zeroed memory, rounded up to whole pages: huge pages when it is that large and
    /// the system has some free, otherwise ordinary ones. Its size is sealed, so the other side cannot take pages away.
    pub fn create(bytes: usize) -> io::Result<SharedMemory> {
        let huge = bytes >= HUGE_PAGE_BYTES;
        if huge && let Ok(memory) = Self::create_with(bytes, HUGE_PAGE_BYTES) {
            return Ok(memory);
        }
        Self::create_with(bytes, PAGE_BYTES)
    }

    fn create_with(bytes: usize, page_bytes: usize) -> io::Result<SharedMemory> {
        let length = bytes.max(1).checked_next_multiple_of(page_bytes).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        if page_bytes == HUGE_PAGE_BYTES {
            flags |= MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB;
        }
        let file = memfd_create("kiln-dma", flags)?;
        ftruncate(&file, length as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Self::map(file.into(), 0, length, page_bytes)
    }

    /// Maps `length` bytes of a file that the other side sent, from `offset`.
    ///
    /// # Errors
    /// When the file ends before them, or cannot be mapped.
    pub fn from_file(file: OwnedFd, offset: u64, length: usize) -> io::Result<SharedMemory> {
        let file = File::from(file);
        let end = offset.checked_add(length as u64).ok_or(io::ErrorKind::InvalidInput)?;
        let got = file.metadata()?.len();
        if length == 0 || got < end {
            let reason = format!("bytes {offset} to {end} of a file of {got} bytes cannot be mapped");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        Self::map(file, offset, length, PAGE_BYTES)
    }

    fn map(file: File, offset: u64, length: usize, page_bytes: usize) -> io::Result<SharedMemory> {
        let map = MmapOptions::new().offset(offset).len(length).map_raw(&file)?;
        Ok(SharedMemory { file, map, length, page_bytes })
    }

    /// Its length. \[bytes\]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The size of its pages. \[bytes\]
    pub fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// The file, to be sent to the other side.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where it is in this process. It stays there as long as `self` lives.
    pub fn address(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// Copies `buffer.len()` bytes out of it, from `offset`. False, and nothing copied, when they are not all inside.
    #[must_use]
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> bool {
        self.bytes().read(offset, buffer)
    }

    /// Copies `data` into it, to `offset`. False, and nothing copied, when it is not all inside.
    #[must_use]
    pub fn write(&self, offset: usize, data: &[u8]) -> bool {
        self.bytes().write(offset, data)
    }

    /// Writes zeros everywhere.
    pub fn erase(&self) {
        self.bytes().erase();
    }

    fn bytes(&self) -> Shared<'_> {
        // SAFETY: the mapping has this length, is readable and writable, starts at a page, and lives as long as `self`;
        // its address leaves this type only as a pointer for the kernel.
        unsafe { Shared::new(self.map.as_mut_ptr(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_mappings_of_a_file_show_the_same_bytes() {
        let ours = SharedMemory::create(10_000).expect("memory");
        assert_eq!((ours.length(), ours.page_bytes()), (12_288, PAGE_BYTES));
        let file = ours.file().try_clone_to_owned().expect("a descriptor");
        let theirs = SharedMemory::from_file(file, 4096, 8192).expect("mapped");
        assert!(ours.write(4095, &[1, 2, 3]));
        let mut bytes = [9; 3];
        assert!(theirs.read(0, &mut bytes));
        assert_eq!(bytes, [2, 3, 0]);
        ours.erase();
        assert!(theirs.read(0, &mut bytes));
        assert_eq!(bytes, [0; 3]);
    }

    #[test]
    fn nothing_is_copied_beyond_the_end() {
        let memory = SharedMemory::create(1).expect("memory");
        let mut bytes = [7; 2];
        for offset in [4095, 4096, usize::MAX] {
            assert!(!memory.read(offset, &mut bytes) && !memory.write(offset, &[1, 1]));
        }
        assert_eq!(bytes, [7; 2]);
        assert!(memory.read(4095, &mut bytes[..1]) && bytes == [0, 7]);
        assert!(memory.read(4096, &mut []));
    }

    #[test]
    fn the_other_side_cannot_make_it_smaller() {
        let memory = SharedMemory::create(8192).expect("memory");
        assert!(ftruncate(memory.file(), 4096).is_err());
    }

    #[test]
    fn file_that_is_too_short_is_refused() {
        let memory = SharedMemory::create(4096).expect("memory");
        for (offset, length) in [(0, 4097), (4096, 1), (u64::MAX, 2), (0, 0)] {
            let file = memory.file().try_clone_to_owned().expect("a descriptor");
            assert!(SharedMemory::from_file(file, offset, length).is_err(), "{offset} {length}");
        }
    }

    #[test]
    fn large_memory_is_there_with_or_without_huge_pages() {
        let memory = SharedMemory::create(HUGE_PAGE_BYTES + 1).expect("memory");
        assert!(memory.length() > HUGE_PAGE_BYTES && memory.length().is_multiple_of(memory.page_bytes()));
        assert!(memory.write(HUGE_PAGE_BYTES, &[5]));
    }

    proptest! {
        #[test]
        fn copies_move_exactly_their_bytes(offset in 0usize..40, data in prop::collection::vec(any::<u8>(), 0..60)) {
            let memory = SharedMemory::create(128).expect("memory");
            prop_assert!(memory.write(0, &[0xaa; 128]));
            prop_assert!(memory.write(offset, &data));
            let mut all = [0; 128];
            prop_assert!(memory.read(0, &mut all));
            let mut expected = [0xaa; 128];
            expected[offset..offset + data.len()].copy_from_slice(&data);
            prop_assert_eq!(all, expected);
            let mut back = vec![0; data.len()];
            prop_assert!(memory.read(offset, &mut back));
            prop_assert_eq!(back, data);
        }
    }
}
