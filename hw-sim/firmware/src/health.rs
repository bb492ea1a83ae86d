//! Counters, the error log, and events waiting to be told.

use kiln_abi::admin::Event;
use kiln_abi::page::{ERROR_ENTRIES, ErrorEntry};
use kiln_abi::{Entry, Status};

/// What the firmware remembers of its own past.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    errors: [ErrorEntry; ERROR_ENTRIES],
    sequence: u64,
    /// Events that nobody was told yet, one flag a kind.
    pending: [bool; Event::ALL.len()],
}

impl History {
    pub(crate) const fn new() -> History {
        let unused = ErrorEntry {
            sequence: 0,
            cycle: 0,
            detail: 0,
            status: 0,
            submission_queue: 0,
            command_id: 0,
            opcode: 0,
        };
        History {
            completed: 0,
            failed: 0,
            errors: [unused; ERROR_ENTRIES],
            sequence: 0,
            pending: [false; Event::ALL.len()],
        }
    }

    /// Counts a completion; a failure is logged, and one that lies in the card or its link becomes an event.
    pub(crate) fn note(&mut self, queue: u16, entry: &Entry, status: Status, detail: u64, cycle: u64) {
        if status == Status::Success {
            self.completed += 1;
            return;
        }
        self.failed += 1;
        self.errors.rotate_right(1);
        self.sequence += 1;
        if let Some(first) = self.errors.first_mut() {
            *first = ErrorEntry {
                sequence: self.sequence,
                cycle,
                detail,
                status: status.code(),
                submission_queue: queue,
                command_id: entry.command_id,
                opcode: entry.opcode,
            };
        }
        let in_card = matches!(
            status,
            Status::EngineTimeout | Status::EngineFault | Status::MemoryError | Status::HostMemoryFault
        );
        if in_card {
            self.raise(Event::ErrorLogged);
        }
    }

    /// Notes an event, until somebody asks.
    pub(crate) fn raise(&mut self, event: Event) {
        for (slot, known) in self.pending.iter_mut().zip(Event::ALL) {
            *slot |= *known == event;
        }
    }

    /// Whether there is an event to tell.
    pub(crate) fn has_event(&self) -> bool {
        self.pending.contains(&true)
    }

    /// Takes an event that nobody was told yet.
    pub(crate) fn take_event(&mut self) -> Option<Event> {
        let (slot, event) = self.pending.iter_mut().zip(Event::ALL).find(|(slot, _)| **slot)?;
        *slot = false;
        Some(*event)
    }

    /// The error log, newest first.
    pub(crate) fn errors(&self) -> &[ErrorEntry] {
        &self.errors
    }
}
