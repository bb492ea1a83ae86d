//! What stands for [`ifma`](super) on processors that have no such instructions: never detected, so never used.

use ark_bn254::Fr;

#[derive(Clone, Copy, Debug)]
pub(super) enum Ifma {}

impl Ifma {
    pub(super) fn detect() -> Option<Ifma> {
        None
    }
}

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
