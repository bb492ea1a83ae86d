//! What every card must do, however it is reached: the checks behind `kiln card validate`, and the suite that holds
//! every transport to the same behaviour.
//!
//! The checks overwrite card memory and reset the card. They need a card that nobody uses.

mod data;
mod engines;
mod events;
mod firmware;

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::card::{Card, Ready, Settings};
use crate::error::CardError;
use crate::job::Job;
use crate::queue::{Finished, Queue};
use crate::transport::Transport;
use crate::wait::Deadline;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an interrupt may take to be seen after its completion was.
const INTERRUPT_PATIENCE: Duration = Duration::from_secs(10);
/// Queues that are set up, where the card has so many; each has an interrupt vector of its own.
const QUEUES_MAX: u16 = 16;

/// A check that was run.
#[derive(Debug)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// What was found, in a few words, or what is wrong.
    pub outcome: Result<String, Fault>,
    /// How long it took.
    pub took: Duration,
}

/// Why a card did not pass.
#[derive(Debug, Error)]
pub enum Fault {
    /// A command or a wait failed.
    #[error("{0}")]
    Card(#[from] CardError),
    /// It did something else.
    #[error("{what}: expected {expected}, got {got}; take the card out of service")]
    Differs {
        /// What was looked at.
        what: String,
        /// What it must be.
        expected: String,
        /// What it is.
        got: String,
    },
}

type Outcome = Result<String, Fault>;
/// A check.
type Run = fn(&Bench) -> Outcome;

/// A card under test.
struct Bench {
    transport: Arc<dyn Transport>,
    card: Card<Ready>,
}

/// The checks, in order. Each leaves the card in service for the next.
const CHECKS: [(&str, Run); 15] = [
    ("registers", events::registers),
    ("link", events::link),
    ("copies of every alignment", data::unaligned_copies),
    ("scatter lists", data::scattered_copy),
    ("DMA bandwidth", data::bandwidth),
    ("card memory pattern", data::memory_pattern),
    ("memory window", data::memory_window),
    ("MSM known answer", engines::msm),
    ("NTT known answer", engines::ntt),
    ("vector known answers", engines::vector),
    ("interrupt on every vector", events::every_vector),
    ("interrupt masks", events::masks),
    ("DMA fault", events::dma_fault),
    ("abort and engine reset", events::abort_and_engine_reset),
    ("firmware refusals", firmware::refusals),
];

/// Runs every check on the card behind a transport; `seen` hears of each as it ends. When the card cannot be brought
/// up, there is one check, which failed.
///
/// With a firmware image that the card takes, an update is checked as well: the image is installed and started, and then
/// the card is taken back to what it ran before.
pub fn run(
    transport: Arc<dyn Transport>,
    firmware: Option<&[u8]>,
    mut seen: impl FnMut(&Check),
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut note = |name, started: Instant, outcome| {
        let check = Check { name, outcome, took: started.elapsed() };
        seen(&check);
        checks.push(check);
    };
    let started = Instant::now();
    let bench = match Bench::bring_up(transport.clone()) {
        Ok(bench) => bench,
        Err(error) => {
            note("bring-up", started, Err(error.into()));
            return checks;
        }
    };
    let model = bench.card.identify().model;
    note("bring-up", started, Ok(format!("{}, {} queues", model.as_str(), bench.card.queues().len())));
    for (name, check) in CHECKS {
        let started = Instant::now();
        let outcome = check(&bench);
        note(name, started, outcome);
    }
    let started = Instant::now();
    note("function-level reset", started, events::function_level_reset(bench));
    if let Some(image) = firmware {
        let started = Instant::now();
        note("firmware update and way back", started, firmware::update(transport, image));
    }
    checks
}

impl Bench {
    fn bring_up(transport: Arc<dyn Transport>) -> Result<Bench, CardError> {
        let found = Card::found(transport.clone());
        let queues = found.queue_pairs()?.clamp(1, QUEUES_MAX);
        let card =
            found.bring_up(&Settings { queues, entries: 8, timeout: PATIENCE, polling: Duration::ZERO })?;
        Ok(Bench { transport, card })
    }

    fn queue(&self) -> Result<&Queue, Fault> {
        // Bring-up makes at least one.
        self.card.queue(0).ok_or_else(|| differs("queues", "at least one", "none"))
    }

    fn run(&self, job: &Job<'_>) -> Result<Finished, CardError> {
        match self.card.queue(0) {
            Some(queue) => run_on(queue, job),
            None => Err(CardError::Gone),
        }
    }
}

fn run_on(queue: &Queue, job: &Job<'_>) -> Result<Finished, CardError> {
    let ticket = queue.submit(job, patience())?;
    queue.wait(&ticket, patience())
}

fn patience() -> Deadline {
    Deadline::after(PATIENCE)
}

fn differs(what: impl Into<String>, expected: impl ToString, got: impl ToString) -> Fault {
    Fault::Differs { what: what.into(), expected: expected.to_string(), got: got.to_string() }
}

/// Compares bytes, and names the first that differs.
fn same_bytes(what: &str, expected: &[u8], got: &[u8]) -> Result<(), Fault> {
    if expected == got {
        return Ok(());
    }
    let at = expected.iter().zip(got).position(|(a, b)| a != b);
    let byte = |bytes: &[u8]| match at {
        Some(at) => format!("byte {at} = {:#04x}", bytes[at]),
        None => format!("{} bytes", bytes.len()),
    };
    Err(differs(what, byte(expected), byte(got)))
}

/// Bytes that do not repeat with any small period.
fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
