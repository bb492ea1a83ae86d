//! Admin commands. All but the asynchronous event request are done at once.

use kiln_abi::admin::{AdminCommand, Feature, LogPage};
use kiln_abi::page::{ERROR_ENTRIES, ERROR_ENTRY_BYTES, Health, Identify, Text};
use kiln_abi::record::EngineKind;
use kiln_abi::register::Doorbell;
use kiln_abi::{DmaFault, Status};

use crate::control::{Firmware, queue_shape_is_valid};
use crate::hardware::{Hardware, Outcome};
use crate::queue::{CompletionQueue, QueueFault, Slot, SubmissionQueue};
use crate::sequence::parse_failure;
use crate::validate::Refusal;

/// Largest part of a log page that one command reads.
const LOG_BYTES_MAX: usize = ERROR_ENTRIES * ERROR_ENTRY_BYTES;

/// What an admin command comes to.
enum Answer {
    /// It is done, with this result.
    Done(u64),
    /// Its completion comes with the next event.
    Later,
}

fn memory_fault(fault: DmaFault) -> Refusal {
    (Status::HostMemoryFault, fault.address)
}

impl Firmware {
    /// Fetches and runs one admin command, if there is one and its completion has room.
    pub(crate) fn serve_admin(&mut self, hardware: &mut impl Hardware) -> Result<bool, QueueFault> {
        let (Some(queue), Some(completion_queue)) = (&mut self.submission[0], &mut self.completion[0]) else {
            return Ok(false);
        };
        if !queue.has_entry(hardware)? || completion_queue.free(hardware)? == 0 {
            return Ok(false);
        }
        let entry = queue.fetch(hardware)?;
        let start_cycle = hardware.cycles();
        let answer = match AdminCommand::parse(&entry) {
            Ok(command) => self.run_admin(hardware, command, entry.command_id)?,
            Err(error) => Err(parse_failure(error)),
        };
        let (status, result) = match answer {
            Ok(Answer::Later) => return Ok(true),
            Ok(Answer::Done(result)) => (Status::Success, result),
            Err(refusal) => refusal,
        };
        let cycles = hardware.cycles().saturating_sub(start_cycle);
        let outcome = Outcome { cycles, ..Outcome::immediate(status, result, start_cycle) };
        self.finish(hardware, 0, &entry, EngineKind::Control, outcome)?;
        Ok(true)
    }

    /// Completes event requests while there are events to tell.
    pub(crate) fn tell_events(&mut self, hardware: &mut impl Hardware) -> Result<bool, QueueFault> {
        let mut worked = false;
        while self.history.has_event() {
            let Some(request) = self.event_requests.iter_mut().find(|request| request.is_some()) else {
                break;
            };
            let Some(completion_queue) = &self.completion[0] else { break };
            if completion_queue.free(hardware)? == 0 {
                break;
            }
            let (Some(command_id), Some(event)) = (request.take(), self.history.take_event()) else { break };
            self.post(hardware, 0, command_id, Status::Success, u64::from(event.code()))?;
            worked = true;
        }
        Ok(worked)
    }

    fn run_admin(
        &mut self,
        hardware: &mut impl Hardware,
        command: AdminCommand,
        command_id: u16,
    ) -> Result<Result<Answer, Refusal>, QueueFault> {
        let done = |answer: Result<(), Refusal>| answer.map(|()| Answer::Done(0));
        Ok(match command {
            AdminCommand::CreateCompletionQueue { id, entries, address, vector } => {
                done(self.create_completion_queue(hardware, id, entries, address, vector))
            }
            AdminCommand::CreateSubmissionQueue { id, entries, address, completion_queue } => {
                done(self.create_submission_queue(hardware, id, entries, address, completion_queue))
            }
            AdminCommand::DeleteSubmissionQueue { id } => {
                if id == 0 || !matches!(self.submission.get(usize::from(id)), Some(Some(_))) {
                    return Ok(Err((Status::InvalidQueue, u64::from(id))));
                }
                self.abort(hardware, id, None)?;
                self.submission[usize::from(id)] = None;
                Ok(Answer::Done(0))
            }
            AdminCommand::DeleteCompletionQueue { id } => done(self.delete_completion_queue(id)),
            AdminCommand::Abort { queue, command_id } => {
                let aborted = if queue == 0 {
                    self.abort_event_request(hardware, command_id)?
                } else {
                    self.abort(hardware, queue, Some(command_id))?
                };
                Ok(Answer::Done(u64::from(aborted)))
            }
            AdminCommand::AsyncEvent => {
                match self.event_requests.iter_mut().find(|request| request.is_none()) {
                    Some(request) => {
                        *request = Some(command_id);
                        Ok(Answer::Later)
                    }
                    None => Err((Status::TooManyEventRequests, self.event_requests.len() as u64)),
                }
            }
            other => self.run_query(hardware, other).map(Answer::Done),
        })
    }

    fn run_query(&mut self, hardware: &mut impl Hardware, command: AdminCommand) -> Result<u64, Refusal> {
        match command {
            AdminCommand::Identify { address } => self.identify(hardware, address),
            AdminCommand::GetLog { page, address, bytes } => self.get_log(hardware, page, address, bytes),
            AdminCommand::SetFeature { feature: Feature::KeepAliveTimeout, value } => {
                self.keep_alive_ms = value;
                self.keep_alive_cycle = hardware.cycles();
                Ok(0)
            }
            AdminCommand::SetFeature { feature: Feature::WatchdogLimit, value } => {
                self.watchdog_limit = value;
                Ok(0)
            }
            AdminCommand::GetFeature { feature: Feature::KeepAliveTimeout } => Ok(self.keep_alive_ms),
            AdminCommand::GetFeature { feature: Feature::WatchdogLimit } => Ok(self.watchdog_limit),
            AdminCommand::KeepAlive => {
                self.keep_alive_cycle = hardware.cycles();
                Ok(0)
            }
            AdminCommand::SelfTest { kind } => match hardware.self_test(kind) {
                Some(0) => Ok(0),
                Some(failed) => Err((Status::SelfTestFailed, failed)),
                None => Err((Status::NotSupportedByFirmware, u64::from(kind.code()))),
            },
            AdminCommand::FirmwareDownload { address, bytes, offset } => {
                self.download(hardware, address, bytes, offset)
            }
            AdminCommand::FirmwareCommit { slot, action } => self.commit(hardware, slot, action),
            // A card that signs with no key of its own would pretend.
            other => Err((Status::NotSupportedByFirmware, u64::from(other.opcode().code()))),
        }
    }

    fn identify(&self, hardware: &mut impl Hardware, address: u64) -> Result<u64, Refusal> {
        let page = Identify {
            interface_version: kiln_abi::INTERFACE_VERSION,
            firmware_version: self.running.version,
            serial: hardware.serial(),
            memory_bytes: self.memory_bytes,
            clock_hz: self.clock_hz,
            model: Text::new(hardware.model()),
            firmware: self.running.name,
        };
        hardware.host_write(address, &page.to_bytes()).map_err(memory_fault)?;
        Ok(0)
    }

    fn get_log(
        &self,
        hardware: &mut impl Hardware,
        page: LogPage,
        address: u64,
        bytes: u32,
    ) -> Result<u64, Refusal> {
        let mut buffer = [0; LOG_BYTES_MAX];
        match page {
            LogPage::Errors => {
                for (chunk, error) in buffer.chunks_exact_mut(ERROR_ENTRY_BYTES).zip(self.history.errors()) {
                    chunk.copy_from_slice(&error.to_bytes());
                }
            }
            LogPage::Health => {
                let readings = hardware.readings();
                let health = Health {
                    temperature_milli_celsius: readings.temperature_milli_celsius,
                    power_mw: readings.power_mw,
                    uptime_cycles: hardware.cycles(),
                    commands_completed: self.history.completed,
                    commands_failed: self.history.failed,
                    memory_errors_corrected: readings.memory_errors_corrected,
                    memory_errors_uncorrected: readings.memory_errors_uncorrected,
                };
                fill(&mut buffer, &health.to_bytes());
            }
            LogPage::FirmwareSlots => {
                let slots = self.slots(hardware);
                fill(&mut buffer, &slots.to_bytes());
            }
        }
        match buffer.get(..bytes as usize) {
            Some(wanted) if !wanted.is_empty() => {
                hardware.host_write(address, wanted).map_err(memory_fault)?
            }
            _ => return Err((Status::InvalidField, u64::from(bytes))),
        }
        Ok(0)
    }

    fn create_completion_queue(
        &mut self,
        hardware: &mut impl Hardware,
        id: u16,
        entries: u16,
        address: u64,
        vector: Option<u16>,
    ) -> Result<(), Refusal> {
        let capabilities = hardware.capabilities();
        let slot = match self.completion.get_mut(usize::from(id)) {
            Some(slot @ None) if id != 0 && id <= u16::from(capabilities.queue_pairs) => slot,
            _ => return Err((Status::InvalidQueue, u64::from(id))),
        };
        if let Some(vector) = vector.filter(|vector| *vector >= u16::from(capabilities.vectors)) {
            return Err((Status::InvalidQueueShape, u64::from(vector)));
        }
        if !queue_shape_is_valid(address, entries, capabilities.queue_entries_max) {
            return Err((Status::InvalidQueueShape, address));
        }
        hardware.clear_doorbell(Doorbell::CompletionHead(id));
        *slot = Some(CompletionQueue { id, address, entries, tail: 0, phase: true, vector, reserved: 0 });
        Ok(())
    }

    fn create_submission_queue(
        &mut self,
        hardware: &mut impl Hardware,
        id: u16,
        entries: u16,
        address: u64,
        completion_queue: u16,
    ) -> Result<(), Refusal> {
        let capabilities = hardware.capabilities();
        // The admin completion queue is for the admin queue alone: its slots are never promised.
        if completion_queue == 0
            || !matches!(self.completion.get(usize::from(completion_queue)), Some(Some(_)))
        {
            return Err((Status::InvalidQueue, u64::from(completion_queue)));
        }
        let slot = match self.submission.get_mut(usize::from(id)) {
            Some(slot @ None) if id != 0 && id <= u16::from(capabilities.queue_pairs) => slot,
            _ => return Err((Status::InvalidQueue, u64::from(id))),
        };
        if !queue_shape_is_valid(address, entries, capabilities.queue_entries_max) {
            return Err((Status::InvalidQueueShape, address));
        }
        hardware.clear_doorbell(Doorbell::SubmissionTail(id));
        *slot = Some(SubmissionQueue { id, address, entries, head: 0, completion_queue, slot: Slot::Empty });
        Ok(())
    }

    fn delete_completion_queue(&mut self, id: u16) -> Result<(), Refusal> {
        let refused = (Status::InvalidQueue, u64::from(id));
        if id == 0 || self.submission.iter().flatten().any(|queue| queue.completion_queue == id) {
            return Err(refused);
        }
        let slot = self.completion.get_mut(usize::from(id)).filter(|slot| slot.is_some()).ok_or(refused)?;
        *slot = None;
        Ok(())
    }

    fn abort_event_request(
        &mut self,
        hardware: &mut impl Hardware,
        command_id: u16,
    ) -> Result<bool, QueueFault> {
        let Some(request) = self.event_requests.iter_mut().find(|request| **request == Some(command_id))
        else {
            return Ok(false);
        };
        // Two completions follow one fetch here, so the second must have room as well.
        match &self.completion[0] {
            Some(completion_queue) if completion_queue.free(hardware)? >= 2 => *request = None,
            _ => return Ok(false),
        }
        self.post(hardware, 0, command_id, Status::Aborted, 0)?;
        Ok(true)
    }
}

fn fill(buffer: &mut [u8], page: &[u8]) {
    for (slot, byte) in buffer.iter_mut().zip(page) {
        *slot = *byte;
    }
}
