//! Division by a linear factor.
//!
//! q\[i − 1\] = v\[i\] + root·q\[i\], from the top, is a linear recurrence. Like a scan: every segment folds itself from
//! zero; a tree of affine maps (two products a node, up and down) gives every segment what enters it; every segment runs
//! again and writes.

use super::lanes::{ELEMENT_BYTES, Lanes};
use crate::stats::Cost;
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;

/// The quotient of v(X) − v(root) by X − root: one coefficient fewer than v.
pub fn linear(values: &[Fr], root: &Fr) -> Vec<Fr> {
    let mut quotient = vec![Fr::ZERO; values.len().saturating_sub(1)];
    let mut carry = Fr::ZERO;
    for (out, value) in quotient.iter_mut().zip(values.iter().skip(1)).rev() {
        carry = carry * root + value;
        *out = carry;
    }
    quotient
}

/// What a division costs.
pub fn cost(lanes: &Lanes, length: u64) -> Cost {
    let latency = lanes.fused_latency;
    let segments = lanes.segments(latency).min(length.max(1));
    // root to the power of a segment's length.
    let power = u64::from(length.div_ceil(segments).next_power_of_two().ilog2());
    let fold = lanes
        .serial(2 * power, lanes.multiply_latency)
        .then(lanes.recurrence(length, latency))
        .then(lanes.tree(segments, latency, 4));
    let bytes = length * ELEMENT_BYTES;
    let written = length.saturating_sub(1) * ELEMENT_BYTES;
    lanes.pass(fold, bytes, 0).then(lanes.pass(lanes.recurrence(length, latency), bytes, written))
}
