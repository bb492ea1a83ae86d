//! Which of the processor's instructions Kiln may use.

use kiln_kernels::cpu::Instructions;

/// Sets of instructions, each with those before it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Limit {
    /// What every processor of the kind has
    Portable,
    /// BMI2 and ADX
    Adx,
    /// AVX2 and FMA
    Avx2,
    /// AVX-512 IFMA
    Avx512,
}

impl Limit {
    /// What will be used.
    pub fn instructions(self) -> Instructions {
        let limit = match self {
            Self::Portable => Instructions::Portable,
            Self::Adx => Instructions::Adx,
            Self::Avx2 => Instructions::Avx2Fma,
            Self::Avx512 => Instructions::Avx512Ifma,
        };
        limit.min(Instructions::detected())
    }
}

/// For people.
pub fn in_words(instructions: Instructions) -> &'static str {
    match instructions {
        Instructions::Portable => "no special instructions",
        Instructions::Adx => "BMI2 and ADX",
        Instructions::Avx2Fma => "BMI2, ADX, AVX2 and FMA",
        Instructions::Avx512Ifma => "BMI2, ADX and AVX-512 IFMA",
    }
}
