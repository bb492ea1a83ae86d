//! Pages that the card writes to host memory: identify and logs.

use crate::error::ParseError;

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

    fn parse(what: &'static str, offset: u64, bytes: &[u8]) -> Result<Text<N>, ParseError> {
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

/// What the firmware slots hold.
///
/// ```text
/// 0 active slot u8 | 1 slot after the next reset u8 | 2 reserved | 8 version of slot 1 u32 | 12 version of slot 2 u32 | 16 reserved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FirmwareSlots {
    /// The slot that is running, from 1.
    pub active: u8,
    /// The slot that runs after the next reset, from 1.
    pub next: u8,
    /// Version of each slot's image, 0 for an empty slot.
    pub versions: [u32; FIRMWARE_SLOTS],
}

impl FirmwareSlots {
    /// The page.
    pub fn to_bytes(&self) -> [u8; FIRMWARE_SLOTS_BYTES] {
        let mut bytes = [0; FIRMWARE_SLOTS_BYTES];
        bytes[0] = self.active;
        bytes[1] = self.next;
        for (at, version) in (8..).step_by(4).zip(self.versions) {
            put(&mut bytes, at, &version.to_le_bytes());
        }
        bytes
    }

    /// Decodes the page.
    pub fn from_bytes(bytes: &[u8; FIRMWARE_SLOTS_BYTES]) -> FirmwareSlots {
        let versions = word(bytes, 8);
        FirmwareSlots {
            active: bytes[0],
            next: bytes[1],
            versions: [versions as u32, (versions >> 32) as u32],
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
        let slots = FirmwareSlots { active: 1, next: 2, versions: [3, 4] };
        assert_eq!(FirmwareSlots::from_bytes(&slots.to_bytes()), slots);
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
