//! The register page of BAR0. Every register is accessed as aligned 32-bit words.

use crate::codes::codes;

/// The BAR that holds registers, doorbells and feature blocks.
pub const BAR_REGISTERS: u8 = 0;
/// Bytes of BAR0.
pub const BAR_REGISTERS_BYTES: u64 = 0x1_0000;
/// The BAR with the debug window on card memory.
pub const BAR_MEMORY_WINDOW: u8 = 4;

/// Doorbells have a 4 KiB page of their own, so that it can be given to a process alone.
pub const DOORBELL_PAGE: u64 = 0x1000;
/// Feature blocks start here.
pub const FEATURE_PAGE: u64 = 0x2000;

/// Value of [`Register::Magic`]: "KILN" in ASCII, first letter in the lowest byte.
pub const MAGIC: u32 = u32::from_le_bytes(*b"KILN");

/// What a read of a card that is gone returns.
pub const ALL_ONES: u32 = u32::MAX;

/// Write to [`Register::Reset`]: reset the engines; commands that were fetched end with
/// status Aborted; queues and card memory stay.
pub const RESET_KEY_ENGINES: u32 = u32::from_le_bytes(*b"KRSE");
/// Write to [`Register::Reset`]: reset the controller, as clearing [`CC_ENABLE`] does, even when it does not answer.
pub const RESET_KEY_CONTROLLER: u32 = u32::from_le_bytes(*b"KRSC");

codes! {
    /// The registers, by their byte offset in BAR0.
    pub enum Register: u32 {
        /// Capabilities, low word: bits 0-15 most entries of a queue; bits 16-23 time to become ready in units of 0.5 s;
        /// bits 24-31 number of I/O queue pairs. Read only.
        Cap = 0x00,
        /// Capabilities, high word: bits 0-7 number of interrupt vectors; rest zero. Read only.
        CapHigh = 0x04,
        /// Version of this interface, major in the upper half. Read only.
        Vs = 0x08,
        /// Interrupt mask set: writing ones masks these vectors. Reads the mask.
        Intms = 0x0c,
        /// Interrupt mask clear: writing ones unmasks these vectors. Reads the mask.
        Intmc = 0x10,
        /// Controller configuration: see `CC_*`.
        Cc = 0x14,
        /// Controller status: see `CSTS_*`. Read only.
        Csts = 0x1c,
        /// Admin queue sizes: bits 0-15 entries of the submission queue, bits 16-31 of the completion queue.
        Aqa = 0x24,
        /// Host address of the admin submission queue, low word; multiple of 4096.
        Asq = 0x28,
        /// High word of it.
        AsqHigh = 0x2c,
        /// Host address of the admin completion queue, low word; multiple of 4096.
        Acq = 0x30,
        /// High word of it.
        AcqHigh = 0x34,
        /// Always [`MAGIC`]. Read only.
        Magic = 0x40,
        /// Serial number of the card, low word. Read only.
        Serial = 0x48,
        /// Serial number, high word. Read only.
        SerialHigh = 0x4c,
        /// Counts up while the control program runs. Read only.
        Heartbeat = 0x60,
        /// Cycles of the card's clock since reset, low word; reading it latches the high word. Read only.
        Cycles = 0x68,
        /// High word as it was when the low word was read last. Read only.
        CyclesHigh = 0x6c,
        /// Write a reset key; reads zero.
        Reset = 0x70,
        /// Offset in BAR0 of the first feature block, 0 for none. Read only.
        FeatureChain = 0x80,
    }
}

impl Register {
    /// Byte offset in BAR0.
    pub const fn offset(self) -> u64 {
        self.code() as u64
    }

    /// Whether the host may write it.
    pub const fn writable(self) -> bool {
        matches!(
            self,
            Register::Intms
                | Register::Intmc
                | Register::Cc
                | Register::Aqa
                | Register::Asq
                | Register::AsqHigh
                | Register::Acq
                | Register::AcqHigh
                | Register::Reset
        )
    }
}

/// [`Register::Cc`]: the host wants the controller to run. Clearing it deletes all queues.
pub const CC_ENABLE: u32 = 1 << 0;
/// [`Register::Cc`]: the host asks for an orderly shutdown.
pub const CC_SHUTDOWN: u32 = 1 << 14;

/// [`Register::Csts`]: the controller accepts commands.
pub const CSTS_READY: u32 = 1 << 0;
/// [`Register::Csts`]: the controller has met a fatal error; only a reset helps.
pub const CSTS_FATAL: u32 = 1 << 1;
/// [`Register::Csts`]: shutdown is complete.
pub const CSTS_SHUTDOWN_COMPLETE: u32 = 1 << 3;
/// [`Register::Csts`]: the clock is slowed down to stay within a limit of temperature or power.
pub const CSTS_THROTTLED: u32 = 1 << 8;
/// [`Register::Csts`]: the host link runs slower or narrower than it could.
pub const CSTS_LINK_DEGRADED: u32 = 1 << 9;

/// The contents of [`Register::Cap`] and [`Register::CapHigh`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Most entries of a queue.
    pub queue_entries_max: u16,
    /// The controller becomes ready within this many half seconds.
    pub ready_timeout_half_seconds: u8,
    /// I/O queue pairs, ids 1 to this.
    pub queue_pairs: u8,
    /// Interrupt vectors, 0 to this − 1.
    pub vectors: u8,
}

impl Capabilities {
    /// The two words.
    pub const fn to_words(self) -> [u32; 2] {
        let low = self.queue_entries_max as u32
            | (self.ready_timeout_half_seconds as u32) << 16
            | (self.queue_pairs as u32) << 24;
        [low, self.vectors as u32]
    }

    /// From the two words.
    pub const fn from_words(words: [u32; 2]) -> Capabilities {
        Capabilities {
            queue_entries_max: words[0] as u16,
            ready_timeout_half_seconds: (words[0] >> 16) as u8,
            queue_pairs: (words[0] >> 24) as u8,
            vectors: words[1] as u8,
        }
    }
}

/// Which of a queue's two doorbells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doorbell {
    /// New tail of submission queue `0`: entries before it may be fetched.
    SubmissionTail(u16),
    /// New head of completion queue `0`: entries before it may be overwritten.
    CompletionHead(u16),
}

impl Doorbell {
    /// Byte offset in BAR0: eight bytes a queue, tail then head. For queue ids below 512.
    pub const fn offset(self) -> u64 {
        match self {
            Doorbell::SubmissionTail(queue) => DOORBELL_PAGE + 8 * queue as u64,
            Doorbell::CompletionHead(queue) => DOORBELL_PAGE + 8 * queue as u64 + 4,
        }
    }

    /// The doorbell at this offset of BAR0, if it is one.
    pub const fn from_offset(offset: u64) -> Option<Doorbell> {
        if offset < DOORBELL_PAGE || offset >= DOORBELL_PAGE + 0x1000 || !offset.is_multiple_of(4) {
            return None;
        }
        let queue = ((offset - DOORBELL_PAGE) / 8) as u16;
        if offset.is_multiple_of(8) {
            Some(Doorbell::SubmissionTail(queue))
        } else {
            Some(Doorbell::CompletionHead(queue))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doorbells_go_both_ways_and_stay_in_their_page() {
        for queue in 0..512 {
            for bell in [Doorbell::SubmissionTail(queue), Doorbell::CompletionHead(queue)] {
                assert_eq!(Doorbell::from_offset(bell.offset()), Some(bell));
                assert!(bell.offset() < FEATURE_PAGE);
            }
        }
        assert_eq!(Doorbell::from_offset(DOORBELL_PAGE - 4), None);
        assert_eq!(Doorbell::from_offset(DOORBELL_PAGE + 2), None);
        assert_eq!(Doorbell::from_offset(FEATURE_PAGE), None);
    }

    #[test]
    fn capabilities_go_both_ways() {
        let capabilities = Capabilities {
            queue_entries_max: 4096,
            ready_timeout_half_seconds: 10,
            queue_pairs: 16,
            vectors: 17,
        };
        assert_eq!(Capabilities::from_words(capabilities.to_words()), capabilities);
    }
}
