//! Host memory as the client has mapped it for the card: files that both have open, so nothing is copied in between.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak};

use kiln_abi::{DmaFault, HostMemory};
use kiln_dma::SharedMemory;

/// What is mapped, and whether the card may start DMA at all.
#[derive(Default)]
pub(crate) struct HostTable {
    ranges: RwLock<Ranges>,
    bus_master: AtomicBool,
}

#[derive(Default)]
struct Ranges {
    by_address: BTreeMap<u64, Range>,
    /// Each file is mapped once, whole: behind a virtual IOMMU every page of a guest is a range of its own.
    files: HashMap<(u64, u64), Weak<SharedMemory>>,
}

struct Range {
    length: u64,
    /// None for a range that the client gave no file for, such as a ROM; the card cannot reach it.
    memory: Option<Arc<SharedMemory>>,
    /// Where the range starts in the file.
    offset: u64,
    readable: bool,
    writable: bool,
}

/// A part of an access that lies within one range: file, position there, position in the access, length.
type Piece<'a> = (&'a SharedMemory, usize, usize, usize);

impl HostTable {
    /// Puts memory into the card's reach.
    pub(crate) fn map(
        &self,
        address: u64,
        length: u64,
        file: Option<File>,
        offset: u64,
        access: (bool, bool),
    ) -> io::Result<()> {
        let refuse = |reason: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        let mut ranges = self.lock();
        let Some(end) = address.checked_add(length).filter(|_| length > 0) else {
            return refuse("a range that is empty or beyond all addresses");
        };
        let below = ranges.by_address.range(..end).next_back();
        if below.is_some_and(|(start, range)| start + range.length > address) {
            return refuse("a range that overlaps another");
        }
        let memory = file.map(|file| ranges.whole_file(file)).transpose()?;
        if let Some(memory) = &memory
            && offset.checked_add(length).is_none_or(|end| end > memory.length() as u64)
        {
            return refuse("a range beyond the end of its file");
        }
        let (readable, writable) = access;
        ranges.by_address.insert(address, Range { length, memory, offset, readable, writable });
        Ok(())
    }

    /// Takes all ranges that lie within these addresses out of the card's reach. No access is under way when it returns.
    pub(crate) fn unmap(&self, address: u64, length: u64) {
        let end = address.saturating_add(length);
        let mut ranges = self.lock();
        let inside: Vec<u64> = ranges
            .by_address
            .range(address..end)
            .filter(|(start, range)| *start + range.length <= end)
            .map(|(start, _)| *start)
            .collect();
        for start in inside {
            ranges.by_address.remove(&start);
        }
        ranges.files.retain(|_, memory| memory.strong_count() > 0);
    }

    /// Takes everything out of the card's reach.
    pub(crate) fn clear(&self) {
        *self.lock() = Ranges::default();
        self.set_bus_master(false);
    }

    /// Allows or forbids DMA.
    pub(crate) fn set_bus_master(&self, allowed: bool) {
        self.bus_master.store(allowed, Ordering::SeqCst);
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Ranges> {
        self.ranges.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `copy` on every piece of an access, in order, after all of them were found.
    fn access(&self, fault: DmaFault, mut copy: impl FnMut(Piece<'_>) -> bool) -> Result<(), DmaFault> {
        if !self.bus_master.load(Ordering::SeqCst) {
            return Err(fault);
        }
        // Held while bytes move, so that an unmap waits for them.
        let ranges = self.ranges.read().unwrap_or_else(PoisonError::into_inner);
        let mut pieces = Vec::with_capacity(1);
        let (mut address, mut done, length) = (fault.address, 0, fault.length as usize);
        while done < length {
            let (start, range) = ranges.by_address.range(..=address).next_back().ok_or(fault)?;
            let inside = address - start;
            let allowed = if fault.write { range.writable } else { range.readable };
            let memory = range.memory.as_deref().filter(|_| allowed && inside < range.length).ok_or(fault)?;
            let here = ((range.length - inside) as usize).min(length - done);
            pieces.push((memory, (range.offset + inside) as usize, done, here));
            done += here;
            address = address.checked_add(here as u64).ok_or(fault)?;
        }
        if pieces.into_iter().all(&mut copy) { Ok(()) } else { Err(fault) }
    }
}

impl Ranges {
    fn whole_file(&mut self, file: File) -> io::Result<Arc<SharedMemory>> {
        let metadata = file.metadata()?;
        let key = (metadata.dev(), metadata.ino());
        if let Some(memory) = self.files.get(&key).and_then(Weak::upgrade) {
            return Ok(memory);
        }
        let length = usize::try_from(metadata.len()).map_err(io::Error::other)?;
        let memory = Arc::new(SharedMemory::from_file(file.into(), 0, length)?);
        self.files.insert(key, Arc::downgrade(&memory));
        Ok(memory)
    }
}

impl HostMemory for HostTable {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), DmaFault> {
        let fault = DmaFault { address, length: buffer.len() as u64, write: false };
        self.access(fault, |(memory, at, done, here)| memory.read(at, &mut buffer[done..done + here]))
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), DmaFault> {
        let fault = DmaFault { address, length: data.len() as u64, write: true };
        self.access(fault, |(memory, at, done, here)| memory.write(at, &data[done..done + here]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(memory: &SharedMemory) -> Option<File> {
        Some(memory.file().try_clone_to_owned().unwrap().into())
    }

    fn table() -> HostTable {
        let table = HostTable::default();
        table.set_bus_master(true);
        table
    }

    #[test]
    fn an_access_may_cross_pages_that_are_mapped_one_by_one() {
        let (table, memory) = (table(), SharedMemory::create(3 * 4096).unwrap());
        // In the opposite order in the file.
        for page in 0..3 {
            table.map(0x1000 * (page + 1), 4096, file(&memory), (2 - page) * 4096, (true, true)).unwrap();
        }
        assert_eq!(table.lock().files.len(), 1, "one file, mapped once");
        let data: Vec<u8> = (0..9000).map(|i| i as u8).collect();
        table.write(0x1004, &data).unwrap();
        let mut back = vec![0; 9000];
        table.read(0x1004, &mut back).unwrap();
        assert_eq!(back, data);
        let mut first = [0; 2];
        assert!(memory.read(2 * 4096 + 4, &mut first));
        assert_eq!(first, [0, 1]);
    }

    #[test]
    fn nothing_moves_unless_all_of_it_can() {
        let (table, memory) = (table(), SharedMemory::create(4096).unwrap());
        table.map(0x1000, 4096, file(&memory), 0, (true, true)).unwrap();
        table.map(0x2000, 4096, None, 0, (true, true)).unwrap();
        for (address, length) in [(0xfff, 2), (0x1fff, 2), (0x3000, 1), (u64::MAX, 1), (u64::MAX, 2)] {
            let data = vec![1; length];
            let fault = table.write(address, &data).unwrap_err();
            assert_eq!((fault.address, fault.length, fault.write), (address, length as u64, true));
        }
        let mut all = [7; 4096];
        table.read(0x1000, &mut all).unwrap();
        assert_eq!(all, [0; 4096]);
        table.unmap(0, 0x1fff);
        assert!(table.read(0x1000, &mut all).is_ok(), "half a range is no range");
        table.unmap(0, 0x2000);
        assert!(table.read(0x1000, &mut all).is_err());
        assert!(table.lock().files.is_empty());
    }

    #[test]
    fn permissions_and_bus_master_are_kept() {
        let (table, memory) = (table(), SharedMemory::create(8192).unwrap());
        table.map(0, 4096, file(&memory), 0, (true, false)).unwrap();
        table.map(4096, 4096, file(&memory), 4096, (false, true)).unwrap();
        assert!(table.read(0, &mut [0]).is_ok() && table.write(0, &[0]).is_err());
        assert!(table.read(4096, &mut [0]).is_err() && table.write(4096, &[0]).is_ok());
        table.set_bus_master(false);
        assert!(table.read(0, &mut [0]).is_err());
    }

    #[test]
    fn impossible_ranges_are_refused() {
        let (table, memory) = (table(), SharedMemory::create(4096).unwrap());
        table.map(0x1000, 4096, file(&memory), 0, (true, true)).unwrap();
        for (address, length, offset) in [
            (0x1fff, 1, 0),
            (0, 0x1001, 0),
            (0x9000, 0, 0),
            (u64::MAX, 2, 0),
            (0x9000, 1, 4096),
            (0x9000, 2, u64::MAX),
        ] {
            assert!(table.map(address, length, file(&memory), offset, (true, true)).is_err(), "{address:#x}");
        }
    }
}
