//! Exclusive prefix sums and products: totals of pieces, their prefix, then each piece.

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::GRAIN;
use crate::kernel::ScanKind;

pub(super) fn scan(v: Vec<Fr>, kind: ScanKind) -> Vec<Fr> {
    match kind {
        ScanKind::Sum => exclusive(v, Fr::zero(), |a, b| a + b),
        ScanKind::Product => exclusive(v, Fr::one(), |a, b| a * b),
    }
}

fn exclusive(mut v: Vec<Fr>, identity: Fr, combine: impl Fn(Fr, Fr) -> Fr + Sync) -> Vec<Fr> {
    let mut starts: Vec<Fr> =
        v.par_chunks(GRAIN).map(|piece| piece.iter().fold(identity, |total, &x| combine(total, x))).collect();
    exclusive_in_place(&mut starts, identity, &combine);
    v.par_chunks_mut(GRAIN)
        .zip(&starts)
        .for_each(|(piece, start)| exclusive_in_place(piece, *start, &combine));
    // They are sums of what may be secret.
    starts.zeroize();
    v
}

fn exclusive_in_place(v: &mut [Fr], start: Fr, combine: impl Fn(Fr, Fr) -> Fr) {
    let mut total = start;
    for x in v {
        let next = combine(total, *x);
        *x = total;
        total = next;
    }
}
