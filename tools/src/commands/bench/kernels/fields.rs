//! Single field operations.

use std::hint::black_box;

use ark_bn254::Fr;
use ark_ff::Field;
use kiln_kernels::cpu::Instructions;
use kiln_kernels::cpu::operations::{Operation, repeat};

use super::{Group, Subject, peers};

/// Operations of one call.
const TIMES: usize = 1 << 14;
/// Inversions of one call.
const INVERSIONS: usize = 1 << 8;

/// A row each; the first is the product that transforms are measured by.
pub fn subjects(instructions: Instructions) -> Vec<Subject<'static>> {
    let scalar_min = match instructions {
        // Two 4 by 4 products and four quotients; one multiplication a cycle.
        Instructions::Portable => None,
        _ => Some(36.0),
    };
    let lanes_min = match instructions {
        // 25 products of limbs, 25 of the modulus, in low and high halves, and 5 quotients: one vector of eight a cycle,
        // as on Zen 4 and 5.
        Instructions::Avx512Ifma => Some(105.0 / 8.0),
        // 25 and 24 products in halves, and 3 for the last quotient: two vectors of four a cycle.
        Instructions::Avx2Fma => Some(103.0 / 8.0),
        _ => scalar_min,
    };
    let list = [
        ("multiply, several at once", Operation::MultiplyLanes, lanes_min, TIMES, peers::multiply()),
        ("multiply", Operation::Multiply, scalar_min, TIMES, peers::multiply()),
        ("multiply, each in turn", Operation::MultiplyInTurn, None, TIMES, peers::multiply_in_turn()),
        ("multiply in Fq", Operation::MultiplyFq, scalar_min, TIMES, peers::multiply_fq()),
        ("square", Operation::Square, None, TIMES, peers::square()),
        ("add", Operation::Add, None, TIMES, peers::add()),
        ("invert, in constant time", Operation::Invert, None, INVERSIONS, peers::invert()),
        ("invert", Operation::InvertVartime, None, INVERSIONS, peers::invert()),
        ("invert, batch", Operation::InvertBatch, None, TIMES, vec![]),
    ];
    let subject = |(kernel, operation, cycles_min, times, peers)| Subject {
        group: Group::Field,
        kernel,
        log_n: None,
        count: times,
        ours: Box::new(move || {
            repeat(operation, instructions, times);
            Ok(())
        }),
        multiplications: None,
        cycles_min,
        peers,
    };
    list.into_iter().map(subject).collect()
}

/// Values for the peers, made in the same way for each.
pub fn values<F: Copy>(from: impl Fn(Fr) -> F) -> Vec<F> {
    let first = Fr::from(0x1234_5678_9abc_def1_u64).square();
    std::iter::successors(Some(first), |x| Some(x.square() + first)).take(64).map(from).collect()
}

/// Each of 64 values with each other's neighbour, [`TIMES`] times in all.
pub fn pairwise<F: Copy>(a: &[F], operate: impl Fn(F, F) -> F) {
    let mut out = a.to_vec();
    for _ in 0..TIMES / a.len() {
        for ((out, a), b) in out.iter_mut().zip(black_box(a)).zip(black_box(a).iter().rev()) {
            *out = operate(*a, *b);
        }
        black_box(&mut out);
    }
}

/// Each operation waits for the one before.
pub fn in_turn<F: Copy>(a: &[F], operate: impl Fn(F, F) -> F) {
    let mut x = a[0];
    for _ in 0..TIMES / a.len() {
        for a in black_box(a) {
            x = operate(x, *a);
        }
    }
    black_box(x);
}

/// [`INVERSIONS`] operations.
pub fn single<F: Copy, T>(a: &[F], operate: impl Fn(F) -> T) {
    for _ in 0..INVERSIONS / a.len() {
        for a in a {
            black_box(operate(black_box(*a)));
        }
    }
}

/// How many operations a call of each of these makes.
pub const CALL: (usize, usize) = (TIMES, INVERSIONS);
