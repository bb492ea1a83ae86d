//! One queue pair: its rings, what is in flight, and waiting for it.
//!
//! The driver keeps its own copy of everything that it decides on. The submission ring is only ever written; from the
//! completion ring each entry is copied once, when its phase says that it is new, and checked.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kiln_abi::admin::Event;
use kiln_abi::completion::COMPLETION_BYTES;
use kiln_abi::entry::{ENTRY_BYTES, Entry};
use kiln_abi::record::RECORD_BYTES;
use kiln_abi::register::{BAR_REGISTERS, Doorbell};
use kiln_abi::{AdminCommand, Completion, IoCommand, Status, TaskRecord};

use crate::card::Link;
use crate::completion::{Checked, check, check_record};
use crate::dma::DmaBuffer;
use crate::error::{CardError, Loss, Violation};
use crate::job::{Job, Prepared};
use crate::sync::{Mutex, MutexGuard};
use crate::transport::Transport;
use crate::wait::{Deadline, LOOK_AGAIN, check_alive};

/// Outcomes that may wait to be taken; so many that only a caller who never waits meets it.
const DONE_MAX: usize = 1 << 14;

/// What a job came to.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What it cost.
    pub record: TaskRecord,
    /// What it gave: the bytes of a CopyFromCard, the point of an Msm, the values of an Evaluate; otherwise empty.
    pub data: Vec<u8>,
}

/// Stands for a job that was submitted. Dropping it gives the result up; the job still runs.
#[derive(Debug)]
pub struct Ticket {
    inner: Arc<Inner>,
    command_id: u16,
    /// Counts all submissions of the queue, so that a ticket cannot be taken for a later one with the same id.
    serial: u64,
}

/// A queue pair of a card. Cloning gives another handle on the same queue; it may be used from many threads.
#[derive(Clone, Debug)]
pub struct Queue {
    inner: Arc<Inner>,
}

struct Inner {
    id: u16,
    entries: u16,
    vector: u16,
    /// How long a wait looks without pause before it sleeps.
    polling: Duration,
    transport: Arc<dyn Transport>,
    /// Set once, by whoever finds out that the card is lost; shared by all queues of the card.
    loss: Arc<OnceLock<Loss>>,
    rings: Mutex<Rings>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "queue {} of {}", self.id, self.transport.name())
    }
}

struct Rings {
    submission: DmaBuffer,
    completion: DmaBuffer,
    submission_tail: u16,
    completion_head: u16,
    phase: bool,
    next_id: u16,
    next_serial: u64,
    in_flight: HashMap<u16, InFlight>,
    /// Completed, and not taken yet. Its id is not used again before it is taken.
    done: HashMap<u16, (InFlight, Checked)>,
}

/// The driver's own copy of a command in flight. It owns the memory that the card reads and writes for it.
struct InFlight {
    serial: u64,
    name: &'static str,
    opcode: u8,
    buffers: Vec<Arc<DmaBuffer>>,
    /// Record at the start of the first buffer, results there.
    results: std::ops::Range<usize>,
    /// Nobody holds the ticket any more.
    abandoned: bool,
}

impl Queue {
    /// Makes the rings. The card learns of them elsewhere.
    pub(crate) fn new(
        id: u16,
        entries: u16,
        vector: u16,
        polling: Duration,
        link: &Link,
    ) -> Result<Queue, CardError> {
        let (transport, loss) = (link.transport.clone(), link.loss.clone());
        let rings = Rings {
            submission: DmaBuffer::new(&*transport, ENTRY_BYTES * usize::from(entries))?,
            completion: DmaBuffer::new(&*transport, COMPLETION_BYTES * usize::from(entries))?,
            submission_tail: 0,
            completion_head: 0,
            phase: true,
            next_id: 0,
            next_serial: 0,
            in_flight: HashMap::new(),
            done: HashMap::new(),
        };
        Ok(Queue {
            inner: Arc::new(Inner {
                id,
                entries,
                vector,
                polling,
                transport,
                loss,
                rings: Mutex::new(rings),
            }),
        })
    }

    /// Id of the queue, as the card knows it.
    pub fn id(&self) -> u16 {
        self.inner.id
    }

    /// Interrupt vector that its completions raise.
    pub fn vector(&self) -> u16 {
        self.inner.vector
    }

    /// Jobs that may be in flight at the same time.
    pub fn depth(&self) -> usize {
        usize::from(self.inner.entries) - 1
    }

    /// Commands in flight, and outcomes that wait to be taken.
    #[cfg(all(test, loom))]
    pub(crate) fn held(&self) -> usize {
        let rings = self.inner.lock();
        rings.in_flight.len() + rings.done.len()
    }

    /// Card addresses of the rings: submission, completion.
    pub(crate) fn ring_addresses(&self) -> (u64, u64) {
        let rings = self.inner.lock();
        (rings.submission.address(), rings.completion.address())
    }

    /// Submits a job. Jobs of one queue run one after the other, in the order of submission. When the queue is full, this
    /// waits for room until the deadline.
    ///
    /// # Errors
    /// [`CardError::JobSize`] and [`CardError::Map`] for this job alone; [`CardError::NotYet`] when there was no room in
    /// time; [`CardError::Never`] and [`CardError::Gone`] when the card is lost.
    pub fn submit(&self, job: &Job<'_>, deadline: Deadline) -> Result<Ticket, CardError> {
        self.inner.check_loss()?;
        let Prepared { command, buffer, results } =
            job.prepare(&*self.inner.transport).map_err(|error| self.inner.note_gone(error))?;
        self.submit_prepared(&command, Arc::new(buffer), Vec::new(), Some(results), deadline)
    }

    /// Submits a command as it is, for callers that keep their data in DMA buffers, with scatter lists or without. The
    /// buffers stay mapped until the command has completed. [`Finished::data`] is empty.
    pub fn submit_command(
        &self,
        command: &IoCommand,
        buffers: Vec<Arc<DmaBuffer>>,
        deadline: Deadline,
    ) -> Result<Ticket, CardError> {
        self.inner.check_loss()?;
        let record = DmaBuffer::new(&*self.inner.transport, RECORD_BYTES);
        let record = Arc::new(record.map_err(|error| self.inner.note_gone(error))?);
        self.submit_prepared(command, record, buffers, None, deadline)
    }

    fn submit_prepared(
        &self,
        command: &IoCommand,
        first: Arc<DmaBuffer>,
        mut buffers: Vec<Arc<DmaBuffer>>,
        results: Option<std::ops::Range<usize>>,
        deadline: Deadline,
    ) -> Result<Ticket, CardError> {
        let record_address = first.address();
        buffers.insert(0, first);
        let opcode = command.opcode();
        let in_flight = InFlight {
            serial: 0,
            name: opcode.name(),
            opcode: opcode.code(),
            buffers,
            results: results.unwrap_or(0..0),
            abandoned: false,
        };
        self.submit_entry(command.to_entry(0, record_address), in_flight, deadline)
    }

    /// Runs an admin command to its end; only for the admin queue.
    pub(crate) fn run_admin(
        &self,
        command: &AdminCommand,
        buffer: Option<Arc<DmaBuffer>>,
        deadline: Deadline,
    ) -> Result<u64, CardError> {
        let ticket = self.submit_admin(command, buffer, deadline)?;
        let (in_flight, completion) = self.wait_for(&ticket, deadline)?;
        succeed(&in_flight, &completion)?;
        Ok(completion.result)
    }

    fn submit_admin(
        &self,
        command: &AdminCommand,
        buffer: Option<Arc<DmaBuffer>>,
        deadline: Deadline,
    ) -> Result<Ticket, CardError> {
        let opcode = command.opcode();
        let in_flight = InFlight {
            serial: 0,
            name: opcode.name(),
            opcode: opcode.code(),
            buffers: buffer.into_iter().collect(),
            results: 0..0,
            abandoned: false,
        };
        self.submit_entry(command.to_entry(0, 0), in_flight, deadline)
    }

    /// Asks for the next event and waits for it; only for the admin queue. The request is aborted when the time is up.
    pub(crate) fn next_event(
        &self,
        patience: Duration,
        timeout: Duration,
    ) -> Result<Option<Event>, CardError> {
        let ask = AdminCommand::AsyncEvent;
        let ticket = self.submit_admin(&ask, None, Deadline::after(timeout))?;
        let (queue, command_id) = ticket.command();
        let outcome = match self.wait_for(&ticket, Deadline::after(patience)) {
            Err(CardError::NotYet { .. }) => {
                self.run_admin(&AdminCommand::Abort { queue, command_id }, None, Deadline::after(timeout))?;
                self.wait_for(&ticket, Deadline::after(timeout))
            }
            outcome => outcome,
        };
        let (in_flight, completion) = outcome?;
        if completion.status == Status::Aborted {
            return Ok(None);
        }
        succeed(&in_flight, &completion)?;
        // An event that is younger than this driver tells nothing to it.
        Ok(u8::try_from(completion.result).ok().and_then(Event::from_code))
    }

    fn submit_entry(
        &self,
        entry: Entry,
        in_flight: InFlight,
        deadline: Deadline,
    ) -> Result<Ticket, CardError> {
        let mut rings = self.inner.until(deadline, "room in a submission queue", |rings| {
            rings.in_flight.len() + 1 < usize::from(self.inner.entries) && rings.done.len() < DONE_MAX
        })?;
        let command_id = rings.free_id();
        let serial = rings.next_serial;
        rings.next_serial += 1;
        let at = ENTRY_BYTES * usize::from(rings.submission_tail);
        rings.submission.write(at, &Entry { command_id, ..entry }.to_bytes())?;
        rings.in_flight.insert(command_id, InFlight { serial, ..in_flight });
        rings.submission_tail = next(rings.submission_tail, self.inner.entries);
        let doorbell = Doorbell::SubmissionTail(self.inner.id);
        self.inner.transport.write32(BAR_REGISTERS, doorbell.offset(), u32::from(rings.submission_tail));
        Ok(Ticket { inner: self.inner.clone(), command_id, serial })
    }

    /// Waits for a job of this queue and takes what it came to.
    ///
    /// # Errors
    /// [`CardError::NotYet`] when the deadline passed first: the ticket stays good. [`CardError::Command`] when the card
    /// refused or failed the job. [`CardError::Never`] and [`CardError::Gone`] when the card is lost.
    pub fn wait(&self, ticket: &Ticket, deadline: Deadline) -> Result<Finished, CardError> {
        let (in_flight, completion) = self.wait_for(ticket, deadline)?;
        succeed(&in_flight, &completion)?;
        let Some(buffer) = in_flight.buffers.first() else { return Err(CardError::TicketSpent) };
        let results = in_flight.results;
        let mut bytes = [0; RECORD_BYTES];
        buffer.read(0, &mut bytes)?;
        let record = check_record(&bytes, self.inner.id, in_flight.opcode, &completion)
            .map_err(|violation| self.inner.lose(Loss::Violation(violation)))?;
        let mut data = vec![0; results.len()];
        buffer.read(results.start, &mut data)?;
        Ok(Finished { record, data })
    }

    /// Whether a job has completed, without waiting.
    pub fn is_done(&self, ticket: &Ticket) -> Result<bool, CardError> {
        let mut rings = self.inner.lock();
        self.inner.drain(&mut rings)?;
        Ok(rings.done.contains_key(&ticket.command_id) || !rings.is_in_flight(ticket))
    }

    fn wait_for(&self, ticket: &Ticket, deadline: Deadline) -> Result<(InFlight, Checked), CardError> {
        if !Arc::ptr_eq(&ticket.inner, &self.inner) {
            return Err(CardError::TicketSpent);
        }
        let mut rings = self.inner.until(deadline, "a command", |rings| !rings.is_in_flight(ticket))?;
        match rings.done.remove(&ticket.command_id) {
            Some(done) if done.0.serial == ticket.serial => Ok(done),
            Some(other) => {
                rings.done.insert(ticket.command_id, other);
                Err(CardError::TicketSpent)
            }
            None => Err(CardError::TicketSpent),
        }
    }
}

impl Ticket {
    /// Queue and command id, as the card knows them.
    pub fn command(&self) -> (u16, u16) {
        (self.inner.id, self.command_id)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut rings = self.inner.lock();
        if let Some(in_flight) = rings.in_flight.get_mut(&self.command_id)
            && in_flight.serial == self.serial
        {
            in_flight.abandoned = true;
        }
        if rings.done.get(&self.command_id).is_some_and(|done| done.0.serial == self.serial) {
            rings.done.remove(&self.command_id);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Rings> {
        // No code between two consistent states of the rings can panic.
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_loss(&self) -> Result<(), CardError> {
        self.loss.get().map_or(Ok(()), |loss| Err(loss.clone().into()))
    }

    /// A transport that finds the card gone has found it for all queues.
    fn note_gone(&self, error: CardError) -> CardError {
        match error {
            CardError::Gone => self.lose(Loss::Gone),
            other => other,
        }
    }

    /// Declares the card lost; the first reason stands.
    fn lose(&self, loss: Loss) -> CardError {
        let first = self.loss.get_or_init(|| {
            tracing::error!(card = %self.transport.name(), queue = self.id, %loss, "card lost");
            loss
        });
        first.clone().into()
    }

    /// Takes completions until `enough` holds or the deadline passes; the rings stay locked.
    fn until(
        &self,
        deadline: Deadline,
        what: &'static str,
        enough: impl Fn(&Rings) -> bool,
    ) -> Result<MutexGuard<'_, Rings>, CardError> {
        let sleep_from = (!self.polling.is_zero()).then(|| Instant::now() + self.polling);
        loop {
            // Read before the ring is: an interrupt that comes after it ends the sleep below.
            let seen = self.transport.interrupts_seen(self.vector);
            {
                let mut rings = self.lock();
                self.drain(&mut rings)?;
                if enough(&rings) {
                    return Ok(rings);
                }
            }
            self.check_loss()?;
            if sleep_from.is_some_and(|until| Instant::now() < until) && !deadline.passed() {
                std::thread::yield_now();
                continue;
            }
            if deadline.passed() {
                // Is the silence a slow card, a stopped one, or none?
                check_alive(&*self.transport).map_err(|loss| self.lose(loss))?;
                return Err(deadline.not_yet(what));
            }
            let look_again = Instant::now() + LOOK_AGAIN;
            self.transport.wait_interrupt(self.vector, seen, deadline.instant().min(look_again));
            if Instant::now() >= look_again {
                check_alive(&*self.transport).map_err(|loss| self.lose(loss))?;
            }
        }
    }

    /// Takes every new completion, each copied once and checked.
    fn drain(&self, rings: &mut Rings) -> Result<(), CardError> {
        let mut taken = false;
        let outcome = loop {
            // The phase is in the last word, which the card writes last: it is read first. Each byte is read once.
            let mut bytes = [0; COMPLETION_BYTES];
            let at = COMPLETION_BYTES * usize::from(rings.completion_head);
            let (first, last) = bytes.split_at_mut(COMPLETION_BYTES / 2);
            rings.completion.read(at + COMPLETION_BYTES / 2, last)?;
            rings.completion.read(at, first)?;
            let completion = Completion::from_bytes(&bytes);
            if completion.phase != rings.phase {
                break Ok(());
            }
            if self.loss.get().is_some() {
                break Ok(());
            }
            let checked = match check(completion, self.id, self.entries, &rings.in_flight) {
                Ok(checked) => checked,
                Err(violation) => break Err(violation),
            };
            rings.complete(checked);
            rings.completion_head = next(rings.completion_head, self.entries);
            rings.phase ^= rings.completion_head == 0;
            taken = true;
        };
        if taken {
            let doorbell = Doorbell::CompletionHead(self.id);
            self.transport.write32(BAR_REGISTERS, doorbell.offset(), u32::from(rings.completion_head));
        }
        outcome.map_err(|violation: Violation| self.lose(Loss::Violation(violation)))
    }
}

impl Rings {
    fn is_in_flight(&self, ticket: &Ticket) -> bool {
        self.in_flight.get(&ticket.command_id).is_some_and(|in_flight| in_flight.serial == ticket.serial)
    }

    /// An id that is neither in flight nor waiting to be taken. There always is one: rings have at most 4096
    /// entries here, and few outcomes wait.
    fn free_id(&mut self) -> u16 {
        loop {
            let id = self.next_id;
            self.next_id = self.next_id.wrapping_add(1);
            if !self.in_flight.contains_key(&id) && !self.done.contains_key(&id) {
                return id;
            }
        }
    }

    fn complete(&mut self, checked: Checked) {
        if let Some(in_flight) = self.in_flight.remove(&checked.command_id)
            && !in_flight.abandoned
        {
            self.done.insert(checked.command_id, (in_flight, checked));
        }
    }
}

/// A command that did not succeed, as an error.
fn succeed(in_flight: &InFlight, completion: &Checked) -> Result<(), CardError> {
    if completion.status == Status::Success {
        return Ok(());
    }
    Err(CardError::Command { command: in_flight.name, status: completion.status, detail: completion.result })
}

fn next(position: u16, entries: u16) -> u16 {
    if position + 1 >= entries { 0 } else { position + 1 }
}
