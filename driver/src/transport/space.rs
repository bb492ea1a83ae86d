//! Memory that a card reaches by DMA, with an owner: mapped when it is made, unmapped before it is given back.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_dma::SharedMemory;

use super::Mapping;
use super::iova::IovaAllocator;
use crate::error::CardError;

/// Who puts memory into the card's reach.
pub(crate) trait Mapper: Send + Sync {
    /// Lets the card reach `memory` at `iova`.
    fn map(&self, iova: u64, memory: &SharedMemory) -> Result<(), CardError>;
    /// Takes `bytes` bytes at `iova` out of its reach; when this returns, no access is under way.
    fn unmap(&self, iova: u64, bytes: u64) -> Result<(), CardError>;
}

/// The addresses of one card, and who maps them.
pub(crate) struct DmaSpace {
    addresses: Mutex<IovaAllocator>,
    mapper: Arc<dyn Mapper>,
}

impl DmaSpace {
    /// A space of these addresses.
    pub(crate) fn new(
        usable: &[RangeInclusive<u64>],
        page_bytes: u64,
        mapper: Arc<dyn Mapper>,
    ) -> Arc<DmaSpace> {
        Arc::new(DmaSpace { addresses: Mutex::new(IovaAllocator::new(usable, page_bytes)), mapper })
    }

    /// Makes zeroed memory and maps it.
    pub(crate) fn make(self: &Arc<DmaSpace>, bytes: usize) -> Result<Box<dyn Mapping>, CardError> {
        let fail = |reason: String| CardError::Map { bytes: bytes as u64, reason };
        let memory = SharedMemory::create(bytes).map_err(|error| fail(error.to_string()))?;
        let size = memory.length() as u64;
        let address = self
            .lock()
            .allocate(size, memory.page_bytes() as u64)
            .ok_or_else(|| fail("no address that the IOMMU can translate is free".to_owned()))?;
        if let Err(error) = self.mapper.map(address, &memory) {
            self.lock().give_back(address, size);
            return Err(error);
        }
        Ok(Box::new(SpaceMapping { address, length: bytes, memory, space: self.clone() }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, IovaAllocator> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SpaceMapping {
    address: u64,
    length: usize,
    memory: SharedMemory,
    space: Arc<DmaSpace>,
}

impl Mapping for SpaceMapping {
    fn address(&self) -> u64 {
        self.address
    }

    fn length(&self) -> usize {
        self.length
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) {
        // The caller has checked the bounds.
        let inside = self.memory.read(offset, buffer);
        debug_assert!(inside);
    }

    fn write(&self, offset: usize, data: &[u8]) {
        let inside = self.memory.write(offset, data);
        debug_assert!(inside);
    }
}

impl Drop for SpaceMapping {
    fn drop(&mut self) {
        let size = self.memory.length() as u64;
        match self.space.mapper.unmap(self.address, size) {
            Ok(()) => self.space.lock().give_back(self.address, size),
            // The card may still reach these pages. They belong to a file of their own that the other side holds too (or
            // are pinned by the kernel), so nobody else gets them; only the address is never used again.
            Err(error) => {
                tracing::warn!(address = self.address, %error, "DMA memory could not be unmapped; its address is retired");
            }
        }
        // It may be part of a witness.
        self.memory.erase();
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Table {
        mapped: Mutex<BTreeMap<u64, u64>>,
        stuck: std::sync::atomic::AtomicBool,
    }

    impl Mapper for Table {
        fn map(&self, iova: u64, memory: &SharedMemory) -> Result<(), CardError> {
            assert!(self.mapped.lock().expect("whole").insert(iova, memory.length() as u64).is_none());
            Ok(())
        }

        fn unmap(&self, iova: u64, bytes: u64) -> Result<(), CardError> {
            if self.stuck.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(CardError::Gone);
            }
            assert_eq!(self.mapped.lock().expect("whole").remove(&iova), Some(bytes));
            Ok(())
        }
    }

    #[test]
    fn memory_is_mapped_while_it_lives_and_no_longer() {
        let table = Arc::new(Table::default());
        let space = DmaSpace::new(&[0..=u64::MAX], 4096, table.clone());
        let first = space.make(5000).expect("memory");
        let second = space.make(3 << 20).expect("memory");
        assert_eq!(first.length(), 5000);
        assert_eq!(table.mapped.lock().expect("whole").len(), 2);
        second.write((3 << 20) - 3, &[1, 2, 3]);
        let mut bytes = [0; 3];
        second.read((3 << 20) - 3, &mut bytes);
        assert_eq!(bytes, [1, 2, 3]);
        drop((first, second));
        assert!(table.mapped.lock().expect("whole").is_empty());
    }

    #[test]
    fn address_that_could_not_be_unmapped_is_never_used_again() {
        let table = Arc::new(Table::default());
        let space = DmaSpace::new(&[1 << 20..=(1 << 20) + 0x3fff], 4096, table.clone());
        let held = space.make(4096).expect("memory");
        table.stuck.store(true, std::sync::atomic::Ordering::SeqCst);
        let retired = held.address();
        drop(held);
        table.stuck.store(false, std::sync::atomic::Ordering::SeqCst);
        for _ in 0..4 {
            assert_ne!(space.make(4096).expect("room for one").address(), retired);
        }
    }
}
