//! Multiples of fixed bases, made once and kept in a file that is mapped into memory.
//!
//! With table j holding 2^(32·j)·P for every base P, the digits of a scalar that are 32 bits apart share their buckets, so
//! that commitments to columns of any scalars need a fraction of the buckets and no endomorphism.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use ark_bn254::{G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use memmap2::Mmap;
use rayon::prelude::*;
use thiserror::Error;

/// Bits from one table to the next.
pub(crate) const SHIFT_BITS: u32 = 32;

/// Tables, the bases' own among them: 2^(32·8) is beyond every scalar.
pub(crate) const TABLES: usize = 8;

/// More bases than this have no tables: the backend names their points by 28 bits.
const BASES_MAX: usize = 1 << 25;

const MAGIC: [u8; 8] = *b"kilnmult";
const VERSION: u64 = 1;
/// The header's share of the file, so that points begin with a page.
const HEADER_BYTES: usize = 4096;
const POINT_BYTES: usize = 64;
/// Points that are made and written at a time.
const CHUNK: usize = 1 << 12;

// The map below relies on a point being its coordinates' eight words, x first, as the writer writes them.
const _: () = assert!(size_of::<G1Affine>() == POINT_BYTES && align_of::<G1Affine>() == 8);
const _: () = assert!(std::mem::offset_of!(G1Affine, x) == 0 && std::mem::offset_of!(G1Affine, y) == 32);

/// Why there are no multiples.
#[allow(missing_docs, reason = "each message names its fields")]
#[derive(Debug, Error)]
pub enum MultiplesError {
    /// The budget is too small, or there are too many bases. Nothing is wrong: do without.
    #[error(
        "multiples of {bases} bases take {expected_bytes} bytes, got {got_bytes}; allow more memory or do without"
    )]
    Budget { bases: usize, expected_bytes: u64, got_bytes: u64 },
    /// A file could not be made or mapped.
    #[error("cannot keep multiples in {path}; name another directory")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// The tables of one list of bases.
pub struct Multiples {
    file: Mmap,
    bases: usize,
}

impl Multiples {
    /// What the tables of `bases` points take. \[bytes\]
    pub fn bytes(bases: usize) -> u64 {
        (bases * TABLES * POINT_BYTES) as u64
    }

    /// Maps the tables of these points from their file in `dir`, which is made first where it is missing, of another
    /// version, or damaged.
    ///
    /// The points must be on the curve. The file is trusted as far as a checksum goes: whoever can write it can make
    /// commitments wrong, not proofs of false statements.
    ///
    /// # Errors
    /// [`MultiplesError::Budget`] when the tables are larger than `budget_bytes`; [`MultiplesError::File`].
    pub fn open(dir: &Path, points: &[G1Affine], budget_bytes: u64) -> Result<Multiples, MultiplesError> {
        let expected_bytes = Multiples::bytes(points.len());
        if expected_bytes > budget_bytes || points.len() > BASES_MAX || points.is_empty() {
            let bases = points.len();
            return Err(MultiplesError::Budget { bases, expected_bytes, got_bytes: budget_bytes });
        }
        let key = checksum(0, points);
        let path = dir.join(format!("multiples-{}-{key:016x}.bin", points.len()));
        let failed = |source| MultiplesError::File { path: path.clone(), source };
        if let Some(multiples) = Multiples::map(&path, points.len(), key).map_err(failed)? {
            return Ok(multiples);
        }
        fs::create_dir_all(dir).map_err(failed)?;
        write(&path, points, key).map_err(failed)?;
        let made = Multiples::map(&path, points.len(), key).map_err(failed)?;
        made.ok_or_else(|| failed(std::io::Error::other("the file that was just written does not read back")))
    }

    /// The file's tables if they are whole and those of the bases with this key.
    fn map(path: &Path, bases: usize, key: u64) -> std::io::Result<Option<Multiples>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut header = [0; 40];
        let length = file.metadata()?.len();
        if length != HEADER_BYTES as u64 + Multiples::bytes(bases) {
            return Ok(None);
        }
        file.read_exact(&mut header)?;
        // SAFETY: the map is only read. Should another process change the file meanwhile, points change, and sums are
        // wrong; a file that is replaced, as ours are, stays as it was for who has it open.
        let file = unsafe { Mmap::map(&file)? };
        let multiples = Multiples { file, bases };
        let sum = checksum(0, multiples.points());
        Ok((header == header_of(bases, key, sum)).then_some(multiples))
    }

    /// How many bases there are.
    pub(crate) fn bases(&self) -> usize {
        self.bases
    }

    /// All tables, one after the other.
    pub(crate) fn points(&self) -> &[G1Affine] {
        let bytes = &self.file[HEADER_BYTES..];
        let count = self.bases * TABLES;
        assert!(bytes.len() == count * POINT_BYTES && bytes.as_ptr().addr().is_multiple_of(8));
        // SAFETY: the map holds as many points, aligned (both asserted above); a point is eight words and any words are
        // valid ones. The map lives as long as `self`.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<G1Affine>(), count) }
    }
}

impl std::fmt::Debug for Multiples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Multiples({} bases)", self.bases)
    }
}

fn header_of(bases: usize, key: u64, sum: u64) -> [u8; 40] {
    let mut header = [0; 40];
    header[..8].copy_from_slice(&MAGIC);
    for (field, value) in header[8..].as_chunks_mut::<8>().0.iter_mut().zip([VERSION, bases as u64, key, sum])
    {
        *field = value.to_le_bytes();
    }
    header
}

/// Writes a file beside its place, and moves it there when it is complete.
fn write(path: &Path, points: &[G1Affine], key: u64) -> std::io::Result<()> {
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let mut file = BufWriter::new(File::create(&partial)?);
    file.write_all(&[0; HEADER_BYTES])?;
    let (mut sum, mut table) = (0, points.to_vec());
    for at in 0..TABLES {
        if at > 0 {
            table.par_chunks_mut(CHUNK).for_each(shift);
        }
        sum = checksum(sum, &table);
        for point in &table {
            for word in words(point) {
                file.write_all(&word.to_ne_bytes())?;
            }
        }
    }
    let mut file = file.into_inner()?;
    std::io::Seek::rewind(&mut file)?;
    file.write_all(&header_of(points.len(), key, sum))?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

/// Multiplies points by 2^32.
fn shift(points: &mut [G1Affine]) {
    let multiples: Vec<G1Projective> = points
        .iter()
        .map(|point| {
            let mut multiple = point.into_group();
            for _ in 0..SHIFT_BITS {
                multiple += multiple;
            }
            multiple
        })
        .collect();
    points.copy_from_slice(&G1Projective::normalize_batch(&multiples));
}

fn words(point: &G1Affine) -> impl Iterator<Item = u64> {
    point.x.0.0.into_iter().chain(point.y.0.0)
}

/// Tells damaged files and other bases apart; it withstands no attack.
fn checksum(start: u64, points: &[G1Affine]) -> u64 {
    points
        .iter()
        .flat_map(words)
        .fold(start, |sum, word| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::Fr;
    use ark_ec::PrimeGroup;
    use ark_ff::Field;

    fn points(n: u64) -> Vec<G1Affine> {
        let all: Vec<_> = (0..n).map(|i| G1Projective::generator() * Fr::from(i * i)).collect();
        G1Projective::normalize_batch(&all)
    }

    #[test]
    fn a_file_is_made_once_and_again_when_it_is_damaged() {
        let dir = std::env::temp_dir().join(format!("kiln-multiples-{}", std::process::id()));
        let points = points(5);
        let budget = Multiples::bytes(points.len());
        assert!(matches!(Multiples::open(&dir, &points, budget - 1), Err(MultiplesError::Budget { .. })));
        assert!(!dir.exists());
        let check = |multiples: &Multiples| {
            let factor = |table: usize| Fr::from(2).pow([u64::from(SHIFT_BITS) * table as u64]);
            for (i, point) in multiples.points().iter().enumerate() {
                assert_eq!(*point, (points[i % 5] * factor(i / 5)).into_affine());
            }
        };
        check(&Multiples::open(&dir, &points, budget).unwrap());
        let path = fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
        let made = fs::metadata(&path).unwrap().modified().unwrap();
        check(&Multiples::open(&dir, &points, budget).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), made, "kept");
        let whole = fs::read(&path).unwrap();
        let damage: [fn(&mut Vec<u8>); 4] =
            [|b| b[8] ^= 1, |b| b[HEADER_BYTES + 999] ^= 1, |b| b.truncate(5000), |b| b.clear()];
        for damage in damage {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
            check(&Multiples::open(&dir, &points, budget).unwrap());
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
