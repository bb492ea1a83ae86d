//! Are the points of an SRS powers of one τ? One random combination and one pairing equation for each half.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::pairing::{Pairing, PairingOutput};
use ark_ec::{AffineRepr, VariableBaseMSM};
use ark_ff::{Field, One, Zero, batch_inversion};

use super::{Srs, SrsError, powers};
use crate::domain::root_of_unity;

impl Srs {
    /// Checks that the points are the powers of one τ, given a random z that could not be known when they were made.
    ///
    /// # Errors
    /// [`SrsError::Inconsistent`]; with probability at most N/r a wrong point passes.
    pub(super) fn check_consistency(&self, z: Fr) -> Result<(), SrsError> {
        check_powers(self.k, self.monomial(), [self.g2, self.tau_g2], z)?;
        self.check_lagrange(z)
    }

    /// The polynomial p with p(ω^j) = z^j has the coefficients (z^n − 1)/(n·(z·ω^{−m} − 1)), and both bases must
    /// commit to it alike.
    pub(super) fn check_lagrange(&self, z: Fr) -> Result<(), SrsError> {
        let (monomial, lagrange) = (self.monomial(), self.lagrange());
        let coefficients = coefficients_of_powers(self.k, z);
        let in_monomial = G1Projective::msm_unchecked(&monomial[..lagrange.len()], &coefficients);
        let in_lagrange = G1Projective::msm_unchecked(lagrange, &powers(z, lagrange.len()));
        if in_monomial != in_lagrange {
            return Err(SrsError::Inconsistent {
                what: "the Lagrange points do not belong to the monomial points",
            });
        }
        Ok(())
    }
}

/// Checks that these are `[τ^i]_1` for i < N, `[1]_2` and `[τ]_2`, with a τ for which 2^k rows have Lagrange points.
///
/// With S = Σ_{i<N} z^i·[τ^i], the pairing equation e(Σ_{i<N−1} z^i·[τ^{i+1}], [1]) = e(Σ_{i<N−1} z^i·[τ^i], [τ])
/// needs only S.
pub(super) fn check_powers(
    k: u32,
    monomial: &[G1Affine],
    [g2, tau_g2]: [G2Affine; 2],
    z: Fr,
) -> Result<(), SrsError> {
    let inconsistent = |what| Err(SrsError::Inconsistent { what });
    let (Some(first), Some(last)) = (monomial.first(), monomial.last()) else {
        return inconsistent("it has no points");
    };
    if *first != G1Affine::generator() || g2 != G2Affine::generator() {
        return inconsistent("it does not start with the generators");
    }
    if tau_g2 == g2 {
        return inconsistent("τ is one");
    }
    if monomial.get(1 << k) == Some(first) {
        return inconsistent("τ is a root of unity");
    }
    let powers_z = powers(z, monomial.len());
    let sum = G1Projective::msm_unchecked(monomial, &powers_z);
    let without_last = sum - *last * powers_z.last().copied().unwrap_or_default();
    let shifted = (sum - first.into_group()) * z.inverse().unwrap_or_default();
    if Bn254::multi_pairing([shifted, -without_last], [g2, tau_g2]) != PairingOutput::zero() {
        return inconsistent("the monomial points are not the powers of one τ");
    }
    Ok(())
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
