//! Keys and committed groups as files: a header, a body, and a Keccak-256 checksum over both.
//!
//! magic, 8 bytes | version u32 | body length u64 | body | checksum, 32 bytes. Everything in the body is in the
//! canonical encoding of [`crate::encoding`], so that there is one file for each key. What can be worked out again is
//! not stored but worked out, and all rules are checked again: whoever holds a key need not ask where it comes from.

mod error;
mod file;

use std::io::{Read, Write};

use ark_bn254::{Fr, G1Affine};
use kiln_kernels::HostData;
use zeroize::Zeroizing;

use crate::circuit::Circuit;
use crate::encoding::{Canonical, DecodeError, Reader, g2_from_bytes, g2_to_bytes};
use crate::keys::{CommittedPublic, CommittedSecret, SrsVerifier, VerifyingKey};
use crate::witness::ColumnValues;

pub use error::KeyFileError;
use file::FileKind;

const VERIFYING_KEY: FileKind = FileKind { magic: *b"KILN-VK\n", name: "verifying key", version: 1 };
const COMMITTED_PUBLIC: FileKind = FileKind { magic: *b"KILN-CP\n", name: "commitment", version: 1 };
const COMMITTED_SECRET: FileKind =
    FileKind { magic: *b"KILN-CS\n", name: "secret half of a commitment", version: 1 };

impl VerifyingKey {
    /// Writes the key.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn write(&self, out: impl Write) -> Result<(), KeyFileError> {
        let mut body = Vec::new();
        encode_verifying_key(self, &mut body);
        VERIFYING_KEY.write(&body, out)
    }

    /// Reads a key to the end of the input, and checks all of it. The labels of its circuit's rows (`regions`), which
    /// only serve messages, are not in the file.
    ///
    /// # Errors
    /// [`KeyFileError`] says what is wrong. Memory is bounded by a constant times the bytes that are there.
    pub fn read(input: impl Read) -> Result<Self, KeyFileError> {
        let body = VERIFYING_KEY.read(input)?;
        let mut reader = Reader::new(&body);
        let key = decode_verifying_key(&mut reader)?;
        reader.finish()?;
        Ok(key)
    }
}

impl CommittedPublic {
    /// Writes the public half of a committed group.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn write(&self, out: impl Write) -> Result<(), KeyFileError> {
        let mut body = Vec::new();
        self.name.encode(&mut body);
        self.commitments.encode(&mut body);
        COMMITTED_PUBLIC.write(&body, out)
    }

    /// Reads the public half of a committed group to the end of the input. All points are on the curve.
    ///
    /// # Errors
    /// [`KeyFileError`] says what is wrong.
    pub fn read(input: impl Read) -> Result<Self, KeyFileError> {
        let body = COMMITTED_PUBLIC.read(input)?;
        let mut reader = Reader::new(&body);
        let group =
            Self { name: Canonical::decode(&mut reader)?, commitments: Canonical::decode(&mut reader)? };
        reader.finish()?;
        Ok(group)
    }
}

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
        self.values.encode(&mut body);
        self.blinding.encode(&mut body);
        COMMITTED_SECRET.write(&body, out)
    }

    /// Reads the secret half of a committed group to the end of the input. That it belongs to a public half shows
    /// when a proof made with both verifies.
    ///
    /// # Errors
    /// [`KeyFileError`] says what is wrong, and never a value.
    pub fn read(input: impl Read) -> Result<Self, KeyFileError> {
        let body = COMMITTED_SECRET.read(input)?;
        let mut reader = Reader::new(&body);
        let values = Canonical::decode(&mut reader)?;
        let blinding: Vec<Vec<Fr>> = Canonical::decode(&mut reader)?;
        let group = Self { values, blinding };
        reader.finish()?;
        if group.values.len() != group.blinding.len() {
            let (expected, got) = (group.values.len(), group.blinding.len());
            return Err(KeyFileError::Count { what: "blinded columns", expected, got });
        }
        Ok(group)
    }
}

fn encode_verifying_key(key: &VerifyingKey, out: &mut Vec<u8>) {
    key.circuit.encode(out);
    key.fixed.encode(out);
    key.sigma.encode(out);
    key.srs.g1.encode(out);
    out.extend(g2_to_bytes(&key.srs.g2));
    out.extend(g2_to_bytes(&key.srs.tau_g2));
    key.srs.id.encode(out);
    key.srs.insecure.encode(out);
}

fn decode_verifying_key(reader: &mut Reader<'_>) -> Result<VerifyingKey, KeyFileError> {
    let circuit = Circuit::decode(reader)?;
    let fixed = Vec::<G1Affine>::decode(reader)?;
    let sigma = Vec::<G1Affine>::decode(reader)?;
    let srs = SrsVerifier {
        g1: Canonical::decode(reader)?,
        g2: g2_from_bytes(&reader.array()?)?,
        tau_g2: g2_from_bytes(&reader.array()?)?,
        id: Canonical::decode(reader)?,
        insecure: Canonical::decode(reader)?,
    };
    Ok(VerifyingKey::new(circuit, fixed, sigma, srs)?)
}

/// Length of a column's encoding.
fn column_bytes(column: &ColumnValues) -> usize {
    match column {
        HostData::Small(values) => 9 + 4 * values.len(),
        HostData::Full(values) => 9 + 32 * values.len(),
    }
}

/// A tag (0: four-byte integers, 1: scalars) and the values.
impl Canonical for HostData {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
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
            0 => Vec::decode(reader).map(HostData::small),
            1 => Vec::decode(reader).map(HostData::full),
            got => Err(DecodeError::UnknownTag { what: "column", got }),
        }
    }
}

/// As a vector of these values is encoded.
fn encode_slice<T: Canonical>(values: &[T], out: &mut Vec<u8>) {
    (values.len() as u64).encode(out);
    values.iter().for_each(|value| value.encode(out));
}
