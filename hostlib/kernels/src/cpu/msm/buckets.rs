//! The buckets of one window: Σ digit·point.
//!
//! Points are sorted by bucket (a counting sort of indices), and each bucket's points are added in pairs, then the sums
//! in pairs, in affine coordinates with one inversion for all pairs of a round (Montgomery's trick): 6 multiplications
//! an addition, where mixed addition in extended Jacobian coordinates takes 10. The sort order is cut into chunks that
//! stay in the cache, wherever the buckets end, so that one bucket with all the points is no special case.
//!
//! The affine formulas are not complete, so each pair is looked at: infinity, equal points and opposite points go their
//! own way. Takes time that depends on the digits.

use ark_bn254::{G1Affine, G1Projective, g1};
use ark_ec::short_weierstrass::Bucket;

use super::additions::Additions;
use crate::cpu::ifma::{Ifma, Prefixes};

/// Points that are added up together: 4096 of 72 bytes, and as many denominators, stay in a second-level cache.
const CHUNK: usize = 4096;

/// Fewer pairs than this do not pay for an inversion, which costs some 100 multiplications.
const PAIRS_MIN: usize = 32;

/// Σ_i digits[i]·points[i], |digits[i]| ≤ `buckets`.
pub(super) fn sum_vartime(
    ifma: Option<Ifma>,
    points: &[G1Affine],
    digits: &[i32],
    buckets: usize,
) -> G1Projective {
    let sorted = sort_by_bucket(digits, buckets);
    let mut sums = vec![Bucket::<g1::Config>::ZERO; buckets];
    let mut chunk = Chunk::default();
    for entries in sorted.chunks(CHUNK) {
        chunk.load(points, digits, entries);
        while chunk.add_pairs(ifma) {}
        for &(bucket, point) in &chunk.points {
            sums[bucket as usize] += &point;
        }
    }
    weighted_sum(&sums)
}

/// Indices of the digits that are not zero, by |digit|.
fn sort_by_bucket(digits: &[i32], buckets: usize) -> Vec<u32> {
    let mut starts = vec![0u32; buckets + 1];
    for digit in digits {
        starts[digit.unsigned_abs() as usize] += 1;
    }
    // Zeros come nowhere.
    starts[0] = 0;
    let mut total = 0;
    for start in &mut starts {
        let count = *start;
        *start = total;
        total += count;
    }
    let mut sorted = vec![0; total as usize];
    for (index, digit) in digits.iter().enumerate().filter(|(_, digit)| **digit != 0) {
        let place = &mut starts[digit.unsigned_abs() as usize];
        sorted[*place as usize] = index as u32;
        *place += 1;
    }
    sorted
}

/// Σ_k (k + 1)·sums[k], as the sum of suffix sums.
fn weighted_sum(sums: &[Bucket<g1::Config>]) -> G1Projective {
    let mut suffix = Bucket::ZERO;
    let mut total = Bucket::ZERO;
    for sum in sums.iter().rev() {
        suffix += sum;
        total += &suffix;
    }
    total.into()
}

/// Points with their buckets, those of one bucket next to each other.
#[derive(Default)]
struct Chunk {
    points: Vec<(u32, G1Affine)>,
    additions: Additions,
    /// Where the additions' sums go.
    places: Vec<u32>,
    prefixes: Prefixes,
}

impl Chunk {
    fn load(&mut self, points: &[G1Affine], digits: &[i32], entries: &[u32]) {
        self.points.clear();
        self.points.extend(entries.iter().map(|&index| {
            let (digit, point) = (digits[index as usize], points[index as usize]);
            (digit.unsigned_abs() - 1, if digit < 0 { -point } else { point })
        }));
    }

    /// Replaces neighbours of one bucket by their sum. False when there were too few to be worth it; they are as they
    /// were then.
    fn add_pairs(&mut self, ifma: Option<Ifma>) -> bool {
        if self.count_pairs() < PAIRS_MIN {
            return false;
        }
        self.additions.clear();
        self.places.clear();
        let (mut read, mut write) = (0, 0);
        while read < self.points.len() {
            let (bucket, mut point) = self.points[read];
            if self.is_pair(read) {
                match self.additions.push(&point, &self.points[read + 1].1) {
                    Some(sum) => point = sum,
                    None => self.places.push(write as u32),
                }
                read += 1;
            }
            self.points[write] = (bucket, point);
            read += 1;
            write += 1;
        }
        self.points.truncate(write);
        let sums = self.additions.finish(ifma, &mut self.prefixes);
        for (&place, (x, y)) in self.places.iter().zip(sums) {
            self.points[place as usize].1 = G1Affine::new_unchecked(x, y);
        }
        true
    }

    fn count_pairs(&self) -> usize {
        let (mut at, mut pairs) = (0, 0);
        while at < self.points.len() {
            let pair = usize::from(self.is_pair(at));
            pairs += pair;
            at += 1 + pair;
        }
        pairs
    }

    fn is_pair(&self, at: usize) -> bool {
        self.points.get(at + 1).is_some_and(|next| next.0 == self.points[at].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::Fr;
    use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
    use ark_ff::Zero;

    /// Enough points in few buckets that pairs are added in affine coordinates over several rounds and chunks.
    #[test]
    fn crowded_buckets_with_special_points_add_up() {
        let g = G1Projective::generator();
        let multiples = [0i64, 1, 1, -1, 2, -2, 3, 3, 4, -5, 7].map(|k| (k, (g * Fr::from(k)).into_affine()));
        let all: Vec<_> = multiples.into_iter().cycle().take(3 * CHUNK + 17).collect();
        let points: Vec<G1Affine> = all.iter().map(|&(_, point)| point).collect();
        for largest in [1i32, 2, 5, 300] {
            let digits: Vec<i32> =
                (0..points.len() as i32).map(|i| (i * i) % (2 * largest + 1) - largest).collect();
            let expected: i64 = all.iter().zip(&digits).map(|(&(k, _), &d)| k * i64::from(d)).sum();
            for ifma in [None, Ifma::detect()] {
                let got = sum_vartime(ifma, &points, &digits, largest as usize);
                assert_eq!(got, g * Fr::from(expected), "{largest}, {ifma:?}");
            }
        }
    }

    #[test]
    fn nothing_sums_to_infinity() {
        assert!(sum_vartime(None, &[], &[], 4).is_zero());
        let p = G1Affine::generator();
        assert!(sum_vartime(Ifma::detect(), &[p, p], &[0, 0], 4).is_zero());
    }
}
