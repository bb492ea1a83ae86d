//! Additions of points in affine coordinates, four at a time, with one inversion for all.
//!
//! Coordinates are halved when they are loaded, and doubled before they are stored: in Montgomery form with 2^255 products
//! stay in that form. Bounds below are of magnitudes, in multiples of the modulus; |a·b| gives 0.38·|a|·|b| + 1.01. What
//! is settled must keep its limbs below 2^53 while up to that many moduli, of limbs up to 2^50, are taken away.

use std::arch::x86_64::{_mm256_setr_epi64x, _mm256_xor_pd};

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
const GROUP: usize = CHAINS * WIDTH;

/// How many pairs ahead memory is asked for.
const AHEAD: usize = 4 * GROUP;

/// A vector's denominators, and the product of those before it in its chain.
type Links = Vec<[(Stored, Stored); CHAINS]>;

/// Kept to save allocations.
#[derive(Default)]
pub(in crate::cpu) struct AdditionScratch(Links);

const NONE: Stored = Stored([[0.0; WIDTH]; 5]);

impl Fma {
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
        // SAFETY: an `Fma` exists only where the features do.
        unsafe {
            let products = multiply_denominators(pairs, lists, special, &mut scratch.0);
            add_all(pairs, lists, &scratch.0, products, sums);
        }
        sums.truncate(pairs.len());
    }
}

/// Four pairs and their points; missing ones stand for the first.
#[inline(always)]
fn operands<'a>(
    pairs: &[[Entry; 2]],
    lists: &Lists<'a>,
    first: usize,
) -> ([[Entry; 2]; WIDTH], [[&'a G1Affine; WIDTH]; 2]) {
    let mut four = [pairs[0]; WIDTH];
    for (four, &pair) in four.iter_mut().zip(pairs.iter().skip(first)) {
        *four = pair;
    }
    let side = |side: usize| {
        [
            lists.unsigned(four[0][side]),
            lists.unsigned(four[1][side]),
            lists.unsigned(four[2][side]),
            lists.unsigned(four[3][side]),
        ]
    };
    (four, [side(0), side(1)])
}

#[inline(always)]
fn xs(points: &[&G1Affine; WIDTH]) -> [Fq; WIDTH] {
    [points[0].x, points[1].x, points[2].x, points[3].x]
}

/// y of four entries, halved. Below 1.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn signed_ys(four: &[[Entry; 2]; WIDTH], side: usize, points: &[&G1Affine; WIDTH]) -> Values {
    let y = load_half(&[points[0].y, points[1].y, points[2].y, points[3].y]);
    let sign = |lane: usize| i64::from(four[lane][side].is_negative()) << 63;
    let signs = _mm256_castsi256_pd(_mm256_setr_epi64x(sign(0), sign(1), sign(2), sign(3)));
    let mut out = y;
    for limb in &mut out {
        *limb = _mm256_xor_pd(*limb, signs);
    }
    out
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn difference(a: &Values, b: &Values) -> Values {
    let mut out = *a;
    for i in 0..5 {
        out[i] = _mm256_sub_pd(a[i], b[i]);
    }
    out
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn stored(x: &Values) -> Stored {
    let mut out = NONE;
    keep(x, &mut out);
    out
}

/// The elements, from half of them: values below 2, limbs below 2^50 + 5.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn doubled(x: &Values) -> [Fq; WIDTH] {
    let mut twice = *x;
    for limb in &mut twice {
        *limb = _mm256_add_pd(*limb, *limb);
    }
    let mut out = [Fq::zero(); WIDTH];
    store(&settle::<FqConfig>(&twice), &mut out);
    out
}

/// Each chain's and lane's product of all its denominators, inverted.
#[target_feature(enable = "avx2,fma")]
fn multiply_denominators(
    pairs: &[[Entry; 2]],
    lists: &Lists<'_>,
    special: &mut Special,
    links: &mut Links,
) -> [Stored; CHAINS] {
    let one = load_half(&[Fq::one(); WIDTH]);
    let mut products = [stored(&one); CHAINS];
    links.resize(pairs.len().div_ceil(GROUP), [(NONE, NONE); CHAINS]);
    for (group, links) in links.iter_mut().enumerate() {
        for pair in pairs.iter().skip(group * GROUP + AHEAD).take(GROUP) {
            pair.iter().for_each(|&entry| prefetch(lists.unsigned(entry)));
        }
        for (chain, (denominators, prefix)) in links.iter_mut().enumerate() {
            let first = group * GROUP + chain * WIDTH;
            let (four, [a, b]) = operands(pairs, lists, first);
            // Below 1, so that products stay below 1.7.
            keep(&difference(&load_half(&xs(&b)), &load_half(&xs(&a))), denominators);
            for lane in 0..WIDTH {
                let (ax, bx) = (&a[lane].x, &b[lane].x);
                // An x of zero may be infinity's.
                let odd = ax.is_zero() | bx.is_zero() | (ax == bx);
                let missing = first + lane >= pairs.len();
                if missing
                    || odd && special.take(first + lane, &lists.get(four[lane][0]), &lists.get(four[lane][1]))
                {
                    replace_by_one(denominators, lane);
                }
            }
            *prefix = products[chain];
            keep(&multiply::<FqConfig>(&products[chain], denominators), &mut products[chain]);
        }
    }
    invert(&products)
}

#[cold]
#[inline(never)]
fn replace_by_one(x: &mut Stored, lane: usize) {
    // Any value but zero does: it is undone again.
    for (limb, one) in x.0.iter_mut().zip([1.0, 0.0, 0.0, 0.0, 0.0]) {
        limb[lane] = one;
    }
}

/// The inverse of each, by one inversion.
#[target_feature(enable = "avx2,fma")]
fn invert(products: &[Stored; CHAINS]) -> [Stored; CHAINS] {
    let mut elements = [Fq::zero(); GROUP];
    let (runs, _) = elements.as_chunks_mut();
    for (product, run) in products.iter().zip(runs) {
        *run = doubled(&fetch(product));
    }
    invert_all_vartime::<FqConfig, GROUP>(&mut elements);
    let (runs, _) = elements.as_chunks();
    [stored(&load_half(&runs[0])), stored(&load_half(&runs[1]))]
}

/// From the last group to the first: λ = (y₂ − y₁)/(x₂ − x₁), x₃ = λ² − x₁ − x₂, y₃ = λ·(x₁ − x₃) − y₁.
#[target_feature(enable = "avx2,fma")]
fn add_all(
    pairs: &[[Entry; 2]],
    lists: &Lists<'_>,
    links: &Links,
    mut inverses: [Stored; CHAINS],
    sums: &mut [G1Affine],
) {
    for (group, links) in links.iter().enumerate().rev() {
        let mut slopes = [NONE; CHAINS];
        for (chain, (denominators, prefix)) in links.iter().enumerate() {
            // Below 2.1.
            keep(&multiply::<FqConfig>(&inverses[chain], prefix), &mut slopes[chain]);
            keep(&multiply::<FqConfig>(&inverses[chain], denominators), &mut inverses[chain]);
        }
        for (chain, inverse) in slopes.into_iter().enumerate() {
            let first = group * GROUP + chain * WIDTH;
            let (four, [a, b]) = operands(pairs, lists, first);
            let start = signed_ys(&four, 0, &a);
            let rise = stored(&difference(&signed_ys(&four, 1, &b), &start));
            let slope = stored(&settle::<FqConfig>(&multiply::<FqConfig>(&inverse, &rise)));
            let (ax, bx) = (load_half(&xs(&a)), load_half(&xs(&b)));
            // Below 1.2 + 2.
            let x = difference(&difference(&multiply::<FqConfig>(&slope, &slope), &ax), &bx);
            let x = settle::<FqConfig>(&x);
            let run = stored(&difference(&ax, &x));
            // Below 1.3 + 1.
            let y = difference(&multiply::<FqConfig>(&slope, &run), &start);
            let (x, y) = (doubled(&x), doubled(&settle::<FqConfig>(&y)));
            for lane in 0..WIDTH {
                sums[first + lane] = G1Affine::new_unchecked(x[lane], y[lane]);
            }
        }
    }
}
