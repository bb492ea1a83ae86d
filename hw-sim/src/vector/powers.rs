//! Geometric progressions: the first elements by doubling, then one chain per lane and pipeline stage.

use super::lanes::{ELEMENT_BYTES, Lanes};
use crate::stats::Cost;
use ark_bn254::Fr;

/// first·ratio^i for i < `length`.
pub fn progression(first: Fr, ratio: Fr, length: usize) -> Vec<Fr> {
    std::iter::successors(Some(first), |value| Some(*value * ratio)).take(length).collect()
}

/// What a progression costs.
pub fn cost(lanes: &Lanes, length: u64) -> Cost {
    let latency = lanes.multiply_latency;
    let chains = lanes.segments(latency).min(length.max(1));
    let compute = lanes.tree(chains, latency, 2).then(lanes.recurrence(length, latency));
    lanes.pass(compute, 0, length * ELEMENT_BYTES)
}
