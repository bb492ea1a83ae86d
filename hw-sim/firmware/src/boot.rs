//! Which image starts. This runs before any image does, from memory that nobody can write.
//!
//! ```text
//! trial wanted, started fewer than STARTS_MAX times, sound ──► it starts ──► it becomes ready ──► it is confirmed
//!        │ no                                               │ boot watchdog, or STARTS_MAX resets without becoming ready
//!        ▼                                                  ▼
//! the confirmed image, if it is sound ◄─────────────── the trial is over
//!        │ no
//!        ▼
//! the factory image
//! ```
//! An image has more than one start, because a host may reset a function several times before it uses it: Linux's VFIO does
//! so whenever the device is opened and closed. Every image is checked at every start, so one that was damaged in its slot does not run.

use kiln_abi::Status;
use kiln_abi::firmware::STARTS_MAX;
use kiln_abi::page::{FACTORY_SLOT, Text, TrialOutcome};

use crate::hardware::Hardware;
use crate::image::check_slot;
use crate::record::Record;
use crate::validate::Refusal;

/// The image that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its slot, 0 for the factory image.
    pub slot: u8,
    /// Its version.
    pub version: u32,
    /// Its name.
    pub name: Text<24>,
    /// Floor that it sets when it comes up.
    pub(crate) floor: u32,
    /// It is not confirmed yet.
    pub trial: bool,
}

impl Running {
    /// The image that is always there.
    pub fn factory() -> Running {
        let name = Text::new(crate::FIRMWARE_NAME);
        Running { slot: FACTORY_SLOT, version: crate::FIRMWARE_VERSION, name, floor: 0, trial: false }
    }
}

/// The image in a slot, if it may start.
pub(crate) fn startable(hardware: &mut impl Hardware, slot: u8, floor: u32) -> Result<Running, Refusal> {
    if slot == FACTORY_SLOT {
        let factory = Running::factory();
        if factory.version < floor {
            return Err((Status::FirmwareVersionFloor, u64::from(floor)));
        }
        return Ok(factory);
    }
    let header = check_slot(hardware, slot, floor)?;
    Ok(Running { slot, version: header.version, name: header.name, floor: header.floor, trial: false })
}

/// Chooses the image to start after power-up or function-level reset.
pub fn select(hardware: &mut impl Hardware) -> Running {
    let mut record = Record::read(hardware);
    if let Some(slot) = record.trial {
        if record.attempts >= STARTS_MAX {
            record.end_trial(hardware, TrialOutcome::DidNotComeUp);
        } else if let Ok(image) = startable(hardware, slot, record.floor) {
            record.attempts += 1;
            // An attempt that cannot be counted might be repeated for ever.
            if record.write(hardware) {
                return Running { trial: true, ..image };
            }
        } else {
            record.end_trial(hardware, TrialOutcome::Damaged);
        }
    }
    // The factory image is the last resort even where the floor forbids to choose it: a card must start.
    startable(hardware, record.confirmed, record.floor).unwrap_or_else(|_| Running::factory())
}

/// Chooses the image to start after the one that was chosen did not: the boot watchdog ended it.
pub fn select_after(hardware: &mut impl Hardware, failed: &Running) -> Running {
    if failed.trial {
        Record::read(hardware).end_trial(hardware, TrialOutcome::DidNotComeUp);
        return select(hardware);
    }
    Running::factory()
}

/// The image that runs has become ready: from now on the card starts from it.
pub(crate) fn confirm(hardware: &mut impl Hardware, running: &mut Running) {
    let mut record = Record::read(hardware);
    if record.confirmed != running.slot {
        record.previous = Some(record.confirmed);
    }
    record.confirmed = running.slot;
    record.floor = record.floor.max(running.floor);
    (record.trial, record.attempts, record.outcome) = (None, 0, TrialOutcome::None);
    // If the flash does not keep it, it stays a trial.
    running.trial = !record.write(hardware);
}

impl Record {
    fn end_trial(&mut self, hardware: &mut impl Hardware, outcome: TrialOutcome) {
        (self.trial, self.attempts, self.outcome) = (None, 0, outcome);
        // If the flash does not keep it, the trial ends once more at the next start.
        let _ = self.write(hardware);
    }
}
