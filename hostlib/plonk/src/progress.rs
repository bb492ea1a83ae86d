//! What the prover says while it works, and what it reports at the end.

use std::time::Instant;

/// Listens to a prover.
pub trait Progress {
    /// Round `number` of `total` (counted from 0) begins.
    fn round(&self, name: &'static str, number: usize, total: usize);
}

/// Listens to the reading of a structured reference string.
pub trait SetupProgress {
    /// `done` of `total` parts of this step are done.
    fn advance(&self, step: &'static str, done: u64, total: u64);
}

/// Nobody listens.
pub struct Silent;

impl SetupProgress for Silent {
    fn advance(&self, _: &'static str, _: u64, _: u64) {}
}

impl Progress for Silent {
    fn round(&self, _: &'static str, _: usize, _: usize) {}
}

/// Where a proof's time went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofReport {
    /// Name of each round and its wall time in nanoseconds, in order.
    pub rounds: Vec<(&'static str, u64)>,
}

impl ProofReport {
    /// Wall time of all rounds.
    pub fn wall_ns(&self) -> u64 {
        self.rounds.iter().map(|(_, wall_ns)| wall_ns).sum()
    }
}

/// The prover's rounds, in order.
const ROUNDS: [&str; 7] =
    ["statement", "phases", "lookup", "quotient", "evaluations", "opening", "self-check"];

/// Times the rounds.
pub(crate) struct Clock<'a> {
    progress: &'a dyn Progress,
    report: ProofReport,
    started: Option<Instant>,
}

impl<'a> Clock<'a> {
    pub fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, report: ProofReport::default(), started: None }
    }

    /// Ends the round that runs and begins the next.
    pub fn next_round(&mut self) {
        self.stop();
        let number = self.report.rounds.len();
        if let Some(name) = ROUNDS.get(number) {
            self.progress.round(name, number, ROUNDS.len());
            self.report.rounds.push((name, 0));
            self.started = Some(Instant::now());
        }
    }

    /// Ends the last round.
    pub fn finish(mut self) -> ProofReport {
        self.stop();
        self.report
    }

    fn stop(&mut self) {
        if let (Some(started), Some(last)) = (self.started.take(), self.report.rounds.last_mut()) {
            last.1 = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        }
    }
}
