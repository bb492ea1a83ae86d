//! The `card` backend: kernels as commands of an accelerator card, through its driver.
//!
//! Vectors and bases stay in card memory; only commitments, evaluations and downloads come back. A task becomes zero or
//! more commands of one queue, which the card runs in order, so a task may be submitted before the ones that make its
//! inputs have completed, and the memory of a released vector may be given to a later task at once.

mod copies;
mod failure;
mod invert;
mod layout;
mod limits;
mod msm;
mod ntt;
mod pointwise;
mod polynomial;
mod scan;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use kiln_abi::ELEMENT_BYTES;
use kiln_abi::io::Direction;
use kiln_driver::{Card, CardRegion, Deadline, Finished, Job, Queue, Ready};
use zeroize::Zeroize;

use crate::bases::Bases;
use crate::device::{
    BasesId, BufferId, Completion, Device, DeviceInfo, LoadedBases, Submission, Task, TaskRecord, Ticket,
};
use crate::error::KernelFailure;
use crate::kernel::Kernel;
use limits::Limits;

/// A device that is a card.
///
/// `patience` bounds every wait for one command; a card that takes longer has failed. Everything in card memory is this
/// device's alone.
///
/// # Errors
/// `InvariantViolation` when the card was brought up without an I/O queue.
pub fn device(card: Card<Ready>, patience: Duration) -> Result<Box<dyn Device>, KernelFailure> {
    let queue = card.queue(0).cloned().ok_or_else(|| KernelFailure::InvariantViolation {
        kernel: "start",
        detail: format!("expected an I/O queue on {}, got none", card.name()),
    })?;
    let info = DeviceInfo {
        name: card.name(),
        kind: "card",
        memory_bytes: card.identify().memory_bytes,
        clock_hz: Some(card.identify().clock_hz),
    };
    let limits = Limits::of(card.features());
    Ok(Box::new(CardDevice {
        info,
        limits,
        queue,
        patience,
        vectors: HashMap::new(),
        bases: HashMap::new(),
        outstanding: VecDeque::new(),
        tasks: HashMap::new(),
        next: 0,
        card,
    }))
}

struct CardDevice {
    info: DeviceInfo,
    limits: Limits,
    queue: Queue,
    patience: Duration,
    vectors: HashMap<BufferId, CardVector>,
    bases: HashMap<BasesId, CardBases>,
    /// Commands in flight, oldest first.
    outstanding: VecDeque<Command>,
    /// Tasks that nobody has waited for yet.
    tasks: HashMap<Ticket, TaskState>,
    next: u64,
    /// Last, so that everything above lets go of the card first.
    card: Card<Ready>,
}

/// A vector in card memory; no region if it is empty.
struct CardVector {
    region: Option<CardRegion>,
    len: usize,
}

impl CardVector {
    fn span(&self) -> Span {
        // No command reads or writes an empty vector, so its address does not matter.
        Span { address: self.region.as_ref().map_or(0, CardRegion::address), len: self.len }
    }
}

/// Where a vector is.
#[derive(Clone, Copy)]
struct Span {
    /// Card address.
    address: u64,
    /// In elements.
    len: usize,
}

impl Span {
    /// The card address of an element.
    fn at(self, element: usize) -> u64 {
        self.address + ELEMENT_BYTES * element as u64
    }
}

/// Points in card memory; no region if there are none.
struct CardBases {
    region: Option<CardRegion>,
    len: usize,
}

impl CardBases {
    fn span(&self) -> Span {
        Span { address: self.region.as_ref().map_or(0, CardRegion::address), len: self.len }
    }
}

/// A command in flight.
struct Command {
    task: Ticket,
    ticket: kiln_driver::Ticket,
}

struct TaskState {
    kernel: &'static str,
    /// What becomes of the commands' data.
    results: Results,
    finished: Vec<Finished>,
    failure: Option<KernelFailure>,
}

impl TaskState {
    fn new(kernel: &'static str) -> TaskState {
        TaskState { kernel, results: Results::None, finished: Vec::new(), failure: None }
    }
}

/// What a task brings to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Results {
    /// Nothing.
    None,
    /// One point; infinity if there is no command.
    Point,
    /// Elements, this many in all.
    Scalars(usize),
    /// This many zeros, without a command.
    Zeros(usize),
}

/// A task that is being submitted.
#[derive(Clone, Copy)]
struct Call {
    task: Ticket,
    kernel: &'static str,
}

/// What a task makes: vectors on the card, and what comes back.
struct Made {
    outputs: Vec<CardVector>,
    results: Results,
}

impl Made {
    fn vector(output: CardVector) -> Made {
        Made { outputs: vec![output], results: Results::None }
    }

    fn results(results: Results) -> Made {
        Made { outputs: vec![], results }
    }
}

impl CardDevice {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Room for `len` elements.
    fn allocate(&self, call: Call, len: usize) -> Result<CardVector, KernelFailure> {
        let region = self.region(call.kernel, ELEMENT_BYTES * len as u64)?;
        Ok(CardVector { region, len })
    }

    fn region(&self, kernel: &'static str, bytes: u64) -> Result<Option<CardRegion>, KernelFailure> {
        if bytes == 0 {
            return Ok(None);
        }
        match self.card.memory().allocate(bytes) {
            Ok(region) => Ok(Some(region)),
            Err(error) => Err(self.fail(kernel, error)),
        }
    }

    /// Checks a task and sends its commands.
    fn start(&mut self, call: Call, task: &Task<'_>) -> Result<Made, KernelFailure> {
        let kernel = task.kernel;
        let inputs = task
            .inputs
            .iter()
            .map(|id| self.vectors.get(id).map(CardVector::span))
            .collect::<Option<Vec<Span>>>()
            .ok_or_else(|| violation(call.kernel, "an input buffer is unknown"))?;
        let lens: Vec<usize> = inputs.iter().map(|v| v.len).collect();
        let outputs = kernel.output_lens(&lens)?;
        self.limits.check(kernel, &lens, &outputs).map_err(|reason| KernelFailure::Unsupported {
            device: self.info.name.clone(),
            kernel: call.kernel,
            reason,
        })?;
        match kernel {
            Kernel::Upload(data) => copies::upload(self, call, data),
            Kernel::Download { start, len } => copies::download(self, call, inputs[0], *start, *len),
            Kernel::Slice { start, len } => copies::slice(self, call, inputs[0], *start, *len),
            Kernel::Place { offsets, len } => copies::place(self, call, &inputs, offsets, *len),
            Kernel::EvaluateOnCoset { log_n, shift } => {
                ntt::submit(self, call, &inputs, Direction::Forward, *log_n, *shift)
            }
            Kernel::InterpolateCoset { log_n, shift } => {
                ntt::submit(self, call, &inputs, Direction::Inverse, *log_n, *shift)
            }
            Kernel::Pointwise { program, len } => pointwise::submit(self, call, program, &inputs, *len),
            Kernel::Invert => invert::submit(self, call, inputs[0]),
            Kernel::Scan(kind) => scan::submit(self, call, inputs[0], *kind),
            Kernel::Powers { first, ratio, len } => polynomial::powers(self, call, *first, *ratio, *len),
            Kernel::DivideLinear { root } => polynomial::divide_linear(self, call, inputs[0], *root),
            Kernel::Evaluate { points } => polynomial::evaluate(self, call, inputs[0], points),
            Kernel::Msm { offset, bound, .. } => {
                let bases = task.bases.and_then(|id| self.bases.get(&id));
                let bases =
                    bases.map(CardBases::span).ok_or_else(|| violation("msm", "the bases are unknown"))?;
                msm::submit(self, call, bases, *offset, inputs[0], *bound)
            }
        }
    }

    fn send(&mut self, call: Call, job: &Job<'_>) -> Result<(), KernelFailure> {
        // The queue keeps room for a command until its outcome is taken, so take the oldest ones when it is full.
        while self.outstanding.len() >= self.queue.depth() {
            self.take_oldest();
        }
        let ticket = self
            .queue
            .submit(job, Deadline::after(self.patience))
            .map_err(|error| self.fail(call.kernel, error))?;
        self.outstanding.push_back(Command { task: call.task, ticket });
        Ok(())
    }

    /// Waits for the oldest command in flight and puts its outcome with its task.
    fn take_oldest(&mut self) {
        let Some(command) = self.outstanding.pop_front() else { return };
        let outcome = self.queue.wait(&command.ticket, Deadline::after(self.patience));
        // A task whose later commands could not be sent is gone already.
        let Some(kernel) = self.tasks.get(&command.task).map(|state| state.kernel) else { return };
        let outcome = outcome.map_err(|error| self.fail(kernel, error));
        if let Some(state) = self.tasks.get_mut(&command.task) {
            match outcome {
                Ok(finished) => state.finished.push(finished),
                Err(failure) => _ = state.failure.get_or_insert(failure),
            }
        }
    }

    /// Waits until every command of a task has finished.
    fn finish(&mut self, task: Ticket) -> Result<(TaskState, TaskRecord), KernelFailure> {
        while self.outstanding.iter().any(|command| command.task == task) {
            self.take_oldest();
        }
        let mut state = self
            .tasks
            .remove(&task)
            .ok_or_else(|| violation("wait", "the ticket was waited on before or never given"))?;
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        let record = total(&state.finished);
        Ok((state, record))
    }
}

impl Device for CardDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load_bases(&mut self, bases: &Bases) -> Result<LoadedBases, KernelFailure> {
        msm::load_bases(self, bases.points())
    }

    fn release_bases(&mut self, bases: BasesId) {
        self.bases.remove(&bases);
    }

    fn submit(&mut self, task: &Task<'_>) -> Result<Submission, KernelFailure> {
        let call = Call { task: Ticket(self.next()), kernel: task.kernel.name() };
        self.tasks.insert(call.task, TaskState::new(call.kernel));
        let made = match self.start(call, task) {
            Ok(made) => made,
            Err(failure) => {
                // Commands that were sent already write memory that goes back now; the queue's order keeps them apart
                // from whoever gets it next.
                self.tasks.remove(&call.task);
                return Err(failure);
            }
        };
        if let Some(state) = self.tasks.get_mut(&call.task) {
            state.results = made.results;
        }
        let outputs = made
            .outputs
            .into_iter()
            .map(|vector| {
                let id = BufferId(self.next());
                self.vectors.insert(id, vector);
                id
            })
            .collect();
        Ok(Submission { ticket: call.task, outputs })
    }

    fn wait(&mut self, ticket: Ticket) -> Result<Completion, KernelFailure> {
        let (mut state, record) = self.finish(ticket)?;
        let mut completion = Completion { record, ..Completion::default() };
        match state.results {
            Results::None => {}
            Results::Zeros(len) => completion.scalars = vec![Fr::default(); len],
            Results::Point => completion.point = Some(self.point(&state)?),
            Results::Scalars(len) => completion.scalars = self.scalars(&mut state, len)?,
        }
        Ok(completion)
    }

    fn release(&mut self, buffer: BufferId) {
        // Commands that use it were submitted to the one queue before any that may get its memory.
        self.vectors.remove(&buffer);
    }
}

impl CardDevice {
    fn point(&self, state: &TaskState) -> Result<G1Affine, KernelFailure> {
        match state.finished.first() {
            None => Ok(G1Affine::zero()),
            Some(finished) => layout::point_from_bytes(&finished.data)
                .ok_or_else(|| self.lied(state.kernel, "a point that is not on the curve")),
        }
    }

    fn scalars(&self, state: &mut TaskState, len: usize) -> Result<Vec<Fr>, KernelFailure> {
        let mut scalars = Vec::with_capacity(len);
        for finished in &mut state.finished {
            let piece = layout::elements_from_bytes(&finished.data);
            // A download may be of a secret.
            finished.data.zeroize();
            let piece = piece.ok_or_else(|| self.lied(state.kernel, "an element that is not below r"))?;
            scalars.extend(piece);
        }
        if scalars.len() != len {
            return Err(self.lied(state.kernel, "another number of elements than asked for"));
        }
        Ok(scalars)
    }
}

/// What several commands cost together.
fn total(finished: &[Finished]) -> TaskRecord {
    let mut total = TaskRecord { cycles: Some(0), ..TaskRecord::default() };
    let mut stalls = [("memory", 0), ("host", 0), ("hazard", 0)];
    for Finished { record, data } in finished {
        *total.cycles.get_or_insert(0) += record.cycles;
        stalls[0].1 += record.stall_memory;
        stalls[1].1 += record.stall_host;
        stalls[2].1 += record.stall_hazard;
        let to_host = (data.len() as u64).min(record.host_bytes);
        total.bytes_to_host += to_host;
        total.bytes_to_device += record.host_bytes - to_host;
    }
    total.stall_cycles = stalls.to_vec();
    total
}

fn violation(kernel: &'static str, detail: &str) -> KernelFailure {
    KernelFailure::InvariantViolation { kernel, detail: detail.into() }
}
