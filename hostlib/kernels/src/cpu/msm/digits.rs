//! Scalars in signed digits.
//!
//! A digit of c bits is taken from the low end as a signed number in [−2^(c−1), 2^(c−1)), and what is left is divided by
//! 2^c: negating a point is free, so that 2^(c−1) buckets do.
//!
//! The endomorphism φ(x, y) = (βx, y) multiplies by λ, a cube root of one modulo r (Gallant, Lambert, Vanstone 2001). A
//! scalar k is k₁ + λ·k₂ with |k₁| and |k₂| below 2^126.8, so that there are half as many digits for twice as many points.

use ark_bn254::Fr;
use ark_ff::PrimeField;

/// The widest digit, which an `i16` holds.
pub(super) const DIGIT_BITS_MAX: u32 = 16;

/// Halves of scalars fit digits of this many bits together, if each has four bits at least.
pub(super) const HALF_BITS: u32 = 128;

/// A short basis of the lattice {(i, j) : i + λ·j = 0 modulo r} is (A, −M), (M, B).
const A: u128 = 147946756881789319000765030803803410728;
const B: u128 = 147946756881789319010696353538189108491;
const M: u64 = 9931322734385697763;

/// ⌊B·2^254/r⌉ and ⌊M·2^254/r⌉
const B_SHARE: u128 = 195665136022270213282831535631857867097;
const M_SHARE: u64 = 13134546877950733558;

/// (k₁, k₂) with k₁ + λ·k₂ = k modulo r.
///
/// With exact shares c₁ = ⌊k·B/r⌉ and c₂ = ⌊k·M/r⌉ the two are half a basis vector each way at most. Here the shares are
/// off by less than 2^254·½/2^254 + 2^(64−254)·2^128, so that c₁ and c₂ are off by 0.88 in all, and the halves are below
/// 0.88·(B + M) < 2^126.8.
pub(super) fn split(scalar: &Fr) -> [i128; 2] {
    let k = scalar.into_bigint().0;
    let c1 = rounded_share(&k, B_SHARE);
    let c2 = rounded_share(&k, u128::from(M_SHARE));
    let low = u128::from(k[0]) | u128::from(k[1]) << 64;
    let m = u128::from(M);
    // Modulo 2^128, which the halves fit with their signs.
    let first = low.wrapping_sub(c1.wrapping_mul(A)).wrapping_sub(c2.wrapping_mul(m));
    let second = c1.wrapping_mul(m).wrapping_sub(c2.wrapping_mul(B));
    [first as i128, second as i128]
}

/// ⌊⌊k/2^64⌋·share/2^190⌉
fn rounded_share(k: &[u64; 4], share: u128) -> u128 {
    let (low, high) = (u128::from(share as u64), share >> 64);
    let [k1, k2, k3] = [k[1], k[2], k[3]].map(u128::from);
    let word = |x: u128| x & u128::from(u64::MAX);
    // The lowest word counts for its carry only.
    let t0 = k1 * low;
    let t1 = (t0 >> 64) + word(k1 * high) + word(k2 * low);
    let t2 = (t1 >> 64) + ((k1 * high) >> 64) + ((k2 * low) >> 64) + word(k2 * high) + word(k3 * low);
    let upper = k3 * high + (t2 >> 64) + ((k2 * high) >> 64) + ((k3 * low) >> 64);
    // 2^190 is bit 62 of word 2, so this is half of it.
    let t2 = word(t2) + (1 << 61);
    let upper = upper + (t2 >> 64);
    upper << 2 | word(t2) >> 62
}

/// The digits of k, each of `bits` bits, from the lowest.
#[inline]
pub(super) fn digits(mut k: i128, bits: u32, mut take: impl FnMut(usize, i16), count: usize) {
    for at in 0..count {
        let digit = ((k as i32) << (32 - bits)) >> (32 - bits);
        take(at, digit as i16);
        k = (k - i128::from(digit)) >> bits;
    }
}

/// The sixteen digits of 16 bits of a scalar. The last takes in what is carried, because r is below 0.76·2^254.
pub(super) fn whole(scalar: &Fr, mut take: impl FnMut(usize, i16)) {
    let mut carry = 0;
    for (limb, word) in scalar.into_bigint().0.into_iter().enumerate() {
        for part in 0..4 {
            let digit = (word >> (16 * part) & 0xffff) as u32 + carry;
            carry = u32::from(digit >= 1 << 15);
            take(4 * limb + part, digit as i16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::g1;
    use ark_ec::scalar_mul::glv::GLVConfig;
    use ark_ff::{One, UniformRand, Zero};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn element(k: i128) -> Fr {
        if k < 0 { -Fr::from(k.unsigned_abs()) } else { Fr::from(k.unsigned_abs()) }
    }

    fn scalars() -> Vec<Fr> {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let lambda = g1::Config::LAMBDA;
        let edges =
            [Fr::zero(), Fr::one(), lambda, lambda * lambda, element(M as i128), Fr::from(B), Fr::from(A)];
        let halves = edges.map(|s| s / Fr::from(2));
        let random = (0..20_000).map(|_| Fr::rand(&mut rng));
        edges
            .into_iter()
            .chain(halves)
            .flat_map(|s| [s, -s, s - Fr::one(), s + Fr::one()])
            .chain(random)
            .collect()
    }

    #[test]
    fn halves_are_short_and_make_up_the_scalar() {
        for scalar in scalars() {
            let halves = split(&scalar);
            assert_eq!(element(halves[0]) + g1::Config::LAMBDA * element(halves[1]), scalar);
            // 0.88·(B + M)
            assert!(halves.iter().all(|half| half.unsigned_abs() < 130193146055974600000000000000000000000));
        }
    }

    #[test]
    fn whole_digits_make_up_the_scalar() {
        for scalar in scalars() {
            let (mut sum, mut place) = (Fr::zero(), Fr::one());
            whole(&scalar, |_, digit| {
                sum += place * element(i128::from(digit));
                place *= Fr::from(1u64 << 16);
            });
            assert_eq!(sum, scalar);
        }
    }

    #[test]
    fn digits_of_every_width_make_up_a_half() {
        let largest = 130193146055974600000000000000000000000i128;
        for half in [0, 1, -1, largest, -largest, 1 << 126, -(1 << 126), i128::from(u64::MAX)] {
            for bits in 4..=DIGIT_BITS_MAX {
                let count = HALF_BITS.div_ceil(bits) as usize;
                let (mut sum, mut place) = (Fr::zero(), Fr::one());
                digits(
                    half,
                    bits,
                    |_, digit| {
                        assert!(i32::from(digit).unsigned_abs() <= 1 << (bits - 1));
                        sum += place * element(i128::from(digit));
                        place *= Fr::from(1u64 << bits);
                    },
                    count,
                );
                assert_eq!(sum, element(half), "{half}, {bits}");
            }
        }
    }
}
