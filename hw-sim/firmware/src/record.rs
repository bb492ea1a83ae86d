//! The commit record: which image the card starts from. All that firmware management remembers is in here, and it
//! changes at once or not at all: two copies take turns, each with a number and a digest, and the newest sound one counts.

use kiln_abi::page::{FACTORY_SLOT, FIRMWARE_SLOTS, NO_SLOT, TrialOutcome};
use sha2::{Digest, Sha256};

use crate::flash::{PAGE_BYTES, record_address};
use crate::hardware::Hardware;

const MAGIC: [u8; 8] = *b"KILNBOOT";
/// Bytes before the digest.
const FIELDS_BYTES: usize = 32;
/// Digest included.
const RECORD_BYTES: usize = 64;

/// What the card remembers of its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    sequence: u64,
    /// No image of a lower version starts.
    pub(crate) floor: u32,
    /// The slot whose image came up last.
    pub(crate) confirmed: u8,
    /// The slot that was confirmed before.
    pub(crate) previous: Option<u8>,
    /// The slot that is to be tried.
    pub(crate) trial: Option<u8>,
    /// How often it was.
    pub(crate) attempts: u8,
    /// How the last trial ended.
    pub(crate) outcome: TrialOutcome,
}

impl Record {
    /// Of a card that came from the factory.
    pub(crate) const FACTORY: Record = Record {
        sequence: 0,
        floor: 0,
        confirmed: FACTORY_SLOT,
        previous: None,
        trial: None,
        attempts: 0,
        outcome: TrialOutcome::None,
    };

    /// The newest sound copy.
    pub(crate) fn read(hardware: &mut impl Hardware) -> Record {
        let mut newest = Record::FACTORY;
        for copy in 0..2 {
            let mut bytes = [0; RECORD_BYTES];
            hardware.flash_read(record_address(copy), &mut bytes);
            if let Some(record) = Record::parse(&bytes).filter(|record| record.sequence > newest.sequence) {
                newest = record;
            }
        }
        newest
    }

    /// Writes a new copy over the older one. False when the flash did not keep it; the newer one still counts then.
    pub(crate) fn write(&mut self, hardware: &mut impl Hardware) -> bool {
        self.sequence += 1;
        let address = record_address((self.sequence % 2) as u32);
        let mut page = [0xff; PAGE_BYTES];
        for (byte, value) in page.iter_mut().zip(self.to_bytes()) {
            *byte = value;
        }
        hardware.flash_erase(address);
        hardware.flash_program(address, &page);
        Record::read(hardware) == *self
    }

    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let mut put = |at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);
        put(0, &MAGIC);
        put(8, &self.sequence.to_le_bytes());
        put(16, &self.floor.to_le_bytes());
        let slot = |slot: Option<u8>| slot.unwrap_or(NO_SLOT);
        put(20, &[self.confirmed, slot(self.previous), slot(self.trial), self.attempts, self.outcome.code()]);
        let digest = Sha256::digest(&bytes[..FIELDS_BYTES]);
        bytes[FIELDS_BYTES..].copy_from_slice(&digest);
        bytes
    }

    fn parse(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
        let (sequence, rest) = bytes[8..].split_first_chunk()?;
        let (floor, rest) = rest.split_first_chunk()?;
        let [confirmed, previous, trial, attempts, outcome, ..] = *rest else { return None };
        let exists = |slot: u8| usize::from(slot) <= FIRMWARE_SLOTS;
        let slot = |slot: u8| Some(slot).filter(|slot| *slot != NO_SLOT);
        let record = Record {
            sequence: u64::from_le_bytes(*sequence),
            floor: u32::from_le_bytes(*floor),
            confirmed,
            previous: slot(previous),
            trial: slot(trial),
            attempts,
            outcome: TrialOutcome::from_code(outcome)?,
        };
        let sound =
            exists(confirmed) && record.previous.is_none_or(exists) && record.trial.is_none_or(exists);
        // The digest too is compared in here.
        (sound && record.to_bytes() == *bytes).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHardware;

    #[test]
    fn every_write_is_the_one_that_is_read_and_a_torn_one_never_was() {
        let mut hardware = FakeHardware::new();
        assert_eq!(Record::read(&mut hardware), Record::FACTORY);
        let mut record = Record::FACTORY;
        for floor in 1..6 {
            record.floor = floor;
            assert!(record.write(&mut hardware));
            assert_eq!(Record::read(&mut hardware), record);
            // Any torn write of the next copy leaves this one.
            let next = record_address(((record.sequence + 1) % 2) as u32) as usize;
            let sound = hardware.flash.clone();
            for end in 0..RECORD_BYTES {
                hardware.flash[next..next + PAGE_BYTES].fill(0xff);
                let mut newer = Record { floor: 99, ..record };
                newer.sequence += 1;
                hardware.flash[next..next + end].copy_from_slice(&newer.to_bytes()[..end]);
                assert_eq!(Record::read(&mut hardware), record, "torn after {end} bytes");
            }
            hardware.flash = sound;
        }
    }

    #[test]
    fn flash_that_does_not_keep_a_record_is_noticed() {
        let mut hardware = FakeHardware::new();
        hardware.flash_worn = true;
        assert!(!Record { floor: 1, ..Record::FACTORY }.write(&mut hardware));
    }
}
