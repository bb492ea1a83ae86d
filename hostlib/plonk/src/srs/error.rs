//! What can be wrong with an SRS.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::encoding::DecodeError;
use crate::sections::SectionError;

/// Why there is no usable SRS.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum SrsError {
    /// The file cannot be read or written.
    #[error("cannot access the SRS file {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file as such is not what it should be.
    #[error(transparent)]
    File(#[from] SectionError),
    /// The header holds something else than it should.
    #[error("the header of the SRS file is malformed; make it again with `setup`")]
    NotAnSrs,
    /// The file does not say where it comes from.
    #[error("the SRS file neither says INSECURE nor names a ceremony file; make it again with `setup`")]
    UnknownOrigin,
    /// More rows than are supported.
    #[error("an SRS may serve up to 2^{expected} rows, got 2^{got}")]
    SizeOutOfRange { expected: u32, got: u32 },
    /// A point is not a point.
    #[error("point {index} of the SRS is invalid: {source}")]
    Point { index: usize, source: DecodeError },
    /// The points are not powers of one τ.
    #[error("the SRS is inconsistent: {what}; do not use it")]
    Inconsistent { what: &'static str },
    /// The ceremony file is not what it should be.
    #[error(transparent)]
    Ptau(#[from] PtauError),
}

/// What can be wrong with the form of a ceremony file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum PtauError {
    /// The file is something else.
    #[error("this is not a ptau file: it starts with {got:?}, expected \"ptau\"")]
    NotPtau { got: String },
    /// Another version of the format.
    #[error("the ptau file has version {got}, expected {expected}; convert it with snarkjs")]
    UnknownVersion { expected: u32, got: u32 },
    /// More sections than any such file has.
    #[error(
        "the ptau file announces {got} sections, expected at most {expected}; it is corrupted, get it again"
    )]
    TooManySections { expected: u32, got: u32 },
    /// The file ends early.
    #[error("the ptau file is truncated: expected at least {expected} bytes, got {got}; get it again")]
    Truncated { expected: u64, got: u64 },
    /// Something follows the last section.
    #[error("the ptau file is too long: expected {expected} bytes, got {got}; get it again")]
    TooLong { expected: u64, got: u64 },
    /// A section is missing or there twice.
    #[error("the ptau file has {got} sections of type {section}, expected {expected}; get a complete file")]
    SectionCount { section: u32, expected: usize, got: usize },
    /// A section does not have the length that the file's power asks for.
    #[error("section {section} of the ptau file has {got} bytes, expected {expected}; get it again")]
    SectionSize { section: u32, expected: u64, got: u64 },
    /// The file is for another curve.
    #[error("the ptau file is for another curve than BN254: expected the prime {expected}, got {got}")]
    WrongCurve { expected: String, got: String },
    /// The powers in the header make no sense.
    #[error("{what} of the ptau file is out of range: expected {min} to {max}, got {got}; get it again")]
    PowerOutOfRange { what: &'static str, min: u32, max: u32, got: u32 },
    /// The file has too few powers of τ.
    #[error(
        "the ptau file is too small for 2^{k} rows: expected {expected} powers of τ, got {got}; \
         get the file of power {power} or more of the same ceremony"
    )]
    TooSmall { k: u32, power: u32, expected: u64, got: u64 },
    /// Another ceremony than the one that was asked for.
    #[error(
        "the ptau file is of another ceremony: expected the fingerprint {expected}, got {got}; do not use it"
    )]
    Fingerprint { expected: String, got: String },
}
