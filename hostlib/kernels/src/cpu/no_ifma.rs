//! What stands for [`ifma`](super) on processors that have no such instructions: never detected, so never used.

use ark_bn254::{Fq, Fr, G1Affine};
use ark_ff::BigInt;

use super::lanes::{Job, Lanes};
use super::msm::{Entry, Lists, Special};

#[derive(Clone, Copy, Debug)]
pub(super) enum Ifma {}

impl Ifma {
    pub(super) fn detect() -> Option<Ifma> {
        None
    }

    pub(super) fn powers(self, _values: &mut [Fq], _exponent: BigInt<4>) {
        match self {}
    }

    pub(super) fn add_pairs(
        self,
        _pairs: &[[Entry; 2]],
        _lists: &Lists<'_>,
        _special: &mut Special,
        _scratch: &mut AdditionScratch,
        _sums: &mut Vec<G1Affine>,
    ) {
        match self {}
    }
}

#[derive(Default)]
pub(super) struct AdditionScratch;

impl Lanes for Ifma {
    const WIDTH: usize = 1;
    const BOUND_MAX: u64 = 2;
    const BOUND_LOADED: u64 = 1;
    type Run = [Fr; 1];
    type Stored = ();
    type Factor = ();
    const ZERO: () = ();

    fn runs(v: &[Fr]) -> &[[Fr; 1]] {
        v.as_chunks().0
    }
    fn runs_mut(v: &mut [Fr]) -> &mut [[Fr; 1]] {
        v.as_chunks_mut().0
    }
    fn elements(run: &mut [Fr; 1]) -> &mut [Fr] {
        run
    }
    fn repeat(x: Fr) -> [Fr; 1] {
        [x]
    }
    fn factor(_x: Fr) {}
    fn run<J: Job<Ifma>>(self, _job: J) -> J::Out {
        match self {}
    }
    fn load(self, _run: &[Fr; 1], _out: &mut ()) {}
    fn load_factors(self, _run: &[Fr; 1], _out: &mut ()) {}
    fn store(self, _x: &(), _out: &mut [Fr; 1]) {}
    fn store_scaled(self, _x: &(), _scale: &(), _out: &mut [Fr; 1]) {}
    fn product(self, _a: &(), _b: &(), _out: &mut ()) {}
    fn scaled(self, _a: &(), _b: &(), _out: &mut ()) {}
    fn butterfly(self, _layer: u32, _low: &mut (), _high: &mut (), _factor: &()) {}
    fn butterfly_by(self, _layer: u32, _low: &mut (), _high: &mut (), _factor: &()) {}
    fn load_register(self, _run: &[Fr; 1], _out: &mut ()) {}
    fn store_register(self, _x: &(), _out: &mut [Fr; 1]) {}
    fn constant(self, _x: Fr) {}
    fn add(self, _a: &(), _b: &(), _out: &mut ()) {}
    fn sub(self, _a: &(), _b: &(), _bound: u64, _out: &mut ()) {}
    fn mul(self, _a: &(), _b: &(), _out: &mut ()) {}
    fn bound_of_sum(_a: u64, _b: u64) -> u64 {
        1
    }
    fn bound_of_product(_a: u64, _b: u64) -> u64 {
        1
    }
    fn reduce(self, _x: &mut ()) {}
}
