//! Firmware management from the host's side, on a card made of vectors whose power may fail.

extern crate std;
use std::vec;
use std::vec::Vec;

use ed25519_dalek::{Signer, SigningKey};
use kiln_abi::admin::{AdminCommand, CommitAction, Feature, LogPage};
use kiln_abi::firmware::{HEADER_BYTES, ImageHeader, SIGNATURE_BYTES, STARTS_MAX};
use kiln_abi::page::{FIRMWARE_SLOTS_BYTES, FirmwareSlots, Text, TrialOutcome};
use kiln_abi::register::{CC_ENABLE, Register};
use kiln_abi::{Completion, Status};
use sha2::{Digest, Sha256};

use crate::boot;
use crate::fake::{Bench, FakeHardware};
use crate::flash::{SECTOR_BYTES, SLOT_BYTES, slot_address};

/// Where the test's host keeps images.
const IMAGE: u64 = 0x9_0000;
const PAGE: u64 = 0x700;
/// More than a sector, and no whole number of pages.
const PAYLOAD_BYTES: usize = 4500;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

fn signed(mut header: ImageHeader, payload: &[u8], key: &SigningKey) -> Vec<u8> {
    header.signature = key.sign(&header.signed_bytes()).to_bytes();
    [&header.to_bytes()[..], payload].concat()
}

fn payload(version: u32) -> Vec<u8> {
    (0..PAYLOAD_BYTES).map(|i| (i as u32).wrapping_mul(version + 7) as u8).collect()
}

fn header(version: u32) -> ImageHeader {
    ImageHeader {
        version,
        payload_bytes: PAYLOAD_BYTES as u32,
        floor: 0,
        model: Text::new("fake card"),
        name: Text::new("test image"),
        digest: Sha256::digest(payload(version)).into(),
        signature: [0; SIGNATURE_BYTES],
    }
}

fn image(version: u32) -> Vec<u8> {
    signed(header(version), &payload(version), &key())
}

fn hardware() -> FakeHardware {
    FakeHardware { key: key().verifying_key().to_bytes(), ..FakeHardware::new() }
}

/// A card that runs what its flash says, ready.
fn ready(hardware: FakeHardware) -> Bench {
    let mut bench = Bench::on(hardware);
    bench.enable();
    bench
}

/// Function-level reset, or power that comes back: only flash is kept.
fn reset(bench: Bench) -> FakeHardware {
    FakeHardware { flash: bench.hardware.flash, flash_worn: bench.hardware.flash_worn, ..hardware() }
}

fn slots(bench: &mut Bench) -> FirmwareSlots {
    bench.admin(AdminCommand::GetLog { page: LogPage::FirmwareSlots, address: PAGE, bytes: 64 });
    let page: &[u8; FIRMWARE_SLOTS_BYTES] =
        bench.hardware.host[PAGE as usize..].first_chunk().expect("in memory");
    FirmwareSlots::parse(page).expect("well formed")
}

fn download(bench: &mut Bench, image: &[u8]) -> Completion {
    bench.hardware.host[IMAGE as usize..][..image.len()].copy_from_slice(image);
    let (mut at, mut last) = (0, None);
    for piece in image.chunks(3000) {
        let command = AdminCommand::FirmwareDownload {
            address: IMAGE + at as u64,
            bytes: piece.len() as u32,
            offset: at as u32,
        };
        at += piece.len();
        last = bench.admin_raw(command);
    }
    last.expect("an answer")
}

fn commit(bench: &mut Bench, slot: u8, action: CommitAction) -> (Status, u64) {
    let completion = bench.admin_raw(AdminCommand::FirmwareCommit { slot, action }).expect("an answer");
    (Status::from_code(completion.status).expect("known"), completion.result)
}

fn install(bench: &mut Bench, slot: u8, image: &[u8]) -> (Status, u64) {
    assert_eq!(download(bench, image).status, Status::Success.code());
    commit(bench, slot, CommitAction::Install)
}

fn activate(bench: &mut Bench, slot: u8) -> (Status, u64) {
    commit(bench, slot, CommitAction::Activate)
}

/// A card on which an image came up in slot 1.
fn updated(version: u32) -> Bench {
    let mut bench = ready(hardware());
    assert_eq!(install(&mut bench, 1, &image(version)), (Status::Success, u64::from(version)));
    assert_eq!(activate(&mut bench, 1), (Status::Success, u64::from(version)));
    ready(reset(bench))
}

#[test]
fn image_is_installed_activated_and_runs_after_the_reset() {
    let mut bench = ready(hardware());
    let before = slots(&mut bench);
    assert_eq!((before.running, before.next, before.versions), (0, 0, [1, 0, 0]));
    assert_eq!(install(&mut bench, 1, &image(0x1_0002)), (Status::Success, 0x1_0002));
    let installed = slots(&mut bench);
    assert_eq!((installed.running, installed.next, installed.versions), (0, 0, [1, 0x1_0002, 0]));
    activate(&mut bench, 1);
    let wanted = slots(&mut bench);
    assert_eq!((wanted.running, wanted.next, wanted.confirmed), (0, 1, 0));
    let mut bench = ready(reset(bench));
    let now = slots(&mut bench);
    assert_eq!((now.running, now.next, now.confirmed, now.previous), (1, 1, 1, Some(0)));
    assert_eq!(now.outcome, TrialOutcome::None);
    // And so it stays.
    let mut bench = ready(reset(bench));
    assert_eq!(slots(&mut bench), now);
    bench.admin(AdminCommand::Identify { address: PAGE });
    assert_eq!(bench.hardware.host[PAGE as usize + 4..][..4], 0x1_0002_u32.to_le_bytes());
}

#[test]
fn hostile_images_are_refused_each_for_its_own_reason_and_flash_stays_as_it_was() {
    let mut bench = updated(9);
    let flash = bench.hardware.flash.clone();
    let good = image(10);
    let stranger = SigningKey::from_bytes(&[43; 32]);
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let bytes = good.len() as u64;
    let long = ImageHeader { payload_bytes: SLOT_BYTES, ..header(10) };
    let other = ImageHeader { model: Text::new("another card"), ..header(10) };
    for (what, image, expected) in [
        ("noise", vec![7; 5000], (Status::FirmwareMalformed, 0x0707_0707_0707_0707)),
        (
            "version 0",
            signed(ImageHeader { floor: 0, ..header(0) }, &payload(0), &key()),
            (Status::FirmwareMalformed, 0),
        ),
        ("another key", signed(header(10), &payload(10), &stranger), (Status::FirmwareSignature, 0)),
        ("a header changed after signing", flipped(89), (Status::FirmwareSignature, 0)),
        ("a signature changed", flipped(200), (Status::FirmwareSignature, 0)),
        ("another model", signed(other, &payload(10), &key()), (Status::FirmwareModel, 0)),
        ("a header alone", good[..HEADER_BYTES].to_vec(), (Status::FirmwareLength, 256)),
        ("less than a header", good[..100].to_vec(), (Status::FirmwareLength, 100)),
        ("one byte short", good[..good.len() - 1].to_vec(), (Status::FirmwareLength, bytes - 1)),
        ("one byte long", [&good[..], &[0]].concat(), (Status::FirmwareLength, bytes + 1)),
        (
            "larger than a slot",
            signed(long, &payload(10), &key()),
            (Status::FirmwareTooLarge, u64::from(SLOT_BYTES)),
        ),
        ("another payload", flipped(HEADER_BYTES), (Status::FirmwareDigest, 0)),
        ("another last byte", flipped(good.len() - 1), (Status::FirmwareDigest, 0)),
    ] {
        assert_eq!(install(&mut bench, 2, &image), expected, "{what}");
        assert_eq!(bench.hardware.flash, flash, "{what}");
    }
    assert_eq!(install(&mut bench, 2, &good), (Status::Success, 10));
}

#[test]
fn images_below_the_floor_neither_install_nor_start() {
    let mut bench = updated(9);
    let raised = signed(ImageHeader { floor: 10, ..header(11) }, &payload(11), &key());
    assert_eq!(install(&mut bench, 2, &raised), (Status::Success, 11));
    assert_eq!(slots(&mut bench).floor, 0, "not before it came up");
    assert_eq!(activate(&mut bench, 2).0, Status::Success);
    let mut bench = ready(reset(bench));
    assert_eq!((slots(&mut bench).running, slots(&mut bench).floor), (2, 10));
    assert_eq!(install(&mut bench, 1, &image(9)), (Status::FirmwareVersionFloor, 10));
    assert_eq!(activate(&mut bench, 1), (Status::FirmwareVersionFloor, 10), "what lies there is version 9");
    assert_eq!(activate(&mut bench, 0), (Status::FirmwareVersionFloor, 10), "nor the factory image");
    assert_eq!(install(&mut bench, 1, &image(10)), (Status::Success, 10));
    assert_eq!(activate(&mut bench, 1), (Status::Success, 10));
}

#[test]
fn slots_that_run_are_empty_or_do_not_exist_are_refused() {
    let mut bench = updated(9);
    assert_eq!(install(&mut bench, 1, &image(10)), (Status::FirmwareSlotInUse, 1));
    for slot in [0, 3, 0xff] {
        assert_eq!(install(&mut bench, slot, &image(10)), (Status::FirmwareSlotInvalid, u64::from(slot)));
    }
    for slot in [2, 3, 0xff] {
        assert_eq!(activate(&mut bench, slot), (Status::FirmwareSlotInvalid, u64::from(slot)));
    }
}

#[test]
fn pieces_continue_or_start_anew() {
    let mut bench = ready(hardware());
    let mut piece = |bytes, offset| {
        let command = AdminCommand::FirmwareDownload { address: IMAGE, bytes, offset };
        let completion = bench.admin_raw(command).expect("an answer");
        (Status::from_code(completion.status).expect("known"), completion.result)
    };
    assert_eq!(piece(100, 0), (Status::Success, 100));
    assert_eq!(piece(100, 200), (Status::FirmwareOffset, 100));
    assert_eq!(piece(100, 100), (Status::Success, 200));
    assert_eq!(piece(0, 200).0, Status::InvalidField);
    assert_eq!(piece(65_537, 200).0, Status::InvalidField);
    assert_eq!(piece(5, 0), (Status::Success, 5));
    let far = AdminCommand::FirmwareDownload { address: u64::MAX - 10, bytes: 64, offset: 5 };
    assert_eq!(bench.admin_raw(far).expect("an answer").status, Status::HostMemoryFault.code());
    let mut at = 0;
    while at < SLOT_BYTES {
        let command = AdminCommand::FirmwareDownload { address: IMAGE, bytes: 65_536, offset: at };
        at = bench.admin(command) as u32;
    }
    let command = AdminCommand::FirmwareDownload { address: IMAGE, bytes: 1, offset: at };
    let refused = bench.admin_raw(command).expect("an answer");
    assert_eq!(refused.status, Status::FirmwareTooLarge.code());
}

#[test]
fn image_that_never_becomes_ready_is_given_up_after_some_starts() {
    let mut bench = updated(9);
    install(&mut bench, 2, &image(10));
    activate(&mut bench, 2);
    let mut hardware = reset(bench);
    for _ in 0..STARTS_MAX {
        let running = boot::select(&mut hardware);
        assert_eq!((running.slot, running.trial), (2, true));
    }
    let mut bench = ready(hardware);
    let after = slots(&mut bench);
    assert_eq!((after.running, after.next, after.confirmed), (1, 1, 1));
    assert_eq!((after.outcome, after.previous), (TrialOutcome::DidNotComeUp, Some(0)));
    assert_eq!(after.versions, [1, 9, 10], "the image is still there, and may be tried again");
    assert_eq!(activate(&mut bench, 2), (Status::Success, 10));
}

#[test]
fn image_that_does_not_start_is_given_up_at_once() {
    let mut bench = updated(9);
    install(&mut bench, 2, &image(10));
    activate(&mut bench, 2);
    let mut hardware = reset(bench);
    let failed = boot::select(&mut hardware);
    let running = boot::select_after(&mut hardware, &failed);
    assert_eq!((running.slot, running.version, running.trial), (1, 9, false));
    // Should the confirmed one not start either, there is the factory image.
    let running = boot::select_after(&mut hardware, &running);
    assert_eq!((running.slot, running.trial), (0, false));
    assert_eq!(slots(&mut ready(hardware)).outcome, TrialOutcome::DidNotComeUp);
}

#[test]
fn damaged_images_do_not_start() {
    let mut bench = updated(9);
    install(&mut bench, 2, &image(10));
    activate(&mut bench, 2);
    let mut hardware = reset(bench);
    let at = |slot| slot_address(slot).expect("a slot") as usize;
    hardware.flash[at(2) + 4000] ^= 1;
    let mut bench = ready(hardware);
    let after = slots(&mut bench);
    assert_eq!((after.running, after.outcome, after.versions), (1, TrialOutcome::Damaged, [1, 9, 0]));
    bench.hardware.flash[at(1)] ^= 1;
    let mut bench = ready(reset(bench));
    assert_eq!((slots(&mut bench).running, slots(&mut bench).versions), (0, [1, 0, 0]));
    // The slot that was confirmed can be used again, and the card forgets what it knew of it.
    assert_eq!(install(&mut bench, 1, &image(12)), (Status::Success, 12));
    let mut bench = ready(reset(bench));
    assert_eq!((slots(&mut bench).running, slots(&mut bench).versions), (0, [1, 12, 0]));
}

#[test]
fn going_back_is_an_activation_of_the_slot_before() {
    let mut bench = updated(9);
    install(&mut bench, 2, &image(10));
    activate(&mut bench, 2);
    let mut bench = ready(reset(bench));
    assert_eq!((slots(&mut bench).running, slots(&mut bench).previous), (2, Some(1)));
    activate(&mut bench, 1);
    // Who changes his mind activates what runs.
    activate(&mut bench, 2);
    assert_eq!(slots(&mut bench).next, 2);
    activate(&mut bench, 1);
    let mut bench = ready(reset(bench));
    assert_eq!((slots(&mut bench).running, slots(&mut bench).previous), (1, Some(2)));
    // Installing over the slot before leaves the factory image as what was before.
    install(&mut bench, 2, &image(11));
    assert_eq!(slots(&mut bench).previous, Some(0));
    activate(&mut bench, 0);
    assert_eq!(slots(&mut ready(reset(bench))).running, 0);
}

#[test]
fn worn_flash_is_reported_and_the_old_image_stays() {
    let mut bench = updated(9);
    bench.hardware.flash_worn = true;
    assert_eq!(install(&mut bench, 2, &image(10)), (Status::FirmwareFlash, 2));
    assert_eq!(activate(&mut bench, 0), (Status::FirmwareFlash, 0));
    assert_eq!(slots(&mut ready(reset(bench))).running, 1);
}

#[test]
fn writing_an_image_does_not_count_as_silence_of_the_host() {
    let mut bench = ready(hardware());
    bench.admin(AdminCommand::SetFeature { feature: Feature::KeepAliveTimeout, value: 1 });
    download(&mut bench, &image(10));
    bench.hardware.flash_ticks = 10_000;
    assert_eq!(commit(&mut bench, 1, CommitAction::Install), (Status::Success, 10));
    assert_eq!(slots(&mut bench).versions, [1, 10, 0], "the controller still serves");
}

/// An update from version 9 in slot 1 to version 10 in slot 2, up to ready. True when it came to its end.
fn update(mut hardware: FakeHardware, power: Option<(u32, usize)>) -> (Bench, u32) {
    hardware.power = power;
    let mut bench = ready(hardware);
    install(&mut bench, 2, &image(10));
    activate(&mut bench, 2);
    // The reset is no power cycle: if power has failed by now, it stays away until the bench is done.
    let FakeHardware { flash, flash_steps, .. } = bench.hardware;
    let bench = ready(FakeHardware { flash, flash_steps, power, ..self::hardware() });
    let steps = bench.hardware.flash_steps;
    (bench, steps)
}

/// Power comes back: what runs, and whether it is sound.
fn powered_again(bench: Bench) -> (u8, u32) {
    let mut bench = ready(reset(bench));
    let now = slots(&mut bench);
    (now.running, now.versions[usize::from(now.running)])
}

#[test]
fn power_may_fail_at_every_step_and_the_card_starts_with_the_old_image_or_the_new() {
    let mut before = updated(9);
    // Something older lies where the new image goes, and can be gone back to: the hardest case.
    install(&mut before, 2, &image(8));
    activate(&mut before, 2);
    let mut before = ready(reset(before));
    activate(&mut before, 1);
    let before = reset(ready(reset(before)));
    let fresh = || FakeHardware { flash: before.flash.clone(), ..hardware() };
    let (bench, steps) = update(fresh(), None);
    assert_eq!(powered_again(bench), (2, 10));
    let sectors = (HEADER_BYTES + PAYLOAD_BYTES).div_ceil(SECTOR_BYTES as usize) as u32;
    assert!(steps > sectors + 20, "{steps}");
    let (mut old, mut new) = (0, 0);
    for step in 0..steps {
        for part in [0, 3, 500, 996, 1000] {
            let (bench, _) = update(fresh(), Some((step, part)));
            let broken = reset(bench);
            // Power may fail again while the card starts, at every step of that.
            for again in [None, Some(0), Some(1), Some(2), Some(3)] {
                let power = again.map(|step| (step, part));
                let second = Bench::on(FakeHardware { flash: broken.flash.clone(), power, ..hardware() });
                match powered_again(second) {
                    (1, 9) => old += 1,
                    (2, 10) => new += 1,
                    other => panic!("power lost at step {step}, {part}/1000, then {again:?}: {other:?}"),
                }
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

#[test]
fn ready_is_what_confirms() {
    let mut bench = updated(9);
    install(&mut bench, 2, &image(10));
    activate(&mut bench, 2);
    let mut bench = Bench::on(reset(bench));
    assert_eq!(bench.register(Register::Cc) & CC_ENABLE, 0);
    let flash = bench.hardware.flash.clone();
    bench.run();
    assert_eq!(bench.hardware.flash, flash, "not before the host enables it");
    bench.enable();
    assert_eq!(slots(&mut bench).confirmed, 2);
}
