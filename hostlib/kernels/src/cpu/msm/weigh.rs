//! Σ_k k·B_k of the sums B_k of a window's buckets.
//!
//! With k = h·2^m + l this is 2^m·Σ_h h·(Σ B_k over k with this h) + Σ_l l·(Σ B_k over k with this l): the buckets are
//! points that go to buckets themselves, by the high and the low half of their number, two additions in affine
//! coordinates each. Only the few sums of these are weighed by running sums in extended coordinates.

use std::sync::atomic::AtomicU32;

use ark_bn254::{G1Affine, G1Projective, g1};
use ark_ec::{AffineRepr, short_weierstrass::Bucket};
use ark_ff::Zero;
use rayon::prelude::*;

use super::accumulate::{Sorted, add_to_buckets};
use super::entries::{Entry, List};
use crate::cpu::Features;

/// As many buckets as this are weighed directly.
const DIRECT_MAX: usize = 32;

/// The weighted sum of each of these windows, whose buckets follow each other in `buckets`.
pub(super) fn weigh(features: Features, buckets: &[G1Affine], windows: &[usize]) -> Vec<G1Projective> {
    let mut halves = Vec::with_capacity(2 * windows.len());
    let mut sorted = Sorted { order: Vec::new(), ends: Vec::new() };
    let mut first = 0;
    for &count in windows {
        let low_bits = (count + 1).ilog2().div_ceil(2);
        if count > DIRECT_MAX {
            let (high, low) = (count >> low_bits, (1 << low_bits) - 1);
            halves.extend([high, low]);
            let own = &buckets[first..first + count];
            for group in 1..=high {
                sorted.push(first, own, (group << low_bits..).take(1 << low_bits));
            }
            for group in 1..=low {
                sorted.push(first, own, (group..).step_by(1 << low_bits));
            }
        }
        first += count;
    }
    let mut sums = vec![G1Affine::zero(); sorted.ends.len()];
    add_to_buckets(features, buckets, &[], &sorted, &mut sums, rayon::current_num_threads());

    let (mut sums, mut buckets) = (sums.as_slice(), buckets);
    let mut all = Vec::new();
    for &count in windows {
        let (own, others) = buckets.split_at(count);
        buckets = others;
        if count <= DIRECT_MAX {
            all.push((own, &[][..], 0));
            continue;
        }
        let low_bits = (count + 1).ilog2().div_ceil(2);
        let (high, others) = sums.split_at(count >> low_bits);
        let (low, others) = others.split_at((1 << low_bits) - 1);
        sums = others;
        all.push((low, high, low_bits));
    }
    all.into_par_iter()
        .map(|(low, high, low_bits)| {
            let mut total = running_sum(high);
            for _ in 0..low_bits {
                total += total;
            }
            total + running_sum(low)
        })
        .collect()
}

impl Sorted {
    /// Adds a bucket with those of `own` that `numbers` names from one and that are not infinity.
    fn push(&mut self, first: usize, own: &[G1Affine], numbers: impl Iterator<Item = usize>) {
        for number in numbers.take_while(|&number| number <= own.len()) {
            if !own[number - 1].is_zero() {
                self.order.push(AtomicU32::new(Entry::new(List::Bases, first + number - 1).0));
            }
        }
        self.ends.push(self.order.len() as u32);
    }
}

/// Σ_k (k + 1)·sums[k], as the sum of suffix sums.
fn running_sum(sums: &[G1Affine]) -> G1Projective {
    let mut suffix = Bucket::<g1::Config>::ZERO;
    let mut total = Bucket::<g1::Config>::ZERO;
    for sum in sums.iter().rev() {
        suffix += sum;
        total += &suffix;
    }
    if sums.is_empty() { G1Projective::zero() } else { total.into() }
}
