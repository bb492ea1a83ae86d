//! Arithmetic of points by itself, for those who check proofs: no device, no graph.

use ark_bn254::{Fq, FqConfig, Fr, G1Affine, G1Projective};
use ark_ff::{BigInt, Field, MontConfig};
use rayon::prelude::*;

use super::vectors::Vectors;
use super::{Features, Instructions, msm};

/// (q + 1)/4
const ROOT_EXPONENT: BigInt<4> = match FqConfig::MODULUS_PLUS_ONE_DIV_FOUR {
    Some(exponent) => exponent,
    None => unreachable!(),
};

/// As many terms are summed by two threads apart.
const APART_MAX: usize = 1 << 12;

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

    /// `Σ scalar·point`, for at most 2^31 terms. Takes time that depends on the terms.
    pub fn sum_of_multiples_vartime(&self, terms: &[(G1Affine, Fr)]) -> G1Projective {
        let sum = |terms: &[(G1Affine, Fr)]| {
            let (points, scalars): (Vec<_>, Vec<_>) = terms.iter().copied().unzip();
            msm::sum_of_multiples_vartime(self.features, &points, &scalars)
        };
        // Few terms are too little work for threads to share, but two sums of half as many take less time than one.
        if terms.len() > APART_MAX || rayon::current_num_threads() == 1 {
            return sum(terms);
        }
        let (first, second) = terms.split_at(terms.len() / 2);
        let (first, second) = rayon::join(|| sum(first), || sum(second));
        first + second
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
    fn sums_agree_with_their_definition() {
        let mut rng = ChaCha20Rng::from_seed([22; 32]);
        for len in [0, 1, 2, 3, 8, 33, 300] {
            let g = G1Affine::generator();
            // Equal and opposite points, infinity, zero, one and r − 1 among the others.
            let edges = [
                (g, -Fr::ONE),
                (g, Fr::ONE),
                (-g, Fr::from(5)),
                (G1Affine::identity(), Fr::from(7)),
                (g, Fr::ZERO),
            ];
            let mut term = |_| (G1Projective::rand(&mut rng).into_affine(), Fr::rand(&mut rng));
            let random: Vec<_> = (0..len).map(&mut term).collect();
            let terms: Vec<_> = edges.into_iter().cycle().take(len).chain(random).collect();
            let expected: G1Projective = terms.iter().map(|(point, scalar)| *point * scalar).sum();
            for limit in LIMITS {
                let sum = CurveArithmetic::limited_to(limit).sum_of_multiples_vartime(&terms);
                assert_eq!(sum, expected, "{len} terms, {limit:?}");
            }
        }
    }
}
