//! The thread of a worker: it submits what it is sent, in order, and answers each job once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use crossbeam::channel::{Receiver, Sender, bounded, select};

use super::worker::{Answer, Job, JobFailure};
use super::{Shared, read};
use crate::bases::{Bases, BasesWatch};
use crate::device::{BasesId, BufferId, Device, Task, TaskRecord, Ticket};
use crate::error::KernelFailure;
use crate::kernel::Kernel;
use crate::report::{KernelReport, Spent, Started};
use crate::vector::{VectorId, lock};

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

/// The state of a worker's thread.
pub(super) struct Service {
    device: Box<dyn Device>,
    name: String,
    released: Receiver<VectorId>,
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
    submitting: Spent,
    answer: Sender<Answer>,
}

impl Service {
    pub(super) fn new(
        device: Box<dyn Device>,
        released: Receiver<VectorId>,
        totals: Shared<BTreeMap<&'static str, KernelReport>>,
        quarantined: Shared<Option<String>>,
    ) -> Service {
        Service {
            name: device.info().name.clone(),
            device,
            released,
            buffers: HashMap::new(),
            bases: HashMap::new(),
            in_flight: VecDeque::new(),
            totals,
            quarantined,
        }
    }

    /// Works until there is nobody left who could send a job.
    pub(super) fn serve(mut self, inbox: &Receiver<Job>) {
        loop {
            self.release_dropped();
            // With work in flight take what is there, up to the limit, and else wait for the device; without, wait
            // for a message.
            if self.in_flight.is_empty() {
                let released = self.released.clone();
                select! {
                    recv(inbox) -> job => match job {
                        Ok(job) => self.run(job),
                        Err(_) => return self.release_dropped(),
                    },
                    recv(released) -> vector => vector.into_iter().for_each(|vector| self.release(vector)),
                }
            } else if self.in_flight.len() < self.device.queue_depth()
                && let Ok(job) = inbox.try_recv()
            {
                self.run(job);
            } else {
                self.complete_oldest();
            }
        }
    }

    fn release_dropped(&mut self) {
        while let Ok(vector) = self.released.try_recv() {
            self.release(vector);
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
        // What was let go before this job was sent is given back before it asks for more.
        self.release_dropped();
        let started = Started::now();
        let mut submitted = self.submit(&job);
        if let Err(JobFailure::Kernel(KernelFailure::Unsupported { .. })) = submitted {
            // Perhaps only memory lacks, and what is done already can give some back.
            self.settle(&job);
            submitted = self.submit(&job);
        }
        match submitted {
            Ok(ticket) => self.in_flight.push_back(InFlight {
                ticket,
                tag: job.tag,
                kernel: job.kernel.name(),
                elements: job.kernel.elements(&job.input_lens),
                submitting: started.spent(),
                answer: job.answer,
            }),
            Err(failure) => {
                // The run may have ended meanwhile; then nobody listens.
                let _ = job.answer.send(Answer::Done { tag: job.tag, result: Err(failure) });
            }
        }
    }

    /// Completes what is in flight, and waits until the job's run has taken note and dropped what it need not keep.
    fn settle(&mut self, job: &Job) {
        while !self.in_flight.is_empty() {
            self.complete_oldest();
        }
        let (settled, answer) = bounded(1);
        if job.answer.send(Answer::Settle(settled)).is_ok() {
            // A run that ends instead drops the sender, which ends this wait too.
            let _ = answer.recv();
        }
        self.release_dropped();
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
        let started = Started::now();
        let loaded = self.ask("load_bases", |device| device.load_bases(bases))?;
        self.count("load_bases", bases.len() as u64, started.spent(), &loaded.record);
        self.bases.insert(bases.id(), (bases.watch(), loaded.bases));
        Ok(loaded.bases)
    }

    fn complete_oldest(&mut self) {
        let Some(job) = self.in_flight.pop_front() else { return };
        let started = Started::now();
        let result = match self.ask(job.kernel, |device| device.wait(job.ticket)) {
            Err(KernelFailure::Unsupported { reason, .. }) => Err(KernelFailure::InvariantViolation {
                kernel: job.kernel,
                detail: format!("{} accepted a task that it does not support: {reason}", self.name),
            }),
            result => result,
        };
        if let Ok(completion) = &result {
            self.count(job.kernel, job.elements, job.submitting + started.spent(), &completion.record);
        }
        // The run may have ended meanwhile; then nobody listens.
        let _ = job.answer.send(Answer::Done { tag: job.tag, result: result.map_err(JobFailure::Kernel) });
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

    fn count(&self, kernel: &'static str, elements: u64, spent: Spent, record: &TaskRecord) {
        lock(&self.totals).entry(kernel).or_default().add(elements, spent, record);
    }
}
