//! What can go wrong with a card, and what an operator can do about it.

use crate::address::PciAddress;
use kiln_abi::page::TrialOutcome;
use kiln_abi::{ParseError, Status};
use thiserror::Error;

/// A command, a wait or a bring-up that did not succeed.
#[derive(Debug, Error)]
pub enum CardError {
    /// *Not yet*: the card lives and may still answer; waiting again is meaningful.
    #[error("{what} did not finish within {waited_ms} ms; wait longer, or reset the card")]
    NotYet {
        /// What was waited for.
        what: &'static str,
        /// How long. \[ms\]
        waited_ms: u64,
    },
    /// *Never*: the card will not answer any more.
    #[error("the card is lost")]
    Never(#[source] Loss),
    /// *Gone*: the card does not answer register reads (all ones).
    #[error(
        "the card is gone: its registers read all ones; check that it is seated and powered, then rescan the bus"
    )]
    Gone,
    /// The card answered that the command failed.
    #[error("{command} failed with status {status:?} (detail {detail:#x}): {}", status.advice())]
    Command {
        /// Name of the command.
        command: &'static str,
        /// The card's status.
        status: Status,
        /// The completion's result field.
        detail: u64,
    },
    /// This is not a card that the driver knows.
    #[error(
        "register {register} must be {expected:#x}, got {got:#x}; is this a Kiln card, and is its firmware current?"
    )]
    NotAKilnCard {
        /// The register that says so.
        register: &'static str,
        /// Its value on a card of this driver.
        expected: u32,
        /// What was read.
        got: u32,
    },
    /// The card's capabilities, pages or feature chain make no sense.
    #[error("the card describes itself wrongly; update its firmware")]
    Description(#[source] ParseError),
    /// More queues or entries than the card has.
    #[error("{what}: the card allows {allowed}, got {got}; lower the setting")]
    Settings {
        /// Which setting.
        what: &'static str,
        /// What the card allows.
        allowed: u64,
        /// What was asked for.
        got: u64,
    },
    /// A job that cannot be put into a command.
    #[error("{what}: at most {allowed}, got {got}; split the job")]
    JobSize {
        /// What is too large.
        what: &'static str,
        /// The largest.
        allowed: u64,
        /// What was asked for.
        got: u64,
    },
    /// Host memory could not be made reachable for the card.
    #[error(
        "{bytes} bytes of host memory could not be mapped for the card: {reason}; free memory or raise the limit of locked memory"
    )]
    Map {
        /// How much.
        bytes: u64,
        /// Why not.
        reason: String,
    },
    /// The way to the card could not be set up.
    #[error("the way to the card could not be set up: {reason}; free resources of the host and try again")]
    Transport {
        /// Why not.
        reason: String,
    },
    /// There is no such device on the bus.
    #[error("there is no PCI device {address}; `kiln card list` names the cards there are")]
    NoDevice {
        /// Where it was looked for.
        address: PciAddress,
    },
    /// Something is there, and it cannot be opened as it is. The reason ends in what to do.
    #[error("{card} cannot be opened: {reason}")]
    NotOpen {
        /// Which card.
        card: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// Another process has the card.
    #[error(
        "the card {card} is in use by {}; a card has one owner at a time: end that one, or use another card",
        owner(process)
    )]
    InUse {
        /// Which card.
        card: String,
        /// The owner's process id, where it is known.
        process: Option<u32>,
    },
    /// The card had to be reset too often and is left alone.
    #[error(
        "the card had to be reset {resets} times and is out of service; run kiln card validate on it, or replace it"
    )]
    Quarantined {
        /// How often it was reset.
        resets: u32,
    },
    /// A firmware image did not come up, and the card went back to another.
    #[error(
        "the image of slot {slot} did not come up ({}), and the card runs slot {running} again; install another image, and report this one",
        outcome.name()
    )]
    FirmwareNotStarted {
        /// The slot that was to run.
        slot: u8,
        /// The slot that runs.
        running: u8,
        /// What the card says of it.
        outcome: TrialOutcome,
    },
    /// An access beyond the end of a DMA buffer.
    #[error(
        "bytes {offset} to {end} are outside a DMA buffer of {length} bytes; report this as a bug of the driver"
    )]
    BufferBounds {
        /// First byte of the access.
        offset: u64,
        /// First byte after it.
        end: u64,
        /// The buffer's length.
        length: u64,
    },
    /// The ticket's outcome was taken before, or it belongs to another queue.
    #[error(
        "the ticket was waited for before, or belongs to another queue; report this as a bug of the caller"
    )]
    TicketSpent,
    /// Card memory is full.
    #[error(
        "card memory has no {bytes} bytes in one piece ({free} are free in all); use a card with more memory, or a smaller problem"
    )]
    CardMemoryFull {
        /// What was asked for.
        bytes: u64,
        /// What is free, in pieces.
        free: u64,
    },
}

fn owner(process: &Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}

/// Why a card is lost. Only a reset brings it back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Loss {
    /// Its registers read all ones.
    #[error("its registers read all ones; check that it is seated and powered")]
    Gone,
    /// Its controller stopped.
    #[error(
        "its controller stopped with a fatal error (CSTS {csts:#x}); reset the card, and read its error log"
    )]
    Fatal {
        /// The status register.
        csts: u32,
    },
    /// It broke the rules of the interface, so nothing that it says is believed any more.
    #[error(
        "it broke the rules of the interface: {0}; reset the card, and take it out of service if it happens again"
    )]
    Violation(Violation),
    /// The host gave it up.
    #[error("it was given up by the host; reset it to use it again")]
    GivenUp,
}

/// What a card did that the interface does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A completion for a command that is not in flight: invented, or completed twice.
    #[error("queue {queue} completed command {command_id}, which is not in flight")]
    UnknownCommand {
        /// The queue.
        queue: u16,
        /// The id in the completion.
        command_id: u16,
    },
    /// A completion that names another queue.
    #[error("a completion in queue {expected} names queue {got}")]
    WrongQueue {
        /// The queue in whose ring it was.
        expected: u16,
        /// The queue that it names.
        got: u16,
    },
    /// A submission head beyond the ring.
    #[error("queue {queue} has {entries} entries, and a completion says that the head is {got}")]
    SubmissionHead {
        /// The queue.
        queue: u16,
        /// Entries of its ring.
        entries: u16,
        /// The head in the completion.
        got: u16,
    },
    /// A status that the interface does not define.
    #[error("command {command_id} of queue {queue} ended with unknown status {got:#x}")]
    UnknownStatus {
        /// The queue.
        queue: u16,
        /// The command.
        command_id: u16,
        /// The status in the completion.
        got: u16,
    },
    /// A task record that does not parse or belongs to another command.
    #[error("the task record of command {command_id} of queue {queue} is wrong: {reason}")]
    Record {
        /// The queue.
        queue: u16,
        /// The command.
        command_id: u16,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<Loss> for CardError {
    fn from(loss: Loss) -> CardError {
        match loss {
            Loss::Gone => CardError::Gone,
            other => CardError::Never(other),
        }
    }
}
