//! Which of the three kinds of failure a driver error is.

use kiln_abi::Status;
use kiln_driver::CardError;
use thiserror::Error;

use super::CardDevice;
use crate::error::KernelFailure;

/// A card gave something that no correct card gives.
#[derive(Debug, Error)]
#[error("it gave {0}; take it out of service and run its self-test")]
struct WrongResult(&'static str);

impl CardDevice {
    pub(super) fn fail(&self, kernel: &'static str, error: CardError) -> KernelFailure {
        let device = self.info.name.clone();
        match error {
            // These come from the host's side, before the card has been asked.
            CardError::CardMemoryFull { .. } | CardError::JobSize { .. } | CardError::Map { .. } => {
                KernelFailure::Unsupported { device, kernel, reason: error.to_string() }
            }
            CardError::BufferBounds { .. } | CardError::TicketSpent => {
                KernelFailure::InvariantViolation { kernel, detail: error.to_string() }
            }
            CardError::Command { status, .. } if is_bug(status) => {
                KernelFailure::InvariantViolation { kernel, detail: format!("{device}: {error}") }
            }
            error => KernelFailure::DeviceFailed { device, kernel, source: Box::new(error) },
        }
    }

    pub(super) fn lied(&self, kernel: &'static str, what: &'static str) -> KernelFailure {
        let device = self.info.name.clone();
        KernelFailure::DeviceFailed { device, kernel, source: Box::new(WrongResult(what)) }
    }
}

/// Whether a card with this answer is right and its caller wrong.
fn is_bug(status: Status) -> bool {
    matches!(
        status,
        Status::InvalidField
            | Status::CardAddressRange
            | Status::CardAddressAlignment
            | Status::Overlap
            | Status::ScatterList
            | Status::InvalidProgram
            | Status::PointNotOnCurve
            | Status::ScalarBound
    )
}
