//! An endpoint that can be told to break the rules. It shares no code with the firmware: what the driver checks must
//! hold against a card that was written by somebody else.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use kiln_abi::completion::COMPLETION_BYTES;
use kiln_abi::entry::ENTRY_BYTES;
use kiln_abi::page::{Identify, Text};
use kiln_abi::record::EngineKind;
use kiln_abi::register::{
    ALL_ONES, CC_ENABLE, CSTS_FATAL, CSTS_READY, Capabilities, Doorbell, MAGIC, Register,
};
use kiln_abi::{
    Activity, AdminCommand, Completion, Endpoint, Entry, HostBuffer, HostMemory, Interrupts, IoCommand,
    Status, TaskRecord,
};

/// What the endpoint does with the commands of its I/O queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    /// Holds commands back until it is honest again.
    Silent,
    /// Completes every command twice.
    Twice,
    /// Completes a command that nobody submitted.
    Invented,
    WrongQueue,
    HeadBeyondTheRing,
    Status(u16),
    /// Writes completions with the phase of the last pass.
    OldPhase,
    /// Writes the record of another command.
    WrongRecord,
    /// Writes no record.
    NoRecord,
    /// Reads all ones.
    Gone,
    Fatal,
    /// Writes again to the record of the command before.
    WritesLate,
    /// Completes a copy before it has written the data.
    DataLate,
    /// Writes more data than the host asked for.
    Oversize,
    /// Raises interrupts and completes nothing.
    InterruptsOnly,
    /// Fills the completion ring with this byte.
    Garbage(u8),
    Panics,
}

/// What an oversize answer has, whatever was asked for: more than a page. \[bytes\]
pub(crate) const OVERSIZE_BYTES: u64 = 5000;

pub(crate) type Switch = Arc<Mutex<Behaviour>>;

struct Ring {
    submission: u64,
    completion: u64,
    entries: u16,
    head: u16,
    tail: u16,
    phase: bool,
}

#[derive(Default)]
pub(crate) struct Hostile {
    memory: Option<Arc<dyn HostMemory>>,
    interrupts: Option<Arc<dyn Interrupts>>,
    pub(crate) registers: HashMap<u64, u32>,
    rings: HashMap<u16, Ring>,
    completion_rings: HashMap<u16, u64>,
    held: VecDeque<(u16, Entry)>,
    last_record: u64,
    behaviour: Option<Switch>,
}

impl Hostile {
    pub(crate) fn new(behaviour: &Switch) -> Hostile {
        let mut hostile = Hostile { behaviour: Some(behaviour.clone()), ..Hostile::default() };
        let capabilities = Capabilities {
            queue_entries_max: 4096,
            ready_timeout_half_seconds: 1,
            queue_pairs: 4,
            vectors: 2,
        };
        let [cap, cap_high] = capabilities.to_words();
        for (register, value) in [
            (Register::Cap, cap),
            (Register::CapHigh, cap_high),
            (Register::Vs, kiln_abi::INTERFACE_VERSION),
            (Register::Magic, MAGIC),
        ] {
            hostile.registers.insert(register.offset(), value);
        }
        hostile
    }

    fn behaviour(&self) -> Behaviour {
        self.behaviour.as_ref().map_or(Behaviour::Honest, |switch| *switch.lock().expect("not poisoned"))
    }

    fn word(&self, register: Register) -> u32 {
        self.registers.get(&register.offset()).copied().unwrap_or(0)
    }

    fn write(&self, address: u64, data: &[u8]) {
        // A fault is the host's business: the tests look for it there.
        _ = self.memory.as_ref().expect("attached").write(address, data);
    }

    fn enable(&mut self) {
        let wide = |low, high| u64::from(self.word(low)) | u64::from(self.word(high)) << 32;
        let (submission, completion) =
            (wide(Register::Asq, Register::AsqHigh), wide(Register::Acq, Register::AcqHigh));
        let entries = self.word(Register::Aqa) as u16;
        self.rings.insert(0, Ring { submission, completion, entries, head: 0, tail: 0, phase: true });
        self.registers.insert(Register::Csts.offset(), CSTS_READY);
    }

    fn fetch_up_to(&mut self, queue: u16, tail: u16) {
        let Some(ring) = self.rings.get_mut(&queue) else { return };
        while ring.head != tail {
            let mut bytes = [0; ENTRY_BYTES];
            let address = ring.submission + ENTRY_BYTES as u64 * u64::from(ring.head);
            self.memory.as_ref().expect("attached").read(address, &mut bytes).expect("the ring is mapped");
            ring.head = (ring.head + 1) % ring.entries;
            self.held.push_back((queue, Entry::from_bytes(&bytes)));
        }
    }

    fn admin(&mut self, entry: &Entry) {
        match AdminCommand::parse(entry).expect("the driver's commands are well formed") {
            AdminCommand::CreateCompletionQueue { id, address, .. } => {
                self.completion_rings.insert(id, address);
            }
            AdminCommand::CreateSubmissionQueue { id, entries, address, completion_queue } => {
                let completion = self.completion_rings[&completion_queue];
                let ring = Ring { submission: address, completion, entries, head: 0, tail: 0, phase: true };
                self.rings.insert(id, ring);
            }
            AdminCommand::Identify { address } => {
                let page = Identify {
                    interface_version: kiln_abi::INTERFACE_VERSION,
                    firmware_version: 1,
                    serial: 2,
                    memory_bytes: 1 << 20,
                    clock_hz: 1_000_000,
                    model: Text::new("hostile"),
                    firmware: Text::new("none"),
                };
                self.write(address, &page.to_bytes());
            }
            _ => {}
        }
        self.complete(0, entry.command_id, Status::Success.code(), |completion| completion);
    }

    fn complete(
        &mut self,
        queue: u16,
        command_id: u16,
        status: u16,
        spoil: impl Fn(Completion) -> Completion,
    ) {
        let Some(ring) = self.rings.get_mut(&queue) else { return };
        let completion = Completion {
            result: 0x55,
            submission_head: ring.head,
            submission_queue: queue,
            command_id,
            phase: ring.phase,
            status,
        };
        let address = ring.completion + COMPLETION_BYTES as u64 * u64::from(ring.tail);
        ring.tail = (ring.tail + 1) % ring.entries;
        ring.phase ^= ring.tail == 0;
        self.write(address, &spoil(completion).to_bytes());
        self.interrupts.as_ref().expect("attached").raise(u16::from(queue != 0));
    }

    fn record(&mut self, queue: u16, entry: &Entry, status: Status) {
        let record = TaskRecord {
            command_id: entry.command_id,
            submission_queue: queue,
            opcode: entry.opcode,
            engine: EngineKind::Control,
            status,
            start_cycle: 1,
            cycles: 2,
            stall_memory: 0,
            stall_host: 0,
            stall_hazard: 0,
            host_bytes: 0,
            memory_bytes: 0,
        };
        self.write(entry.record_address, &record.to_bytes());
    }

    fn io(&mut self, queue: u16, entry: &Entry) {
        let command = IoCommand::parse(entry).expect("the driver's commands are well formed");
        let behaviour = self.behaviour();
        let mut late = None;
        if let IoCommand::CopyFromCard { source, bytes, destination: HostBuffer::Contiguous { address } } =
            command
        {
            let length = if behaviour == Behaviour::Oversize { OVERSIZE_BYTES } else { bytes };
            let data: Vec<u8> = (0..length).map(|index| (source + index) as u8).collect();
            match behaviour {
                Behaviour::DataLate => late = Some((address, data)),
                _ => self.write(address, &data),
            }
        }
        let (id, success) = (entry.command_id, Status::Success);
        match behaviour {
            Behaviour::NoRecord => {}
            Behaviour::WrongRecord => {
                self.record(queue, &Entry { command_id: id.wrapping_add(1), ..*entry }, success);
            }
            _ => self.record(queue, entry, success),
        }
        let ring_entries = self.rings[&queue].entries;
        let same = |completion| completion;
        match behaviour {
            Behaviour::Twice => {
                self.complete(queue, id, success.code(), same);
                self.complete(queue, id, success.code(), same);
            }
            Behaviour::Invented => self.complete(queue, id.wrapping_add(7), success.code(), same),
            Behaviour::WrongQueue => {
                self.complete(queue, id, success.code(), |c| Completion { submission_queue: 3, ..c });
            }
            Behaviour::HeadBeyondTheRing => {
                self.complete(queue, id, success.code(), |c| Completion {
                    submission_head: ring_entries,
                    ..c
                });
            }
            Behaviour::Status(status) => self.complete(queue, id, status, same),
            Behaviour::OldPhase => {
                self.complete(queue, id, success.code(), |c| Completion { phase: !c.phase, ..c });
            }
            Behaviour::Garbage(byte) => {
                let length = COMPLETION_BYTES * usize::from(ring_entries);
                self.write(self.rings[&queue].completion, &vec![byte; length]);
                self.interrupts.as_ref().expect("attached").raise(1);
            }
            Behaviour::WritesLate => {
                self.write(self.last_record, &[0xee; 64]);
                self.complete(queue, id, success.code(), same);
            }
            _ => self.complete(queue, id, success.code(), same),
        }
        self.last_record = entry.record_address;
        if let Some((address, data)) = late {
            self.write(address, &data);
        }
    }
}

impl Endpoint<Arc<dyn HostMemory>, Arc<dyn Interrupts>> for Hostile {
    fn attach(&mut self, memory: Arc<dyn HostMemory>, interrupts: Arc<dyn Interrupts>) {
        self.memory = Some(memory);
        self.interrupts = Some(interrupts);
    }

    fn read32(&mut self, _bar: u8, offset: u64) -> u32 {
        match self.behaviour() {
            Behaviour::Gone => ALL_ONES,
            Behaviour::Fatal if offset == Register::Csts.offset() => CSTS_FATAL,
            _ => self.registers.get(&offset).copied().unwrap_or(0),
        }
    }

    fn write32(&mut self, _bar: u8, offset: u64, value: u32) {
        match Doorbell::from_offset(offset) {
            Some(Doorbell::SubmissionTail(queue)) => self.fetch_up_to(queue, value as u16),
            Some(Doorbell::CompletionHead(_)) => {}
            None => {
                self.registers.insert(offset, value);
                if offset == Register::Cc.offset() {
                    if value & CC_ENABLE != 0 {
                        self.enable();
                    } else {
                        self.rings.clear();
                        self.held.clear();
                        self.registers.insert(Register::Csts.offset(), 0);
                    }
                }
            }
        }
    }

    fn advance(&mut self) -> Activity {
        let behaviour = self.behaviour();
        assert!(behaviour != Behaviour::Panics, "told to panic");
        let quiet = matches!(
            behaviour,
            Behaviour::Silent | Behaviour::InterruptsOnly | Behaviour::Gone | Behaviour::Fatal
        );
        if quiet && self.held.front().is_some_and(|(queue, _)| *queue != 0) {
            if behaviour == Behaviour::InterruptsOnly {
                (0..3).for_each(|_| self.interrupts.as_ref().expect("attached").raise(1));
            }
            return Activity::Idle;
        }
        match self.held.pop_front() {
            None => Activity::Idle,
            Some((0, entry)) => {
                self.admin(&entry);
                Activity::Busy
            }
            Some((queue, entry)) => {
                self.io(queue, &entry);
                Activity::Busy
            }
        }
    }

    fn reset(&mut self) {
        self.rings.clear();
        self.held.clear();
        self.registers.insert(Register::Csts.offset(), 0);
    }
}
