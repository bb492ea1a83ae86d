//! The client against servers that do not keep to the protocol.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::connection::{Connection, Failure};
use super::message::{Command, HEADER_BYTES};
use super::*;

/// What a server sends for a request, given its header.
type Answer = fn(&[u8; HEADER_BYTES]) -> Vec<u8>;

/// Serves one connection: answers each message of 16 bytes with what the next function makes of it, then falls silent.
fn server(answers: Vec<Answer>) -> (tempfile::TempDir, PathBuf, std::thread::JoinHandle<()>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("card.sock");
    let listener = UnixListener::bind(&path).expect("bound");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        for answer in answers {
            let mut header = [0; HEADER_BYTES];
            if stream.read_exact(&mut header).is_err() {
                return;
            }
            let _ = stream.write_all(&answer(&header));
        }
        // Until the client hangs up.
        let _ = stream.read(&mut [0]);
    });
    (folder, path, thread)
}

fn reply(header: &[u8; HEADER_BYTES], flags: u32, error: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes[4..8].copy_from_slice(&((HEADER_BYTES + payload.len()) as u32).to_le_bytes());
    bytes[8..12].copy_from_slice(&flags.to_le_bytes());
    bytes[12..16].copy_from_slice(&error.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn outcome_of(answers: Vec<Answer>, requests: usize) -> Vec<Result<Vec<u8>, Failure>> {
    let (_folder, path, thread) = server(answers);
    let connection = Connection::open(&path, Duration::from_millis(100)).expect("connected");
    let outcomes = (0..requests).map(|_| connection.request(Command::Reset, &[], &[])).collect();
    drop(connection);
    thread.join().expect("no panic");
    outcomes
}

#[test]
fn refusal_is_an_error_and_the_connection_goes_on() {
    let outcomes = outcome_of(vec![|h| reply(h, 0x21, 22, &[]), |h| reply(h, 1, 0, b"abc")], 2);
    assert_eq!(outcomes[0], Err(Failure::Refused { command: Command::Reset, errno: 22 }));
    assert_eq!(outcomes[1], Ok(b"abc".to_vec()));
}

#[test]
fn refusal_without_a_reason_is_still_a_refusal() {
    let outcomes = outcome_of(vec![|h| reply(h, 0x21, 0, &[])], 1);
    assert_eq!(outcomes[0], Err(Failure::Refused { command: Command::Reset, errno: 0 }));
}

#[test]
fn anything_else_ends_the_connection_at_once() {
    let wrong: [Answer; 6] = [
        |_| Vec::new(),
        |h| reply(h, 0, 0, &[]),
        |h| reply(&[h[0] ^ 1, h[1], h[2], h[3], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1, 0, &[]),
        |h| reply(h, 1, 0, &[0; 5000]),
        |h| reply(h, 1, 0, &[0; 8])[..20].to_vec(),
        |h| {
            let mut bytes = reply(h, 1, 0, &[]);
            bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
            bytes
        },
    ];
    for (index, answer) in wrong.into_iter().enumerate() {
        let outcomes = outcome_of(vec![answer, |h| reply(h, 1, 0, &[])], 2);
        assert!(matches!(outcomes[0], Err(Failure::Broken(_))), "{index}: {outcomes:?}");
        assert_eq!(outcomes[0], outcomes[1], "{index}: the reason stands");
    }
}

#[test]
fn server_that_hangs_up_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("card.sock");
    let listener = UnixListener::bind(&path).expect("bound");
    let connection = Connection::open(&path, Duration::from_secs(20)).expect("connected");
    drop(listener);
    let outcome = connection.request(Command::Reset, &[], &[]);
    assert!(matches!(outcome, Err(Failure::Broken(_))), "{outcome:?}");
    assert!(connection.post(Command::Reset, &[]).is_err());
}

#[test]
fn nobody_at_the_socket_is_a_clear_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("card.sock");
    let error = VfioUser::open(&path).map(|_| ()).expect_err("nobody there");
    assert!(error.to_string().contains("no vfio-user server"), "{error}");
    std::fs::write(&path, b"").expect("a file");
    assert!(VfioUser::open(&path).is_err());
}

#[test]
fn device_that_is_not_pci_is_refused() {
    let version: Answer = |h| reply(h, 1, 0, &[0, 0, 0, 0, b'{', b'}', 0]);
    let (_folder, path, thread) = server(vec![version]);
    // The greeting's payload is longer than a header, so the server takes it for messages and falls silent or errs.
    let connection = Connection::open(&path, Duration::from_millis(50)).expect("connected");
    assert!(greet(&connection).is_err());
    drop(connection);
    thread.join().expect("no panic");
}
