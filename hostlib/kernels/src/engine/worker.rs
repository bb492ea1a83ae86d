//! One thread per device: it submits what it is sent, in order, and answers each task once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::{Shared, read};
use crate::bases::{Bases, BasesWatch};
use crate::device::{BasesId, BufferId, Completion, Device, DeviceInfo, Task, TaskRecord, Ticket};
use crate::error::KernelFailure;
use crate::kernel::Kernel;
use crate::report::{DeviceReport, KernelReport};
use crate::vector::{DeviceKey, VectorId, lock};

/// Tasks that a worker keeps submitted before it waits for the oldest.
const IN_FLIGHT_MAX: usize = 8;

/// What a worker is sent.
pub(crate) enum Command {
    /// Run a kernel and answer.
    Run(Job),
    /// The last handle on this vector dropped.
    Release(VectorId),
    /// Answer nothing more and end.
    Stop,
}

/// A kernel on vectors that are on this worker's device, or will be when all earlier commands are done.
pub(crate) struct Job {
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

/// The end of a job.
pub(crate) struct Answer {
    pub(super) tag: usize,
    pub(super) result: Result<Completion, JobFailure>,
}

/// Why a job gave no result.
pub(crate) enum JobFailure {
    /// These inputs are not on the device: what should have made them did not run.
    Missing(Vec<VectorId>),
    /// The device said so.
    Kernel(KernelFailure),
}

/// The engine's side of a worker.
pub(super) struct Worker {
    pub(super) key: DeviceKey,
    pub(super) standby: bool,
    pub(super) commands: Sender<Command>,
    info: DeviceInfo,
    totals: Shared<BTreeMap<&'static str, KernelReport>>,
    quarantined: Shared<Option<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(device: Box<dyn Device>, standby: bool) -> Result<Worker, KernelFailure> {
        let info = device.info().clone();
        let (commands, inbox) = unbounded();
        let totals = Shared::default();
        let quarantined = Shared::default();
        let state = State {
            device,
            name: info.name.clone(),
            buffers: HashMap::new(),
            bases: HashMap::new(),
            in_flight: VecDeque::new(),
            totals: Arc::clone(&totals),
            quarantined: Arc::clone(&quarantined),
        };
        let thread = std::thread::Builder::new()
            .name(format!("kiln-{}", info.name))
            .spawn(move || state.serve(&inbox))
            .map_err(|source| KernelFailure::DeviceFailed {
                device: info.name.clone(),
                kernel: "start",
                source: Box::new(source),
            })?;
        let key = DeviceKey::new();
        Ok(Worker { key, standby, commands, info, totals, quarantined, thread: Some(thread) })
    }

    pub(super) fn is_quarantined(&self) -> bool {
        lock(&self.quarantined).is_some()
    }

    pub(super) fn report(&self) -> DeviceReport {
        DeviceReport {
            info: self.info.clone(),
            quarantined: read(&self.quarantined),
            kernels: read(&self.totals),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The thread may be gone already; joining it is all that is left to do then.
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// The thread's side of a worker.
struct State {
    device: Box<dyn Device>,
    name: String,
    buffers: HashMap<VectorId, BufferId>,
    bases: HashMap<u64, (BasesWatch, BasesId)>,
    in_flight: VecDeque<InFlight>,
    totals: Shared<BTreeMap<&'static str, KernelReport>>,
    quarantined: Shared<Option<String>>,
}

/// A job that the device has accepted.
struct InFlight {
    ticket: Ticket,
    tag: usize,
    kernel: &'static str,
    elements: u64,
    submitting: Duration,
    answer: Sender<Answer>,
}

impl State {
    fn serve(mut self, inbox: &Receiver<Command>) {
        loop {
            // With work in flight take what is there, up to the limit, and else wait for the device; without, wait
            // for a command.
            let command = if self.in_flight.is_empty() {
                inbox.recv().ok()
            } else if self.in_flight.len() < IN_FLIGHT_MAX {
                match inbox.try_recv() {
                    Ok(command) => Some(command),
                    Err(_) => {
                        self.complete_oldest();
                        continue;
                    }
                }
            } else {
                self.complete_oldest();
                continue;
            };
            match command {
                Some(Command::Run(job)) => self.run(job),
                Some(Command::Release(vector)) => self.release(vector),
                Some(Command::Stop) | None => return,
            }
        }
    }

    fn release(&mut self, vector: VectorId) {
        if let Some(buffer) = self.buffers.remove(&vector) {
            self.release_buffer(buffer);
        }
    }

    fn release_buffer(&mut self, buffer: BufferId) {
        if lock(&self.quarantined).is_none() {
            // A release has no result, so a panic in it can only show at the next task.
            let _ = catch_unwind(AssertUnwindSafe(|| self.device.release(buffer)));
        }
    }

    fn run(&mut self, job: Job) {
        if job.cancelled.load(Ordering::Relaxed) {
            return;
        }
        let started = Instant::now();
        match self.submit(&job) {
            Ok(ticket) => self.in_flight.push_back(InFlight {
                ticket,
                tag: job.tag,
                kernel: job.kernel.name(),
                elements: job.kernel.elements(&job.input_lens),
                submitting: started.elapsed(),
                answer: job.answer,
            }),
            Err(failure) => {
                // The run may have ended meanwhile; then nobody listens.
                let _ = job.answer.send(Answer { tag: job.tag, result: Err(failure) });
            }
        }
    }

    fn submit(&mut self, job: &Job) -> Result<Ticket, JobFailure> {
        let mut inputs = Vec::with_capacity(job.inputs.len());
        let mut missing = Vec::new();
        for vector in &job.inputs {
            match self.buffers.get(vector) {
                Some(&buffer) => inputs.push(buffer),
                None => missing.push(*vector),
            }
        }
        if !missing.is_empty() {
            return Err(JobFailure::Missing(missing));
        }
        let bases = match &job.kernel {
            Kernel::Msm { bases, .. } => Some(self.resident_bases(bases).map_err(JobFailure::Kernel)?),
            _ => None,
        };
        let task = Task { kernel: &job.kernel, inputs: &inputs, bases };
        let submission =
            self.ask(job.kernel.name(), |device| device.submit(&task)).map_err(JobFailure::Kernel)?;
        for (output, &buffer) in job.outputs.iter().zip(&submission.outputs) {
            let replaced = match output {
                Some(vector) => self.buffers.insert(*vector, buffer),
                None => Some(buffer),
            };
            if let Some(buffer) = replaced {
                self.release_buffer(buffer);
            }
        }
        Ok(submission.ticket)
    }

    fn resident_bases(&mut self, bases: &Bases) -> Result<BasesId, KernelFailure> {
        if let Some(&(_, id)) = self.bases.get(&bases.id()) {
            return Ok(id);
        }
        let dropped: Vec<u64> =
            self.bases.iter().filter(|(_, (watch, _))| !watch.is_alive()).map(|(&id, _)| id).collect();
        for (_, id) in dropped.iter().filter_map(|id| self.bases.remove(id)) {
            self.device.release_bases(id);
        }
        let started = Instant::now();
        let loaded = self.ask("load_bases", |device| device.load_bases(bases.points()))?;
        self.count("load_bases", bases.len() as u64, started.elapsed(), &loaded.record);
        self.bases.insert(bases.id(), (bases.watch(), loaded.bases));
        Ok(loaded.bases)
    }

    fn complete_oldest(&mut self) {
        let Some(job) = self.in_flight.pop_front() else { return };
        let started = Instant::now();
        let result = match self.ask(job.kernel, |device| device.wait(job.ticket)) {
            Err(KernelFailure::Unsupported { reason, .. }) => Err(KernelFailure::InvariantViolation {
                kernel: job.kernel,
                detail: format!("{} accepted a task that it does not support: {reason}", self.name),
            }),
            result => result,
        };
        if let Ok(completion) = &result {
            self.count(job.kernel, job.elements, job.submitting + started.elapsed(), &completion.record);
        }
        // The run may have ended meanwhile; then nobody listens.
        let _ = job.answer.send(Answer { tag: job.tag, result: result.map_err(JobFailure::Kernel) });
    }

    /// Calls into the device unless it is quarantined, and quarantines it if it has failed. A panic in a backend is a
    /// bug, and must not take the thread that others wait for.
    fn ask<T>(
        &mut self,
        kernel: &'static str,
        call: impl FnOnce(&mut dyn Device) -> Result<T, KernelFailure>,
    ) -> Result<T, KernelFailure> {
        if let Some(reason) = read(&self.quarantined) {
            let device = self.name.clone();
            return Err(KernelFailure::DeviceFailed { device, kernel, source: reason.into() });
        }
        let device = self.device.as_mut();
        let result = catch_unwind(AssertUnwindSafe(|| call(device))).unwrap_or_else(|_| {
            Err(KernelFailure::InvariantViolation { kernel, detail: format!("{} panicked", self.name) })
        });
        if let Err(failure @ KernelFailure::DeviceFailed { .. }) = &result {
            tracing::warn!(device = %self.name, "quarantined: {}", chain(failure));
            *lock(&self.quarantined) = Some(chain(failure));
        }
        result
    }

    fn count(&self, kernel: &'static str, elements: u64, wall: Duration, record: &TaskRecord) {
        lock(&self.totals).entry(kernel).or_default().add(elements, wall, record);
    }
}
