//! The completion path under Loom: every order in which a card and several waiters can meet, up to a bound on forced
//! switches between threads. What runs is the driver's own code: `Queue`, with its rings, tickets and waits, and
//! `Vector`, which shares one source of interrupts among waiters. A lost wake-up shows as a deadlock, which Loom reports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_abi::completion::COMPLETION_BYTES;
use kiln_abi::entry::ENTRY_BYTES;
use kiln_abi::record::EngineKind;
use kiln_abi::register::Doorbell;
use kiln_abi::{Completion, DmaFault, Entry, IoCommand, Status, TaskRecord};

use crate::card::Link;
use crate::error::CardError;
use crate::queue::Queue;
use crate::sync::{Condvar, Mutex};
use crate::transport::interrupt::{Signals, Vector};
use crate::transport::{Mapping, Transport};
use crate::wait::Deadline;

const ENTRIES: u16 = 4;
const QUEUE: u16 = 1;

/// Explores every order with at most this many forced switches.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn forever() -> Deadline {
    Deadline::after(Duration::from_secs(1 << 30))
}

/// Interrupts as an eventfd counts them.
#[derive(Default)]
struct Count {
    pending: Mutex<u64>,
    raised: Condvar,
}

impl Count {
    fn raise(&self) {
        *self.pending.lock().unwrap() += 1;
        self.raised.notify_all();
    }
}

impl Signals for Arc<Count> {
    fn take(&self) -> u64 {
        std::mem::take(&mut *self.pending.lock().unwrap())
    }

    fn sleep(&self, _: Duration) {
        let mut pending = self.pending.lock().unwrap();
        while *pending == 0 {
            pending = self.raised.wait(pending).unwrap();
        }
    }
}

/// A transport whose card is the model's own thread.
struct Modelled {
    memory: Arc<Mutex<Vec<u8>>>,
    doorbell: Arc<(Mutex<u32>, Condvar)>,
    interrupts: Arc<Count>,
    vector: Vector<Arc<Count>>,
    next: std::sync::atomic::AtomicUsize,
}

/// A piece of the modelled memory; its address is its place there.
struct Piece {
    memory: Arc<Mutex<Vec<u8>>>,
    start: usize,
    length: usize,
}

impl Modelled {
    fn new() -> Arc<Modelled> {
        let interrupts = Arc::new(Count::default());
        Arc::new(Modelled {
            memory: Arc::new(Mutex::new(vec![0; 2048])),
            doorbell: Arc::new((Mutex::new(0), Condvar::new())),
            vector: Vector::of(interrupts.clone()),
            interrupts,
            next: std::sync::atomic::AtomicUsize::new(64),
        })
    }

    /// The card: completes `count` commands in order, each with its record, its completion and then its interrupt.
    fn serve(&self, submission: u64, completion: u64, count: u16) {
        for index in 0..count {
            let (tail, rung) = &*self.doorbell;
            let mut tail = tail.lock().unwrap();
            while *tail <= u32::from(index) {
                tail = rung.wait(tail).unwrap();
            }
            drop(tail);
            let mut memory = self.memory.lock().unwrap();
            let at = submission as usize + ENTRY_BYTES * usize::from(index);
            let entry = Entry::from_bytes(memory[at..].first_chunk().unwrap());
            let record = TaskRecord {
                command_id: entry.command_id,
                submission_queue: QUEUE,
                opcode: entry.opcode,
                engine: EngineKind::Control,
                status: Status::Success,
                start_cycle: 0,
                cycles: 0,
                stall_memory: 0,
                stall_host: 0,
                stall_hazard: 0,
                host_bytes: 0,
                memory_bytes: 0,
            };
            let at = entry.record_address as usize;
            memory[at..at + 64].copy_from_slice(&record.to_bytes());
            let done = Completion {
                result: 0,
                submission_head: (index + 1) % ENTRIES,
                submission_queue: QUEUE,
                command_id: entry.command_id,
                phase: true,
                status: Status::Success.code(),
            };
            let at = completion as usize + COMPLETION_BYTES * usize::from(index);
            memory[at..at + COMPLETION_BYTES].copy_from_slice(&done.to_bytes());
            drop(memory);
            self.interrupts.raise();
        }
    }
}

impl Transport for Modelled {
    fn name(&self) -> String {
        "model".to_owned()
    }

    fn kind(&self) -> &'static str {
        "a model"
    }

    fn read32(&self, _: u8, _: u64) -> u32 {
        0
    }

    fn write32(&self, _: u8, offset: u64, value: u32) {
        if offset == Doorbell::SubmissionTail(QUEUE).offset() {
            *self.doorbell.0.lock().unwrap() = value;
            self.doorbell.1.notify_all();
        }
    }

    fn map(&self, bytes: usize) -> Result<Box<dyn Mapping>, CardError> {
        let start = self.next.fetch_add(bytes.next_multiple_of(64), std::sync::atomic::Ordering::SeqCst);
        Ok(Box::new(Piece { memory: self.memory.clone(), start, length: bytes }))
    }

    fn interrupts_seen(&self, _: u16) -> u64 {
        self.vector.seen()
    }

    fn wait_interrupt(&self, _: u16, seen: u64, _: Instant) {
        // Without an end, so that a wake-up that is lost is never made good by time.
        self.vector.wait(seen, forever().instant());
    }

    fn reset(&self) -> Result<(), CardError> {
        Ok(())
    }

    fn take_faults(&self) -> Vec<DmaFault> {
        Vec::new()
    }
}

impl Mapping for Piece {
    fn address(&self) -> u64 {
        self.start as u64
    }

    fn length(&self) -> usize {
        self.length
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.memory.lock().unwrap()[self.start + offset..][..buffer.len()]);
    }

    fn write(&self, offset: usize, data: &[u8]) {
        self.memory.lock().unwrap()[self.start + offset..][..data.len()].copy_from_slice(data);
    }
}

fn queue(transport: &Arc<Modelled>) -> Queue {
    let link = Link { transport: transport.clone(), loss: Arc::default() };
    let queue = Queue::new(QUEUE, ENTRIES, 1, Duration::ZERO, &link).unwrap();
    // The link would stop the card when it goes; here the queue outlives it.
    std::mem::forget(link);
    queue
}

fn submit(queue: &Queue) -> crate::queue::Ticket {
    queue.submit_command(&IoCommand::Fence, Vec::new(), forever()).unwrap()
}

#[test]
fn one_signal_wakes_every_waiter_in_every_order() {
    explore(|| {
        let source = Arc::new(Count::default());
        let vector = Arc::new(Vector::of(source.clone()));
        let waiters = [0, 1, 2].map(|_| {
            let vector = vector.clone();
            loom::thread::spawn(move || vector.wait(0, forever().instant()))
        });
        source.raise();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(vector.seen(), 1);
    });
}

#[test]
fn two_waiters_of_one_queue_both_get_their_completion_in_every_order() {
    explore(|| {
        let transport = Modelled::new();
        let queue = queue(&transport);
        let (submission, completion) = queue.ring_addresses();
        let card = transport.clone();
        let (first, second) = (submit(&queue), submit(&queue));
        let card = loom::thread::spawn(move || card.serve(submission, completion, 2));
        let other = queue.clone();
        let waiter = loom::thread::spawn(move || other.wait(&first, forever()).map(|_| ()));
        assert!(queue.wait(&second, forever()).is_ok());
        assert!(waiter.join().unwrap().is_ok());
        card.join().unwrap();
    });
}

#[test]
fn ticket_that_is_dropped_while_its_command_completes_leaves_nothing_behind() {
    explore(|| {
        let transport = Modelled::new();
        let queue = queue(&transport);
        let (submission, completion) = queue.ring_addresses();
        let card = transport.clone();
        let (given_up, wanted) = (submit(&queue), submit(&queue));
        let card = loom::thread::spawn(move || card.serve(submission, completion, 2));
        let dropper = loom::thread::spawn(move || drop(given_up));
        assert!(queue.wait(&wanted, forever()).is_ok());
        dropper.join().unwrap();
        card.join().unwrap();
        assert_eq!(queue.held(), 0, "neither in flight nor waiting to be taken");
    });
}
