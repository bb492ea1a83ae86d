//! The `cpu` backend: sound and parallel over the threads of the current `rayon` pool.

mod curve;
mod field;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions; the module's documentation says what is relied on")]
mod fma;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_fma.rs"]
mod fma;
mod four_step;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions; the module's documentation says what is relied on")]
mod ifma;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_ifma.rs"]
mod ifma;
mod invert;
mod lanes;
mod msm;
mod ntt;
pub mod operations;
mod pointwise;
mod polynomial;
#[allow(unsafe_code, reason = "one instruction that only takes an address")]
mod prefetch;
mod scan;
mod stretches;
mod vectors;

use ark_bn254::{Fr, G1Affine};
use ark_ff::One;
use rayon::prelude::*;

pub use self::curve::CurveArithmetic;
use self::field::Adx;
use self::vectors::Vectors;
use crate::device::{Device, DeviceInfo};
use crate::error::KernelFailure;
use crate::host::{Arithmetic, HostDevice, Points};
use crate::host_data::HostData;
use crate::kernel::{ScalarBound, ScanKind};
use crate::large_pages::filled;
use crate::program::Program;

/// A device made of this machine's processor cores.
pub fn device() -> Box<dyn Device> {
    device_limited_to(Instructions::Avx512Ifma)
}

/// Instructions beyond those that every processor of an architecture has, from fewest to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// None.
    Portable,
    /// BMI2 and ADX of x86-64.
    Adx,
    /// Besides, AVX2 and FMA.
    Avx2Fma,
    /// Besides, AVX-512 with its 52-bit multiplications.
    Avx512Ifma,
}

/// [`device`], made to use these instructions at most. It gives the same results, slower.
pub fn device_limited_to(limit: Instructions) -> Box<dyn Device> {
    let features = Features::detect(limit);
    let info = DeviceInfo { name: "cpu".into(), kind: "cpu", memory_bytes: u64::MAX, clock_hz: None };
    Box::new(HostDevice::new(info, Cores { features, transforms: ntt::Transforms::new(features.vectors) }))
}

impl Instructions {
    /// The most that this processor has.
    pub fn detected() -> Instructions {
        let features = Features::detect(Instructions::Avx512Ifma);
        match (features.vectors, features.adx) {
            (Some(vectors), _) => vectors.instructions(),
            (None, Some(_)) => Instructions::Adx,
            (None, None) => Instructions::Portable,
        }
    }
}

/// The instructions that may be used.
#[derive(Clone, Copy, Debug)]
struct Features {
    adx: Option<Adx>,
    vectors: Option<Vectors>,
}

impl Features {
    /// What the processor has, within a limit.
    fn detect(limit: Instructions) -> Features {
        Features {
            adx: Adx::detect().filter(|_| limit >= Instructions::Adx),
            vectors: Vectors::all().find(|vectors| limit >= vectors.instructions()),
        }
    }
}

/// Elements that one task of a parallel loop handles: enough to pay for the task, few enough to share out.
const GRAIN: usize = 4096;

/// All elements as field elements.
fn full(v: &HostData) -> Vec<Fr> {
    filled(v.len(), |first, out| v.copy_to(first, out))
}

struct Cores {
    features: Features,
    transforms: ntt::Transforms,
}

impl Arithmetic for Cores {
    fn powers(&self, first: Fr, ratio: Fr, len: usize) -> Vec<Fr> {
        polynomial::powers(self.features.vectors, first, ratio, len)
    }
    fn evaluate_on_coset(&self, coefficients: &[&HostData], log_n: u32, shift: Fr) -> Vec<Vec<Fr>> {
        let transform = self.transforms.on_coset(log_n, shift);
        coefficients.par_iter().map(|c| ntt::evaluate_on_coset(c, log_n, shift, &transform)).collect()
    }
    fn interpolate_coset(&self, evaluations: &[&HostData], log_n: u32, shift: Fr) -> Vec<Vec<Fr>> {
        let transform = self.transforms.on_coset(log_n, Fr::one());
        evaluations.par_iter().map(|v| ntt::interpolate_coset(v, log_n, shift, &transform)).collect()
    }
    fn pointwise(&self, program: &Program, inputs: &[&HostData], len: usize) -> Vec<Vec<Fr>> {
        pointwise::run(self.features.vectors, program, inputs, len)
    }
    fn invert(&self, v: &HostData) -> Vec<Fr> {
        invert::invert(self.features.vectors, full(v))
    }
    fn scan(&self, v: &HostData, kind: ScanKind) -> Vec<Fr> {
        scan::scan(self.features.vectors, full(v), kind)
    }
    fn divide_linear(&self, v: &HostData, root: Fr) -> Vec<Fr> {
        polynomial::divide_linear(self.features.vectors, full(v), root)
    }
    fn msms_vartime(
        &self,
        points: Points<'_>,
        columns: &[(&HostData, ScalarBound)],
    ) -> Vec<Result<G1Affine, KernelFailure>> {
        msm::msms_vartime(self.features, points, columns)
    }
    fn evaluate(&self, v: &HostData, points: &[Fr]) -> Vec<Fr> {
        polynomial::evaluate(self.features.vectors, v, points)
    }
}
