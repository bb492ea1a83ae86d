//! One worker per device: the engine's handle on its thread, and the messages between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, unbounded};

use super::service::Service;
use super::{Shared, read};
use crate::device::{Completion, Device, DeviceInfo};
use crate::error::KernelFailure;
use crate::kernel::Kernel;
use crate::report::{DeviceReport, KernelReport};
use crate::vector::{DeviceKey, VectorId, lock};

/// A kernel on vectors that are on this worker's device, or will be when all earlier commands are done.
pub(super) struct Job {
    /// Comes back in the answer.
    pub(super) tag: usize,
    pub(super) kernel: Kernel,
    pub(super) inputs: Vec<VectorId>,
    pub(super) input_lens: Vec<usize>,
    /// `None`: nobody wants this output.
    pub(super) outputs: Vec<Option<VectorId>>,
    pub(super) answer: Sender<Answer>,
    /// Set when the run that sent this has ended.
    pub(super) cancelled: Arc<AtomicBool>,
}

/// What a worker sends back to a run.
pub(super) enum Answer {
    /// The end of a job.
    Done { tag: usize, result: Result<Completion, JobFailure> },
    /// A task did not fit, so the worker wants back what can be had before it tries once more: answer this when all
    /// answers before it have been dealt with, and the handles that they freed are dropped.
    Settle(Sender<()>),
}

/// Why a job gave no result.
pub(super) enum JobFailure {
    /// These inputs are not on the device: what should have made them did not run.
    Missing(Vec<VectorId>),
    /// The device said so.
    Kernel(KernelFailure),
}

/// The engine's side of a worker.
pub(super) struct Worker {
    pub(super) key: DeviceKey,
    pub(super) standby: bool,
    jobs: Option<Sender<Job>>,
    /// Vectors whose last handle dropped. They overtake the jobs: no job in the queue needs them.
    pub(super) releases: Sender<VectorId>,
    info: DeviceInfo,
    totals: Shared<BTreeMap<&'static str, KernelReport>>,
    quarantined: Shared<Option<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(device: Box<dyn Device>, standby: bool) -> Result<Worker, KernelFailure> {
        let info = device.info().clone();
        let (jobs, inbox) = unbounded();
        let (releases, released) = unbounded();
        let totals = Shared::default();
        let quarantined = Shared::default();
        let service = Service::new(device, released, Arc::clone(&totals), Arc::clone(&quarantined));
        let thread = std::thread::Builder::new()
            .name(format!("kiln-{}", info.name))
            .spawn(move || service.serve(&inbox))
            .map_err(|source| KernelFailure::DeviceFailed {
                device: info.name.clone(),
                kernel: "start",
                source: Box::new(source),
            })?;
        let key = DeviceKey::new();
        let thread = Some(thread);
        Ok(Worker { key, standby, jobs: Some(jobs), releases, info, totals, quarantined, thread })
    }

    pub(super) fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only after the sender has gone.
            let _ = jobs.send(job);
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.info.name
    }

    pub(super) fn is_quarantined(&self) -> bool {
        lock(&self.quarantined).is_some()
    }

    /// Why it is quarantined, if it is.
    pub(super) fn quarantined(&self) -> Option<String> {
        read(&self.quarantined)
    }

    pub(super) fn report(&self) -> DeviceReport {
        DeviceReport { info: self.info.clone(), quarantined: self.quarantined(), kernels: read(&self.totals) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without a sender of jobs the thread ends.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
