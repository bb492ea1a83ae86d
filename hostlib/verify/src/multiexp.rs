//! Sums of some hundreds of multiples of points, the bulk of a verification.
//!
//! Scalars are split in two of half the length by the curve's endomorphism (Gallant, Lambert, Vanstone, CRYPTO 2001), both
//! halves are recoded with signed odd digits, and the multiples that belong to one bit are added up together
//! (Straus 1964). All additions of one round share one inversion, so that points can stay affine: six multiplications an
//! addition (Montgomery's trick, fused with the additions).

use alloc::vec::Vec;

use ark_bn254::{Fq, Fr, G1Affine, G1Projective, g1};
use ark_ec::AffineRepr;
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ff::{AdditiveGroup, BigInt, BigInteger, Field, MontFp, PrimeField, Zero};

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

/// A point by its affine coordinates. Infinity is (0, 0), which is not on the curve.
#[derive(Clone, Copy, Default)]
struct Point {
    x: Fq,
    y: Fq,
}

impl Point {
    /// A point other than infinity.
    fn new(point: &G1Affine) -> Self {
        Self { x: point.x, y: point.y }
    }

    /// No point of the curve has y = 0: the order of the group is odd.
    fn is_infinity(&self) -> bool {
        self.y.is_zero()
    }

    /// A point other than infinity.
    fn to_affine(self) -> G1Affine {
        G1Affine::new_unchecked(self.x, self.y)
    }

    fn times_lambda(self) -> Self {
        Self::new(&g1::Config::endomorphism_affine(&self.to_affine()))
    }

    fn negated(self) -> Self {
        Self { x: self.x, y: -self.y }
    }

    /// The denominator of the slope of the line through both, of the tangent if they are one. Zero if no line is needed:
    /// one of them is infinity, or they are each other's negative.
    fn denominator(&self, other: &Self) -> Fq {
        if self.is_infinity() || other.is_infinity() {
            Fq::ZERO
        } else if self.x == other.x {
            self.y + other.y
        } else {
            other.x - self.x
        }
    }

    /// The sum, given the inverse of a denominator that is not zero.
    fn plus_with_inverse(&self, other: &Self, inverse: Fq) -> Self {
        let numerator = if self.x == other.x {
            let square = self.x.square();
            square.double() + square
        } else {
            other.y - self.y
        };
        let slope = numerator * inverse;
        let x = slope.square() - self.x - other.x;
        Self { x, y: slope * (self.x - x) - self.y }
    }

    /// The sum where the denominator is zero.
    fn plus_without_line(&self, other: &Self) -> Self {
        match (self.is_infinity(), other.is_infinity()) {
            (true, _) => *other,
            (_, true) => *self,
            _ => Self::default(),
        }
    }
}

/// `Σ scalar·point`. Takes time that depends on the scalars: for what is public only.
pub fn sum_of_multiples_vartime(terms: &[(G1Affine, Fr)]) -> G1Projective {
    let terms: Vec<_> =
        terms.iter().filter(|(point, scalar)| !point.is_zero() && !scalar.is_zero()).copied().collect();
    let Some(halves) = terms.iter().map(|(_, scalar)| split(scalar)).collect::<Option<Vec<_>>>() else {
        // Scalars always split, see `split`; should that be wrong, this is right and only slower.
        return terms.iter().map(|(point, scalar)| *point * scalar).sum();
    };
    // What is to be added at each bit.
    let mut summands = vec![Vec::new(); HALF_BITS];
    for (multiples, [low, high]) in odd_multiples(&terms).iter().zip(halves) {
        low.place(multiples, &mut summands);
        high.place(&multiples.map(Point::times_lambda), &mut summands);
    }
    while summands.iter().any(|list| list.len() > 1) {
        add_pairs(&mut summands);
    }
    let add =
        |sum: G1Projective, point: &Point| if point.is_infinity() { sum } else { sum + point.to_affine() };
    summands.iter().rev().fold(G1Projective::zero(), |sum, list| list.iter().fold(sum.double(), add))
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
    fn place(self, multiples: &[Point; MULTIPLES], summands: &mut [Vec<Point>]) {
        let mut rest = self.magnitude;
        let mut lists = summands.iter_mut();
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
            if let Some(point) = usize::try_from(digit / 2).ok().and_then(|index| multiples.get(index)) {
                list.push(if negative == self.negative { *point } else { point.negated() });
            }
        }
    }
}

/// P, 3P, …, 15P of all points P, none of them infinity.
///
/// No two points of different sign and magnitude that are added here are equal: the order of the group is a large prime.
fn odd_multiples(terms: &[(G1Affine, Fr)]) -> Vec<[Point; MULTIPLES]> {
    let points: Vec<Point> = terms.iter().map(|(point, _)| Point::new(point)).collect();
    let twice = add_all(&points.iter().map(|point| [*point; 2]).collect::<Vec<_>>());
    let mut multiples: Vec<_> = points.iter().map(|point| [*point; MULTIPLES]).collect();
    let mut last = points;
    for step in 1..MULTIPLES {
        last = add_all(&last.iter().zip(&twice).map(|(last, twice)| [*last, *twice]).collect::<Vec<_>>());
        for (multiples, point) in multiples.iter_mut().zip(&last) {
            if let Some(multiple) = multiples.get_mut(step) {
                *multiple = *point;
            }
        }
    }
    multiples
}

/// Adds neighbours in every list, which leaves half of it.
fn add_pairs(lists: &mut [Vec<Point>]) {
    let pairs: Vec<[Point; 2]> = lists.iter().flat_map(|list| list.as_chunks().0).copied().collect();
    let mut sums = add_all(&pairs).into_iter();
    for list in lists {
        let (pairs, odd) = list.as_chunks::<2>();
        let (count, odd) = (pairs.len(), odd.first().copied());
        list.clear();
        list.extend(sums.by_ref().take(count).chain(odd));
    }
}

/// The sums of pairs, with one inversion for all of them.
fn add_all(pairs: &[[Point; 2]]) -> Vec<Point> {
    // What the denominators ahead of a pair multiply to.
    let mut product = Fq::ONE;
    let mut ahead = Vec::with_capacity(pairs.len());
    for [a, b] in pairs {
        ahead.push(product);
        let denominator = a.denominator(b);
        if !denominator.is_zero() {
            product *= denominator;
        }
    }
    let mut inverse = product.inverse().unwrap_or_default();
    let mut sums = vec![Point::default(); pairs.len()];
    for (([a, b], ahead), sum) in pairs.iter().zip(ahead).zip(&mut sums).rev() {
        let denominator = a.denominator(b);
        *sum = if denominator.is_zero() {
            a.plus_without_line(b)
        } else {
            let own = inverse * ahead;
            inverse *= denominator;
            a.plus_with_inverse(b, own)
        };
    }
    sums
}

#[cfg(test)]
mod tests {
    use ark_ec::CurveGroup;
    use ark_ff::{One, UniformRand};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

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
            assert_eq!(sum_of_multiples_vartime(&terms), by_definition(&terms), "{len} terms");
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
                assert_eq!(sum_of_multiples_vartime(&terms), by_definition(&terms), "{scalar}, {other}");
            }
            let cancelling = [(g, scalar), (-g, scalar), (g, scalar), (multiple(3), scalar)];
            assert_eq!(sum_of_multiples_vartime(&cancelling), by_definition(&cancelling), "{scalar}");
        }
    }

    #[test]
    fn infinity_and_zero_add_nothing() {
        let g = G1Affine::generator();
        let terms = [(G1Affine::identity(), Fr::from(7)), (g, Fr::zero()), (g, Fr::from(2))];
        assert_eq!(sum_of_multiples_vartime(&terms), g * Fr::from(2));
        assert_eq!(sum_of_multiples_vartime(&[(g, Fr::one()), (-g, Fr::one())]), G1Projective::zero());
    }
}
