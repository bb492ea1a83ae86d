//! Sequencing: fetching commands in turn, starting them when their engine is free, collecting outcomes.

use kiln_abi::io::{IoCommand, Location};
use kiln_abi::record::EngineKind;
use kiln_abi::{Entry, ParseError, Status};

use crate::control::{ENGINES, Firmware};
use crate::hardware::{Hardware, Outcome, Part};
use crate::queue::{QUEUES, QueueFault, Slot};
use crate::validate::{Refusal, check_engine, check_ranges, program_source};

/// The status and result for an entry that does not parse.
pub(crate) fn parse_failure(error: ParseError) -> Refusal {
    let status = match error {
        ParseError::UnknownOpcode { .. } => Status::InvalidOpcode,
        _ => Status::InvalidField,
    };
    (status, error.detail())
}

impl Firmware {
    /// Ends every command whose engine is done.
    pub(crate) fn collect_outcomes(&mut self, hardware: &mut impl Hardware) -> Result<bool, QueueFault> {
        let mut worked = false;
        for engine in ENGINES {
            let Some((queue, entry, _)) = self.running_on(engine) else { continue };
            let Some(outcome) = hardware.poll(engine) else { continue };
            self.end_slot(hardware, queue, &entry, engine, outcome)?;
            worked = true;
        }
        Ok(worked)
    }

    /// Ends commands that ran longer than the watchdog allows, and resets their engines.
    pub(crate) fn watch(&mut self, hardware: &mut impl Hardware) -> Result<bool, QueueFault> {
        let mut worked = false;
        for engine in ENGINES {
            let Some((queue, entry, start_cycle)) = self.running_on(engine) else { continue };
            let now = hardware.cycles();
            let ran = now.saturating_sub(start_cycle);
            if self.watchdog_limit == 0 || ran <= self.watchdog_limit {
                continue;
            }
            hardware.reset_engine(engine);
            let outcome = Outcome {
                start_cycle,
                cycles: ran,
                ..Outcome::immediate(Status::EngineTimeout, self.watchdog_limit, now)
            };
            self.end_slot(hardware, queue, &entry, engine, outcome)?;
            worked = true;
        }
        Ok(worked)
    }

    /// Fetches one command of the next queue that has one.
    pub(crate) fn fetch_one(&mut self, hardware: &mut impl Hardware) -> Result<bool, QueueFault> {
        for turn in 0..QUEUES - 1 {
            let index = 1 + (self.first_queue - 1 + turn) % (QUEUES - 1);
            let Some(Some(queue)) = self.submission.get_mut(index) else { continue };
            if !matches!(queue.slot, Slot::Empty) || !queue.has_entry(hardware)? {
                continue;
            }
            let target = usize::from(queue.completion_queue);
            let Some(Some(completion_queue)) = self.completion.get_mut(target) else { continue };
            if completion_queue.free(hardware)? == 0 {
                continue;
            }
            let entry = queue.fetch(hardware)?;
            completion_queue.reserved += 1;
            self.first_queue = 1 + index % (QUEUES - 1);
            match IoCommand::parse(&entry) {
                Ok(command) => queue.slot = Slot::Waiting { entry, command },
                Err(error) => {
                    let (status, result) = parse_failure(error);
                    let outcome = Outcome::immediate(status, result, hardware.cycles());
                    self.end_slot(hardware, index as u16, &entry, EngineKind::Control, outcome)?;
                }
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Starts every waiting command whose engine is free, queues in turn.
    pub(crate) fn start_waiting(&mut self, hardware: &mut impl Hardware) -> Result<bool, QueueFault> {
        let mut worked = false;
        for turn in 0..QUEUES - 1 {
            let index = 1 + (self.first_queue - 1 + turn) % (QUEUES - 1);
            let Some(Some(queue)) = self.submission.get(index) else { continue };
            let Slot::Waiting { entry, command } = queue.slot else { continue };
            let engine = command.opcode().engine();
            if engine != EngineKind::Control && self.running_on(engine).is_some() {
                continue;
            }
            worked = true;
            let refusal = if engine == EngineKind::Control {
                Some((Status::Success, 0))
            } else {
                self.prepare(hardware, &command).err()
            };
            match refusal {
                Some((status, result)) => {
                    let outcome = Outcome::immediate(status, result, hardware.cycles());
                    self.end_slot(hardware, index as u16, &entry, engine, outcome)?;
                }
                None => {
                    let start_cycle = hardware.cycles();
                    hardware.start(engine, &command);
                    if let Some(Some(queue)) = self.submission.get_mut(index) {
                        queue.slot = Slot::Running { entry, engine, start_cycle };
                    }
                }
            }
        }
        Ok(worked)
    }

    /// Stages the parameters of a command and checks everything about it.
    fn prepare(&self, hardware: &mut impl Hardware, command: &IoCommand) -> Result<(), Refusal> {
        check_engine(hardware, command)?;
        let mut stage = |part, source, bytes| {
            hardware.stage(part, source, bytes).map_err(|fault| (Status::HostMemoryFault, fault.address))
        };
        match *command {
            IoCommand::Powers { parameters, .. } => {
                stage(Part::Block, Location::Host(parameters), kiln_abi::io::POWERS_BYTES as u32)?;
            }
            IoCommand::Evaluate { points, points_count, .. } => {
                let bytes = u32::from(points_count) * kiln_abi::ELEMENT_BYTES as u32;
                stage(Part::Block, Location::Host(points), bytes)?;
            }
            IoCommand::VectorProgram { program, program_bytes, bindings, bindings_bytes, .. } => {
                stage(
                    Part::Program,
                    program_source(program, program_bytes, self.memory_bytes)?,
                    program_bytes,
                )?;
                stage(Part::Bindings, Location::Host(bindings), bindings_bytes)?;
            }
            _ => {}
        }
        check_ranges(hardware, command, self.memory_bytes)
    }

    /// Aborts a command of an I/O queue that was fetched and has not ended; resets its engine if it runs.
    pub(crate) fn abort(
        &mut self,
        hardware: &mut impl Hardware,
        queue: u16,
        command_id: Option<u16>,
    ) -> Result<bool, QueueFault> {
        let Some(Some(submission)) = self.submission.get(usize::from(queue)) else { return Ok(false) };
        let (entry, engine, start_cycle) = match submission.slot {
            Slot::Empty => return Ok(false),
            Slot::Waiting { entry, command } => (entry, command.opcode().engine(), hardware.cycles()),
            Slot::Running { entry, engine, start_cycle } => (entry, engine, start_cycle),
        };
        if command_id.is_some_and(|id| id != entry.command_id) {
            return Ok(false);
        }
        if matches!(submission.slot, Slot::Running { .. }) {
            hardware.reset_engine(engine);
        }
        let now = hardware.cycles();
        let outcome = Outcome {
            start_cycle,
            cycles: now.saturating_sub(start_cycle),
            ..Outcome::immediate(Status::Aborted, 0, now)
        };
        self.end_slot(hardware, queue, &entry, engine, outcome)?;
        Ok(true)
    }

    /// Aborts every fetched command and resets every engine.
    pub(crate) fn abort_everything(&mut self, hardware: &mut impl Hardware) -> Result<(), QueueFault> {
        for queue in 1..QUEUES as u16 {
            self.abort(hardware, queue, None)?;
        }
        for engine in ENGINES {
            hardware.reset_engine(engine);
        }
        Ok(())
    }

    fn running_on(&self, wanted: EngineKind) -> Option<(u16, Entry, u64)> {
        self.submission.iter().flatten().find_map(|queue| match queue.slot {
            Slot::Running { entry, engine, start_cycle } if engine == wanted => {
                Some((queue.id, entry, start_cycle))
            }
            _ => None,
        })
    }

    fn end_slot(
        &mut self,
        hardware: &mut impl Hardware,
        queue: u16,
        entry: &Entry,
        engine: EngineKind,
        outcome: Outcome,
    ) -> Result<(), QueueFault> {
        if let Some(Some(submission)) = self.submission.get_mut(usize::from(queue)) {
            submission.slot = Slot::Empty;
        }
        self.release_promise(queue);
        self.finish(hardware, queue, entry, engine, outcome)
    }
}
