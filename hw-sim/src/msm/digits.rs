//! The slicer: scalars become sign and magnitude, magnitudes become signed digits of a window's width.
//!
//! A window of c bits plus carry above 2^(c−1) becomes negative and carries one into the next, so digits lie in
//! −2^(c−1) < d ≤ 2^(c−1) and half the buckets suffice. The windows share the bits evenly, with widths that differ by
//! one at most: a last window of a few bits would have a few buckets, and its points would wait for each other.

use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};

/// Magnitudes of scalars in general: |s| ≤ (r − 1)/2 < 2^253.
pub const FULL_BITS: u32 = 253;

/// How a scalar is cut into windows, least significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How many there are.
    pub count: u32,
    /// Width of the widest. \[bits\]
    pub bits: u32,
    /// This many, the first ones, are a bit narrower.
    pub narrow: u32,
}

impl Windows {
    /// The fewest windows of at most `widest` bits that hold any magnitude below 2^`bits`.
    pub const fn new(bits: u32, widest: u32) -> Windows {
        // One bit more, so that nothing is carried out of the last window.
        let count = (bits + 1).div_ceil(widest);
        let width = (bits + 1).div_ceil(count);
        Windows { count, bits: width, narrow: width * count - (bits + 1) }
    }

    /// Width of a window. \[bits\]
    pub const fn width(&self, window: u32) -> u32 {
        if window < self.narrow { self.bits - 1 } else { self.bits }
    }
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

    /// A scalar made of random words: any sign, any magnitude below 2^`bits`. None when the words make no scalar in that
    /// form, which is one time in four for `bits` of [`FULL_BITS`] and never for fewer.
    pub fn from_words(mut magnitude: [u64; 4], sign: u64, bits: u32) -> Option<Signed> {
        for (from, limb) in (0u32..).step_by(64).zip(&mut magnitude) {
            let allowed = bits.saturating_sub(from).min(64);
            *limb &= if allowed == 64 { u64::MAX } else { (1 << allowed) - 1 };
        }
        let half = Fr::MODULUS_MINUS_ONE_DIV_TWO;
        (BigInt(magnitude) <= half).then_some(Signed { negative: sign & 1 == 1, magnitude })
    }

    /// Whether the magnitude is below 2^`bits`.
    pub fn fits(&self, bits: u32) -> bool {
        (0u32..).step_by(64).zip(self.magnitude).all(|(from, limb)| {
            let allowed = bits.saturating_sub(from);
            allowed >= 64 || limb >> allowed == 0
        })
    }

    /// Writes the digits, least significant first.
    pub fn digits(&self, windows: &Windows, digits: &mut [i32]) {
        let (mut from, mut carry) = (0, 0);
        for (index, digit) in (0u32..).zip(digits) {
            let width = windows.width(index);
            let mut value = self.bits(from, width) + carry;
            carry = i32::from(value > 1 << (width - 1));
            value -= carry << width;
            *digit = if self.negative { -value } else { value };
            from += width;
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

    fn check(scalar: Fr, widest: u32) {
        let windows = Windows::new(FULL_BITS, widest);
        let mut digits = vec![0; windows.count as usize];
        Signed::of(&scalar).digits(&windows, &mut digits);
        let sum = (0..windows.count).zip(&digits).rev().fold(Fr::ZERO, |sum, (index, digit)| {
            assert!(digit.unsigned_abs() <= 1 << (windows.width(index) - 1));
            sum * Fr::from(1u64 << windows.width(index)) + Fr::from(*digit)
        });
        assert_eq!(sum, scalar);
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
    fn windows_share_the_bits_evenly() {
        assert_eq!(Windows::new(FULL_BITS, 13), Windows { count: 20, bits: 13, narrow: 6 });
        for widest in 4..=16 {
            for bits in 1..=FULL_BITS {
                let windows = Windows::new(bits, widest);
                assert!(windows.bits <= widest && windows.narrow < windows.count);
                assert_eq!((0..windows.count).map(|window| windows.width(window)).sum::<u32>(), bits + 1);
            }
        }
    }

    #[test]
    fn small_scalars_need_few_windows() {
        assert_eq!(Windows::new(7, 8).count, 1);
        assert_eq!(Windows::new(8, 8), Windows { count: 2, bits: 5, narrow: 1 });
        assert_eq!(Windows::new(1, 13), Windows { count: 1, bits: 2, narrow: 0 });
    }
}
