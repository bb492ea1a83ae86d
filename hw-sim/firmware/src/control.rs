//! The control program's state and main loop: bring-up, reset, shutdown, and one round over the queues a step.

use kiln_abi::admin::{EVENT_REQUESTS_MAX, Event};
use kiln_abi::feature::{FeatureBlock, FeatureHead, FeatureKind, HEAD_WORDS};
use kiln_abi::page::{ERROR_ENTRIES, FIRMWARE_SLOTS};
use kiln_abi::record::EngineKind;
use kiln_abi::register::{
    CC_ENABLE, CC_SHUTDOWN, CSTS_FATAL, CSTS_LINK_DEGRADED, CSTS_READY, CSTS_SHUTDOWN_COMPLETE,
    CSTS_THROTTLED, Doorbell, FEATURE_PAGE, MAGIC, RESET_KEY_CONTROLLER, RESET_KEY_ENGINES, Register,
};
use kiln_abi::{Activity, INTERFACE_VERSION};

use crate::boot::{Running, confirm};
use crate::hardware::Hardware;
use crate::health::History;
use crate::queue::{CompletionQueue, QUEUES, QueueFault, Slot, SubmissionQueue};

/// Engines that run jobs.
pub(crate) const ENGINES: [EngineKind; 4] =
    [EngineKind::Copy, EngineKind::Msm, EngineKind::Ntt, EngineKind::Vector];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the host to enable it.
    Disabled,
    /// Serves its queues.
    Ready,
    /// Stopped by an error; only a reset helps.
    Fatal,
}

/// The control program.
#[derive(Clone, Debug)]
pub struct Firmware {
    state: State,
    pub(crate) submission: [Option<SubmissionQueue>; QUEUES],
    pub(crate) completion: [Option<CompletionQueue>; QUEUES],
    /// The I/O queue that is served first in the next round.
    pub(crate) first_queue: usize,
    /// Command ids of asynchronous event requests.
    pub(crate) event_requests: [Option<u16>; EVENT_REQUESTS_MAX],
    pub(crate) watchdog_limit: u64,
    pub(crate) keep_alive_ms: u64,
    pub(crate) keep_alive_cycle: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) clock_hz: u64,
    pub(crate) history: History,
    heartbeat: u32,
    status: u32,
    /// The image that runs.
    pub(crate) running: Running,
    /// Version of the image in each slot, 0 for none.
    pub(crate) versions: [u32; FIRMWARE_SLOTS + 1],
    /// Bytes of the image buffer that were downloaded.
    pub(crate) downloaded: u32,
}

impl Default for Firmware {
    fn default() -> Firmware {
        Firmware::new()
    }
}

impl Firmware {
    /// A control program that was not booted yet.
    pub fn new() -> Firmware {
        Firmware {
            state: State::Disabled,
            submission: [None; QUEUES],
            completion: [None; QUEUES],
            first_queue: 1,
            event_requests: [None; EVENT_REQUESTS_MAX],
            watchdog_limit: 0,
            keep_alive_ms: 0,
            keep_alive_cycle: 0,
            memory_bytes: 0,
            clock_hz: 0,
            history: History::new(),
            heartbeat: 0,
            status: 0,
            running: Running::factory(),
            versions: [0; FIRMWARE_SLOTS + 1],
            downloaded: 0,
        }
    }

    /// Starts after power-up or function-level reset, as the image that [`crate::boot::select`] chose: fills in the
    /// registers and the feature chain.
    pub fn boot(&mut self, hardware: &mut impl Hardware, running: Running) {
        *self = Firmware { running, ..Firmware::new() };
        self.survey(hardware);
        if let Some(FeatureBlock::Memory { bytes, .. }) = hardware.feature(FeatureKind::Memory) {
            self.memory_bytes = bytes;
        }
        if let Some(FeatureBlock::Counters { clock_hz }) = hardware.feature(FeatureKind::Counters) {
            self.clock_hz = clock_hz;
        }
        let mut capabilities = hardware.capabilities();
        capabilities.queue_pairs = capabilities.queue_pairs.min(QUEUES as u8 - 1);
        let [cap, cap_high] = capabilities.to_words();
        let serial = hardware.serial();
        for (register, value) in [
            (Register::Cap, cap),
            (Register::CapHigh, cap_high),
            (Register::Vs, INTERFACE_VERSION),
            (Register::Cc, 0),
            (Register::Csts, 0),
            (Register::Aqa, 0),
            (Register::Magic, MAGIC),
            (Register::Serial, serial as u32),
            (Register::SerialHigh, (serial >> 32) as u32),
            (Register::Reset, 0),
            (Register::FeatureChain, FEATURE_PAGE as u32),
        ] {
            hardware.set_register(register.offset(), value);
        }
        write_feature_chain(hardware, &running);
    }

    /// Does one round of work. Idle means that nothing happens before the host writes a register, an engine finishes,
    /// or [`Firmware::deadline`] passes.
    pub fn step(&mut self, hardware: &mut impl Hardware) -> Activity {
        self.heartbeat = self.heartbeat.wrapping_add(1);
        hardware.set_register(Register::Heartbeat.offset(), self.heartbeat);
        let worked = self.control(hardware);
        if self.state != State::Ready {
            return activity(worked);
        }
        match self.serve(hardware) {
            Ok(served) => activity(worked || served),
            Err(_) => {
                self.stop(hardware, State::Fatal);
                Activity::Busy
            }
        }
    }

    /// The cycle at which the watchdog wants to look at a running engine, if one runs under a limit.
    pub fn deadline(&self) -> Option<u64> {
        if self.watchdog_limit == 0 {
            return None;
        }
        let starts = self.submission.iter().flatten().filter_map(|queue| match queue.slot {
            Slot::Running { start_cycle, .. } => Some(start_cycle),
            _ => None,
        });
        starts.min().map(|start| start.saturating_add(self.watchdog_limit).saturating_add(1))
    }

    /// Follows the control registers and the sensors. Returns whether something changed.
    fn control(&mut self, hardware: &mut impl Hardware) -> bool {
        let reset = hardware.register(Register::Reset.offset());
        if reset != 0 {
            hardware.set_register(Register::Reset.offset(), 0);
        }
        if reset == RESET_KEY_ENGINES && self.state == State::Ready {
            if self.abort_everything(hardware).is_err() {
                self.stop(hardware, State::Fatal);
            }
            return true;
        }
        if reset == RESET_KEY_CONTROLLER {
            hardware.set_register(Register::Cc.offset(), 0);
        }
        let cc = hardware.register(Register::Cc.offset());
        match (self.state, cc & CC_ENABLE != 0) {
            (State::Disabled, true) => self.enable(hardware),
            (State::Ready | State::Fatal, false) => self.stop(hardware, State::Disabled),
            (State::Ready, true) if self.keep_alive_expired(hardware.cycles()) => {
                self.stop(hardware, State::Fatal)
            }
            _ => return self.show_status(hardware, cc),
        }
        self.show_status(hardware, cc);
        true
    }

    fn show_status(&mut self, hardware: &mut impl Hardware, cc: u32) -> bool {
        let readings = hardware.readings();
        let mut status = match self.state {
            State::Disabled => 0,
            State::Ready => CSTS_READY,
            State::Fatal => CSTS_FATAL,
        };
        let quiet = self.submission.iter().flatten().all(|queue| matches!(queue.slot, Slot::Empty));
        if cc & CC_SHUTDOWN != 0 && quiet {
            status |= CSTS_SHUTDOWN_COMPLETE;
        }
        if readings.throttled {
            status |= CSTS_THROTTLED;
            if self.status & CSTS_THROTTLED == 0 {
                self.history.raise(Event::Throttled);
            }
        }
        if readings.link_degraded {
            status |= CSTS_LINK_DEGRADED;
        }
        if status == self.status {
            return false;
        }
        self.status = status;
        hardware.set_register(Register::Csts.offset(), status);
        true
    }

    fn keep_alive_expired(&self, now: u64) -> bool {
        let limit = self.keep_alive_ms.saturating_mul(self.clock_hz / 1000);
        self.keep_alive_ms != 0 && now.saturating_sub(self.keep_alive_cycle) > limit
    }

    /// Sets up the admin queues from their registers.
    fn enable(&mut self, hardware: &mut impl Hardware) {
        let mut wide = |low: Register, high: Register| {
            u64::from(hardware.register(low.offset())) | u64::from(hardware.register(high.offset())) << 32
        };
        let submission_address = wide(Register::Asq, Register::AsqHigh);
        let completion_address = wide(Register::Acq, Register::AcqHigh);
        let sizes = hardware.register(Register::Aqa.offset());
        let (submission_entries, completion_entries) = (sizes as u16, (sizes >> 16) as u16);
        let entries_max = hardware.capabilities().queue_entries_max;
        let shapes = [(submission_address, submission_entries), (completion_address, completion_entries)];
        if shapes.into_iter().any(|(address, entries)| !queue_shape_is_valid(address, entries, entries_max)) {
            self.stop(hardware, State::Fatal);
            return;
        }
        self.clear_queues(hardware);
        self.completion[0] = Some(CompletionQueue {
            id: 0,
            address: completion_address,
            entries: completion_entries,
            tail: 0,
            phase: true,
            vector: Some(0),
            reserved: 0,
        });
        self.submission[0] = Some(SubmissionQueue {
            id: 0,
            address: submission_address,
            entries: submission_entries,
            head: 0,
            completion_queue: 0,
            slot: Slot::Empty,
        });
        if self.running.trial {
            confirm(hardware, &mut self.running);
        }
        self.keep_alive_cycle = hardware.cycles();
        self.state = State::Ready;
    }

    /// Stops every engine and forgets every queue.
    fn stop(&mut self, hardware: &mut impl Hardware, state: State) {
        for engine in ENGINES {
            hardware.reset_engine(engine);
        }
        self.clear_queues(hardware);
        self.watchdog_limit = 0;
        self.keep_alive_ms = 0;
        self.state = state;
        let cc = hardware.register(Register::Cc.offset());
        self.show_status(hardware, cc);
    }

    fn clear_queues(&mut self, hardware: &mut impl Hardware) {
        self.submission = [None; QUEUES];
        self.completion = [None; QUEUES];
        self.event_requests = [None; EVENT_REQUESTS_MAX];
        for queue in 0..QUEUES as u16 {
            hardware.clear_doorbell(Doorbell::SubmissionTail(queue));
            hardware.clear_doorbell(Doorbell::CompletionHead(queue));
        }
    }

    /// One round: outcomes, watchdog, events, one admin command, one fetch, and every start that is possible.
    fn serve(&mut self, hardware: &mut impl Hardware) -> Result<bool, QueueFault> {
        let mut worked = self.collect_outcomes(hardware)?;
        worked |= self.watch(hardware)?;
        worked |= self.tell_events(hardware)?;
        worked |= self.serve_admin(hardware)?;
        if hardware.register(Register::Cc.offset()) & CC_SHUTDOWN == 0 {
            worked |= self.fetch_one(hardware)?;
        }
        worked |= self.start_waiting(hardware)?;
        Ok(worked)
    }
}

/// Whether a ring may lie there.
pub(crate) fn queue_shape_is_valid(address: u64, entries: u16, entries_max: u16) -> bool {
    let bytes = u64::from(entries) * kiln_abi::entry::ENTRY_BYTES as u64;
    address.is_multiple_of(4096)
        && address.checked_add(bytes).is_some()
        && (kiln_abi::admin::QUEUE_ENTRIES_MIN..=entries_max).contains(&entries)
}

fn activity(worked: bool) -> Activity {
    if worked { Activity::Busy } else { Activity::Idle }
}

/// Writes the blocks of the hardware, then those of the firmware itself.
fn write_feature_chain(hardware: &mut impl Hardware, running: &Running) {
    let own = |kind: FeatureKind| match kind {
        FeatureKind::FirmwareId => Some(FeatureBlock::FirmwareId { version: running.version, revision: 0 }),
        FeatureKind::FirmwareSlots => Some(FeatureBlock::FirmwareSlots {
            slots: FIRMWARE_SLOTS as u32,
            active: u32::from(running.slot),
        }),
        FeatureKind::ErrorLog => Some(FeatureBlock::ErrorLog { entries: ERROR_ENTRIES as u32 }),
        FeatureKind::Watchdog => Some(FeatureBlock::Watchdog { limit_max: u64::MAX }),
        FeatureKind::Security => Some(FeatureBlock::Security { signed_firmware: 1, attestation: 0 }),
        _ => None,
    };
    let is_last = |kind: FeatureKind| Some(&kind) == FeatureKind::ALL.last();
    let mut offset = FEATURE_PAGE;
    for kind in FeatureKind::ALL {
        let Some(block) = own(*kind).or_else(|| hardware.feature(*kind)) else { continue };
        let (payload, used) = block.to_payload();
        let length = 4 * (HEAD_WORDS + used) as u64;
        let next = if is_last(*kind) { 0 } else { offset + length };
        let head = FeatureHead { kind: kind.code(), version: 1, next: next as u32, length: length as u32 };
        for (index, word) in (0u64..).zip(head.to_words().iter().chain(payload.iter().take(used))) {
            hardware.set_register(offset + 4 * index, *word);
        }
        offset += length;
    }
}
