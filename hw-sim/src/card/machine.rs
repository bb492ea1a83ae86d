//! The card as its control program sees it: registers, DMA, engines with jobs, and simulated time.
//!
//! A job is computed when it starts and ends when its cycles have passed. The control program's own DMA blocks it, so
//! such calls move the time on.

use super::datapath::Datapath;
use super::job::{Done, Failure};
use super::registers::{Registers, VECTORS};
use super::self_test;
use crate::fault::Condition;
use crate::flash::{ERASE_TIME, FlashMemory, PROGRAM_TIME};
use crate::image::{self, Conduct, PAYLOAD_HEAD_BYTES};
use crate::profile::Profile;
use crate::stats::Cost;
use crate::time::Picoseconds;
use kiln_abi::admin::SelfTestKind;
use kiln_abi::feature::{FeatureBlock, FeatureKind};
use kiln_abi::firmware::HEADER_BYTES;
use kiln_abi::io::{IoCommand, Location};
use kiln_abi::program::{CONSTANTS_MAX, INPUTS_MAX, INSTRUCTIONS_MAX, OUTPUTS_MAX, REGISTERS_MAX};
use kiln_abi::record::EngineKind;
use kiln_abi::register::{Capabilities, Doorbell};
use kiln_abi::{DmaFault, Interrupts, Status};
use kiln_firmware::flash::{PAGE_BYTES, SLOT_BYTES, slot_address};
use kiln_firmware::{Hardware, Outcome, Part, Readings};
use std::sync::Arc;
use std::time::Instant;

/// Largest MSM that is offered, as a power of two.
const MSM_LOG_LENGTH_MAX: u32 = 26;
/// Most entries of a queue.
const QUEUE_ENTRIES_MAX: u16 = 1024;
/// I/O queue pairs.
const QUEUE_PAIRS: u8 = 16;
/// Engines with jobs, in the order of [`Machine`]'s slots.
const ENGINES: [EngineKind; 4] = [EngineKind::Copy, EngineKind::Msm, EngineKind::Ntt, EngineKind::Vector];

struct Running {
    started: Picoseconds,
    /// None for a job that hangs.
    ends: Option<Picoseconds>,
    /// A fault makes it last until then, in the host's time.
    not_before: Option<Instant>,
    outcome: Result<Done, Failure>,
}

/// What the engines and the control program have done since reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Cost of the jobs that ended, by engine: copy, MSM, NTT, vector.
    pub engines: [Cost; 4],
    /// Read from host memory by the control program: entries and parameters. \[bytes\]
    pub control_read_bytes: u64,
    /// Written to host memory by the control program: records, completions, pages. \[bytes\]
    pub control_write_bytes: u64,
}

/// A card without its control program.
pub struct Machine {
    pub(super) data: Datapath,
    pub(super) registers: Registers,
    pub(super) interrupts: Option<Arc<dyn Interrupts>>,
    pub(super) now: Picoseconds,
    pub(super) totals: Totals,
    pub(super) condition: Condition,
    profile: Profile,
    model: String,
    serial: u64,
    pub(super) flash: FlashMemory,
    /// The key by which firmware images must be signed.
    pub(super) firmware_key: [u8; 32],
    /// An image on its way to the flash; made when it is needed.
    image: Vec<u8>,
    jobs: [Option<Running>; 4],
}

impl Machine {
    pub(super) fn new(profile: &Profile, serial: u64) -> Machine {
        Machine {
            data: Datapath::new(profile),
            registers: Registers::new(),
            interrupts: None,
            now: 0,
            totals: Totals::default(),
            condition: Condition::default(),
            profile: profile.clone(),
            model: image::model(&profile.name),
            serial,
            flash: FlashMemory::default(),
            firmware_key: image::insecure_test_key().verifying_key().to_bytes(),
            image: Vec::new(),
            jobs: [const { None }; 4],
        }
    }

    /// Function-level reset: everything but the connection to the host is lost.
    pub(super) fn reset(&mut self) {
        self.condition.reset();
        // Whoever resets a card without power switches it on.
        self.flash.power_up();
        self.image = Vec::new();
        self.registers = Registers::new();
        self.jobs = [const { None }; 4];
        self.now = 0;
        self.totals = Totals::default();
        self.data.memory.clear();
        self.data.staged = Default::default();
    }

    /// When the next job ends.
    pub(super) fn next_end(&self) -> Option<Picoseconds> {
        self.jobs.iter().flatten().filter_map(|job| job.ends).min()
    }

    /// Until when a job that a fault holds back does not end, if that is later than now.
    pub(super) fn held_until(&self) -> Option<Instant> {
        let now = Instant::now();
        self.jobs.iter().flatten().filter_map(|job| job.not_before).filter(|until| *until > now).min()
    }

    /// Moves the time on to `time`, if that is later.
    pub(super) fn wait_until(&mut self, time: Picoseconds) {
        self.now = self.now.max(time);
    }

    /// Moves the time on by `cycles`.
    pub(super) fn spend(&mut self, cycles: u64) {
        self.now += self.data.clock.duration_of(cycles);
    }

    /// Nothing reaches the host over a link that is down.
    fn follow_link(&mut self) {
        self.data.link_up = self.is_connected();
    }

    /// Whether the card reaches the host.
    fn is_connected(&self) -> bool {
        self.condition.is_connected() && self.flash.is_powered()
    }

    /// Whether an access by the host reaches the card.
    pub(super) fn answers(&mut self) -> bool {
        self.condition.answers() && self.flash.is_powered()
    }

    /// What the image in a slot does when it is started.
    pub(super) fn conduct(&self, slot: u8) -> Conduct {
        let Some(start) = slot_address(slot) else { return Conduct::Runs };
        let mut head = [0; PAYLOAD_HEAD_BYTES];
        self.flash.read(start + HEADER_BYTES as u32, &mut head);
        image::conduct(&head)
    }

    fn outcome(&mut self, slot: usize, engine: EngineKind, job: Running) -> Outcome {
        self.follow_link();
        let start_cycle = self.data.clock.cycle_at(job.started);
        let staged =
            if engine == EngineKind::Vector { std::mem::take(&mut self.data.staged.host_bytes) } else { 0 };
        let fail = |failure: Failure| Outcome {
            host_bytes: staged,
            ..Outcome::immediate(failure.status, failure.result, start_cycle)
        };
        let done = match job.outcome {
            Ok(done) => done,
            Err(failure) => return fail(failure),
        };
        let total = &mut self.totals.engines[slot];
        *total = total.then(done.cost);
        for (address, mut bytes) in done.writes {
            self.condition.spoil(&mut bytes);
            if let Err(fault) = self.data.host_write(address, &bytes) {
                return fail(fault.into());
            }
        }
        let cycles = done.cost.cycles;
        Outcome {
            status: Status::Success,
            result: 0,
            start_cycle,
            cycles: cycles.total,
            stall_memory: cycles.stall_memory,
            stall_host: cycles.stall_host,
            stall_hazard: cycles.stall_hazard,
            host_bytes: done.cost.host_bytes + staged,
            memory_bytes: done.cost.memory_bytes(),
        }
    }
}

fn slot_of(engine: EngineKind) -> Option<usize> {
    ENGINES.iter().position(|known| *known == engine)
}

impl Hardware for Machine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            queue_entries_max: QUEUE_ENTRIES_MAX,
            ready_timeout_half_seconds: 2,
            queue_pairs: QUEUE_PAIRS,
            vectors: VECTORS,
        }
    }

    fn serial(&self) -> u64 {
        self.serial
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn feature(&self, kind: FeatureKind) -> Option<FeatureBlock> {
        let (profile, product) = (&self.profile, self.profile.multiplier.latency_cycles as u32);
        Some(match kind {
            FeatureKind::EngineMsm => FeatureBlock::EngineMsm {
                adders: profile.msm.adders as u32,
                window_bits: profile.msm.window_bits as u32,
                adder_latency: self.data.msm.adder().mixed_latency as u32,
                log_length_max: MSM_LOG_LENGTH_MAX,
            },
            FeatureKind::EngineNtt => FeatureBlock::EngineNtt {
                butterflies: profile.ntt.butterflies as u32,
                butterfly_latency: self.data.ntt.butterfly_latency() as u32,
                log_n_max: profile.ntt.size_log2_max as u32,
            },
            FeatureKind::EngineVector => FeatureBlock::EngineVector {
                lanes: profile.vector.lanes as u32,
                multiplier_latency: product,
                registers: u32::from(REGISTERS_MAX),
                instructions_max: INSTRUCTIONS_MAX,
                constants_max: CONSTANTS_MAX,
                inputs_max: u32::from(INPUTS_MAX),
                outputs_max: u32::from(OUTPUTS_MAX),
            },
            FeatureKind::Memory => FeatureBlock::Memory {
                bytes: self.data.memory.size(),
                channels: profile.memory.channels as u32,
                bandwidth_mb_per_s: self.data.hbm.peak_mb_per_s() as u32,
            },
            FeatureKind::Counters => FeatureBlock::Counters { clock_hz: self.data.clock.hertz() },
            // The simulator has no temperature, so it has no sensors either.
            _ => return None,
        })
    }

    fn register(&mut self, offset: u64) -> u32 {
        self.registers.get(offset)
    }

    fn set_register(&mut self, offset: u64, value: u32) {
        self.registers.set(offset, value);
    }

    fn doorbell(&mut self, doorbell: Doorbell) -> u32 {
        self.registers.get(doorbell.offset())
    }

    fn clear_doorbell(&mut self, doorbell: Doorbell) {
        self.registers.set(doorbell.offset(), 0);
    }

    fn host_read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), DmaFault> {
        let bytes = buffer.len() as u64;
        self.now += self.data.link.read_duration(bytes);
        self.totals.control_read_bytes += bytes;
        self.follow_link();
        self.data.host_read(address, buffer)
    }

    fn host_write(&mut self, address: u64, data: &[u8]) -> Result<(), DmaFault> {
        let bytes = data.len() as u64;
        self.now += self.data.link.post_duration(bytes);
        self.totals.control_write_bytes += bytes;
        self.follow_link();
        self.data.host_write(address, data)
    }

    fn interrupt(&mut self, vector: u16) {
        if self.registers.may_raise(vector)
            && self.is_connected()
            && !self.condition.loses_interrupt()
            && let Some(interrupts) = &self.interrupts
        {
            interrupts.raise(vector);
        }
    }

    fn stage(&mut self, part: Part, source: Location, bytes: u32) -> Result<(), DmaFault> {
        let mut buffer = vec![0; bytes as usize];
        match source {
            Location::Host(address) => {
                self.host_read(address, &mut buffer)?;
                self.data.staged.host_bytes += u64::from(bytes);
            }
            Location::Card(address) => {
                let latency = self.data.hbm.read_latency(self.data.clock);
                self.spend(latency + self.data.hbm.stream_cycles(u64::from(bytes), self.data.clock));
                // The control program has checked the range; beyond it, zeros are no program.
                let _ = self.data.memory.read(address, &mut buffer);
            }
        }
        self.data.staged.replace(part, buffer);
        Ok(())
    }

    fn staged(&self, part: Part) -> &[u8] {
        self.data.staged.part(part)
    }

    fn start(&mut self, engine: EngineKind, command: &IoCommand) {
        let fault = self.condition.job_starts();
        self.follow_link();
        let outcome = if fault.memory_error {
            Err(Failure { status: Status::MemoryError, result: 0 })
        } else {
            self.data.execute(command)
        };
        let cycles = outcome.as_ref().map_or(0, |done| done.cost.cycles.total);
        let ends = (!fault.hangs).then(|| self.now + self.data.clock.duration_of(cycles));
        let not_before = fault.not_before;
        if let Some(slot) = slot_of(engine) {
            self.jobs[slot] = Some(Running { started: self.now, ends, not_before, outcome });
        }
    }

    fn poll(&mut self, engine: EngineKind) -> Option<Outcome> {
        let slot = slot_of(engine)?;
        let now = self.now;
        let ended = |job: &mut Running| {
            job.ends.is_some_and(|ends| ends <= now)
                && job.not_before.is_none_or(|until| until <= Instant::now())
        };
        let job = self.jobs[slot].take_if(ended)?;
        Some(self.outcome(slot, engine, job))
    }

    fn reset_engine(&mut self, engine: EngineKind) {
        if let Some(slot) = slot_of(engine) {
            self.jobs[slot] = None;
        }
    }

    fn firmware_key(&self) -> [u8; 32] {
        self.firmware_key
    }

    fn image_buffer(&mut self) -> &mut [u8] {
        self.image.resize(SLOT_BYTES as usize, 0);
        &mut self.image
    }

    fn flash_read(&mut self, address: u32, buffer: &mut [u8]) {
        self.flash.read(address, buffer);
    }

    fn flash_erase(&mut self, sector: u32) {
        self.now += ERASE_TIME;
        self.flash.erase(sector);
    }

    fn flash_program(&mut self, page: u32, data: &[u8; PAGE_BYTES]) {
        self.now += PROGRAM_TIME;
        self.flash.program(page, data);
    }

    fn cycles(&self) -> u64 {
        self.data.clock.cycle_at(self.now)
    }

    fn readings(&mut self) -> Readings {
        let Condition { memory_errors_corrected, memory_errors_uncorrected, link_degraded, .. } =
            self.condition;
        Readings { memory_errors_corrected, memory_errors_uncorrected, link_degraded, ..Readings::default() }
    }

    fn self_test(&mut self, kind: SelfTestKind) -> Option<u64> {
        Some(self_test::run(&mut self.data, kind))
    }
}
