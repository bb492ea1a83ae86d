//! Measures the proving kernels of the processor backend beside arkworks' (ark-ec and ark-poly 0.6), on this machine.
//!
//! ```console
//! $ kiln bench kernels
//! $ kiln bench kernels --sizes 14,18 --threads 2 --json
//! $ kiln bench prove
//! $ kiln bench prove --sizes 14 --json
//! ```
//! `kernels`: each kernel and its peer take turns, with the same inputs in the same process. Times are medians of the runs; the
//! ratio is the peer's CPU time divided by Kiln's, so that what else the machine does counts little. On either side it
//! includes the memory for what is made.
//!
//! `prove`: a proof of 16 advice columns with lookups and copies, on the processor backend. A program built with
//! `--features peers` measures halo2-axiom on the same statement and the same threads besides.

mod prove;

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, PrimeGroup, VariableBaseMSM};
use ark_ff::{FftField, Field, UniformRand};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use clap::Subcommand;
use kiln_kernels::{Bases, Engine, Graph, HostData, Program, ProgramBuilder, ScalarBound, Vector};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::Serialize;

use crate::error::Failure;
use crate::output::{self, Format, Report, seconds};
use crate::resources::Snapshot;

/// Columns of the batched transform.
const BATCH: usize = 8;

/// What one run takes at least \[s\]; an operation is repeated until then.
const RUN_MIN_S: f64 = 0.3;

/// Arguments of `kiln bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure the kernels
    Kernels {
        /// Vectors of 2^K elements, for each K given
        #[arg(long, value_name = "K,…", value_delimiter = ',', default_values_t = [14, 16],
            value_parser = clap::value_parser!(u32).range(8..=22))]
        sizes: Vec<u32>,
        /// Threads for either side
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
        threads: u16,
        /// Runs of each, of which the median counts
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
        runs: u16,
        #[command(flatten)]
        format: Format,
    },
    /// Measure the prover; a build with `--features peers` sets halo2-axiom beside it
    Prove(prove::Args),
}

impl Args {
    /// How to print the result.
    pub fn format(&self) -> Format {
        match &self.action {
            Action::Kernels { format, .. } => *format,
            Action::Prove(args) => args.format,
        }
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    machine: String,
    threads: u16,
    runs: u16,
    rows: Vec<Row>,
}

/// One kernel beside its peer.
#[derive(Debug, Serialize)]
struct Row {
    kernel: &'static str,
    log_n: u32,
    peer: &'static str,
    ours: Time,
    theirs: Time,
    /// The peer's CPU time divided by ours; wall time where the system does not say.
    ratio: f64,
}

/// Medians.
#[derive(Clone, Copy, Debug, Serialize)]
struct Time {
    /// Wall time \[s\].
    wall_s: f64,
    /// CPU time of all threads that work \[s\]; none where the system does not say.
    cpu_s: Option<f64>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Kernels { sizes, threads, runs, format } => {
            output::result(*format, &kernels(sizes, *threads, *runs)?)
        }
        Action::Prove(args) => output::result(args.format, &prove::run(args)?),
    }
    Ok(())
}

fn kernels(sizes: &[u32], threads: u16, runs: u16) -> Result<Measured, Failure> {
    let bench = Bench::new(threads, runs)?;
    let mut rows = Vec::new();
    for &log_n in sizes {
        bench.measure(log_n, &mut rows)?;
    }
    Ok(Measured { machine: machine(), threads, runs, rows })
}

struct Bench {
    engine: Engine,
    /// Where the peer runs.
    pool: ThreadPool,
    runs: u16,
}

impl Bench {
    fn new(threads: u16, runs: u16) -> Result<Bench, Failure> {
        let builder = || ThreadPoolBuilder::new().num_threads(usize::from(threads));
        // The kernels run on the pool of the process.
        builder().build_global().map_err(|e| Failure::refused("start the threads", e))?;
        let pool = builder().build().map_err(|e| Failure::refused("start the threads", e))?;
        let engine = Engine::new(vec![kiln_kernels::cpu::device()])
            .map_err(|e| Failure::device("start the processor backend", e))?;
        Ok(Bench { engine, pool, runs })
    }

    fn measure(&self, log_n: u32, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let n = 1usize << log_n;
        let mut rng = StdRng::seed_from_u64(1);
        let values: Vec<Fr> = (0..n).map(|_| Fr::rand(&mut rng)).collect();
        let small: Vec<i32> = values.iter().map(|x| i32::from(x.0.0[0] as u8) - 128).collect();
        let mut graph = Graph::new();
        let v = graph.upload(HostData::full(values.clone()));
        let bytes = graph.upload(HostData::small(small.clone()));
        self.run(graph)?;
        self.transforms(log_n, &values, &v, rows)?;
        self.pointwise(log_n, &values, &v, rows)?;
        let points = points(n);
        let bases = Bases::new(Arc::new(points.clone()));
        let bytes_full: Vec<Fr> = small.iter().map(|&x| Fr::from(x)).collect();
        for (kernel, v, scalars, bound) in [
            ("MSM, any scalars", &v, &values, ScalarBound::Full),
            ("MSM, 8 bits signed", &bytes, &bytes_full, ScalarBound::Signed { bits: 8 }),
        ] {
            let ours = |graph: &mut Graph| {
                graph.msm(&bases, 0, v, bound);
                Vec::new()
            };
            let theirs = || {
                let _ = black_box(G1Projective::msm_unchecked(&points, scalars).into_affine());
            };
            rows.push(self.compare(kernel, log_n, "ark-ec 0.6", 1, &ours, &theirs)?);
        }
        Ok(())
    }

    fn transforms(&self, log_n: u32, values: &[Fr], v: &Vector, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let missing = || Failure::Input(format!("no domain of 2^{log_n} points; use a smaller size"));
        let plain = Radix2EvaluationDomain::<Fr>::new(values.len()).ok_or_else(missing)?;
        let coset = plain.get_coset(Fr::GENERATOR).ok_or_else(missing)?;
        let evaluate = |columns: usize| {
            move |graph: &mut Graph| graph.evaluate_on_coset(&vec![v; columns], log_n, Fr::GENERATOR)
        };
        let forward = || on_copy(values, |column| coset.fft_in_place(column));
        let backward = || on_copy(values, |column| plain.ifft_in_place(column));
        let interpolate = |graph: &mut Graph| graph.interpolate_coset(&[v], Fr::ONE);
        let peer = "ark-poly 0.6";
        rows.push(self.compare("NTT on a coset", log_n, peer, 1, &evaluate(1), &forward)?);
        rows.push(self.compare("NTT on a coset, of 8", log_n, peer, BATCH, &evaluate(BATCH), &forward)?);
        rows.push(self.compare("inverse NTT", log_n, peer, 1, &interpolate, &backward)?);
        Ok(())
    }

    fn pointwise(&self, log_n: u32, values: &[Fr], v: &Vector, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let program = Arc::new(gate().map_err(|e| Failure::device("build a program", e))?);
        let n = values.len();
        let ours = |graph: &mut Graph| graph.pointwise(program.clone(), &[v], n);
        let theirs = || {
            on_copy(values, |out| {
                for (i, out) in out.iter_mut().enumerate() {
                    let (x, next) = (values[i], values[(i + 1) % n]);
                    *out = (x * next + x) * (next - x) + x.square() * next;
                }
            })
        };
        rows.push(self.compare("pointwise, 4 products", log_n, "ark-ff 0.6, loop", 1, &ours, &theirs)?);
        Ok(())
    }

    /// Measures the kernels that `ours` adds to a graph, per each of `columns`, and the peer.
    fn compare(
        &self,
        kernel: &'static str,
        log_n: u32,
        peer: &'static str,
        columns: usize,
        ours: &dyn Fn(&mut Graph) -> Vec<Vector>,
        theirs: &(dyn Fn() + Sync),
    ) -> Result<Row, Failure> {
        let once = || {
            let mut graph = Graph::new();
            let made = ours(&mut graph);
            self.run(graph)?;
            drop(made);
            Ok(())
        };
        // Tables are made in a run that is not counted.
        once()?;
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            our_times.push(measured(columns, once)?);
            their_times.push(measured(1, || {
                self.pool.install(theirs);
                Ok(())
            })?);
        }
        let (ours, theirs) = (Time::median(&our_times), Time::median(&their_times));
        let ratio = match (theirs.cpu_s, ours.cpu_s) {
            (Some(theirs), Some(ours)) if ours > 0.0 => theirs / ours,
            _ => theirs.wall_s / ours.wall_s,
        };
        Ok(Row { kernel, log_n, peer, ours, theirs, ratio })
    }

    fn run(&self, graph: Graph) -> Result<(), Failure> {
        self.engine.run(graph).map(|_| ()).map_err(|e| Failure::device("run a kernel", e))
    }
}

impl Time {
    fn median(times: &[Time]) -> Time {
        let middle = |mut all: Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied()
        };
        let wall_s = middle(times.iter().map(|time| time.wall_s).collect()).unwrap_or(0.0);
        let cpu: Option<Vec<f64>> = times.iter().map(|time| time.cpu_s).collect();
        Time { wall_s, cpu_s: cpu.and_then(middle) }
    }
}

/// Repeats an operation for long enough that the system's count of CPU time, in steps of 10 ms, says something.
fn measured(columns: usize, operate: impl Fn() -> Result<(), Failure>) -> Result<Time, Failure> {
    let start = Snapshot::now();
    let mut times = 0;
    loop {
        operate()?;
        times += columns;
        let used = start.used();
        if used.wall_s >= RUN_MIN_S {
            let each = |time_s: f64| time_s / times as f64;
            return Ok(Time { wall_s: each(used.wall_s), cpu_s: used.cpu_s.map(each) });
        }
    }
}

/// An operation on a copy of the values.
fn on_copy(values: &[Fr], operate: impl FnOnce(&mut Vec<Fr>)) {
    let mut column = values.to_vec();
    operate(&mut column);
    black_box(column);
}

/// (x·x' + x)·(x' − x) + x²·x', x' being the next row's x.
fn gate() -> Result<Program, kiln_kernels::KernelFailure> {
    let mut builder = ProgramBuilder::new();
    let (x, next) = (builder.input(0, 0), builder.input(0, 1));
    let product = builder.mul(x, next);
    let sum = builder.add(product, x);
    let difference = builder.sub(next, x);
    let left = builder.mul(sum, difference);
    let square = builder.mul(x, x);
    let right = builder.mul(square, next);
    let out = builder.add(left, right);
    builder.output(out);
    builder.finish()
}

/// n different points.
fn points(n: usize) -> Vec<G1Affine> {
    let step = G1Projective::generator() * Fr::from(0x1234_5678_9abc_u64);
    let multiples = std::iter::successors(Some(step), |point| Some(*point + step)).take(n);
    G1Projective::normalize_batch(&multiples.collect::<Vec<_>>())
}

/// The processor's name.
fn machine() -> String {
    let model = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix("model name"))?.split_once(':')?.1;
        Some(line.trim().to_owned())
    };
    fs::read_to_string("/proc/cpuinfo").ok().and_then(model).unwrap_or_else(|| std::env::consts::ARCH.into())
}

impl Report for Measured {
    const SCHEMA: &'static str = "kiln.bench.kernels/1";
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} thread(s), medians of {} runs", self.machine, self.threads, self.runs)?;
        write!(f, "{:22} {:>5} {:>10} {:>10}  peer", "kernel", "n", "Kiln CPU", "peer CPU")?;
        for row in &self.rows {
            let time = |time: &Time| seconds(time.cpu_s.unwrap_or(time.wall_s));
            let (ours, theirs) = (time(&row.ours), time(&row.theirs));
            write!(f, "\n{:22} {:>5} {ours:>10} {theirs:>10}  ", row.kernel, format!("2^{}", row.log_n))?;
            write!(f, "{}: {:.2} times as fast", row.peer, row.ratio)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_wants_every_cpu_time() {
        let time = |(wall_s, cpu_s)| Time { wall_s, cpu_s };
        let all = Time::median(&[(3.0, Some(1.0)), (1.0, Some(9.0)), (2.0, Some(4.0))].map(time));
        assert_eq!((all.wall_s, all.cpu_s), (2.0, Some(4.0)));
        assert_eq!(Time::median(&[(3.0, Some(1.0)), (1.0, None)].map(time)).cpu_s, None);
    }
}
