//! Arithmetic of points by itself, for those who check proofs: no device, no graph.

use ark_bn254::{Fq, FqConfig, G1Affine};
use ark_ff::{BigInt, Field, MontConfig};
use rayon::prelude::*;

use super::vectors::Vectors;
use super::{Features, Instructions, msm};

/// (q + 1)/4
const ROOT_EXPONENT: BigInt<4> = match FqConfig::MODULUS_PLUS_ONE_DIV_FOUR {
    Some(exponent) => exponent,
    None => unreachable!(),
};

/// A thread of its own pays for this many roots.
const ROOTS_MIN: usize = 32;

/// The curve's arithmetic by this processor's instructions.
#[derive(Clone, Copy, Debug)]
pub struct CurveArithmetic {
    features: Features,
}

impl CurveArithmetic {
    /// By the best instructions that this processor has, up to a limit.
    pub fn limited_to(limit: Instructions) -> Self {
        Self { features: Features::detect(limit) }
    }

    /// Replaces `sums` by the sums of pairs of points, of which there are at most 2^28; an operand is the number of a point, and
    /// whether its negative is meant. Points may be infinity, equal, and each other's negative. Takes time that depends on
    /// which are.
    ///
    /// # Panics
    /// If an operand has no point.
    pub fn add_pairs_vartime<P>(
        &self,
        points: &[G1Affine],
        pairs: &[P],
        operands: impl Fn(&P) -> [(u32, bool); 2],
        sums: &mut Vec<G1Affine>,
    ) {
        msm::add_pairs(self.features, points, pairs, operands, sums);
    }

    /// Replaces every x by `x^((q + 1)/4)`, a square root of x if it has one. Takes the same time for all x.
    pub fn roots(&self, values: &mut [Fq]) {
        let all = |values: &mut [Fq]| match self.features.vectors {
            Some(Vectors::Ifma(ifma)) => ifma.powers(values, ROOT_EXPONENT),
            _ => values.iter_mut().for_each(|x| *x = x.pow(ROOT_EXPONENT)),
        };
        let each = values.len().div_ceil(rayon::current_num_threads()).max(ROOTS_MIN);
        values.par_chunks_mut(each.next_multiple_of(ROOTS_MIN)).for_each(all);
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::G1Projective;
    use ark_ec::{AffineRepr, CurveGroup};
    use ark_ff::{AdditiveGroup, UniformRand};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const LIMITS: [Instructions; 4] =
        [Instructions::Portable, Instructions::Adx, Instructions::Avx2Fma, Instructions::Avx512Ifma];

    #[test]
    fn roots_are_powers_whatever_the_instructions_and_the_number_of_values() {
        let mut rng = ChaCha20Rng::from_seed([21; 32]);
        for len in [0, 1, 7, 8, 15, 16, 17, 40] {
            let edges = [Fq::ZERO, Fq::ONE, -Fq::ONE, Fq::from(3)];
            let values: Vec<Fq> =
                edges.into_iter().chain((0..len).map(|_| Fq::rand(&mut rng))).take(len).collect();
            let expected: Vec<Fq> = values.iter().map(|x| x.pow(ROOT_EXPONENT)).collect();
            for limit in LIMITS {
                let mut roots = values.clone();
                CurveArithmetic::limited_to(limit).roots(&mut roots);
                assert_eq!(roots, expected, "{len} values, {limit:?}");
            }
        }
    }

    #[test]
    fn pairs_are_added_whatever_they_are_and_however_many() {
        let mut rng = ChaCha20Rng::from_seed([22; 32]);
        let g = G1Affine::generator();
        let random = (0..20).map(|_| G1Projective::rand(&mut rng).into_affine());
        let points: Vec<G1Affine> = [G1Affine::identity(), g, -g].into_iter().chain(random).collect();
        // More than share an inversion, too.
        for len in [0, 1, 2, 7, 16, 33, 3000] {
            let operand = |i: usize| ((i % points.len()) as u32, i % 3 == 1);
            let pairs: Vec<_> = (0..len).map(|i| [operand(i), operand(i * i + i / 5)]).collect();
            let point = |(index, negative): (u32, bool)| {
                let point = points[index as usize];
                if negative { -point } else { point }
            };
            let expected: Vec<G1Affine> =
                pairs.iter().map(|[a, b]| (point(*a) + point(*b)).into_affine()).collect();
            for limit in LIMITS {
                let mut sums = vec![g; 5];
                CurveArithmetic::limited_to(limit).add_pairs_vartime(
                    &points,
                    &pairs,
                    |pair| *pair,
                    &mut sums,
                );
                assert_eq!(sums, expected, "{len} pairs, {limit:?}");
            }
        }
    }
}
