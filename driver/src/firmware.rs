//! The card's firmware: what its slots hold, a new image into one of them, and the card started from it.
//!
//! The card judges images by itself, by signature, model, version and digest; the host is only the way there. An image that
//! does not come up costs nothing but time: the card goes back to the one that did.

use std::sync::Arc;
use std::time::Duration;

use kiln_abi::AdminCommand;
use kiln_abi::admin::{CommitAction, LogPage};
use kiln_abi::firmware::{CHUNK_BYTES_MAX, STARTS_MAX};
use kiln_abi::page::{FACTORY_SLOT, FIRMWARE_SLOTS, FirmwareSlots};

use crate::card::{Card, Ready, Settings};
use crate::error::CardError;
use crate::recovery::wait_until_it_answers;
use crate::wait::Deadline;

/// How long a new image may take to become ready, at most. A card says in Cap how long it needs; this is ample.
const START_PATIENCE: Duration = Duration::from_secs(5);

impl Card<Ready> {
    /// What the firmware slots hold.
    ///
    /// # Errors
    /// [`CardError::Description`] for a page that makes no sense, and those of any admin command.
    pub fn firmware_slots(&self) -> Result<FirmwareSlots, CardError> {
        FirmwareSlots::parse(&self.log(LogPage::FirmwareSlots)?).map_err(CardError::Description)
    }

    /// Downloads an image and installs it in slot 1 or 2. What runs is not disturbed. `progress` hears how many bytes
    /// have arrived.
    ///
    /// Returns the image's version, major in the upper half.
    ///
    /// # Errors
    /// [`CardError::Command`] with one of the statuses `Firmware…` when the card refuses the image or the slot; flash is
    /// as it was then, except after `FirmwareFlash`.
    pub fn install_firmware(
        &self,
        slot: u8,
        image: &[u8],
        progress: &mut dyn FnMut(usize),
    ) -> Result<u32, CardError> {
        self.download_firmware(image, progress)?;
        let command = AdminCommand::FirmwareCommit { slot, action: CommitAction::Install };
        self.admin(&command, None).map(|version| version as u32)
    }

    fn download_firmware(&self, image: &[u8], progress: &mut dyn FnMut(usize)) -> Result<(), CardError> {
        let chunk = CHUNK_BYTES_MAX as usize;
        let buffer = Arc::new(self.dma_buffer(image.len().min(chunk))?);
        let mut done = 0;
        for piece in image.chunks(chunk) {
            buffer.write(0, piece)?;
            let command = AdminCommand::FirmwareDownload {
                address: buffer.address(),
                bytes: piece.len() as u32,
                // An offset that does not fit is larger than any slot, and the card says so before.
                offset: u32::try_from(done).unwrap_or(u32::MAX),
            };
            self.admin(&command, Some(buffer.clone()))?;
            done += piece.len();
            progress(done);
        }
        Ok(())
    }

    /// Lets the card start from a slot (0: the factory image) at its next function-level reset. Returns the version that
    /// will run.
    ///
    /// # Errors
    /// [`CardError::Command`] when the slot holds no image that may start.
    pub fn choose_firmware(&self, slot: u8) -> Result<u32, CardError> {
        let command = AdminCommand::FirmwareCommit { slot, action: CommitAction::Activate };
        self.admin(&command, None).map(|version| version as u32)
    }

    /// Chooses a slot, resets the card, and brings it up again. Everything in card memory is gone afterwards.
    ///
    /// # Errors
    /// [`CardError::FirmwareNotStarted`] when the image did not come up and the card went back to another; the card is
    /// reset so often that it gives the image up. Otherwise as bring-up.
    pub fn start_firmware(self, slot: u8, settings: &Settings) -> Result<Card<Ready>, CardError> {
        self.choose_firmware(slot)?;
        let trial = Settings { timeout: settings.timeout.min(START_PATIENCE), ..*settings };
        let mut lost = self.lose();
        let mut starts = 0;
        let mut card = loop {
            starts += 1;
            let found = lost.reset()?;
            let transport = found.shared_transport();
            let answers = wait_until_it_answers(&*transport, Deadline::after(trial.timeout));
            match answers.and_then(|()| found.bring_up(&trial)) {
                Ok(card) => break card,
                Err(_) if starts <= u32::from(STARTS_MAX) => lost = Card::lost(transport),
                Err(error) => return Err(error),
            }
        };
        card.set_timeout(settings.timeout);
        let slots = card.firmware_slots()?;
        if slots.running == slot {
            return Ok(card);
        }
        let (running, outcome) = (slots.running, slots.outcome);
        Err(CardError::FirmwareNotStarted { slot, running, outcome })
    }
}

/// The slot into which the next image goes: an empty one, otherwise the one that neither runs nor would be gone back to
/// at once.
pub fn free_slot(slots: &FirmwareSlots) -> u8 {
    let others = || (FACTORY_SLOT + 1..=FIRMWARE_SLOTS as u8).filter(|slot| *slot != slots.running);
    let empty = others().find(|slot| slots.versions.get(usize::from(*slot)) == Some(&0));
    let spare = others().find(|slot| slots.previous != Some(*slot));
    empty.or(spare).or(others().next()).unwrap_or(1)
}

/// The slot to go back to from what runs: the one that was confirmed before, if its image is still there.
pub fn rollback_slot(slots: &FirmwareSlots) -> Option<u8> {
    let sound = |slot: &u8| slots.versions.get(usize::from(*slot)).is_some_and(|version| *version != 0);
    slots.previous.filter(sound).filter(|slot| *slot != slots.running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_abi::page::TrialOutcome;

    const SLOTS: FirmwareSlots = FirmwareSlots {
        running: 0,
        next: 0,
        confirmed: 0,
        previous: None,
        outcome: TrialOutcome::None,
        versions: [1, 0, 0],
        floor: 0,
        image_bytes_max: 1 << 20,
    };

    #[test]
    fn next_image_goes_where_it_costs_least() {
        assert_eq!(free_slot(&SLOTS), 1);
        assert_eq!(free_slot(&FirmwareSlots { versions: [1, 5, 0], ..SLOTS }), 2, "empty before full");
        let full = FirmwareSlots { versions: [1, 5, 6], ..SLOTS };
        assert_eq!(free_slot(&FirmwareSlots { previous: Some(1), ..full }), 2, "spare before last resort");
        assert_eq!(free_slot(&FirmwareSlots { running: 2, previous: Some(1), ..full }), 1, "never what runs");
    }

    #[test]
    fn one_goes_back_only_to_what_is_there() {
        assert_eq!(rollback_slot(&SLOTS), None);
        let updated = FirmwareSlots { running: 1, previous: Some(0), versions: [1, 5, 0], ..SLOTS };
        assert_eq!(rollback_slot(&updated), Some(0));
        assert_eq!(rollback_slot(&FirmwareSlots { previous: Some(2), ..updated }), None);
        assert_eq!(rollback_slot(&FirmwareSlots { previous: Some(1), ..updated }), None);
    }
}
