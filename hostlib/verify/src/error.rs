//! What can be wrong, by who can do something about it.

use alloc::string::String;

use thiserror::Error;

/// A circuit, or a key, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum CircuitError {
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
