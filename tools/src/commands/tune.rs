//! Measures what proving takes on this machine, so that predictions and layouts go by it.
//!
//! ```console
//! $ kiln tune
//! $ kiln tune --sizes 10,14,18 -o rates.json --json
//! $ kiln compile --model m.onnx --calibration c.json -o compiled --rates rates.json
//! ```
//! For each size it proves a small convolutional network that it makes up, and divides the CPU time of the kernels of each kind by what was
//! counted of them. Commitments to small values, and multiplications in programs, are timed by themselves; what the proof takes besides
//! kernels is put on the cells of columns. The usual sizes take some 10 s on two cores.
//!
//! The rates go to `~/.config/kiln/rates.json`, or under `$XDG_CONFIG_HOME`, unless `-o` says otherwise. `kiln compile` reads them from there
//! and may lay a circuit out in another way than on another machine; `kiln prove` prints the predicted time beside the
//! measured one. With `--rates default` both go by the program's own rates, which were measured by this command on one machine.
//!
//! A prediction is of CPU time, in all threads together: what a proof asks of kernels is counted, with the memory that it has, and each count
//! has its rate. Beyond the sizes that were measured, the rates at the end are taken.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::UniformRand;
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use kiln_circuits::graph::{ConvGeometry, IntGraph, TableKind};
use kiln_circuits::lower::{Rate, Rates};
use kiln_circuits::samples::{GraphBuilder, Noise};
use kiln_circuits::{
    InputVisibility, PlanOptions, Visibility, WeightValues, WeightVisibility, lower, run as interpret,
};
use kiln_kernels::{Engine, Graph, KernelFailure, Program, ProgramBuilder, return_freed_memory};
use kiln_plonk::{ColumnValues, MemoryPlan, Randomness, Srs, Statement, Work, commit_group, keygen, prove};
use serde::Serialize;

use super::bench::machine;
use super::setup;
use crate::artefact::{self, Audience, Staged};
use crate::backend::{self, Backend};
use crate::error::{Failure, Source};
use crate::output::{Format, Report};
use crate::progress::Progress;
use crate::public::MODEL_GROUP;
use crate::rates;
use crate::resources::{Snapshot, Used};

const ACTION: &str = "measure this machine";
/// What one measurement takes at least \[s\].
const RUN_MIN_S: f64 = 0.05;
/// What proofs take at least, all together \[s\]: their mean counts, kernel by kernel.
const PROOFS_MIN_S: f64 = 0.5;
/// Of so many measurements the median counts.
const RUNS: usize = 3;
/// Columns that are committed to at a time.
const COLUMNS: usize = 4;
/// Multiplications and additions of a program of which these are most of the work.
const CHAIN: usize = 64;
/// What stands for a rate that came out as less than nothing.
const NEXT_TO_NOTHING_NS: f64 = 0.01;

/// Arguments of `kiln tune`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measure circuits of 2^K rows, for each K given
    #[arg(long, value_name = "K,…", value_delimiter = ',', default_values_t = [10, 11, 12, 14],
        value_parser = clap::value_parser!(u32).range(9..=20))]
    sizes: Vec<u32>,
    /// Where to write the rates, instead of ~/.config/kiln/rates.json
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Tuned {
    file: PathBuf,
    machine: String,
    sizes: Vec<Size>,
    used: Used,
}

/// One size.
#[derive(Clone, Copy, Debug, Serialize)]
struct Size {
    #[serde(flatten)]
    rate: Rate,
    /// What the proof took \[ms\].
    proof_cpu_ms: f64,
    /// What these rates say of it \[ms\].
    predicted_ms: f64,
    /// What the program's own rates say of it \[ms\].
    default_ms: f64,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Tuned, Failure> {
    let start = Snapshot::now();
    let file = args.output.clone().or_else(rates::usual_place).ok_or_else(|| {
        Failure::Input("there is no home directory to keep the rates in; say where with -o FILE".into())
    })?;
    if let Some(parent) = file.parent().filter(|_| args.output.is_none()) {
        fs::create_dir_all(parent).map_err(|e| Failure::file("make the directory", parent, e))?;
    }
    artefact::check_destination(&file)?;
    let (engine, progress) = (backend::engine(&Backend::Cpu)?, Progress::new(args.format.json));
    let mut sizes = args.sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let measured = sizes
        .iter()
        .map(|k| progress.phase(&format!("measure 2^{k} rows"), || Bench::new(&engine, *k)?.measure()));
    let sizes = measured.collect::<Result<Vec<_>, _>>()?;
    let found = Rates::new(sizes.iter().map(|size| size.rate).collect());
    let found = found.ok_or_else(|| Failure::device(ACTION, "a time came out as 0; try again"))?;
    let machine = machine();
    let mut staged = Staged::new();
    staged.add(&file, Audience::Anyone, rates::to_text(&found, &machine).as_bytes())?;
    staged.commit()?;
    Ok(Tuned { file, machine, sizes, used: start.used() })
}

/// A size to measure.
struct Bench<'a> {
    engine: &'a Engine,
    k: u32,
    srs: Srs,
}

impl<'a> Bench<'a> {
    fn new(engine: &'a Engine, k: u32) -> Result<Self, Failure> {
        Ok(Self { engine, k, srs: setup::insecure_srs(k)? })
    }

    /// Small elements and pairs of a multiplication and an addition are timed by themselves; the rest is what kernels of the same kind took
    /// in a proof, over what was counted of it.
    fn measure(&self) -> Result<Size, Failure> {
        let rows = 1usize << self.k;
        let mut rng = StdRng::seed_from_u64(1);
        let wide = vec![ColumnValues::full((0..rows).map(|_| Fr::rand(&mut rng)).collect()); COLUMNS];
        let narrow = vec![ColumnValues::small(Noise(3).vector(rows, 127)); COLUMNS];
        let each = 1e9 / (rows * COLUMNS) as f64;
        let small_ns = self.cpu_s(|| self.commit(&narrow))? * each;
        let (long, short) = (chain(CHAIN).map_err(failed)?, chain(1).map_err(failed)?);
        let short_ns = self.cpu_s(|| self.go_over(&wide, &short))? * each;
        let long_ns = self.cpu_s(|| self.go_over(&wide, &long))? * each;
        let multiply_add_ns = positive((long_ns - short_ns) / (CHAIN - 1) as f64);
        let Proof { work, cpu_ms, commitments_ms, transforms_ms, kernels_ms } = self.proof()?;
        let multiply_adds = Rate::multiply_adds(work.multiplications, work.additions + work.loads);
        let others_ms = kernels_ms - commitments_ms - transforms_ms;
        let per = |ms: f64, count: u64| positive(ms * 1e6 / count.max(1) as f64);
        let rate = Rate {
            k: self.k,
            full_ns: per(commitments_ms - small_ns * work.small_filled as f64 / 1e6, work.full_filled),
            small_ns: positive(small_ns),
            butterfly_ns: per(transforms_ms, work.butterflies),
            multiply_add_ns,
            made_ns: per(others_ms - multiply_add_ns * multiply_adds / 1e6, work.made),
            cell_ns: per(cpu_ms - kernels_ms, work.cells),
        };
        Ok(Size {
            rate,
            proof_cpu_ms: cpu_ms,
            predicted_ms: rate.proof_ms(&work),
            default_ms: Rates::default().proof_ms(&work),
        })
    }

    fn commit(&self, columns: &[ColumnValues]) -> Result<(), Failure> {
        let columns = columns.to_vec();
        let mut randomness = Randomness::insecure_from_seed([1; 32]);
        commit_group(self.engine, &self.srs, self.k, "tune", columns, false, &mut randomness)
            .map_err(failed)?;
        Ok(())
    }

    /// Runs a program on each column by itself.
    fn go_over(&self, columns: &[ColumnValues], program: &Arc<Program>) -> Result<(), Failure> {
        let mut graph = Graph::new();
        let made = columns.iter().map(|column| {
            let rows = graph.upload(column.clone());
            graph.pointwise(program.clone(), &[&rows], column.len())
        });
        let made = made.collect::<Vec<_>>();
        self.engine.run(graph).map_err(failed)?;
        drop(made);
        Ok(())
    }

    /// Median CPU time of one call; wall time where the system does not say.
    fn cpu_s(&self, work: impl Fn() -> Result<(), Failure>) -> Result<f64, Failure> {
        work()?;
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let (start, mut calls) = (Snapshot::now(), 0u32);
            let used = loop {
                work()?;
                calls += 1;
                let used = start.used();
                if used.wall_s >= RUN_MIN_S {
                    break used;
                }
            };
            times.push(used.cpu_s.unwrap_or(used.wall_s) / f64::from(calls));
        }
        times.sort_by(f64::total_cmp);
        Ok(times[RUNS / 2])
    }

    /// What a proof of a made-up network takes.
    fn proof(&self) -> Result<Proof, Failure> {
        let (graph, weights, record) = network(self.k);
        let visibility = Visibility { input: InputVisibility::Private, weights: WeightVisibility::Hidden };
        let options = PlanOptions { k: Some(self.k), ..PlanOptions::default() };
        let lowered = lower(&graph, visibility, &options).map_err(failed)?;
        let (circuit, fixed) = (lowered.circuit.clone(), lowered.fixed.clone());
        let (key, _) = keygen(self.engine, &self.srs, circuit, fixed).map_err(failed)?;
        let columns = lowered.model_columns(&weights).map_err(failed)?;
        let mut randomness = Randomness::insecure_from_seed([2; 32]);
        let committed =
            commit_group(self.engine, &self.srs, self.k, MODEL_GROUP, columns, true, &mut randomness);
        let (secret, public) = committed.map_err(failed)?;
        let secrets = [secret];
        let trace = interpret(&graph, &weights, &record).map_err(failed)?;
        let witness = lowered.witness(&trace, &weights).map_err(failed)?;
        let memory = MemoryPlan::default();
        let counted = Work::of(&key, &self.srs, &witness, &memory).map_err(failed)?;
        // With an engine of its own and memory that is fresh from the system, as a proof of `kiln prove` has.
        let made = || -> Result<kiln_kernels::Report, Failure> {
            return_freed_memory();
            let engine = backend::engine(&Backend::Cpu)?;
            let trace = interpret(&graph, &weights, &record).map_err(failed)?;
            let public_inputs = lowered.public_inputs(&trace).map_err(failed)?;
            let statement = Statement { public_inputs, committed: vec![public.clone()] };
            let witness = lowered.witness(&trace, &weights).map_err(failed)?;
            let randomness = Randomness::insecure_from_seed([3; 32]);
            prove(&engine, &key, &self.srs, &statement, &secrets, &witness, randomness, &kiln_plonk::Silent)
                .map_err(failed)?;
            Ok(engine.report())
        };
        let (start, mut reports) = (Snapshot::now(), Vec::new());
        let used = loop {
            reports.push(made()?);
            let used = start.used();
            if used.wall_s >= PROOFS_MIN_S {
                break used;
            }
        };
        let each = 1e3 / reports.len() as f64;
        let ms = |wanted: &dyn Fn(&str) -> bool| -> f64 {
            reports.iter().map(|report| cpu_s(report, wanted)).sum::<f64>() * each
        };
        Ok(Proof {
            work: counted,
            cpu_ms: used.cpu_s.unwrap_or(used.wall_s) * each,
            commitments_ms: ms(&|kernel| kernel == "msm"),
            transforms_ms: ms(&|kernel| kernel == "interpolate_coset" || kernel == "evaluate_on_coset"),
            kernels_ms: ms(&|_| true),
        })
    }
}

/// What a proof took, in CPU time of all threads.
struct Proof {
    /// As it was counted ahead.
    work: Work,
    /// All of it \[ms\].
    cpu_ms: f64,
    /// Commitments \[ms\].
    commitments_ms: f64,
    /// Transforms \[ms\].
    transforms_ms: f64,
    /// All kernels, these included \[ms\].
    kernels_ms: f64,
}

/// CPU time that an engine's devices spent on kernels \[s\].
fn cpu_s(report: &kiln_kernels::Report, wanted: &dyn Fn(&str) -> bool) -> f64 {
    let kernels = report.devices.iter().flat_map(|device| &device.kernels);
    kernels.filter(|(name, _)| wanted(name)).map(|(_, totals)| totals.cpu_ns as f64 * 1e-9).sum()
}

/// A rate, which is more than nothing whatever the noise of a measurement.
fn positive(ns: f64) -> f64 {
    ns.max(NEXT_TO_NOTHING_NS)
}

/// `x·x + x` and so on, so many multiplications and additions.
fn chain(steps: usize) -> Result<Arc<Program>, KernelFailure> {
    let mut builder = ProgramBuilder::new();
    let x = builder.input(0, 0);
    let last = (0..steps).fold(x, |value, _| {
        let product = builder.mul(value, x);
        builder.add(product, x)
    });
    builder.output(last);
    Ok(Arc::new(builder.finish()?))
}

fn failed(error: impl Into<Source>) -> Failure {
    Failure::refused(ACTION, error)
}

/// A network that fills about 2^k rows of four lanes, and a record: a convolution of eight channels, more that make the image small,
/// and a product.
fn network(k: u32) -> (IntGraph, WeightValues, Vec<i32>) {
    const CHANNELS: usize = 8;
    let mut noise = Noise(1);
    let mut b = GraphBuilder::new(6, 12, (-128, 127));
    let mut side = (f64::from(1u32 << k) / 4.5).sqrt() as usize;
    let record = noise.vector(CHANNELS * side * side, 127);
    let mut x = b.input("x", &[CHANNELS, side, side]);
    let mut kernel = (3, 1, 1);
    let mut layer = 0;
    while side > 4 {
        let (size, stride, pad) = kernel;
        let weight = noise.vector(CHANNELS * CHANNELS * size * size, 7);
        let weight = b.weight(&format!("w{layer}"), &[CHANNELS, CHANNELS, size, size], weight);
        let geometry = ConvGeometry {
            stride: (stride, stride),
            dilation: (1, 1),
            pads: (pad, pad, pad, pad),
            groups: 1,
        };
        x = b.conv(&format!("conv{layer}"), x, weight, None, geometry, b.relu_clamp());
        side = (side + 2 * pad - size) / stride + 1;
        kernel = (4, 4, 0);
        layer += 1;
    }
    let values = CHANNELS * side * side;
    let weight = noise.vector(values * 10, 1);
    let weight = b.weight("fc", &[values, 10], weight);
    let y = b.matmul("fc", x, &[1, values], weight, None, TableKind::Identity);
    let (graph, weights) = b.finish(y);
    (graph, weights, record)
}

impl Report for Tuned {
    const SCHEMA: &'static str = "kiln.tune/1";
}

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Rates of {} in {}, CPU time", self.machine, self.file.display())?;
        writeln!(
            f,
            "  {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10}",
            "rows", "full", "small", "butterfly", "multiply", "made", "cell", "a proof", "by default"
        )?;
        for Size { rate, proof_cpu_ms, default_ms, .. } in &self.sizes {
            writeln!(
                f,
                "  {:>5} {:>6.0} ns {:>6.1} ns {:>6.2} ns {:>6.2} ns {:>6.2} ns {:>6.1} ns {:>7.0} ms {:>7.0} ms",
                format!("2^{}", rate.k),
                rate.full_ns,
                rate.small_ns,
                rate.butterfly_ns,
                rate.multiply_add_ns,
                rate.made_ns,
                rate.cell_ns,
                proof_cpu_ms,
                default_ms
            )?;
        }
        write!(f, "used {}", self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_made_up_network_runs_at_every_size_and_fits_its_rows() {
        for k in [9, 10, 12, 14] {
            let (graph, weights, record) = network(k);
            assert_eq!(interpret(&graph, &weights, &record).unwrap().output.len(), 10);
            let visibility =
                Visibility { input: InputVisibility::Private, weights: WeightVisibility::Hidden };
            let options = PlanOptions { k: Some(k), ..PlanOptions::default() };
            let report = lower(&graph, visibility, &options).unwrap().report;
            let share = report.rows.0 as f64 / f64::from(1u32 << k);
            assert!((0.4..=1.0).contains(&share), "{k}: {share}");
        }
    }
}
