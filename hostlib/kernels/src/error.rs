//! The three kinds of kernel failure. They are never mixed, because each asks for another reaction.

use thiserror::Error;

/// Why a kernel gave no result.
#[allow(missing_docs, reason = "each message names its fields")]
#[derive(Debug, Error)]
pub enum KernelFailure {
    /// The device cannot run this kernel at this size or shape. Place it elsewhere; nothing is wrong.
    #[error("{device} cannot run {kernel}: {reason}; add another device, or reduce the problem")]
    Unsupported { device: String, kernel: &'static str, reason: String },
    /// The device stopped working. Quarantine it and replay on another: the proof still comes out.
    #[error("{device} failed while running {kernel}; take it out of service and run its self-test")]
    DeviceFailed {
        device: String,
        kernel: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A rule of the library was broken: a bug, here or in the caller. Never replay: that would hide it.
    #[error("invariant violated in {kernel}: {detail}; report this as a bug")]
    InvariantViolation { kernel: &'static str, detail: String },
}
