//! The card's firmware: what its slots hold, a new image, and which one runs.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use kiln_abi::Status;
use kiln_abi::firmware::ImageHeader;
use kiln_abi::page::{FIRMWARE_SLOTS, FirmwareSlots};
use kiln_driver::firmware::{free_slot, rollback_slot};
use kiln_driver::{Card, CardError, Ready, Settings};
use serde::Serialize;

use super::{Consent, Target};
use crate::artefact;
use crate::backend::{self, CardAddress};
use crate::error::Failure;
use crate::output::{self, Format, Report};
use crate::progress::Progress;

/// What to do with the firmware.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print what the slots hold and which one runs
    List(Target),
    /// Check an image on the card and write it into a slot that does not run
    ///
    /// The card checks its signature, model, version and digest, and refuses it without touching a slot if one is wrong.
    Install {
        #[command(flatten)]
        target: Target,
        /// The image, as the card's maker delivers it
        image: PathBuf,
        /// The slot: an empty one if nothing is said, otherwise the one that is not needed to go back
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=FIRMWARE_SLOTS as i64))]
        slot: Option<u8>,
        /// Start from it at once, as `activate` does
        #[arg(long)]
        activate: bool,
        #[command(flatten)]
        consent: Consent,
    },
    /// Reset the card and start it from a slot
    ///
    /// If the image does not come up, the card goes back to the one before, and this fails.
    Activate {
        #[command(flatten)]
        target: Target,
        /// The slot: 1 or 2, or 0 for the factory image
        #[arg(value_parser = clap::value_parser!(u8).range(0..=FIRMWARE_SLOTS as i64))]
        slot: u8,
        #[command(flatten)]
        consent: Consent,
    },
    /// Reset the card and start it from the slot that ran before
    Rollback {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        consent: Consent,
    },
}

impl Action {
    /// How to print the result.
    pub fn format(&self) -> Format {
        match self {
            Action::List(target)
            | Action::Install { target, .. }
            | Action::Activate { target, .. }
            | Action::Rollback { target, .. } => target.format,
        }
    }
}

/// Runs the command.
pub fn run(action: &Action) -> Result<(), Failure> {
    let format = action.format();
    match action {
        Action::List(target) => {
            let card = backend::bring_up(&target.address)?;
            output::result(format, &Slots::of(&target.address, &slots(&card)?));
        }
        Action::Install { target, image, slot, activate, consent } => {
            let then = if *activate { ", reset it and start from that" } else { "" };
            consent.or_ask(&format!("write firmware to {}{then}", target.address))?;
            output::result(format, &install(&target.address, image, *slot, *activate, format)?);
        }
        Action::Activate { target, slot, consent } => {
            consent.or_ask(&format!(
                "reset {}, which empties its memory, and start slot {slot}",
                target.address
            ))?;
            let card = backend::bring_up(&target.address)?;
            output::result(format, &start(&target.address, card, *slot)?);
        }
        Action::Rollback { target, consent } => {
            consent.or_ask(&format!(
                "reset {}, which empties its memory, and start the firmware before",
                target.address
            ))?;
            output::result(format, &roll_back(&target.address)?);
        }
    }
    Ok(())
}

fn slots(card: &Card<Ready>) -> Result<FirmwareSlots, Failure> {
    card.firmware_slots().map_err(|e| Failure::device("read the firmware slots", e))
}

fn install(
    address: &CardAddress,
    path: &Path,
    slot: Option<u8>,
    activate: bool,
    format: Format,
) -> Result<Update, Failure> {
    let card = backend::bring_up(address)?;
    let before = slots(&card)?;
    let image = artefact::read("read the image", path, u64::from(before.image_bytes_max))?;
    let header = image.first_chunk().ok_or("it is shorter than the header of an image".to_owned());
    let header = header.and_then(|bytes| ImageHeader::parse(bytes).map_err(|e| e.to_string()));
    let header = header.map_err(|e| Failure::file("use the image", path, e))?;
    let slot = slot.unwrap_or_else(|| free_slot(&before));
    let progress = Progress::new(format.json);
    let total = image.len() as u64;
    let mut show = |done: usize| {
        kiln_plonk::SetupProgress::advance(&progress, "download the image", done as u64, total);
    };
    card.install_firmware(slot, &image, &mut show).map_err(|e| judged("install the image", e))?;
    progress.finish();
    if activate {
        return start(address, card, slot);
    }
    let after = slots(&card)?;
    Ok(Update { installed: Some(Version(header.version)), ..Update::of(address, slot, &after) })
}

fn start(address: &CardAddress, card: Card<Ready>, slot: u8) -> Result<Update, Failure> {
    let card = card
        .start_firmware(slot, &Settings::default())
        .map_err(|e| judged("start the card from the slot", e))?;
    Ok(Update::of(address, slot, &slots(&card)?))
}

fn roll_back(address: &CardAddress) -> Result<Update, Failure> {
    let card = backend::bring_up(address)?;
    let slot = rollback_slot(&slots(&card)?).ok_or_else(|| {
        Failure::Input(format!("no firmware ran on {address} before this one, or its slot was used again"))
    })?;
    start(address, card, slot)
}

/// An image that the card refuses is bad input; anything else is the card's failure.
fn judged(action: &'static str, error: CardError) -> Failure {
    match &error {
        CardError::Command {
            status:
                Status::FirmwareMalformed
                | Status::FirmwareLength
                | Status::FirmwareTooLarge
                | Status::FirmwareSignature
                | Status::FirmwareModel
                | Status::FirmwareVersionFloor
                | Status::FirmwareDigest
                | Status::FirmwareSlotInvalid
                | Status::FirmwareSlotInUse,
            ..
        } => Failure::refused(action, error),
        _ => Failure::device(action, error),
    }
}

/// A version as it is printed: major.minor.
#[derive(Clone, Copy, Debug)]
struct Version(u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.0 >> 16, self.0 & 0xffff))
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the slots hold.
#[derive(Debug, Serialize)]
pub struct Slots {
    card: String,
    slots: Vec<Slot>,
    /// The card takes no image of a lower version.
    floor: Version,
    image_bytes_max: u32,
    /// How the last trial of an image ended.
    last_trial: &'static str,
}

#[derive(Debug, Serialize)]
struct Slot {
    slot: u8,
    /// None for an empty slot.
    version: Option<Version>,
    factory: bool,
    running: bool,
    /// It runs after the next reset.
    next: bool,
    /// The card goes back to it with `rollback`.
    previous: bool,
}

impl Slots {
    fn of(address: &CardAddress, slots: &FirmwareSlots) -> Slots {
        let slot = |(slot, version): (u8, &u32)| Slot {
            slot,
            version: Some(Version(*version)).filter(|version| version.0 != 0),
            factory: slot == 0,
            running: slot == slots.running,
            next: slot == slots.next,
            previous: slots.previous == Some(slot),
        };
        Slots {
            card: address.to_string(),
            slots: (0..).zip(&slots.versions).map(slot).collect(),
            floor: Version(slots.floor),
            image_bytes_max: slots.image_bytes_max,
            last_trial: slots.outcome.name(),
        }
    }
}

impl Report for Slots {
    const SCHEMA: &'static str = "kiln.card.fw.list/1";
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.card)?;
        writeln!(f, "  {:<8} {:<10} STATE", "SLOT", "VERSION")?;
        for slot in &self.slots {
            let name = if slot.factory { "factory".to_owned() } else { slot.slot.to_string() };
            let version = slot.version.map_or("empty".to_owned(), |version| version.to_string());
            let states = [(slot.running, "runs"), (slot.next, "next"), (slot.previous, "before")];
            let states: Vec<&str> =
                states.iter().filter(|(holds, _)| *holds).map(|(_, state)| *state).collect();
            writeln!(f, "{}", format!("  {name:<8} {version:<10} {}", states.join(", ")).trim_end())?;
        }
        if self.last_trial != "None" {
            writeln!(f, "  the last image that was tried: {}", self.last_trial)?;
        }
        let largest = output::bytes(u64::from(self.image_bytes_max));
        write!(f, "  takes images of version {} and above, up to {largest}", self.floor)
    }
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Update {
    card: String,
    slot: u8,
    /// Version that was written into the slot, where the card was not started from it.
    installed: Option<Version>,
    running_slot: u8,
    running_version: Version,
    floor: Version,
}

impl Update {
    fn of(address: &CardAddress, slot: u8, slots: &FirmwareSlots) -> Update {
        let running = slots.versions.get(usize::from(slots.running)).copied().unwrap_or(0);
        Update {
            card: address.to_string(),
            slot,
            installed: None,
            running_slot: slots.running,
            running_version: Version(running),
            floor: Version(slots.floor),
        }
    }
}

impl Report for Update {
    const SCHEMA: &'static str = "kiln.card.fw.update/1";
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Update { card, slot, running_slot, running_version, .. } = self;
        match self.installed {
            Some(version) => write!(
                f,
                "{card} has {version} in slot {slot} and still runs {running_version}; start it with: kiln card fw activate {card} {slot}"
            ),
            None => write!(f, "{card} was reset and runs {running_version} from slot {running_slot}"),
        }
    }
}
