//! Batch inversion: Montgomery's trick in segments.
//!
//! Forward, every segment forms its prefix products and keeps them; a product tree over the segments has its root
//! inverted once and the inverses handed down, two products a node; backward, every element takes two products. Zeros
//! are replaced by one on the way in and restored on the way out.

use super::lanes::{ELEMENT_BYTES, Lanes};
use crate::stats::Cost;
use ark_bn254::Fr;
use ark_ff::{Field, Zero};

/// `out[i]` = 1 / `v[i]`, and 0 for 0.
pub fn batch(values: &[Fr]) -> Vec<Fr> {
    let mut inverses = Vec::with_capacity(values.len());
    let mut product = Fr::ONE;
    for value in values {
        inverses.push(product);
        if !value.is_zero() {
            product *= value;
        }
    }
    // A product of elements that are not zero.
    let mut inverse = product.inverse().unwrap_or_default();
    for (out, value) in inverses.iter_mut().zip(values).rev() {
        if value.is_zero() {
            *out = Fr::zero();
        } else {
            *out *= inverse;
            inverse *= value;
        }
    }
    inverses
}

/// What a batch inversion costs.
pub fn cost(lanes: &Lanes, length: u64) -> Cost {
    let latency = lanes.multiply_latency;
    let segments = lanes.segments(latency).min(length);
    let bytes = length * ELEMENT_BYTES;
    let forward = lanes.recurrence(length, latency).then(lanes.tree(segments, latency, 1));
    let down = lanes.serial(1, lanes.inversion_latency).then(lanes.tree(segments, latency, 2));
    // The product with the prefix does not depend on its neighbours, the running inverse does.
    let backward = down.then(lanes.recurrence(length, latency)).then(lanes.independent(length, latency));
    lanes.pass(forward, bytes, bytes).then(lanes.pass(backward, 2 * bytes, bytes))
}
