//! A card made of vectors, for tests: engines finish when the test says so, and every access is written down.

extern crate std;
use std::collections::HashMap;
use std::vec;
use std::vec::Vec;

use kiln_abi::admin::{AdminCommand, SelfTestKind};
use kiln_abi::completion::COMPLETION_BYTES;
use kiln_abi::entry::ENTRY_BYTES;
use kiln_abi::feature::{FeatureBlock, FeatureKind};
use kiln_abi::io::Location;
use kiln_abi::record::EngineKind;
use kiln_abi::register::{CC_ENABLE, Capabilities, Doorbell, Register};
use kiln_abi::{Activity, Completion, DmaFault, Entry, IoCommand, Status};

use crate::flash::{FLASH_BYTES, PAGE_BYTES, SECTOR_BYTES, SLOT_BYTES};
use crate::{Firmware, Hardware, Outcome, Part, Readings};

pub(crate) const HOST_BYTES: usize = 1 << 20;
pub(crate) const CARD_BYTES: u64 = 1 << 16;
pub(crate) const ENTRIES: u16 = 4;
pub(crate) const RECORD: u64 = 0x8_0000;

pub(crate) struct FakeHardware {
    pub(crate) host: Vec<u8>,
    pub(crate) card: Vec<u8>,
    pub(crate) registers: HashMap<u64, u32>,
    pub(crate) doorbells: HashMap<u64, u32>,
    pub(crate) running: HashMap<EngineKind, IoCommand>,
    pub(crate) outcomes: HashMap<EngineKind, Outcome>,
    /// Every command that an engine was given, in order.
    pub(crate) started: Vec<IoCommand>,
    pub(crate) resets: Vec<EngineKind>,
    pub(crate) host_writes: Vec<(u64, usize)>,
    pub(crate) interrupts: Vec<u16>,
    pub(crate) staged: [Vec<u8>; 3],
    pub(crate) now: u64,
    pub(crate) readings: Readings,
    pub(crate) without: Option<FeatureKind>,
    pub(crate) vector_registers: u32,
    pub(crate) flash: Vec<u8>,
    /// Flash takes no change any more.
    pub(crate) flash_worn: bool,
    /// Power fails after this many changes of flash; the one after them is left after so many thousandths.
    pub(crate) power: Option<(u32, usize)>,
    /// How long a change of flash takes. \[cycles\]
    pub(crate) flash_ticks: u64,
    /// Changes of flash.
    pub(crate) flash_steps: u32,
    pub(crate) image: Vec<u8>,
    pub(crate) key: [u8; 32],
}

impl FakeHardware {
    pub(crate) fn new() -> FakeHardware {
        FakeHardware {
            host: vec![0; HOST_BYTES],
            card: vec![0; CARD_BYTES as usize],
            registers: HashMap::new(),
            doorbells: HashMap::new(),
            running: HashMap::new(),
            outcomes: HashMap::new(),
            started: Vec::new(),
            resets: Vec::new(),
            host_writes: Vec::new(),
            interrupts: Vec::new(),
            staged: [const { Vec::new() }; 3],
            now: 0,
            readings: Readings::default(),
            without: None,
            vector_registers: 64,
            flash: vec![0xff; FLASH_BYTES as usize],
            flash_worn: false,
            power: None,
            flash_ticks: 0,
            flash_steps: 0,
            image: vec![0; SLOT_BYTES as usize],
            key: [0; 32],
        }
    }

    /// Makes the engine's job end with this status.
    pub(crate) fn end_job(&mut self, engine: EngineKind, status: Status) {
        assert!(self.running.remove(&engine).is_some(), "{engine:?} is idle");
        self.outcomes.insert(engine, Outcome { cycles: 10, ..Outcome::immediate(status, 0, self.now) });
    }

    /// How many of these bytes of flash still change.
    fn power_for(&mut self, bytes: usize) -> usize {
        self.flash_steps += 1;
        self.now += self.flash_ticks;
        match self.power {
            _ if self.flash_worn => 0,
            Some((after, _)) if self.flash_steps <= after => bytes,
            Some((after, part)) if self.flash_steps == after + 1 => bytes * part / 1000,
            Some(_) => 0,
            None => bytes,
        }
    }

    fn range(&self, address: u64, length: usize, write: bool) -> Result<core::ops::Range<usize>, DmaFault> {
        let fault = DmaFault { address, length: length as u64, write };
        let start = usize::try_from(address).map_err(|_| fault)?;
        let end = start.checked_add(length).filter(|end| *end <= self.host.len()).ok_or(fault)?;
        Ok(start..end)
    }
}

impl Hardware for FakeHardware {
    fn capabilities(&self) -> Capabilities {
        Capabilities { queue_entries_max: 64, ready_timeout_half_seconds: 1, queue_pairs: 16, vectors: 17 }
    }

    fn serial(&self) -> u64 {
        0x1234_5678_9abc
    }

    fn model(&self) -> &str {
        "fake card"
    }

    fn feature(&self, kind: FeatureKind) -> Option<FeatureBlock> {
        let block = match kind {
            FeatureKind::EngineMsm => {
                FeatureBlock::EngineMsm { adders: 1, window_bits: 13, adder_latency: 161, log_length_max: 26 }
            }
            FeatureKind::EngineNtt => {
                FeatureBlock::EngineNtt { butterflies: 8, butterfly_latency: 40, log_n_max: 8 }
            }
            FeatureKind::EngineVector => FeatureBlock::EngineVector {
                lanes: 1,
                multiplier_latency: 35,
                registers: self.vector_registers,
                instructions_max: 65_536,
                constants_max: 16_384,
                inputs_max: 4096,
                outputs_max: 1024,
            },
            FeatureKind::Memory => {
                FeatureBlock::Memory { bytes: CARD_BYTES, channels: 1, bandwidth_mb_per_s: 1000 }
            }
            FeatureKind::Counters => FeatureBlock::Counters { clock_hz: 1_000_000 },
            _ => return None,
        };
        Some(block).filter(|_| self.without != Some(kind))
    }

    fn register(&mut self, offset: u64) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    fn set_register(&mut self, offset: u64, value: u32) {
        self.registers.insert(offset, value);
    }

    fn doorbell(&mut self, doorbell: Doorbell) -> u32 {
        self.doorbells.get(&doorbell.offset()).copied().unwrap_or(0)
    }

    fn clear_doorbell(&mut self, doorbell: Doorbell) {
        self.doorbells.remove(&doorbell.offset());
    }

    fn host_read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), DmaFault> {
        buffer.copy_from_slice(&self.host[self.range(address, buffer.len(), false)?]);
        Ok(())
    }

    fn host_write(&mut self, address: u64, data: &[u8]) -> Result<(), DmaFault> {
        let range = self.range(address, data.len(), true)?;
        self.host[range].copy_from_slice(data);
        self.host_writes.push((address, data.len()));
        Ok(())
    }

    fn interrupt(&mut self, vector: u16) {
        self.interrupts.push(vector);
    }

    fn stage(&mut self, part: Part, source: Location, bytes: u32) -> Result<(), DmaFault> {
        let mut buffer = vec![0; bytes as usize];
        match source {
            Location::Host(address) => self.host_read(address, &mut buffer)?,
            Location::Card(address) => {
                buffer.copy_from_slice(&self.card[address as usize..][..bytes as usize])
            }
        }
        self.staged[part as usize] = buffer;
        Ok(())
    }

    fn staged(&self, part: Part) -> &[u8] {
        &self.staged[part as usize]
    }

    fn start(&mut self, engine: EngineKind, command: &IoCommand) {
        assert!(!self.outcomes.contains_key(&engine), "{engine:?} still has an outcome");
        assert!(self.running.insert(engine, *command).is_none(), "{engine:?} is not idle");
        self.started.push(*command);
    }

    fn poll(&mut self, engine: EngineKind) -> Option<Outcome> {
        self.outcomes.remove(&engine)
    }

    fn reset_engine(&mut self, engine: EngineKind) {
        self.running.remove(&engine);
        self.outcomes.remove(&engine);
        self.resets.push(engine);
    }

    fn firmware_key(&self) -> [u8; 32] {
        self.key
    }

    fn image_buffer(&mut self) -> &mut [u8] {
        &mut self.image
    }

    fn flash_read(&mut self, address: u32, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.flash[address as usize..][..buffer.len()]);
    }

    fn flash_erase(&mut self, sector: u32) {
        let erased = self.power_for(SECTOR_BYTES as usize);
        self.flash[sector as usize..][..erased].fill(0xff);
    }

    fn flash_program(&mut self, page: u32, data: &[u8; PAGE_BYTES]) {
        let programmed = self.power_for(PAGE_BYTES);
        let page = &mut self.flash[page as usize..][..programmed];
        page.iter_mut().zip(data).for_each(|(byte, value)| *byte &= value);
    }

    fn cycles(&self) -> u64 {
        self.now
    }

    fn readings(&mut self) -> Readings {
        self.readings
    }

    fn self_test(&mut self, kind: SelfTestKind) -> Option<u64> {
        (kind == SelfTestKind::Quick).then_some(0)
    }
}

/// A card with its firmware, and a host that plays by the rules.
pub(crate) struct Bench {
    pub(crate) hardware: FakeHardware,
    pub(crate) firmware: Firmware,
    tails: HashMap<u16, u16>,
    heads: HashMap<u16, (u16, bool)>,
}

/// Where the test's host keeps the rings of a queue pair.
fn submission_ring(queue: u16) -> u64 {
    0x1_0000 + 0x2000 * u64::from(queue)
}

fn completion_ring(queue: u16) -> u64 {
    submission_ring(queue) + 0x1000
}

impl Bench {
    pub(crate) fn booted() -> Bench {
        Bench::on(FakeHardware::new())
    }

    /// A card that has started from what its flash says.
    pub(crate) fn on(hardware: FakeHardware) -> Bench {
        let mut bench =
            Bench { hardware, firmware: Firmware::new(), tails: HashMap::new(), heads: HashMap::new() };
        let running = crate::boot::select(&mut bench.hardware);
        bench.firmware.boot(&mut bench.hardware, running);
        bench
    }

    pub(crate) fn enable(&mut self) {
        for (register, value) in [
            (Register::Aqa, u32::from(ENTRIES) | u32::from(ENTRIES) << 16),
            (Register::Asq, submission_ring(0) as u32),
            (Register::Acq, completion_ring(0) as u32),
            (Register::Cc, CC_ENABLE),
        ] {
            self.hardware.set_register(register.offset(), value);
        }
        self.run();
    }

    /// A card that is ready, with I/O queues 1 to `queues`.
    pub(crate) fn ready(queues: u16) -> Bench {
        let mut bench = Bench::booted();
        bench.enable();
        for id in 1..=queues {
            let (entries, vector) = (ENTRIES, Some(id));
            let address = completion_ring(id);
            bench.admin(AdminCommand::CreateCompletionQueue { id, entries, address, vector });
            let address = submission_ring(id);
            bench.admin(AdminCommand::CreateSubmissionQueue { id, entries, address, completion_queue: id });
        }
        bench
    }

    pub(crate) fn register(&mut self, register: Register) -> u32 {
        self.hardware.register(register.offset())
    }

    /// Steps until the firmware is idle.
    pub(crate) fn run(&mut self) {
        for _ in 0..1000 {
            if self.firmware.step(&mut self.hardware) == Activity::Idle {
                return;
            }
        }
        panic!("the firmware does not come to rest");
    }

    pub(crate) fn submit_entry(&mut self, queue: u16, entry: Entry) {
        let tail = self.tails.entry(queue).or_insert(0);
        let at = submission_ring(queue) as usize + ENTRY_BYTES * usize::from(*tail);
        self.hardware.host[at..at + ENTRY_BYTES].copy_from_slice(&entry.to_bytes());
        *tail = (*tail + 1) % ENTRIES;
        self.hardware.doorbells.insert(Doorbell::SubmissionTail(queue).offset(), u32::from(*tail));
    }

    pub(crate) fn submit(&mut self, queue: u16, command_id: u16, command: IoCommand) {
        self.submit_entry(queue, command.to_entry(command_id, RECORD));
        self.run();
    }

    /// The next completion of a queue, if there is one; the doorbell is rung for it.
    pub(crate) fn take(&mut self, queue: u16) -> Option<Completion> {
        let (head, phase) = self.heads.entry(queue).or_insert((0, true));
        let at = completion_ring(queue) as usize + COMPLETION_BYTES * usize::from(*head);
        let completion = Completion::from_bytes(self.hardware.host[at..].first_chunk().expect("in memory"));
        if completion.phase != *phase {
            return None;
        }
        *head = (*head + 1) % ENTRIES;
        *phase ^= *head == 0;
        self.hardware.doorbells.insert(Doorbell::CompletionHead(queue).offset(), u32::from(*head));
        Some(completion)
    }

    pub(crate) fn status(&mut self, queue: u16) -> Option<Status> {
        self.take(queue).map(|completion| Status::from_code(completion.status).expect("known"))
    }

    pub(crate) fn admin_raw(&mut self, command: AdminCommand) -> Option<Completion> {
        self.submit_entry(0, command.to_entry(7, 0));
        self.run();
        self.take(0)
    }

    pub(crate) fn admin(&mut self, command: AdminCommand) -> u64 {
        let completion = self.admin_raw(command).expect("an answer");
        assert_eq!(Status::from_code(completion.status), Some(Status::Success), "{command:?}");
        completion.result
    }
}
