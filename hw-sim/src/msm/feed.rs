//! What the slicer hands to the lanes: the digits of the points that have arrived from memory, in a ring.

use super::digits::{Signed, Windows};
use super::plan::Plan;
use ark_bn254::Fr;

/// Makes the digits of one point after the other.
pub trait DigitSource {
    /// Writes the digits of the next point.
    fn next(&mut self, windows: &Windows, digits: &mut [i32]);
}

/// Digits of given scalars.
pub struct Scalars<'a>(std::slice::Iter<'a, Fr>);

impl<'a> Scalars<'a> {
    /// The scalars in order.
    pub fn new(scalars: &'a [Fr]) -> Self {
        Scalars(scalars.iter())
    }
}

impl DigitSource for Scalars<'_> {
    fn next(&mut self, windows: &Windows, digits: &mut [i32]) {
        match self.0.next() {
            Some(scalar) => Signed::of(scalar).digits(windows, digits),
            None => digits.fill(0),
        }
    }
}

/// Digits of random scalars from a seed, for timing without data (SplitMix64).
pub struct RandomDigits {
    state: u64,
    bits: u32,
}

impl RandomDigits {
    /// Scalars with magnitudes below 2^`bits`.
    pub fn new(seed: u64, bits: u32) -> Self {
        RandomDigits { state: seed, bits }
    }

    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl DigitSource for RandomDigits {
    fn next(&mut self, windows: &Windows, digits: &mut [i32]) {
        loop {
            let words = [self.word(), self.word(), self.word(), self.word()];
            if let Some(scalar) = Signed::from_words(words, self.word(), self.bits) {
                return scalar.digits(windows, digits);
            }
        }
    }
}

/// Points between the slowest lane and the newest that has been sliced.
pub struct Feed<S> {
    source: S,
    plan: Plan,
    depth: u64,
    filled: u64,
    ring: Vec<i32>,
}

impl<S: DigitSource> Feed<S> {
    /// An empty ring for `depth` points.
    pub fn new(source: S, plan: Plan, depth: u64) -> Feed<S> {
        Feed {
            source,
            plan,
            depth,
            filled: 0,
            ring: vec![0; (depth * u64::from(plan.windows.count)) as usize],
        }
    }

    /// Slices up to point `limit`, which is at most the ring's depth after the slowest lane.
    pub fn fill_to(&mut self, limit: u64) {
        let windows = self.plan.windows.count as usize;
        while self.filled < limit {
            let at = (self.filled % self.depth) as usize * windows;
            self.source.next(&self.plan.windows, &mut self.ring[at..at + windows]);
            self.filled += 1;
        }
    }

    /// Points before this index have been sliced.
    pub fn available(&self) -> u64 {
        self.filled
    }

    /// A digit of a point that is in the ring.
    pub fn digit(&self, point: u64, window: u32) -> i32 {
        self.ring[(point % self.depth) as usize * self.plan.windows.count as usize + window as usize]
    }
}
