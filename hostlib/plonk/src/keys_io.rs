//! The secret halves of committed groups as files, in the frame that [`kiln_verify`] gives all keys: a
//! header, a body, and a Keccak-256 checksum over both.
//!
//! magic, 8 bytes | version u32 | body length u64 | body | checksum, 32 bytes. Everything in the body is in the
//! canonical encoding of [`crate::encoding`], so that there is one file for each key. What can be worked out again is
//! not stored but worked out, and all rules are checked again: whoever holds a key need not ask where it comes from.

mod error;
mod stream;

use std::io::{Read, Write};

use ark_bn254::Fr;
use kiln_kernels::HostData;
use kiln_verify::FileError;
use kiln_verify::internals::file::FileKind;
use zeroize::Zeroizing;

use crate::encoding::{Canonical, DecodeError, Reader};
use crate::keys::CommittedSecret;
use crate::witness::ColumnValues;

pub use error::KeyFileError;

const COMMITTED_SECRET: FileKind =
    FileKind { magic: *b"KILN-CS\n", name: "secret half of a commitment", version: 1 };

impl CommittedSecret {
    /// Writes the secret half of a committed group: values and blinding, in the clear. Keep the file as the values.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn write(&self, out: impl Write) -> Result<(), KeyFileError> {
        // Large enough from the start: a buffer that grows would leave copies behind.
        let values: usize = self.values.iter().map(column_bytes).sum();
        let blinding: usize = self.blinding.iter().map(|coefficients| 8 + 32 * coefficients.len()).sum();
        let mut body = Zeroizing::new(Vec::with_capacity(16 + values + blinding));
        stored(&self.values).encode(&mut body);
        self.blinding.encode(&mut body);
        stream::write(&COMMITTED_SECRET, &body, out)
    }

    /// Reads the secret half of a committed group to the end of the input. That it belongs to a public half shows
    /// when a proof made with both verifies.
    ///
    /// # Errors
    /// [`KeyFileError`] says what is wrong, and never a value.
    pub fn read(input: impl Read) -> Result<Self, KeyFileError> {
        let file = stream::read(&COMMITTED_SECRET, input)?;
        let mut reader = Reader::new(COMMITTED_SECRET.open(&file)?.0);
        let values = Vec::decode(&mut reader).map_err(FileError::from)?;
        let blinding: Vec<Vec<Fr>> = Canonical::decode(&mut reader).map_err(FileError::from)?;
        let group = Self { values: columns(values), blinding };
        reader.finish().map_err(FileError::from)?;
        if group.values.len() != group.blinding.len() {
            let (expected, got) = (group.values.len(), group.blinding.len());
            return Err(FileError::Count { what: "blinded columns", expected, got }.into());
        }
        Ok(group)
    }
}

/// Length of a column's encoding.
fn column_bytes(column: &ColumnValues) -> usize {
    match column {
        HostData::Small(values) => 9 + 4 * values.len(),
        HostData::Full(values) => 9 + 32 * values.len(),
    }
}

/// A column in a file: a tag (0: four-byte integers, 1: scalars) and the values.
struct Stored(ColumnValues);

/// Columns as they are stored. Shares the values.
fn stored(columns: &[ColumnValues]) -> Vec<Stored> {
    columns.iter().cloned().map(Stored).collect()
}

fn columns(stored: Vec<Stored>) -> Vec<ColumnValues> {
    stored.into_iter().map(|Stored(values)| values).collect()
}

impl Canonical for Stored {
    fn encode(&self, out: &mut Vec<u8>) {
        match &self.0 {
            HostData::Small(values) => {
                0u8.encode(out);
                encode_slice(values, out);
            }
            HostData::Full(values) => {
                1u8.encode(out);
                encode_slice(values, out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Vec::decode(reader).map(|values| Self(HostData::small(values))),
            1 => Vec::decode(reader).map(|values| Self(HostData::full(values))),
            got => Err(DecodeError::UnknownTag { what: "column", got }),
        }
    }
}

/// As a vector of these values is encoded.
fn encode_slice<T: Canonical>(values: &[T], out: &mut Vec<u8>) {
    (values.len() as u64).encode(out);
    values.iter().for_each(|value| value.encode(out));
}
