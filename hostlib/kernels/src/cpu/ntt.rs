//! Number-theoretic transforms: radix 2, decimation in frequency, then bit reversal; parallel over the batch (by the
//! caller) and within.
//!
//! Twiddles are kept per level, each level contiguous, so the innermost loop reads them in order and one table serves
//! every smaller size.

use std::sync::{Arc, Mutex};

use ark_bn254::Fr;
use ark_ff::{FftField, Field, One, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::{GRAIN, polynomial};
use crate::host_data::HostData;
use crate::vector::lock;

/// The twiddles in use so far.
pub(super) struct Twiddles(Mutex<Arc<Vec<Fr>>>);

impl Twiddles {
    pub(super) fn new() -> Twiddles {
        Twiddles(Mutex::new(Arc::new(vec![Fr::one()])))
    }

    /// A table of at least 2^log_n entries: entry h + j, j < h, h a power of two, is ω_{2h}^j.
    pub(super) fn up_to(&self, log_n: u32) -> Arc<Vec<Fr>> {
        let mut table = lock(&self.0);
        if table.len() < 1 << log_n {
            *table = Arc::new(twiddle_table(log_n));
        }
        table.clone()
    }
}

fn twiddle_table(log_n: u32) -> Vec<Fr> {
    // The entry that no level uses, and the level h = 1.
    let mut table = vec![Fr::one(); 2];
    for level in 1..log_n {
        let h = 1usize << level;
        // Domains are powers of two up to 2^28, which all exist in this field.
        let root = Fr::get_root_of_unity(2 * h as u64).unwrap_or_else(Fr::one);
        table.append(&mut polynomial::powers(Fr::one(), root, h));
    }
    table
}

/// Evaluations on `shift·H` in natural order; see [`Kernel::EvaluateOnCoset`](crate::Kernel).
pub(super) fn evaluate_on_coset(coefficients: &HostData, log_n: u32, shift: Fr, table: &[Fr]) -> Vec<Fr> {
    let n = 1usize << log_n;
    let mut values = vec![Fr::zero(); n];
    coefficients.copy_to(0, &mut values);
    if !shift.is_one() {
        polynomial::scale_by_powers(&mut values, Fr::one(), shift);
    }
    // Higher coefficients fold: shift^i·X^i equals shift^i·X^(i mod n) on H.
    let mut folded: Vec<Fr> = Vec::new();
    for start in (n..coefficients.len()).step_by(n) {
        folded.clear();
        folded.resize(n.min(coefficients.len() - start), Fr::zero());
        coefficients.copy_to(start, &mut folded);
        polynomial::scale_by_powers(&mut folded, shift.pow([start as u64]), shift);
        values.par_iter_mut().zip(&folded).with_min_len(GRAIN).for_each(|(v, f)| *v += f);
    }
    // The high coefficients are what blinds a column.
    folded.zeroize();
    transform(&mut values, table);
    values
}

/// Coefficients from evaluations on `shift·H`; see [`Kernel::InterpolateCoset`](crate::Kernel).
pub(super) fn interpolate_coset(evaluations: &HostData, log_n: u32, shift: Fr, table: &[Fr]) -> Vec<Fr> {
    let n = 1usize << log_n;
    let mut values = evaluations.to_full();
    transform(&mut values, table);
    // The inverse transform is the forward one read backwards: ω^(−ik) = ω^((n−i)k).
    values[1..].reverse();
    let inverse = |x: Fr| x.inverse().unwrap_or_else(Fr::zero);
    polynomial::scale_by_powers(&mut values, inverse(Fr::from(n as u64)), inverse(shift));
    values
}

/// v[k] ← Σ_i v[i]·ω^(ik), natural order in and out.
fn transform(v: &mut [Fr], table: &[Fr]) {
    decimate(v, table);
    reverse_bits(v);
}

/// Natural order in, bit-reversed out (Gentleman and Sande 1966).
fn decimate(v: &mut [Fr], table: &[Fr]) {
    let h = v.len() / 2;
    if h == 0 {
        return;
    }
    let twiddles = &table[h..2 * h];
    let (low, high) = v.split_at_mut(h);
    if h < GRAIN {
        butterflies(low, high, twiddles);
        decimate(low, table);
        decimate(high, table);
        return;
    }
    low.par_chunks_mut(GRAIN)
        .zip(high.par_chunks_mut(GRAIN))
        .zip(twiddles.par_chunks(GRAIN))
        .for_each(|((low, high), twiddles)| butterflies(low, high, twiddles));
    rayon::join(|| decimate(low, table), || decimate(high, table));
}

fn butterflies(low: &mut [Fr], high: &mut [Fr], twiddles: &[Fr]) {
    for ((a, b), w) in low.iter_mut().zip(high).zip(twiddles) {
        let difference = *a - *b;
        *a += *b;
        *b = difference * w;
    }
}

fn reverse_bits(v: &mut [Fr]) {
    if v.len() < 2 {
        return;
    }
    let unused = usize::BITS - v.len().ilog2();
    for i in 0..v.len() {
        let j = i.reverse_bits() >> unused;
        if i < j {
            v.swap(i, j);
        }
    }
}
