//! Waiting with an end.

use std::time::{Duration, Instant};

use kiln_abi::register::{ALL_ONES, BAR_REGISTERS, CSTS_FATAL, Register};

use crate::error::{CardError, Loss};
use crate::transport::Transport;

/// Longest sleep before a waiter looks again by itself, in case an interrupt was lost.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// When a wait ends at the latest.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    end: Instant,
}

impl Deadline {
    /// A deadline this long from now; durations beyond a century are cut there.
    pub fn after(duration: Duration) -> Deadline {
        let started = Instant::now();
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        Deadline { started, end: started.checked_add(duration.min(century)).unwrap_or(started) }
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        Instant::now() >= self.end
    }

    /// The instant at which it passes.
    pub fn instant(&self) -> Instant {
        self.end
    }

    /// The end of a wait for `what` that did not succeed in time.
    pub(crate) fn not_yet(&self, what: &'static str) -> CardError {
        let waited = self.started.elapsed().as_millis();
        CardError::NotYet { what, waited_ms: u64::try_from(waited).unwrap_or(u64::MAX) }
    }
}

/// Reads a register; all ones in the status register means that the card is gone.
pub(crate) fn read(transport: &dyn Transport, register: Register) -> u32 {
    transport.read32(BAR_REGISTERS, register.offset())
}

/// What the status register says about a card from which nothing is heard.
pub(crate) fn check_alive(transport: &dyn Transport) -> Result<u32, Loss> {
    match read(transport, Register::Csts) {
        ALL_ONES => Err(Loss::Gone),
        csts if csts & CSTS_FATAL != 0 => Err(Loss::Fatal { csts }),
        csts => Ok(csts),
    }
}

/// Waits until the status register has `wanted` in the bits of `mask`.
pub(crate) fn wait_for_status(
    transport: &dyn Transport,
    mask: u32,
    wanted: u32,
    what: &'static str,
    deadline: Deadline,
) -> Result<(), CardError> {
    let mut pause = Duration::from_micros(20);
    loop {
        // A fatal card clears its state when it is disabled, so only a wait for readiness minds.
        let csts = match check_alive(transport) {
            Err(Loss::Fatal { csts }) if wanted == 0 => csts,
            other => other?,
        };
        if csts & mask == wanted {
            return Ok(());
        }
        if deadline.passed() {
            return Err(deadline.not_yet(what));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}
