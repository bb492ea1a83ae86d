//! What stands for [`ifma`](super) on processors that have no such instructions: never detected, so never used.

use ark_bn254::{Fr, G1Affine};

use super::msm::{Entry, Lists, Special};
use crate::program::Program;

#[derive(Clone, Copy, Debug)]
pub(super) enum Ifma {}

impl Ifma {
    pub(super) fn detect() -> Option<Ifma> {
        None
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

pub(super) const LOG_N_MIN: u32 = 6;

pub(super) struct Plan(Ifma);

impl Plan {
    pub(super) fn new(ifma: Ifma, _log_n: u32, _shift: Fr) -> Plan {
        Plan(ifma)
    }

    pub(super) fn transform(&self, _v: &[Fr], _scale: Fr) -> Vec<Fr> {
        match self.0 {}
    }
}

pub(super) const BLOCK: usize = 64;

pub(super) struct Prepared(Ifma);

impl Prepared {
    pub(super) fn new(ifma: Ifma, _program: &Program) -> Prepared {
        Prepared(ifma)
    }

    pub(super) fn registers(&self) {
        match self.0 {}
    }

    pub(super) fn run_block(
        &self,
        _registers: &mut (),
        _outputs: &mut [&mut [Fr]],
        _load: impl Fn(u16, i32, &mut [Fr]),
    ) {
        match self.0 {}
    }
}
