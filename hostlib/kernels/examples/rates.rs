//! Prints what each kernel of the `cpu` backend costs per element on this machine. `rates [log_n]`, 2^16 by default.

#[path = "common/points.rs"]
mod points;

use std::error::Error;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{FftField, One, UniformRand};
use kiln_kernels::{Bases, Engine, Graph, HostData, ProgramBuilder, ScalarBound, ScanKind};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use points::points;

fn main() -> Result<(), Box<dyn Error>> {
    let log_n: u32 = std::env::args().nth(1).map_or(Ok(16), |arg| arg.parse())?;
    let n = 1usize << log_n;
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let engine = Engine::new(vec![kiln_kernels::cpu::device()])?;
    let bases = Bases::new(Arc::new(points(n)));

    let mut graph = Graph::new();
    let v = graph.upload(HostData::full((0..n).map(|_| Fr::rand(&mut rng)).collect()));
    let byte = graph.upload(HostData::small((0..n as i32).map(|i| (i * 77) % 256 - 128).collect()));
    let word = graph.upload(HostData::small((0..n as i32).map(|i| (i * 7777) % 65536 - 32768).collect()));
    // Twiddles are made once, before anything is timed.
    let warm = graph.evaluate_on_coset(&[&v], log_n, Fr::one());
    engine.run(graph)?;
    drop(warm);

    let mut builder = ProgramBuilder::new();
    let (a, b) = (builder.input(0, 0), builder.input(0, 1));
    let product = builder.mul(a, b);
    let sum = builder.add(product, a);
    builder.output(sum);
    let program = Arc::new(builder.finish()?);

    let time = |name: &str, kernel: &'static str, build: &dyn Fn(&mut Graph)| -> Result<(), Box<dyn Error>> {
        let before = wall_ns(&engine, kernel);
        let mut graph = Graph::new();
        build(&mut graph);
        engine.run(graph)?;
        println!("{name:28} {:8.1} ns/element", (wall_ns(&engine, kernel) - before) as f64 / n as f64);
        Ok(())
    };
    time("msm, full", "msm", &|g| _ = g.msm(&bases, 0, &v, ScalarBound::Full))?;
    time("msm, 8 bits", "msm", &|g| _ = g.msm(&bases, 0, &byte, ScalarBound::Signed { bits: 8 }))?;
    time("msm, 16 bits", "msm", &|g| _ = g.msm(&bases, 0, &word, ScalarBound::Signed { bits: 16 }))?;
    let read = |g: &mut Graph, v: &kiln_kernels::Vector| _ = g.download(v, 0, 1);
    time("evaluate on coset", "evaluate_on_coset", &|g| {
        let out = g.evaluate_on_coset(&[&v], log_n, Fr::GENERATOR).remove(0);
        read(g, &out);
    })?;
    time("pointwise, a·b + a", "pointwise", &|g| {
        let out = g.pointwise(program.clone(), &[&v], n).remove(0);
        read(g, &out);
    })?;
    time("invert", "invert", &|g| {
        let out = g.invert(&v);
        read(g, &out);
    })?;
    time("scan, product", "scan", &|g| {
        let out = g.scan(&v, ScanKind::Product);
        read(g, &out);
    })?;
    time("divide linear", "divide_linear", &|g| {
        let out = g.divide_linear(&v, Fr::GENERATOR);
        read(g, &out);
    })?;
    time("evaluate", "evaluate", &|g| _ = g.evaluate(&v, &[Fr::GENERATOR]))?;
    Ok(())
}

fn wall_ns(engine: &Engine, kernel: &'static str) -> u64 {
    let report = engine.report();
    report.devices.iter().filter_map(|device| device.kernels.get(kernel)).map(|kernel| kernel.wall_ns).sum()
}
