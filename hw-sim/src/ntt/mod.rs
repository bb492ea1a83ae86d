//! The transform engine: B butterflies on two-sided tile buffers, an on-chip transposer, generated twiddles.
//!
//! ```text
//! memory ─► tile ─► fold, coset factors ─► butterflies, stage by stage ─► twiddles, 1/n, coset factors ─► transposer ─► memory
//! ```

pub mod timing;
pub mod transform;

use crate::profile::Profile;
use crate::stats::Cost;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use thiserror::Error;
use timing::{Butterflies, Shape};
use transform::Twiddles;

/// Tables up to this size are kept, as a power of two.
const KEPT_LOG_MAX: u32 = 20;

/// Direction of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Coefficients to evaluations.
    Forward,
    /// Evaluations to coefficients.
    Inverse,
}

/// Why a transform was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NttFault {
    /// Beyond this card's engine.
    #[error("this card transforms up to 2^{max} elements, got 2^{got}; run the transform on another device")]
    TooLarge {
        /// The size, as a power of two.
        got: u32,
        /// The largest, as a power of two.
        max: u32,
    },
    /// An inverse transform of another number of values than its size.
    #[error(
        "an inverse transform of {expected} values got {got}; pass as many values as the domain has points"
    )]
    Length {
        /// The size.
        expected: u64,
        /// Values there are.
        got: u64,
    },
    /// The coset of zero.
    #[error("the shift of a coset must not be zero; choose another coset")]
    ZeroShift,
}

/// The engine.
#[derive(Clone, Debug)]
pub struct NttEngine {
    butterflies: Butterflies,
    size_log2_max: u32,
    tables: Vec<Option<Twiddles>>,
}

impl NttEngine {
    /// The engine of a card.
    pub fn new(profile: &Profile) -> NttEngine {
        NttEngine {
            butterflies: Butterflies::new(profile),
            size_log2_max: profile.ntt.size_log2_max as u32,
            tables: vec![None; KEPT_LOG_MAX as usize + 1],
        }
    }

    /// Latency of a butterfly. \[cycles\]
    pub fn butterfly_latency(&self) -> u64 {
        self.butterflies.latency()
    }

    /// Transforms `source` on the coset shift·H, |H| = 2^log_n. A forward transform extends a shorter source by zeros
    /// and folds a longer one; an inverse one takes exactly 2^log_n values. All orders are natural.
    pub fn run(
        &mut self,
        source: &[Fr],
        log_n: u32,
        direction: Direction,
        shift: Fr,
    ) -> Result<(Vec<Fr>, Cost), NttFault> {
        let cost = self.cost(source.len() as u64, log_n, direction, shift)?;
        let n = 1usize << log_n;
        let own;
        let twiddles = match self.tables.get_mut(log_n as usize) {
            Some(kept) => kept.get_or_insert_with(|| Twiddles::new(log_n)),
            None => {
                own = Twiddles::new(log_n);
                &own
            }
        };
        let mut values = transform::fold(source, n, shift.pow([n as u64]));
        match direction {
            Direction::Forward => {
                if shift != Fr::ONE {
                    transform::scale(&mut values, Fr::ONE, shift);
                }
                transform::forward(&mut values, twiddles);
            }
            Direction::Inverse => {
                transform::backward(&mut values, twiddles);
                let inverse = |value: Fr| value.inverse().unwrap_or(Fr::ZERO);
                transform::scale(&mut values, inverse(Fr::from(n as u64)), inverse(shift));
            }
        }
        Ok((values, cost))
    }

    /// What [`NttEngine::run`] costs, without data.
    pub fn cost(&self, length: u64, log_n: u32, direction: Direction, shift: Fr) -> Result<Cost, NttFault> {
        if log_n > self.size_log2_max {
            return Err(NttFault::TooLarge { got: log_n, max: self.size_log2_max });
        }
        if shift == Fr::ZERO {
            return Err(NttFault::ZeroShift);
        }
        let inverse = direction == Direction::Inverse;
        if inverse && length != 1 << log_n {
            return Err(NttFault::Length { expected: 1 << log_n, got: length });
        }
        let scale_before = !inverse && shift != Fr::ONE;
        Ok(self.butterflies.cost(&Shape { source_length: length, log_n, scale_before, scale_after: inverse }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::UniformRand;
    use ark_poly::{EvaluationDomain, Polynomial, Radix2EvaluationDomain, univariate::DensePolynomial};

    fn engine() -> NttEngine {
        NttEngine::new(&Profile::load("u55c").unwrap())
    }

    fn values(count: usize) -> Vec<Fr> {
        let mut rng = ark_std::test_rng();
        (0..count).map(|_| Fr::rand(&mut rng)).collect()
    }

    #[test]
    fn transforms_agree_with_arkworks_and_invert() {
        let mut engine = engine();
        for log_n in [0u32, 1, 2, 5, 10] {
            let n = 1usize << log_n;
            for shift in [Fr::ONE, Fr::from(7u64), -Fr::ONE] {
                let domain = Radix2EvaluationDomain::<Fr>::new(n).unwrap().get_coset(shift).unwrap();
                let coefficients = values(n);
                let (evaluations, cost) =
                    engine.run(&coefficients, log_n, Direction::Forward, shift).unwrap();
                assert_eq!(evaluations, domain.fft(&coefficients));
                assert!(cost.cycles.balanced());
                let (back, _) = engine.run(&evaluations, log_n, Direction::Inverse, shift).unwrap();
                assert_eq!(back, coefficients);
            }
        }
    }

    #[test]
    fn shorter_and_longer_polynomials_are_evaluated_on_the_coset() {
        let (mut engine, shift, log_n) = (engine(), Fr::from(5u64), 4u32);
        let root = Radix2EvaluationDomain::<Fr>::new(16).unwrap().group_gen();
        for length in [0, 1, 15, 16, 17, 32, 50] {
            let coefficients = values(length);
            let (got, _) = engine.run(&coefficients, log_n, Direction::Forward, shift).unwrap();
            let polynomial = DensePolynomial { coeffs: coefficients };
            for (i, value) in got.iter().enumerate() {
                assert_eq!(*value, polynomial.evaluate(&(shift * root.pow([i as u64]))));
            }
        }
    }

    #[test]
    fn sizes_beyond_the_card_and_odd_inverses_are_refused() {
        let mut engine = engine();
        let refused = engine.run(&[], 25, Direction::Forward, Fr::ONE).unwrap_err();
        assert_eq!(refused, NttFault::TooLarge { got: 25, max: 24 });
        let refused = engine.run(&values(3), 2, Direction::Inverse, Fr::ONE).unwrap_err();
        assert_eq!(refused, NttFault::Length { expected: 4, got: 3 });
        assert_eq!(engine.run(&values(4), 2, Direction::Forward, Fr::ZERO).unwrap_err(), NttFault::ZeroShift);
    }

    fn cycles(profile: &Profile, log_n: u32) -> u64 {
        let engine = NttEngine::new(profile);
        let cost = engine.cost(1 << log_n, log_n, Direction::Forward, Fr::ONE).unwrap();
        assert!(cost.cycles.balanced());
        cost.cycles.total
    }

    /// N·log N / (2·B) butterflies, one twiddle pass of N / B above the tile, and little else.
    #[test]
    fn large_transforms_come_close_to_the_butterfly_bound() {
        let profile = Profile::load("u55c").unwrap();
        for (log_n, twiddle_pass) in [(16u32, 0), (20, 1), (24, 1)] {
            let n = 1u64 << log_n;
            let bound = n * u64::from(log_n) / 16 + twiddle_pass * n / 8;
            let got = cycles(&profile, log_n);
            assert!(got >= bound && got * 100 < bound * 108, "2^{log_n}: {got} of {bound}");
        }
    }

    #[test]
    fn twice_the_butterflies_are_faster_until_memory_binds() {
        let mut profile = Profile::load("u55c").unwrap();
        let mut last = cycles(&profile, 20);
        for butterflies in [16, 32] {
            profile.ntt.butterflies = butterflies;
            let got = cycles(&profile, 20);
            assert!(got * 100 < last * 60, "{butterflies}: {got} after {last}");
            last = got;
        }
        profile.ntt.butterflies = 4096;
        let bytes = 4 * 32 * (1u64 << 20);
        let clock = crate::time::Clock::from_mhz(profile.core_mhz);
        let floor = crate::hbm::Hbm::new(&profile.memory).stream_cycles(bytes, clock);
        let got = cycles(&profile, 20);
        assert!(got >= floor && got < 3 * floor, "{got} of {floor}");
    }
}
