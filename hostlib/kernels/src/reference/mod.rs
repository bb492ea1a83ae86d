//! The `reference` backend: every kernel by its definition, obvious and slow. Other backends answer to it.

mod invert;
mod msm;
mod ntt;
mod pointwise;
mod polynomial;
mod scan;

use ark_bn254::{Fr, G1Affine};

use crate::device::{Device, DeviceInfo};
use crate::error::KernelFailure;
use crate::host::{Arithmetic, HostDevice, Points};
use crate::host_data::HostData;
use crate::kernel::{ScalarBound, ScanKind};
use crate::program::Program;

/// A device that computes every kernel by its definition.
pub fn device() -> Box<dyn Device> {
    let info =
        DeviceInfo { name: "reference".into(), kind: "reference", memory_bytes: u64::MAX, clock_hz: None };
    Box::new(HostDevice::new(info, Definition))
}

struct Definition;

impl Arithmetic for Definition {
    fn powers(&self, first: Fr, ratio: Fr, len: usize) -> Vec<Fr> {
        polynomial::powers(first, ratio, len)
    }
    fn evaluate_on_coset(&self, coefficients: &[&HostData], log_n: u32, shift: Fr) -> Vec<Vec<Fr>> {
        coefficients.iter().map(|c| ntt::evaluate_on_coset(&c.to_full(), log_n, shift)).collect()
    }
    fn interpolate_coset(&self, evaluations: &[&HostData], log_n: u32, shift: Fr) -> Vec<Vec<Fr>> {
        evaluations.iter().map(|v| ntt::interpolate_coset(&v.to_full(), log_n, shift)).collect()
    }
    fn pointwise(&self, program: &Program, inputs: &[&HostData], len: usize) -> Vec<Vec<Fr>> {
        pointwise::run(program, inputs, len)
    }
    fn invert(&self, v: &HostData) -> Vec<Fr> {
        invert::invert(&v.to_full())
    }
    fn scan(&self, v: &HostData, kind: ScanKind) -> Vec<Fr> {
        scan::scan(&v.to_full(), kind)
    }
    fn divide_linear(&self, v: &HostData, root: Fr) -> Vec<Fr> {
        polynomial::divide_linear(&v.to_full(), root)
    }
    fn msms_vartime(
        &self,
        points: Points<'_>,
        columns: &[(&HostData, ScalarBound)],
    ) -> Vec<Result<G1Affine, KernelFailure>> {
        columns.iter().map(|&(v, bound)| msm::msm_vartime(points.own, &v.to_full(), bound)).collect()
    }
    fn evaluate(&self, v: &HostData, points: &[Fr]) -> Vec<Fr> {
        let coefficients = v.to_full();
        points.iter().map(|&point| polynomial::evaluate(&coefficients, point)).collect()
    }
}
