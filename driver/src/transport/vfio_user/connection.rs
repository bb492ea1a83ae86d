//! A connection to a vfio-user server: one request at a time, each with a deadline.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

use super::message::{Answer, Command, HEADER_BYTES, header, parse_reply};

/// Largest payload of a reply that is ever accepted. \[bytes\]
const REPLY_MAX: usize = 4096;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Failure {
    /// The server refused it; the connection goes on.
    #[error("the server refused {command:?} with error {errno}")]
    Refused {
        /// What.
        command: Command,
        /// Its error number, 0 where it gives none.
        errno: u32,
    },
    /// The connection is of no use any more.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// A connection. The first thing that goes wrong on the stream ends it, because nothing after it could be trusted to
/// belong to anything.
pub(super) struct Connection {
    state: Mutex<State>,
}

struct State {
    stream: UnixStream,
    next_id: u16,
    broken: Option<String>,
}

impl Connection {
    /// Connects. No read or write takes longer than `timeout`.
    pub(super) fn open(path: &Path, timeout: Duration) -> io::Result<Connection> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Connection { state: Mutex::new(State { stream, next_id: 0, broken: None }) })
    }

    /// Changes how long a read or write may take.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        let state = self.lock();
        state.stream.set_read_timeout(Some(timeout))?;
        state.stream.set_write_timeout(Some(timeout))
    }

    /// Sends a command and waits for its reply: the payload.
    pub(super) fn request(
        &self,
        command: Command,
        payload: &[u8],
        files: &[&dyn AsRawFd],
    ) -> Result<Vec<u8>, Failure> {
        let mut state = self.usable()?;
        let outcome = state.send(command, payload, files, Answer::Wanted).and_then(|id| {
            let (error, payload) = state.receive(id, command)?;
            Ok(match error {
                None => Ok(payload),
                Some(errno) => Err(Failure::Refused { command, errno }),
            })
        });
        outcome.unwrap_or_else(|reason| Err(state.break_off(reason)))
    }

    /// Sends a command that has no reply.
    pub(super) fn post(&self, command: Command, payload: &[u8]) -> Result<(), Failure> {
        let mut state = self.usable()?;
        let sent = state.send(command, payload, &[], Answer::None);
        sent.map(|_| ()).map_err(|reason| state.break_off(reason))
    }

    fn usable(&self) -> Result<MutexGuard<'_, State>, Failure> {
        let state = self.lock();
        match &state.broken {
            Some(reason) => Err(Failure::Broken(reason.clone())),
            None => Ok(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(
        &mut self,
        command: Command,
        payload: &[u8],
        files: &[&dyn AsRawFd],
        answer: Answer,
    ) -> Result<u16, String> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let mut message = header(id, command, payload.len(), answer).to_vec();
        message.extend_from_slice(payload);
        let failed = |error: io::Error| format!("sending {command:?}: {}", said(&error));
        let sent = if files.is_empty() { 0 } else { self.send_files(&message, files).map_err(failed)? };
        self.stream.write_all(&message[sent..]).map_err(failed)?;
        Ok(id)
    }

    /// Sends the beginning of a message with file descriptors; returns how much of it went.
    fn send_files(&self, message: &[u8], files: &[&dyn AsRawFd]) -> io::Result<usize> {
        let files: Vec<RawFd> = files.iter().map(|file| file.as_raw_fd()).collect();
        loop {
            match self.stream.send_with_fds(&[message], &files).map_err(io::Error::from) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn receive(&mut self, id: u16, command: Command) -> Result<(Option<u32>, Vec<u8>), String> {
        let failed = |error: io::Error| format!("waiting for the reply to {command:?}: {}", said(&error));
        let mut bytes = [0; HEADER_BYTES];
        self.stream.read_exact(&mut bytes).map_err(failed)?;
        let reply = parse_reply(&bytes, id, command, REPLY_MAX)?;
        let mut payload = vec![0; reply.payload_bytes];
        self.stream.read_exact(&mut payload).map_err(failed)?;
        Ok((reply.error, payload))
    }

    fn break_off(&mut self, reason: String) -> Failure {
        tracing::error!(%reason, "vfio-user connection broken");
        // The server learns that nobody listens any more; it may be gone itself.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.broken = Some(reason.clone());
        Failure::Broken(reason)
    }
}

/// The system's words, or plainer ones for the cases that an operator meets.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            "the server closed the connection".to_owned()
        }
        _ => error.to_string(),
    }
}
