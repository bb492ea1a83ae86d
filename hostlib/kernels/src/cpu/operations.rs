//! Single field operations in bulk, for whoever measures what one costs.

use std::hint::black_box;

use ark_bn254::{FqConfig, Fr, FrConfig};
use ark_ff::{Field as _, MontConfig, One, Zero};

use super::field::{Element, Multiplier, Portable, inverse, inverse_vartime};
use super::lanes::{Job, Lanes};
use super::{Features, Instructions};

/// Values that an operation runs over: they stay in a first-level cache.
const VALUES: usize = 64;

/// A field operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Products in Fr that do not wait for each other, several at once where the processor can.
    MultiplyLanes,
    /// Products in Fr, one at a time, that do not wait for each other.
    Multiply,
    /// Products in Fr, each of which waits for the one before.
    MultiplyInTurn,
    /// As [`Multiply`](Operation::Multiply), in Fq.
    MultiplyFq,
    /// Squares in Fr, one at a time, that do not wait for each other.
    Square,
    /// Sums in Fr that do not wait for each other.
    Add,
    /// Inverses in Fr, one at a time, in a time that does not depend on the value.
    Invert,
    /// Inverses in Fr, one at a time, in a time that does, as the peers'.
    InvertVartime,
    /// Inverses in Fr, all of a long vector with one inversion.
    InvertBatch,
}

/// Operates at least `times` times with these instructions at most, and gives how many times it was.
pub fn repeat(operation: Operation, limit: Instructions, times: usize) -> usize {
    let features = Features::detect(limit);
    let rounds = times.div_ceil(VALUES);
    match (operation, features.adx) {
        (Operation::MultiplyLanes, adx) => match (features.vectors, adx) {
            (Some(vectors), _) => vectors.run(Products { rounds }),
            (None, Some(adx)) => multiply::<FrConfig>(adx, rounds),
            (None, None) => multiply::<FrConfig>(Portable, rounds),
        },
        (Operation::Multiply, Some(adx)) => multiply::<FrConfig>(adx, rounds),
        (Operation::Multiply, None) => multiply::<FrConfig>(Portable, rounds),
        (Operation::MultiplyFq, Some(adx)) => multiply::<FqConfig>(adx, rounds),
        (Operation::MultiplyFq, None) => multiply::<FqConfig>(Portable, rounds),
        (Operation::MultiplyInTurn, Some(adx)) => multiply_in_turn(adx, rounds),
        (Operation::MultiplyInTurn, None) => multiply_in_turn(Portable, rounds),
        (Operation::Square, Some(adx)) => square(adx, rounds),
        (Operation::Square, None) => square(Portable, rounds),
        (Operation::Add, _) => add(rounds),
        (Operation::Invert, _) => invert(rounds, inverse::<FrConfig>),
        (Operation::InvertVartime, _) => invert(rounds, inverse_vartime::<FrConfig>),
        (Operation::InvertBatch, _) => {
            black_box(super::invert::invert(features.vectors, black_box(values::<FrConfig>(times, 7))));
            return times;
        }
    }
    rounds * VALUES
}

fn values<C: MontConfig<4>>(len: usize, seed: u64) -> Vec<Element<C>> {
    let first = Element::<C>::from(seed).square() + Element::<C>::from(0x1234_5678_9abc_def1_u64);
    std::iter::successors(Some(first), |x| Some(x.square() + first)).take(len).collect()
}

fn multiply<C: MontConfig<4>>(multiplier: impl Multiplier, rounds: usize) {
    let (a, b) = (values::<C>(VALUES, 3), values::<C>(VALUES, 5));
    let mut out = [[0u64; 4]; VALUES];
    for _ in 0..rounds {
        for ((out, a), b) in out.iter_mut().zip(black_box(&a)).zip(black_box(&b)) {
            *out = multiplier.mul::<C>(&a.0.0, &b.0.0);
        }
        black_box(&mut out);
    }
}

fn square(multiplier: impl Multiplier, rounds: usize) {
    let a = values::<FrConfig>(VALUES, 3);
    let mut out = [[0u64; 4]; VALUES];
    for _ in 0..rounds {
        for (out, a) in out.iter_mut().zip(black_box(&a)) {
            *out = multiplier.mul::<FrConfig>(&a.0.0, &a.0.0);
        }
        black_box(&mut out);
    }
}

fn multiply_in_turn(multiplier: impl Multiplier, rounds: usize) {
    let by = values::<FrConfig>(VALUES, 5);
    let mut x = Fr::one().0.0;
    for _ in 0..rounds {
        for by in black_box(&by) {
            x = multiplier.mul::<FrConfig>(&x, &by.0.0);
        }
    }
    black_box(x);
}

fn add(rounds: usize) {
    let (a, b) = (values::<FrConfig>(VALUES, 3), values::<FrConfig>(VALUES, 5));
    let mut out = [Fr::zero(); VALUES];
    for _ in 0..rounds {
        for ((out, a), b) in out.iter_mut().zip(black_box(&a)).zip(black_box(&b)) {
            *out = *a + b;
        }
        black_box(&mut out);
    }
}

fn invert(rounds: usize, operate: impl Fn(&Fr) -> Option<Fr>) {
    let values = values::<FrConfig>(VALUES, 3);
    for _ in 0..rounds {
        for x in &values {
            black_box(operate(black_box(x)));
        }
    }
}

/// Products over lanes.
struct Products {
    rounds: usize,
}

impl<L: Lanes> Job<L> for Products {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let mut a = vec![L::ZERO; VALUES / L::WIDTH];
        let mut b = a.clone();
        let mut out = a.clone();
        for (values, seed) in [(&mut a, 3), (&mut b, 5)] {
            for (run, value) in L::runs(&self::values::<FrConfig>(VALUES, seed)).iter().zip(values) {
                lanes.load_register(run, value);
            }
        }
        for _ in 0..self.rounds {
            for ((out, a), b) in out.iter_mut().zip(black_box(&a)).zip(black_box(&b)) {
                lanes.mul(a, b, out);
            }
            black_box(&mut out);
        }
    }
}
