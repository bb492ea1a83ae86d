//! What a backend implements.

use ark_bn254::{Fr, G1Affine};

use crate::bases::Bases;
use crate::error::KernelFailure;
use crate::kernel::Kernel;

/// Names a vector in one device's memory. Never reused by that device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u64);

/// Names a list of points in one device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BasesId(pub u64);

/// Names a submission of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a device is.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Unique among the devices of an engine, for an operator to act on.
    pub name: String,
    /// Backend: `reference`, `cpu`, `card`.
    pub kind: &'static str,
    /// Memory for vectors and bases. \[bytes\]
    pub memory_bytes: u64,
    /// Clock of the cycles that it reports, if it reports any. \[Hz\]
    pub clock_hz: Option<u64>,
}

/// A kernel on buffers of one device.
pub struct Task<'a> {
    /// What to run.
    pub kernel: &'a Kernel,
    /// Its vectors, in order.
    pub inputs: &'a [BufferId],
    /// Where the points of [`Kernel::Msm`] are.
    pub bases: Option<BasesId>,
}

/// An accepted task.
#[derive(Clone, Debug)]
pub struct Submission {
    /// To wait on.
    pub ticket: Ticket,
    /// The vectors it will make; later submissions may name them at once.
    pub outputs: Vec<BufferId>,
}

/// What one task cost, as far as the device can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRecord {
    /// Cycles of the device's clock, if it counts them.
    pub cycles: Option<u64>,
    /// Of these, stalled, by cause.
    pub stall_cycles: Vec<(&'static str, u64)>,
    /// Bytes sent to the device.
    pub bytes_to_device: u64,
    /// Bytes brought back.
    pub bytes_to_host: u64,
}

/// Points that are on a device now.
#[derive(Clone, Debug)]
pub struct LoadedBases {
    /// Their name there.
    pub bases: BasesId,
    /// What it cost to bring them.
    pub record: TaskRecord,
}

/// A finished task.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// The point of an MSM.
    pub point: Option<G1Affine>,
    /// The scalars of an evaluation or a download.
    pub scalars: Vec<Fr>,
    /// What it cost.
    pub record: TaskRecord,
}

/// A device that runs kernels.
///
/// Submissions run in order. A buffer made by an earlier submission may be an input of a later one before the earlier
/// one has completed, and may be released before that too, so a device with queues can be kept full. Every method ends:
/// a device that waits for hardware has a deadline.
pub trait Device: Send {
    /// What this device is.
    fn info(&self) -> &DeviceInfo;

    /// How many tasks to submit, from now on, before the oldest is waited for. A device that runs each task when it is
    /// submitted needs no more than one, and what a task read is given back before the next.
    fn queue_depth(&self) -> usize {
        8
    }

    /// Copies points to the device.
    ///
    /// # Errors
    /// `Unsupported` when they do not fit, `DeviceFailed`.
    fn load_bases(&mut self, bases: &Bases) -> Result<LoadedBases, KernelFailure>;

    /// Frees points. Unknown ids are ignored.
    fn release_bases(&mut self, bases: BasesId);

    /// Accepts a task.
    ///
    /// # Errors
    /// `Unsupported` when this device cannot run it at this size, shape or with the memory that is left; nothing has
    /// changed then. `DeviceFailed`; `InvariantViolation`, also for an unknown buffer.
    fn submit(&mut self, task: &Task<'_>) -> Result<Submission, KernelFailure>;

    /// Waits for a task. Tickets are waited on in the order of submission, each once.
    ///
    /// # Errors
    /// `DeviceFailed` or `InvariantViolation`; never `Unsupported`.
    fn wait(&mut self, ticket: Ticket) -> Result<Completion, KernelFailure>;

    /// Frees a vector. Unknown ids are ignored.
    fn release(&mut self, buffer: BufferId);
}
