//! The SRS as a file.
//!
//! magic `KILN-SRS` | version u32 | k u32 | extra points u32 | origin, 32 bytes of text | `[1]_2` | `[τ]_2` | monomial
//! points | Lagrange points | Keccak-256 of all that. Integers and coordinates are big-endian; G1 points are x, y
//! (64 bytes), G2 points 128 bytes.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::PrimeField;
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use super::{SRS_EXTRA, SRS_K_MAX, Srs, SrsError, SrsOrigin};
use crate::encoding::{
    Canonical, DecodeError, G2_BYTES, Reader, g1_coordinates, g1_from_coordinates, g2_from_bytes, g2_to_bytes,
};

const MAGIC: &[u8; 8] = b"KILN-SRS";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 4 + 4 + 32;
const G1_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 32;

impl Srs {
    /// Writes the file: all of it or, on failure, nothing.
    ///
    /// # Errors
    /// [`SrsError::Io`].
    pub fn write_to(&self, path: &Path) -> Result<(), SrsError> {
        let temporary = temporary_path(path);
        let written = write_file(&temporary, &self.file_bytes()).and_then(|()| fs::rename(&temporary, path));
        written.map_err(|source| {
            // What was written is of no use; that it cannot be removed either adds nothing to the reason.
            let _ = fs::remove_file(&temporary);
            SrsError::Io { path: path.to_owned(), source }
        })
    }

    /// Reads a file and checks all of it: sizes, checksum, points on their curves, powers of one τ. Memory is bounded
    /// by the bytes that are there.
    ///
    /// # Errors
    /// [`SrsError`] says what is wrong.
    pub fn read_from(path: &Path) -> Result<Self, SrsError> {
        let in_file = |source| SrsError::Io { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(in_file)?);
        let mut bytes = Vec::new();
        file.by_ref().take(wide(HEADER_BYTES)).read_to_end(&mut bytes).map_err(in_file)?;
        let (k, origin) = parse_header(&bytes)?;
        let expected = file_len(k);
        // One more byte than there should be tells a file that is too long.
        file.take(expected.saturating_add(1).saturating_sub(wide(HEADER_BYTES)))
            .read_to_end(&mut bytes)
            .map_err(in_file)?;
        parse_file(k, origin, &bytes)
    }

    fn file_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        VERSION.encode(&mut bytes);
        self.k.encode(&mut bytes);
        u32::try_from(SRS_EXTRA).unwrap_or(u32::MAX).encode(&mut bytes);
        bytes.extend(self.origin.to_bytes());
        bytes.extend(g2_to_bytes(&self.g2));
        bytes.extend(g2_to_bytes(&self.tau_g2));
        for point in self.monomial().iter().chain(self.lagrange().iter()) {
            let (x, y) = g1_coordinates(point);
            bytes.extend(x);
            bytes.extend(y);
        }
        let checksum = Keccak256::digest(&bytes);
        bytes.extend(checksum);
        bytes
    }
}

/// A length as files count it.
fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Length of the file of an SRS for 2^k rows.
fn file_len(k: u32) -> u64 {
    let points = 2u64.checked_shl(k).unwrap_or(u64::MAX).saturating_add(wide(SRS_EXTRA));
    points.saturating_mul(wide(G1_BYTES)).saturating_add(wide(HEADER_BYTES + 2 * G2_BYTES + CHECKSUM_BYTES))
}

/// The size and the origin that a well-formed header announces.
fn parse_header(bytes: &[u8]) -> Result<(u32, SrsOrigin), SrsError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(SrsError::NotAnSrs)?;
    let truncated = |_| SrsError::Truncated { expected: wide(HEADER_BYTES), got: wide(bytes.len()) };
    let mut reader = Reader::new(rest);
    let version = u32::decode(&mut reader).map_err(truncated)?;
    if version != VERSION {
        return Err(SrsError::UnknownVersion { expected: VERSION, got: version });
    }
    let k = u32::decode(&mut reader).map_err(truncated)?;
    if k > SRS_K_MAX {
        return Err(SrsError::SizeOutOfRange { expected: SRS_K_MAX, got: k });
    }
    let extra = u32::decode(&mut reader).map_err(truncated)?;
    if usize::try_from(extra) != Ok(SRS_EXTRA) {
        return Err(SrsError::Corrupted);
    }
    let origin = SrsOrigin::from_bytes(&reader.array().map_err(truncated)?).ok_or(SrsError::UnknownOrigin)?;
    Ok((k, origin))
}

fn parse_file(k: u32, origin: SrsOrigin, bytes: &[u8]) -> Result<Srs, SrsError> {
    let (expected, got) = (file_len(k), wide(bytes.len()));
    if got < expected {
        return Err(SrsError::Truncated { expected, got });
    }
    if got > expected {
        return Err(SrsError::TooLong { expected, got });
    }
    let Some((content, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(SrsError::Truncated { expected, got });
    };
    if Keccak256::digest(content).as_slice() != checksum {
        return Err(SrsError::Corrupted);
    }
    let mut reader = Reader::new(content.get(HEADER_BYTES..).unwrap_or_default());
    let mut g2_point = || {
        let point = reader.array().and_then(|bytes| g2_from_bytes(&bytes));
        point.map_err(|source| SrsError::Point { index: 0, source })
    };
    let (g2, tau_g2) = (g2_point()?, g2_point()?);
    let monomial_bytes =
        1usize.checked_shl(k).and_then(|rows| rows.checked_add(SRS_EXTRA)?.checked_mul(G1_BYTES));
    let monomial_bytes = monomial_bytes.unwrap_or(usize::MAX);
    let monomial = parse_points(reader.take(monomial_bytes))?;
    let lagrange = parse_points(reader.take(reader.remaining()))?;
    let srs = Srs::from_points(k, origin, monomial, lagrange, [g2, tau_g2]);
    srs.check_consistency(challenge(checksum))?;
    Ok(srs)
}

fn parse_points(bytes: Result<&[u8], DecodeError>) -> Result<Vec<G1Affine>, SrsError> {
    let point = |(index, bytes): (usize, &[u8])| {
        let parse = || {
            let mut reader = Reader::new(bytes);
            let point = g1_from_coordinates(&reader.array()?, &reader.array()?)?;
            if point.is_zero() { Err(DecodeError::UnexpectedInfinity) } else { Ok(point) }
        };
        parse().map_err(|source| SrsError::Point { index, source })
    };
    let bytes = bytes.map_err(|source| SrsError::Point { index: 0, source })?;
    bytes.par_chunks(G1_BYTES).enumerate().map(point).collect()
}

/// The z of the consistency check: it depends on every byte of the file.
fn challenge(checksum: &[u8]) -> Fr {
    let half = |label: &[u8]| Keccak256::new_with_prefix(label).chain_update(checksum).finalize();
    Fr::from_be_bytes_mod_order(&[half(b"kiln srs check 1"), half(b"kiln srs check 2")].concat())
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name beside `path`, so that renaming stays within one file system.
fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}
