//! Additions of points in affine coordinates, eight at a time, with one inversion for all.
//!
//! Coordinates are in Montgomery form with 2^256; one factor of each product is shifted by four bits first, which makes
//! up for the product's division by 2^260. Two chains of products run side by side.

use std::arch::x86_64::{
    __mmask8, _mm256_loadu_si256, _mm512_castsi256_si512, _mm512_inserti64x4, _mm512_mask_sub_epi64,
    _mm512_shuffle_i64x2, _mm512_testn_epi64_mask, _mm512_xor_si512,
};

use ark_bn254::{Fq, FqConfig, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{One, Zero};

use super::*;
use crate::cpu::field::invert_all_vartime;
use crate::cpu::msm::{Entry, Lists, Special};
use crate::cpu::prefetch::prefetch;

/// Vectors that are worked on side by side.
const CHAINS: usize = 2;

/// Additions that are done together.
const GROUP: usize = CHAINS * LANES;

/// How many pairs ahead memory is asked for.
const AHEAD: usize = 2 * GROUP;

/// A vector's denominators, and the product of those before it in its chain, shifted.
type Links = Vec<[(Stored, Stored); CHAINS]>;

/// Kept to save allocations.
#[derive(Default)]
pub(in crate::cpu) struct AdditionScratch(Links);

// The coordinates of a point are all of it, x first.
const _: () = assert!(size_of::<G1Affine>() == 64 && std::mem::offset_of!(G1Affine, x) == 0);
const _: () = assert!(std::mem::offset_of!(G1Affine, y) == 32);

impl Ifma {
    /// Replaces `sums` by the sums of the pairs; those of the pairs that `special` took are of no meaning.
    pub(in crate::cpu) fn add_pairs(
        self,
        pairs: &[[Entry; 2]],
        lists: &Lists<'_>,
        special: &mut Special,
        scratch: &mut AdditionScratch,
        sums: &mut Vec<G1Affine>,
    ) {
        sums.clear();
        sums.resize(pairs.len().next_multiple_of(GROUP), G1Affine::zero());
        // SAFETY: an `Ifma` exists only where the features do.
        unsafe {
            let products = multiply_denominators(pairs, lists, special, &mut scratch.0);
            add_all(pairs, lists, &scratch.0, products, sums);
        }
        sums.truncate(pairs.len());
    }
}

/// The points of eight pairs; missing ones stand for the first.
#[inline(always)]
fn operands<'a>(pairs: &[[Entry; 2]], lists: &Lists<'a>, first: usize) -> [[&'a G1Affine; LANES]; 2] {
    let none = lists.unsigned(pairs[0][0]);
    let mut points = [[none; LANES]; 2];
    for (lane, pair) in pairs.iter().skip(first).take(LANES).enumerate() {
        points[0][lane] = lists.unsigned(pair[0]);
        points[1][lane] = lists.unsigned(pair[1]);
    }
    points
}

/// Which of eight entries, the first or second of their pairs, are negative.
#[inline(always)]
fn signs(pairs: &[[Entry; 2]], first: usize, side: usize) -> __mmask8 {
    let entries = pairs.iter().skip(first).take(LANES).enumerate();
    entries.fold(0, |mask, (lane, pair)| mask | u8::from(pair[side].is_negative()) << lane)
}

/// Eight coordinates as vectors of their words, in order.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn words(x: &[&Fq; LANES]) -> [__m512i; 4] {
    // SAFETY: an element is 32 bytes (asserted in the module above).
    let load = |i: usize| unsafe { _mm256_loadu_si256(std::ptr::from_ref(x[i]).cast()) };
    let z = [0, 1, 2, 3].map(|i| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load(i)), load(i + 4)));
    let (even, odd) = (_mm512_unpacklo_epi64(z[0], z[1]), _mm512_unpackhi_epi64(z[0], z[1]));
    let (even_high, odd_high) = (_mm512_unpacklo_epi64(z[2], z[3]), _mm512_unpackhi_epi64(z[2], z[3]));
    let low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    let high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    [
        _mm512_permutex2var_epi64(even, low, even_high),
        _mm512_permutex2var_epi64(odd, low, odd_high),
        _mm512_permutex2var_epi64(even, high, even_high),
        _mm512_permutex2var_epi64(odd, high, odd_high),
    ]
}

/// Proper limbs of eight elements given by words.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn limbs(w: &[__m512i; 4]) -> Lanes {
    let mask = _mm512_set1_epi64(LIMB as i64);
    [
        _mm512_and_si512(w[0], mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<52>(w[0]), _mm512_slli_epi64::<12>(w[1])), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<40>(w[1]), _mm512_slli_epi64::<24>(w[2])), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<28>(w[2]), _mm512_slli_epi64::<36>(w[3])), mask),
        _mm512_srli_epi64::<16>(w[3]),
    ]
}

/// The words of eight elements given by proper limbs.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn to_words(x: &Lanes) -> [__m512i; 4] {
    [
        _mm512_or_si512(x[0], _mm512_slli_epi64::<52>(x[1])),
        _mm512_or_si512(_mm512_srli_epi64::<12>(x[1]), _mm512_slli_epi64::<40>(x[2])),
        _mm512_or_si512(_mm512_srli_epi64::<24>(x[2]), _mm512_slli_epi64::<28>(x[3])),
        _mm512_or_si512(_mm512_srli_epi64::<36>(x[3]), _mm512_slli_epi64::<16>(x[4])),
    ]
}

/// Writes eight points whose coordinates are given by limbs of values below the modulus.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn store_points(x: &Lanes, y: &Lanes, out: &mut [G1Affine; LANES]) {
    let (x, y) = (to_words(x), to_words(y));
    // Words 2k and 2k + 1 of points 0 2 4 6, then of 1 3 5 7.
    let even = [
        _mm512_unpacklo_epi64(x[0], x[1]),
        _mm512_unpacklo_epi64(x[2], x[3]),
        _mm512_unpacklo_epi64(y[0], y[1]),
        _mm512_unpacklo_epi64(y[2], y[3]),
    ];
    let odd = [
        _mm512_unpackhi_epi64(x[0], x[1]),
        _mm512_unpackhi_epi64(x[2], x[3]),
        _mm512_unpackhi_epi64(y[0], y[1]),
        _mm512_unpackhi_epi64(y[2], y[3]),
    ];
    let words = out.as_mut_ptr().cast::<u64>();
    for (first, [a, b, c, d]) in [(0, even), (1, odd)] {
        // Blocks of 16 bytes, four by four.
        let (ab, cd) = (_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0x44>(c, d));
        let (ab_high, cd_high) = (_mm512_shuffle_i64x2::<0xEE>(a, b), _mm512_shuffle_i64x2::<0xEE>(c, d));
        let points = [
            _mm512_shuffle_i64x2::<0x88>(ab, cd),
            _mm512_shuffle_i64x2::<0xDD>(ab, cd),
            _mm512_shuffle_i64x2::<0x88>(ab_high, cd_high),
            _mm512_shuffle_i64x2::<0xDD>(ab_high, cd_high),
        ];
        for (i, point) in points.into_iter().enumerate() {
            // SAFETY: a point is its coordinates' eight words (asserted above), so that point first + 2i of the eight
            // is words 8·(first + 2i) and on; the coordinates are below the modulus by this function's contract.
            unsafe { _mm512_storeu_si512(words.add(8 * (first + 2 * i)).cast(), point) }
        }
    }
}

/// p − y where the mask says so.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn negate(y: &Lanes, negative: __mmask8) -> Lanes {
    let p = broadcast(&Modulus::<FqConfig>::LIMBS);
    let mut out = *y;
    for i in 0..5 {
        out[i] = _mm512_mask_sub_epi64(y[i], negative, p[i], y[i]);
    }
    out
}

/// 16·x, in proper limbs, for limbs that are not.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn shift_improper(x: &Lanes) -> Lanes {
    let mut out = *x;
    for limb in &mut out {
        *limb = _mm512_slli_epi64::<4>(*limb);
    }
    carry(&out)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn product(a: &Lanes, b: &Lanes) -> Lanes {
    carry(&mul::<FqConfig>(a, b))
}

/// Lanes of which all words are zero.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn zeros(w: &[__m512i; 4]) -> __mmask8 {
    let any = _mm512_or_si512(_mm512_or_si512(w[0], w[1]), _mm512_or_si512(w[2], w[3]));
    _mm512_testn_epi64_mask(any, any)
}

/// Each chain's and lane's product of all its denominators, inverted.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn multiply_denominators(
    pairs: &[[Entry; 2]],
    lists: &Lists<'_>,
    special: &mut Special,
    links: &mut Links,
) -> [Lanes; CHAINS] {
    let p = broadcast(&Modulus::<FqConfig>::LIMBS);
    let mut products = [load(&[Fq::one(); LANES]); CHAINS];
    links.resize(pairs.len().div_ceil(GROUP), [([[0; LANES]; 5], [[0; LANES]; 5]); CHAINS]);
    for (group, links) in links.iter_mut().enumerate() {
        for pair in pairs.iter().skip(group * GROUP + AHEAD).take(GROUP) {
            pair.iter().for_each(|&entry| prefetch(lists.unsigned(entry)));
        }
        for (chain, (denominators, prefix)) in links.iter_mut().enumerate() {
            let first = group * GROUP + chain * LANES;
            let [a, b] = operands(pairs, lists, first);
            let (a, b) = (words(&a.map(|point| &point.x)), words(&b.map(|point| &point.x)));
            let differences = [0, 1, 2, 3].map(|i| _mm512_xor_si512(a[i], b[i]));
            let mut odd = zeros(&differences) | zeros(&a) | zeros(&b);
            let missing = pairs.len().saturating_sub(first).min(LANES);
            let missing = !(((1u16 << missing) - 1) as u8);
            if odd & !missing != 0 {
                odd = take_special(pairs, lists, special, first, odd & !missing);
            } else {
                odd = 0;
            }
            odd |= missing;
            let mut denominator = carry(&add(&sub(&limbs(&b), &limbs(&a)), &p));
            if odd != 0 {
                denominator = replace_by_one(&denominator, odd);
            }
            let shifted = shift(&denominator);
            keep(&shifted, denominators);
            keep(&shift(&products[chain]), prefix);
            products[chain] = product(&products[chain], &shifted);
        }
    }
    invert(&products)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn replace_by_one(x: &Lanes, mask: __mmask8) -> Lanes {
    let one = split(Fq::one().0.0);
    let mut out = *x;
    for i in 0..5 {
        out[i] = _mm512_mask_blend_epi64(mask, x[i], _mm512_set1_epi64(one[i] as i64));
    }
    out
}

/// Hands over the pairs that are special. Returns which of the lanes they are.
#[cold]
#[inline(never)]
fn take_special(
    pairs: &[[Entry; 2]],
    lists: &Lists<'_>,
    special: &mut Special,
    first: usize,
    mask: __mmask8,
) -> __mmask8 {
    let mut taken = 0;
    for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
        let [a, b] = pairs[first + lane];
        taken |= u8::from(special.take(first + lane, &lists.get(a), &lists.get(b))) << lane;
    }
    taken
}

/// The inverse of each, by one inversion.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn invert(products: &[Lanes; CHAINS]) -> [Lanes; CHAINS] {
    let mut elements = [Fq::zero(); GROUP];
    let (runs, _) = elements.as_chunks_mut();
    for (product, run) in products.iter().zip(runs) {
        store(&canonical::<FqConfig>(product), run);
    }
    invert_all_vartime::<FqConfig, GROUP>(&mut elements);
    let (runs, _) = elements.as_chunks();
    [load(&runs[0]), load(&runs[1])]
}

/// From the last group to the first: λ = (y₂ − y₁)/(x₂ − x₁), x₃ = λ² − x₁ − x₂, y₃ = λ·(x₁ − x₃) − y₁.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn add_all(
    pairs: &[[Entry; 2]],
    lists: &Lists<'_>,
    links: &Links,
    mut inverses: [Lanes; CHAINS],
    sums: &mut [G1Affine],
) {
    let p = broadcast(&Modulus::<FqConfig>::LIMBS);
    let (two, four) =
        (broadcast(&Modulus::<FqConfig>::multiple(2)), broadcast(&Modulus::<FqConfig>::multiple(4)));
    let (out, _) = sums.as_chunks_mut::<LANES>();
    for (group, links) in links.iter().enumerate().rev() {
        let mut slopes = inverses;
        let (mut xs, mut ys) = (inverses, inverses);
        for (chain, (denominators, prefix)) in links.iter().enumerate() {
            slopes[chain] = product(&inverses[chain], &fetch(prefix));
            inverses[chain] = product(&inverses[chain], &fetch(denominators));
        }
        for chain in 0..CHAINS {
            let first = group * GROUP + chain * LANES;
            let [a, b] = operands(pairs, lists, first);
            ys[chain] = negate(&limbs(&words(&a.map(|point| &point.y))), signs(pairs, first, 0));
            let end = negate(&limbs(&words(&b.map(|point| &point.y))), signs(pairs, first, 1));
            let rise = shift_improper(&add(&sub(&end, &ys[chain]), &p));
            slopes[chain] = product(&slopes[chain], &rise);
        }
        for chain in 0..CHAINS {
            let first = group * GROUP + chain * LANES;
            let [a, b] = operands(pairs, lists, first);
            let (ax, bx) = (limbs(&words(&a.map(|point| &point.x))), limbs(&words(&b.map(|point| &point.x))));
            let shifted = shift(&slopes[chain]);
            // Bounds: the square below 2, so x₃ below 4, the difference below 5, the product below 3.
            let square = add(&mul::<FqConfig>(&slopes[chain], &shifted), &two);
            let x = carry(&sub(&sub(&square, &ax), &bx));
            let product = mul::<FqConfig>(&carry(&sub(&add(&ax, &four), &x)), &shifted);
            let y = carry(&sub(&add(&product, &p), &ys[chain]));
            xs[chain] = canonical::<FqConfig>(&reduce::<FqConfig>(&x));
            ys[chain] = canonical::<FqConfig>(&reduce::<FqConfig>(&y));
        }
        for chain in 0..CHAINS {
            store_points(&xs[chain], &ys[chain], &mut out[group * CHAINS + chain]);
        }
    }
}
