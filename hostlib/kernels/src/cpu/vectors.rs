//! The vector instructions that bulk kernels use.

use super::Instructions;
use super::fma::Fma;
use super::ifma::Ifma;
use super::lanes::{Job, Lanes};

/// The kind of [`Lanes`](super::lanes::Lanes) to use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Vectors {
    /// AVX-512 IFMA, eight elements.
    Ifma(Ifma),
    /// AVX2 and FMA, four elements.
    Fma(Fma),
}

impl Vectors {
    /// What must be allowed for it.
    pub(super) fn instructions(self) -> Instructions {
        match self {
            Vectors::Ifma(_) => Instructions::Avx512Ifma,
            Vectors::Fma(_) => Instructions::Avx2Fma,
        }
    }

    /// Runs a job, compiled for the instructions.
    pub(super) fn run<O, J: Job<Ifma, Out = O> + Job<Fma, Out = O>>(self, job: J) -> O {
        match self {
            Vectors::Ifma(ifma) => ifma.run(job),
            Vectors::Fma(fma) => fma.run(job),
        }
    }

    /// All that this processor has, the fastest first.
    pub(super) fn all() -> impl Iterator<Item = Vectors> {
        [Ifma::detect().map(Vectors::Ifma), Fma::detect().map(Vectors::Fma)].into_iter().flatten()
    }
}
