//! Batch inversion by Montgomery's trick (Montgomery 1987, section 10.3.1), in parallel pieces.

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use rayon::prelude::*;

use super::GRAIN;
use super::field::inverse;

/// Inverses; 0 ↦ 0.
pub(super) fn invert(mut v: Vec<Fr>) -> Vec<Fr> {
    v.par_chunks_mut(GRAIN).for_each(invert_piece);
    v
}

/// One inversion and three multiplications per element: prefix products up, then the inverse of the whole down.
fn invert_piece(piece: &mut [Fr]) {
    let mut product = Fr::one();
    let mut prefixes = Vec::with_capacity(piece.len());
    for x in piece.iter() {
        prefixes.push(product);
        if !x.is_zero() {
            product *= x;
        }
    }
    // A product of elements that are not zero is not zero.
    let mut inverse = inverse(&product).unwrap_or_else(Fr::zero);
    for (x, prefix) in piece.iter_mut().zip(prefixes).rev() {
        if !x.is_zero() {
            let next = inverse * *x;
            *x = inverse * prefix;
            inverse = next;
        }
    }
}
