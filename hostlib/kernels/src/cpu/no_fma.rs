//! What stands for [`fma`](super) on processors that have no such instructions: never detected, so never used.

pub(super) use super::ifma::{AdditionScratch, Ifma as Fma};
