//! Latencies of the point adders, composed from the modular multiplier's.

use crate::profile::{MsmProfile, MultiplierProfile};

/// Additions, subtractions and registers around the multipliers of the mixed adder: 4 + 4·4 + 1, as in a published
/// XYZZ adder with four multiplications in sequence.
const MIXED_GLUE_CYCLES: u64 = 4 + 4 * 4 + 1;
/// The same around the three multiplications in sequence of the doubling unit.
const DOUBLE_GLUE_CYCLES: u64 = 3 * 4 + 1;
/// Subtractions and registers between the first multiplication and the comparison that finds equal points.
const DETECT_GLUE_CYCLES: u64 = 6;
/// Iterations of a binary inversion of a 254-bit number (Kaliski): at most two a bit.
const INVERSION_ITERATIONS: u64 = 2 * 254;

/// Latencies and initiation intervals. \[cycles\]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adder {
    /// Bucket plus affine point; one a cycle.
    pub mixed_latency: u64,
    /// Bucket plus bucket: one more multiplication in sequence.
    pub full_latency: u64,
    /// Bucket plus bucket takes 14 products and the adder has 10 multipliers.
    pub full_interval: u64,
    /// From the issue of an addition to the discovery that its operands are equal.
    pub detect_latency: u64,
    /// The doubling unit; one at a time.
    pub double_latency: u64,
    /// Read of a bucket before an addition and its write after it.
    pub bucket_ram: u64,
    /// From XYZZ to affine: one inversion and three multiplications in sequence.
    pub affine_latency: u64,
}

impl Adder {
    /// The adder of a card.
    pub fn new(msm: &MsmProfile, multiplier: &MultiplierProfile) -> Adder {
        let product = multiplier.latency_cycles;
        let mixed_latency = 4 * product + MIXED_GLUE_CYCLES;
        Adder {
            mixed_latency,
            full_latency: mixed_latency + product,
            full_interval: 2,
            detect_latency: product + DETECT_GLUE_CYCLES,
            double_latency: 3 * product + DOUBLE_GLUE_CYCLES,
            bucket_ram: msm.bucket_ram_cycles,
            affine_latency: INVERSION_ITERATIONS + 3 * product,
        }
    }

    /// How long a bucket is taken by an addition. \[cycles\]
    pub fn bucket_latency(&self) -> u64 {
        self.mixed_latency + self.bucket_ram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    /// Published: a pipelined XYZZ mixed adder with a 35-cycle multiplier has a latency of 161 cycles.
    #[test]
    fn mixed_latency_is_composed_as_published() {
        let profile = Profile::load("u55c").unwrap();
        let adder = Adder::new(&profile.msm, &profile.multiplier);
        assert_eq!(adder.mixed_latency, 161);
        assert_eq!(adder.full_latency, 196);
    }
}
