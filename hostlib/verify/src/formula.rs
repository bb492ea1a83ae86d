//! Instance cells: what the verifier works out by itself from public inputs and challenges.
//!
//! A public tensor never becomes a column. The circuit compares the prover's random evaluation of its private copy
//! with the verifier's own evaluation of the public values, and that is one instance cell.

use alloc::vec::Vec;

use ark_bn254::Fr;

use crate::expression::Monomial;

/// `coefficient · Σ_{t < len} value_t · first · step^t`, where `value_t` is `public[start + t·stride]`, or one when
/// `public` is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// A constant factor.
    pub coefficient: Fr,
    /// `(start, stride)` into the public inputs.
    pub public: Option<(u32, u32)>,
    /// How many terms.
    pub len: u32,
    /// The weight of the first term.
    pub first: Monomial,
    /// The ratio between weights of neighbouring terms.
    pub step: Monomial,
}

/// One cell of an instance column; all cells not named are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceCell {
    /// Which instance column.
    pub column: u32,
    /// Which row.
    pub row: u32,
    /// The value: the sum of these runs.
    pub runs: Vec<Run>,
}
