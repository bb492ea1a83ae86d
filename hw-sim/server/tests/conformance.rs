//! One suite, whatever the way to the card: in process, and in a process of its own behind a socket.
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kiln_driver::conformance::{self, Check};
use kiln_driver::{Address, Card, CardError, Deadline, InProcess, Job, Loss, Settings, Transport};
use kiln_sim::Profile;

/// A card in a process of its own; ended when this is dropped.
struct Served {
    process: Child,
    folder: tempfile::TempDir,
}

impl Served {
    fn start(arguments: &[&str]) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_kiln-sim"))
            .args(["serve", "--socket"])
            .arg(folder.path().join("card.sock"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut served = Served { process, folder };
        let mut line = String::new();
        BufReader::new(served.process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{line}");
        served
    }

    fn address(&self) -> Address {
        Address::VfioUser(self.folder.path().join("card.sock"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A firmware image as `kiln-sim image` makes it.
fn image(profile: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    make_image(&path, &["--profile", profile, "--insecure-test-key"]);
    std::fs::read(path).unwrap()
}

fn make_image(path: &Path, arguments: &[&str]) {
    let made = Command::new(env!("CARGO_BIN_EXE_kiln-sim"))
        .args(["image", "--version", "1.2", "-o"])
        .arg(path)
        .args(arguments)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn bring_up(served: &Served) -> Card<kiln_driver::Ready> {
    Card::found(served.address().open().unwrap()).bring_up(&Settings::default()).unwrap()
}

fn assert_all_pass(checks: &[Check]) {
    assert!(checks.len() > 10, "{checks:?}");
    for check in checks {
        assert!(check.outcome.is_ok(), "{}: {:?}", check.name, check.outcome);
    }
}

#[test]
fn card_in_this_process_conforms() {
    let endpoint = kiln_sim::Card::new(Profile::load("u55c").unwrap());
    let transport = Arc::new(InProcess::new("sim:u55c", Box::new(endpoint)).unwrap());
    assert_all_pass(&conformance::run(transport, Some(&image("u55c")), |_| {}));
}

#[test]
fn card_in_another_process_conforms_for_one_client_after_the_other() {
    let served = Served::start(&["--profile", "u55c"]);
    for _ in 0..2 {
        assert_all_pass(&conformance::run(served.address().open().unwrap(), Some(&image("u55c")), |_| {}));
    }
}

#[test]
fn second_client_is_told_who_has_the_card() {
    let served = Served::start(&["--profile", "f2"]);
    let first = served.address().open().unwrap();
    match served.address().open().map(|_| ()) {
        Err(CardError::InUse { process: Some(process), .. }) => assert_eq!(process, std::process::id()),
        other => panic!("{other:?}"),
    }
    drop(first);
    assert!(served.address().open().is_ok());
}

#[test]
fn card_whose_process_dies_is_gone() {
    let mut served = Served::start(&[]);
    let card = bring_up(&served);
    served.process.kill().unwrap();
    served.process.wait().unwrap();
    let queue = &card.queues()[0];
    let deadline = || Deadline::after(Duration::from_secs(20));
    let outcome = queue.submit(&Job::Fence, deadline()).and_then(|ticket| queue.wait(&ticket, deadline()));
    assert!(matches!(outcome, Err(CardError::Gone)), "{outcome:?}");
    assert_eq!(card.lose().reason(), &Loss::Gone);
}

#[test]
fn socket_that_a_killed_server_left_is_replaced_and_one_that_is_served_is_not() {
    let served = Served::start(&[]);
    let path = served.folder.path().join("card.sock");
    let serve = |path: &Path| {
        Command::new(env!("CARGO_BIN_EXE_kiln-sim"))
            .args(["serve", "--once", "--socket"])
            .arg(path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let refused = serve(&path).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("served by another process"));
    let folder = tempfile::tempdir().unwrap();
    let stale = folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let mut second = serve(&stale);
    let mut line = String::new();
    BufReader::new(second.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let transport: Arc<dyn Transport> = Address::VfioUser(stale).open().unwrap();
    assert!(Card::found(transport).queue_pairs().unwrap() > 0);
    assert!(second.wait().unwrap().success(), "--once ends with its client");
}

#[test]
fn firmware_outlives_the_process_in_its_flash_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key =
        Command::new(env!("CARGO_BIN_EXE_kiln-sim")).args(["key", "-o", &path("key")]).status().unwrap();
    assert!(key.success());
    make_image(&folder.path().join("image"), &["--profile", "f2", "--key", &path("key"), "--floor", "1.0"]);
    let image = std::fs::read(path("image")).unwrap();
    let (flash, public) = (path("flash"), path("key.pub"));
    let arguments = ["--profile", "f2", "--flash", &flash, "--firmware-key", &public];

    let served = Served::start(&arguments);
    let card = bring_up(&served);
    assert_eq!(card.install_firmware(2, &image, &mut |_| {}).unwrap(), 0x1_0002);
    let card = card.start_firmware(2, &Settings::default()).unwrap();
    assert_eq!(card.identify().firmware_version, 0x1_0002);
    drop((card, served));

    let served = Served::start(&arguments);
    let card = bring_up(&served);
    let slots = card.firmware_slots().unwrap();
    assert_eq!((slots.running, slots.floor, card.identify().firmware_version), (2, 0x1_0000, 0x1_0002));
    // The flash is in one card.
    let second = Command::new(env!("CARGO_BIN_EXE_kiln-sim"))
        .args(["serve", "--flash", &flash, "--socket", &path("second.sock")])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2), "{second:?}");
    drop((card, served));

    // A card that trusts another key does not start what it did not check.
    let served = Served::start(&["--profile", "f2", "--flash", &flash]);
    assert_eq!(bring_up(&served).firmware_slots().unwrap().running, 0);
}

#[test]
fn power_lost_during_an_update_leaves_a_card_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let flash = folder.path().join("flash").to_str().unwrap().to_owned();
    let image = image("u55c");
    for step in [0, 1, 2, 10, 18, 19, 21, 23, 25] {
        let fault = format!("power-loss@{step}");
        let served = Served::start(&["--flash", &flash, "--fault", &fault]);
        let card = bring_up(&served);
        let old = card.identify().firmware_version;
        let slot = kiln_driver::firmware::free_slot(&card.firmware_slots().unwrap());
        let settings = Settings { timeout: Duration::from_secs(2), ..Settings::default() };
        let outcome = card
            .install_firmware(slot, &image, &mut |_| {})
            .and_then(|_| card.start_firmware(slot, &settings))
            .map(|_| ());
        drop(served);
        let served = Served::start(&["--flash", &flash]);
        let now = bring_up(&served).identify().firmware_version;
        assert!(now == old || now == 0x1_0002, "step {step}: {now:#x} after {outcome:?}");
    }
}
