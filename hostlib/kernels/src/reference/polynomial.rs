//! Powers, evaluation and division by a linear factor.

use ark_bn254::Fr;
use ark_ff::Zero;

pub(super) fn powers(first: Fr, ratio: Fr, len: usize) -> Vec<Fr> {
    std::iter::successors(Some(first), |last| Some(*last * ratio)).take(len).collect()
}

/// Horner's rule.
pub(super) fn evaluate(coefficients: &[Fr], point: Fr) -> Fr {
    coefficients.iter().rev().fold(Fr::zero(), |sum, c| sum * point + c)
}

/// Synthetic division: `q[i] = v[i+1] + root·q[i+1]`; the remainder v(root) is dropped.
pub(super) fn divide_linear(v: &[Fr], root: Fr) -> Vec<Fr> {
    let mut quotient = vec![Fr::zero(); v.len() - 1];
    let mut carry = Fr::zero();
    for (q, c) in quotient.iter_mut().zip(&v[1..]).rev() {
        carry = carry * root + c;
        *q = carry;
    }
    quotient
}
