//! Ceremony files: `.ptau` as snarkjs writes them, the form of the Perpetual Powers of Tau.
//!
//! `ptau` | version u32 = 1 | number of sections u32 | sections, each type u32 | size u64 | content. Of the sections, four
//! matter here: 1 is the header (bytes of the prime u32 = 32, prime, power p u32, power of the ceremony u32), 2 are
//! 2^(p+1) − 1 points `[τ^i]_1`, 3 are 2^p points `[τ^i]_2`, and 12, in a file that was prepared for its second phase, are the
//! Lagrange points of 1, 2, 4, … rows, one size after the other. Integers are little-endian; points are affine, their
//! coordinates in Montgomery form (64 and 128 bytes, c0 before c1), infinity is all zeros.
//!
//! The file is read as a stream and only as far as it is needed: the first 2^k + [`SRS_EXTRA`] points of section 2 and
//! the first two of section 3; and the 2^k points of section 12. Those are checked as if an adversary had made them; what is never read is not checked.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

mod sections;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField, Zero};
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use self::sections::{Contents, find_contents};
use super::check::check_powers;
use super::error::PtauError;
use super::lagrange::lagrange_points;
use super::{SRS_EXTRA, SRS_K_MAX, Srs, SrsError, SrsOrigin};
use crate::encoding::DecodeError;
use crate::progress::SetupProgress;
use kiln_verify::SrsVerifier;

const COORDINATE_BYTES: usize = 32;
const G1_BYTES: usize = 2 * COORDINATE_BYTES;
const G2_BYTES: usize = 4 * COORDINATE_BYTES;

/// Points that are in memory as bytes at a time: 4 MiB.
const CHUNK_POINTS: usize = 1 << 16;

/// An open ceremony file of sound form, with sound generators and `[τ]_2`.
#[derive(Debug)]
pub struct Ptau {
    file: File,
    path: PathBuf,
    contents: Contents,
    /// `[1]_2` and `[τ]_2`
    g2: [G2Affine; 2],
}

impl Ptau {
    /// Opens a file and checks its form, its curve and the lengths of its sections, and reads `[1]_2` and `[τ]_2`.
    ///
    /// # Errors
    /// [`SrsError`] says what is wrong.
    pub fn open(path: &Path) -> Result<Self, SrsError> {
        let in_file = |source| SrsError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(in_file)?;
        let length = file.metadata().map_err(in_file)?.len();
        let contents = find_contents(&mut file, length).map_err(in_file)??;
        let mut bytes = [0; 2 * G2_BYTES];
        read_at(&mut file, contents.tau_g2, &mut bytes).map_err(in_file)?;
        let mut g2 = [G2Affine::identity(); 2];
        for (index, (point, bytes)) in g2.iter_mut().zip(bytes.as_chunks().0).enumerate() {
            *point = parse_g2(bytes).map_err(|source| SrsError::Point { index, source })?;
        }
        Ok(Self { file, path: path.to_owned(), contents, g2 })
    }

    /// p: the file has 2^(p + 1) − 1 powers of τ.
    pub fn power(&self) -> u32 {
        self.contents.power
    }

    /// The power of the ceremony that the file was cut from.
    pub fn ceremony_power(&self) -> u32 {
        self.contents.ceremony_power
    }

    /// Names τ: the [fingerprint](SrsVerifier::fingerprint) of every SRS that is made from this file and from any other
    /// of the same ceremony. [`Ptau::read_srs`] checks what it rests on.
    pub fn fingerprint(&self) -> [u8; 32] {
        let [g2, tau_g2] = self.g2;
        let g1 = G1Affine::generator();
        SrsVerifier { g1, g2, tau_g2, id: [0; 32], insecure: false }.fingerprint()
    }

    /// Is this the ceremony with that fingerprint?
    ///
    /// # Errors
    /// [`PtauError::Fingerprint`].
    pub fn expect_fingerprint(&self, expected: &[u8; 32]) -> Result<(), SrsError> {
        let got = self.fingerprint();
        if got == *expected {
            return Ok(());
        }
        Err(PtauError::Fingerprint { expected: hexadecimal(expected), got: hexadecimal(&got) }.into())
    }

    /// The SRS for 2^k rows of the first 2^k + [`SRS_EXTRA`] powers of τ. Every point is checked to be on the curve, and
    /// all to be the powers of one τ. The Lagrange points are taken from the file if it was prepared for them and they
    /// belong to the powers; otherwise they are derived (some k·2^(k−1) scalar multiplications). Memory is that of the SRS
    /// and of a transform of 2^k points.
    ///
    /// # Errors
    /// [`SrsError`] says what is wrong; [`PtauError::TooSmall`] if the file has too few powers.
    pub fn read_srs(mut self, k: u32, progress: &dyn SetupProgress) -> Result<Srs, SrsError> {
        let count = self.points_for(k)?;
        let mut hash = Keccak256::new_with_prefix(b"kiln ptau check");
        hash.update(k.to_be_bytes());
        hash.update(self.fingerprint());
        let monomial = self
            .read_g1(self.contents.tau_g1, count, &mut hash, progress)
            .map_err(|source| SrsError::Io { path: self.path.clone(), source })??;
        let z = challenge(&hash.finalize());
        progress.advance("check the powers", 0, 1);
        check_powers(k, &monomial, self.g2, z)?;
        let Contents { power, ceremony_power, .. } = self.contents;
        let origin = SrsOrigin::Ptau { power, ceremony_power };
        if let Some(lagrange) = self.read_lagrange(k, progress)? {
            let srs = Srs::from_points(k, origin, monomial.clone(), lagrange, self.g2);
            progress.advance("check the Lagrange points", 0, 1);
            if srs.check_lagrange(z).is_ok() {
                return Ok(srs);
            }
        }
        let lagrange = lagrange_points(k, &monomial, progress);
        let srs = Srs::from_points(k, origin, monomial, lagrange, self.g2);
        progress.advance("check the Lagrange points", 0, 1);
        // Guards against a fault of this machine, not of the file.
        srs.check_lagrange(z)?;
        Ok(srs)
    }

    /// The Lagrange points that a prepared file holds, if it does, and as far as they are points.
    fn read_lagrange(
        &mut self,
        k: u32,
        progress: &dyn SetupProgress,
    ) -> Result<Option<Vec<G1Affine>>, SrsError> {
        let Some(at) = self.contents.lagrange_at(k) else { return Ok(None) };
        let points = self.read_g1(at, 1 << k, &mut Keccak256::new(), progress);
        points.map(Result::ok).map_err(|source| SrsError::Io { path: self.path.clone(), source })
    }

    /// How many powers 2^k rows need; the file has as many.
    fn points_for(&self, k: u32) -> Result<usize, SrsError> {
        if k > SRS_K_MAX {
            return Err(SrsError::SizeOutOfRange { expected: SRS_K_MAX, got: k });
        }
        let rows = 1usize.checked_shl(k).unwrap_or(usize::MAX);
        let points = rows.saturating_add(SRS_EXTRA);
        let expected = sections::wide(points);
        let got = sections::g1_points(self.power());
        if expected > got {
            let power = expected.saturating_add(1).next_power_of_two().ilog2().saturating_sub(1);
            return Err(PtauError::TooSmall { k, power, expected, got }.into());
        }
        Ok(points)
    }

    /// `count` points from `offset`, where there are as many. The outer error is the file system's.
    fn read_g1(
        &mut self,
        offset: u64,
        count: usize,
        hash: &mut Keccak256,
        progress: &dyn SetupProgress,
    ) -> io::Result<Result<Vec<G1Affine>, SrsError>> {
        self.file.seek(SeekFrom::Start(offset))?;
        let mut points = Vec::with_capacity(count);
        let mut chunk = vec![0; count.min(CHUNK_POINTS).saturating_mul(G1_BYTES)];
        while points.len() < count {
            let wanted = count.saturating_sub(points.len()).saturating_mul(G1_BYTES);
            let bytes_left = chunk.len().min(wanted);
            let (bytes, _) = chunk.split_at_mut(bytes_left);
            self.file.read_exact(bytes)?;
            hash.update(&*bytes);
            let first = points.len();
            let parsed: Result<Vec<_>, _> = bytes
                .as_chunks()
                .0
                .par_iter()
                .enumerate()
                .map(|(at, bytes)| {
                    parse_g1(bytes)
                        .map_err(|source| SrsError::Point { index: first.saturating_add(at), source })
                })
                .collect();
            match parsed {
                Ok(parsed) => points.extend(parsed),
                Err(error) => return Ok(Err(error)),
            }
            progress.advance("read the powers", sections::wide(points.len()), sections::wide(count));
        }
        Ok(Ok(points))
    }
}

/// A point of G1, on the curve (so in the group, which has cofactor one) and not infinity.
fn parse_g1(bytes: &[u8; G1_BYTES]) -> Result<G1Affine, DecodeError> {
    let [x, y] = parse_coordinates(bytes.as_chunks().0)?;
    let point = G1Affine::new_unchecked(x, y);
    if x.is_zero() && y.is_zero() {
        Err(DecodeError::UnexpectedInfinity)
    } else if !point.is_on_curve() {
        Err(DecodeError::NotOnCurve)
    } else {
        Ok(point)
    }
}

/// A point of G2, on the curve, in the subgroup of order r and not infinity.
fn parse_g2(bytes: &[u8; G2_BYTES]) -> Result<G2Affine, DecodeError> {
    let [x0, x1, y0, y1] = parse_coordinates(bytes.as_chunks().0)?;
    let point = G2Affine::new_unchecked(Fq2::new(x0, x1), Fq2::new(y0, y1));
    if [x0, x1, y0, y1].iter().all(Zero::is_zero) {
        Err(DecodeError::UnexpectedInfinity)
    } else if !point.is_on_curve() {
        Err(DecodeError::NotOnCurve)
    } else if !point.is_in_correct_subgroup_assuming_on_curve() {
        Err(DecodeError::NotInSubgroup)
    } else {
        Ok(point)
    }
}

/// Coordinates in Montgomery form, little-endian; the integers must be below the modulus.
fn parse_coordinates<const N: usize>(chunks: &[[u8; COORDINATE_BYTES]]) -> Result<[Fq; N], DecodeError> {
    let mut coordinates = [Fq::zero(); N];
    for (coordinate, bytes) in coordinates.iter_mut().zip(chunks) {
        let mut integer = BigInt::<4>::zero();
        for (limb, bytes) in integer.0.iter_mut().zip(bytes.as_chunks().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        if integer >= Fq::MODULUS {
            return Err(DecodeError::NonCanonicalPoint);
        }
        // Takes the integer as it is, that is, as the Montgomery form.
        *coordinate = Fq::new_unchecked(integer);
    }
    Ok(coordinates)
}

/// The z of the consistency checks: it depends on every byte that the SRS is made from.
fn challenge(digest: &[u8]) -> Fr {
    let half = |label: &[u8]| Keccak256::new_with_prefix(label).chain_update(digest).finalize();
    Fr::from_be_bytes_mod_order(&[half(b"kiln srs check 1"), half(b"kiln srs check 2")].concat())
}

fn read_at(file: &mut File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
