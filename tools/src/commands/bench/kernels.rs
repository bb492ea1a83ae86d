//! `kiln bench kernels`: each kernel beside the same thing of other libraries.
//!
//! All sides of a row take turns, with the same inputs in the same process. On every side the time includes the memory for
//! what is made.

mod fields;
mod peers;
mod plot;
mod subjects;

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use kiln_kernels::cpu::Instructions;
use kiln_kernels::{
    Bases, BasesId, BufferId, Completion, Device, DeviceInfo, Engine, KernelFailure, LoadedBases, Submission,
    Task, Ticket,
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::Serialize;

use super::limit::{Limit, in_words};
use super::machine;
use crate::error::Failure;
use crate::output::{Format, Report, bytes, seconds};
use crate::resources::{Snapshot, reset_peak_rss, rss_bytes};

/// What one run takes at least \[s\]; an operation is repeated until then.
const RUN_MIN_S: f64 = 0.1;

/// Arguments of `kiln bench kernels`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Vectors of 2^K elements, for each K given
    #[arg(long, value_name = "K,…", value_delimiter = ',', default_values_t = [14, 16],
        value_parser = clap::value_parser!(u32).range(8..=22))]
    sizes: Vec<u32>,
    /// Threads for each side, for each N given
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1],
        value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Vec<u16>,
    /// Runs of each, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    runs: u16,
    /// Only these groups of kernels
    #[arg(long, value_enum, value_name = "GROUP,…", value_delimiter = ',',
        default_values_t = [Group::Field, Group::Ntt, Group::Msm, Group::Bulk])]
    only: Vec<Group>,
    /// Use these instructions of the processor at most, of those that it has (Kiln only)
    #[arg(long, value_enum, value_name = "SET", default_value_t = Limit::Avx512)]
    instructions: Limit,
    /// Draw time against size into this file, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    pub format: Format,
}

/// Kernels that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Group {
    /// Single field operations, in cycles
    Field,
    /// Transforms
    Ntt,
    /// Commitments
    Msm,
    /// The rest: pointwise programs, inversion, scans, evaluation, division
    Bulk,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    machine: String,
    /// What Kiln's kernels use of the processor.
    instructions: &'static str,
    /// Measured while nothing else was \[GHz\].
    clock_ghz: f64,
    runs: u16,
    rows: Vec<Row>,
}

/// One kernel.
#[derive(Debug, Serialize)]
struct Row {
    group: Group,
    kernel: &'static str,
    /// None for a single field operation.
    log_n: Option<u32>,
    threads: u16,
    /// Each, where there are several columns.
    ours: Time,
    /// The most memory that Kiln's side held beyond what was there before \[bytes\].
    memory_bytes: Option<u64>,
    /// What part of Kiln's CPU time the multiplications alone would take, at the measured cost of one.
    floor: Option<f64>,
    /// Cycles of an operation, by CPU time.
    cycles: Option<f64>,
    /// The fewest cycles that the processor's multipliers allow.
    cycles_min: Option<f64>,
    peers: Vec<Peer>,
}

/// Another library.
#[derive(Debug, Serialize)]
struct Peer {
    name: &'static str,
    time: Time,
    /// The peer's CPU time divided by Kiln's.
    ratio: f64,
}

/// Medians.
#[derive(Clone, Copy, Debug, Serialize)]
struct Time {
    /// Wall time \[s\].
    wall_s: f64,
    /// CPU time of all threads \[s\]; wall time where the system does not say.
    cpu_s: f64,
}

/// A thing to measure, and how many operations one call makes.
type Side<'a> = Box<dyn Fn() -> Result<(), Failure> + Send + Sync + 'a>;

/// One kernel and its peers, ready to run.
struct Subject<'a> {
    group: Group,
    kernel: &'static str,
    log_n: Option<u32>,
    /// Operations of one call of `ours`.
    count: usize,
    ours: Side<'a>,
    /// Multiplications of an operation, where these are a floor.
    multiplications: Option<f64>,
    cycles_min: Option<f64>,
    /// Name, operations of one call, the call.
    peers: Vec<(&'static str, usize, Side<'a>)>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Measured, Failure> {
    let instructions = args.instructions.instructions();
    let bench = Bench { instructions, runs: args.runs, clock_ghz: clock_ghz(), only: &args.only };
    let mut rows = Vec::new();
    for &threads in &args.threads {
        bench.measure(threads, &args.sizes, &mut rows)?;
    }
    let measured = Measured {
        machine: machine(),
        instructions: in_words(instructions),
        clock_ghz: bench.clock_ghz,
        runs: args.runs,
        rows,
    };
    if let Some(file) = &args.plot {
        fs::write(file, plot::svg(&measured)).map_err(|e| Failure::file("write", file, e))?;
    }
    Ok(measured)
}

struct Bench<'a> {
    instructions: Instructions,
    runs: u16,
    clock_ghz: f64,
    only: &'a [Group],
}

impl Bench<'_> {
    fn measure(&self, threads: u16, sizes: &[u32], rows: &mut Vec<Row>) -> Result<(), Failure> {
        let refused = |e| Failure::refused("start the threads", e);
        let pool = ThreadPoolBuilder::new().num_threads(usize::from(threads)).build().map_err(refused)?;
        let pool = Arc::new(pool);
        let wanted = |group| self.only.contains(&group);
        let mut product_s = None;
        if wanted(Group::Field) || wanted(Group::Ntt) {
            for subject in fields::subjects(self.instructions) {
                let row = self.row(&pool, threads, None, &subject)?;
                product_s = product_s.or(Some(row.ours.cpu_s));
                // One thread says it all.
                if wanted(Group::Field) && threads == 1 {
                    rows.push(row);
                }
                if !wanted(Group::Field) {
                    break;
                }
            }
        }
        for &log_n in sizes {
            let device = kiln_kernels::cpu::device_limited_to(self.instructions);
            let engine =
                Engine::new(vec![Box::new(Pooled { device, pool: pool.clone() }) as Box<dyn Device>])
                    .map_err(|e| Failure::device("start the processor backend", e))?;
            let inputs = subjects::Inputs::new(&engine, log_n, wanted(Group::Msm))?;
            for subject in inputs.subjects(&engine)?.iter().filter(|subject| wanted(subject.group)) {
                rows.push(self.row(&pool, threads, product_s, subject)?);
            }
        }
        Ok(())
    }

    fn row(
        &self,
        pool: &ThreadPool,
        threads: u16,
        product_s: Option<f64>,
        subject: &Subject<'_>,
    ) -> Result<Row, Failure> {
        // Tables are made in a run that is not counted; memory is.
        let before = rss_bytes();
        reset_peak_rss();
        (subject.ours)()?;
        let peak = Snapshot::now().used().peak_rss_bytes;
        let memory_bytes = peak.zip(before).map(|(peak, before)| peak.saturating_sub(before));
        let mut times = vec![Vec::new(); 1 + subject.peers.len()];
        for _ in 0..self.runs {
            times[0].push(measured(subject.count, &subject.ours)?);
            for (times, (_, count, peer)) in times[1..].iter_mut().zip(&subject.peers) {
                times.push(pool.install(|| measured(*count, peer))?);
            }
        }
        let mut medians = times.iter().map(|times| Time::median(times));
        let ours = medians.next().unwrap_or(Time { wall_s: 0.0, cpu_s: 0.0 });
        let peers = subject.peers.iter().zip(medians).map(|((name, ..), time)| Peer {
            name,
            time,
            ratio: time.cpu_s / ours.cpu_s,
        });
        let floor = subject.multiplications.zip(product_s).map(|(count, each_s)| count * each_s / ours.cpu_s);
        let cycles = (subject.group == Group::Field).then_some(ours.cpu_s * 1e9 * self.clock_ghz);
        Ok(Row {
            group: subject.group,
            kernel: subject.kernel,
            log_n: subject.log_n,
            threads,
            ours,
            memory_bytes: memory_bytes.filter(|_| subject.log_n.is_some()),
            floor,
            cycles,
            cycles_min: subject.cycles_min,
            peers: peers.collect(),
        })
    }
}

impl Time {
    fn median(times: &[Time]) -> Time {
        let middle = |of: fn(&Time) -> f64| {
            let mut all: Vec<f64> = times.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or(0.0)
        };
        Time { wall_s: middle(|time| time.wall_s), cpu_s: middle(|time| time.cpu_s) }
    }
}

/// Repeats a call for long enough.
fn measured(count: usize, call: &Side<'_>) -> Result<Time, Failure> {
    let start = Snapshot::now();
    let mut times = 0;
    loop {
        call()?;
        times += count;
        let used = start.used();
        if used.wall_s >= RUN_MIN_S {
            let each = |time_s: f64| time_s / times as f64;
            return Ok(Time { wall_s: each(used.wall_s), cpu_s: each(used.cpu_s.unwrap_or(used.wall_s)) });
        }
    }
}

/// The processor's clock while it computes \[GHz\], from steps that take a cycle each and wait for each other.
fn clock_ghz() -> f64 {
    const STEPS: u32 = 20_000_000;
    let once = || {
        let start = Snapshot::now();
        let mut x = std::hint::black_box(88_172_645_463_325_252_u64);
        for _ in 0..STEPS {
            // Marsaglia 2003: three shifts, three sums.
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        std::hint::black_box(x);
        let used = start.used();
        6.0 * f64::from(STEPS) / used.cpu_s.unwrap_or(used.wall_s) * 1e-9
    };
    (0..5).map(|_| once()).fold(0.0, f64::max)
}

/// A device that works on its own threads.
struct Pooled {
    device: Box<dyn Device>,
    pool: Arc<ThreadPool>,
}

impl Device for Pooled {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }
    fn queue_depth(&self) -> usize {
        self.device.queue_depth()
    }
    fn load_bases(&mut self, bases: &Bases) -> Result<LoadedBases, KernelFailure> {
        self.pool.install(|| self.device.load_bases(bases))
    }
    fn release_bases(&mut self, bases: BasesId) {
        self.device.release_bases(bases);
    }
    fn submit(&mut self, task: &Task<'_>) -> Result<Submission, KernelFailure> {
        self.pool.install(|| self.device.submit(task))
    }
    fn wait(&mut self, ticket: Ticket) -> Result<Completion, KernelFailure> {
        self.pool.install(|| self.device.wait(ticket))
    }
    fn release(&mut self, buffer: BufferId) {
        self.device.release(buffer);
    }
}

impl Report for Measured {
    const SCHEMA: &'static str = "kiln.bench.kernels/2";
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:.2} GHz measured; Kiln uses {}", self.machine, self.clock_ghz, self.instructions)?;
        writeln!(f, "; CPU time of one operation or column, medians of {} runs", self.runs)?;
        write!(
            f,
            "{:26} {:>5} {:>7} {:>9} {:>9}  notes and peers",
            "kernel", "n", "threads", "Kiln", "memory"
        )?;
        for row in &self.rows {
            let size = row.log_n.map_or("-".into(), |log_n| format!("2^{log_n}"));
            let memory = row.memory_bytes.map_or("-".into(), bytes);
            write!(f, "\n{:26} {size:>5} {:>7} ", row.kernel, row.threads)?;
            write!(f, "{:>9} {memory:>9} ", short(row.ours.cpu_s))?;
            if let Some(cycles) = row.cycles {
                write!(f, " {cycles:.1} cycles")?;
            }
            if let Some(least) = row.cycles_min {
                write!(f, " (multipliers allow {least:.1})")?;
            }
            if row.threads > 1 {
                write!(f, " {} wall;", seconds(row.ours.wall_s))?;
            }
            if let Some(floor) = row.floor {
                write!(f, " {:.0} % multiplications;", floor * 100.0)?;
            }
            for peer in &row.peers {
                write!(f, "  {} {}: {:.2}x", peer.name, short(peer.time.cpu_s), peer.ratio)?;
            }
        }
        Ok(())
    }
}

/// A time in the unit that suits it.
fn short(time_s: f64) -> String {
    if time_s < 1e-6 { format!("{:.1} ns", time_s * 1e9) } else { seconds(time_s) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let time = |(wall_s, cpu_s)| Time { wall_s, cpu_s };
        let all = Time::median(&[(3.0, 1.0), (1.0, 9.0), (2.0, 4.0)].map(time));
        assert_eq!((all.wall_s, all.cpu_s), (2.0, 4.0));
    }
}
