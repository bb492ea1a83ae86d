//! Are the points of an SRS powers of one τ? One random combination and one pairing equation for each half.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::pairing::{Pairing, PairingOutput};
use ark_ec::{AffineRepr, VariableBaseMSM};
use ark_ff::{Field, One, Zero, batch_inversion};

use super::{Srs, SrsError, powers};
use crate::permutation::root_of_unity;

impl Srs {
    /// Checks that the points are the powers of one τ, given a random z that could not be known when they were made.
    ///
    /// With S = Σ_{i<N} z^i·[τ^i], the pairing equation e(Σ_{i<N−1} z^i·[τ^{i+1}], [1]) = e(Σ_{i<N−1} z^i·[τ^i], [τ])
    /// needs only S. For the Lagrange half, p with p(ω^j) = z^j has the coefficients (z^n − 1)/(n·(z·ω^{−m} − 1)), and
    /// both bases must commit to it alike. A wrong point passes with probability at most N/r.
    pub(super) fn check_consistency(&self, z: Fr) -> Result<(), SrsError> {
        let inconsistent = |what| Err(SrsError::Inconsistent { what });
        let (monomial, lagrange) = (self.monomial(), self.lagrange());
        let (Some(first), Some(last)) = (monomial.first(), monomial.last()) else {
            return inconsistent("it has no points");
        };
        if *first != G1Affine::generator() || self.g2 != G2Affine::generator() {
            return inconsistent("it does not start with the generators");
        }
        if self.tau_g2 == self.g2 {
            return inconsistent("τ is one");
        }
        let powers_z = powers(z, monomial.len());
        let sum = G1Projective::msm_unchecked(monomial, &powers_z);
        let without_last = sum - *last * powers_z.last().copied().unwrap_or_default();
        let shifted = (sum - first.into_group()) * z.inverse().unwrap_or_default();
        if Bn254::multi_pairing([shifted, -without_last], [self.g2, self.tau_g2]) != PairingOutput::zero() {
            return inconsistent("the monomial points are not the powers of one τ");
        }
        let coefficients = coefficients_of_powers(self.k, z);
        let in_monomial = G1Projective::msm_unchecked(&monomial[..lagrange.len()], &coefficients);
        let in_lagrange = G1Projective::msm_unchecked(lagrange, &powers_z[..lagrange.len()]);
        if in_monomial != in_lagrange {
            return inconsistent("the Lagrange points do not belong to the monomial points");
        }
        Ok(())
    }
}

/// Coefficients of the polynomial of degree below 2^k which is z^j at ω^j.
fn coefficients_of_powers(k: u32, z: Fr) -> Vec<Fr> {
    let rows = 1u64 << k;
    let scale = (z.pow([rows]) - Fr::one()) * Fr::from(rows).inverse().unwrap_or_default();
    let ratios = powers(root_of_unity(k).inverse().unwrap_or_default(), 1 << k);
    let mut denominators: Vec<Fr> = ratios.iter().map(|ratio| z * ratio - Fr::one()).collect();
    batch_inversion(&mut denominators);
    denominators.iter().map(|inverse| scale * inverse).collect()
}
