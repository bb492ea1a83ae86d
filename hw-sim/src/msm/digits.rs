//! The slicer: scalars become sign and magnitude, magnitudes become signed digits of a window's width.
//!
//! A window of c bits plus carry above 2^(c−1) becomes negative and carries one into the next, so digits lie in
//! −2^(c−1) < d ≤ 2^(c−1) and half the buckets suffice.

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};

/// Magnitudes of scalars in general: |s| ≤ (r − 1)/2 < 2^253.
pub const FULL_BITS: u32 = 253;

/// Windows of `window_bits` that hold any magnitude below 2^`bits`.
pub const fn windows_for(bits: u32, window_bits: u32) -> u32 {
    (bits + 1).div_ceil(window_bits)
}

/// A scalar as sign and magnitude, the magnitude being the smaller of s and r − s.
#[derive(Clone, Copy, Debug)]
pub struct Signed {
    negative: bool,
    magnitude: [u64; 4],
}

impl Signed {
    /// Splits a scalar.
    pub fn of(scalar: &Fr) -> Signed {
        let value = scalar.into_bigint();
        let mut opposite = Fr::MODULUS;
        opposite.sub_with_borrow(&value);
        if value <= opposite {
            Signed { negative: false, magnitude: value.0 }
        } else {
            Signed { negative: true, magnitude: opposite.0 }
        }
    }

    /// Whether the magnitude is below 2^`bits`.
    pub fn fits(&self, bits: u32) -> bool {
        (0u32..).step_by(64).zip(self.magnitude).all(|(from, limb)| {
            let allowed = bits.saturating_sub(from);
            allowed >= 64 || limb >> allowed == 0
        })
    }

    /// Writes the digits, least significant first.
    pub fn digits(&self, window_bits: u32, digits: &mut [i32]) {
        let (half, mut carry) = (1i32 << (window_bits - 1), 0);
        for (index, digit) in (0u32..).zip(digits) {
            let mut value = self.bits(index * window_bits, window_bits) + carry;
            carry = i32::from(value > half);
            value -= carry << window_bits;
            *digit = if self.negative { -value } else { value };
        }
    }

    fn bits(&self, from: u32, count: u32) -> i32 {
        let (limb, shift) = ((from / 64) as usize, from % 64);
        let limb_at = |index: usize| self.magnitude.get(index).copied().unwrap_or(0);
        let mut value = limb_at(limb) >> shift;
        if shift + count > 64 {
            value |= limb_at(limb + 1) << (64 - shift);
        }
        (value & ((1 << count) - 1)) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{AdditiveGroup, Field};
    use proptest::prelude::*;

    fn check(scalar: Fr, window_bits: u32) {
        let mut digits = vec![0; windows_for(FULL_BITS, window_bits) as usize];
        Signed::of(&scalar).digits(window_bits, &mut digits);
        let (radix, half) = (Fr::from(1u64 << window_bits), 1 << (window_bits - 1));
        let sum = digits.iter().rev().fold(Fr::ZERO, |sum, &digit| sum * radix + Fr::from(digit));
        assert_eq!(sum, scalar);
        assert!(digits.iter().all(|&digit| -half <= digit && digit <= half));
    }

    proptest! {
        #[test]
        fn digits_add_up_to_the_scalar(limbs: [u64; 4], window_bits in 4u32..=16) {
            let bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
            check(Fr::from_le_bytes_mod_order(&bytes), window_bits);
        }
    }

    #[test]
    fn digits_of_the_edges_add_up() {
        let half = Fr::from(2u64).inverse().unwrap();
        for window_bits in 4..=16 {
            for scalar in [Fr::ZERO, Fr::ONE, -Fr::ONE, half, -half, half - Fr::ONE, Fr::from(1u64 << 12)] {
                check(scalar, window_bits);
            }
        }
    }

    #[test]
    fn bounds_are_exact() {
        for bits in [1u32, 8, 63, 64, 65, 128, 200, 252] {
            let power = Fr::from(2u64).pow([u64::from(bits)]);
            for (scalar, fits) in
                [(power - Fr::ONE, true), (Fr::ONE - power, true), (power, false), (-power, false)]
            {
                assert_eq!(Signed::of(&scalar).fits(bits), fits, "{bits}");
            }
        }
        assert!(Signed::of(&(-Fr::from(2u64).inverse().unwrap())).fits(FULL_BITS));
    }

    #[test]
    fn small_scalars_need_few_windows() {
        assert_eq!(windows_for(7, 8), 1);
        assert_eq!(windows_for(8, 8), 2);
        assert_eq!(windows_for(FULL_BITS, 13), 20);
    }
}
