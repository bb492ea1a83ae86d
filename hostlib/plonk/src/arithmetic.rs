//! Verification on several threads, and by this processor's vector instructions.

use ark_bn254::{Fq, G1Affine};
use kiln_kernels::cpu::{CurveArithmetic, Instructions};
use kiln_verify::{Arithmetic, Portable, Summand};
use rayon::prelude::*;

/// The arithmetic of the `cpu` backend, for [`verify_by`](crate::verify_by): the same verdicts as [`verify`](crate::verify) in
/// about half the time where there is AVX-512 IFMA. Whoever passes it trusts the kernels' sums, `unsafe` code included,
/// besides the verifier.
#[derive(Clone, Copy, Debug)]
pub struct ProcessorArithmetic(CurveArithmetic);

impl ProcessorArithmetic {
    /// By the best instructions that this processor has, found at run time.
    pub fn detect() -> Self {
        Self(CurveArithmetic::limited_to(Instructions::detected()))
    }
}

/// The verifier's own arithmetic in plain Rust, on several threads: the same verdicts as [`verify`](crate::verify) in about two thirds of
/// the time on two.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortableThreads;

impl Arithmetic for PortableThreads {
    fn add_pairs(&self, points: &[G1Affine], pairs: &[[Summand; 2]], sums: &mut Vec<G1Affine>) {
        Portable.add_pairs(points, pairs, sums);
    }

    fn roots(&self, values: &mut [Fq]) {
        let each = values.len().div_ceil(rayon::current_num_threads()).max(1);
        values.par_chunks_mut(each).for_each(|values| Portable.roots(values));
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        rayon::join(first, second);
    }
}

impl Arithmetic for ProcessorArithmetic {
    fn add_pairs(&self, points: &[G1Affine], pairs: &[[Summand; 2]], sums: &mut Vec<G1Affine>) {
        let operand = |summand: Summand| (summand.index(), summand.is_negative());
        self.0.add_pairs_vartime(points, pairs, |pair| pair.map(operand), sums);
    }

    fn roots(&self, values: &mut [Fq]) {
        self.0.roots(values);
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        rayon::join(first, second);
    }
}
