//! `kiln bench prove`: the whole prover, on its own or beside halo2's.
//!
//! Both sides show the same statement on the same reference string, in one process and on the same pool of threads, one
//! after the other. Peer and keys of one side are let go before the other's turn.

#[cfg(feature = "peers")]
mod halo2;
mod ours;
mod shape;

use std::fmt;
use std::ops::{Add, Sub};

use kiln_kernels::Engine;
use kiln_kernels::cpu::{self, Instructions};
use kiln_plonk::Srs;
use rayon::ThreadPoolBuilder;
use serde::Serialize;

use self::ours::Ours;
use super::machine;
use crate::error::Failure;
use crate::output::{Format, Report, bytes, seconds};
use crate::resources::{Snapshot, reset_peak_rss, rss_bytes};

/// Arguments of `kiln bench prove`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Circuits of 2^K rows, for each K given
    #[arg(long, value_name = "K,…", value_delimiter = ',', default_values_t = [14, 16, 18],
        value_parser = clap::value_parser!(u32).range(10..=22))]
    sizes: Vec<u32>,
    /// Threads for either side
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Proofs of each, of which the one with the median CPU time counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    runs: u16,
    /// Use these instructions of the processor at most, of those that it has (Kiln only)
    #[arg(long, value_enum, value_name = "SET", default_value_t = Limit::Avx512)]
    instructions: Limit,
    #[command(flatten)]
    pub format: Format,
}

/// Sets of instructions.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Limit {
    /// What every processor of the kind has
    Portable,
    /// BMI2 and ADX
    Adx,
    /// AVX2 and FMA besides
    Avx2,
    /// AVX-512 IFMA besides
    Avx512,
}

impl Limit {
    /// What will be used.
    fn instructions(self) -> Instructions {
        let limit = match self {
            Self::Portable => Instructions::Portable,
            Self::Adx => Instructions::Adx,
            Self::Avx2 => Instructions::Avx2Fma,
            Self::Avx512 => Instructions::Avx512Ifma,
        };
        limit.min(Instructions::detected())
    }
}

fn in_words(instructions: Instructions) -> &'static str {
    match instructions {
        Instructions::Portable => "no special instructions",
        Instructions::Adx => "BMI2 and ADX",
        Instructions::Avx2Fma => "AVX2, FMA, BMI2 and ADX",
        Instructions::Avx512Ifma => "AVX-512 IFMA",
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    machine: String,
    threads: u16,
    runs: u16,
    /// What Kiln's kernels use of the processor.
    instructions: &'static str,
    shape: String,
    rows: Vec<Row>,
}

/// One size.
#[derive(Debug, Serialize)]
struct Row {
    log_rows: u32,
    ours: Side,
    /// Where Kiln's CPU time goes.
    split: Split,
    /// None in a build without the feature `peers`.
    peer: Option<Peer>,
}

/// The other prover, and how ours compares.
#[derive(Debug, Serialize)]
struct Peer {
    name: &'static str,
    #[serde(flatten)]
    side: Side,
    /// Kiln's CPU time to prove divided by the peer's.
    cpu_ratio: f64,
}

/// What one prover takes.
#[derive(Clone, Debug, Serialize)]
struct Side {
    prove: Time,
    verify: Time,
    /// The most memory held while proving, less what was held before keys and reference string were made \[bytes\].
    peak_bytes: Option<u64>,
    proof_bytes: usize,
}

/// Wall time and CPU time of all threads \[s\].
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Time {
    wall_s: f64,
    cpu_s: f64,
}

/// CPU time of the kernels \[s\].
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Split {
    msm_s: f64,
    ntt_s: f64,
    pointwise_s: f64,
    /// Scans, inversions, evaluations, divisions, copies.
    other_kernels_s: f64,
    /// What is no kernel: the witness, multiplicities, transcript, the check of the finished proof.
    rest_s: f64,
}

/// A prover with its keys and a witness.
trait Prover {
    fn prove(&self) -> Result<Vec<u8>, Failure>;
    fn verify(&self, proof: &[u8]) -> Result<(), Failure>;
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Measured, Failure> {
    ThreadPoolBuilder::new()
        .num_threads(usize::from(args.threads))
        .build_global()
        .map_err(|e| Failure::refused("start the threads", e))?;
    let instructions = args.instructions.instructions();
    let measure = |log_rows: &u32| measure(*log_rows, instructions, args.runs);
    let rows = args.sizes.iter().map(measure).collect::<Result<_, _>>()?;
    let (shape, instructions) = (shape::description(), in_words(instructions));
    Ok(Measured { instructions, machine: machine(), threads: args.threads, runs: args.runs, shape, rows })
}

fn measure(log_rows: u32, instructions: Instructions, runs: u16) -> Result<Row, Failure> {
    let before = rss_bytes();
    let srs =
        Srs::insecure_local(log_rows, [1; 32]).map_err(|e| Failure::refused("make a reference string", e))?;
    let (ours, split) = measure_ours(&srs, instructions, before, runs)?;
    let peer = measure_peer(srs, &ours, runs)?;
    Ok(Row { log_rows, ours, split, peer })
}

fn measure_ours(
    srs: &Srs,
    instructions: Instructions,
    before: Option<u64>,
    runs: u16,
) -> Result<(Side, Split), Failure> {
    let engine = Engine::new(vec![cpu::device_limited_to(instructions)])
        .map_err(|e| Failure::device("start the processor backend", e))?;
    let ours = Ours::new(srs, engine)?;
    let (side, splits) = side(&ours, before, runs, || ours.split())?;
    let kernels = splits.msm_s + splits.ntt_s + splits.pointwise_s + splits.other_kernels_s;
    let rest_s = (side.prove.cpu_s - kernels).max(0.0);
    Ok((side, Split { rest_s, ..splits }))
}

#[cfg(feature = "peers")]
fn measure_peer(srs: Srs, ours: &Side, runs: u16) -> Result<Option<Peer>, Failure> {
    let before = rss_bytes();
    let halo2 = halo2::Halo2::new(&srs)?;
    drop(srs);
    let (side, _) = side(&halo2, before, runs, Split::default)?;
    let cpu_ratio = ours.prove.cpu_s / side.prove.cpu_s;
    Ok(Some(Peer { name: halo2::NAME, side, cpu_ratio }))
}

#[cfg(not(feature = "peers"))]
fn measure_peer(_: Srs, _: &Side, _: u16) -> Result<Option<Peer>, Failure> {
    Ok(None)
}

/// Proves and verifies, and gives the median proof together with how far the split went on during it.
fn side(
    prover: &dyn Prover,
    before: Option<u64>,
    runs: u16,
    counter: impl Fn() -> Split,
) -> Result<(Side, Split), Failure> {
    reset_peak_rss();
    let mut proofs = Vec::new();
    for _ in 0..runs {
        let (start, counted) = (Snapshot::now(), counter());
        let proof = prover.prove()?;
        let used = start.used();
        proofs.push((Time::of(&used), used.peak_rss_bytes, counter() - counted, proof));
    }
    let peak = proofs.iter().filter_map(|proof| proof.1).max();
    proofs.sort_by(|a, b| a.0.cpu_s.total_cmp(&b.0.cpu_s));
    let (prove, _, counted, proof) = proofs.swap_remove(proofs.len() / 2);
    let mut verified = Vec::new();
    for _ in 0..runs.max(3) {
        let start = Snapshot::now();
        prover.verify(&proof)?;
        verified.push(Time::of(&start.used()));
    }
    verified.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    let verify = verified[verified.len() / 2];
    let peak_bytes = peak.zip(before).map(|(peak, before)| peak.saturating_sub(before));
    Ok((Side { prove, verify, peak_bytes, proof_bytes: proof.len() }, counted))
}

impl Time {
    fn of(used: &crate::resources::Used) -> Self {
        Self { wall_s: used.wall_s, cpu_s: used.cpu_s.unwrap_or(used.wall_s) }
    }
}

impl Split {
    fn join(self, other: Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            msm_s: join(self.msm_s, other.msm_s),
            ntt_s: join(self.ntt_s, other.ntt_s),
            pointwise_s: join(self.pointwise_s, other.pointwise_s),
            other_kernels_s: join(self.other_kernels_s, other.other_kernels_s),
            rest_s: join(self.rest_s, other.rest_s),
        }
    }
}

impl Add for Split {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.join(other, |a, b| a + b)
    }
}

impl Sub for Split {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.join(other, |a, b| a - b)
    }
}

impl Report for Measured {
    const SCHEMA: &'static str = "kiln.bench.prove/1";
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} thread(s), median of {} proofs", self.machine, self.threads, self.runs)?;
        writeln!(f, "{}", self.shape)?;
        writeln!(f, "Kiln's kernels use {}", self.instructions)?;
        let head = ["CPU", "wall", "verify", "peak", "proof"];
        write!(f, "{:6}{:32}", "rows", "prover")?;
        head.iter().try_for_each(|name| write!(f, " {name:>10}"))?;
        for row in &self.rows {
            line(f, row.log_rows, "Kiln", &row.ours)?;
            if let Some(peer) = &row.peer {
                line(f, row.log_rows, peer.name, &peer.side)?;
            }
            let Split { msm_s, ntt_s, pointwise_s, other_kernels_s, rest_s } = row.split;
            write!(f, "\n      Kiln's CPU time: MSM {}, NTT {}", seconds(msm_s), seconds(ntt_s))?;
            write!(f, ", pointwise {}, other kernels {}", seconds(pointwise_s), seconds(other_kernels_s))?;
            write!(f, ", rest {}", seconds(rest_s))?;
            if let Some(peer) = &row.peer {
                write!(f, "\n      Kiln's CPU time is {:.2} of the peer's", peer.cpu_ratio)?;
            }
        }
        if self.rows.iter().all(|row| row.peer.is_none()) {
            write!(f, "\nFor halo2-axiom beside it: cargo run --release --features peers -- bench prove")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, log_rows: u32, name: &str, side: &Side) -> fmt::Result {
    write!(f, "\n{:6}{name:32}", format!("2^{log_rows}"))?;
    let peak = side.peak_bytes.map_or("unknown".into(), bytes);
    let proof = format!("{} B", side.proof_bytes);
    let times = [side.prove.cpu_s, side.prove.wall_s, side.verify.wall_s].map(seconds);
    times.into_iter().chain([peak, proof]).try_for_each(|cell| write!(f, " {cell:>10}"))
}
