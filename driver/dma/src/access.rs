//! Accesses to memory that somebody else changes meanwhile, by address. No file is mapped here and nothing asks the
//! system, so all of it runs under Miri, over plain memory.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

const WORD: usize = size_of::<u64>();

/// A stretch of memory that this process accesses only through values of this type, and others as they like.
///
/// Copies move aligned 64-bit words, in ascending order, each as one access that releases (write) or acquires (read):
/// who sees a word of a copy sees everything that was written before it.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    start: *mut u8,
    length: usize,
    lives: PhantomData<&'a ()>,
}

impl<'a> Shared<'a> {
    /// `length` bytes at `start`.
    ///
    /// # Safety
    /// For `'a`, the bytes can be read and written, `start` is a multiple of 8, and no reference of this program points
    /// to them.
    pub(crate) unsafe fn new(start: *mut u8, length: usize) -> Shared<'a> {
        debug_assert!((start as usize).is_multiple_of(WORD));
        Shared { start, length, lives: PhantomData }
    }

    /// Copies `buffer.len()` bytes out of it, from `offset`. False, and nothing copied, when they are not all inside.
    #[must_use]
    pub(crate) fn read(self, offset: usize, buffer: &mut [u8]) -> bool {
        if !self.covers(offset, buffer.len()) {
            return false;
        }
        let (head, words, tail) = split(offset, buffer.len());
        let (first, rest) = buffer.split_at_mut(head);
        let (middle, last) = rest.split_at_mut(words * WORD);
        for (index, byte) in first.iter_mut().enumerate() {
            *byte = self.byte(offset + index).load(Ordering::Acquire);
        }
        for (index, word) in middle.chunks_exact_mut(WORD).enumerate() {
            let value = self.word(offset + head + index * WORD).load(Ordering::Acquire);
            word.copy_from_slice(&value.to_ne_bytes());
        }
        for (index, byte) in last.iter_mut().enumerate().take(tail) {
            *byte = self.byte(offset + head + words * WORD + index).load(Ordering::Acquire);
        }
        true
    }

    /// Copies `data` into it, to `offset`. False, and nothing copied, when it is not all inside.
    #[must_use]
    pub(crate) fn write(self, offset: usize, data: &[u8]) -> bool {
        if !self.covers(offset, data.len()) {
            return false;
        }
        let (head, words, _) = split(offset, data.len());
        let (first, rest) = data.split_at(head);
        let (middle, last) = rest.split_at(words * WORD);
        for (index, byte) in first.iter().enumerate() {
            self.byte(offset + index).store(*byte, Ordering::Release);
        }
        for (index, word) in middle.as_chunks::<WORD>().0.iter().enumerate() {
            self.word(offset + head + index * WORD).store(u64::from_ne_bytes(*word), Ordering::Release);
        }
        for (index, byte) in last.iter().enumerate() {
            self.byte(offset + head + words * WORD + index).store(*byte, Ordering::Release);
        }
        true
    }

    /// Writes zeros everywhere.
    pub(crate) fn erase(self) {
        let words = self.length - self.length % WORD;
        for offset in (0..words).step_by(WORD) {
            self.word(offset).store(0, Ordering::Release);
        }
        for offset in words..self.length {
            self.byte(offset).store(0, Ordering::Release);
        }
    }

    /// Reads a register: an aligned 32-bit word, in one access. None when it is not aligned or not inside.
    pub(crate) fn read_register(self, offset: u64) -> Option<u32> {
        let at = self.register(offset)?;
        // SAFETY: the word is aligned and inside the memory, by `register`.
        let value = unsafe { at.read_volatile() };
        // Memory is read after the register: what the device wrote before it answered is seen.
        fence(Ordering::SeqCst);
        Some(value)
    }

    /// Writes a register: an aligned 32-bit word, in one access. False when it is not aligned or not inside.
    pub(crate) fn write_register(self, offset: u64, value: u32) -> bool {
        let Some(at) = self.register(offset) else { return false };
        // Memory is written before the register: the device sees it when it acts on the write.
        fence(Ordering::SeqCst);
        // SAFETY: as for a read.
        unsafe { at.write_volatile(value) };
        true
    }

    fn covers(self, offset: usize, length: usize) -> bool {
        offset.checked_add(length).is_some_and(|end| end <= self.length)
    }

    /// The byte at `offset`, which is below the length.
    fn byte(self, offset: usize) -> &'a AtomicU8 {
        debug_assert!(offset < self.length);
        // SAFETY: `offset` is inside the memory, which can be accessed for `'a`; every access of this process to it is
        // atomic or to a register, and those of the other side are not part of this program.
        unsafe { AtomicU8::from_ptr(self.start.add(offset)) }
    }

    /// The word at `offset`, a multiple of 8, which ends within the length.
    fn word(self, offset: usize) -> &'a AtomicU64 {
        debug_assert!(offset.is_multiple_of(WORD) && self.covers(offset, WORD));
        // SAFETY: as for a byte; the memory starts at a multiple of 8, so a multiple of 8 is aligned.
        unsafe { AtomicU64::from_ptr(self.start.add(offset).cast()) }
    }

    fn register(self, offset: u64) -> Option<*mut u32> {
        let offset = usize::try_from(offset).ok()?;
        // The memory starts at a multiple of 8, so the word is aligned; inside it the addition cannot wrap.
        (offset.is_multiple_of(4) && self.covers(offset, 4)).then(|| self.start.wrapping_add(offset).cast())
    }
}

/// Bytes before the first aligned word of a range, whole words, bytes after them.
fn split(offset: usize, length: usize) -> (usize, usize, usize) {
    let head = (offset.next_multiple_of(WORD) - offset).min(length);
    let words = (length - head) / WORD;
    (head, words, length - head - words * WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain memory; a word longer than what is shared of it, so that an access beyond the end would be seen.
    struct Plain {
        words: *mut [u64],
        length: usize,
    }

    // SAFETY: the words belong to this value, and are accessed through `Shared` only.
    unsafe impl Sync for Plain {}

    impl Plain {
        fn new(length: usize) -> Plain {
            let words = vec![0xaaaa_aaaa_aaaa_aaaa; length.div_ceil(WORD)].into_boxed_slice();
            Plain { words: Box::into_raw(words), length }
        }

        fn shared(&self) -> Shared<'_> {
            // SAFETY: the box is this value's own, of words, as long as `length` at least, and nobody refers into it.
            unsafe { Shared::new(self.words.cast(), self.length) }
        }

        fn bytes(&self) -> Vec<u8> {
            let mut bytes = vec![0; self.length];
            assert!(self.shared().read(0, &mut bytes));
            bytes
        }
    }

    impl Drop for Plain {
        fn drop(&mut self) {
            // SAFETY: it was made by `into_raw`, once.
            drop(unsafe { Box::from_raw(self.words) });
        }
    }

    #[test]
    fn copies_of_every_alignment_move_exactly_their_bytes() {
        for offset in 0..18 {
            for length in [0, 1, 2, 7, 8, 9, 15, 16, 17, 23] {
                let memory = Plain::new(41);
                let data: Vec<u8> = (1..=length as u8).collect();
                assert!(memory.shared().write(offset, &data));
                let mut expected = [0xaa; 41];
                expected[offset..offset + length].copy_from_slice(&data);
                assert_eq!(memory.bytes(), expected);
                let mut back = vec![0; length];
                assert!(memory.shared().read(offset, &mut back));
                assert_eq!(back, data);
            }
        }
    }

    #[test]
    fn nothing_beyond_the_end_is_touched() {
        let memory = Plain::new(13);
        let mut bytes = [7; 2];
        for offset in [12, 13, 14, usize::MAX] {
            assert!(!memory.shared().read(offset, &mut bytes) && !memory.shared().write(offset, &[1, 1]));
        }
        assert_eq!((bytes, memory.bytes()), ([7; 2], vec![0xaa; 13]));
        assert!(memory.shared().read(12, &mut bytes[..1]) && memory.shared().read(13, &mut []));
        assert_eq!(bytes, [0xaa, 7]);
    }

    #[test]
    fn all_of_it_is_erased() {
        for length in [0, 1, 8, 9, 31] {
            let memory = Plain::new(length);
            memory.shared().erase();
            assert_eq!(memory.bytes(), vec![0; length]);
        }
    }

    #[test]
    fn only_aligned_registers_inside_are_reached() {
        let memory = Plain::new(18);
        assert!(memory.shared().write_register(12, 0x0403_0201));
        assert_eq!(memory.shared().read_register(12), Some(0x0403_0201));
        assert_eq!(memory.bytes()[11..17], [0xaa, 1, 2, 3, 4, 0xaa]);
        for offset in [1, 2, 14, 16, 18, 1 << 32, u64::MAX, u64::MAX - 3] {
            assert_eq!(memory.shared().read_register(offset), None, "{offset}");
            assert!(!memory.shared().write_register(offset, 1), "{offset}");
        }
    }

    #[test]
    fn who_sees_a_word_sees_what_was_written_before_it() {
        let (memory, data) = (Plain::new(64), Plain::new(32));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=20_u64 {
                    assert!(data.shared().write(0, &[round as u8; 32]));
                    assert!(memory.shared().write(8, &round.to_ne_bytes()));
                }
            });
            scope.spawn(|| {
                let (mut word, mut bytes) = ([0; 8], [0; 32]);
                loop {
                    assert!(memory.shared().read(8, &mut word));
                    let round = u64::from_ne_bytes(word);
                    if round > 20 {
                        std::thread::yield_now();
                        continue;
                    }
                    assert!(data.shared().read(0, &mut bytes));
                    assert!(bytes.iter().all(|byte| u64::from(*byte) >= round), "{round}: {bytes:?}");
                    if round == 20 {
                        return;
                    }
                }
            });
        });
    }
}
