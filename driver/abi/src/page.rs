//! Pages that the card writes to host memory: identify and logs.

use crate::codes::codes;
use crate::error::{ParseError, in_range};

/// Bytes of the identify page.
pub const IDENTIFY_BYTES: usize = 128;
/// Bytes of one entry of the error log.
pub const ERROR_ENTRY_BYTES: usize = 32;
/// Entries of the error log, newest first; entries with sequence number 0 are unused.
pub const ERROR_ENTRIES: usize = 32;
/// Bytes of the health page.
pub const HEALTH_BYTES: usize = 64;
/// Bytes of the firmware slot page.
pub const FIRMWARE_SLOTS_BYTES: usize = 64;
/// Firmware slots.
pub const FIRMWARE_SLOTS: usize = 2;

/// Text in a fixed field: ASCII, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> core::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl<const N: usize> Text<N> {
    /// Takes the printable ASCII of `text`, as much as fits.
    pub fn new(text: &str) -> Text<N> {
        let mut bytes = [0; N];
        for (slot, byte) in bytes.iter_mut().zip(text.bytes().filter(|byte| matches!(byte, b' '..=b'~'))) {
            *slot = byte;
        }
        Text(bytes)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(N);
        core::str::from_utf8(&self.0[..end]).unwrap_or("")
    }

    /// The whole field.
    pub fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn parse(what: &'static str, offset: u64, bytes: &[u8]) -> Result<Text<N>, ParseError> {
        let mut text = [0; N];
        for (slot, byte) in text.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(N);
        let printable = text[..end].iter().all(|byte| matches!(byte, b' '..=b'~'));
        if !printable || text[end..].iter().any(|byte| *byte != 0) {
            return Err(ParseError::Reserved { what, offset });
        }
        Ok(Text(text))
    }
}

/// Reads the little-endian 64-bit word at byte `at` of a page that is long enough.
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

fn put(bytes: &mut [u8], at: usize, data: &[u8]) {
    bytes[at..at + data.len()].copy_from_slice(data);
}

/// Who the card is.
///
/// ```text
/// 0 interface version u32 | 4 firmware version u32 | 8 serial u64 | 16 memory bytes u64 | 24 clock Hz u64
/// 32 model, 40 bytes | 72 firmware name, 24 bytes | 96 reserved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identify {
    /// Version of the interface, as in register Vs.
    pub interface_version: u32,
    /// Version of the firmware, major in the upper half.
    pub firmware_version: u32,
    /// Serial number.
    pub serial: u64,
    /// Card memory. \[bytes\]
    pub memory_bytes: u64,
    /// Clock in which cycles are counted. \[Hz\]
    pub clock_hz: u64,
    /// Model of the card.
    pub model: Text<40>,
    /// Name of the firmware.
    pub firmware: Text<24>,
}

impl Identify {
    /// The page.
    pub fn to_bytes(&self) -> [u8; IDENTIFY_BYTES] {
        let mut bytes = [0; IDENTIFY_BYTES];
        put(&mut bytes, 0, &self.interface_version.to_le_bytes());
        put(&mut bytes, 4, &self.firmware_version.to_le_bytes());
        put(&mut bytes, 8, &self.serial.to_le_bytes());
        put(&mut bytes, 16, &self.memory_bytes.to_le_bytes());
        put(&mut bytes, 24, &self.clock_hz.to_le_bytes());
        put(&mut bytes, 32, &self.model.0);
        put(&mut bytes, 72, &self.firmware.0);
        bytes
    }

    /// Parses the page.
    pub fn parse(bytes: &[u8; IDENTIFY_BYTES]) -> Result<Identify, ParseError> {
        let versions = word(bytes, 0);
        if let Some(offset) = bytes[96..].iter().position(|byte| *byte != 0) {
            return Err(ParseError::Reserved { what: "identify page", offset: 96 + offset as u64 });
        }
        Ok(Identify {
            interface_version: versions as u32,
            firmware_version: (versions >> 32) as u32,
            serial: word(bytes, 8),
            memory_bytes: word(bytes, 16),
            clock_hz: word(bytes, 24),
            model: Text::parse("model", 32, &bytes[32..72])?,
            firmware: Text::parse("firmware name", 72, &bytes[72..96])?,
        })
    }
}

/// One entry of the error log.
///
/// ```text
/// 0 sequence u64 | 8 cycle u64 | 16 detail u64 | 24 status u16 | 26 submission queue u16 | 28 command id u16 | 30 opcode u8 | 31 zero
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ErrorEntry {
    /// Counts errors since the firmware started, from 1; 0 marks an unused entry.
    pub sequence: u64,
    /// When. \[cycles\]
    pub cycle: u64,
    /// The completion's result.
    pub detail: u64,
    /// The completion's status code.
    pub status: u16,
    /// The command's queue.
    pub submission_queue: u16,
    /// The command's id.
    pub command_id: u16,
    /// The command's opcode.
    pub opcode: u8,
}

impl ErrorEntry {
    /// The entry.
    pub fn to_bytes(&self) -> [u8; ERROR_ENTRY_BYTES] {
        let mut bytes = [0; ERROR_ENTRY_BYTES];
        put(&mut bytes, 0, &self.sequence.to_le_bytes());
        put(&mut bytes, 8, &self.cycle.to_le_bytes());
        put(&mut bytes, 16, &self.detail.to_le_bytes());
        put(&mut bytes, 24, &self.status.to_le_bytes());
        put(&mut bytes, 26, &self.submission_queue.to_le_bytes());
        put(&mut bytes, 28, &self.command_id.to_le_bytes());
        bytes[30] = self.opcode;
        bytes
    }

    /// Parses the entry; the status stays raw.
    pub fn parse(bytes: &[u8; ERROR_ENTRY_BYTES]) -> Result<ErrorEntry, ParseError> {
        let tail = word(bytes, 24);
        if bytes[31] != 0 {
            return Err(ParseError::Reserved { what: "error log entry", offset: 31 });
        }
        Ok(ErrorEntry {
            sequence: word(bytes, 0),
            cycle: word(bytes, 8),
            detail: word(bytes, 16),
            status: tail as u16,
            submission_queue: (tail >> 16) as u16,
            command_id: (tail >> 32) as u16,
            opcode: (tail >> 48) as u8,
        })
    }
}

/// How the card is.
///
/// ```text
/// 0 temperature i32 [m°C] | 4 power u32 [mW] | 8 uptime cycles u64 | 16 commands completed u64 | 24 commands failed u64
/// 32 corrected memory errors u64 | 40 uncorrected memory errors u64 | 48 reserved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Health {
    /// Hottest sensor. \[thousandths of a degree Celsius\]
    pub temperature_milli_celsius: i32,
    /// Power drawn. \[mW\]
    pub power_mw: u32,
    /// Time since reset. \[cycles\]
    pub uptime_cycles: u64,
    /// Commands completed with success.
    pub commands_completed: u64,
    /// Commands completed otherwise.
    pub commands_failed: u64,
    /// Memory errors that were corrected.
    pub memory_errors_corrected: u64,
    /// Memory errors that were not.
    pub memory_errors_uncorrected: u64,
}

impl Health {
    /// The page.
    pub fn to_bytes(&self) -> [u8; HEALTH_BYTES] {
        let mut bytes = [0; HEALTH_BYTES];
        put(&mut bytes, 0, &self.temperature_milli_celsius.to_le_bytes());
        put(&mut bytes, 4, &self.power_mw.to_le_bytes());
        put(&mut bytes, 8, &self.uptime_cycles.to_le_bytes());
        put(&mut bytes, 16, &self.commands_completed.to_le_bytes());
        put(&mut bytes, 24, &self.commands_failed.to_le_bytes());
        put(&mut bytes, 32, &self.memory_errors_corrected.to_le_bytes());
        put(&mut bytes, 40, &self.memory_errors_uncorrected.to_le_bytes());
        bytes
    }

    /// Decodes the page; every value is a valid reading.
    pub fn from_bytes(bytes: &[u8; HEALTH_BYTES]) -> Health {
        let sensors = word(bytes, 0);
        Health {
            temperature_milli_celsius: sensors as u32 as i32,
            power_mw: (sensors >> 32) as u32,
            uptime_cycles: word(bytes, 8),
            commands_completed: word(bytes, 16),
            commands_failed: word(bytes, 24),
            memory_errors_corrected: word(bytes, 32),
            memory_errors_uncorrected: word(bytes, 40),
        }
    }
}

codes! {
    /// How the last trial of a firmware image ended.
    pub enum TrialOutcome: u8 {
        /// There was none, or the image came up.
        None = 0,
        /// The image did not come up, so the card went back to the one before.
        DidNotComeUp = 1,
        /// The slot's image was damaged when it should have started.
        Damaged = 2,
    }
}

/// The slot number of the factory image, which is always there and cannot be replaced.
pub const FACTORY_SLOT: u8 = 0;
/// Stands for no slot.
pub const NO_SLOT: u8 = 0xff;

/// What the firmware slots hold. Slot 0 is the factory image.
///
/// ```text
/// 0 running slot u8 | 1 slot after the next reset u8 | 2 slot that came up last u8 | 3 slot before that u8, 0xff for none
/// 4 outcome of the last trial u8 | 5 reserved | 8, 12, 16 version of slots 0, 1, 2 u32, 0 for empty | 20 floor u32
/// 24 largest image u32 [bytes] | 28 reserved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirmwareSlots {
    /// The slot whose image is running.
    pub running: u8,
    /// The slot whose image runs after the next function-level reset.
    pub next: u8,
    /// The slot whose image came up last: the one to which the card goes back by itself.
    pub confirmed: u8,
    /// The slot that was confirmed before, if its image is still there.
    pub previous: Option<u8>,
    /// How the last trial ended.
    pub outcome: TrialOutcome,
    /// Version of each slot's image, 0 for an empty slot; the factory image first.
    pub versions: [u32; FIRMWARE_SLOTS + 1],
    /// The card takes no image of a lower version.
    pub floor: u32,
    /// Largest image that fits. \[bytes\]
    pub image_bytes_max: u32,
}

impl FirmwareSlots {
    /// The page.
    pub fn to_bytes(&self) -> [u8; FIRMWARE_SLOTS_BYTES] {
        let mut bytes = [0; FIRMWARE_SLOTS_BYTES];
        let previous = self.previous.unwrap_or(NO_SLOT);
        put(&mut bytes, 0, &[self.running, self.next, self.confirmed, previous, self.outcome.code()]);
        let words = self.versions.into_iter().chain([self.floor, self.image_bytes_max]);
        for (at, word) in (8..).step_by(4).zip(words) {
            put(&mut bytes, at, &word.to_le_bytes());
        }
        bytes
    }

    /// Parses the page: slots exist, the running one is not empty, and reserved bytes are zero.
    pub fn parse(bytes: &[u8; FIRMWARE_SLOTS_BYTES]) -> Result<FirmwareSlots, ParseError> {
        let slot = |field, at: usize| {
            in_range(field, u64::from(bytes[at]), 0, FIRMWARE_SLOTS as u64).map(|slot| slot as u8)
        };
        let half = |at| (word(bytes, at) & 0xffff_ffff) as u32;
        let got = u64::from(bytes[4]);
        let slots = FirmwareSlots {
            running: slot("running firmware slot", 0)?,
            next: slot("next firmware slot", 1)?,
            confirmed: slot("confirmed firmware slot", 2)?,
            previous: if bytes[3] == NO_SLOT { None } else { Some(slot("previous firmware slot", 3)?) },
            outcome: TrialOutcome::from_code(bytes[4])
                .ok_or(ParseError::UnknownCode { field: "outcome of a firmware trial", got })?,
            versions: [half(8), half(12), half(16)],
            floor: half(20),
            image_bytes_max: half(24),
        };
        let running = slots.versions[usize::from(slots.running)];
        in_range("version of the running firmware", u64::from(running), 1, u64::from(u32::MAX))?;
        match slots.to_bytes().iter().zip(bytes).position(|(a, b)| a != b) {
            None => Ok(slots),
            Some(offset) => {
                Err(ParseError::Reserved { what: "page of firmware slots", offset: offset as u64 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_survive_the_round_trip() {
        let identify = Identify {
            interface_version: 1,
            firmware_version: 2,
            serial: 3,
            memory_bytes: 16 << 30,
            clock_hz: 250_000_000,
            model: Text::new("Kiln ZK1"),
            firmware: Text::new("kiln-firmware"),
        };
        assert_eq!(Identify::parse(&identify.to_bytes()), Ok(identify));
        let error = ErrorEntry {
            sequence: 1,
            cycle: 2,
            detail: 3,
            status: 4,
            submission_queue: 5,
            command_id: 6,
            opcode: 7,
        };
        assert_eq!(ErrorEntry::parse(&error.to_bytes()), Ok(error));
        let health = Health {
            temperature_milli_celsius: -40_000,
            power_mw: 75_000,
            uptime_cycles: 1,
            commands_completed: 2,
            commands_failed: 3,
            memory_errors_corrected: 4,
            memory_errors_uncorrected: 5,
        };
        assert_eq!(Health::from_bytes(&health.to_bytes()), health);
    }

    #[test]
    fn slots_survive_the_round_trip_and_impossible_ones_are_refused() {
        let slots = FirmwareSlots {
            running: 1,
            next: 2,
            confirmed: 1,
            previous: Some(0),
            outcome: TrialOutcome::DidNotComeUp,
            versions: [3, 4, 0],
            floor: 3,
            image_bytes_max: 5,
        };
        assert_eq!(FirmwareSlots::parse(&slots.to_bytes()), Ok(slots));
        let none = FirmwareSlots { previous: None, ..slots };
        assert_eq!(FirmwareSlots::parse(&none.to_bytes()), Ok(none));
        let empty = FirmwareSlots { running: 2, ..slots };
        assert!(FirmwareSlots::parse(&empty.to_bytes()).is_err(), "nothing runs from an empty slot");
        for (at, value) in [(0, 3), (1, 3), (2, 0xff), (3, 3), (4, 3), (5, 1), (28, 1), (63, 1)] {
            let mut bytes = slots.to_bytes();
            bytes[at] = value;
            assert!(FirmwareSlots::parse(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn unprintable_model_is_refused() {
        let mut bytes = [0; IDENTIFY_BYTES];
        bytes[33] = 0x1b;
        assert!(Identify::parse(&bytes).is_err());
        bytes[32] = b'x';
        assert!(Identify::parse(&bytes).is_err());
    }
}
