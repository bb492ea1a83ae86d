//! Arithmetic modulo the primes of BN254 (r of Fr, q of Fq) on four 64-bit limbs, one element at a time.
//!
//! Elements are arkworks', in Montgomery form with 2^256. Both primes p are below 2^254, so that a product of values
//! below 2·p is again below 2·p without a comparison: a·b/2^256 + p < (4·p/2^256 + 1)·p < 2·p. [`Limbs`] are such lazily
//! reduced values; what is stored is reduced.
//!
//! How a product is computed is chosen at run time by a [`Multiplier`]: the same code, made once for each.

#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "instructions that the compiler does not choose; the module says what is relied on"
)]
mod adx;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_adx.rs"]
mod adx;

mod inverse;
mod inverse_vartime;

use ark_ff::{BigInt, Fp, MontBackend, MontConfig};

pub(super) use adx::Adx;
pub(super) use inverse::inverse;
pub(super) use inverse_vartime::{inverse_vartime, invert_all_vartime};

/// A field element of r or q, reduced.
pub(super) type Element<C> = Fp<MontBackend<C, 4>, 4>;

/// A value modulo p, below a small multiple of p that the context states.
pub(super) type Limbs = [u64; 4];

/// A way to multiply.
pub(super) trait Multiplier: Copy + Send + Sync {
    /// a·b/2^256 modulo p, below 2·p, for a and b below 2·p.
    fn mul<C: MontConfig<4>>(self, a: &Limbs, b: &Limbs) -> Limbs;

    /// a − b + p, for b at most p more than a.
    #[inline(always)]
    fn difference<C: MontConfig<4>>(self, a: &Limbs, b: &Limbs) -> Limbs {
        add(&sub(a, b).0, &C::MODULUS.0)
    }

    /// p − a if `negative`, else a; a at most p.
    #[inline(always)]
    fn negate_if<C: MontConfig<4>>(self, negative: bool, a: &Limbs) -> Limbs {
        select(a, &sub(&C::MODULUS.0, a).0, u64::from(negative).wrapping_neg())
    }

    /// The value below p, from one below 4·p.
    #[inline(always)]
    fn reduce<C: MontConfig<4>>(self, a: &Limbs) -> Limbs {
        reduce_once(&reduce_once(a, &multiple::<C>(2)), &C::MODULUS.0)
    }
}

/// Multiplication in plain Rust, on any processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Multiplier for Portable {
    /// Montgomery's multiplication (1985), rows interleaved with reductions; the top limb of p leaves room for the
    /// carries, so that no fifth limb is kept.
    #[inline]
    fn mul<C: MontConfig<4>>(self, a: &Limbs, b: &Limbs) -> Limbs {
        let p = &C::MODULUS.0;
        let mut t = [0u64; 4];
        for &b in b {
            let (first, mut high) = multiply_add(a[0], b, t[0], 0);
            let q = first.wrapping_mul(C::INV);
            let (_, mut carry) = multiply_add(q, p[0], first, 0);
            for i in 1..4 {
                let (low, next) = multiply_add(a[i], b, t[i], high);
                high = next;
                (t[i - 1], carry) = multiply_add(q, p[i], low, carry);
            }
            t[3] = high + carry;
        }
        t
    }
}

/// a·b + c + d as low and high word.
#[inline]
fn multiply_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let sum = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (sum as u64, (sum >> 64) as u64)
}

/// k·p; k ≤ 5, so that it fits.
pub(super) const fn multiple<C: MontConfig<4>>(k: u64) -> Limbs {
    let mut out = [0; 4];
    let mut carry = 0;
    let mut i = 0;
    while i < 4 {
        let sum = C::MODULUS.0[i] as u128 * k as u128 + carry;
        out[i] = sum as u64;
        carry = sum >> 64;
        i += 1;
    }
    out
}

/// a + b, which must be below 2^256.
#[inline(always)]
pub(super) fn add(a: &Limbs, b: &Limbs) -> Limbs {
    let mut out = [0; 4];
    let mut carry = false;
    for i in 0..4 {
        (out[i], carry) = a[i].carrying_add(b[i], carry);
    }
    out
}

/// a − b modulo 2^256, and whether b is larger.
#[inline(always)]
pub(super) fn sub(a: &Limbs, b: &Limbs) -> (Limbs, bool) {
    let mut out = [0; 4];
    let mut borrow = false;
    for i in 0..4 {
        (out[i], borrow) = a[i].borrowing_sub(b[i], borrow);
    }
    (out, borrow)
}

/// b where the mask is all ones, a where it is zero.
#[inline(always)]
pub(super) fn select(a: &Limbs, b: &Limbs, mask: u64) -> Limbs {
    let mut out = *a;
    for i in 0..4 {
        out[i] ^= (a[i] ^ b[i]) & mask;
    }
    out
}

/// a − `bound` where that is not negative, else a. Takes the same time for both.
#[inline(always)]
pub(super) fn reduce_once(a: &Limbs, bound: &Limbs) -> Limbs {
    let (less, negative) = sub(a, bound);
    let keep = u64::from(negative).wrapping_neg();
    select(&less, a, keep)
}

/// The element, from a value below 2·p.
#[inline]
pub(super) fn canonical<C: MontConfig<4>>(a: &Limbs) -> Element<C> {
    Element::<C>::new_unchecked(BigInt(reduce_once(a, &C::MODULUS.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{FqConfig, FrConfig};
    use ark_ff::{Field, One, PrimeField, UniformRand, Zero};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn multiplies_like_arkworks<C: MontConfig<4>>(multiplier: impl Multiplier) {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let largest = -Element::<C>::one();
        let ends = (0..4).map(|limb| Element::<C>::from(2u64).pow([64 * limb + 63]));
        let mut all: Vec<Element<C>> =
            ends.chain([Element::<C>::zero(), Element::<C>::one(), largest]).collect();
        all.extend((0..200).map(|_| Element::<C>::rand(&mut rng)));
        for a in &all {
            for b in &all {
                for (x, y) in [(0, 0), (0, 1), (1, 1)] {
                    let lazy = |v: &Element<C>, k: u64| add(&v.0.0, &multiple::<C>(k));
                    let product = multiplier.mul::<C>(&lazy(a, x), &lazy(b, y));
                    assert!(sub(&product, &multiple::<C>(2)).1, "below twice the modulus");
                    assert_eq!(canonical::<C>(&product), *a * b);
                }
            }
        }
    }

    #[test]
    fn every_multiplier_multiplies_like_arkworks() {
        multiplies_like_arkworks::<FqConfig>(Portable);
        multiplies_like_arkworks::<FrConfig>(Portable);
        if let Some(adx) = Adx::detect() {
            multiplies_like_arkworks::<FqConfig>(adx);
            multiplies_like_arkworks::<FrConfig>(adx);
        }
    }

    #[test]
    fn one_reduction_takes_off_one_multiple_at_most() {
        let p = ark_bn254::Fq::MODULUS.0;
        let below = sub(&p, &[1, 0, 0, 0]).0;
        assert_eq!(reduce_once(&below, &p), below);
        assert_eq!(reduce_once(&p, &p), [0; 4]);
        assert_eq!(reduce_once(&multiple::<FqConfig>(2), &p), p);
    }
}
