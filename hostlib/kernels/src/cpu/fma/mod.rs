//! Four field elements at a time in doubles, with AVX2 and FMA, where the processor has them.
//!
//! An element is five limbs of 51 bits, which may be negative, in five vectors of doubles, a lane each. 2^255 is 2.6·p and
//! 2^256 is 5.2·p. Values need not be reduced between operations; *settled* means limbs of at most 2^50 + 4 in magnitude
//! (the last: what the value makes it) and a value of at most 0.51·p in magnitude.
//!
//! Products are Montgomery's with 2^255: `multiply(a, b) = a·b/2^255`. Elements in memory stand in Montgomery form with
//! 2^256 (arkworks'). Multiplied by a constant that stands with 2^255 they stay in that form.
//!
//! Unsafe here are loads and stores through pointers, instructions written down, and calls of functions that need the
//! processor's features. Those calls go through [`Fma`], which exists only where the features were found.

mod curve;
mod lanes;
mod multiply;

use std::arch::x86_64::{
    __m256d, __m256i, _mm256_add_epi64, _mm256_add_pd, _mm256_and_si256, _mm256_blendv_pd,
    _mm256_castpd_si256, _mm256_castsi256_pd, _mm256_fmadd_pd, _mm256_fnmadd_pd, _mm256_load_pd,
    _mm256_loadu_si256, _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi64x, _mm256_set1_pd,
    _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_store_pd, _mm256_storeu_si256,
    _mm256_sub_epi64, _mm256_sub_pd, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
};

use ark_ff::{BigInt, Fp, MontBackend, MontConfig};

pub(super) use curve::AdditionScratch;
use multiply::{HI, LO, multiply};

/// Proof that this processor has the instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fma(());

impl Fma {
    /// Asks the processor (and the operating system, which must save the registers).
    pub(super) fn detect() -> Option<Fma> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Fma(()))
    }
}

/// Elements side by side.
const WIDTH: usize = 4;

const LIMB_BITS: u32 = 51;
const LIMB: u64 = (1 << LIMB_BITS) - 1;
const HALF_LIMB: i64 = 1 << (LIMB_BITS - 1);
const TWO_52: f64 = 4_503_599_627_370_496.0;

/// An element of the field with these parameters: Fr or Fq, which have moduli of the same length.
type Element<C> = Fp<MontBackend<C, 4>, 4>;

/// One vector of doubles per limb.
type Values = [__m256d; 5];
/// One vector of integers per limb.
type Integers = [__m256i; 5];

/// [`Values`] in memory.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Stored([[f64; WIDTH]; 5]);

// An element is its four limbs and nothing else, so that four elements are 16 words in order.
const _: () = assert!(size_of::<ark_bn254::Fr>() == 32 && align_of::<ark_bn254::Fr>() == 8);
const _: () = assert!(size_of::<ark_bn254::Fq>() == 32 && align_of::<ark_bn254::Fq>() == 8);
const _: () = assert!(std::mem::offset_of!(ark_bn254::Fr, 0) == 0 && size_of::<BigInt<4>>() == 32);

/// 256 bits as limbs of 51, the last of 52.
const fn limbs_of(x: [u64; 4]) -> [u64; 5] {
    [
        x[0] & LIMB,
        (x[0] >> 51 | x[1] << 13) & LIMB,
        (x[1] >> 38 | x[2] << 26) & LIMB,
        (x[2] >> 25 | x[3] << 39) & LIMB,
        x[3] >> 12,
    ]
}

/// Limbs from −2^50 to 2^50 − 1, but for the last.
const fn balanced(limbs: [u64; 5]) -> [f64; 5] {
    let mut out = [0.0; 5];
    let mut carry = 0;
    let mut i = 0;
    while i < 5 {
        let limb = limbs[i] as i64 + carry;
        carry = if i < 4 && limb >= HALF_LIMB { 1 } else { 0 };
        out[i] = (limb - (carry << LIMB_BITS)) as f64;
        i += 1;
    }
    out
}

/// What the arithmetic modulo p needs to know of p, besides [`multiply::Constants`].
struct Modulus<C>(std::marker::PhantomData<C>);

impl<C: MontConfig<4>> Modulus<C> {
    const WORDS: [u64; 5] = limbs_of(C::MODULUS.0);
    const LIMBS: [f64; 5] = balanced(Self::WORDS);
    /// 1/p in units of the last limb; rounding it costs nothing, as quotients are small.
    const QUOTIENT: f64 = 1.0 / (Self::WORDS[4] as f64 + Self::WORDS[3] as f64 / LIMB as f64);
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn fetch(x: &Stored) -> Values {
    // SAFETY: each limb is an array of exactly the 32 bytes that are read, aligned by the type.
    [0, 1, 2, 3, 4].map(|limb| unsafe { _mm256_load_pd(x.0[limb].as_ptr()) })
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn keep(x: &Values, out: &mut Stored) {
    for (out, &limb) in out.0.iter_mut().zip(x) {
        // SAFETY: each limb is an array of exactly the 32 bytes that are written, aligned by the type.
        unsafe { _mm256_store_pd(out.as_mut_ptr(), limb) }
    }
}

/// A small integer that is not negative as a double.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn double(x: __m256i, less: f64) -> __m256d {
    let bits = _mm256_or_si256(x, _mm256_set1_epi64x(TWO_52.to_bits() as i64));
    _mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(TWO_52 + less))
}

/// The limbs of four elements, which are below 2^51, the last below 2^50.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_limbs<C: MontConfig<4>>(run: &[Element<C>; WIDTH]) -> Integers {
    let words = run.as_ptr().cast::<u64>();
    // SAFETY: four elements are 16 words in order (asserted above), of which element i is words 4i to 4i + 3.
    let x = [0, 1, 2, 3].map(|i| unsafe { _mm256_loadu_si256(words.add(4 * i).cast()) });
    let (even, odd) = (_mm256_unpacklo_epi64(x[0], x[1]), _mm256_unpackhi_epi64(x[0], x[1]));
    let (even_high, odd_high) = (_mm256_unpacklo_epi64(x[2], x[3]), _mm256_unpackhi_epi64(x[2], x[3]));
    let w = [
        _mm256_permute2x128_si256::<0x20>(even, even_high),
        _mm256_permute2x128_si256::<0x20>(odd, odd_high),
        _mm256_permute2x128_si256::<0x31>(even, even_high),
        _mm256_permute2x128_si256::<0x31>(odd, odd_high),
    ];
    let limb = |x: __m256i| _mm256_and_si256(x, _mm256_set1_epi64x(LIMB as i64));
    [
        limb(w[0]),
        limb(_mm256_or_si256(_mm256_srli_epi64::<51>(w[0]), _mm256_slli_epi64::<13>(w[1]))),
        limb(_mm256_or_si256(_mm256_srli_epi64::<38>(w[1]), _mm256_slli_epi64::<26>(w[2]))),
        limb(_mm256_or_si256(_mm256_srli_epi64::<25>(w[2]), _mm256_slli_epi64::<39>(w[3]))),
        _mm256_srli_epi64::<12>(w[3]),
    ]
}

/// The inverse of [`load_limbs`].
#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_limbs<C: MontConfig<4>>(l: &Integers, out: &mut [Element<C>; WIDTH]) {
    let w = [
        _mm256_or_si256(l[0], _mm256_slli_epi64::<51>(l[1])),
        _mm256_or_si256(_mm256_srli_epi64::<13>(l[1]), _mm256_slli_epi64::<38>(l[2])),
        _mm256_or_si256(_mm256_srli_epi64::<26>(l[2]), _mm256_slli_epi64::<25>(l[3])),
        _mm256_or_si256(_mm256_srli_epi64::<39>(l[3]), _mm256_slli_epi64::<12>(l[4])),
    ];
    let (even, odd) =
        (_mm256_permute2x128_si256::<0x20>(w[0], w[2]), _mm256_permute2x128_si256::<0x20>(w[1], w[3]));
    let (even_high, odd_high) =
        (_mm256_permute2x128_si256::<0x31>(w[0], w[2]), _mm256_permute2x128_si256::<0x31>(w[1], w[3]));
    let x = [
        _mm256_unpacklo_epi64(even, odd),
        _mm256_unpackhi_epi64(even, odd),
        _mm256_unpacklo_epi64(even_high, odd_high),
        _mm256_unpackhi_epi64(even_high, odd_high),
    ];
    let words = out.as_mut_ptr().cast::<u64>();
    for (i, &x) in x.iter().enumerate() {
        // SAFETY: four elements are 16 words in order (asserted above), of which element i is words 4i to 4i + 3; the
        // values are below p by this function's contract, as elements must be.
        unsafe { _mm256_storeu_si256(words.add(4 * i).cast(), x) }
    }
}

/// Doubles of limbs below 2^52: settled, but for the value.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn balance(limbs: &Integers) -> Values {
    let half = _mm256_set1_epi64x(HALF_LIMB);
    let mask = _mm256_set1_epi64x(LIMB as i64);
    let mut out = [_mm256_set1_pd(0.0); 5];
    let mut carry = _mm256_setzero_si256();
    for i in 0..4 {
        let limb = _mm256_add_epi64(_mm256_add_epi64(limbs[i], half), carry);
        carry = _mm256_srli_epi64::<51>(limb);
        out[i] = double(_mm256_and_si256(limb, mask), HALF_LIMB as f64);
    }
    out[4] = double(_mm256_add_epi64(limbs[4], carry), 0.0);
    out
}

/// Elements as they are in memory: settled, but for the value, which is below p.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn load<C: MontConfig<4>>(run: &[Element<C>; WIDTH]) -> Values {
    balance(&load_limbs(run))
}

/// Half of what [`load`] gives, modulo p.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_half<C: MontConfig<4>>(run: &[Element<C>; WIDTH]) -> Values {
    let mut limbs = load_limbs(run);
    let one = _mm256_set1_epi64x(1);
    let odd = _mm256_sub_epi64(_mm256_setzero_si256(), _mm256_and_si256(limbs[0], one));
    for (limb, &p) in limbs.iter_mut().zip(&Modulus::<C>::WORDS) {
        *limb = _mm256_add_epi64(*limb, _mm256_and_si256(odd, _mm256_set1_epi64x(p as i64)));
    }
    let mut halves = limbs.map(|limb| _mm256_srli_epi64::<1>(limb));
    for i in 0..4 {
        let borrowed = _mm256_slli_epi64::<50>(_mm256_and_si256(limbs[i + 1], one));
        halves[i] = _mm256_add_epi64(halves[i], borrowed);
    }
    balance(&halves)
}

/// The same value modulo p, settled, from limbs below 2^53 in magnitude and a value below 16·p.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn settle<C: MontConfig<4>>(x: &Values) -> Values {
    // Added and taken away again, 3·2^51 rounds to an integer, and 3·2^102 to a multiple of 2^51.
    let round = _mm256_castsi256_pd(_mm256_set1_epi64x(LO as i64));
    let cut = _mm256_castsi256_pd(_mm256_set1_epi64x(HI as i64));
    let down = _mm256_set1_pd(1.0 / (LIMB + 1) as f64);
    let quotient = _mm256_fmadd_pd(x[4], _mm256_set1_pd(Modulus::<C>::QUOTIENT), round);
    let quotient = _mm256_sub_pd(quotient, round);
    let mut less = *x;
    for (less, &p) in less.iter_mut().zip(&Modulus::<C>::LIMBS) {
        *less = _mm256_fnmadd_pd(quotient, _mm256_set1_pd(p), *less);
    }
    let mut out = less;
    for i in 0..4 {
        let carry = _mm256_sub_pd(_mm256_add_pd(less[i], cut), cut);
        out[i] = _mm256_sub_pd(out[i], carry);
        out[i + 1] = _mm256_fmadd_pd(carry, down, out[i + 1]);
    }
    out
}

/// Limbs from 0 to 2^51 − 1, but for the last, which has the sign; from limbs below 2^61 in magnitude.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn carry(x: &Integers) -> Integers {
    // Shifts are of numbers that are not negative, so a multiple of 2^51 is added and its carry taken away.
    let lift = 1i64 << 62;
    let mut out = *x;
    for i in 0..4 {
        let lifted = _mm256_add_epi64(out[i], _mm256_set1_epi64x(lift));
        out[i] = _mm256_and_si256(lifted, _mm256_set1_epi64x(LIMB as i64));
        let carry = _mm256_sub_epi64(_mm256_srli_epi64::<51>(lifted), _mm256_set1_epi64x(lift >> LIMB_BITS));
        out[i + 1] = _mm256_add_epi64(out[i + 1], carry);
    }
    out
}

/// Stores settled values as elements.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn store<C: MontConfig<4>>(x: &Values, out: &mut [Element<C>; WIDTH]) {
    let integer = _mm256_castsi256_pd(_mm256_set1_epi64x(LO as i64));
    let p = Modulus::<C>::WORDS.map(|p| _mm256_set1_epi64x(p as i64));
    let (mut more, mut same) = ([_mm256_setzero_si256(); 5], [_mm256_setzero_si256(); 5]);
    for i in 0..5 {
        let bits = _mm256_castpd_si256(_mm256_add_pd(x[i], integer));
        same[i] = _mm256_sub_epi64(bits, _mm256_set1_epi64x(LO as i64));
        more[i] = _mm256_add_epi64(same[i], p[i]);
    }
    let (same, more) = (carry(&same), carry(&more));
    let negative = _mm256_castsi256_pd(same[4]);
    let mut limbs = same;
    for i in 0..5 {
        let (same, more) = (_mm256_castsi256_pd(same[i]), _mm256_castsi256_pd(more[i]));
        limbs[i] = _mm256_castpd_si256(_mm256_blendv_pd(same, more, negative));
    }
    store_limbs(&limbs, out);
}
