//! Submission queue entries: eight 64-bit words, the same frame for every command.
//!
//! ```text
//! word 0    bits 0-7 opcode | 8-15 option | 16-31 command id | 32-63 count
//! word 1    host address of the task record, 0 for none (multiple of 64)
//! words 2-7 fields of the command
//! ```

use crate::error::{ParseError, in_range};

/// Bytes of a submission queue entry.
pub const ENTRY_BYTES: usize = 64;

/// A submission queue entry, its frame decoded and its fields raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// Which command; the admin queue and the I/O queues have separate codes.
    pub opcode: u8,
    /// A small field of the command.
    pub option: u8,
    /// Chosen by the host; comes back in the completion. Unique among the commands in flight of its queue.
    pub command_id: u16,
    /// A count of the command, usually of elements.
    pub count: u32,
    /// Host address at which the task record is written before the completion; 0 asks for none.
    pub record_address: u64,
    /// Fields of the command.
    pub body: [u64; 6],
}

impl Entry {
    /// The 64 bytes of the entry.
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES] {
        let word = u64::from(self.opcode)
            | u64::from(self.option) << 8
            | u64::from(self.command_id) << 16
            | u64::from(self.count) << 32;
        let mut bytes = [0; ENTRY_BYTES];
        let words = [word, self.record_address].into_iter().chain(self.body);
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Decodes the frame. Any 64 bytes are a frame; the command's own parser judges its fields.
    pub fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Entry {
        let mut words = [0; 8];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut raw = [0; 8];
            raw.copy_from_slice(chunk);
            *word = u64::from_le_bytes(raw);
        }
        let [frame, record_address, body @ ..] = words;
        Entry {
            opcode: frame as u8,
            option: (frame >> 8) as u8,
            command_id: (frame >> 16) as u16,
            count: (frame >> 32) as u32,
            record_address,
            body,
        }
    }

    /// Checks that `canonical`, the entry encoded from what was parsed, has the same fields: anything else means that a
    /// reserved bit was set or a narrow field overflowed.
    pub(crate) fn must_equal(&self, canonical: &Entry, what: &'static str) -> Result<(), ParseError> {
        let (got, expected) = (self.to_bytes(), canonical.to_bytes());
        match got.iter().zip(&expected).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(offset) => Err(ParseError::Reserved { what, offset: offset as u64 }),
        }
    }

    /// The record address must be a multiple of 64.
    pub(crate) fn check_record_address(&self) -> Result<(), ParseError> {
        in_range("record address modulo 64", self.record_address % 64, 0, 0).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_survives_the_round_trip() {
        let entry = Entry {
            opcode: 0xab,
            option: 0xcd,
            command_id: 0x1234,
            count: 0xdead_beef,
            record_address: 0x1122_3344_5566_7788,
            body: [1, 2, 3, u64::MAX, 5, 6],
        };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), entry);
    }
}
