//! Eight field elements at a time, with the 52-bit multiply-add of AVX-512 (IFMA), where the processor has it.
//!
//! An element is five limbs of 52 bits in five vectors, a lane each. 2^260 is some 84·p, so that values need not be
//! reduced between operations: `bound` k below means that a value is in [0, k·p). Sums and differences are limb by limb
//! and may leave limbs that are negative or longer than 52 bits; [`carry`] makes them proper, which only an operand of
//! a multiplication and what is stored must be.
//!
//! Products are Montgomery's with 2^260: `mul(a, b) = a·b/2^260`. Elements in memory stand in Montgomery form with
//! 2^256 (arkworks'). Multiplied by a constant that stands with 2^260 they stay in that form.
//!
//! Unsafe here are loads and stores through pointers, and calls of functions that need
//! the processor's features. Those calls go through [`Ifma`], which exists only where the features were found.

mod curve;
mod lanes;
mod roots;

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_loadu_si512, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_mask_blend_epi64, _mm512_movepi64_mask, _mm512_or_si512,
    _mm512_permutex2var_epi64, _mm512_set1_epi64, _mm512_setr_epi64, _mm512_setzero_si512, _mm512_slli_epi64,
    _mm512_srai_epi64, _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi64, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi64,
};

use std::marker::PhantomData;

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInt, Fp, MontBackend, MontConfig};

pub(super) use curve::AdditionScratch;

/// Proof that this processor has the instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ifma(());

impl Ifma {
    /// Asks the processor (and the operating system, which must save the registers).
    pub(super) fn detect() -> Option<Ifma> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma");
        found.then_some(Ifma(()))
    }
}

/// Elements side by side.
pub(super) const LANES: usize = 8;

const LIMB_BITS: u32 = 52;
const LIMB: u64 = (1 << LIMB_BITS) - 1;

type Limbs = [u64; 5];

/// An element of the field with these parameters: Fr or Fq, which have moduli of the same length.
type Element<C> = Fp<MontBackend<C, 4>, 4>;

/// What the arithmetic modulo p needs to know of p.
struct Modulus<C>(PhantomData<C>);

impl<C: MontConfig<4>> Modulus<C> {
    const LIMBS: Limbs = split(C::MODULUS.0);
    /// −1/p modulo 2^52.
    const NEGATIVE_INVERSE: u64 = C::INV & LIMB;
    /// ⌊2^52 / (⌊p/2^208⌋ + 1)⌋, from which quotients by p are estimated.
    const QUOTIENT: u64 = (1 << LIMB_BITS) / (Self::LIMBS[4] + 1);

    /// k·p, in limbs; k ≤ 84.
    const fn multiple(k: u64) -> Limbs {
        let mut out = [0; 5];
        let mut carry = 0;
        let mut i = 0;
        while i < 5 {
            let sum = Self::LIMBS[i] as u128 * k as u128 + carry;
            out[i] = (sum & LIMB as u128) as u64;
            carry = sum >> LIMB_BITS;
            i += 1;
        }
        out
    }
}

/// One vector per limb.
type Lanes = [__m512i; 5];

/// [`Lanes`] in memory.
type Stored = [[u64; LANES]; 5];

// An element is its four limbs and nothing else, so that eight elements are 32 words in order.
const _: () = assert!(size_of::<Fr>() == 32 && align_of::<Fr>() == 8);
const _: () = assert!(size_of::<Fq>() == 32 && align_of::<Fq>() == 8);
const _: () = assert!(std::mem::offset_of!(Fr, 0) == 0 && size_of::<BigInt<4>>() == 32);

/// 256 bits as limbs of 52.
const fn split(x: [u64; 4]) -> Limbs {
    [
        x[0] & LIMB,
        (x[0] >> 52 | x[1] << 12) & LIMB,
        (x[1] >> 40 | x[2] << 24) & LIMB,
        (x[2] >> 28 | x[3] << 36) & LIMB,
        x[3] >> 16,
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn broadcast(x: &Limbs) -> Lanes {
    x.map(|limb| _mm512_set1_epi64(limb as i64))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn fetch(x: &Stored) -> Lanes {
    // SAFETY: each limb is an array of exactly the 64 bytes that are read, at any alignment.
    [0, 1, 2, 3, 4].map(|limb| unsafe { _mm512_loadu_si512(x[limb].as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn keep(x: &Lanes, out: &mut Stored) {
    for (out, &limb) in out.iter_mut().zip(x) {
        // SAFETY: each limb is an array of exactly the 64 bytes that are written, at any alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), limb) }
    }
}

/// Eight elements; the lanes hold them in the order 0 2 1 3 4 6 5 7, which [`store`] undoes.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn load<C: MontConfig<4>>(x: &[Element<C>; LANES]) -> Lanes {
    let words = x.as_ptr().cast::<u64>();
    // SAFETY: eight elements are 32 words in order (asserted above), of which vector i is words 8i to 8i + 7.
    let z = [0, 1, 2, 3].map(|i| unsafe { _mm512_loadu_si512(words.add(8 * i).cast()) });
    let (even, odd) = (_mm512_unpacklo_epi64(z[0], z[1]), _mm512_unpackhi_epi64(z[0], z[1]));
    let (even_high, odd_high) = (_mm512_unpacklo_epi64(z[2], z[3]), _mm512_unpackhi_epi64(z[2], z[3]));
    let low = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
    let high = _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15);
    let w = [
        _mm512_permutex2var_epi64(even, low, even_high),
        _mm512_permutex2var_epi64(odd, low, odd_high),
        _mm512_permutex2var_epi64(even, high, even_high),
        _mm512_permutex2var_epi64(odd, high, odd_high),
    ];
    let mask = _mm512_set1_epi64(LIMB as i64);
    [
        _mm512_and_si512(w[0], mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<52>(w[0]), _mm512_slli_epi64::<12>(w[1])), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<40>(w[1]), _mm512_slli_epi64::<24>(w[2])), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<28>(w[2]), _mm512_slli_epi64::<36>(w[3])), mask),
        _mm512_srli_epi64::<16>(w[3]),
    ]
}

/// Sixteen times what [`load`] gives.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn load_shifted<C: MontConfig<4>>(x: &[Element<C>; LANES]) -> Lanes {
    shift(&load(x))
}

/// 16·x, for proper limbs.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn shift(x: &Lanes) -> Lanes {
    carry(&x.map(|limb| _mm512_slli_epi64::<4>(limb)))
}

/// The inverse of [`load`], for proper limbs of values below p: eight elements.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn store<C: MontConfig<4>>(x: &Lanes, out: &mut [Element<C>; LANES]) {
    let w = [
        _mm512_or_si512(x[0], _mm512_slli_epi64::<52>(x[1])),
        _mm512_or_si512(_mm512_srli_epi64::<12>(x[1]), _mm512_slli_epi64::<40>(x[2])),
        _mm512_or_si512(_mm512_srli_epi64::<24>(x[2]), _mm512_slli_epi64::<28>(x[3])),
        _mm512_or_si512(_mm512_srli_epi64::<36>(x[3]), _mm512_slli_epi64::<16>(x[4])),
    ];
    let low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    let even = _mm512_permutex2var_epi64(w[0], low, w[2]);
    let odd = _mm512_permutex2var_epi64(w[1], low, w[3]);
    let even_high = _mm512_permutex2var_epi64(w[0], high, w[2]);
    let odd_high = _mm512_permutex2var_epi64(w[1], high, w[3]);
    let z = [
        _mm512_unpacklo_epi64(even, odd),
        _mm512_unpackhi_epi64(even, odd),
        _mm512_unpacklo_epi64(even_high, odd_high),
        _mm512_unpackhi_epi64(even_high, odd_high),
    ];
    let words = out.as_mut_ptr().cast::<u64>();
    for (i, &z) in z.iter().enumerate() {
        // SAFETY: eight elements are 32 words in order (asserted above), of which vector i is words 8i to 8i + 7; the
        // values are below p by this function's contract, as elements must be.
        unsafe { _mm512_storeu_si512(words.add(8 * i).cast(), z) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn add(a: &Lanes, b: &Lanes) -> Lanes {
    [0, 1, 2, 3, 4].map(|i| _mm512_add_epi64(a[i], b[i]))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn sub(a: &Lanes, b: &Lanes) -> Lanes {
    [0, 1, 2, 3, 4].map(|i| _mm512_sub_epi64(a[i], b[i]))
}

/// Proper limbs of a value in [0, 2^260).
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn carry(x: &Lanes) -> Lanes {
    let mask = _mm512_set1_epi64(LIMB as i64);
    let mut out = *x;
    for i in 0..4 {
        out[i + 1] = _mm512_add_epi64(out[i + 1], _mm512_srai_epi64::<LIMB_BITS>(out[i]));
        out[i] = _mm512_and_si512(out[i], mask);
    }
    out
}

/// a·b/2^260, for proper limbs. Bounds j and k give j·k/84 + 1; limbs are longer than 52 bits, below 2^57.
///
/// Montgomery's multiplication (1985) by rows: after row i the sum is divisible by 2^52, and is divided.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn mul<C: MontConfig<4>>(a: &Lanes, b: &Lanes) -> Lanes {
    let zero = _mm512_setzero_si512();
    let p = broadcast(&Modulus::<C>::LIMBS);
    let inverse = _mm512_set1_epi64(Modulus::<C>::NEGATIVE_INVERSE as i64);
    let mut t = [zero; 5];
    for row in b {
        for (t, &a) in t.iter_mut().zip(a) {
            *t = _mm512_madd52lo_epu64(*t, a, *row);
        }
        let q = _mm512_madd52lo_epu64(zero, t[0], inverse);
        for (t, &p) in t.iter_mut().zip(&p) {
            *t = _mm512_madd52lo_epu64(*t, q, p);
        }
        let below = _mm512_srli_epi64::<LIMB_BITS>(t[0]);
        t = [_mm512_add_epi64(t[1], below), t[2], t[3], t[4], zero];
        for i in 0..5 {
            t[i] = _mm512_madd52hi_epu64(t[i], a[i], *row);
            t[i] = _mm512_madd52hi_epu64(t[i], q, p[i]);
        }
    }
    t
}

/// The same value modulo p with bound 2, proper limbs, from proper limbs with bound 80.
///
/// The top limb t estimates the quotient, too low by less than 2: ⌊x/p⌋ ≤ x/p < (t + 1)/⌊p/2^208⌋, where ⌊p/2^208⌋ is
/// above 2^45 and t below 80/84·2^52, so that rounding the factor costs less than 0.96 and the product less than 1.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn reduce<C: MontConfig<4>>(x: &Lanes) -> Lanes {
    let zero = _mm512_setzero_si512();
    let quotient = _mm512_madd52hi_epu64(zero, x[4], _mm512_set1_epi64(Modulus::<C>::QUOTIENT as i64));
    let p = broadcast(&Modulus::<C>::LIMBS);
    let mut multiple = [zero; 5];
    for i in 0..5 {
        multiple[i] = _mm512_madd52lo_epu64(multiple[i], quotient, p[i]);
        if i < 4 {
            multiple[i + 1] = _mm512_madd52hi_epu64(multiple[i + 1], quotient, p[i]);
        }
    }
    carry(&sub(x, &multiple))
}

/// The value below p, from proper limbs with bound 2.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn canonical<C: MontConfig<4>>(x: &Lanes) -> Lanes {
    let less = carry(&sub(x, &broadcast(&Modulus::<C>::LIMBS)));
    let negative = _mm512_movepi64_mask(less[4]);
    [0, 1, 2, 3, 4].map(|i| _mm512_mask_blend_epi64(negative, less[i], x[i]))
}
