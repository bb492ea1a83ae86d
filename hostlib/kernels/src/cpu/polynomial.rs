//! Powers, evaluation and division by a linear factor, in parallel pieces.

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::GRAIN;
use crate::host_data::HostData;

pub(super) fn powers(first: Fr, ratio: Fr, len: usize) -> Vec<Fr> {
    let mut out = vec![Fr::zero(); len];
    out.par_chunks_mut(GRAIN).enumerate().for_each(|(piece, out)| {
        let mut power = first * ratio.pow([(piece * GRAIN) as u64]);
        for out in out {
            *out = power;
            power *= ratio;
        }
    });
    out
}

/// Multiplies `v[i]` by `first·ratio^i`.
pub(super) fn scale_by_powers(v: &mut [Fr], first: Fr, ratio: Fr) {
    v.par_chunks_mut(GRAIN).enumerate().for_each(|(piece, v)| {
        let mut power = first * ratio.pow([(piece * GRAIN) as u64]);
        for v in v {
            *v *= power;
            power *= ratio;
        }
    });
}

/// Horner's rule on pieces, then on the pieces' values.
pub(super) fn evaluate(v: &HostData, points: &[Fr]) -> Vec<Fr> {
    let pieces = v.len().div_ceil(GRAIN);
    let values: Vec<Vec<Fr>> = (0..pieces)
        .into_par_iter()
        .map(|piece| {
            let start = piece * GRAIN;
            let mut coefficients = vec![Fr::zero(); GRAIN.min(v.len() - start)];
            v.copy_to(start, &mut coefficients);
            let values = points.iter().map(|&point| horner(&coefficients, point)).collect();
            coefficients.zeroize();
            values
        })
        .collect();
    points
        .iter()
        .enumerate()
        .map(|(at, point)| {
            let step = point.pow([GRAIN as u64]);
            values.iter().rev().fold(Fr::zero(), |sum, piece| sum * step + piece[at])
        })
        .collect()
}

fn horner(coefficients: &[Fr], point: Fr) -> Fr {
    coefficients.iter().rev().fold(Fr::zero(), |sum, c| sum * point + c)
}

/// Synthetic division `q[i] = v[i+1] + root·q[i+1]`. Each piece's carry is found first: the carry into a piece is the
/// value at the root of all that lies above it.
pub(super) fn divide_linear(mut v: Vec<Fr>, root: Fr) -> Vec<Fr> {
    if v.is_empty() {
        return v;
    }
    v.remove(0);
    let step = root.pow([GRAIN as u64]);
    let values: Vec<Fr> = v.par_chunks(GRAIN).map(|piece| horner(piece, root)).collect();
    let mut carries = vec![Fr::zero(); values.len()];
    for piece in (1..values.len()).rev() {
        carries[piece - 1] = carries[piece] * step + values[piece];
    }
    v.par_chunks_mut(GRAIN).zip(carries).for_each(|(piece, mut carry)| {
        for c in piece.iter_mut().rev() {
            carry = carry * root + *c;
            *c = carry;
        }
    });
    v
}
