//! The rows of one size: add a kernel here.

use std::hint::black_box;
use std::sync::Arc;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, PrimeGroup};
use ark_ff::{FftField, Field, One, UniformRand, Zero};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use kiln_kernels::{
    Bases, Engine, Graph, HostData, KernelFailure, Program, ProgramBuilder, ScalarBound, ScanKind, Vector,
};

use super::peers::{self, Peers};
use super::{Group, Subject};
use crate::error::Failure;

/// Columns of batched kernels.
const BATCH: usize = 16;

/// What the kernels of one size work on.
pub struct Inputs {
    log_n: u32,
    values: Vec<Fr>,
    v: Vector,
    /// Commitments' scalars and points, if wanted.
    commitments: Option<Commitments>,
}

struct Commitments {
    points: Arc<Vec<G1Affine>>,
    bases: Bases,
    columns: Vec<Small>,
}

/// Small signed scalars.
struct Small {
    kernel: &'static str,
    bits: u32,
    v: Vector,
    full: Vec<Fr>,
}

impl Inputs {
    /// 2^log_n random values, the same every time.
    pub fn new(engine: &Engine, log_n: u32, commitments: bool) -> Result<Inputs, Failure> {
        let mut rng = StdRng::seed_from_u64(1);
        let values: Vec<Fr> = (0..1usize << log_n).map(|_| Fr::rand(&mut rng)).collect();
        let mut graph = Graph::new();
        let v = graph.upload(HostData::full(values.clone()));
        let commitments = commitments.then(|| Commitments::new(&mut graph, &values));
        run(engine, graph)?;
        Ok(Inputs { log_n, values, v, commitments })
    }

    /// A row each.
    pub fn subjects<'a>(&'a self, engine: &'a Engine) -> Result<Vec<Subject<'a>>, Failure> {
        let mut subjects = self.transforms(engine)?;
        if let Some(commitments) = &self.commitments {
            subjects.extend(commitments.subjects(engine, self));
        }
        subjects.extend(self.bulk(engine)?);
        Ok(subjects)
    }

    /// A kernel that `add` adds to a graph, `count` times.
    fn subject<'a>(
        &self,
        engine: &'a Engine,
        group: Group,
        kernel: &'static str,
        count: usize,
        add: impl Fn(&mut Graph) -> Vec<Vector> + Send + Sync + 'a,
        peers: Peers<'a>,
    ) -> Subject<'a> {
        let ours = Box::new(move || {
            let mut graph = Graph::new();
            let made = add(&mut graph);
            run(engine, graph)?;
            drop(made);
            Ok(())
        });
        let log_n = Some(self.log_n);
        Subject { group, kernel, log_n, count, ours, multiplications: None, cycles_min: None, peers }
    }

    fn transforms<'a>(&'a self, engine: &'a Engine) -> Result<Vec<Subject<'a>>, Failure> {
        let (log_n, v) = (self.log_n, &self.v);
        let missing = || Failure::Input(format!("no domain of 2^{log_n} points; use a smaller size"));
        let plain = Radix2EvaluationDomain::<Fr>::new(self.values.len()).ok_or_else(missing)?;
        let coset = plain.get_coset(Fr::GENERATOR).ok_or_else(missing)?;
        let evaluate = move |shift: Fr, columns: usize| {
            move |graph: &mut Graph| graph.evaluate_on_coset(&vec![v; columns], log_n, shift)
        };
        let peers = |domain, inverse| peers::transform(&self.values, domain, inverse);
        let ntt = Group::Ntt;
        let back = move |graph: &mut Graph| graph.interpolate_coset(&[v], Fr::one());
        let mut subjects = vec![
            self.subject(engine, ntt, "NTT", 1, evaluate(Fr::one(), 1), peers(plain, false)),
            self.subject(engine, ntt, "inverse NTT", 1, back, peers(plain, true)),
            self.subject(engine, ntt, "NTT on a coset", 1, evaluate(Fr::GENERATOR, 1), peers(coset, false)),
            self.subject(
                engine,
                ntt,
                "NTT, of 16 columns",
                BATCH,
                evaluate(Fr::one(), BATCH),
                peers(plain, false),
            ),
        ];
        for subject in &mut subjects {
            subject.multiplications = Some(f64::from(log_n) * (1u64 << (log_n - 1)) as f64);
        }
        Ok(subjects)
    }

    fn bulk<'a>(&'a self, engine: &'a Engine) -> Result<Vec<Subject<'a>>, Failure> {
        let program = Arc::new(gate().map_err(|e| Failure::device("build a program", e))?);
        let (values, v, n) = (&self.values, &self.v, self.values.len());
        let bulk = Group::Bulk;
        let rows = peers::looped(move || {
            let mut out = values.clone();
            for (i, out) in out.iter_mut().enumerate() {
                let (x, next) = (values[i], values[(i + 1) % n]);
                *out = (x * next + x) * (next - x) + x.square() * next;
            }
            black_box(out);
        });
        let inverses = peers::looped(move || {
            let mut out = values.clone();
            ark_ff::batch_inversion(&mut out);
            black_box(out);
        });
        let products = peers::looped(move || {
            let mut product = Fr::one();
            let next = |x: &Fr| {
                let before = product;
                product *= x;
                before
            };
            black_box(values.iter().map(next).collect::<Vec<Fr>>());
        });
        let horner = move |at: Fr| values.iter().rev().fold(Fr::zero(), |sum, x| sum * at + x);
        let evaluations = peers::looped(move || {
            black_box([3u64, 5, 7].map(|at| horner(Fr::from(at))));
        });
        let quotients = peers::looped(move || {
            let mut sum = Fr::zero();
            let next = |x: &Fr| {
                let before = sum;
                sum = sum * Fr::GENERATOR + x;
                before
            };
            black_box(values.iter().rev().map(next).collect::<Vec<Fr>>());
        });
        let run_program = move |graph: &mut Graph| graph.pointwise(program.clone(), &[v], n);
        Ok(vec![
            self.subject(engine, bulk, "pointwise, 4 products", 1, run_program, rows),
            self.subject(engine, bulk, "inversion", 1, |graph| vec![graph.invert(v)], inverses),
            self.subject(
                engine,
                bulk,
                "running product",
                1,
                |graph| vec![graph.scan(v, ScanKind::Product)],
                products,
            ),
            self.subject(
                engine,
                bulk,
                "evaluation at 3 points",
                1,
                |graph| {
                    graph.evaluate(v, &[3u64, 5, 7].map(Fr::from));
                    Vec::new()
                },
                evaluations,
            ),
            self.subject(
                engine,
                bulk,
                "division by X − a",
                1,
                |graph| vec![graph.divide_linear(v, Fr::GENERATOR)],
                quotients,
            ),
        ])
    }
}

impl Commitments {
    fn new(graph: &mut Graph, values: &[Fr]) -> Commitments {
        let points = Arc::new(points(values.len()));
        // Low bits of a random value, as a signed integer.
        let small = |bits: u32| {
            let low = move |x: &Fr| ((x.0.0[0] & ((1 << (bits + 1)) - 1)) as i32) - (1 << bits);
            values.iter().map(low).map(move |x| x.clamp(1 - (1 << bits), (1 << bits) - 1))
        };
        let rectified = small(8).map(|x| x.max(0));
        let list: [(&'static str, u32, Vec<i32>); 3] = [
            ("MSM, 8 bits signed", 8, small(8).collect()),
            ("MSM, 8 bits, half zero", 8, rectified.collect()),
            ("MSM, 16 bits signed", 16, small(16).collect()),
        ];
        let columns = list.map(|(kernel, bits, values)| Small {
            kernel,
            bits,
            full: values.iter().map(|&x| Fr::from(x)).collect(),
            v: graph.upload(HostData::small(values)),
        });
        Commitments { bases: Bases::new(points.clone()), points, columns: columns.into() }
    }

    fn subjects<'a>(&'a self, engine: &'a Engine, inputs: &'a Inputs) -> Vec<Subject<'a>> {
        let commit = |kernel, v: &'a Vector, bound, count: usize, scalars: &'a [Fr]| {
            let add = move |graph: &mut Graph| {
                for _ in 0..count {
                    graph.msm(&self.bases, 0, v, bound);
                }
                Vec::new()
            };
            inputs.subject(engine, Group::Msm, kernel, count, add, peers::commit(&self.points, scalars))
        };
        let mut subjects = vec![commit("MSM, any scalars", &inputs.v, ScalarBound::Full, 1, &inputs.values)];
        for Small { kernel, bits, v, full } in &self.columns {
            subjects.push(commit(kernel, v, ScalarBound::Signed { bits: *bits }, 1, full));
        }
        let Small { bits, v, full, .. } = &self.columns[0];
        let bound = ScalarBound::Signed { bits: *bits };
        subjects.push(commit("MSM, 8 bits, of 16 columns", v, bound, BATCH, full));
        subjects
    }
}

fn run(engine: &Engine, graph: Graph) -> Result<(), Failure> {
    engine.run(graph).map(|_| ()).map_err(|e| Failure::device("run a kernel", e))
}

/// (x·x' + x)·(x' − x) + x²·x', x' being the next row's x.
fn gate() -> Result<Program, KernelFailure> {
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
