//! Which addresses the card uses for host memory.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Addresses below this are never given out: some mean "none" to the card.
const LOWEST: u64 = 1 << 20;
/// Where x86 puts its message-signalled interrupts; no memory can be reached there.
const INTERRUPT_WINDOW: RangeInclusive<u64> = 0xfee0_0000..=0xfeef_ffff;

/// Gives out address ranges that the IOMMU can translate, with a gap of a page behind each. An address that was given
/// back is used again as late as possible, so that a late access of the card meets no mapping.
#[derive(Debug)]
pub(crate) struct IovaAllocator {
    /// Free pieces: start → length. Neighbours are always joined.
    free: BTreeMap<u64, u64>,
    page_bytes: u64,
    /// The search begins here.
    cursor: u64,
}

impl IovaAllocator {
    /// Addresses of `usable`, in units of `page_bytes` (a power of two), without those that are reserved everywhere.
    pub(crate) fn new(usable: &[RangeInclusive<u64>], page_bytes: u64) -> IovaAllocator {
        let mut free = BTreeMap::new();
        for range in usable {
            let below = (*range.start(), (*range.end()).min(INTERRUPT_WINDOW.start() - 1));
            let above = ((*range.start()).max(INTERRUPT_WINDOW.end() + 1), *range.end());
            for (start, end) in [below, above] {
                let start = start.max(LOWEST).checked_next_multiple_of(page_bytes);
                // The end is the last address; the very last page of the address space is left out.
                let end = end.saturating_add(1) / page_bytes * page_bytes;
                if let Some(start) = start.filter(|start| *start < end) {
                    free.insert(start, end - start);
                }
            }
        }
        IovaAllocator { free, page_bytes, cursor: 0 }
    }

    /// A free range of `bytes` bytes at a multiple of `align` (a power of two).
    pub(crate) fn allocate(&mut self, bytes: u64, align: u64) -> Option<u64> {
        let align = align.max(self.page_bytes);
        let wanted = self.with_gap(bytes)?;
        let fit = |(start, length): (&u64, &u64), from: u64| {
            let at = (*start).max(from).checked_next_multiple_of(align)?;
            let end = at.checked_add(wanted)?;
            (end <= start + length).then_some((*start, *length, at))
        };
        let cursor = self.cursor;
        // The piece that holds the cursor starts below it.
        let first = self.free.range(..=cursor).next_back().map_or(cursor, |(start, _)| *start);
        let found = self
            .free
            .range(first..)
            .find_map(|piece| fit(piece, cursor))
            .or_else(|| self.free.iter().find_map(|piece| fit(piece, 0)));
        let (start, length, at) = found?;
        self.free.remove(&start);
        if at > start {
            self.free.insert(start, at - start);
        }
        let rest = start + length - (at + wanted);
        if rest > 0 {
            self.free.insert(at + wanted, rest);
        }
        self.cursor = at + wanted;
        Some(at)
    }

    /// Takes a range back that was given out with this length.
    pub(crate) fn give_back(&mut self, mut start: u64, bytes: u64) {
        let Some(mut length) = self.with_gap(bytes) else { return };
        if let Some(next) = self.free.remove(&(start + length)) {
            length += next;
        }
        if let Some((before, before_length)) = self.free.range(..start).next_back().map(|(a, b)| (*a, *b))
            && before + before_length == start
        {
            self.free.remove(&before);
            (start, length) = (before, before_length + length);
        }
        self.free.insert(start, length);
    }

    fn with_gap(&self, bytes: u64) -> Option<u64> {
        bytes.max(1).checked_next_multiple_of(self.page_bytes)?.checked_add(self.page_bytes)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reserved_addresses_are_never_given_out() {
        let mut allocator = IovaAllocator::new(&[0..=0x1_0000_0fff], 4096);
        let mut given = Vec::new();
        while let Some(address) = allocator.allocate(16 << 20, 4096) {
            assert!(address >= LOWEST);
            let end = address + (16 << 20) - 1;
            assert!(end < *INTERRUPT_WINDOW.start() || address > *INTERRUPT_WINDOW.end(), "{address:#x}");
            assert!(end <= 0x1_0000_0fff);
            given.push(address);
        }
        assert!(given.len() > 200);
        given.into_iter().for_each(|address| allocator.give_back(address, 16 << 20));
        assert_eq!(allocator.free.len(), 2);
        assert!(IovaAllocator::new(&[0..=4095], 4096).allocate(1, 1).is_none());
    }

    #[test]
    fn alignment_and_page_size_are_honoured() {
        let mut allocator = IovaAllocator::new(&[0x10_1000..=u64::MAX], 1 << 16);
        let first = allocator.allocate(1, 1).expect("room");
        let second = allocator.allocate(2 << 20, 2 << 20).expect("room");
        assert!(first.is_multiple_of(1 << 16) && second.is_multiple_of(2 << 20));
        assert!(second >= first + (2 << 16), "a page and the gap behind it");
        assert!(allocator.allocate(u64::MAX, 1).is_none());
    }

    #[test]
    fn an_address_rests_before_it_is_used_again() {
        let mut allocator = IovaAllocator::new(&[LOWEST..=LOWEST + 0xffff], 4096);
        let mut last = allocator.allocate(1, 1).expect("room");
        for _ in 0..100 {
            allocator.give_back(last, 1);
            let next = allocator.allocate(1, 1).expect("room");
            assert_ne!(next, last);
            last = next;
        }
    }

    proptest! {
        #[test]
        fn ranges_never_overlap_and_all_come_back(steps in prop::collection::vec((1u64..40_000, any::<bool>()), 1..60)) {
            let mut allocator = IovaAllocator::new(&[LOWEST..=LOWEST + 0x3f_ffff], 4096);
            let whole = allocator.free.clone();
            let mut held: Vec<(u64, u64)> = Vec::new();
            for (bytes, give_back) in steps {
                if give_back && !held.is_empty() {
                    let (address, bytes) = held.swap_remove(bytes as usize % held.len());
                    allocator.give_back(address, bytes);
                } else if let Some(address) = allocator.allocate(bytes, 4096) {
                    let end = address + bytes;
                    prop_assert!(held.iter().all(|(other, length)| end < *other || other + length < address));
                    held.push((address, bytes));
                }
            }
            held.into_iter().for_each(|(address, bytes)| allocator.give_back(address, bytes));
            prop_assert_eq!(allocator.free, whole);
        }
    }
}
