//! Evaluation on a coset and interpolation from it, by their definitions: quadratic.

use ark_bn254::Fr;
use ark_ff::{FftField, Field, One, Zero};

use super::polynomial;

/// v[i] = c(shift·ω^i)
pub(super) fn evaluate_on_coset(coefficients: &[Fr], log_n: u32, shift: Fr) -> Vec<Fr> {
    let n = 1usize << log_n;
    polynomial::powers(shift, root_of_unity(n), n)
        .into_iter()
        .map(|point| polynomial::evaluate(coefficients, point))
        .collect()
}

/// c[k] = shift^−k · (1/n) · Σ_i v[i]·ω^(−ik)
pub(super) fn interpolate_coset(evaluations: &[Fr], log_n: u32, shift: Fr) -> Vec<Fr> {
    let n = 1usize << log_n;
    let inverse = |x: Fr| x.inverse().unwrap_or_else(Fr::zero);
    let scale = polynomial::powers(inverse(Fr::from(n as u64)), inverse(shift), n);
    polynomial::powers(Fr::one(), inverse(root_of_unity(n)), n)
        .into_iter()
        .zip(scale)
        .map(|(point, scale)| scale * polynomial::evaluate(evaluations, point))
        .collect()
}

fn root_of_unity(n: usize) -> Fr {
    // Domains are powers of two up to 2^28, which all exist in this field.
    Fr::get_root_of_unity(n as u64).unwrap_or_else(Fr::one)
}
