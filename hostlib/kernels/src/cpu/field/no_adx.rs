//! What stands for [`Adx`](super::Adx) on other processors: never detected, so never used.

use ark_ff::MontConfig;

use super::{Limbs, Multiplier};

#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) enum Adx {}

impl Adx {
    pub(in crate::cpu) fn detect() -> Option<Adx> {
        None
    }
}

impl Multiplier for Adx {
    fn mul<C: MontConfig<4>>(self, _a: &Limbs, _b: &Limbs) -> Limbs {
        match self {}
    }
}
