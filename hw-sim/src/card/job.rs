//! What an engine's job comes to: a status, a cost, and writes to host memory that wait for its end.

use crate::memory::MemoryFault;
use crate::msm::BoundExceeded;
use crate::ntt::NttFault;
use crate::stats::Cost;
use kiln_abi::{DmaFault, ParseError, Status};

/// A job that succeeded.
#[derive(Debug, Default)]
pub struct Done {
    /// What it cost.
    pub cost: Cost,
    /// Host address and bytes, written in order when the job ends.
    pub writes: Vec<(u64, Vec<u8>)>,
}

impl From<Cost> for Done {
    fn from(cost: Cost) -> Done {
        Done { cost, writes: Vec::new() }
    }
}

/// A job that did not. Its time is not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it ended.
    pub status: Status,
    /// Where: see [`Status`].
    pub result: u64,
}

impl From<DmaFault> for Failure {
    fn from(fault: DmaFault) -> Failure {
        Failure { status: Status::HostMemoryFault, result: fault.address }
    }
}

impl From<MemoryFault> for Failure {
    fn from(fault: MemoryFault) -> Failure {
        match fault {
            MemoryFault::OutOfRange { address, .. } => {
                Failure { status: Status::CardAddressRange, result: address }
            }
            MemoryFault::NotAnElement { address } => Failure { status: Status::MemoryError, result: address },
        }
    }
}

impl From<BoundExceeded> for Failure {
    fn from(fault: BoundExceeded) -> Failure {
        Failure { status: Status::ScalarBound, result: fault.index as u64 }
    }
}

impl From<NttFault> for Failure {
    fn from(fault: NttFault) -> Failure {
        match fault {
            NttFault::TooLarge { got, .. } => Failure { status: Status::Unsupported, result: u64::from(got) },
            NttFault::Length { got, .. } => Failure { status: Status::InvalidField, result: got },
            NttFault::ZeroShift => Failure { status: Status::InvalidField, result: 0 },
        }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Failure {
        Failure { status: Status::InvalidProgram, result: error.detail() }
    }
}
