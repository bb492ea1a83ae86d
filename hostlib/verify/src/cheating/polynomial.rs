//! Polynomials as coefficients, lowest first, by the definition: the circuits here have a handful of rows.

use std::vec::Vec;

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};

use crate::domain::root_of_unity;

/// Coefficients, lowest first.
pub type Polynomial = Vec<Fr>;

/// The value at a point.
pub fn evaluate(polynomial: &[Fr], point: Fr) -> Fr {
    polynomial.iter().rev().fold(Fr::zero(), |sum, coefficient| sum * point + coefficient)
}

/// `a + factor·b`
pub fn add_scaled(a: &mut Polynomial, b: &[Fr], factor: Fr) {
    a.resize(a.len().max(b.len()), Fr::zero());
    a.iter_mut().zip(b).for_each(|(a, b)| *a += factor * b);
}

/// The polynomial of fewer than 2^k coefficients with these values at the powers of `shift·ω`.
pub fn interpolate(k: u32, shift: Fr, values: &[Fr]) -> Polynomial {
    let inverse = root_of_unity(k).inverse().unwrap();
    let scale = Fr::from(values.len() as u64).inverse().unwrap();
    let unshift = shift.inverse().unwrap();
    (0..values.len() as u64).map(|j| evaluate(values, inverse.pow([j])) * scale * unshift.pow([j])).collect()
}

/// Quotient and remainder by `X^n − 1`.
pub fn divide_by_vanishing(polynomial: &[Fr], n: usize) -> (Polynomial, Polynomial) {
    let mut rest = polynomial.to_vec();
    let mut quotient = std::vec![Fr::zero(); polynomial.len().saturating_sub(n)];
    for i in (n..polynomial.len()).rev() {
        quotient[i - n] = rest[i];
        let top = rest[i];
        rest[i - n] += top;
        rest[i] = Fr::zero();
    }
    rest.truncate(n);
    (quotient, rest)
}

/// Quotient by `X − root`; the remainder is let go.
pub fn divide_by_root(polynomial: &[Fr], root: Fr) -> Polynomial {
    let mut carry = Fr::zero();
    let mut quotient: Polynomial = polynomial
        .iter()
        .rev()
        .map(|coefficient| {
            carry = carry * root + coefficient;
            carry
        })
        .collect();
    quotient.pop();
    quotient.reverse();
    quotient
}

/// `base^i` for i < count.
pub fn powers(base: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::one()), |power| Some(*power * base)).take(count).collect()
}

#[test]
fn interpolation_and_division_undo_evaluation_and_multiplication() {
    let f: Polynomial = (1..9u64).map(Fr::from).collect();
    let shift = Fr::from(7);
    let values: Vec<Fr> = powers(root_of_unity(3), 8).iter().map(|x| evaluate(&f, shift * x)).collect();
    assert_eq!(interpolate(3, shift, &values), f);
    let (quotient, rest) = divide_by_vanishing(&f, 3);
    let x = Fr::from(11);
    let vanishing = x.pow([3]) - Fr::one();
    assert_eq!(evaluate(&quotient, x) * vanishing + evaluate(&rest, x), evaluate(&f, x));
    let quotient = divide_by_root(&f, shift);
    assert_eq!(evaluate(&quotient, x) * (x - shift) + evaluate(&f, shift), evaluate(&f, x));
}
