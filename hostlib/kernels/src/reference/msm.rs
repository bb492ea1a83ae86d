//! Multi-scalar multiplication by its definition.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::Zero;

use crate::error::KernelFailure;
use crate::kernel::{ScalarBound, bound_violated, small_magnitude_vartime};

pub(super) fn msm_vartime(
    points: &[G1Affine],
    scalars: &[Fr],
    bound: ScalarBound,
) -> Result<G1Affine, KernelFailure> {
    if let ScalarBound::Signed { bits } = bound
        && let Some(index) = scalars.iter().position(|s| small_magnitude_vartime(s, bits).is_none())
    {
        return Err(bound_violated(index, bits));
    }
    let mut sum = G1Projective::zero();
    for (point, scalar) in points.iter().zip(scalars) {
        sum += *point * scalar;
    }
    Ok(sum.into_affine())
}
