//! Many additions of points in affine coordinates, with one inversion for all (Montgomery's trick): five
//! multiplications and a squaring each.
//!
//! The formulas are not complete, so each pair is looked at: infinity, equal points and opposite points go their own way.

use ark_bn254::{Fq, FqConfig, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, BigInt, Field, One};

use super::entries::{Entry, List, Lists};
use crate::cpu::Features;
use crate::cpu::field::{self, Limbs, Multiplier, Portable};
use crate::cpu::prefetch::prefetch;
use crate::cpu::vectors::Vectors;
use crate::cpu::{fma, ifma};

/// Pairs of points to be added.
#[derive(Default)]
pub(super) struct Additions {
    pub(super) pairs: Vec<[Entry; 2]>,
    special: Special,
    denominators: Vec<Limbs>,
    prefixes: Vec<Limbs>,
    fours: fma::AdditionScratch,
    eights: ifma::AdditionScratch,
}

/// Additions for which the chord's formulas do not hold.
#[derive(Default)]
pub(in crate::cpu) struct Special {
    /// Sums that need no slope, and which addition gives them.
    known: Vec<(usize, G1Affine)>,
    /// Points that are added to themselves.
    doubled: Vec<(usize, G1Affine)>,
}

impl Special {
    /// Deals with pair `at` if it is special. The coordinates are looked at closely, so ask only where there is
    /// reason to.
    #[cold]
    #[inline(never)]
    pub(in crate::cpu) fn take(&mut self, at: usize, a: &G1Affine, b: &G1Affine) -> bool {
        if a.is_zero() {
            self.known.push((at, *b));
        } else if b.is_zero() {
            self.known.push((at, *a));
        } else if a.x != b.x {
            return false;
        } else if a.y != b.y {
            self.known.push((at, G1Affine::zero()));
        } else {
            self.doubled.push((at, *a));
        }
        true
    }

    /// Puts the sums in their places.
    fn finish(&mut self, sums: &mut [G1Affine]) {
        for (at, sum) in self.known.drain(..) {
            sums[at] = sum;
        }
        if self.doubled.is_empty() {
            return;
        }
        // No point of the curve has y = 0, because its order is odd.
        let mut inverses: Vec<Fq> = self.doubled.iter().map(|(_, point)| point.y.double()).collect();
        ark_ff::batch_inversion(&mut inverses);
        for ((at, point), inverse) in self.doubled.drain(..).zip(inverses) {
            let square = point.x.square();
            let slope = (square.double() + square) * inverse;
            let x = slope.square() - point.x.double();
            sums[at] = G1Affine::new_unchecked(x, slope * (point.x - x) - point.y);
        }
    }
}

/// Pairs whose sums share an inversion where nothing else says how many: more would not stay in a cache.
const SHARED: usize = 1 << 10;

/// Replaces `sums` by the sums of pairs of points; an operand is the number of a point, and whether its negative is meant.
pub(in crate::cpu) fn add_pairs<P>(
    features: Features,
    points: &[G1Affine],
    pairs: &[P],
    operands: impl Fn(&P) -> [(u32, bool); 2],
    sums: &mut Vec<G1Affine>,
) {
    let entry = |(index, negative)| Entry::new(List::Bases, index as usize).signed(negative);
    let lists = Lists([points, &[], &[], &[], &[], &[], &[], &[]]);
    let (mut additions, mut some) = (Additions::default(), Vec::new());
    sums.clear();
    for pairs in pairs.chunks(SHARED) {
        additions.pairs.clear();
        additions.pairs.extend(pairs.iter().map(|pair| operands(pair).map(entry)));
        additions.finish(features, &lists, &mut some);
        sums.extend(&some);
    }
}

impl Additions {
    /// Replaces `sums` by the sums of the pairs, in order.
    pub(super) fn finish(&mut self, features: Features, lists: &Lists<'_>, sums: &mut Vec<G1Affine>) {
        sums.clear();
        if self.pairs.is_empty() {
            return;
        }
        let Additions { pairs, special, .. } = self;
        match (features.vectors, features.adx) {
            (Some(Vectors::Ifma(ifma)), _) => ifma.add_pairs(pairs, lists, special, &mut self.eights, sums),
            (Some(Vectors::Fma(fma)), _) => fma.add_pairs(pairs, lists, special, &mut self.fours, sums),
            (None, Some(adx)) => self.finish_with(adx, lists, sums),
            (None, None) => self.finish_with(Portable, lists, sums),
        }
        self.special.finish(sums);
    }

    fn finish_with(&mut self, multiplier: impl Multiplier, lists: &Lists<'_>, sums: &mut Vec<G1Affine>) {
        sums.resize(self.pairs.len(), G1Affine::zero());
        let products = self.multiply_denominators(multiplier, lists);
        let mut inverses = invert_each(products);
        let last = self.pairs.len() % CHAINS;
        let full = self.pairs.len() - last;
        self.add_group(multiplier, lists, full, last, &mut inverses, sums);
        for first in (0..full).step_by(CHAINS).rev() {
            self.add_group(multiplier, lists, first, CHAINS, &mut inverses, sums);
        }
    }

    /// The products of the denominators of pairs i, i + [`CHAINS`], …, and those before each.
    fn multiply_denominators(&mut self, multiplier: impl Multiplier, lists: &Lists<'_>) -> [Limbs; CHAINS] {
        let mut products = [Fq::one().0.0; CHAINS];
        self.denominators.resize(self.pairs.len(), [0; 4]);
        self.prefixes.resize(self.pairs.len(), [0; 4]);
        let pairs = self.pairs.iter().zip(&mut self.denominators).zip(&mut self.prefixes);
        for (at, ((&[a, b], denominator), prefix)) in pairs.enumerate() {
            if let Some(&[a, b]) = self.pairs.get(at + AHEAD) {
                prefetch(lists.unsigned(a));
                prefetch(lists.unsigned(b));
            }
            let (ax, bx) = (&lists.unsigned(a).x.0.0, &lists.unsigned(b).x.0.0);
            *denominator = multiplier.difference::<FqConfig>(bx, ax);
            // An x of zero may be infinity's.
            let odd = is_zero(ax) | is_zero(bx) | (*denominator == MODULUS);
            if odd && self.special.take(at, &lists.get(a), &lists.get(b)) {
                *denominator = [1, 0, 0, 0];
            }
            let product = &mut products[at % CHAINS];
            *prefix = *product;
            *product = multiplier.mul::<FqConfig>(product, denominator);
        }
        products
    }

    /// Sums `first` to `first + count`, each of another chain: λ = (y₂ − y₁)/(x₂ − x₁), x₃ = λ² − x₁ − x₂,
    /// y₃ = λ·(x₁ − x₃) − y₁. Independent products stand next to each other, so that the processor overlaps them.
    #[inline(always)]
    fn add_group<M: Multiplier>(
        &self,
        multiplier: M,
        lists: &Lists<'_>,
        first: usize,
        count: usize,
        inverses: &mut [Limbs; CHAINS],
        sums: &mut [G1Affine],
    ) {
        let mul = |a: &Limbs, b: &Limbs| multiplier.mul::<FqConfig>(a, b);
        let difference = |a: &Limbs, b: &Limbs| multiplier.difference::<FqConfig>(a, b);
        let mut slopes = [[0; 4]; CHAINS];
        for i in 0..count {
            slopes[i] = mul(&inverses[i], &self.prefixes[first + i]);
        }
        for (inverse, denominator) in inverses.iter_mut().zip(&self.denominators[first..first + count]) {
            *inverse = mul(inverse, denominator);
        }
        let mut starts = [[0; 4]; CHAINS];
        for i in 0..count {
            let [a, b] = self.pairs[first + i];
            starts[i] = signed_y(multiplier, lists, a);
            let rise = difference(&signed_y(multiplier, lists, b), &starts[i]);
            slopes[i] = mul(&slopes[i], &rise);
        }
        let mut xs = [[0; 4]; CHAINS];
        for i in 0..count {
            xs[i] = mul(&slopes[i], &slopes[i]);
        }
        for i in 0..count {
            let [a, b] = self.pairs[first + i];
            let (ax, bx) = (&lists.unsigned(a).x.0.0, &lists.unsigned(b).x.0.0);
            // Below 2p + 2p.
            xs[i] = multiplier.reduce::<FqConfig>(&difference(&difference(&xs[i], ax), bx));
            slopes[i] = mul(&slopes[i], &difference(ax, &xs[i]));
        }
        for i in 0..count {
            // Below 2p + p.
            let y = multiplier.reduce::<FqConfig>(&difference(&slopes[i], &starts[i]));
            let [x, y] = [xs[i], y].map(|limbs| Fq::new_unchecked(BigInt(limbs)));
            sums[first + i] = G1Affine::new_unchecked(x, y);
        }
    }
}

/// Products that are computed side by side: one alone would wait for itself.
const CHAINS: usize = 4;

/// How many pairs ahead memory is asked for.
const AHEAD: usize = 16;

const MODULUS: Limbs = field::multiple::<FqConfig>(1);

#[inline(always)]
fn is_zero(a: &Limbs) -> bool {
    a[0] | a[1] | a[2] | a[3] == 0
}

/// y of an entry, at most q.
#[inline(always)]
fn signed_y(multiplier: impl Multiplier, lists: &Lists<'_>, entry: Entry) -> Limbs {
    multiplier.negate_if::<FqConfig>(entry.is_negative(), &lists.unsigned(entry).y.0.0)
}

/// Inverts all, none of which is zero, with one inversion.
fn invert_each(products: [Limbs; CHAINS]) -> [Limbs; CHAINS] {
    let mut elements = products.map(|product| field::canonical::<FqConfig>(&product));
    field::invert_all_vartime::<FqConfig, CHAINS>(&mut elements);
    elements.map(|element| element.0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Instructions;
    use ark_bn254::{Fr, G1Projective};
    use ark_ec::{CurveGroup, PrimeGroup};

    /// Enough that what is rare happens: coordinates near the ends of their range, and carries that run on.
    const COUNT: usize = 1 << 14;

    fn all_features() -> impl Iterator<Item = Features> {
        [Instructions::Portable, Instructions::Adx, Instructions::Avx2Fma, Instructions::Avx512Ifma]
            .into_iter()
            .map(Features::detect)
    }

    fn finished(features: Features, pairs: &[[Entry; 2]], points: &[G1Affine]) -> Vec<G1Affine> {
        let mut additions = Additions { pairs: pairs.to_vec(), ..Additions::default() };
        let mut sums = Vec::new();
        additions.finish(features, &Lists([points, &[], &[], &[], &[], &[], &[], &[]]), &mut sums);
        sums
    }

    #[test]
    fn every_way_adds_like_arkworks() {
        let step = G1Projective::generator() * Fr::from(0x1234_5678_9abc_u64);
        let points: Vec<_> = std::iter::successors(Some(step), |p| Some(*p + step)).take(COUNT + 1).collect();
        let points = G1Projective::normalize_batch(&points);
        let entry = |i: usize, negative: usize| Entry::new(List::Bases, i).signed(negative & 1 == 1);
        let pairs: Vec<_> = (0..COUNT).map(|i| [entry(i, i), entry(i + 1, i / 2)]).collect();
        let signed = |i: usize, negative: usize| if negative & 1 == 1 { -points[i] } else { points[i] };
        let expected: Vec<_> = (0..COUNT).map(|i| signed(i, i) + signed(i + 1, i / 2)).collect();
        let expected = G1Projective::normalize_batch(&expected);
        for features in all_features() {
            let sums = finished(features, &pairs, &points);
            let wrong = (0..COUNT).filter(|&i| sums[i] != expected[i]).count();
            assert_eq!(wrong, 0, "{features:?}");
        }
    }

    #[test]
    fn special_pairs_are_told_apart_anywhere_in_a_batch() {
        let g = G1Affine::generator();
        let points = [G1Affine::zero(), g, -g, (g + g).into_affine(), (g * Fr::from(5)).into_affine()];
        for len in [1, 2, 7, 8, 9, 15, 16, 17, 33, 100] {
            let entry = |i: usize| Entry::new(List::Bases, i % 5).signed(i % 3 == 1);
            let pairs: Vec<_> = (0..len).map(|i| [entry(i), entry(i * i + i / 5)]).collect();
            let lists = Lists([&points, &[], &[], &[], &[], &[], &[], &[]]);
            for features in all_features() {
                for (sum, [a, b]) in finished(features, &pairs, &points).iter().zip(&pairs) {
                    assert_eq!(*sum, (lists.get(*a) + lists.get(*b)).into_affine(), "{len}, {features:?}");
                }
            }
        }
    }
}
