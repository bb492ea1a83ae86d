//! The Lagrange half of an SRS whose τ nobody knows, from its monomial half.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use rayon::prelude::*;

use super::powers;
use crate::domain::root_of_unity;
use crate::progress::SetupProgress;

/// `[L_i(τ)]_1` for i < n = 2^k from `[τ^j]_1` for j < n.
///
/// L_i(τ) = 1/n·Σ_j ω^{−ij}·τ^j, so this is an inverse Fourier transform in the group (Cooley and Tukey, decimation in
/// frequency): some n/2·log2 n multiplications of a point by a scalar, in parallel. The factor 1/n costs next to
/// nothing: each level applies it together with the twiddles of the one half that it finishes.
pub(super) fn lagrange_points(k: u32, monomial: &[G1Affine], progress: &dyn SetupProgress) -> Vec<G1Affine> {
    let rows = 1usize << k;
    let scale = Fr::from(rows as u64).inverse().unwrap_or_default();
    let twiddles = powers(root_of_unity(k).inverse().unwrap_or_default(), rows / 2);
    let mut points: Vec<G1Projective> = monomial.iter().take(rows).map(|point| point.into_group()).collect();
    for level in 0..k {
        let half = rows >> (level + 1);
        points.par_chunks_mut(2 * half).enumerate().for_each(|(block, pairs)| {
            let (low, high) = pairs.split_at_mut(half);
            low.par_iter_mut().zip(high).zip(twiddles.par_iter().step_by(1 << level)).enumerate().for_each(
                |(index, ((low, high), twiddle))| {
                    let difference = *low - *high;
                    *low += *high;
                    *high = match (block, index) {
                        (0, _) => difference * (scale * twiddle),
                        (_, 0) => difference,
                        _ => difference * twiddle,
                    };
                },
            );
        });
        progress.advance("derive the Lagrange points", u64::from(level) + 1, u64::from(k));
    }
    if let Some(first) = points.first_mut() {
        *first *= scale;
    }
    in_bit_reversed_order(k, &G1Projective::normalize_batch(&points))
}

/// Item i is the item whose index has the k bits of i in reverse order.
fn in_bit_reversed_order(k: u32, points: &[G1Affine]) -> Vec<G1Affine> {
    let reversed = |index: usize| index.reverse_bits().checked_shr(usize::BITS - k).unwrap_or(0);
    (0..points.len()).map(|index| points.get(reversed(index)).copied().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::lagrange_values;
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_transform_gives_the_lagrange_polynomials_at_every_size() {
        let generator = G1Projective::from(G1Affine::generator());
        for k in 0..=8 {
            for tau in [Fr::from(7), -Fr::from(1u64 << 40)] {
                let times_generator = |scalars: Vec<Fr>| -> Vec<G1Affine> {
                    scalars.iter().map(|scalar| (generator * scalar).into_affine()).collect()
                };
                let monomial = times_generator(powers(tau, (1 << k) + 5));
                let lagrange = lagrange_points(k, &monomial, &Silent);
                assert_eq!(lagrange, times_generator(lagrange_values(k, tau)), "k = {k}");
            }
        }
    }

    #[test]
    fn points_at_infinity_are_transformed_like_any_other() {
        let mut monomial = vec![G1Affine::identity(); 8];
        monomial[0] = G1Affine::generator();
        // the constant 1 has the value 1/8 of it everywhere
        let eighth = (G1Affine::generator() * Fr::from(8).inverse().unwrap()).into_affine();
        assert_eq!(lagrange_points(3, &monomial, &Silent), vec![eighth; 8]);
        assert!(lagrange_points(2, &[G1Affine::identity(); 4], &Silent).iter().all(AffineRepr::is_zero));
    }
}
