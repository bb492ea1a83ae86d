//! One process for each card.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::CardError;

/// Holds a card for this process: an advisory lock on a file beside its socket, which the system gives back when the
/// process ends, however it ends. The file stays, so that two processes never lock two different files.
#[derive(Debug)]
pub(crate) struct OwnerLock {
    _file: File,
}

impl OwnerLock {
    /// Takes the lock that belongs to `path`.
    ///
    /// # Errors
    /// [`CardError::InUse`], with the owner's process id, when another process, or another part of this one, has it.
    pub(crate) fn take(path: &Path) -> Result<OwnerLock, CardError> {
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let fail = |error: std::io::Error| CardError::Transport {
            reason: format!("the owner's lock {} cannot be taken: {error}", lock_path.display()),
        };
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&lock_path).map_err(fail)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut owner = String::new();
                // Bounded: whatever is in that file, its beginning is enough.
                let _ = (&mut file).take(20).read_to_string(&mut owner);
                let process = owner.trim().parse().ok();
                return Err(CardError::InUse { card: path.display().to_string(), process });
            }
            Err(error) => return Err(fail(error.into())),
        }
        // The number is for the message only; a lock without it is as good.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = write!(file, "{}", std::process::id());
        Ok(OwnerLock { _file: file })
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn second_owner_learns_who_the_first_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("card.sock");
        let first = OwnerLock::take(&path).expect("free");
        match OwnerLock::take(&path) {
            Err(error @ CardError::InUse { process: Some(process), .. }) => {
                assert_eq!(process, std::process::id());
                assert!(error.to_string().contains("card.sock"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(OwnerLock::take(&path).is_ok());
    }

    #[test]
    fn folder_that_is_not_there_is_a_clear_error() {
        let missing = OwnerLock::take(Path::new("/nonexistent/card.sock"));
        assert!(matches!(missing, Err(CardError::Transport { .. })), "{missing:?}");
    }
}
