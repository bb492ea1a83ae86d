//! Verification by this processor's vector instructions.

use ark_bn254::{Fq, Fr, G1Affine, G1Projective};
use kiln_kernels::cpu::{CurveArithmetic, Instructions};
use kiln_verify::{Arithmetic, Portable};

/// Sums of fewer terms are as quick without buckets.
const TERMS_MIN: usize = 64;

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

impl Arithmetic for ProcessorArithmetic {
    fn sum_of_multiples_vartime(&self, terms: &[(G1Affine, Fr)]) -> G1Projective {
        if terms.len() < TERMS_MIN {
            return Portable.sum_of_multiples_vartime(terms);
        }
        self.0.sum_of_multiples_vartime(terms)
    }

    fn roots(&self, values: &mut [Fq]) {
        self.0.roots(values);
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        rayon::join(first, second);
    }
}
