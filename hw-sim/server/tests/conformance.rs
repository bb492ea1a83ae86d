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
    assert_all_pass(&conformance::run(transport, |_| {}));
}

#[test]
fn card_in_another_process_conforms_for_one_client_after_the_other() {
    let served = Served::start(&["--profile", "u55c"]);
    for _ in 0..2 {
        assert_all_pass(&conformance::run(served.address().open().unwrap(), |_| {}));
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
    let card = Card::found(served.address().open().unwrap()).bring_up(&Settings::default()).unwrap();
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
