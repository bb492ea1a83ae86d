//! Who has which part of card memory. The card keeps no such account: its commands name addresses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::CardError;

/// Regions start at multiples of this, so that vectors and points are aligned. \[bytes\]
const ALIGNMENT: u64 = 64;

/// Hands out card memory, first fit, and takes it back.
#[derive(Clone, Debug)]
pub struct CardMemory {
    /// Free pieces: start → length. Neighbours are always joined.
    free: Arc<Mutex<BTreeMap<u64, u64>>>,
}

/// A region of card memory; it goes back when this is dropped.
///
/// Drop it when the last command that uses it is *submitted*, if the region's next user submits to the same queue: the
/// commands of one queue run in order. Otherwise wait for the command first.
#[derive(Debug)]
pub struct CardRegion {
    address: u64,
    bytes: u64,
    memory: CardMemory,
}

impl CardMemory {
    /// An account of `bytes` bytes, all free.
    pub fn new(bytes: u64) -> CardMemory {
        let usable = bytes - bytes % ALIGNMENT;
        CardMemory { free: Arc::new(Mutex::new(BTreeMap::from([(0, usable)]))) }
    }

    /// Takes `bytes` bytes in one piece.
    pub fn allocate(&self, bytes: u64) -> Result<CardRegion, CardError> {
        let wanted = bytes.max(1).checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX);
        let mut free = self.lock();
        let fit = free.iter().find(|(_, length)| **length >= wanted).map(|(start, length)| (*start, *length));
        let Some((address, length)) = fit else {
            return Err(CardError::CardMemoryFull { bytes, free: free.values().sum() });
        };
        free.remove(&address);
        if length > wanted {
            free.insert(address + wanted, length - wanted);
        }
        Ok(CardRegion { address, bytes: wanted, memory: self.clone() })
    }

    /// Bytes that are free, in all pieces.
    pub fn free_bytes(&self) -> u64 {
        self.lock().values().sum()
    }

    fn give_back(&self, mut start: u64, mut length: u64) {
        let mut free = self.lock();
        if let Some(next) = free.remove(&(start + length)) {
            length += next;
        }
        if let Some((before, before_length)) = free.range(..start).next_back().map(|(a, b)| (*a, *b))
            && before + before_length == start
        {
            free.remove(&before);
            (start, length) = (before, before_length + length);
        }
        free.insert(start, length);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CardRegion {
    /// Its card address.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its length, at least what was asked for. \[bytes\]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for CardRegion {
    fn drop(&mut self) {
        self.memory.give_back(self.address, self.bytes);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_that_is_full_says_so_and_recovers() {
        let memory = CardMemory::new(256);
        let first = memory.allocate(100).expect("fits");
        let second = memory.allocate(128).expect("fits");
        assert!(matches!(memory.allocate(1), Err(CardError::CardMemoryFull { bytes: 1, free: 0 })));
        drop(first);
        assert!(memory.allocate(129).is_err());
        drop(second);
        assert_eq!(memory.allocate(256).expect("joined again").address(), 0);
        assert!(memory.allocate(u64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn regions_never_overlap_and_all_come_back(steps in prop::collection::vec((0u64..2000, any::<bool>()), 1..60)) {
            let memory = CardMemory::new(16_384);
            let mut held: Vec<CardRegion> = Vec::new();
            for (bytes, give_back) in steps {
                if give_back && !held.is_empty() {
                    held.swap_remove(bytes as usize % held.len());
                } else if let Ok(region) = memory.allocate(bytes) {
                    prop_assert!(region.address() % ALIGNMENT == 0);
                    prop_assert!(region.address() + region.bytes() <= 16_384);
                    for other in &held {
                        let apart = region.address() + region.bytes() <= other.address()
                            || other.address() + other.bytes() <= region.address();
                        prop_assert!(apart);
                    }
                    held.push(region);
                }
            }
            held.clear();
            prop_assert_eq!(memory.lock().iter().map(|(a, b)| (*a, *b)).collect::<Vec<_>>(), vec![(0, 16_384)]);
        }
    }
}
