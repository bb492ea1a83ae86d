//! Completion queue entries: 16 bytes, owned by the host when the phase bit is the one it waits for.
//!
//! ```text
//! bytes 0-7   result of the command, or a detail of the error
//! bytes 8-9   submission queue head: entries before it have been fetched
//! bytes 10-11 submission queue id
//! bytes 12-13 command id
//! bytes 14-15 bit 0 phase | bits 1-15 status
//! ```
//! The phase bit is 1 in the first pass over the ring and flips with every wrap. The ring is zeroed by the host first.

/// Bytes of a completion queue entry.
pub const COMPLETION_BYTES: usize = 16;

/// A completion queue entry. The status is raw, because it comes from the other side: see [`crate::Status::from_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Completion {
    /// Result of the command; for a failed command, a number that says where (see [`crate::ParseError::detail`]).
    pub result: u64,
    /// Entries of the submission queue before this index have been fetched.
    pub submission_head: u16,
    /// The queue from which the command came.
    pub submission_queue: u16,
    /// The command's id.
    pub command_id: u16,
    /// Whether the entry is new.
    pub phase: bool,
    /// Status code, 15 bits.
    pub status: u16,
}

impl Completion {
    /// The 16 bytes of the entry.
    pub fn to_bytes(&self) -> [u8; COMPLETION_BYTES] {
        let mut bytes = [0; COMPLETION_BYTES];
        bytes[..8].copy_from_slice(&self.result.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.submission_head.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.submission_queue.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.command_id.to_le_bytes());
        bytes[14..].copy_from_slice(&(self.status << 1 | u16::from(self.phase)).to_le_bytes());
        bytes
    }

    /// Decodes the entry. Any 16 bytes decode; the driver checks ids, phase and status.
    pub fn from_bytes(bytes: &[u8; COMPLETION_BYTES]) -> Completion {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let mut result = [0; 8];
        result.copy_from_slice(&bytes[..8]);
        Completion {
            result: u64::from_le_bytes(result),
            submission_head: word(8),
            submission_queue: word(10),
            command_id: word(12),
            phase: word(14) & 1 == 1,
            status: word(14) >> 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_survives_the_round_trip() {
        let completion = Completion {
            result: u64::MAX - 3,
            submission_head: 7,
            submission_queue: 16,
            command_id: 0xffff,
            phase: true,
            status: 0x7fff,
        };
        assert_eq!(Completion::from_bytes(&completion.to_bytes()), completion);
    }
}
