//! Firmware updates through the driver, on the whole card, whose power may fail.
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests.

use std::sync::Arc;
use std::time::Duration;

use kiln_abi::Status;
use kiln_abi::page::TrialOutcome;
use kiln_driver::conformance;
use kiln_driver::firmware::{free_slot, rollback_slot};
use kiln_driver::{Card, CardError, InProcess, Ready, Settings};
use kiln_sim::image::{self, Conduct, ImageSpec};
use kiln_sim::{FaultPlan, Profile};

const OLD: u32 = 0x1_0000;
const NEW: u32 = 0x1_0001;

fn settings() -> Settings {
    // Short, because a card without power is waited for.
    Settings { timeout: Duration::from_secs(2), ..Settings::default() }
}

fn spec(version: u32) -> ImageSpec {
    let (model, conduct) = (image::model("f2"), Conduct::Runs);
    ImageSpec { version, floor: 0, model, conduct, payload_bytes: 3000 }
}

fn image(version: u32) -> Vec<u8> {
    image::make(&spec(version), &image::insecure_test_key()).unwrap()
}

fn transport(plan: FaultPlan) -> Arc<InProcess> {
    let card = kiln_sim::Card::new(Profile::load("f2").unwrap()).with_faults(plan);
    Arc::new(InProcess::new("sim:f2", Box::new(card)).unwrap())
}

fn install(card: &Card<Ready>, slot: u8, image: &[u8]) -> Result<u32, CardError> {
    card.install_firmware(slot, image, &mut |_| {})
}

fn running(card: &Card<Ready>) -> u32 {
    let slots = card.firmware_slots().unwrap();
    let version = slots.versions[usize::from(slots.running)];
    assert_eq!(card.identify().firmware_version, version);
    version
}

/// Two updates, one after the other, on a card that may lose its power.
fn update_twice(card: Card<Ready>) -> Result<Card<Ready>, CardError> {
    install(&card, 1, &image(OLD))?;
    let card = card.start_firmware(1, &settings())?;
    install(&card, 2, &image(NEW))?;
    card.start_firmware(2, &settings())
}

#[test]
fn update_and_way_back_conform() {
    let checks = conformance::run(transport(FaultPlan::default()), Some(&image(NEW)), |_| {});
    let update = checks.last().unwrap();
    assert_eq!(update.name, "firmware update and way back");
    assert!(update.outcome.is_ok(), "{:?}", update.outcome);
}

#[test]
fn card_that_loses_power_at_any_change_of_flash_starts_with_a_whole_image() {
    let mut seen = [0; 3];
    // Two updates change flash 40 times; the steps after that are those of a card that keeps its power.
    for step in 0..44 {
        let transport = transport(format!("power-loss@{step}").parse().unwrap());
        let card = Card::found(transport.clone()).bring_up(&settings()).unwrap();
        let outcome = update_twice(card).map(|card| running(&card));
        let card = Card::found(transport).reset().unwrap().bring_up(&settings()).unwrap();
        match outcome {
            Ok(version) => assert_eq!((version, running(&card)), (NEW, NEW), "step {step}"),
            Err(CardError::Gone | CardError::Never(_) | CardError::NotYet { .. }) => {}
            Err(other) => panic!("step {step}: {other}"),
        }
        match running(&card) {
            1 => seen[0] += 1,
            OLD => seen[1] += 1,
            NEW => seen[2] += 1,
            other => panic!("step {step}: {other:#x} runs"),
        }
        // And the card can be updated as ever.
        if step < 40 && step % 8 == 0 {
            let card = card.start_firmware(0, &settings()).unwrap();
            assert_eq!(running(&update_twice(card).unwrap()), NEW, "after step {step}");
        }
    }
    assert!(seen.iter().all(|count| *count > 3), "{seen:?}");
}

#[test]
fn forty_seeded_updates_with_loss_of_power_leave_a_card_that_starts() {
    let mut lost = 0;
    for seed in 0..40 {
        let transport = transport(FaultPlan::update_from_seed(seed));
        let card = Card::found(transport.clone()).bring_up(&settings()).unwrap();
        lost += u32::from(update_twice(card).is_err());
        let card = Card::found(transport).reset().unwrap().bring_up(&settings()).unwrap();
        let version = running(&card);
        assert!([1, OLD, NEW].contains(&version), "seed {seed}: {version:#x}");
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn images_that_do_not_come_up_are_given_up() {
    for conduct in [Conduct::Hangs, Conduct::NeverReady] {
        let card = Card::found(transport(FaultPlan::default())).bring_up(&settings()).unwrap();
        let bad = image::make(&ImageSpec { conduct, ..spec(NEW) }, &image::insecure_test_key()).unwrap();
        assert_eq!(install(&card, 1, &bad).unwrap(), NEW);
        match card.start_firmware(1, &settings()) {
            Err(CardError::FirmwareNotStarted { slot: 1, running: 0, outcome }) => {
                assert_eq!(outcome, TrialOutcome::DidNotComeUp);
            }
            other => panic!("{conduct:?}: {other:?}"),
        }
    }
}

#[test]
fn image_of_another_key_or_model_is_refused() {
    let card = Card::found(transport(FaultPlan::default())).bring_up(&settings()).unwrap();
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let foreign = image::make(&spec(NEW), &stranger).unwrap();
    let other =
        image::make(&ImageSpec { model: image::model("u55c"), ..spec(NEW) }, &image::insecure_test_key());
    for (image, expected) in [(foreign, Status::FirmwareSignature), (other.unwrap(), Status::FirmwareModel)] {
        match install(&card, 1, &image) {
            Err(CardError::Command { status, .. }) => assert_eq!(status, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn progress_hears_of_every_piece_and_slots_are_chosen_by_what_they_hold() {
    let card = Card::found(transport(FaultPlan::default())).bring_up(&settings()).unwrap();
    let large = ImageSpec { payload_bytes: 200_000, ..spec(OLD) };
    let large = image::make(&large, &image::insecure_test_key()).unwrap();
    let mut heard = Vec::new();
    card.install_firmware(1, &large, &mut |done| heard.push(done)).unwrap();
    assert_eq!(heard, [65_536, 131_072, 196_608, 200_256]);
    let slots = card.firmware_slots().unwrap();
    assert_eq!((free_slot(&slots), rollback_slot(&slots)), (2, None));
    let card = card.start_firmware(1, &settings()).unwrap();
    let slots = card.firmware_slots().unwrap();
    assert_eq!((free_slot(&slots), rollback_slot(&slots)), (2, Some(0)));
}
