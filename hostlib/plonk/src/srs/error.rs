//! What can be wrong with an SRS.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::encoding::DecodeError;

/// Why there is no usable SRS.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum SrsError {
    /// The file cannot be read or written.
    #[error("cannot access the SRS file {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file is something else.
    #[error("this is not an SRS file; make one with `setup`")]
    NotAnSrs,
    /// The file was written by another version.
    #[error("the SRS file has version {got}, expected {expected}; make it again with `setup`")]
    UnknownVersion { expected: u32, got: u32 },
    /// The file does not say where it comes from.
    #[error("the SRS file does not say INSECURE nor anything else that is known of its origin")]
    UnknownOrigin,
    /// More rows than are supported.
    #[error("an SRS may serve up to 2^{expected} rows, got 2^{got}")]
    SizeOutOfRange { expected: u32, got: u32 },
    /// The file ends early.
    #[error("the SRS file is truncated: expected {expected} bytes, got {got}; copy or make it again")]
    Truncated { expected: u64, got: u64 },
    /// The file goes on after its end.
    #[error("the SRS file is too long: expected {expected} bytes, got at least {got}; copy or make it again")]
    TooLong { expected: u64, got: u64 },
    /// The checksum does not match.
    #[error("the SRS file is corrupted: its checksum does not match; copy or make it again")]
    Corrupted,
    /// A point is not a point.
    #[error("point {index} of the SRS is invalid: {source}")]
    Point { index: usize, source: DecodeError },
    /// The points are not powers of one τ.
    #[error("the SRS is inconsistent: {what}; do not use it")]
    Inconsistent { what: &'static str },
}
