//! The laws that every backend obeys, written once and run against each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod card;
mod copies;
mod engine;
mod large;
mod msm;
mod ntt;
mod pointwise;
mod random;
mod vectors;

use std::sync::Arc;
use std::time::Duration;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, PrimeGroup};
use ark_ff::{One, UniformRand, Zero};
use kiln_driver::transport::in_process::BoxedEndpoint;
use kiln_driver::{Card, InProcess, Settings};
use kiln_kernels::cpu::Instructions;
use kiln_kernels::{Device, Engine, Graph, HostData, PendingScalars, Vector};
use kiln_sim::{DEFAULT_PROFILE, Profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Runs each law on each backend: `laws! { module: law, … }`.
macro_rules! laws {
    ($($law:ident),* $(,)?) => {
        mod reference {
            $(#[test] fn $law() { super::$law(&crate::reference_engine()); })*
        }
        mod cpu {
            $(#[test] fn $law() { super::$law(&crate::cpu_engine()); })*
        }
        mod cpu_with_fma {
            $(#[test] fn $law() { super::$law(&crate::limited_engine(kiln_kernels::cpu::Instructions::Avx2Fma)); })*
        }
        mod cpu_with_adx {
            $(#[test] fn $law() { super::$law(&crate::limited_engine(kiln_kernels::cpu::Instructions::Adx)); })*
        }
        mod cpu_portable {
            $(#[test] fn $law() { super::$law(&crate::limited_engine(kiln_kernels::cpu::Instructions::Portable)); })*
        }
        mod card {
            $(#[test] fn $law() { super::$law(&crate::card_engine()); })*
        }
    };
}
pub(crate) use laws;

fn reference_engine() -> Engine {
    Engine::new(vec![kiln_kernels::reference::device()]).unwrap()
}

fn cpu_engine() -> Engine {
    Engine::new(vec![kiln_kernels::cpu::device()]).unwrap()
}

/// The `cpu` backend as it is on a processor with no more instructions than these.
fn limited_engine(limit: Instructions) -> Engine {
    Engine::new(vec![kiln_kernels::cpu::device_limited_to(limit)]).unwrap()
}

fn card_engine() -> Engine {
    Engine::new(vec![card_device("card")]).unwrap()
}

/// A simulated card of the default profile, brought up by the driver.
fn card_device(name: &str) -> Box<dyn Device> {
    bring_up(name, Box::new(kiln_sim::Card::new(Profile::load(DEFAULT_PROFILE).unwrap())))
}

fn bring_up(name: &str, endpoint: BoxedEndpoint) -> Box<dyn Device> {
    let transport = Arc::new(InProcess::new(name, endpoint).unwrap());
    let card = Card::found(transport).bring_up(&Settings::default()).unwrap();
    kiln_kernels::card::device(card, Duration::from_secs(120)).unwrap()
}

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn random_values(seed: u8, len: usize) -> Vec<Fr> {
    let mut rng = rng(seed);
    (0..len).map(|_| Fr::rand(&mut rng)).collect()
}

/// Vectors on which arithmetic tends to go wrong, all `len` long.
fn edge_values(len: usize) -> Vec<Vec<Fr>> {
    let mut mixed = random_values(1, len);
    for (i, x) in mixed.iter_mut().enumerate() {
        match i % 5 {
            0 => *x = Fr::zero(),
            1 => *x = -Fr::one(),
            2 => *x = Fr::one(),
            _ => {}
        }
    }
    vec![
        vec![Fr::zero(); len],
        vec![Fr::one(); len],
        vec![-Fr::one(); len],
        vec![Fr::from(2).pow_of(253); len],
        mixed,
        random_values(2, len),
    ]
}

trait PowOf {
    fn pow_of(self, exponent: u64) -> Self;
}

impl PowOf for Fr {
    fn pow_of(self, exponent: u64) -> Fr {
        use ark_ff::Field;
        self.pow([exponent])
    }
}

/// Different points, with known small multiples of the generator among them.
fn points(len: usize) -> Vec<G1Affine> {
    let mut point = G1Projective::generator();
    let step = point * Fr::from(0x1234_5678_9abc_u64);
    let all: Vec<G1Projective> = (0..len)
        .map(|_| {
            let this = point;
            point += step;
            this
        })
        .collect();
    G1Projective::normalize_batch(&all)
}

fn upload(graph: &mut Graph, values: &[Fr]) -> Vector {
    graph.upload(HostData::full(values.to_vec()))
}

fn download(graph: &mut Graph, v: &Vector) -> PendingScalars {
    graph.download(v, 0, v.len())
}

/// What a one-vector kernel makes of these values.
fn map(engine: &Engine, values: &[Fr], kernel: impl FnOnce(&mut Graph, &Vector) -> Vector) -> Vec<Fr> {
    let mut graph = Graph::new();
    let v = upload(&mut graph, values);
    let out = kernel(&mut graph, &v);
    let out = download(&mut graph, &out);
    engine.run(graph).unwrap().scalars(out).to_vec()
}

/// Horner's rule.
fn value_at(coefficients: &[Fr], point: Fr) -> Fr {
    coefficients.iter().rev().fold(Fr::zero(), |sum, c| sum * point + c)
}
