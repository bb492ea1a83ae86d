//! The proving kernels (MSM, NTT, vector), the work graph, and its backends.
//!
//! ```text
//!   prover ──writes──► Graph of kernels on Vector handles
//!                        │ Engine::run: places tasks, moves vectors, replays what a failed device held
//!            ┌───────────┼───────────┐   one worker thread per device
//!            ▼           ▼           ▼
//!        reference      cpu        card ──► driver        each implements Device
//! ```
//!
//! Kernels take field elements, points and programs, never a transcript: a backend may be slow, or fail, but it cannot
//! change the protocol. Vectors stay on the device that made them; what comes back to the host is commitments,
//! evaluations, and what is downloaded by name.
#![deny(unsafe_code)]

mod bases;
mod builder;
pub mod card;
pub mod cpu;
mod device;
mod engine;
mod error;
#[allow(unsafe_code, reason = "a call of the C library")]
mod freed;
mod graph;
mod host;
mod host_data;
mod kernel;
#[allow(
    unsafe_code,
    reason = "memory that is written before it is read; one system call, which changes no value"
)]
mod large_pages;
#[allow(unsafe_code, reason = "a file mapped into memory, read as points")]
mod multiples;
mod program;
pub mod reference;
mod report;
mod values;
mod vector;

pub use bases::Bases;
pub use builder::{ProgramBuilder, Value};
pub use device::{
    BasesId, BufferId, Completion, Device, DeviceInfo, LoadedBases, Submission, Task, TaskRecord, Ticket,
};
pub use engine::{Engine, Outcome};
pub use error::KernelFailure;
pub use freed::return_freed_memory;
pub use graph::{Graph, PendingPoint, PendingScalars};
pub use host_data::HostData;
pub use kernel::{Kernel, LOG_DOMAIN_MAX, ScalarBound, ScanKind};
pub use multiples::{Multiples, MultiplesError};
pub use program::{Instruction, Program, REGISTERS_MAX, Register};
pub use report::{DeviceReport, KernelReport, Report};
pub use values::{Lender, Values};
pub use vector::Vector;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeCompiles;
