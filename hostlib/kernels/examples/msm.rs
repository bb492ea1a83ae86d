//! Prints what commitments cost on this machine beside `ark-ec`, in CPU time. `msm [log_n …]`, 2^16 by default.
//!
//! `RAYON_NUM_THREADS` (one by default), `INSTRUCTIONS` (`Portable`, `Adx`, `Avx2Fma` or `Avx512Ifma`; all by default), and
//! `MULTIPLES`, a directory for the bases' multiples, choose what is measured.

#[path = "common/cpu_time.rs"]
mod cpu_time;
#[path = "common/points.rs"]
mod points;

use std::error::Error;
use std::sync::Arc;

use ark_bn254::{Fr, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use kiln_kernels::cpu::Instructions;
use kiln_kernels::{Bases, Engine, Graph, HostData, Multiples, ScalarBound};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use cpu_time::cpu_s;
use points::points;

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
    let with_multiples = match std::env::var_os("MULTIPLES") {
        Some(dir) => bases.with_multiples(Arc::new(Multiples::open(dir.as_ref(), &points, u64::MAX)?)),
        None => None,
    };
    let full: Vec<Fr> = (0..n).map(|_| Fr::rand(&mut rng)).collect();
    let bits = |bits: u32| -> Vec<i32> {
        full.iter().map(|x| (x.0.0[0] as i32) << (32 - bits) >> (32 - bits)).collect()
    };
    let (byte, word) = (bits(8), bits(16));
    let relu: Vec<i32> = byte.iter().map(|&x| x.max(0)).collect();
    let small = |bits| ScalarBound::Signed { bits };
    let columns = [
        ("full", HostData::full(full.clone()), ScalarBound::Full, &bases, 1),
        (
            "full, multiples",
            HostData::full(full.clone()),
            ScalarBound::Full,
            with_multiples.as_ref().unwrap_or(&bases),
            1,
        ),
        ("8 bits", HostData::small(byte.clone()), small(8), &bases, 1),
        ("8 bits, of 16", HostData::small(byte), small(8), &bases, 16),
        ("8 bits, relu", HostData::small(relu), small(8), &bases, 1),
        ("16 bits", HostData::small(word), small(16), &bases, 1),
    ];
    let columns =
        columns.into_iter().filter(|column| with_multiples.is_some() || !column.0.ends_with("multiples"));
    let wanted = std::env::var("INSTRUCTIONS").unwrap_or_default();
    let kinds = [Instructions::Portable, Instructions::Adx, Instructions::Avx2Fma, Instructions::Avx512Ifma];
    for (name, data, bound, bases, count) in columns {
        let scalars: Vec<Fr> = (0..n).map(|i| data.get(i)).collect();
        let (theirs, peer) = mean(|| G1Projective::msm_unchecked(&points, &scalars).into_affine());
        print!("2^{log_n} {name:15} ark-ec {:8.2} ms", theirs * 1e3);
        for kind in kinds.into_iter().filter(|kind| format!("{kind:?}").starts_with(&wanted)) {
            let engine = Engine::new(vec![kiln_kernels::cpu::device_limited_to(kind)])?;
            let mut graph = Graph::new();
            let v = graph.upload(data.clone());
            graph.evaluate(&v, &[]);
            engine.run(graph)?;
            let (ours, found) = mean(|| {
                let mut graph = Graph::new();
                let points: Vec<_> = (0..count).map(|_| graph.msm(bases, 0, &v, bound)).collect();
                engine.run(graph).map(|outcome| points.iter().all(|&point| outcome.point(point) == peer))
            });
            assert!(found?, "{kind:?} gives the same point");
            let ours = ours / f64::from(count);
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
