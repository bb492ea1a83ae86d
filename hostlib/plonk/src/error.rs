//! What can go wrong, by who can do something about it.

use kiln_kernels::KernelFailure;
use kiln_verify::{CircuitError, VerifyError};
use thiserror::Error;

use crate::proving_key::ProvingKeyError;
use crate::srs::SrsError;
use crate::witness::WitnessError;

/// Why there are no keys, or no commitment.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum KeyError {
    /// The circuit breaks a rule, or its key does not fit it.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The SRS has too few points.
    #[error("the SRS serves circuits of up to 2^{got} rows, this one has 2^{expected}; use a larger SRS")]
    SrsTooSmall { expected: u32, got: u32 },
    /// The SRS is damaged.
    #[error("the SRS cannot be used")]
    Srs(#[source] SrsError),
    /// A kernel gave no result.
    #[error("a kernel failed; look at the device that it names")]
    Kernel(#[from] KernelFailure),
}

/// Why no proof came out. Names places, never values.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum ProveError {
    /// A count does not fit the circuit.
    #[error("{what}: expected {expected}, got {got}; give what the circuit declares")]
    Count { what: String, expected: usize, got: usize },
    /// The statement does not fit the circuit.
    #[error("{what}: expected {expected}, got {got}; give what the circuit declares")]
    Statement { what: String, expected: String, got: String },
    /// The proving key is damaged.
    #[error("the proving key cannot be used")]
    Key(#[from] ProvingKeyError),
    /// The SRS is damaged.
    #[error("the SRS cannot be used")]
    Srs(#[from] SrsError),
    /// The SRS is not the one of the key.
    #[error("the SRS is not the one that this proving key was made with; use the SRS with the key's id")]
    SrsMismatch,
    /// The SRS has too few points.
    #[error("the SRS serves circuits of up to 2^{got} rows, this one has 2^{expected}; use a larger SRS")]
    SrsTooSmall { expected: u32, got: u32 },
    /// The memory bound cannot be met.
    #[error(
        "the proof cannot be made within {got} bytes of memory; the least that it needs is {expected} bytes"
    )]
    Memory { expected: u64, got: u64 },
    /// Columns cannot be kept on disk.
    #[error("columns cannot be kept on disk; name a directory with room and rights, or allow more memory")]
    Spill(#[source] std::io::Error),
    /// A looked-up tuple is not in its table.
    #[error(
        "lookup {lookup:?}: the tuple on row {row} is not in the table; check the witness with the mock checker"
    )]
    NotInTable { lookup: String, row: usize },
    /// The witness source failed.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The finished proof did not verify, so it was destroyed.
    #[error("the finished proof does not verify and was destroyed; check the witness with the mock checker")]
    Unsatisfied(#[source] VerifyError),
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}; nothing can be proven safely here")]
    Randomness(String),
    /// A kernel gave no result.
    #[error("a kernel failed; look at the device that it names")]
    Kernel(#[from] KernelFailure),
}
