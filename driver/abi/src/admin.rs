//! Commands of the admin queue (queue 0).

use crate::codes::codes;
use crate::entry::Entry;
use crate::error::{ParseError, in_range};

/// Fewest entries of a queue.
pub const QUEUE_ENTRIES_MIN: u16 = 2;
/// Asynchronous event requests that the card holds.
pub const EVENT_REQUESTS_MAX: usize = 4;
/// Bytes of an attestation: nonce, measurement, signature.
pub const NONCE_BYTES: u32 = 32;

codes! {
    /// Opcodes of the admin queue.
    pub enum AdminOpcode: u8 {
        /// Delete an I/O submission queue.
        DeleteSubmissionQueue = 0x00,
        /// Create an I/O submission queue.
        CreateSubmissionQueue = 0x01,
        /// Read a log page.
        GetLog = 0x02,
        /// Delete an I/O completion queue.
        DeleteCompletionQueue = 0x04,
        /// Create an I/O completion queue.
        CreateCompletionQueue = 0x05,
        /// Read the identify page.
        Identify = 0x06,
        /// Abort a command.
        Abort = 0x08,
        /// Change a feature.
        SetFeature = 0x09,
        /// Read a feature.
        GetFeature = 0x0a,
        /// Be told of the next event.
        AsyncEvent = 0x0c,
        /// Put the downloaded firmware image into a slot, or choose the slot to start from.
        FirmwareCommit = 0x10,
        /// Transfer a piece of a firmware image.
        FirmwareDownload = 0x11,
        /// Run a self-test.
        SelfTest = 0x14,
        /// Say who you are, signed.
        Attest = 0x15,
        /// The host is alive.
        KeepAlive = 0x18,
    }
}

codes! {
    /// Log pages.
    pub enum LogPage: u8 {
        /// The last errors: see [`crate::page::ErrorEntry`].
        Errors = 1,
        /// Temperature, power, counters: see [`crate::page::Health`].
        Health = 2,
        /// Firmware slots: see [`crate::page::FirmwareSlots`].
        FirmwareSlots = 3,
    }
}

codes! {
    /// Settings of the controller.
    pub enum Feature: u8 {
        /// Longest silence between keep-alive commands before the controller declares the host dead, in milliseconds of
        /// the card's time; 0 (the default) for any.
        KeepAliveTimeout = 1,
        /// Longest run of one command before its engine is reset, in cycles; 0 (the default) for any.
        WatchdogLimit = 2,
    }
}

codes! {
    /// What an asynchronous event reports; the result field of its completion.
    pub enum Event: u8 {
        /// A command failed for a reason that lies in the card: see the error log.
        ErrorLogged = 1,
        /// The card slowed down to stay cool or within its power.
        Throttled = 2,
    }
}

codes! {
    /// What FirmwareCommit does.
    pub enum CommitAction: u8 {
        /// Check the downloaded image and write it into the slot.
        Install = 1,
        /// Start the slot's image at the next function-level reset.
        Activate = 2,
    }
}

codes! {
    /// Self-tests.
    pub enum SelfTestKind: u8 {
        /// Registers, queues and card memory's first page; under a millisecond.
        Quick = 1,
        /// The quick test and a known answer from every engine.
        Full = 2,
    }
}

/// A command of the admin queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The text of a variant explains its fields.
pub enum AdminCommand {
    /// Deletes an I/O submission queue. The command that it has fetched ends with status Aborted; entries that were not
    /// fetched get no completion.
    DeleteSubmissionQueue { id: u16 },
    /// Creates I/O submission queue `id` of `entries` entries at `address` (multiple of 4096).
    CreateSubmissionQueue { id: u16, entries: u16, address: u64, completion_queue: u16 },
    /// Writes the first `bytes` bytes of a log page to host memory, 1 to 1024; beyond the page's end they are zero.
    GetLog { page: LogPage, address: u64, bytes: u32 },
    /// Deletes an I/O completion queue to which no submission queue belongs any more.
    DeleteCompletionQueue { id: u16 },
    /// Creates I/O completion queue `id`, which raises interrupt `vector`, or none.
    CreateCompletionQueue { id: u16, entries: u16, address: u64, vector: Option<u16> },
    /// Writes the identify page ([`crate::page::Identify`]) to host memory.
    Identify { address: u64 },
    /// Aborts a command that was fetched and has not ended; if it runs, its engine is reset. Of the admin queue, only
    /// asynchronous event requests can be aborted. Result: 1 if it was aborted, 0 if there was no such command.
    Abort { queue: u16, command_id: u16 },
    /// Changes a feature.
    SetFeature { feature: Feature, value: u64 },
    /// Reads a feature. Result: its value.
    GetFeature { feature: Feature },
    /// Completes at the next event. Result: the event's code.
    AsyncEvent,
    /// Puts the downloaded image into slot 1 or 2, or starts a slot's image (0: the factory image) at the next reset.
    FirmwareCommit { slot: u8, action: CommitAction },
    /// Transfers a piece of a firmware image to the card's image buffer: 1 to [`crate::firmware::CHUNK_BYTES_MAX`] bytes.
    /// Offset 0 starts anew; any other continues where the last piece ended.
    FirmwareDownload { address: u64, bytes: u32, offset: u32 },
    /// Runs a self-test. Result: 0, or the number of the first test that failed.
    SelfTest { kind: SelfTestKind },
    /// Signs a nonce of 32 bytes at `nonce`, and writes the attestation to `result`.
    Attest { nonce: u64, result: u64 },
    /// The host is alive.
    KeepAlive,
}

impl AdminCommand {
    /// The opcode.
    pub const fn opcode(&self) -> AdminOpcode {
        match self {
            AdminCommand::DeleteSubmissionQueue { .. } => AdminOpcode::DeleteSubmissionQueue,
            AdminCommand::CreateSubmissionQueue { .. } => AdminOpcode::CreateSubmissionQueue,
            AdminCommand::GetLog { .. } => AdminOpcode::GetLog,
            AdminCommand::DeleteCompletionQueue { .. } => AdminOpcode::DeleteCompletionQueue,
            AdminCommand::CreateCompletionQueue { .. } => AdminOpcode::CreateCompletionQueue,
            AdminCommand::Identify { .. } => AdminOpcode::Identify,
            AdminCommand::Abort { .. } => AdminOpcode::Abort,
            AdminCommand::SetFeature { .. } => AdminOpcode::SetFeature,
            AdminCommand::GetFeature { .. } => AdminOpcode::GetFeature,
            AdminCommand::AsyncEvent => AdminOpcode::AsyncEvent,
            AdminCommand::FirmwareCommit { .. } => AdminOpcode::FirmwareCommit,
            AdminCommand::FirmwareDownload { .. } => AdminOpcode::FirmwareDownload,
            AdminCommand::SelfTest { .. } => AdminOpcode::SelfTest,
            AdminCommand::Attest { .. } => AdminOpcode::Attest,
            AdminCommand::KeepAlive => AdminOpcode::KeepAlive,
        }
    }

    /// The entry that carries the command.
    pub fn to_entry(&self, command_id: u16, record_address: u64) -> Entry {
        let (option, count, [b0, b1, b2]) = self.fields();
        let body = [b0, b1, b2, 0, 0, 0];
        Entry { opcode: self.opcode().code(), option, command_id, count, record_address, body }
    }

    fn fields(&self) -> (u8, u32, [u64; 3]) {
        match *self {
            AdminCommand::DeleteSubmissionQueue { id } | AdminCommand::DeleteCompletionQueue { id } => {
                (0, u32::from(id), [0; 3])
            }
            AdminCommand::CreateSubmissionQueue { id, entries, address, completion_queue } => {
                (0, u32::from(id), [address, u64::from(entries), u64::from(completion_queue)])
            }
            AdminCommand::CreateCompletionQueue { id, entries, address, vector } => (
                u8::from(vector.is_some()),
                u32::from(id),
                [address, u64::from(entries), u64::from(vector.unwrap_or(0))],
            ),
            AdminCommand::GetLog { page, address, bytes } => (page.code(), bytes, [address, 0, 0]),
            AdminCommand::Identify { address } => (0, 0, [address, 0, 0]),
            AdminCommand::Abort { queue, command_id } => (0, u32::from(queue), [u64::from(command_id), 0, 0]),
            AdminCommand::SetFeature { feature, value } => (feature.code(), 0, [value, 0, 0]),
            AdminCommand::GetFeature { feature } => (feature.code(), 0, [0; 3]),
            AdminCommand::AsyncEvent | AdminCommand::KeepAlive => (0, 0, [0; 3]),
            AdminCommand::FirmwareCommit { slot, action } => (slot, u32::from(action.code()), [0; 3]),
            AdminCommand::FirmwareDownload { address, bytes, offset } => {
                (0, bytes, [address, u64::from(offset), 0])
            }
            AdminCommand::SelfTest { kind } => (kind.code(), 0, [0; 3]),
            AdminCommand::Attest { nonce, result } => (0, 0, [nonce, result, 0]),
        }
    }

    /// Parses the command of an entry. What is checked: the opcode, every coded field, and that all reserved bits are
    /// zero. Whether a queue can be created or deleted is for the card to say.
    pub fn parse(entry: &Entry) -> Result<AdminCommand, ParseError> {
        let opcode =
            AdminOpcode::from_code(entry.opcode).ok_or(ParseError::UnknownOpcode { got: entry.opcode })?;
        entry.check_record_address()?;
        let command = AdminCommand::from_fields(opcode, entry)?;
        entry.must_equal(&command.to_entry(entry.command_id, entry.record_address), opcode.name())?;
        Ok(command)
    }

    fn from_fields(opcode: AdminOpcode, entry: &Entry) -> Result<AdminCommand, ParseError> {
        let Entry { option, count, body: [b0, b1, b2, ..], .. } = *entry;
        let half = |field, value| in_range(field, value, 0, u64::from(u16::MAX)).map(|value| value as u16);
        let id = || half("queue id", u64::from(count));
        let unknown = |field| ParseError::UnknownCode { field, got: u64::from(option) };
        let feature = || Feature::from_code(option).ok_or(unknown("feature"));
        Ok(match opcode {
            AdminOpcode::DeleteSubmissionQueue => AdminCommand::DeleteSubmissionQueue { id: id()? },
            AdminOpcode::CreateSubmissionQueue => AdminCommand::CreateSubmissionQueue {
                id: id()?,
                entries: half("entries", b1)?,
                address: b0,
                completion_queue: half("completion queue", b2)?,
            },
            AdminOpcode::GetLog => AdminCommand::GetLog {
                page: LogPage::from_code(option).ok_or(unknown("log page"))?,
                address: b0,
                bytes: count,
            },
            AdminOpcode::DeleteCompletionQueue => AdminCommand::DeleteCompletionQueue { id: id()? },
            AdminOpcode::CreateCompletionQueue => AdminCommand::CreateCompletionQueue {
                id: id()?,
                entries: half("entries", b1)?,
                address: b0,
                vector: if option == 0 { None } else { Some(half("vector", b2)?) },
            },
            AdminOpcode::Identify => AdminCommand::Identify { address: b0 },
            AdminOpcode::Abort => AdminCommand::Abort { queue: id()?, command_id: half("command id", b0)? },
            AdminOpcode::SetFeature => AdminCommand::SetFeature { feature: feature()?, value: b0 },
            AdminOpcode::GetFeature => AdminCommand::GetFeature { feature: feature()? },
            AdminOpcode::AsyncEvent => AdminCommand::AsyncEvent,
            AdminOpcode::FirmwareCommit => AdminCommand::FirmwareCommit {
                slot: option,
                action: u8::try_from(count).ok().and_then(CommitAction::from_code).ok_or(
                    ParseError::UnknownCode { field: "action of a firmware commit", got: u64::from(count) },
                )?,
            },
            AdminOpcode::FirmwareDownload => AdminCommand::FirmwareDownload {
                address: b0,
                bytes: count,
                offset: in_range("offset", b1, 0, u64::from(u32::MAX))? as u32,
            },
            AdminOpcode::SelfTest => {
                AdminCommand::SelfTest { kind: SelfTestKind::from_code(option).ok_or(unknown("self-test"))? }
            }
            AdminOpcode::Attest => AdminCommand::Attest { nonce: b0, result: b1 },
            AdminOpcode::KeepAlive => AdminCommand::KeepAlive,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_survives_the_round_trip() {
        let examples = [
            AdminCommand::DeleteSubmissionQueue { id: 1 },
            AdminCommand::CreateSubmissionQueue { id: 2, entries: 64, address: 0x1000, completion_queue: 3 },
            AdminCommand::GetLog { page: LogPage::Health, address: 0x40, bytes: 64 },
            AdminCommand::DeleteCompletionQueue { id: 3 },
            AdminCommand::CreateCompletionQueue { id: 4, entries: 64, address: 0x2000, vector: Some(0) },
            AdminCommand::CreateCompletionQueue { id: 4, entries: 64, address: 0x2000, vector: None },
            AdminCommand::Identify { address: 0x40 },
            AdminCommand::Abort { queue: 1, command_id: 0xffff },
            AdminCommand::SetFeature { feature: Feature::WatchdogLimit, value: u64::MAX },
            AdminCommand::GetFeature { feature: Feature::KeepAliveTimeout },
            AdminCommand::AsyncEvent,
            AdminCommand::FirmwareCommit { slot: 2, action: CommitAction::Install },
            AdminCommand::FirmwareCommit { slot: 0, action: CommitAction::Activate },
            AdminCommand::FirmwareDownload { address: 0x40, bytes: 4096, offset: 8192 },
            AdminCommand::SelfTest { kind: SelfTestKind::Full },
            AdminCommand::Attest { nonce: 0x40, result: 0x80 },
            AdminCommand::KeepAlive,
        ];
        for opcode in AdminOpcode::ALL {
            assert!(examples.iter().any(|command| command.opcode() == *opcode), "{}", opcode.name());
        }
        for command in examples {
            let entry = Entry::from_bytes(&command.to_entry(7, 0x40).to_bytes());
            assert_eq!(AdminCommand::parse(&entry), Ok(command));
        }
    }

    #[test]
    fn wide_or_unknown_fields_are_refused() {
        let entry = AdminCommand::GetFeature { feature: Feature::WatchdogLimit }.to_entry(0, 0);
        assert!(AdminCommand::parse(&Entry { option: 99, ..entry }).is_err());
        assert!(AdminCommand::parse(&Entry { count: 1, ..entry }).is_err());
        let entry = AdminCommand::DeleteSubmissionQueue { id: 1 }.to_entry(0, 0);
        assert!(AdminCommand::parse(&Entry { count: 0x1_0001, ..entry }).is_err());
        assert!(AdminCommand::parse(&Entry { opcode: 0x7f, ..entry }).is_err());
        let commit = AdminCommand::FirmwareCommit { slot: 1, action: CommitAction::Install }.to_entry(0, 0);
        for count in [0, 3, 0x101] {
            assert!(AdminCommand::parse(&Entry { count, ..commit }).is_err());
        }
    }
}
