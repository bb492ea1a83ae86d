//! The chain of feature blocks: what the card can do, block by block.
//!
//! Each block starts with three words: type in bits 0-15 and version in bits 16-31; offset in BAR0 of the next block
//! (0 ends the chain); length of the whole block in bytes, these 12 included. A driver skips types and versions that
//! it does not know. The first block is named by register FeatureChain.

use crate::codes::codes;
use crate::error::{ParseError, in_range};

/// Words of a block's head.
pub const HEAD_WORDS: usize = 3;
/// Most words of a block's payload.
pub const PAYLOAD_WORDS_MAX: usize = 16;
/// Most blocks in a chain; a longer one is a loop.
pub const BLOCKS_MAX: usize = 64;

codes! {
    /// Types of feature blocks.
    pub enum FeatureKind: u16 {
        /// Which firmware runs.
        FirmwareId = 1,
        /// The MSM engine.
        EngineMsm = 2,
        /// The NTT engine.
        EngineNtt = 3,
        /// The vector engine.
        EngineVector = 4,
        /// Card memory.
        Memory = 5,
        /// The clock of all cycle counts.
        Counters = 6,
        /// Sensors.
        Sensors = 7,
        /// Firmware slots.
        FirmwareSlots = 8,
        /// The error log.
        ErrorLog = 9,
        /// The watchdog.
        Watchdog = 10,
        /// Keys and attestation.
        Security = 11,
    }
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureHead {
    /// Type, raw: unknown types are skipped.
    pub kind: u16,
    /// Version of the block's layout.
    pub version: u16,
    /// Offset in BAR0 of the next block, 0 for none.
    pub next: u32,
    /// Length with the head. \[bytes\]
    pub length: u32,
}

impl FeatureHead {
    /// The three words.
    pub const fn to_words(self) -> [u32; HEAD_WORDS] {
        [self.kind as u32 | (self.version as u32) << 16, self.next, self.length]
    }

    /// Parses the head of the block at `offset`; a block must lie in the feature area, and the chain runs upwards, so
    /// that it cannot loop.
    pub fn parse(words: [u32; HEAD_WORDS], offset: u32) -> Result<FeatureHead, ParseError> {
        let [kind, next, length] = words;
        let end = crate::register::BAR_REGISTERS_BYTES;
        let head_bytes = 4 * HEAD_WORDS as u64;
        in_range(
            "length of a feature block",
            u64::from(length),
            head_bytes,
            end - u64::from(offset).min(end),
        )?;
        if next != 0 {
            in_range(
                "next feature block",
                u64::from(next),
                u64::from(offset) + u64::from(length),
                end - head_bytes,
            )?;
        }
        in_range("alignment of the next feature block", u64::from(next % 4), 0, 0)?;
        Ok(FeatureHead { kind: kind as u16, version: (kind >> 16) as u16, next, length })
    }
}

/// A feature block's contents, one 32-bit word per field, in the order of the fields; 64-bit fields take two words, low
/// word first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The text of a variant explains its fields.
pub enum FeatureBlock {
    /// Which firmware runs: its version, and the first 8 hexadecimal digits of its source revision (0 when unknown).
    FirmwareId { version: u32, revision: u32 },
    /// Mixed adders, bits of a window, latency of an adder \[cycles\], log2 of the largest length.
    EngineMsm { adders: u32, window_bits: u32, adder_latency: u32, log_length_max: u32 },
    /// Butterflies, latency of one \[cycles\], largest log_n.
    EngineNtt { butterflies: u32, butterfly_latency: u32, log_n_max: u32 },
    /// Lanes, latency of the multiplier \[cycles\], and the largest program.
    EngineVector {
        lanes: u32,
        multiplier_latency: u32,
        registers: u32,
        instructions_max: u32,
        constants_max: u32,
        inputs_max: u32,
        outputs_max: u32,
    },
    /// Size \[bytes\], channels, and peak bandwidth \[MB/s\].
    Memory { bytes: u64, channels: u32, bandwidth_mb_per_s: u32 },
    /// Clock in which all cycles are counted. \[Hz\]
    Counters { clock_hz: u64 },
    /// How many temperature and power sensors feed the health page, and at which temperature the card slows down.
    /// \[thousandths of a degree Celsius\]
    Sensors { temperature_sensors: u32, power_sensors: u32, throttle_milli_celsius: u32 },
    /// Number of slots, and which one is running, from 1.
    FirmwareSlots { slots: u32, active: u32 },
    /// Entries of the error log.
    ErrorLog { entries: u32 },
    /// Largest limit that can be set \[cycles\].
    Watchdog { limit_max: u64 },
    /// 1 where firmware signatures are checked; 1 where attestation is offered.
    Security { signed_firmware: u32, attestation: u32 },
}

impl FeatureBlock {
    /// Type of the block.
    pub const fn kind(&self) -> FeatureKind {
        match self {
            FeatureBlock::FirmwareId { .. } => FeatureKind::FirmwareId,
            FeatureBlock::EngineMsm { .. } => FeatureKind::EngineMsm,
            FeatureBlock::EngineNtt { .. } => FeatureKind::EngineNtt,
            FeatureBlock::EngineVector { .. } => FeatureKind::EngineVector,
            FeatureBlock::Memory { .. } => FeatureKind::Memory,
            FeatureBlock::Counters { .. } => FeatureKind::Counters,
            FeatureBlock::Sensors { .. } => FeatureKind::Sensors,
            FeatureBlock::FirmwareSlots { .. } => FeatureKind::FirmwareSlots,
            FeatureBlock::ErrorLog { .. } => FeatureKind::ErrorLog,
            FeatureBlock::Watchdog { .. } => FeatureKind::Watchdog,
            FeatureBlock::Security { .. } => FeatureKind::Security,
        }
    }

    /// The payload, and how many of its words are used.
    pub fn to_payload(&self) -> ([u32; PAYLOAD_WORDS_MAX], usize) {
        let low_high = |value: u64| [value as u32, (value >> 32) as u32];
        let mut payload = [0; PAYLOAD_WORDS_MAX];
        let mut fill = |words: &[u32]| {
            payload[..words.len()].copy_from_slice(words);
            words.len()
        };
        let used = match *self {
            FeatureBlock::FirmwareId { version, revision } => fill(&[version, revision]),
            FeatureBlock::EngineMsm { adders, window_bits, adder_latency, log_length_max } => {
                fill(&[adders, window_bits, adder_latency, log_length_max])
            }
            FeatureBlock::EngineNtt { butterflies, butterfly_latency, log_n_max } => {
                fill(&[butterflies, butterfly_latency, log_n_max])
            }
            FeatureBlock::EngineVector {
                lanes,
                multiplier_latency,
                registers,
                instructions_max,
                constants_max,
                inputs_max,
                outputs_max,
            } => fill(&[
                lanes,
                multiplier_latency,
                registers,
                instructions_max,
                constants_max,
                inputs_max,
                outputs_max,
            ]),
            FeatureBlock::Memory { bytes, channels, bandwidth_mb_per_s } => {
                let [low, high] = low_high(bytes);
                fill(&[low, high, channels, bandwidth_mb_per_s])
            }
            FeatureBlock::Counters { clock_hz } => fill(&low_high(clock_hz)),
            FeatureBlock::Sensors { temperature_sensors, power_sensors, throttle_milli_celsius } => {
                fill(&[temperature_sensors, power_sensors, throttle_milli_celsius])
            }
            FeatureBlock::FirmwareSlots { slots, active } => fill(&[slots, active]),
            FeatureBlock::ErrorLog { entries } => fill(&[entries]),
            FeatureBlock::Watchdog { limit_max } => fill(&low_high(limit_max)),
            FeatureBlock::Security { signed_firmware, attestation } => fill(&[signed_firmware, attestation]),
        };
        (payload, used)
    }

    /// Parses a payload of layout version 1; a longer one is fine, the rest is for newer drivers.
    pub fn parse(kind: FeatureKind, payload: &[u32]) -> Result<FeatureBlock, ParseError> {
        let mut words = [0; PAYLOAD_WORDS_MAX];
        for (slot, word) in words.iter_mut().zip(payload) {
            *slot = *word;
        }
        let [w0, w1, w2, w3, w4, w5, w6, ..] = words;
        let wide = u64::from(w0) | u64::from(w1) << 32;
        let block = match kind {
            FeatureKind::FirmwareId => FeatureBlock::FirmwareId { version: w0, revision: w1 },
            FeatureKind::EngineMsm => {
                FeatureBlock::EngineMsm { adders: w0, window_bits: w1, adder_latency: w2, log_length_max: w3 }
            }
            FeatureKind::EngineNtt => {
                FeatureBlock::EngineNtt { butterflies: w0, butterfly_latency: w1, log_n_max: w2 }
            }
            FeatureKind::EngineVector => FeatureBlock::EngineVector {
                lanes: w0,
                multiplier_latency: w1,
                registers: w2,
                instructions_max: w3,
                constants_max: w4,
                inputs_max: w5,
                outputs_max: w6,
            },
            FeatureKind::Memory => FeatureBlock::Memory { bytes: wide, channels: w2, bandwidth_mb_per_s: w3 },
            FeatureKind::Counters => FeatureBlock::Counters { clock_hz: wide },
            FeatureKind::Sensors => FeatureBlock::Sensors {
                temperature_sensors: w0,
                power_sensors: w1,
                throttle_milli_celsius: w2,
            },
            FeatureKind::FirmwareSlots => FeatureBlock::FirmwareSlots { slots: w0, active: w1 },
            FeatureKind::ErrorLog => FeatureBlock::ErrorLog { entries: w0 },
            FeatureKind::Watchdog => FeatureBlock::Watchdog { limit_max: wide },
            FeatureKind::Security => FeatureBlock::Security { signed_firmware: w0, attestation: w1 },
        };
        let expected = block.to_payload().1;
        if payload.len() < expected {
            let (expected, got) = (4 * expected as u64, 4 * payload.len() as u64);
            return Err(ParseError::Length { what: "payload of a feature block", expected, got });
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_survive_the_round_trip_and_short_ones_are_refused() {
        for kind in FeatureKind::ALL {
            let words: [u32; PAYLOAD_WORDS_MAX] = core::array::from_fn(|i| 1 + i as u32);
            let block = FeatureBlock::parse(*kind, &words).expect("long enough");
            assert_eq!(block.kind(), *kind);
            let (payload, used) = block.to_payload();
            assert_eq!(payload[..used], words[..used]);
            assert!(FeatureBlock::parse(*kind, &words[..used - 1]).is_err(), "{}", kind.name());
        }
    }

    #[test]
    fn chain_cannot_run_backwards_or_leave_the_bar() {
        let head = |next, length| FeatureHead { kind: 1, version: 1, next, length }.to_words();
        assert!(FeatureHead::parse(head(0x2020, 0x20), 0x2000).is_ok());
        assert!(FeatureHead::parse(head(0, 0x20), 0x2000).is_ok());
        assert!(FeatureHead::parse(head(0x2000, 0x20), 0x2000).is_err());
        assert!(FeatureHead::parse(head(0x2010, 0x20), 0x2000).is_err());
        assert!(FeatureHead::parse(head(0x2022, 0x20), 0x2000).is_err());
        assert!(FeatureHead::parse(head(0xffff_fff0, 0x20), 0x2000).is_err());
        assert!(FeatureHead::parse(head(0, 8), 0x2000).is_err());
        assert!(FeatureHead::parse(head(0, u32::MAX), 0x2000).is_err());
        assert!(FeatureHead::parse(head(0, 12), u32::MAX).is_err());
    }
}
