//! How wide the digits of a column are.

use super::digits::{DIGIT_BITS_MAX, HALF_BITS};

/// How the scalars of a column are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// c
    pub(super) window_bits: u32,
    /// W
    pub(super) windows: u32,
    /// Buckets of each window: no digit is larger.
    pub(super) buckets: usize,
    /// Whether scalars are split in two halves first.
    pub(super) halves: bool,
}

/// What a bucket costs, in additions: two to weigh it, less the one that its first entry saves.
const BUCKET: u64 = 1;

impl Shape {
    /// The cheapest cut for n scalars of any size.
    pub(super) fn full(n: usize) -> Shape {
        let windows = |c: u32| HALF_BITS.div_ceil(c);
        let cost = |c: &u32| u64::from(windows(*c)) * (2 * n as u64 + (BUCKET << (c - 1)));
        let window_bits = (4..=DIGIT_BITS_MAX).min_by_key(cost).unwrap_or(DIGIT_BITS_MAX);
        Shape { window_bits, windows: windows(window_bits), buckets: 1 << (window_bits - 1), halves: true }
    }

    /// The cheapest cut for n scalars of at most this magnitude.
    ///
    /// A single window holds −2^(c−1) to 2^(c−1) − 1, so one bit more than the magnitude; of several the highest must
    /// also take what is carried out of those below, so two more.
    pub(super) fn small(n: usize, magnitude: u64) -> Shape {
        let bits = u64::BITS - magnitude.leading_zeros();
        let windows = |c: u32| (bits + 2).div_ceil(c);
        let cost = |c: u32| u64::from(windows(c)) * (n as u64 + (BUCKET << (c - 1)));
        let window_bits = (4..=DIGIT_BITS_MAX).min_by_key(|&c| cost(c)).unwrap_or(DIGIT_BITS_MAX);
        if bits < DIGIT_BITS_MAX && n as u64 + BUCKET * magnitude <= cost(window_bits) {
            let buckets = magnitude.max(1) as usize;
            return Shape { window_bits: bits + 1, windows: 1, buckets, halves: false };
        }
        Shape { window_bits, windows: windows(window_bits), buckets: 1 << (window_bits - 1), halves: false }
    }

    /// Digits of a scalar.
    pub(super) fn streams(self) -> usize {
        self.windows as usize * (1 + usize::from(self.halves))
    }

    /// Buckets of all windows.
    pub(super) fn all_buckets(self) -> usize {
        self.windows as usize * self.buckets
    }
}
