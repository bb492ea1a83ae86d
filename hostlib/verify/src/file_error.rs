//! What can be wrong with the bytes of a key file.

use thiserror::Error;

use crate::encoding::DecodeError;
use crate::error::CircuitError;

/// Why bytes are not a key, or not the one that is asked for.
#[derive(Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum FileError {
    /// The file is something else.
    #[error("this is not a {expected}; give the right file")]
    AnotherKind { expected: &'static str },
    /// The file was written by another version.
    #[error("the {what} has version {got}, expected {expected}; make it again with this version")]
    UnknownVersion { what: &'static str, expected: u32, got: u32 },
    /// The file ends early.
    #[error("the {what} is truncated: expected {expected} bytes, got {got}; copy or make it again")]
    Truncated { what: &'static str, expected: u64, got: u64 },
    /// The file goes on after its end.
    #[error("bytes follow the end of the {what}, which has {expected}; copy or make it again")]
    TooLong { what: &'static str, expected: u64 },
    /// The checksum does not match.
    #[error("the {what} is corrupted: its checksum does not match; copy or make it again")]
    Corrupted { what: &'static str },
    /// The body is not what it should be, though the checksum matches.
    #[error("the key is malformed; make it again from a source that you trust")]
    Malformed(#[from] DecodeError),
    /// Two parts do not fit.
    #[error("wrong number of {what}: expected {expected}, got {got}; make the file again")]
    Count { what: &'static str, expected: usize, got: usize },
    /// The circuit in the key breaks a rule.
    #[error("the key holds a circuit that cannot be used; make it again from a source that you trust")]
    Unusable(#[from] CircuitError),
}
