//! Firmware management: what every card refuses, and, with an image that it takes, an update and the way back.

use std::sync::Arc;

use kiln_abi::Status;
use kiln_abi::firmware::ImageHeader;

use super::{Bench, Fault, Outcome, differs, pattern};
use crate::card::{Card, Settings};
use crate::error::CardError;
use crate::firmware::{free_slot, rollback_slot};
use crate::transport::Transport;

/// Length of an image that is none.
const NOISE_BYTES: usize = 5000;

/// Damaged and foreign images, and slots that cannot be, are refused; the slots stay as they were.
pub(super) fn refusals(bench: &Bench) -> Outcome {
    let before = bench.card.firmware_slots()?;
    let slot = free_slot(&before);
    let install = |slot, image: &[u8]| bench.card.install_firmware(slot, image, &mut |_| {});
    let noise = pattern(5, NOISE_BYTES);
    let too_large = vec![0; before.image_bytes_max as usize + 1];
    refused("noise", Status::FirmwareMalformed, install(slot, &noise))?;
    refused("an image of 100 bytes", Status::FirmwareLength, install(slot, &noise[..100]))?;
    refused("an image that fits no slot", Status::FirmwareTooLarge, install(slot, &too_large))?;
    refused("an image for the factory slot", Status::FirmwareSlotInvalid, install(0, &noise))?;
    refused("an image for slot 3", Status::FirmwareSlotInvalid, install(3, &noise))?;
    refused("starting from slot 3", Status::FirmwareSlotInvalid, bench.card.choose_firmware(3))?;
    let after = bench.card.firmware_slots()?;
    if after != before {
        return Err(differs("the slots", format!("{before:?}"), format!("{after:?}")));
    }
    Ok(format!(
        "6 refused; slot {} runs {}",
        before.running,
        version(before.versions[usize::from(before.running)])
    ))
}

fn refused(what: &str, expected: Status, got: Result<u32, CardError>) -> Result<(), Fault> {
    match got {
        Err(CardError::Command { status, .. }) if status == expected => Ok(()),
        Err(CardError::Command { status, .. }) => Err(differs(what, expected.name(), status.name())),
        Err(other) => Err(other.into()),
        Ok(_) => Err(differs(what, expected.name(), "Success")),
    }
}

/// Installs an image, starts from it, and goes back to what ran before.
pub(super) fn update(transport: Arc<dyn Transport>, image: &[u8]) -> Outcome {
    let settings =
        Settings { queues: 1, entries: 8, timeout: super::PATIENCE, polling: std::time::Duration::ZERO };
    let card = Card::found(transport).bring_up(&settings)?;
    let before = card.firmware_slots()?;
    let slot = free_slot(&before);
    let installed = card.install_firmware(slot, image, &mut |_| {})?;
    let said = image.first_chunk().and_then(|header| ImageHeader::parse(header).ok());
    if said.map(|header| header.version) != Some(installed) {
        return Err(differs("the version installed", format!("{said:?}"), version(installed)));
    }
    let card = card.start_firmware(slot, &settings)?;
    let running = card.identify().firmware_version;
    if running != installed {
        return Err(differs("the version that runs", version(installed), version(running)));
    }
    let after = card.firmware_slots()?;
    if after.previous != Some(before.running) {
        return Err(differs(
            "the slot before",
            format!("{:?}", Some(before.running)),
            format!("{:?}", after.previous),
        ));
    }
    let back = rollback_slot(&after).ok_or_else(|| differs("a slot to go back to", "one", "none"))?;
    let card = card.start_firmware(back, &settings)?;
    let again = card.identify().firmware_version;
    let old = before.versions[usize::from(before.running)];
    if again != old {
        return Err(differs("the version after going back", version(old), version(again)));
    }
    Ok(format!("{} in slot {slot} came up; back to {}", version(installed), version(old)))
}

fn version(version: u32) -> String {
    format!("{}.{}", version >> 16, version & 0xffff)
}
