//! Sums of some hundreds of multiples of points, the bulk of a verification.
//!
//! Scalars are split in two of half the length by the curve's endomorphism (Gallant, Lambert, Vanstone, CRYPTO 2001), both
//! halves are recoded with signed odd digits, and the multiples that belong to one bit are added up together
//! (Straus 1964). All additions of one round share one inversion, so that points can stay affine: six multiplications an
//! addition (Montgomery's trick, fused with the additions). The endomorphism is applied to the sums of the high halves.

use alloc::vec::Vec;
use core::mem;

use ark_bn254::{Fq, Fr, G1Affine, G1Projective, g1};
use ark_ec::AffineRepr;
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ff::{AdditiveGroup, BigInt, BigInteger, Field, MontFp, PrimeField, Zero};

use crate::arithmetic::{Arithmetic, both};

/// Odd multiples kept of each point: P, 3P, …, 15P.
const MULTIPLES: usize = 8;
/// Bits at which a digit can begin.
const HALF_BITS: usize = 128;
/// Digits are residues modulo this, odd and between −15 and 15.
const DIGIT_MODULUS: u128 = 32;

/// b and a + b of the short vectors (a, −b) and (b, a + b), whose product with (1, λ) is zero modulo r = a·(a + b) + b².
const B: Fr = MontFp!("9931322734385697763");
const A_PLUS_B: Fr = MontFp!("147946756881789319010696353538189108491");
/// ⌊2^256·(a + b) / r⌋
const FRACTION_A_PLUS_B: BigInt<4> = BigInt!("782660544089080853131326142527431468389");
/// ⌊2^256·b / r⌋
const FRACTION_B: BigInt<4> = BigInt!("52538187511802934231");

/// One of a list of points, or its negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summand {
    /// Twice the number of the point, and one more if its negative is meant.
    code: u32,
}

impl Summand {
    /// Point `index`, below 2^31, or its negative.
    fn new(index: usize, negative: bool) -> Self {
        Self { code: u32::try_from(index).unwrap_or(u32::MAX) << 1 | u32::from(negative) }
    }

    /// Which point of the list.
    pub fn index(self) -> u32 {
        self.code >> 1
    }

    /// Whether its negative is meant.
    pub fn is_negative(self) -> bool {
        self.code & 1 == 1
    }

    /// The point meant. One that is not there counts as infinity.
    fn of(self, points: &[G1Affine]) -> G1Affine {
        let point = usize::try_from(self.index()).ok().and_then(|index| points.get(index));
        let point = point.copied().unwrap_or_default();
        if self.is_negative() { -point } else { point }
    }
}

/// `Σ scalar·point`. Takes time that depends on the scalars: for what is public only.
pub fn sum_of_multiples_vartime<A: Arithmetic + ?Sized>(
    arithmetic: &A,
    terms: &[(G1Affine, Fr)],
) -> G1Projective {
    let terms: Vec<_> =
        terms.iter().filter(|(point, scalar)| !point.is_zero() && !scalar.is_zero()).copied().collect();
    let (some, others) = terms.split_at(terms.len() / 2);
    let (some, others) = both(arithmetic, || bit_sums(arithmetic, some), || bit_sums(arithmetic, others));
    let (Some(mut sums), Some(others)) = (some, others) else {
        // Scalars always split, see `split`; should that be wrong, this is right and only slower.
        return terms.iter().map(|(point, scalar)| *point * scalar).sum();
    };
    sums.extend(others);
    let mut low = add_halves(arithmetic, &sums);
    let high = low.split_off(low.len() / 2);
    low.extend(high.iter().map(g1::Config::endomorphism_affine));
    let sums = add_halves(arithmetic, &low);
    sums.iter().rev().fold(G1Projective::zero(), |sum, point| sum.double() + point)
}

/// The sums of the points in the first half with those in the second.
fn add_halves<A: Arithmetic + ?Sized>(arithmetic: &A, points: &[G1Affine]) -> Vec<G1Affine> {
    let half = points.len() / 2;
    let pairs = (0..half).map(|i| [i, i.saturating_add(half)].map(|i| Summand::new(i, false)));
    let mut sums = Vec::new();
    arithmetic.add_pairs(points, &pairs.collect::<Vec<_>>(), &mut sums);
    sums
}

/// Of digits that begin at each bit, the sums of their multiples: those of all low halves, then of all high ones. No point is
/// infinity and no scalar zero. `None` if a scalar does not split.
fn bit_sums<A: Arithmetic + ?Sized>(arithmetic: &A, terms: &[(G1Affine, Fr)]) -> Option<Vec<G1Affine>> {
    let mut points = odd_multiples(arithmetic, terms);
    // Some half of all digits are not zero; this is what a list has of them, and a little more.
    let list = || Vec::with_capacity(terms.len() / 4);
    let mut low: Vec<_> = (0..HALF_BITS).map(|_| list()).collect();
    let mut high: Vec<_> = (0..HALF_BITS).map(|_| list()).collect();
    for (index, (_, scalar)) in terms.iter().enumerate() {
        let multiple = |step: usize| step.saturating_mul(terms.len()).saturating_add(index);
        for (half, lists) in split(scalar)?.into_iter().zip([&mut low, &mut high]) {
            half.place(multiple, lists);
        }
    }
    let mut lists = low;
    lists.append(&mut high);
    let (mut pairs, mut sums) = (Vec::new(), Vec::new());
    while lists.iter().any(|list| list.len() > 1) {
        add_neighbours(arithmetic, &points, &mut lists, &mut pairs, &mut sums);
        mem::swap(&mut points, &mut sums);
    }
    let sum = |list: &Vec<Summand>| list.first().map_or(G1Affine::zero(), |summand| summand.of(&points));
    Some(lists.iter().map(sum).collect())
}

/// Adds neighbours in every list, which leaves half of it, and replaces `sums` by the points that the lists name then.
fn add_neighbours<A: Arithmetic + ?Sized>(
    arithmetic: &A,
    points: &[G1Affine],
    lists: &mut [Vec<Summand>],
    pairs: &mut Vec<[Summand; 2]>,
    sums: &mut Vec<G1Affine>,
) {
    pairs.clear();
    pairs.extend(lists.iter().flat_map(|list| list.as_chunks().0));
    arithmetic.add_pairs(points, pairs, sums);
    let mut places = 0..pairs.len();
    for list in lists {
        let (pairs, odd) = list.as_chunks::<2>();
        let (count, odd) = (pairs.len(), odd.first().copied());
        list.clear();
        list.extend(places.by_ref().take(count).map(|place| Summand::new(place, false)));
        if let Some(odd) = odd {
            list.push(Summand::new(sums.len(), false));
            sums.push(odd.of(points));
        }
    }
}

/// An integer with a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Half {
    negative: bool,
    magnitude: u128,
}

/// `scalar = low + λ·high` with halves of at most 127 bits, where λ is what the endomorphism multiplies by.
///
/// The vector (scalar, 0) minus the nearest point of the lattice of (a, −b) and (b, a + b), found by rounding its
/// coordinates scalar·(a + b)/r and scalar·b/r down; so |low| ≤ a + b + … and |high| likewise stay below 2^127, with room for
/// the error of at most one in each rounding. The equation holds however the rounding goes.
fn split(scalar: &Fr) -> Option<[Half; 2]> {
    let integer = scalar.into_bigint();
    let rounded = |fraction: &BigInt<4>| Fr::from_bigint(integer.mul(fraction).1);
    let high = rounded(&FRACTION_A_PLUS_B)? * B - rounded(&FRACTION_B)? * A_PLUS_B;
    let low = *scalar - g1::Config::LAMBDA * high;
    Some([Half::new(low)?, Half::new(high)?])
}

impl Half {
    /// `None` if neither the scalar nor its negative has at most 127 bits.
    fn new(scalar: Fr) -> Option<Self> {
        let short = |scalar: Fr| match scalar.into_bigint().0 {
            [low, high, 0, 0] if high >> 63 == 0 => Some(u128::from(high) << 64 | u128::from(low)),
            _ => None,
        };
        short(scalar)
            .map(|magnitude| Self { negative: false, magnitude })
            .or_else(|| short(-scalar).map(|magnitude| Self { negative: true, magnitude }))
    }

    /// Puts multiples of a point where this many of it are to be added: at each bit that an odd digit begins at.
    /// `multiple` says where one is, of all odd ones.
    fn place(self, multiple: impl Fn(usize) -> usize, lists: &mut [Vec<Summand>]) {
        let mut rest = self.magnitude;
        let mut lists = lists.iter_mut();
        while rest != 0 {
            // The next digit begins at the lowest one, which is in the list after the zeros.
            let zeros = rest.trailing_zeros();
            rest >>= zeros;
            let Some(list) = usize::try_from(zeros).ok().and_then(|zeros| lists.nth(zeros)) else { return };
            let residue = rest & (DIGIT_MODULUS - 1);
            let negative = residue > DIGIT_MODULUS / 2;
            let digit = if negative { DIGIT_MODULUS.saturating_sub(residue) } else { residue };
            rest = if negative { rest.saturating_add(digit) } else { rest.saturating_sub(digit) };
            rest >>= 1;
            if let Ok(step) = usize::try_from(digit / 2) {
                list.push(Summand::new(multiple(step), negative != self.negative));
            }
        }
    }
}

/// P of all points P, then 3P of all, …, then 15P. No point is infinity.
fn odd_multiples<A: Arithmetic + ?Sized>(arithmetic: &A, terms: &[(G1Affine, Fr)]) -> Vec<G1Affine> {
    let count = terms.len();
    let mut multiples = Vec::with_capacity(count.saturating_mul(MULTIPLES));
    multiples.extend(terms.iter().map(|(point, _)| *point));
    let pairs = (0..count).map(|i| [Summand::new(i, false); 2]);
    let mut twice = Vec::new();
    arithmetic.add_pairs(&multiples, &pairs.collect::<Vec<_>>(), &mut twice);
    let mut last = multiples.clone();
    for _ in 1..MULTIPLES {
        last.extend(&twice);
        last = add_halves(arithmetic, &last);
        multiples.extend(&last);
    }
    multiples
}

/// Replaces `sums` by the sums of the pairs, with one inversion for all of them.
pub(crate) fn add_pairs(points: &[G1Affine], pairs: &[[Summand; 2]], sums: &mut Vec<G1Affine>) {
    // What the denominators ahead of a pair multiply to.
    let mut product = Fq::ONE;
    let mut ahead = Vec::with_capacity(pairs.len());
    for pair in pairs {
        ahead.push(product);
        let denominator = denominator(&pair.map(|summand| summand.of(points)));
        if !denominator.is_zero() {
            product *= denominator;
        }
    }
    let mut inverse = product.inverse().unwrap_or_default();
    sums.clear();
    sums.resize(pairs.len(), G1Affine::identity());
    for ((pair, ahead), sum) in pairs.iter().zip(ahead).zip(sums).rev() {
        let pair = pair.map(|summand| summand.of(points));
        let denominator = denominator(&pair);
        *sum = if denominator.is_zero() {
            sum_without_line(pair)
        } else {
            let own = inverse * ahead;
            inverse *= denominator;
            sum_with_inverse(pair, own)
        };
    }
}

/// The denominator of the slope of the line through both, of the tangent if they are one. Zero if no line is needed:
/// one of them is infinity, or they are each other's negative.
fn denominator([a, b]: &[G1Affine; 2]) -> Fq {
    if a.is_zero() || b.is_zero() {
        Fq::ZERO
    } else if a.x == b.x {
        a.y + b.y
    } else {
        b.x - a.x
    }
}

/// The sum, given the inverse of a denominator that is not zero.
fn sum_with_inverse([a, b]: [G1Affine; 2], inverse: Fq) -> G1Affine {
    let numerator = if a.x == b.x {
        let square = a.x.square();
        square.double() + square
    } else {
        b.y - a.y
    };
    let slope = numerator * inverse;
    let x = slope.square() - a.x - b.x;
    G1Affine::new_unchecked(x, slope * (a.x - x) - a.y)
}

/// The sum where the denominator is zero.
fn sum_without_line([a, b]: [G1Affine; 2]) -> G1Affine {
    match (a.is_zero(), b.is_zero()) {
        (true, _) => b,
        (_, true) => a,
        _ => G1Affine::identity(),
    }
}

#[cfg(test)]
mod tests {
    use ark_ec::CurveGroup;
    use ark_ff::{One, UniformRand};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::Portable;

    fn by_definition(terms: &[(G1Affine, Fr)]) -> G1Projective {
        terms.iter().map(|(point, scalar)| *point * scalar).sum()
    }

    fn edges() -> Vec<Fr> {
        let lambda = g1::Config::LAMBDA;
        let half = Fr::from(2).inverse().unwrap();
        let small = [Fr::zero(), Fr::one(), Fr::from(15), Fr::from(16), Fr::from(17), Fr::from(u128::MAX)];
        let large = [lambda, half, B, A_PLUS_B, lambda * B, half * lambda];
        small.into_iter().chain(large).flat_map(|scalar| [scalar, -scalar, scalar - Fr::one()]).collect()
    }

    #[test]
    fn halves_are_short_and_put_together_again() {
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        let signed = |half: Half| {
            let magnitude = Fr::from(half.magnitude);
            if half.negative { -magnitude } else { magnitude }
        };
        for scalar in edges().into_iter().chain((0..2000).map(|_| Fr::rand(&mut rng))) {
            let [low, high] = split(&scalar).unwrap();
            assert!(low.magnitude >> 127 == 0 && high.magnitude >> 127 == 0, "{scalar}");
            assert_eq!(signed(low) + g1::Config::LAMBDA * signed(high), scalar);
        }
    }

    #[test]
    fn sums_agree_with_their_definition() {
        let mut rng = ChaCha20Rng::from_seed([6; 32]);
        for len in [0, 1, 2, 3, 7, 40, 130] {
            let mut term = || (G1Projective::rand(&mut rng).into_affine(), Fr::rand(&mut rng));
            let terms: Vec<_> = (0..len).map(|_| term()).collect();
            assert_eq!(sum_of_multiples_vartime(&Portable, &terms), by_definition(&terms), "{len} terms");
        }
    }

    /// Whoever makes a proof chooses its points: equal ones, opposite ones, multiples of each other.
    #[test]
    fn points_that_depend_on_each_other_are_added_right() {
        let g = G1Affine::generator();
        let multiple = |factor: u64| (g * Fr::from(factor)).into_affine();
        let endomorphism = g1::Config::endomorphism_affine(&g);
        let points = [g, -g, multiple(2), multiple(3), -multiple(15), endomorphism, -endomorphism, g];
        for scalar in edges() {
            for other in [scalar, -scalar, Fr::one(), g1::Config::LAMBDA] {
                let terms: Vec<_> =
                    points.iter().zip([scalar, other].into_iter().cycle()).map(|(p, s)| (*p, s)).collect();
                assert_eq!(
                    sum_of_multiples_vartime(&Portable, &terms),
                    by_definition(&terms),
                    "{scalar}, {other}"
                );
            }
            let cancelling = [(g, scalar), (-g, scalar), (g, scalar), (multiple(3), scalar)];
            assert_eq!(
                sum_of_multiples_vartime(&Portable, &cancelling),
                by_definition(&cancelling),
                "{scalar}"
            );
        }
    }

    #[test]
    fn infinity_and_zero_add_nothing() {
        let g = G1Affine::generator();
        let terms = [(G1Affine::identity(), Fr::from(7)), (g, Fr::zero()), (g, Fr::from(2))];
        assert_eq!(sum_of_multiples_vartime(&Portable, &terms), g * Fr::from(2));
        let cancelling = [(g, Fr::one()), (-g, Fr::one())];
        assert_eq!(sum_of_multiples_vartime(&Portable, &cancelling), G1Projective::zero());
    }
}
