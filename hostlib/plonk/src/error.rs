//! What can go wrong, by who can do something about it.

use kiln_kernels::KernelFailure;
use thiserror::Error;

use crate::proving_key::ProvingKeyError;
use crate::srs::SrsError;
use crate::witness::WitnessError;

/// A circuit, or a key, that cannot be used.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum KeyError {
    /// A count does not fit the circuit.
    #[error(
        "the key has {got} {what}, but its circuit needs {expected}; make the key again from this circuit"
    )]
    Count { what: &'static str, expected: usize, got: usize },
    /// A number of the circuit is out of range.
    #[error("the circuit's {what} is {got}, which is not in {min}..={max}; choose another layout")]
    Range { what: &'static str, min: u64, max: u64, got: u64 },
    /// An expression breaks a rule.
    #[error("{what} {name:?} {problem}; change the circuit")]
    Expression { what: &'static str, name: String, problem: String },
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

/// Why a proof was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum VerifyError {
    /// The statement does not fit the circuit.
    #[error(
        "malformed statement: {what}: expected {expected}, got {got}; give what the verifying key asks for"
    )]
    Statement { what: String, expected: String, got: String },
    /// The bytes are not a proof of this version for this circuit.
    #[error("malformed proof: {0}; ask for an intact copy")]
    Malformed(#[from] MalformedProof),
    /// A well-formed proof of something that is not so.
    #[error("the proof is false: {0}; do not rely on it")]
    Rejected(Rejection),
}

/// How bytes fail to be a proof.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum MalformedProof {
    /// Wrong length.
    #[error("expected {expected} bytes, got {got}")]
    Length { expected: usize, got: usize },
    /// Wrong magic or version.
    #[error("it does not begin with the header of proof version {expected}")]
    Header { expected: u8 },
    /// Not the canonical encoding of a point other than infinity on the curve.
    #[error("{what} is not a canonical point of the curve")]
    Point { what: &'static str },
    /// A scalar that is not below the group order.
    #[error("{what} is not a canonical scalar")]
    Scalar { what: &'static str },
}

/// Why a well-formed proof is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The opening does not check: commitments, evaluations and constraints do not belong together.
    #[error("the pairing check of its opening fails")]
    Pairing,
    /// A challenge hit a value that only happens with negligible probability.
    #[error("a challenge is a forbidden value")]
    Challenge,
}
