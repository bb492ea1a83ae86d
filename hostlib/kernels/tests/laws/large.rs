//! Sizes at which work is cut into pieces: the fast backends against the definition, element by element.

use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{FftField, One, UniformRand};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use kiln_kernels::cpu::Instructions;
use kiln_kernels::{Bases, Engine, Graph, HostData, ProgramBuilder, ScalarBound, ScanKind};

use crate::{
    card_engine, cpu_engine, download, limited_engine, map, points, random_values, reference_engine, rng,
};

/// More than two pieces, and a ragged one.
const LEN: usize = 2 * 4096 + 807;

fn agrees_with_reference(run: impl Fn(&Engine) -> Vec<Fr>) {
    let expected = run(&reference_engine());
    assert_eq!(run(&cpu_engine()), expected, "cpu");
    assert_eq!(run(&card_engine()), expected, "card");
}

#[test]
fn scans_inverses_quotients_and_values() {
    let mut values = random_values(40, LEN);
    let root = Fr::rand(&mut rng(41));
    agrees_with_reference(|e| map(e, &values, |g, v| g.scan(v, ScanKind::Sum)));
    agrees_with_reference(|e| map(e, &values, |g, v| g.scan(v, ScanKind::Product)));
    agrees_with_reference(|e| map(e, &values, |g, v| g.divide_linear(v, root)));
    agrees_with_reference(|e| {
        let mut graph = Graph::new();
        let v = graph.upload(HostData::full(values.clone()));
        let values = graph.evaluate(&v, &[root, Fr::one()]);
        e.run(graph).unwrap().scalars(values).to_vec()
    });
    agrees_with_reference(|e| {
        let mut graph = Graph::new();
        let v = graph.powers(root, -root, LEN);
        let v = download(&mut graph, &v);
        e.run(graph).unwrap().scalars(v).to_vec()
    });
    for i in [0, 4095, 4096, LEN - 1] {
        values[i] = Fr::from(0);
    }
    agrees_with_reference(|e| map(e, &values, |g, v| g.invert(v)));
}

#[test]
fn pointwise_programs() {
    let (a, b) = (random_values(42, LEN), random_values(43, LEN - 1000));
    let mut builder = ProgramBuilder::new();
    let (x, next, y) = (builder.input(0, -1), builder.input(0, 4096), builder.input(1, 0));
    let product = builder.mul(x, next);
    let out = builder.sub(product, y);
    builder.output(out);
    let program = Arc::new(builder.finish().unwrap());
    agrees_with_reference(|e| {
        let mut graph = Graph::new();
        let (a, b) = (graph.upload(HostData::full(a.clone())), graph.upload(HostData::full(b.clone())));
        let out = graph.pointwise(program.clone(), &[&a, &b], LEN).remove(0);
        let out = download(&mut graph, &out);
        e.run(graph).unwrap().scalars(out).to_vec()
    });
}

#[test]
fn transforms() {
    let log_n = 14;
    let coefficients = random_values(44, (1 << log_n) + 5);
    let shift = Fr::GENERATOR;
    let domain = Radix2EvaluationDomain::<Fr>::new(1 << log_n).unwrap().get_coset(shift).unwrap();
    let mut folded = coefficients.clone();
    let high = folded.split_off(1 << log_n);
    let factor = domain.coset_offset_pow_size();
    for (low, high) in folded.iter_mut().zip(high) {
        *low += factor * high;
    }
    let expected = domain.fft(&folded);
    for engine in [cpu_engine(), card_engine()] {
        let evaluate = |g: &mut Graph, c: &_| g.evaluate_on_coset(&[c], log_n, shift).remove(0);
        assert!(map(&engine, &coefficients, evaluate) == expected);
        assert!(map(&engine, &expected, |g, v| g.interpolate_coset(&[v], shift).remove(0)) == folded);
    }
}

#[test]
fn commitments() {
    let bases = Bases::new(Arc::new(points(LEN)));
    let full = random_values(45, LEN);
    let small: Vec<i32> = (0..LEN as i32).map(|i| (i * i) % 511 - 255).collect();
    let commit = |engine: &Engine| {
        let mut graph = Graph::new();
        let (full, small) =
            (graph.upload(HostData::full(full.clone())), graph.upload(HostData::small(small.clone())));
        let full = graph.msm(&bases, 0, &full, ScalarBound::Full);
        let small = graph.msm(&bases, 0, &small, ScalarBound::Signed { bits: 8 });
        let outcome = engine.run(graph).unwrap();
        (outcome.point(full), outcome.point(small))
    };
    let expected = commit(&reference_engine());
    for limit in [Instructions::Portable, Instructions::Adx, Instructions::Avx2Fma, Instructions::Avx512Ifma]
    {
        assert_eq!(commit(&limited_engine(limit)), expected, "{limit:?}");
    }
    assert_eq!(commit(&card_engine()), expected);
}
