//! The task record: what a command cost, written to host memory before its completion.
//!
//! ```text
//! 0  command id u16 | 2 submission queue u16 | 4 opcode u8 | 5 engine u8 | 6 status u16
//! 8  start cycle | 16 cycles | 24 stalled on card memory | 32 stalled on the host link | 40 stalled on hazards
//! 48 bytes over the host link | 56 bytes from and to card memory
//! ```

use crate::codes::codes;
use crate::error::ParseError;
use crate::status::Status;

/// Bytes of a task record.
pub const RECORD_BYTES: usize = 64;

codes! {
    /// The part of the card that ran a command.
    pub enum EngineKind: u8 {
        /// The control program itself.
        Control = 0,
        /// Copies between host and card, expansion, loading of bases.
        Copy = 1,
        /// Multi-scalar multiplication.
        Msm = 2,
        /// Number-theoretic transform.
        Ntt = 3,
        /// Vector programs, scans, inversion, evaluation, division, placing, powers.
        Vector = 4,
    }
}

/// What a command cost, in cycles of the card's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRecord {
    /// The command's id.
    pub command_id: u16,
    /// Its submission queue.
    pub submission_queue: u16,
    /// Its opcode.
    pub opcode: u8,
    /// What ran it.
    pub engine: EngineKind,
    /// How it ended.
    pub status: Status,
    /// When its engine started it. \[cycles\]
    pub start_cycle: u64,
    /// How long its engine worked on it, stalls included. \[cycles\]
    pub cycles: u64,
    /// Of these, waiting for card memory. \[cycles\]
    pub stall_memory: u64,
    /// Of these, waiting for the host link. \[cycles\]
    pub stall_host: u64,
    /// Of these, waiting because an operand was still in the pipeline. \[cycles\]
    pub stall_hazard: u64,
    /// Payload moved over the host link, both ways. \[bytes\]
    pub host_bytes: u64,
    /// Moved from and to card memory. \[bytes\]
    pub memory_bytes: u64,
}

impl TaskRecord {
    /// Cycles in which the engine did work.
    pub fn busy_cycles(&self) -> u64 {
        let stalls = self.stall_memory.saturating_add(self.stall_host).saturating_add(self.stall_hazard);
        self.cycles.saturating_sub(stalls)
    }

    /// The 64 bytes of the record.
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let head = u64::from(self.command_id)
            | u64::from(self.submission_queue) << 16
            | u64::from(self.opcode) << 32
            | u64::from(self.engine.code()) << 40
            | u64::from(self.status.code()) << 48;
        let words = [
            head,
            self.start_cycle,
            self.cycles,
            self.stall_memory,
            self.stall_host,
            self.stall_hazard,
            self.host_bytes,
            self.memory_bytes,
        ];
        let mut bytes = [0; RECORD_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Parses a record. Stalls must not exceed the cycles.
    pub fn parse(bytes: &[u8; RECORD_BYTES]) -> Result<TaskRecord, ParseError> {
        let word = |index: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&bytes[8 * index..8 * index + 8]);
            u64::from_le_bytes(raw)
        };
        let head = word(0);
        let (engine, status) = ((head >> 40) as u8, (head >> 48) as u16);
        let record = TaskRecord {
            command_id: head as u16,
            submission_queue: (head >> 16) as u16,
            opcode: (head >> 32) as u8,
            engine: EngineKind::from_code(engine)
                .ok_or(ParseError::UnknownCode { field: "engine", got: u64::from(engine) })?,
            status: Status::from_code(status)
                .ok_or(ParseError::UnknownCode { field: "status", got: u64::from(status) })?,
            start_cycle: word(1),
            cycles: word(2),
            stall_memory: word(3),
            stall_host: word(4),
            stall_hazard: word(5),
            host_bytes: word(6),
            memory_bytes: word(7),
        };
        let stalls =
            record.stall_memory.saturating_add(record.stall_host).saturating_add(record.stall_hazard);
        if stalls > record.cycles {
            return Err(ParseError::OutOfRange { field: "stalls", got: stalls, min: 0, max: record.cycles });
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> TaskRecord {
        TaskRecord {
            command_id: 9,
            submission_queue: 2,
            opcode: 0x10,
            engine: EngineKind::Ntt,
            status: Status::Success,
            start_cycle: 1 << 40,
            cycles: 100,
            stall_memory: 10,
            stall_host: 20,
            stall_hazard: 30,
            host_bytes: 64,
            memory_bytes: 4096,
        }
    }

    #[test]
    fn record_survives_the_round_trip() {
        assert_eq!(TaskRecord::parse(&record().to_bytes()), Ok(record()));
        assert_eq!(record().busy_cycles(), 40);
    }

    #[test]
    fn stalls_beyond_the_cycles_are_refused() {
        let bytes = TaskRecord { stall_memory: 51, ..record() }.to_bytes();
        assert!(matches!(TaskRecord::parse(&bytes), Err(ParseError::OutOfRange { field: "stalls", .. })));
        let overflow = TaskRecord { stall_memory: u64::MAX, stall_host: u64::MAX, ..record() }.to_bytes();
        assert!(TaskRecord::parse(&overflow).is_err());
    }

    #[test]
    fn unknown_engine_is_refused() {
        let mut bytes = record().to_bytes();
        bytes[5] = 0xff;
        assert_eq!(TaskRecord::parse(&bytes), Err(ParseError::UnknownCode { field: "engine", got: 0xff }));
    }
}
