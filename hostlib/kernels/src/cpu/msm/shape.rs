//! How wide the digits of a column are.

use super::digits::{DIGIT_BITS_MAX, HALF_BITS};
use crate::multiples::SHIFT_BITS;

/// How the scalars of a column are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// c
    pub(super) window_bits: u32,
    /// W
    pub(super) windows: u32,
    /// Buckets of each window: no digit is larger.
    pub(super) buckets: usize,
    pub(super) kind: Kind,
}

/// What digits are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The scalar.
    Whole,
    /// Its two halves, of points and of their images.
    Halves,
    /// The scalar; those a table apart share their buckets.
    Multiples,
}

/// Digits of a scalar of any size.
const FULL_WINDOWS: u32 = 256 / DIGIT_BITS_MAX;

/// Digits from one table of multiples to the next.
pub(super) const MULTIPLES_SETS: usize = (SHIFT_BITS / DIGIT_BITS_MAX) as usize;

/// What a bucket costs, in additions: two to weigh it, less the one that its first entry saves.
const BUCKET: u64 = 1;

impl Shape {
    /// The cheapest cut for n scalars of any size.
    pub(super) fn full(n: usize, multiples: bool) -> Shape {
        let windows = |c: u32| HALF_BITS.div_ceil(c);
        let cost = |c: &u32| u64::from(windows(*c)) * (2 * n as u64 + (BUCKET << (c - 1)));
        let window_bits = (4..=DIGIT_BITS_MAX).min_by_key(cost).unwrap_or(DIGIT_BITS_MAX);
        let buckets = 1 << (DIGIT_BITS_MAX - 1);
        let shared = u64::from(FULL_WINDOWS) * n as u64 + BUCKET * (MULTIPLES_SETS * buckets) as u64;
        if multiples && shared < cost(&window_bits) {
            let windows = FULL_WINDOWS;
            return Shape { window_bits: DIGIT_BITS_MAX, windows, buckets, kind: Kind::Multiples };
        }
        let buckets = 1 << (window_bits - 1);
        Shape { window_bits, windows: windows(window_bits), buckets, kind: Kind::Halves }
    }

    /// The cheapest cut for n scalars from `least` to `most`.
    ///
    /// Of several windows the highest must also take what is carried out of those below, so that the bits of the
    /// magnitude and two more are needed.
    pub(super) fn small(n: usize, [least, most]: [i64; 2]) -> Shape {
        let magnitude = least.unsigned_abs().max(most.unsigned_abs());
        let bits = u64::BITS - magnitude.leading_zeros();
        let windows = |c: u32| (bits + 2).div_ceil(c);
        let cost = |c: u32| u64::from(windows(c)) * (n as u64 + (BUCKET << (c - 1)));
        let window_bits = (4..=DIGIT_BITS_MAX).min_by_key(|&c| cost(c)).unwrap_or(DIGIT_BITS_MAX);
        let single = i16::try_from(least).is_ok() && i16::try_from(most).is_ok();
        if single && n as u64 + BUCKET * magnitude <= cost(window_bits) {
            let buckets = magnitude.max(1) as usize;
            return Shape { window_bits: DIGIT_BITS_MAX, windows: 1, buckets, kind: Kind::Whole };
        }
        Shape {
            window_bits,
            windows: windows(window_bits),
            buckets: 1 << (window_bits - 1),
            kind: Kind::Whole,
        }
    }

    /// Digits of a scalar.
    pub(super) fn streams(self) -> usize {
        self.windows as usize * if self.kind == Kind::Halves { 2 } else { 1 }
    }

    /// How often it has `buckets` of them.
    pub(super) fn sets(self) -> usize {
        if self.kind == Kind::Multiples { MULTIPLES_SETS } else { self.windows as usize }
    }

    /// Buckets of all sets.
    pub(super) fn all_buckets(self) -> usize {
        self.sets() * self.buckets
    }
}
