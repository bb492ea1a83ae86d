//! State of the queues: rings in host memory, of which the card keeps its own positions.

use kiln_abi::completion::COMPLETION_BYTES;
use kiln_abi::entry::ENTRY_BYTES;
use kiln_abi::record::EngineKind;
use kiln_abi::register::Doorbell;
use kiln_abi::{Completion, DmaFault, Entry, IoCommand};

use crate::hardware::Hardware;

/// Queues that the firmware can hold: the admin pair and 16 I/O pairs.
pub(crate) const QUEUES: usize = 17;

/// What became of the command that a queue has fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    /// None is fetched.
    Empty,
    /// Waits for its engine.
    Waiting { entry: Entry, command: IoCommand },
    /// Runs on `engine` since `start_cycle`.
    Running { entry: Entry, engine: EngineKind, start_cycle: u64 },
}

/// A submission queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubmissionQueue {
    pub(crate) id: u16,
    pub(crate) address: u64,
    pub(crate) entries: u16,
    pub(crate) head: u16,
    pub(crate) completion_queue: u16,
    pub(crate) slot: Slot,
}

/// Why a queue cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueFault {
    /// The host wrote a position that the ring does not have.
    Doorbell,
    /// The ring cannot be reached.
    Memory,
}

impl From<DmaFault> for QueueFault {
    fn from(_: DmaFault) -> QueueFault {
        QueueFault::Memory
    }
}

impl SubmissionQueue {
    /// Whether the host has put an entry there that was not fetched yet.
    pub(crate) fn has_entry(&self, hardware: &mut impl Hardware) -> Result<bool, QueueFault> {
        let tail = hardware.doorbell(Doorbell::SubmissionTail(self.id));
        if tail >= u32::from(self.entries) {
            return Err(QueueFault::Doorbell);
        }
        Ok(tail != u32::from(self.head))
    }

    /// Fetches the next entry, once.
    pub(crate) fn fetch(&mut self, hardware: &mut impl Hardware) -> Result<Entry, QueueFault> {
        let mut bytes = [0; ENTRY_BYTES];
        hardware.host_read(self.address + u64::from(self.head) * ENTRY_BYTES as u64, &mut bytes)?;
        self.head = next(self.head, self.entries);
        Ok(Entry::from_bytes(&bytes))
    }
}

/// A completion queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompletionQueue {
    pub(crate) id: u16,
    pub(crate) address: u64,
    pub(crate) entries: u16,
    pub(crate) tail: u16,
    pub(crate) phase: bool,
    pub(crate) vector: Option<u16>,
    /// Slots promised to commands that were fetched.
    pub(crate) reserved: u16,
}

impl CompletionQueue {
    /// Entries that are neither used nor promised.
    pub(crate) fn free(&self, hardware: &mut impl Hardware) -> Result<u16, QueueFault> {
        let head = hardware.doorbell(Doorbell::CompletionHead(self.id));
        if head >= u32::from(self.entries) {
            return Err(QueueFault::Doorbell);
        }
        let (head, entries, tail) = (head as u16, self.entries, self.tail);
        let used = if tail >= head { tail - head } else { tail + (entries - head) };
        Ok((entries - 1 - used).saturating_sub(self.reserved))
    }

    /// Writes a completion at the tail and raises the queue's interrupt.
    pub(crate) fn post(
        &mut self,
        hardware: &mut impl Hardware,
        completion: Completion,
    ) -> Result<(), QueueFault> {
        let bytes = Completion { phase: self.phase, ..completion }.to_bytes();
        hardware.host_write(self.address + u64::from(self.tail) * COMPLETION_BYTES as u64, &bytes)?;
        self.tail = next(self.tail, self.entries);
        if self.tail == 0 {
            self.phase = !self.phase;
        }
        if let Some(vector) = self.vector {
            hardware.interrupt(vector);
        }
        Ok(())
    }
}

fn next(position: u16, entries: u16) -> u16 {
    if position + 1 >= entries { 0 } else { position + 1 }
}
