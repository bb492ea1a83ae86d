//! Why bytes from the other side were refused.

use core::fmt;

/// Why bytes from the other side were refused. Each variant carries what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The text of a variant explains its fields.
pub enum ParseError {
    /// No command has this opcode.
    UnknownOpcode { got: u8 },
    /// A coded field holds a number that means nothing.
    UnknownCode { field: &'static str, got: u64 },
    /// A field is outside its range (both ends included).
    OutOfRange { field: &'static str, got: u64, min: u64, max: u64 },
    /// A structure is longer or shorter than it must be.
    Length { what: &'static str, expected: u64, got: u64 },
    /// A reserved byte is not zero, or a number is not written in its only form.
    Reserved { what: &'static str, offset: u64 },
    /// Step `index` of a vector program names something that is not there.
    Instruction { index: u32, reason: &'static str },
}

impl ParseError {
    /// A number that says where: the byte offset, the instruction index, or the offending value.
    pub fn detail(&self) -> u64 {
        match *self {
            ParseError::UnknownOpcode { got } => u64::from(got),
            ParseError::UnknownCode { got, .. }
            | ParseError::OutOfRange { got, .. }
            | ParseError::Length { got, .. } => got,
            ParseError::Reserved { offset, .. } => offset,
            ParseError::Instruction { index, .. } => u64::from(index),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::UnknownOpcode { got } => write!(f, "no command has opcode {got:#04x}"),
            ParseError::UnknownCode { field, got } => write!(f, "{field} has the unknown code {got}"),
            ParseError::OutOfRange { field, got, min, max } => {
                write!(f, "{field} must be from {min} to {max}, got {got}")
            }
            ParseError::Length { what, expected, got } => {
                write!(f, "{what} must be {expected} bytes long, got {got}")
            }
            ParseError::Reserved { what, offset } => {
                write!(f, "{what} has a reserved bit set in byte {offset}; it must be zero")
            }
            ParseError::Instruction { index, reason } => {
                write!(f, "instruction {index} of the program: {reason}")
            }
        }
    }
}

impl core::error::Error for ParseError {}

/// Refuses `got` outside `min..=max`.
pub(crate) fn in_range(field: &'static str, got: u64, min: u64, max: u64) -> Result<u64, ParseError> {
    if got < min || got > max { Err(ParseError::OutOfRange { field, got, min, max }) } else { Ok(got) }
}
