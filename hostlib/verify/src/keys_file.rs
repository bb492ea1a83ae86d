//! Verifying keys and public commitments as files: a header, a body, and a Keccak-256 checksum over both.
//!
//! magic, 8 bytes | version u32 | body length u64 | body | checksum, 32 bytes. Everything in the body is in the
//! canonical encoding of [`crate::encoding`], so that there is one file for each key. What can be worked out again is
//! not stored but worked out, and all rules are checked again: whoever holds a key need not ask where it comes from.

use alloc::vec::Vec;

use ark_bn254::G1Affine;

use crate::circuit::Circuit;
use crate::encoding::{Canonical, Reader, encode_all, g2_from_bytes, g2_to_bytes};
use crate::file::{CHECKSUM_BYTES, FileKind};
use crate::file_error::FileError;
use crate::keys::{CommittedPublic, SrsVerifier, VerifyingKey};

const VERIFYING_KEY: FileKind = FileKind { magic: *b"KILN-VK\n", name: "verifying key", version: 2 };
const COMMITTED_PUBLIC: FileKind = FileKind { magic: *b"KILN-CP\n", name: "commitment", version: 1 };

impl VerifyingKey {
    /// The bytes of the key's file.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.encode_body(&mut body);
        VERIFYING_KEY.seal(&body)
    }

    /// Reads a key from all bytes of its file, and checks all of it. The labels of its circuit's rows (`regions`), which
    /// only serve messages, are not in the file.
    ///
    /// # Errors
    /// [`FileError`] says what is wrong. Memory is bounded by a constant times the bytes that are there.
    pub fn from_file_bytes(file: &[u8]) -> Result<Self, FileError> {
        let (body, checksum) = VERIFYING_KEY.open(file)?;
        let mut reader = Reader::new(body);
        let (circuit, fixed, sigma, srs) = decode(&mut reader)?;
        // There is one file for each key, so its checksum is what encoding it again would give.
        let key = Self::with_digest(circuit, fixed, sigma, srs, checksum)?;
        reader.finish()?;
        Ok(key)
    }

    /// The checksum of the file of the key with these parts.
    pub(crate) fn checksum_of(
        circuit: &Circuit,
        fixed: &[G1Affine],
        sigma: &[G1Affine],
        srs: &SrsVerifier,
    ) -> [u8; CHECKSUM_BYTES] {
        let mut body = Vec::new();
        encode(circuit, fixed, sigma, srs, &mut body);
        VERIFYING_KEY.frame(&body).1
    }

    /// Appends what the file holds between header and checksum; a proving key begins with the same.
    #[doc(hidden)]
    pub fn encode_body(&self, out: &mut Vec<u8>) {
        encode(&self.circuit, &self.fixed, &self.sigma, &self.srs, out);
    }

    /// Reads what [`VerifyingKey::encode_body`] writes.
    #[doc(hidden)]
    pub fn decode_body(reader: &mut Reader<'_>) -> Result<Self, FileError> {
        let (circuit, fixed, sigma, srs) = decode(reader)?;
        Ok(Self::new(circuit, fixed, sigma, srs)?)
    }
}

type Parts = (Circuit, Vec<G1Affine>, Vec<G1Affine>, SrsVerifier);

/// Reads what [`encode`] writes.
fn decode(reader: &mut Reader<'_>) -> Result<Parts, FileError> {
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
    Ok((circuit, fixed, sigma, srs))
}

fn encode(circuit: &Circuit, fixed: &[G1Affine], sigma: &[G1Affine], srs: &SrsVerifier, out: &mut Vec<u8>) {
    circuit.encode(out);
    encode_all(fixed, out);
    encode_all(sigma, out);
    srs.g1.encode(out);
    out.extend(g2_to_bytes(&srs.g2));
    out.extend(g2_to_bytes(&srs.tau_g2));
    srs.id.encode(out);
    srs.insecure.encode(out);
}

impl CommittedPublic {
    /// The bytes of the file that holds the public half of a committed group.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.name.encode(&mut body);
        self.commitments.encode(&mut body);
        COMMITTED_PUBLIC.seal(&body)
    }

    /// Reads the public half of a committed group from all bytes of its file. All points are on the curve.
    ///
    /// # Errors
    /// [`FileError`] says what is wrong.
    pub fn from_file_bytes(file: &[u8]) -> Result<Self, FileError> {
        let mut reader = Reader::new(COMMITTED_PUBLIC.open(file)?.0);
        let group =
            Self { name: Canonical::decode(&mut reader)?, commitments: Canonical::decode(&mut reader)? };
        reader.finish()?;
        Ok(group)
    }
}
