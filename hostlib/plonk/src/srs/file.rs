//! The SRS as a file that is used in place, laid out as [`crate::sections`] says.
//!
//! Head: k u32 | extra points u32 | origin, 32 bytes of text | `[1]_2` | `[τ]_2`; integers and coordinates are big-endian, G2
//! points 128 bytes. Section 0 are the monomial points, section 1 the Lagrange points: x, y in Montgomery form, 4 limbs of 64
//! bits each, least first.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::PrimeField;
use kiln_kernels::Values;
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use super::{SRS_EXTRA, SRS_K_MAX, Srs, SrsError, SrsOrigin};
use crate::encoding::{Canonical, DecodeError, Reader, g2_from_bytes, g2_to_bytes};
use crate::mapped::all_points_reduced;
use crate::sections::{Kind, SectionError, SectionWriter, Sections};

static SRS: Kind = Kind { magic: *b"KILN-SRS", name: "SRS file", version: 2 };

/// What the sections hold: points.
const FORM_POINTS: u32 = 3;

impl Srs {
    /// Writes the file: all of it or, on failure, nothing.
    ///
    /// # Errors
    /// [`SrsError::Io`], [`SrsError::File`].
    pub fn write_to(&self, path: &Path) -> Result<(), SrsError> {
        let temporary = temporary_path(path);
        let in_file = |source| SrsError::Io { path: path.to_owned(), source };
        let written = File::create(&temporary).map_err(in_file).and_then(|file| {
            let file = self.write(BufWriter::with_capacity(1 << 20, file))?;
            let synced = file.into_inner().map_err(io::Error::from).and_then(|file| file.sync_all());
            synced.and_then(|()| fs::rename(&temporary, path)).map_err(in_file)
        });
        if written.is_err() {
            // What was written is of no use; that it cannot be removed either adds nothing to the reason.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Opens a file in place: only the header is read, so this takes no time, whatever k is. The points are used where
    /// they lie, and the file must stay as it is until the SRS and all its clones are dropped.
    ///
    /// That the points are what they should be is not checked. With others a prover makes no proof that verifies, and
    /// finds out before it leaves; whoever makes a verifying key must [check](Srs::check) first.
    ///
    /// # Errors
    /// [`SrsError`] says what is wrong with the header.
    pub fn open(path: &Path) -> Result<Self, SrsError> {
        // An error of the system names the file.
        File::open(path).map_err(|source| SrsError::Io { path: path.to_owned(), source })?;
        Self::from_sections(Sections::open(&SRS, path)?)
    }

    /// Opens a file and checks all of it.
    ///
    /// # Errors
    /// [`SrsError`] says what is wrong.
    pub fn read_from(path: &Path) -> Result<Self, SrsError> {
        let srs = Self::open(path)?;
        srs.check()?;
        Ok(srs)
    }

    /// Reads all of the file that the SRS was opened from and checks it: checksums, points on the curve, powers of one τ.
    ///
    /// # Errors
    /// [`SrsError`] says what is wrong.
    pub fn check(&self) -> Result<(), SrsError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.check()?;
        for points in [self.monomial(), self.lagrange()] {
            let is_bad =
                |point: &G1Affine| point.is_zero() || !all_points_reduced(&[*point]) || !point.is_on_curve();
            if let Some(index) = points.par_iter().position_first(is_bad) {
                let bad = points.get(index).is_some_and(AffineRepr::is_zero);
                let source = if bad { DecodeError::UnexpectedInfinity } else { DecodeError::NotOnCurve };
                return Err(SrsError::Point { index, source });
            }
        }
        self.check_consistency(challenge(&file.digest()))
    }

    /// Checks, once, that the coordinates of points from a file are reduced, as the kernels expect them. Much cheaper than
    /// checking that they are points.
    pub(crate) fn check_reduced(&self) -> Result<(), SrsError> {
        let reduced = || {
            let lent =
                [self.monomial(), self.lagrange()].into_iter().filter(|points| Values::is_lent(points));
            lent.into_iter().all(|points| all_points_reduced(points))
        };
        if *self.reduced.get_or_init(reduced) {
            return Ok(());
        }
        Err(SrsError::Point { index: 0, source: DecodeError::NonCanonicalPoint })
    }

    fn write<W: io::Write + io::Seek>(&self, out: W) -> Result<W, SrsError> {
        let mut head = Vec::new();
        self.k.encode(&mut head);
        u32::try_from(SRS_EXTRA).unwrap_or(u32::MAX).encode(&mut head);
        head.extend(self.origin.to_bytes());
        head.extend(g2_to_bytes(&self.g2));
        head.extend(g2_to_bytes(&self.tau_g2));
        let mut writer = SectionWriter::new(&SRS, out, head, 2)?;
        writer.section(FORM_POINTS, [&**self.monomial()])?;
        writer.section(FORM_POINTS, [&**self.lagrange()])?;
        Ok(writer.finish()?)
    }

    fn from_sections(file: Sections) -> Result<Self, SrsError> {
        let (k, origin, g2) = parse_head(file.head())?;
        let points = |section, count| -> Result<Values<G1Affine>, SectionError> {
            match file.form(section) {
                Some(FORM_POINTS) => Ok(file.slice(section, count)?.into_values()),
                _ => Err(file.malformed(section, "does not hold points".into())),
            }
        };
        if file.count() != 2 {
            return Err(file.malformed(file.count(), "should not be there, or is missing".into()).into());
        }
        let rows = 1usize.checked_shl(k).unwrap_or(usize::MAX);
        let (monomial, lagrange) = (points(0, rows.saturating_add(SRS_EXTRA))?, points(1, rows)?);
        let mut srs = Self::from_points(k, origin, monomial, lagrange, g2);
        srs.file = Some(file);
        Ok(srs)
    }
}

/// The size, the origin, `[1]_2` and `[τ]_2`.
fn parse_head(head: &[u8]) -> Result<(u32, SrsOrigin, [G2Affine; 2]), SrsError> {
    let malformed = |_| SrsError::NotAnSrs;
    let mut reader = Reader::new(head);
    let k = u32::decode(&mut reader).map_err(malformed)?;
    if k > SRS_K_MAX {
        return Err(SrsError::SizeOutOfRange { expected: SRS_K_MAX, got: k });
    }
    let extra = u32::decode(&mut reader).map_err(malformed)?;
    if usize::try_from(extra) != Ok(SRS_EXTRA) {
        return Err(SrsError::NotAnSrs);
    }
    let origin = SrsOrigin::from_bytes(&reader.array().map_err(malformed)?).ok_or(SrsError::UnknownOrigin)?;
    let mut g2_point = |index| {
        let point = reader.array().and_then(|bytes| g2_from_bytes(&bytes));
        point.map_err(|source| SrsError::Point { index, source })
    };
    let g2 = [g2_point(0)?, g2_point(1)?];
    reader.finish().map_err(malformed)?;
    Ok((k, origin, g2))
}

/// The z of the consistency check: it depends on every byte of the file.
fn challenge(digest: &[u8]) -> Fr {
    let half = |label: &[u8]| Keccak256::new_with_prefix(label).chain_update(digest).finalize();
    Fr::from_be_bytes_mod_order(&[half(b"kiln srs check 1"), half(b"kiln srs check 2")].concat())
}

/// A name beside `path`, so that renaming stays within one file system.
fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}
