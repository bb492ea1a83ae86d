//! Evaluation of a polynomial at points.
//!
//! Horner's rule in as many interleaved chains as fill the pipelines: chain j takes the coefficients j, j + C, j + 2C, …
//! with x^C; a tree adds the chains up with x, x², x⁴, …

use super::lanes::{ELEMENT_BYTES, Lanes};
use crate::stats::{Cost, Cycles};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;

/// Σ coefficients\[i\]·point^i.
pub fn at(coefficients: &[Fr], point: &Fr) -> Fr {
    coefficients.iter().rev().fold(Fr::ZERO, |sum, coefficient| sum * point + coefficient)
}

/// What the evaluation at `points` points costs. The vector is read once for each.
pub fn cost(lanes: &Lanes, length: u64, points: u64) -> Cost {
    let latency = lanes.fused_latency;
    let chains = lanes.segments(latency).min(length.max(1));
    let powers = lanes.serial(u64::from(chains.next_power_of_two().ilog2()), lanes.multiply_latency);
    let one = powers.then(lanes.recurrence(length, latency)).then(lanes.tree(chains, latency, 1));
    let compute = (0..points).fold(Cycles::default(), |sum, _| sum.then(one));
    lanes.pass(compute, points * length * ELEMENT_BYTES, 0)
}
