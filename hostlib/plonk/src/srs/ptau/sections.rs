//! Where things are in a ceremony file. Nothing that it says of itself is believed before its length has confirmed it.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::fs::File;
use std::io;

use ark_bn254::Fq;
use ark_ff::{BigInteger, PrimeField};

use super::super::error::PtauError;
use super::{COORDINATE_BYTES, G1_BYTES, G2_BYTES, hexadecimal, read_at};

const MAGIC: &[u8; 4] = b"ptau";
const VERSION: u32 = 1;
/// snarkjs writes 2, 7 or 11.
const SECTIONS_MAX: u32 = 64;
/// The multiplicative group of the scalar field has no larger subgroup of two-power order.
const POWER_MAX: u32 = 28;

const FILE_HEAD_BYTES: usize = 4 + 4 + 4;
const SECTION_HEAD_BYTES: usize = 4 + 8;
/// The section of the Lagrange points.
const LAGRANGE_G1: usize = 12;
const HEADER_BYTES: usize = 4 + COORDINATE_BYTES + 4 + 4;
/// Enough to name the prime of any curve that snarkjs knows.
const HEADER_BYTES_MAX: usize = 4 + 96 + 4 + 4;

/// A length as files count it.
pub fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Number of `[τ^i]_1` in a file of this power, which is at most 28.
pub fn g1_points(power: u32) -> u64 {
    2u64.checked_shl(power).unwrap_or_default().saturating_sub(1)
}

/// What a well-formed file holds, and where.
#[derive(Debug)]
pub struct Contents {
    /// The file has 2^(power + 1) − 1 powers of τ.
    pub power: u32,
    /// The power of the ceremony.
    pub ceremony_power: u32,
    /// Offset of the first `[τ^i]_1`.
    pub tau_g1: u64,
    /// Offset of the first `[τ^i]_2`, of at least two.
    pub tau_g2: u64,
    /// Lagrange points, if the file was prepared for them.
    pub lagrange_g1: Option<Section>,
}

impl Contents {
    /// Offset of the Lagrange points of 2^k rows, if they are there: those of 1, 2, 4, … rows follow each other.
    pub fn lagrange_at(&self, k: u32) -> Option<u64> {
        let section = self.lagrange_g1?;
        let rows = 1u64.checked_shl(k)?;
        let before = rows.checked_sub(1)?.checked_mul(wide(G1_BYTES))?;
        let end = rows.checked_mul(wide(G1_BYTES))?.checked_add(before)?;
        if end <= section.size { section.start.checked_add(before) } else { None }
    }
}

/// A section lies within the file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    start: u64,
    size: u64,
}

/// Finds the sections of a file of this length and checks the lengths of those that matter. The outer error is the file
/// system's.
pub fn find_contents(file: &mut File, length: u64) -> io::Result<Result<Contents, PtauError>> {
    let ([header, tau_g1, tau_g2], lagrange_g1) = match find_sections(file, length)? {
        Ok(sections) => sections,
        Err(error) => return Ok(Err(error)),
    };
    let mut bytes = [0; HEADER_BYTES_MAX];
    let present = usize::try_from(header.size).unwrap_or(usize::MAX).min(bytes.len());
    let (bytes, _) = bytes.split_at_mut(present);
    read_at(file, header.start, bytes)?;
    let contents = parse_header(bytes, header.size).and_then(|(power, ceremony_power)| {
        expect_size(2, g1_points(power).saturating_mul(wide(G1_BYTES)), tau_g1)?;
        expect_size(3, 1u64.checked_shl(power).unwrap_or_default().saturating_mul(wide(G2_BYTES)), tau_g2)?;
        Ok(Contents { power, ceremony_power, tau_g1: tau_g1.start, tau_g2: tau_g2.start, lagrange_g1 })
    });
    Ok(contents)
}

/// Sections 1 to 3, of which there must be one each, and section 12 if there is one. All sections together fill the file.
#[allow(clippy::type_complexity)] // Named once, taken apart at once.
fn find_sections(
    file: &mut File,
    length: u64,
) -> io::Result<Result<([Section; 3], Option<Section>), PtauError>> {
    let mut head = [0; FILE_HEAD_BYTES];
    let present = usize::try_from(length).unwrap_or(usize::MAX).min(head.len());
    read_at(file, 0, head.split_at_mut(present).0)?;
    let count = match parse_file_head(&head, length) {
        Ok(count) => count,
        Err(error) => return Ok(Err(error)),
    };
    let mut found = [const { Vec::new() }; LAGRANGE_G1];
    let mut end = wide(FILE_HEAD_BYTES);
    for _ in 0..count {
        let start = end.saturating_add(wide(SECTION_HEAD_BYTES));
        if start > length {
            return Ok(Err(PtauError::Truncated { expected: start, got: length }));
        }
        let mut head = [0; SECTION_HEAD_BYTES];
        read_at(file, end, &mut head)?;
        let [t0, t1, t2, t3, size @ ..] = head;
        let section = Section { start, size: u64::from_le_bytes(size) };
        end = start.saturating_add(section.size);
        if end > length {
            return Ok(Err(PtauError::Truncated { expected: end, got: length }));
        }
        let place = usize::try_from(u32::from_le_bytes([t0, t1, t2, t3])).ok().and_then(|t| t.checked_sub(1));
        if let Some(of_this_type) = place.and_then(|place| found.get_mut(place)) {
            of_this_type.push(section);
        }
    }
    if end != length {
        return Ok(Err(PtauError::TooLong { expected: end, got: length }));
    }
    let [header, tau_g1, tau_g2, .., lagrange_g1] = found;
    let sections = only(1, &header).and_then(|header| Ok([header, only(2, &tau_g1)?, only(3, &tau_g2)?]));
    Ok(sections.map(|sections| (sections, only(12, &lagrange_g1).ok())))
}

/// The number of sections.
fn parse_file_head(head: &[u8; FILE_HEAD_BYTES], length: u64) -> Result<u32, PtauError> {
    let (magic, rest) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(PtauError::NotPtau { got: magic.escape_ascii().to_string() });
    }
    if length < wide(head.len()) {
        return Err(PtauError::Truncated { expected: wide(head.len()), got: length });
    }
    let [version, sections] = [integer(rest, 0), integer(rest, 4)];
    if version != VERSION {
        return Err(PtauError::UnknownVersion { expected: VERSION, got: version });
    }
    if sections > SECTIONS_MAX {
        return Err(PtauError::TooManySections { expected: SECTIONS_MAX, got: sections });
    }
    Ok(sections)
}

fn only(section: u32, found: &[Section]) -> Result<Section, PtauError> {
    match found {
        [only] => Ok(*only),
        _ => Err(PtauError::SectionCount { section, expected: 1, got: found.len() }),
    }
}

fn expect_size(number: u32, expected: u64, section: Section) -> Result<(), PtauError> {
    if section.size != expected {
        return Err(PtauError::SectionSize { section: number, expected, got: section.size });
    }
    Ok(())
}

/// Power and ceremony power from the header, of which `bytes` is all or enough.
fn parse_header(bytes: &[u8], size: u64) -> Result<(u32, u32), PtauError> {
    let wrong_size = || PtauError::SectionSize { section: 1, expected: wide(HEADER_BYTES), got: size };
    let (prime_bytes, rest) = bytes.split_first_chunk().ok_or_else(wrong_size)?;
    let prime_bytes = usize::try_from(u32::from_le_bytes(*prime_bytes)).unwrap_or(usize::MAX);
    let prime = rest.get(..prime_bytes).ok_or_else(wrong_size)?;
    let expected = Fq::MODULUS.to_bytes_le();
    if prime != expected {
        let in_words =
            |little_endian: &[u8]| hexadecimal(&little_endian.iter().rev().copied().collect::<Vec<_>>());
        return Err(PtauError::WrongCurve { expected: in_words(&expected), got: in_words(prime) });
    }
    if size != wide(HEADER_BYTES) {
        return Err(wrong_size());
    }
    let [power, ceremony_power] = [integer(rest, COORDINATE_BYTES), integer(rest, COORDINATE_BYTES + 4)];
    for (what, min, got) in [("the power", 1, power), ("the ceremony's power", power, ceremony_power)] {
        if !(min..=POWER_MAX).contains(&got) {
            return Err(PtauError::PowerOutOfRange { what, min, max: POWER_MAX, got });
        }
    }
    Ok((power, ceremony_power))
}

/// The u32 at this offset; zero where there is none.
fn integer(bytes: &[u8], offset: usize) -> u32 {
    let at = bytes.get(offset..).and_then(|bytes| bytes.first_chunk());
    at.copied().map(u32::from_le_bytes).unwrap_or_default()
}
