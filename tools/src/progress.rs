//! Progress on long work: shown on standard error where a person is looking, and timed.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// A line that says what is being done, and a list of what took how long.
pub struct Progress {
    bar: ProgressBar,
    phases: Mutex<Vec<Phase>>,
}

/// A stretch of work.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What was done.
    pub phase: String,
    /// How long it took on this machine \[s\].
    pub wall_s: f64,
}

impl Progress {
    /// Starts; shows nothing if `quiet`, or unless standard error is a terminal.
    pub fn new(quiet: bool) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:24} {elapsed:>4} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        };
        Self { bar, phases: Mutex::default() }
    }

    /// Does a stretch of work.
    pub fn phase<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        self.bar.set_length(1);
        self.bar.set_position(0);
        self.bar.set_message(name.to_owned());
        let start = Instant::now();
        let result = work();
        self.record(name, start.elapsed().as_secs_f64());
        result
    }

    /// Says how far a stretch has come.
    pub fn message(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// Adds a stretch that was timed elsewhere.
    pub fn record(&self, name: &str, wall_s: f64) {
        if let Ok(mut phases) = self.phases.lock() {
            phases.push(Phase { phase: name.to_owned(), wall_s });
        }
    }

    /// Ends; gives what took how long, in order. The line is gone then, so that other lines can be printed.
    pub fn finish(self) -> Vec<Phase> {
        self.phases.lock().map(|phases| phases.clone()).unwrap_or_default()
    }
}

/// The prover's rounds move the bar.
impl kiln_plonk::Progress for Progress {
    fn round(&self, name: &'static str, number: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(number as u64);
        self.bar.set_message(format!("prove: {name}"));
    }
}

/// Reading a reference string moves it too.
impl kiln_plonk::SetupProgress for Progress {
    fn advance(&self, step: &'static str, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(step);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
