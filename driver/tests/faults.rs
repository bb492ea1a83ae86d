//! Every fault of the simulated card meets the driver: each ends in time, with its cause, and the card comes back where a
//! card can.

#![allow(clippy::expect_used)] // In a test, a failure is a failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_abi::Status;
use kiln_abi::admin::Event;
use kiln_driver::recovery::{Ending, Keeper};
use kiln_driver::{Card, CardError, Deadline, Finished, InProcess, Job, Queue, Ready, Settings, Transport};
use kiln_sim::{Card as SimulatedCard, Profile};

/// Enough for a card that answers.
const LONG: Duration = Duration::from_secs(20);
/// Not enough for one that does not.
const SHORT: Duration = Duration::from_millis(100);
const SETTINGS: Settings =
    Settings { queues: 2, entries: 8, timeout: Duration::from_secs(2), polling: Duration::ZERO };
const DATA: [u8; 64] = [7; 64];
const UP: Job<'static> = Job::CopyToCard { destination: 0, data: &DATA };
const DOWN: Job<'static> = Job::CopyFromCard { source: 0, bytes: 64 };

fn transport(fault: &str) -> Arc<dyn Transport> {
    let card = SimulatedCard::new(Profile::load("u55c").expect("a profile"));
    let card = card.with_faults(fault.parse().expect("a fault"));
    Arc::new(InProcess::new("faulty", Box::new(card)).expect("a thread"))
}

fn ready(fault: &str) -> Card<Ready> {
    Card::found(transport(fault)).bring_up(&SETTINGS).expect("healthy so far")
}

fn run(queue: &Queue, job: &Job<'_>, patience: Duration) -> Result<Finished, CardError> {
    let ticket = queue.submit(job, Deadline::after(patience))?;
    queue.wait(&ticket, Deadline::after(patience))
}

fn works(card: &Card<Ready>) {
    let queue = &card.queues()[0];
    run(queue, &UP, LONG).expect("copied");
    assert_eq!(run(queue, &DOWN, LONG).expect("copied").data, DATA);
}

#[test]
fn lost_interrupt_costs_time_and_nothing_else() {
    let card = ready("lost-interrupt@0");
    let started = Instant::now();
    run(&card.queues()[0], &UP, LONG).expect("the ring is looked at without an interrupt");
    assert!(started.elapsed() < LONG / 2);
    works(&card);
}

#[test]
fn hung_engine_is_freed_by_an_abort() {
    let card = ready("hung-engine@1");
    let queue = &card.queues()[0];
    run(queue, &UP, LONG).expect("the first");
    let hangs = queue.submit(&DOWN, Deadline::after(LONG)).expect("room");
    assert!(matches!(queue.wait(&hangs, Deadline::after(SHORT)), Err(CardError::NotYet { .. })));
    assert_eq!(card.end(queue, &hangs, SHORT).expect("alive"), Ending::Aborted);
    works(&card);
}

#[test]
fn command_behind_a_hung_engine_is_freed_by_an_engine_reset() {
    let card = ready("hung-engine@0");
    let queue = &card.queues()[0];
    let hangs = queue.submit(&UP, Deadline::after(LONG)).expect("room");
    let behind = queue.submit(&DOWN, Deadline::after(LONG)).expect("room");
    // The one behind was not fetched, so it cannot be aborted; when the engine is free, it runs.
    assert_eq!(card.end(queue, &behind, SHORT).expect("alive"), Ending::ByItself);
    let outcome = queue.wait(&hangs, Deadline::after(LONG));
    assert!(matches!(outcome, Err(CardError::Command { status: Status::Aborted, .. })), "{outcome:?}");
    works(&card);
}

#[test]
fn memory_errors_are_counted_logged_and_told() {
    let card = ready("ecc-single@0");
    works(&card);
    assert_eq!(card.health().expect("told").memory_errors_corrected, 1);
    let card = ready("ecc-double@0");
    let outcome = run(&card.queues()[0], &UP, LONG);
    assert!(matches!(outcome, Err(CardError::Command { status: Status::MemoryError, .. })), "{outcome:?}");
    assert_eq!(card.health().expect("told").memory_errors_uncorrected, 1);
    assert_eq!(card.errors().expect("told").len(), 1);
    assert_eq!(card.next_event(LONG).expect("told"), Some(Event::ErrorLogged));
    assert_eq!(card.next_event(SHORT).expect("quiet"), None);
    works(&card);
}

#[test]
fn corrupted_result_is_not_noticed_here() {
    // The driver moves bytes. Who uses them must check them; proofs are verified before they leave.
    let card = ready("corrupt-result@0");
    run(&card.queues()[0], &UP, LONG).expect("copied");
    assert_ne!(run(&card.queues()[0], &DOWN, LONG).expect("copied").data, DATA);
    works(&card);
}

#[test]
fn slow_job_is_not_yet_and_then_done() {
    let card = ready("timeout@0");
    let queue = &card.queues()[0];
    let slow = queue.submit(&UP, Deadline::after(LONG)).expect("room");
    assert!(matches!(queue.wait(&slow, Deadline::after(SHORT)), Err(CardError::NotYet { .. })));
    queue.wait(&slow, Deadline::after(LONG)).expect("done in the end");
}

#[test]
fn dropped_link_loses_the_card_and_a_reset_brings_it_back() {
    let mut keeper = Keeper::start(transport("link-drop@0"), SETTINGS, 3).expect("healthy so far");
    let queue = keeper.card().expect("in service").queues()[0].clone();
    let outcome = run(&queue, &UP, LONG);
    assert!(matches!(outcome, Err(CardError::Gone | CardError::Never(_))), "{outcome:?}");
    works(keeper.revive().expect("the link comes back"));
}

#[test]
fn crashed_firmware_needs_a_function_level_reset() {
    let mut keeper = Keeper::start(transport("firmware-crash@0"), SETTINGS, 3).expect("healthy so far");
    let queue = keeper.card().expect("in service").queues()[0].clone();
    let stuck = queue.submit(&UP, Deadline::after(SHORT)).and_then(|ticket| {
        assert!(matches!(queue.wait(&ticket, Deadline::after(SHORT)), Err(CardError::NotYet { .. })));
        keeper.card()?.end(&queue, &ticket, SHORT)
    });
    assert!(matches!(stuck, Err(CardError::NotYet { .. })), "{stuck:?}");
    works(keeper.revive().expect("reset"));
}

#[test]
fn removed_card_is_gone_and_is_quarantined_after_a_few_tries() {
    let mut keeper = Keeper::start(transport("removal@0"), SETTINGS, 2).expect("healthy so far");
    let queue = keeper.card().expect("in service").queues()[0].clone();
    let outcome = run(&queue, &UP, LONG);
    assert!(matches!(outcome, Err(CardError::Gone | CardError::Never(_))), "{outcome:?}");
    for _ in 0..2 {
        assert!(matches!(keeper.revive(), Err(CardError::Gone)));
    }
    assert!(matches!(keeper.revive(), Err(CardError::Quarantined { resets: 2 })));
    assert!(matches!(keeper.card(), Err(CardError::Quarantined { .. })));
}
