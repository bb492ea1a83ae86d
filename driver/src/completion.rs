//! Completions and task records are the card's word. They are checked here.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::collections::HashMap;

use kiln_abi::record::RECORD_BYTES;
use kiln_abi::{Completion, Status, TaskRecord};

use crate::error::Violation;

/// A completion that was checked.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// In flight when it was checked.
    pub command_id: u16,
    /// How the command ended.
    pub status: Status,
    /// Its result, or the detail of a failure; any number.
    pub result: u64,
}

/// Checks a completion, found with the right phase in the ring of `queue`, against what is in flight there.
///
/// # Errors
/// The rule that it breaks.
pub fn check<V>(
    completion: Completion,
    queue: u16,
    entries: u16,
    in_flight: &HashMap<u16, V>,
) -> Result<Checked, Violation> {
    let Completion { command_id, submission_queue, submission_head, status, result, .. } = completion;
    if submission_queue != queue {
        return Err(Violation::WrongQueue { expected: queue, got: submission_queue });
    }
    if submission_head >= entries {
        return Err(Violation::SubmissionHead { queue, entries, got: submission_head });
    }
    if !in_flight.contains_key(&command_id) {
        return Err(Violation::UnknownCommand { queue, command_id });
    }
    let status =
        Status::from_code(status).ok_or(Violation::UnknownStatus { queue, command_id, got: status })?;
    Ok(Checked { command_id, status, result })
}

/// Checks a task record against the completion to which it belongs.
///
/// # Errors
/// [`Violation::Record`], when it does not parse or belongs to another command.
pub fn check_record(
    bytes: &[u8; RECORD_BYTES],
    queue: u16,
    opcode: u8,
    completion: &Checked,
) -> Result<TaskRecord, Violation> {
    let command_id = completion.command_id;
    let fail = |reason: String| Violation::Record { queue, command_id, reason };
    let record = TaskRecord::parse(bytes).map_err(|error| fail(error.to_string()))?;
    let expected = (command_id, queue, opcode, completion.status);
    let got = (record.command_id, record.submission_queue, record.opcode, record.status);
    if got != expected {
        return Err(fail(format!("expected (id, queue, opcode, status) {expected:?}, got {got:?}")));
    }
    Ok(record)
}
