//! Exclusive prefix sums and products.
//!
//! Three phases: every segment folds itself; a tree turns the segments' totals into prefixes, up and down; every
//! segment runs again from its prefix and writes.

use super::lanes::{ELEMENT_BYTES, Lanes};
use crate::stats::Cost;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use kiln_abi::io::ScanKind;

/// `out[i]` = sum or product of `v[j]`, j < i.
pub fn exclusive(values: &[Fr], kind: ScanKind) -> Vec<Fr> {
    let mut total = match kind {
        ScanKind::Sum => Fr::ZERO,
        ScanKind::Product => Fr::ONE,
    };
    let step = |value: &Fr| {
        let before = total;
        match kind {
            ScanKind::Sum => total += value,
            ScanKind::Product => total *= value,
        }
        before
    };
    values.iter().map(step).collect()
}

/// What a scan costs.
pub fn cost(lanes: &Lanes, length: u64, kind: ScanKind) -> Cost {
    let latency = match kind {
        ScanKind::Sum => lanes.add_latency,
        ScanKind::Product => lanes.multiply_latency,
    };
    let segments = lanes.segments(latency).min(length);
    let fold = lanes.recurrence(length, latency).then(lanes.tree(segments, latency, 2));
    let bytes = length * ELEMENT_BYTES;
    lanes.pass(fold, bytes, 0).then(lanes.pass(lanes.recurrence(length, latency), bytes, bytes))
}
