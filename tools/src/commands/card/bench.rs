//! What the driver itself costs: commands per second, latency and bandwidth, beside what this machine needs for a copy
//! and a wake-up alone.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_abi::{HostBuffer, IoCommand};
use kiln_driver::{Card, CardError, Deadline, Job, Queue, Ready, Settings, Transport};
use serde::Serialize;
use vmm_sys_util::eventfd::EventFd;

use crate::backend::CardAddress;
use crate::error::Failure;
use crate::output::{self, Report};

/// Commands whose latency is taken.
const LATENCIES: usize = 1000;
/// Commands of the run that counts them per second.
const COMMANDS: usize = 4000;
/// Bytes of a copy.
const COPY_BYTES: usize = 16 << 20;
/// Copies each way; the fastest counts.
const COPIES: usize = 4;
/// How long the polling run looks before it sleeps.
const POLLING: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Measures {
    card: String,
    interrupts: Commands,
    polling: Commands,
    to_card_bytes_per_s: f64,
    from_card_bytes_per_s: f64,
    machine: Machine,
}

/// The smallest command there is.
#[derive(Debug, Serialize)]
struct Commands {
    /// With as many in flight as the queue takes.
    commands_per_s: f64,
    /// From submission to completion, one at a time.
    latency_median_ns: u64,
    latency_99th_ns: u64,
}

/// The same work without a card.
#[derive(Debug, Serialize)]
struct Machine {
    memcpy_bytes_per_s: f64,
    /// An eventfd there and one back, between two threads that sleep in the kernel until then.
    eventfd_round_trip_median_ns: u64,
    eventfd_round_trip_99th_ns: u64,
}

/// Measures a card.
pub fn run(address: &CardAddress) -> Result<Measures, Failure> {
    measure(&address.to_string(), address.open()?)
}

/// Measures the card behind one transport. It is brought up twice and opened once: a server may serve one client only.
fn measure(name: &str, transport: Arc<dyn Transport>) -> Result<Measures, Failure> {
    let failed = |e: CardError| Failure::device("measure the card", e);
    let with = |polling| {
        let settings = Settings { polling, ..Settings::default() };
        Card::found(transport.clone()).bring_up(&settings).map_err(failed)
    };
    let card = with(Duration::ZERO)?;
    let interrupts = commands(&card).map_err(failed)?;
    let (to_card_bytes_per_s, from_card_bytes_per_s) = copies(&card).map_err(failed)?;
    drop(card);
    let polling = commands(&with(POLLING)?).map_err(failed)?;
    let (eventfd_round_trip_median_ns, eventfd_round_trip_99th_ns) =
        eventfd_round_trip().map_err(|e| Failure::device("measure an eventfd", e))?;
    let memcpy_bytes_per_s = memcpy();
    let machine = Machine { memcpy_bytes_per_s, eventfd_round_trip_median_ns, eventfd_round_trip_99th_ns };
    let card = name.to_owned();
    Ok(Measures { card, interrupts, polling, to_card_bytes_per_s, from_card_bytes_per_s, machine })
}

fn patience() -> Deadline {
    Deadline::after(PATIENCE)
}

fn queue(card: &Card<Ready>) -> Result<&Queue, CardError> {
    card.queue(0).ok_or(CardError::Gone)
}

fn commands(card: &Card<Ready>) -> Result<Commands, CardError> {
    let queue = queue(card)?;
    let mut latencies = Vec::with_capacity(LATENCIES);
    for _ in 0..LATENCIES {
        let started = Instant::now();
        let ticket = queue.submit(&Job::Fence, patience())?;
        queue.wait(&ticket, patience())?;
        latencies.push(nanoseconds(started.elapsed()));
    }
    let started = Instant::now();
    let mut in_flight = std::collections::VecDeque::new();
    for _ in 0..COMMANDS {
        if in_flight.len() == queue.depth()
            && let Some(oldest) = in_flight.pop_front()
        {
            queue.wait(&oldest, patience())?;
        }
        in_flight.push_back(queue.submit(&Job::Fence, patience())?);
    }
    for ticket in in_flight {
        queue.wait(&ticket, patience())?;
    }
    let commands_per_s = COMMANDS as f64 / started.elapsed().as_secs_f64();
    let (latency_median_ns, latency_99th_ns) = quantiles(&mut latencies);
    Ok(Commands { commands_per_s, latency_median_ns, latency_99th_ns })
}

fn copies(card: &Card<Ready>) -> Result<(f64, f64), CardError> {
    let queue = queue(card)?;
    let buffer = Arc::new(card.dma_buffer(COPY_BYTES)?);
    buffer.write(0, &vec![1; COPY_BYTES])?;
    let (host, bytes) = (HostBuffer::Contiguous { address: buffer.address() }, COPY_BYTES as u64);
    let fastest = |command: IoCommand| -> Result<f64, CardError> {
        let mut best = 0_f64;
        for _ in 0..COPIES {
            let started = Instant::now();
            let ticket = queue.submit_command(&command, vec![buffer.clone()], patience())?;
            queue.wait(&ticket, patience())?;
            best = best.max(COPY_BYTES as f64 / started.elapsed().as_secs_f64());
        }
        Ok(best)
    };
    let up = fastest(IoCommand::CopyToCard { destination: 0, bytes, source: host })?;
    Ok((up, fastest(IoCommand::CopyFromCard { source: 0, bytes, destination: host })?))
}

fn memcpy() -> f64 {
    let source = vec![1_u8; COPY_BYTES];
    let mut target = vec![0_u8; COPY_BYTES];
    let mut best = 0_f64;
    for _ in 0..COPIES {
        let started = Instant::now();
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&mut target);
        best = best.max(COPY_BYTES as f64 / started.elapsed().as_secs_f64());
    }
    best
}

/// An eventfd there and one back between two threads: two wake-ups, as a command that is waited for by interrupt costs at
/// least one. Median and 99th percentile. \[ns\]
fn eventfd_round_trip() -> std::io::Result<(u64, u64)> {
    let pair = || EventFd::new(0);
    let (there, back) = (pair()?, pair()?);
    let (their_there, their_back) = (there.try_clone()?, back.try_clone()?);
    let echo = std::thread::spawn(move || {
        (0..LATENCIES).try_for_each(|_| their_there.read().and_then(|_| their_back.write(1)))
    });
    let mut times = Vec::with_capacity(LATENCIES);
    for _ in 0..LATENCIES {
        let started = Instant::now();
        there.write(1)?;
        back.read()?;
        times.push(nanoseconds(started.elapsed()));
    }
    // It has answered as often as it was asked.
    let _ = echo.join();
    Ok(quantiles(&mut times))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn quantiles(times: &mut [u64]) -> (u64, u64) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(0);
    (at(50), at(99))
}

impl Report for Measures {
    const SCHEMA: &'static str = "kiln.card.bench/2";
}

impl fmt::Display for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |nanoseconds: u64| output::seconds(nanoseconds as f64 / 1e9);
        writeln!(f, "{}, measured", self.card)?;
        for (name, Commands { commands_per_s, latency_median_ns, latency_99th_ns }) in
            [("by interrupt", &self.interrupts), ("by polling", &self.polling)]
        {
            let (median, late) = (seconds(*latency_median_ns), seconds(*latency_99th_ns));
            writeln!(
                f,
                "  {name:<15} {commands_per_s:.0} commands/s; latency {median} median, {late} 99th percentile"
            )?;
        }
        let (up, down) = (self.to_card_bytes_per_s / 1e6, self.from_card_bytes_per_s / 1e6);
        writeln!(f, "  copies          {up:.0} MB/s to the card, {down:.0} MB/s from it")?;
        let copy = self.machine.memcpy_bytes_per_s / 1e6;
        let Machine { eventfd_round_trip_median_ns, eventfd_round_trip_99th_ns, .. } = self.machine;
        let (median, late) = (seconds(eventfd_round_trip_median_ns), seconds(eventfd_round_trip_99th_ns));
        write!(
            f,
            "  this machine    memcpy {copy:.0} MB/s; eventfd there and back {median} median, {late} 99th percentile"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_opening_is_enough_for_every_measure() {
        let address: CardAddress = "sim:u55c".parse().unwrap();
        let transport = address.open().unwrap();
        let measures = measure("one", transport.clone()).unwrap();
        assert!(measures.interrupts.commands_per_s > 0.0 && measures.polling.commands_per_s > 0.0);
        assert_eq!(Arc::strong_count(&transport), 1, "the way to the card is given back");
    }
}
