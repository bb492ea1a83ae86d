//! Prints what commitments cost on this machine beside `ark-ec`: CPU time of one thread. `msm [log_n …]`, 2^16 by default.

use std::error::Error;
use std::sync::Arc;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, PrimeGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use kiln_kernels::cpu::Instructions;
use kiln_kernels::{Bases, Engine, Graph, HostData, ScalarBound};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::var("RAYON_NUM_THREADS").map_or(Ok(1), |t| t.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let mut logs: Vec<u32> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    if logs.is_empty() {
        logs.push(16);
    }
    for log_n in logs {
        measure(log_n)?;
    }
    Ok(())
}

fn measure(log_n: u32) -> Result<(), Box<dyn Error>> {
    let n = 1usize << log_n;
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let points = points(n);
    let bases = Bases::new(Arc::new(points.clone()));
    let full: Vec<Fr> = (0..n).map(|_| Fr::rand(&mut rng)).collect();
    let bits = |bits: u32| -> Vec<i32> {
        full.iter().map(|x| (x.0.0[0] as i32) << (32 - bits) >> (32 - bits)).collect()
    };
    let (byte, word) = (bits(8), bits(16));
    let relu: Vec<i32> = byte.iter().map(|&x| x.max(0)).collect();
    let columns = [
        ("full", HostData::full(full.clone()), ScalarBound::Full),
        ("8 bits", HostData::small(byte), ScalarBound::Signed { bits: 8 }),
        ("8 bits, relu", HostData::small(relu), ScalarBound::Signed { bits: 8 }),
        ("16 bits", HostData::small(word), ScalarBound::Signed { bits: 16 }),
    ];
    let kinds = [Instructions::Portable, Instructions::Adx, Instructions::Avx512Ifma];
    let engines = kinds.map(|kind| (kind, Engine::new(vec![kiln_kernels::cpu::device_limited_to(kind)])));
    for (name, data, bound) in columns {
        let scalars: Vec<Fr> = (0..n).map(|i| data.get(i)).collect();
        let (theirs, peer) = mean(|| G1Projective::msm_unchecked(&points, &scalars).into_affine());
        print!("2^{log_n} {name:14} ark-ec {:8.2} ms", theirs * 1e3);
        for (kind, engine) in &engines {
            let engine = engine.as_ref().map_err(|e| e.to_string())?;
            let mut graph = Graph::new();
            let v = graph.upload(data.clone());
            let keep = graph.evaluate(&v, &[]);
            engine.run(graph)?.scalars(keep);
            let (ours, point) = mean(|| {
                let mut graph = Graph::new();
                let point = graph.msm(&bases, 0, &v, bound);
                engine.run(graph).map(|outcome| outcome.point(point)).ok()
            });
            assert!(point == Some(peer), "{kind:?} gives the same point");
            print!(", {kind:?} {:8.2} ms ({:.2}x)", ours * 1e3, theirs / ours);
        }
        println!();
    }
    Ok(())
}

/// The CPU time of a run, over enough runs for the system's steps, with the result. \[s\]
fn mean<T>(mut operate: impl FnMut() -> T) -> (f64, T) {
    let before = cpu_s();
    let mut runs = 0;
    loop {
        let result = operate();
        runs += 1;
        let used = cpu_s() - before;
        if used > 0.7 {
            return (used / f64::from(runs), result);
        }
    }
}

/// CPU time of this process, in steps of 10 ms. \[s\]
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: user time is the twelfth field, system time the thirteenth.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn points(n: usize) -> Vec<G1Affine> {
    let step = G1Projective::generator() * Fr::from(0x1234_5678_9abc_u64);
    let mut point = G1Projective::generator();
    let all: Vec<G1Projective> = (0..n)
        .map(|_| {
            point += step;
            point
        })
        .collect();
    G1Projective::normalize_batch(&all)
}
