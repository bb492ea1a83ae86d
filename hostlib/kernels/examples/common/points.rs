//! Points to commit to.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, PrimeGroup};

/// `n` points, each the one before and a fixed one.
pub fn points(n: usize) -> Vec<G1Affine> {
    let step = G1Projective::generator() * Fr::from(0x1234_5678_9abc_u64);
    let sums = std::iter::successors(Some(step), |point| Some(*point + step));
    G1Projective::normalize_batch(&sums.take(n).collect::<Vec<_>>())
}
