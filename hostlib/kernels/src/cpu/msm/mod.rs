//! Multi-scalar multiplication: Pippenger's bucket method (1976) with signed windows.
//!
//! A scalar s is written in W digits of c bits. Adding 2^(c−1) to every digit's place makes all digits non-negative at
//! once, so digit w of s is bits [cw, cw + c) of s + Σ_w 2^(cw + c − 1), less 2^(c−1): no carries, and each window can be
//! cut on its own. Negating a point is free, so 2^(c−1) buckets do for a window. Cost: W·(6n + 28·2^(c−1))
//! multiplications (see [`buckets`]), and c is chosen to make that least.
//!
//! All of it takes time that depends on the scalars.

mod additions;
mod buckets;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::{PrimeField, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

pub(super) use additions::Additions;

use crate::cpu::ifma::Ifma;
use crate::error::KernelFailure;
use crate::host_data::HostData;
use crate::kernel::{ScalarBound, bound_violated, small_magnitude_vartime};

/// The widest window: 2^15 buckets of 128 bytes are 4 MiB.
const WINDOW_BITS_MAX: u32 = 16;

/// For scalars 0 ≤ s < r. They need 254 bits, but no sign and r < 0.76·2^254, so that 255 bits in windows hold them:
/// r + Σ_w 2^(cw + c − 1) ≤ (0.76 + 8/7)·2^254 < 2^255 for c ≥ 3.
const FULL_BITS: u32 = 253;

/// Σ v[i]·points[i]
pub(super) fn msm_vartime(
    ifma: Option<Ifma>,
    points: &[G1Affine],
    v: &HostData,
    bound: ScalarBound,
) -> Result<G1Affine, KernelFailure> {
    let sum = match (v, bound) {
        (HostData::Small(values), bound) => {
            let bits = values.iter().map(|s| s.unsigned_abs()).max().map_or(0, |s| 32 - s.leading_zeros());
            if let ScalarBound::Signed { bits: promised } = bound
                && bits > promised
            {
                let at = values.iter().position(|s| s.unsigned_abs() >> promised != 0);
                return Err(bound_violated(at.unwrap_or(0), promised));
            }
            small_vartime(ifma, points, values.len(), bits, |i| i64::from(values[i]))
        }
        (HostData::Full(values), ScalarBound::Signed { bits }) => {
            let mut small: Vec<i64> = values
                .par_iter()
                .enumerate()
                .map(|(i, s)| match small_magnitude_vartime(s, bits) {
                    Some((magnitude, negative)) => {
                        Ok(if negative { -(magnitude as i64) } else { magnitude as i64 })
                    }
                    None => Err(bound_violated(i, bits)),
                })
                .collect::<Result<_, _>>()?;
            let sum = small_vartime(ifma, points, small.len(), bits, |i| small[i]);
            small.zeroize();
            sum
        }
        (HostData::Full(values), ScalarBound::Full) => full_vartime(ifma, points, values),
    };
    Ok(sum.into_affine())
}

/// Scalars |s| < 2^bits, bits ≤ 63.
fn small_vartime(
    ifma: Option<Ifma>,
    points: &[G1Affine],
    n: usize,
    bits: u32,
    scalar: impl Fn(usize) -> i64 + Sync,
) -> G1Projective {
    let shape = Shape::best(ifma, n, bits);
    let offset: i128 = shape.offset_bits().map(|bit| 1i128 << bit).sum();
    shape.sum(ifma, points, |i, window| {
        let digits = (i128::from(scalar(i)) + offset) as u128;
        ((digits >> (window * shape.window_bits)) as u32 & shape.mask()) as i32 - shape.half()
    })
}

fn full_vartime(ifma: Option<Ifma>, points: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    let shape = Shape::best(ifma, scalars.len(), FULL_BITS);
    let offset = shape.offset_bits().fold([0u64; 5], |mut offset, bit| {
        offset[bit as usize / 64] |= 1 << (bit % 64);
        offset
    });
    // Montgomery form is left once, not once per window.
    let mut shifted: Vec<[u64; 5]> =
        scalars.par_iter().with_min_len(256).map(|s| add(&offset, &s.into_bigint().0)).collect();
    let sum = shape.sum(ifma, points, |i, window| {
        let first = window * shape.window_bits;
        let (limb, shift) = (first as usize / 64, first % 64);
        let low = shifted[i][limb] >> shift;
        let high = shifted[i].get(limb + 1).map_or(0, |&high| (high << 1) << (63 - shift));
        ((low | high) as u32 & shape.mask()) as i32 - shape.half()
    });
    // The scalars may be secret.
    shifted.zeroize();
    sum
}

fn add(a: &[u64; 5], b: &[u64; 4]) -> [u64; 5] {
    let mut sum = *a;
    let mut carry = false;
    for (i, sum) in sum.iter_mut().enumerate() {
        let (partial, first) = sum.overflowing_add(b.get(i).copied().unwrap_or(0));
        let (total, second) = partial.overflowing_add(u64::from(carry));
        *sum = total;
        carry = first | second;
    }
    sum
}

/// How scalars are cut.
#[derive(Clone, Copy)]
struct Shape {
    /// c
    window_bits: u32,
    /// W
    windows: u32,
}

impl Shape {
    /// The cheapest cut for n scalars |s| < 2^bits.
    ///
    /// One window of bits + 1 bits holds every such s. Several hold up to 2^(cW) − 1 − Σ_w 2^(cw + c − 1), which is at
    /// least 2^(cW − 2) for c ≥ 3, so they need bits + 2.
    fn best(ifma: Option<Ifma>, n: usize, bits: u32) -> Shape {
        let windows = |c: u32| if c > bits { 1 } else { (bits + 2).div_ceil(c) };
        let addition = if ifma.is_some() { 2 } else { 6 };
        let cost = |c: &u32| u64::from(windows(*c)) * (addition * n as u64 + (28 << (c - 1)));
        let window_bits = (3..=WINDOW_BITS_MAX).min_by_key(cost).unwrap_or(WINDOW_BITS_MAX);
        Shape { window_bits, windows: windows(window_bits) }
    }

    fn mask(self) -> u32 {
        (1 << self.window_bits) - 1
    }

    fn half(self) -> i32 {
        1 << (self.window_bits - 1)
    }

    fn offset_bits(self) -> impl Iterator<Item = u32> {
        (0..self.windows).map(move |w| w * self.window_bits + self.window_bits - 1)
    }

    /// Σ_w 2^(cw) Σ_i digit(i, w)·points[i], windows and pieces of the points in parallel.
    fn sum(
        self,
        ifma: Option<Ifma>,
        points: &[G1Affine],
        digit: impl Fn(usize, u32) -> i32 + Sync,
    ) -> G1Projective {
        let tasks_wanted = 2 * rayon::current_num_threads();
        let pieces = tasks_wanted.div_ceil(self.windows as usize);
        // A piece pays for its own buckets, so it must have a few points for each.
        let piece_len = points.len().div_ceil(pieces).max(2 << self.window_bits).max(1);
        let pieces = points.len().div_ceil(piece_len).max(1);
        let sums: Vec<G1Projective> = (0..self.windows as usize * pieces)
            .into_par_iter()
            .map(|task| {
                let (window, piece) = ((task / pieces) as u32, task % pieces);
                let first = piece * piece_len;
                let points = &points[first..points.len().min(first + piece_len)];
                let mut digits: Vec<i32> = (first..first + points.len()).map(|i| digit(i, window)).collect();
                let sum = buckets::sum_vartime(ifma, points, &digits, self.half() as usize);
                digits.zeroize();
                sum
            })
            .collect();
        let mut total = G1Projective::zero();
        for window in sums.chunks(pieces).rev() {
            for _ in 0..self.window_bits {
                total += total;
            }
            total += window.iter().sum::<G1Projective>();
        }
        total
    }
}
