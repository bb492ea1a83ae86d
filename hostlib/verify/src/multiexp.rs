//! Sums of some dozens of multiples of points, the bulk of a verification.
//!
//! Scalars are split in two of half the length by the curve's endomorphism (Gallant, Lambert, Vanstone, CRYPTO 2001), both
//! halves are recoded with signed odd digits, and the multiples that belong to one bit are added up together
//! (Straus 1964). All additions of one round share one inversion, so that points can stay affine.

use alloc::vec::Vec;

use ark_bn254::{Fq, Fr, G1Affine, G1Projective, g1};
use ark_ec::AffineRepr;
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ff::{AdditiveGroup, BigInt, BigInteger, Field, MontFp, PrimeField, Zero, batch_inversion};

/// Odd multiples kept of each point: P, 3P, …, 15P.
const MULTIPLES: usize = 8;
/// Digits are residues modulo this, odd and between −15 and 15.
const DIGIT_MODULUS: u128 = 32;

/// b and a + b of the short vectors (a, −b) and (b, a + b), whose product with (1, λ) is zero modulo r = a·(a + b) + b².
const B: Fr = MontFp!("9931322734385697763");
const A_PLUS_B: Fr = MontFp!("147946756881789319010696353538189108491");
/// ⌊2^256·(a + b) / r⌋
const FRACTION_A_PLUS_B: BigInt<4> = BigInt!("782660544089080853131326142527431468389");
/// ⌊2^256·b / r⌋
const FRACTION_B: BigInt<4> = BigInt!("52538187511802934231");

/// `Σ scalar·point`. Takes time that depends on the scalars: for what is public only.
pub fn sum_of_multiples_vartime(terms: &[(G1Affine, Fr)]) -> G1Projective {
    let terms: Vec<_> =
        terms.iter().filter(|(point, scalar)| !point.is_zero() && !scalar.is_zero()).copied().collect();
    let Some(halves) = terms.iter().map(|(_, scalar)| split(scalar)).collect::<Option<Vec<_>>>() else {
        // Scalars always split, see `split`; should that be wrong, this is right and only slower.
        return terms.iter().map(|(point, scalar)| *point * scalar).sum();
    };
    // What is to be added at each bit.
    let mut summands: Vec<Vec<G1Affine>> = Vec::new();
    for (multiples, [low, high]) in odd_multiples(&terms).iter().zip(halves) {
        low.place(multiples, &mut summands);
        high.place(&multiples.map(|point| g1::Config::endomorphism_affine(&point)), &mut summands);
    }
    while summands.iter().any(|list| list.len() > 1) {
        add_pairs(&mut summands);
    }
    summands
        .iter()
        .rev()
        .fold(G1Projective::zero(), |sum, list| list.iter().fold(sum.double(), |sum, point| sum + point))
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
    fn place(self, multiples: &[G1Affine; MULTIPLES], summands: &mut Vec<Vec<G1Affine>>) {
        let mut rest = self.magnitude;
        let mut lists = 0..;
        while rest != 0 {
            let Some(bit) = lists.next() else { return };
            if summands.len() <= bit {
                summands.push(Vec::new());
            }
            if rest & 1 == 1 {
                let residue = rest & (DIGIT_MODULUS - 1);
                let negative = residue > DIGIT_MODULUS / 2;
                let digit = if negative { DIGIT_MODULUS.saturating_sub(residue) } else { residue };
                rest = if negative { rest.saturating_add(digit) } else { rest.saturating_sub(digit) };
                let kept = usize::try_from(digit / 2).ok().and_then(|index| multiples.get(index));
                if let (Some(point), Some(list)) = (kept, summands.get_mut(bit)) {
                    list.push(if negative == self.negative { *point } else { -*point });
                }
            }
            rest >>= 1;
        }
    }
}

/// P, 3P, …, 15P of all points P, none of them infinity.
///
/// No two points of different sign and magnitude that are added here are equal: the order of the group is a large prime.
fn odd_multiples(terms: &[(G1Affine, Fr)]) -> Vec<[G1Affine; MULTIPLES]> {
    let points: Vec<G1Affine> = terms.iter().map(|(point, _)| *point).collect();
    let twice = add_all(points.iter().zip(&points));
    let mut multiples: Vec<_> = points.iter().map(|point| [*point; MULTIPLES]).collect();
    let mut last = points;
    for step in 1..MULTIPLES {
        last = add_all(last.iter().zip(&twice));
        for (multiples, point) in multiples.iter_mut().zip(&last) {
            if let Some(multiple) = multiples.get_mut(step) {
                *multiple = *point;
            }
        }
    }
    multiples
}

/// Adds neighbours in every list, which leaves half of it.
fn add_pairs(lists: &mut [Vec<G1Affine>]) {
    let pairs = lists.iter().flat_map(|list| list.as_chunks().0).map(|[a, b]| (a, b));
    let mut sums = add_all(pairs).into_iter();
    for list in lists {
        let (pairs, odd) = list.as_chunks::<2>();
        *list = sums.by_ref().take(pairs.len()).chain(odd.iter().copied()).collect();
    }
}

/// Affine sums of pairs, with one inversion for all of them. Neither of a pair is infinity unless it came out of here.
fn add_all<'a>(pairs: impl Iterator<Item = (&'a G1Affine, &'a G1Affine)> + Clone) -> Vec<G1Affine> {
    let mut inverses: Vec<Fq> = pairs.clone().map(|(a, b)| slope(a, b).1).collect();
    // Leaves zeros, the denominators of what needs none, as they are.
    batch_inversion(&mut inverses);
    pairs.zip(inverses).map(|((a, b), inverse)| add_with_inverse(a, b, inverse)).collect()
}

/// Numerator and denominator of the slope of the line through two points, the tangent if they are one. The denominator is
/// zero if they are each other's negative.
fn slope(a: &G1Affine, b: &G1Affine) -> (Fq, Fq) {
    if a.x == b.x { (a.x.square() * Fq::from(3u8), a.y + b.y) } else { (b.y - a.y, b.x - a.x) }
}

fn add_with_inverse(a: &G1Affine, b: &G1Affine, inverse: Fq) -> G1Affine {
    if a.is_zero() {
        return *b;
    }
    if b.is_zero() {
        return *a;
    }
    let (numerator, denominator) = slope(a, b);
    if denominator.is_zero() {
        return G1Affine::identity();
    }
    let slope = numerator * inverse;
    let x = slope.square() - a.x - b.x;
    G1Affine::new_unchecked(x, slope * (a.x - x) - a.y)
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
