//! The end of a command: its record, then its completion.

use kiln_abi::record::EngineKind;
use kiln_abi::{Completion, Entry, Status, TaskRecord};

use crate::control::Firmware;
use crate::hardware::{Hardware, Outcome};
use crate::queue::QueueFault;

impl Firmware {
    /// Ends the command of `queue` that was fetched as `entry`: writes the record if one was asked for, then posts the
    /// completion.
    pub(crate) fn finish(
        &mut self,
        hardware: &mut impl Hardware,
        queue: u16,
        entry: &Entry,
        engine: EngineKind,
        outcome: Outcome,
    ) -> Result<(), QueueFault> {
        let Outcome { mut status, mut result, .. } = outcome;
        if entry.record_address != 0 && entry.record_address.is_multiple_of(64) {
            let record = TaskRecord {
                command_id: entry.command_id,
                submission_queue: queue,
                opcode: entry.opcode,
                engine,
                status,
                start_cycle: outcome.start_cycle,
                cycles: outcome.cycles,
                stall_memory: outcome.stall_memory,
                stall_host: outcome.stall_host,
                stall_hazard: outcome.stall_hazard,
                host_bytes: outcome.host_bytes,
                memory_bytes: outcome.memory_bytes,
            };
            if let Err(fault) = hardware.host_write(entry.record_address, &record.to_bytes())
                && status == Status::Success
            {
                (status, result) = (Status::HostMemoryFault, fault.address);
            }
        }
        self.history.note(queue, entry, status, result, hardware.cycles());
        self.post(hardware, queue, entry.command_id, status, result)
    }

    /// Posts a completion into the queue that belongs to submission queue `queue`.
    pub(crate) fn post(
        &mut self,
        hardware: &mut impl Hardware,
        queue: u16,
        command_id: u16,
        status: Status,
        result: u64,
    ) -> Result<(), QueueFault> {
        let Some(submission) = self.submission.get(usize::from(queue)).copied().flatten() else {
            return Ok(());
        };
        let slot = self.completion.get_mut(usize::from(submission.completion_queue));
        let Some(completion_queue) = slot.and_then(Option::as_mut) else { return Ok(()) };
        let completion = Completion {
            result,
            submission_head: submission.head,
            submission_queue: queue,
            command_id,
            phase: false,
            status: status.code(),
        };
        completion_queue.post(hardware, completion)
    }

    /// Gives back the completion slot that was promised to a command of `queue`.
    pub(crate) fn release_promise(&mut self, queue: u16) {
        let submission = self.submission.get(usize::from(queue)).copied().flatten();
        let target = submission.map_or(0, |submission| usize::from(submission.completion_queue));
        if let Some(Some(completion_queue)) = self.completion.get_mut(target) {
            completion_queue.reserved = completion_queue.reserved.saturating_sub(1);
        }
    }
}
