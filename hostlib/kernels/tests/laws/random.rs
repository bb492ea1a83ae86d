//! Random graphs give the same everywhere: on every backend, shared out over several devices, and with one that fails.

use std::sync::Arc;

use ark_bn254::{Fr, G1Affine};
use ark_ff::FftField;
use kiln_kernels::{Bases, Engine, Graph, HostData, ScalarBound, ScanKind, Vector, cpu, reference};
use proptest::prelude::*;

use crate::engine::{Fault, Faulty, square_plus};
use crate::{card_device, download, points, random_values, reference_engine, upload};

/// A kernel, and two numbers that choose its inputs and parameters.
type Step = (u8, usize, usize);

/// Every vector has at most this many elements.
const LEN_MAX: usize = 64;

fn add(graph: &mut Graph, vectors: &[Vector], (kernel, a, b): Step) -> Vec<Vector> {
    let (v, w) = match vectors {
        [] => return vec![upload(graph, &random_values(a as u8, 1 + b % LEN_MAX))],
        some => (&some[a % some.len()], &some[b % some.len()]),
    };
    let log_n = (b % 7) as u32;
    match kernel {
        0 => vec![upload(graph, &random_values(a as u8, 1 + b % LEN_MAX))],
        1 => vec![graph.upload(HostData::small((0..1 + b as i32 % 64).map(|i| i - a as i32).collect()))],
        2 => vec![graph.powers(Fr::from(a as u64), Fr::from(b as u64), 1 + b % LEN_MAX)],
        3 => graph.evaluate_on_coset(&[v, w], log_n, Fr::GENERATOR),
        4 => {
            let padded = graph.slice(v, 0, v.len().next_power_of_two());
            graph.interpolate_coset(&[&padded], Fr::from(b as u64 + 1))
        }
        5 => {
            let len = v.len().max(w.len());
            let rotated = graph.slice(w, 0, len);
            graph.pointwise(square_plus(b as i32 % 9 - 4), &[v, &rotated], len)
        }
        6 => vec![graph.invert(v)],
        7 => vec![graph.scan(v, if b % 2 == 0 { ScanKind::Sum } else { ScanKind::Product })],
        8 => vec![graph.divide_linear(v, Fr::from(b as u64))].into_iter().filter(|v| !v.is_empty()).collect(),
        9 => vec![graph.slice(v, b % LEN_MAX, 1 + a % LEN_MAX)],
        _ => vec![graph.place(&[(v, b % (LEN_MAX - v.len() + 1))], LEN_MAX)],
    }
}

/// Runs the steps in two graphs, the second of which reads what the first left, and brings everything out.
fn results(engine: &Engine, steps: &[Step]) -> (Vec<Vec<Fr>>, Vec<G1Affine>) {
    let bases = Bases::new(Arc::new(points(LEN_MAX)));
    let mut vectors: Vec<Vector> = Vec::new();
    let mut commitments = Vec::new();
    for half in steps.chunks(steps.len().div_ceil(2)) {
        let mut graph = Graph::new();
        for &step in half {
            let made = add(&mut graph, &vectors, step);
            vectors.extend(made);
            // Some are forgotten before anything runs.
            if vectors.len() > 12 {
                vectors.swap_remove(step.2 % 12);
            }
        }
        let pending = vectors.last().map(|v| graph.msm(&bases, 0, v, ScalarBound::Full));
        let outcome = engine.run(graph).unwrap();
        commitments.extend(pending.map(|p| outcome.point(p)));
    }
    let mut graph = Graph::new();
    let pending: Vec<_> = vectors.iter().map(|v| download(&mut graph, v)).collect();
    let outcome = engine.run(graph).unwrap();
    (pending.into_iter().map(|p| outcome.scalars(p).to_vec()).collect(), commitments)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_agree_on_every_set_of_devices(
        steps in prop::collection::vec((0u8..11, 0usize..100, 0usize..100), 2..40),
        at in 0usize..60,
    ) {
        let expected = results(&reference_engine(), &steps);
        let faulty = |fault| Faulty::boxed("faulty", fault).0;
        let sets: Vec<(Vec<_>, Vec<_>)> = vec![
            (vec![cpu::device()], vec![]),
            (vec![cpu::device(), reference::device(), cpu::device()], vec![]),
            (vec![card_device("card"), cpu::device()], vec![]),
            (vec![faulty(Fault::FailsAtSubmission(at)), cpu::device()], vec![]),
            (vec![faulty(Fault::FailsAtWait(at)), faulty(Fault::FailsAtWait(2 * at))], vec![cpu::device()]),
            (vec![faulty(Fault::HoldsAtMost(1 + at % 20))], vec![cpu::device()]),
            (vec![faulty(Fault::Unsupported("scan")), faulty(Fault::Unsupported("upload"))], vec![cpu::device()]),
        ];
        for (active, standby) in sets {
            let engine = Engine::with_standby(active, standby).unwrap();
            prop_assert_eq!(&results(&engine, &steps), &expected);
        }
    }
}
