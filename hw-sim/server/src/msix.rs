//! Interrupt vectors: eventfds of the client.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_abi::Interrupts;

/// The vectors that the client has connected.
pub(crate) struct MsixVectors {
    events: Mutex<Vec<Option<File>>>,
}

impl MsixVectors {
    /// This many vectors, none connected.
    pub(crate) fn new(count: u8) -> MsixVectors {
        MsixVectors { events: Mutex::new((0..count).map(|_| None).collect()) }
    }

    /// Connects vectors from `start` on; one without a file is disconnected. Vectors that do not exist are ignored.
    pub(crate) fn connect(&self, start: u32, count: u32, files: Vec<File>) {
        let mut files = files.into_iter();
        let mut events = self.lock();
        for slot in events.iter_mut().skip(start as usize).take(count as usize) {
            *slot = files.next();
        }
    }

    /// Disconnects all.
    pub(crate) fn clear(&self) {
        self.lock().fill_with(|| None);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<File>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupts for MsixVectors {
    fn raise(&self, vector: u16) {
        if let Some(Some(event)) = self.lock().get_mut(usize::from(vector)) {
            // A counter that is full has been signalled often enough.
            let _ = event.write(&1_u64.to_ne_bytes());
        }
    }
}
