//! Columns in which scalars repeat, as those that continue to the end of a domain with one value: the points of a run of
//! equal scalars are added up first, an addition each, and multiplied together.

use std::sync::atomic::AtomicU32;

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::Zero;

use super::accumulate::{Sorted, add_to_buckets};
use super::entries::{Entry, LIST_LEN_MAX, List};
use crate::cpu::Features;

/// One scalar for each run, and the sum of its points. Zeros are left out. None if that is no less than three quarters of
/// the column: any other addition saves tens, but each run has its share of memory and small batches.
pub(super) fn merge(
    features: Features,
    scalars: &[Fr],
    points: &[G1Affine],
) -> Option<(Vec<Fr>, Vec<G1Affine>)> {
    let starts = |i: usize| i == 0 || scalars[i] != scalars[i - 1];
    let count = (0..scalars.len()).filter(|&i| starts(i) && !scalars[i].is_zero()).count();
    if count >= scalars.len() / 4 * 3 || scalars.len() > LIST_LEN_MAX {
        return None;
    }
    let mut merged = Vec::with_capacity(count);
    let mut sorted = Sorted { order: Vec::with_capacity(scalars.len()), ends: Vec::with_capacity(count) };
    for (i, scalar) in scalars.iter().enumerate().filter(|(_, scalar)| !scalar.is_zero()) {
        if starts(i) {
            merged.push(*scalar);
            sorted.ends.push(sorted.order.len() as u32);
        }
        sorted.order.push(AtomicU32::new(Entry::new(List::Bases, i).0));
        if let Some(end) = sorted.ends.last_mut() {
            *end += 1;
        }
    }
    let mut sums = vec![G1Affine::zero(); merged.len()];
    add_to_buckets(features, points, &[], &sorted, &mut sums, rayon::current_num_threads());
    Some((merged, sums))
}
