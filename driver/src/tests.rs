//! The driver against an endpoint that does not keep to the rules.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiln_abi::admin::Feature;
use kiln_abi::feature::{FeatureHead, FeatureKind};
use kiln_abi::register::{FEATURE_PAGE, Register};
use kiln_abi::{Completion, HostBuffer, IoCommand, Status};
use proptest::prelude::*;

use crate::hostile::{Behaviour, Hostile, OVERSIZE_BYTES, Switch};
use crate::{
    Card, CardError, Deadline, DmaBuffer, Finished, InProcess, Job, Loss, Queue, Ready, Settings, Ticket,
    Transport, Violation,
};

/// Long enough for a card that answers.
const LONG: Duration = Duration::from_secs(20);
/// Long enough for nothing; tests that wait for silence end after it.
const SHORT: Duration = Duration::from_millis(30);
const COPY: Job<'static> = Job::CopyFromCard { source: 3, bytes: 5 };

fn in_process(endpoint: Hostile) -> Arc<dyn Transport> {
    Arc::new(InProcess::new("hostile", Box::new(endpoint)).expect("a thread"))
}

fn settings(entries: u16) -> Settings {
    Settings { queues: 2, entries, timeout: LONG, polling: Duration::ZERO }
}

struct Bench {
    card: Card<Ready>,
    queue: Queue,
    switch: Switch,
}

impl Bench {
    fn new(entries: u16) -> Bench {
        let switch = Arc::new(Mutex::new(Behaviour::Honest));
        let card = Card::found(in_process(Hostile::new(&switch)))
            .bring_up(&settings(entries))
            .expect("honest so far");
        let queue = card.queue(0).expect("two queues").clone();
        Bench { card, queue, switch }
    }

    fn behaving(behaviour: Behaviour) -> Bench {
        let bench = Bench::new(8);
        bench.become_(behaviour);
        bench
    }

    fn become_(&self, behaviour: Behaviour) {
        *self.switch.lock().expect("not poisoned") = behaviour;
    }

    fn submit(&self, job: &Job<'_>) -> Ticket {
        self.queue.submit(job, Deadline::after(LONG)).expect("room")
    }

    fn run(&self, job: &Job<'_>) -> Result<Finished, CardError> {
        let ticket = self.queue.submit(job, Deadline::after(LONG))?;
        self.queue.wait(&ticket, Deadline::after(LONG))
    }
}

#[test]
fn job_gives_its_record_and_its_data() {
    let bench = Bench::new(8);
    assert_eq!(bench.card.identify().model.as_str(), "hostile");
    let finished = bench.run(&COPY).expect("honest");
    assert_eq!(finished.data, [3, 4, 5, 6, 7]);
    assert_eq!(finished.record.cycles, 2);
    assert_eq!(bench.card.take_faults(), []);
    assert_eq!(bench.card.get_feature(Feature::WatchdogLimit).expect("answered"), 0x55);
}

#[test]
fn ring_wraps_many_times_with_several_in_flight() {
    for entries in [2, 3, 8] {
        let bench = Bench::new(entries);
        let mut tickets = std::collections::VecDeque::new();
        for index in 0..100 {
            tickets.push_back((index, bench.submit(&Job::CopyFromCard { source: index, bytes: 1 })));
            if tickets.len() > 20 {
                let (index, ticket) = tickets.pop_front().expect("not empty");
                assert_eq!(
                    bench.queue.wait(&ticket, Deadline::after(LONG)).expect("honest").data,
                    [index as u8]
                );
            }
        }
        // In any order of waiting.
        while let Some((index, ticket)) = tickets.pop_back() {
            assert_eq!(bench.queue.wait(&ticket, Deadline::after(LONG)).expect("honest").data, [index as u8]);
        }
    }
}

#[test]
fn one_queue_serves_many_threads() {
    let bench = Bench::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let queue = bench.queue.clone();
            scope.spawn(move || {
                for index in 0..50 {
                    let source = 64 * thread + index;
                    let job = Job::CopyFromCard { source, bytes: 1 };
                    let ticket = queue.submit(&job, Deadline::after(LONG)).expect("room");
                    let finished = queue.wait(&ticket, Deadline::after(LONG)).expect("honest");
                    assert_eq!(finished.data, [source as u8]);
                }
            });
        }
    });
}

type Expected<'a> = &'a dyn Fn(&Violation) -> bool;

#[test]
fn broken_rules_lose_the_card() {
    let is_unknown = |violation: &Violation| matches!(violation, Violation::UnknownCommand { queue: 1, .. });
    let cases: [(Behaviour, Expected<'_>); 8] = [
        (Behaviour::Invented, &is_unknown),
        (Behaviour::Twice, &is_unknown),
        (Behaviour::WrongQueue, &|v| *v == Violation::WrongQueue { expected: 1, got: 3 }),
        (Behaviour::HeadBeyondTheRing, &|v| *v == Violation::SubmissionHead { queue: 1, entries: 8, got: 8 }),
        (Behaviour::Status(0x7abc), &|v| matches!(v, Violation::UnknownStatus { got: 0x7abc, .. })),
        (Behaviour::WrongRecord, &|v| matches!(v, Violation::Record { .. })),
        (Behaviour::NoRecord, &|v| matches!(v, Violation::Record { .. })),
        (Behaviour::Garbage(0xff), &|v| matches!(v, Violation::WrongQueue { .. })),
    ];
    for (behaviour, expected) in cases {
        let bench = Bench::behaving(behaviour);
        let mut outcome = bench.run(&COPY);
        if behaviour == Behaviour::Twice {
            // The first completion is a good one; the second is met at the next look.
            assert_eq!(outcome.as_ref().map(|finished| finished.data.len()).unwrap_or(5), 5);
            outcome = bench.run(&COPY);
        }
        match outcome {
            Err(CardError::Never(Loss::Violation(violation))) => {
                assert!(expected(&violation), "{behaviour:?}: {violation}");
            }
            other => panic!("{behaviour:?}: {other:?}"),
        }
        bench.become_(Behaviour::Honest);
        assert!(matches!(bench.run(&COPY), Err(CardError::Never(_))), "a lost card stays lost");
        let other_queue = bench.card.queue(1).expect("two queues");
        assert!(matches!(other_queue.submit(&COPY, Deadline::after(LONG)), Err(CardError::Never(_))));
    }
}

#[test]
fn lost_card_comes_back_with_a_reset() {
    let bench = Bench::behaving(Behaviour::Invented);
    assert!(bench.run(&COPY).is_err());
    bench.become_(Behaviour::Honest);
    let lost = bench.card.lose();
    assert!(matches!(lost.reason(), Loss::Violation(_)));
    let card = lost.reset().expect("it answers").bring_up(&settings(8)).expect("honest");
    let queue = card.queue(0).expect("two queues");
    let ticket = queue.submit(&COPY, Deadline::after(LONG)).expect("room");
    assert!(queue.wait(&ticket, Deadline::after(LONG)).is_ok());
}

#[test]
fn silence_is_not_yet_and_the_ticket_stays_good() {
    let bench = Bench::behaving(Behaviour::Silent);
    let ticket = bench.submit(&COPY);
    assert!(matches!(bench.queue.wait(&ticket, Deadline::after(SHORT)), Err(CardError::NotYet { .. })));
    assert!(!bench.queue.is_done(&ticket).expect("not lost"));
    bench.become_(Behaviour::Honest);
    let second = bench.submit(&COPY);
    assert_eq!(bench.queue.wait(&ticket, Deadline::after(LONG)).expect("honest again").data.len(), 5);
    assert!(bench.queue.wait(&second, Deadline::after(LONG)).is_ok());
}

#[test]
fn interrupts_without_completions_are_not_yet() {
    let bench = Bench::behaving(Behaviour::InterruptsOnly);
    let ticket = bench.submit(&COPY);
    assert!(matches!(bench.queue.wait(&ticket, Deadline::after(SHORT)), Err(CardError::NotYet { .. })));
    assert_eq!(bench.card.loss(), None);
    bench.become_(Behaviour::Honest);
    let second = bench.submit(&COPY);
    for ticket in [ticket, second] {
        assert_eq!(bench.queue.wait(&ticket, Deadline::after(LONG)).expect("honest again").data.len(), 5);
    }
}

#[test]
fn data_behind_its_completion_is_missing_and_reaches_no_other_job() {
    let bench = Bench::behaving(Behaviour::DataLate);
    let honest = Bench::behaving(Behaviour::Honest).run(&COPY).expect("honest").data;
    for _ in 0..20 {
        // What was not there is zero, never what another job left.
        let finished = bench.run(&COPY).expect("a completion is all that the card owes");
        assert!(finished.data == honest || finished.data == vec![0; 5], "{:?}", finished.data);
    }
    bench.become_(Behaviour::Honest);
    assert_eq!(bench.run(&COPY).expect("honest again").data, honest);
}

#[test]
fn data_beyond_its_buffer_faults_and_changes_nothing() {
    let bench = Bench::behaving(Behaviour::Oversize);
    let kept = bench.card.dma_buffer(64).expect("memory");
    kept.write(0, &[7; 64]).expect("inside");
    assert_eq!(bench.run(&COPY).expect("it says that it is done").data, vec![0; 5]);
    let faults = bench.card.take_faults();
    assert!(faults.iter().any(|fault| fault.write && fault.length == OVERSIZE_BYTES), "{faults:?}");
    let mut bytes = [0; 64];
    kept.read(0, &mut bytes).expect("inside");
    assert_eq!(bytes, [7; 64]);
}

#[test]
fn completion_of_the_wrong_phase_is_not_believed() {
    let bench = Bench::behaving(Behaviour::OldPhase);
    let ticket = bench.submit(&COPY);
    assert!(matches!(bench.queue.wait(&ticket, Deadline::after(SHORT)), Err(CardError::NotYet { .. })));
}

#[test]
fn all_ones_is_gone_and_a_fatal_status_is_never() {
    let bench = Bench::behaving(Behaviour::Gone);
    let ticket = bench.submit(&COPY);
    assert!(matches!(bench.queue.wait(&ticket, Deadline::after(SHORT)), Err(CardError::Gone)));
    assert_eq!(bench.card.loss(), Some(&Loss::Gone));
    assert!(matches!(bench.card.cycles(), Err(CardError::Gone)));

    let bench = Bench::behaving(Behaviour::Fatal);
    let ticket = bench.submit(&COPY);
    let outcome = bench.queue.wait(&ticket, Deadline::after(SHORT));
    assert!(matches!(outcome, Err(CardError::Never(Loss::Fatal { .. }))), "{outcome:?}");
}

#[test]
fn endpoint_that_dies_reads_all_ones() {
    let bench = Bench::behaving(Behaviour::Panics);
    let outcome = bench
        .queue
        .submit(&COPY, Deadline::after(LONG))
        .and_then(|ticket| bench.queue.wait(&ticket, Deadline::after(SHORT)));
    assert!(matches!(outcome, Err(CardError::Gone)), "{outcome:?}");
}

#[test]
fn failed_command_is_an_error_of_its_own_and_the_card_lives() {
    let bench = Bench::behaving(Behaviour::Status(Status::PointNotOnCurve.code()));
    match bench.run(&Job::LoadBases { destination: 0, points: &[1; 64] }) {
        Err(
            error
            @ CardError::Command { command: "LoadBases", status: Status::PointNotOnCurve, detail: 0x55 },
        ) => {
            assert!(error.to_string().contains(Status::PointNotOnCurve.advice()));
        }
        other => panic!("{other:?}"),
    }
    bench.become_(Behaviour::Honest);
    assert!(bench.run(&COPY).is_ok());
}

#[test]
fn full_queue_waits_for_room_until_the_deadline() {
    let bench = Bench::behaving(Behaviour::Silent);
    let tickets: Vec<Ticket> = (0..bench.queue.depth()).map(|_| bench.submit(&COPY)).collect();
    assert!(matches!(bench.queue.submit(&COPY, Deadline::after(SHORT)), Err(CardError::NotYet { .. })));
    bench.become_(Behaviour::Honest);
    // Any register access wakes the endpoint.
    assert!(bench.card.cycles().is_ok());
    bench.card.reset_engines();
    let last = bench.submit(&COPY);
    for ticket in tickets.iter().chain([&last]) {
        assert!(bench.queue.wait(ticket, Deadline::after(LONG)).is_ok());
    }
}

#[test]
fn ticket_is_good_once_and_for_its_queue() {
    let bench = Bench::new(8);
    let ticket = bench.submit(&COPY);
    let other = bench.card.queue(1).expect("two queues");
    assert!(matches!(other.wait(&ticket, Deadline::after(LONG)), Err(CardError::TicketSpent)));
    assert!(bench.queue.wait(&ticket, Deadline::after(LONG)).is_ok());
    assert!(matches!(bench.queue.wait(&ticket, Deadline::after(LONG)), Err(CardError::TicketSpent)));
}

#[test]
fn memory_is_unmapped_when_it_is_dropped() {
    let bench = Bench::behaving(Behaviour::WritesLate);
    assert!(bench.run(&COPY).is_ok());
    _ = bench.card.take_faults();
    // The endpoint now writes to the first job's buffer, which is gone.
    assert!(bench.run(&COPY).is_ok());
    let faults = bench.card.take_faults();
    assert!(matches!(faults[..], [fault] if fault.write && fault.length == 64), "{faults:?}");
}

#[test]
fn memory_of_a_dropped_ticket_stays_mapped_while_the_job_runs() {
    let bench = Bench::behaving(Behaviour::Silent);
    drop(bench.submit(&COPY));
    bench.become_(Behaviour::Honest);
    for _ in 0..20 {
        assert!(bench.run(&COPY).is_ok());
    }
    assert_eq!(bench.card.take_faults(), []);
}

#[test]
fn buffers_of_a_raw_command_are_reached_by_the_card() {
    let bench = Bench::new(8);
    let buffer = Arc::new(bench.card.dma_buffer(4096).expect("memory"));
    let destination = HostBuffer::Contiguous { address: buffer.address() + 4000 };
    let command = |bytes| IoCommand::CopyFromCard { source: 9, bytes, destination };
    let run = |bytes| {
        let ticket =
            bench.queue.submit_command(&command(bytes), vec![buffer.clone()], Deadline::after(LONG))?;
        bench.queue.wait(&ticket, Deadline::after(LONG))
    };
    assert!(run(3).is_ok());
    let mut bytes = [0; 4];
    buffer.read(4000, &mut bytes).expect("inside");
    assert_eq!(bytes, [9, 10, 11, 0]);
    assert_eq!(bench.card.take_faults(), []);
    assert!(run(97).is_ok());
    assert_eq!(bench.card.take_faults().len(), 1, "it does not reach beyond the buffer");
}

#[test]
fn dma_buffers_check_their_bounds() {
    let bench = Bench::new(8);
    let buffer: DmaBuffer = bench.card.dma_buffer(10).expect("memory");
    assert!(buffer.write(8, &[1, 2]).is_ok());
    assert!(matches!(
        buffer.write(8, &[1, 2, 3]),
        Err(CardError::BufferBounds { offset: 8, end: 11, length: 10 })
    ));
    assert!(matches!(buffer.read(usize::MAX, &mut [0; 2]), Err(CardError::BufferBounds { .. })));
    assert_eq!(buffer.address() % 4096, 0);
}

#[test]
fn jobs_that_do_not_fit_a_command_are_refused_here() {
    let bench = Bench::new(8);
    let points = [[1, 0, 0, 0]; 65];
    let refused = bench.run(&Job::Evaluate { source: 0, length: 1, points: &points });
    assert!(matches!(refused, Err(CardError::JobSize { allowed: 64, got: 65, .. })));
    assert!(bench.run(&Job::Evaluate { source: 0, length: 1, points: &points[..64] }).is_ok());
    let refused = bench.run(&Job::LoadBases { destination: 0, points: &[0; 100] });
    assert!(matches!(refused, Err(CardError::JobSize { allowed: 0, got: 36, .. })));
}

#[test]
fn what_is_not_a_kiln_card_is_not_brought_up() {
    let bring_up = |change: &dyn Fn(&mut Hostile)| {
        let mut endpoint = Hostile::new(&Arc::new(Mutex::new(Behaviour::Honest)));
        change(&mut endpoint);
        Card::found(in_process(endpoint)).bring_up(&settings(8)).map(|_| ())
    };
    let set = |register: Register, value: u32| {
        bring_up(&|endpoint: &mut Hostile| _ = endpoint.registers.insert(register.offset(), value))
    };
    assert!(bring_up(&|_| {}).is_ok());
    assert!(matches!(
        set(Register::Magic, 0),
        Err(CardError::NotAKilnCard { register: "Magic", got: 0, .. })
    ));
    assert!(matches!(set(Register::Magic, u32::MAX), Err(CardError::Gone)));
    assert!(matches!(set(Register::Vs, 0x0002_0000), Err(CardError::NotAKilnCard { register: "Vs", .. })));
    assert!(matches!(set(Register::Cap, 0), Err(CardError::Description(_))));
    assert!(matches!(set(Register::Cap, 1 << 24 | 4), Err(CardError::Settings { allowed: 1, got: 2, .. })));
    assert!(matches!(set(Register::Cap, 4 << 24 | 4), Err(CardError::Settings { allowed: 4, got: 8, .. })));
    assert!(matches!(set(Register::FeatureChain, 0x10), Err(CardError::Description(_))));
    assert!(matches!(set(Register::FeatureChain, 0x2000), Err(CardError::Description(_))));
}

#[test]
fn unknown_feature_blocks_are_skipped_and_listed() {
    let mut endpoint = Hostile::new(&Arc::new(Mutex::new(Behaviour::Honest)));
    endpoint.registers.insert(Register::FeatureChain.offset(), FEATURE_PAGE as u32);
    let mut put = |at: u64, words: &[u32]| {
        for (index, word) in (0u64..).zip(words) {
            endpoint.registers.insert(FEATURE_PAGE + at + 4 * index, *word);
        }
    };
    put(0, &FeatureHead { kind: 999, version: 3, next: 0x2010, length: 16 }.to_words());
    put(16, &FeatureHead { kind: FeatureKind::ErrorLog.code(), version: 1, next: 0, length: 16 }.to_words());
    put(28, &[32]);
    let card = Card::found(in_process(endpoint)).bring_up(&settings(8)).expect("honest");
    assert_eq!(card.features().unknown, [(999, 3)]);
    assert_eq!(card.features().blocks.len(), 1);
    assert!(card.features().get(FeatureKind::ErrorLog).is_some());
}

#[test]
fn queue_of_a_dropped_card_says_never() {
    let Bench { card, queue, switch: _ } = Bench::new(8);
    drop(card);
    let outcome = queue.submit(&COPY, Deadline::after(LONG));
    assert!(matches!(outcome, Err(CardError::Never(Loss::GivenUp))));
}

proptest! {
    #[test]
    fn no_completion_gets_past_the_check_that_is_not_in_flight(bytes in any::<[u8; 16]>(), ids in any::<[u8; 4]>()) {
        let in_flight: HashMap<u16, ()> = ids.iter().map(|id| (u16::from(*id), ())).collect();
        let completion = Completion::from_bytes(&bytes);
        if let Ok(checked) = crate::completion::check(completion, 1, 8, &in_flight) {
            prop_assert!(in_flight.contains_key(&checked.command_id));
            prop_assert_eq!(completion.submission_queue, 1);
        }
    }
}
