//! Square roots in Fq, eight at a time.
//!
//! Values are brought to Montgomery form with 2^260, in which a product of two has that form again.

use ark_bn254::{Fq, FqConfig};
use ark_ff::{AdditiveGroup, BigInt};

use super::*;

/// Vectors that are worked on side by side.
const CHAINS: usize = 2;

/// Values that are worked on side by side.
const GROUP: usize = CHAINS * LANES;

const WINDOW_BITS: usize = 4;

/// 2^256, which takes a value from the form with 2^260 to that with 2^256.
const LEAVE: Limbs = [0, 0, 0, 0, 1 << (256 - 4 * LIMB_BITS)];

impl Ifma {
    /// Replaces every x by x^exponent. The exponent is public.
    pub(in crate::cpu) fn powers(self, values: &mut [Fq], exponent: BigInt<4>) {
        for group in values.chunks_mut(GROUP) {
            let mut whole = [[Fq::ZERO; LANES]; CHAINS];
            whole.as_flattened_mut()[..group.len()].copy_from_slice(group);
            // SAFETY: an `Ifma` exists only where the features do.
            unsafe { powers(&mut whole, exponent) }
            group.copy_from_slice(&whole.as_flattened()[..group.len()]);
        }
    }
}

/// By digits of four bits, from the highest.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn powers(values: &mut [[Fq; LANES]; CHAINS], exponent: BigInt<4>) {
    // 16·x·2^256 = x·2^260
    let x = [0, 1].map(|chain| load_shifted(&values[chain]));
    let one = broadcast(&split(Fq::from(1u64 << 4).0.0));
    let mut table = [[one; CHAINS]; 1 << WINDOW_BITS];
    for i in 1..table.len() {
        table[i] = products(&table[i - 1], &x);
    }
    let mut power = table[0];
    for limb in exponent.0.into_iter().rev() {
        for digit in (0..u64::BITS as usize / WINDOW_BITS).rev() {
            for _ in 0..WINDOW_BITS {
                power = products(&power, &power);
            }
            let digit = limb >> (digit * WINDOW_BITS) & ((1 << WINDOW_BITS) - 1);
            power = products(&power, &table[digit as usize]);
        }
    }
    let leave = broadcast(&LEAVE);
    for (value, power) in values.iter_mut().zip(&power) {
        store(&canonical::<FqConfig>(&product(power, &leave)), value);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn products(a: &[Lanes; CHAINS], b: &[Lanes; CHAINS]) -> [Lanes; CHAINS] {
    [product(&a[0], &b[0]), product(&a[1], &b[1])]
}

/// The product of values of bounds j and k has bound j·k/84 + 1, below 2 for the 16 of what is loaded and the 2 of a product.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn product(a: &Lanes, b: &Lanes) -> Lanes {
    carry(&mul::<FqConfig>(a, b))
}
