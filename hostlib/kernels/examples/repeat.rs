//! One kernel over and over, for a profiler to look at. `repeat KERNEL [log_n [times]]`, 2^18 and 100 times by default.
//!
//! Kernels: `full`, `multiples`, `byte`, `relu`, `word` (commitments), `ntt`, `ntt16` (forward, of one column and of sixteen),
//! `add` (sums of two columns). `RAYON_NUM_THREADS` (one by default) says how many threads. Prints the CPU time of each.

#[path = "common/cpu_time.rs"]
mod cpu_time;
#[path = "common/points.rs"]
mod points;

use std::error::Error;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{One, UniformRand};
use kiln_kernels::{Bases, Engine, Graph, HostData, Multiples, ProgramBuilder, ScalarBound};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use cpu_time::cpu_s;
use points::points;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::var("RAYON_NUM_THREADS").map_or(Ok(1), |t| t.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let kernel = args.first().map_or("full", String::as_str);
    let log_n: u32 = args.get(1).map_or(Ok(18), |arg| arg.parse())?;
    let times: u32 = args.get(2).map_or(Ok(100), |arg| arg.parse())?;

    let n = 1usize << log_n;
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let full: Vec<Fr> = (0..n).map(|_| Fr::rand(&mut rng)).collect();
    let bits = |bits: u32| -> Vec<i32> {
        full.iter().map(|x| (x.0.0[0] as i32) << (32 - bits) >> (32 - bits)).collect()
    };
    let data = match kernel {
        "byte" => HostData::small(bits(8)),
        "relu" => HostData::small(bits(8).into_iter().map(|x| x.max(0)).collect()),
        "word" => HostData::small(bits(16)),
        _ => HostData::full(full),
    };
    let engine = Engine::new(vec![kiln_kernels::cpu::device()])?;
    let mut graph = Graph::new();
    let v = graph.upload(data);
    graph.evaluate(&v, &[]);
    engine.run(graph)?;

    let mut builder = ProgramBuilder::new();
    let (a, b) = (builder.input(0, 0), builder.input(0, 1));
    let sum = builder.add(a, b);
    builder.output(sum);
    let addition = Arc::new(builder.finish()?);

    let small = |bits| ScalarBound::Signed { bits };
    let commitment = match kernel {
        "full" | "multiples" => Some(ScalarBound::Full),
        "byte" | "relu" => Some(small(8)),
        "word" => Some(small(16)),
        _ => None,
    };
    let bases = match commitment {
        None => None,
        Some(_) => {
            let points = points(n);
            let bases = Bases::new(Arc::new(points.clone()));
            let directory = std::env::temp_dir().join("kiln-repeat-multiples");
            Some(match kernel {
                "multiples" => {
                    let multiples = Arc::new(Multiples::open(&directory, &points, u64::MAX)?);
                    bases.with_multiples(multiples).ok_or("these are the multiples of other bases")?
                }
                _ => bases,
            })
        }
    };
    let before = cpu_s();
    for _ in 0..times {
        let mut graph = Graph::new();
        let made = match (kernel, commitment, &bases) {
            (_, Some(bound), Some(bases)) => {
                graph.msm(bases, 0, &v, bound);
                Vec::new()
            }
            ("ntt", ..) => graph.evaluate_on_coset(&[&v], log_n, Fr::one()),
            ("ntt16", ..) => graph.evaluate_on_coset(&[&v; 16], log_n, Fr::one()),
            ("add", ..) => graph.pointwise(addition.clone(), &[&v], n),
            _ => return Err(format!("no kernel is called {kernel:?}").into()),
        };
        // What nobody reads is not computed.
        made.iter().for_each(|vector| _ = graph.download(vector, 0, 1));
        engine.run(graph)?;
    }
    println!("{kernel} 2^{log_n}: {:.2} ms of CPU time each", (cpu_s() - before) * 1e3 / f64::from(times));
    Ok(())
}
