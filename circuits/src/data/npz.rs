//! NumPy's `.npz` files: ZIP archives of `.npy` files, stored or deflated (the format: PKWARE's APPNOTE.TXT, section 4.3).
//!
//! A member is unpacked only as far as the bound on all of them together, whatever the archive says of its size.

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use super::npy::{NpyError, read_npy};

/// Why a `.npz` file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum NpzError {
    /// Not a ZIP archive, or a damaged one.
    #[error("it should be a .npz file of less than 4 GiB, as numpy.savez writes it")]
    Archive,
    /// No array in it.
    #[error("it holds no array, expected one or several members that end in .npy")]
    Empty,
    /// A member that cannot be unpacked.
    #[error("its member `{member}` is damaged, or packed in another way than stored or deflated")]
    Member { member: String },
    /// More than is read.
    #[error("its arrays take more than {expected_max} bytes; save fewer of them in one file")]
    TooLarge { expected_max: usize },
    /// A member that is no `.npy` file.
    #[error("its member `{member}` is not usable")]
    Array {
        member: String,
        #[source]
        source: NpyError,
    },
}

/// The arrays of an archive in its order, each with its name and its elements, row-major. Together their files have at most
/// `bytes_max` bytes.
///
/// # Errors
/// [`NpzError`] for what is not such an archive, and for arrays that [`read_npy`] refuses.
pub fn read_npz(bytes: &[u8], bytes_max: usize) -> Result<Vec<(String, Vec<f32>)>, NpzError> {
    let mut arrays = Vec::new();
    let mut left = bytes_max;
    for entry in directory(bytes).ok_or(NpzError::Archive)? {
        let Some(name) = entry.name.strip_suffix(".npy") else { continue };
        let member = || name.to_owned();
        let packed = entry.packed(bytes).ok_or_else(|| NpzError::Member { member: member() })?;
        let unpacked = match entry.method {
            0 if packed.len() <= left => packed.to_vec(),
            0 => return Err(NpzError::TooLarge { expected_max: bytes_max }),
            8 => decompress_to_vec_with_limit(packed, left).map_err(|error| match error.status {
                TINFLStatus::HasMoreOutput => NpzError::TooLarge { expected_max: bytes_max },
                _ => NpzError::Member { member: member() },
            })?,
            _ => return Err(NpzError::Member { member: member() }),
        };
        if crc(&unpacked) != entry.crc {
            return Err(NpzError::Member { member: member() });
        }
        left = left.saturating_sub(unpacked.len());
        let array = read_npy(&unpacked).map_err(|source| NpzError::Array { member: member(), source })?;
        arrays.push((member(), array));
    }
    if arrays.is_empty() { Err(NpzError::Empty) } else { Ok(arrays) }
}

/// A member as the archive's directory has it.
struct Entry<'a> {
    name: &'a str,
    method: u16,
    crc: u32,
    packed_len: usize,
    /// Where its own header is.
    at: usize,
}

impl Entry<'_> {
    /// Its bytes as they lie in the archive, behind its own header.
    fn packed<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let header = bytes.get(self.at..)?;
        if !header.starts_with(b"PK\x03\x04") {
            return None;
        }
        let begin =
            30usize.checked_add(u16_at(header, 26)?.into())?.checked_add(u16_at(header, 28)?.into())?;
        header.get(begin..)?.get(..self.packed_len)
    }
}

/// The directory at the end of an archive.
fn directory(bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    const END_LEN: usize = 22;
    // Behind the end record there may be a comment of 16 bits' length.
    let last = bytes.len().checked_sub(END_LEN)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end =
        (first..=last).rev().find_map(|at| bytes.get(at..).filter(|end| end.starts_with(b"PK\x05\x06")))?;
    let count = u16_at(end, 10)?;
    let mut rest = bytes.get(usize_at(end, 16)?..)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        if !rest.starts_with(b"PK\x01\x02") {
            return None;
        }
        let name_len = usize::from(u16_at(rest, 28)?);
        let (extra_len, comment_len) = (usize::from(u16_at(rest, 30)?), usize::from(u16_at(rest, 32)?));
        let name = std::str::from_utf8(rest.get(46..)?.get(..name_len)?).ok()?;
        let (method, crc) = (u16_at(rest, 10)?, u32_at(rest, 16)?);
        entries.push(Entry { name, method, crc, packed_len: usize_at(rest, 20)?, at: usize_at(rest, 42)? });
        let len = 46usize.checked_add(name_len)?.checked_add(extra_len)?.checked_add(comment_len)?;
        rest = rest.get(len..)?;
    }
    Some(entries)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_le_bytes(*word))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}

/// The checksum of ZIP archives: CRC-32, reflected, of polynomial 0x04c11db7.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    let table: [u32; 256] =
        std::array::from_fn(|byte| (0..8).fold(u32::try_from(byte).unwrap_or_default(), |crc, _| step(crc)));
    let entry = |crc: u32, byte: &u8| {
        let [low, ..] = crc.to_le_bytes();
        table.get(usize::from(low ^ byte)).copied().unwrap_or_default() ^ (crc >> 8)
    };
    !bytes.iter().fold(u32::MAX, entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: u16 = 0;
    const DEFLATED: u16 = 8;

    fn npy(values: &[f32]) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}\n", values.len());
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat()
    }

    fn archive(members: &[(&str, Vec<u8>)], method: u16) -> Vec<u8> {
        let (mut files, mut central) = (Vec::new(), Vec::new());
        for (name, content) in members {
            let packed = match method {
                DEFLATED => miniz_oxide::deflate::compress_to_vec(content, 6),
                _ => content.clone(),
            };
            let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
            let sizes = [crc(content).to_le_bytes(), size(&packed), size(content)].concat();
            let length = u16::try_from(name.len()).unwrap().to_le_bytes();
            let common = [&[20, 0, 0, 0][..], &method.to_le_bytes(), &[0; 4], &sizes, &length].concat();
            let at = size(&files);
            // Its own header has an extra field, as numpy's have.
            files.extend([b"PK\x03\x04", &common[..], &[4, 0], name.as_bytes(), &[9; 4], &packed].concat());
            central.extend([b"PK\x01\x02\x14\x00", &common[..], &[0; 12], &at, name.as_bytes()].concat());
        }
        let count = u16::try_from(members.len()).unwrap().to_le_bytes();
        let at = u32::try_from(files.len()).unwrap().to_le_bytes();
        let size = u32::try_from(central.len()).unwrap().to_le_bytes();
        let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &size, &at, &[0; 2]].concat();
        [files, central, end].concat()
    }

    #[test]
    fn the_checksum_is_that_of_zip_archives() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn stored_and_deflated_arrays_are_read_in_order() {
        let members = [("b.npy", npy(&[1.5, -2.0])), ("note.txt", b"no array".to_vec()), ("a.npy", npy(&[]))];
        for method in [STORED, DEFLATED] {
            let arrays = read_npz(&archive(&members, method), 1 << 20).unwrap();
            assert_eq!(arrays, [("b".into(), vec![1.5, -2.0]), ("a".into(), vec![])], "{method}");
        }
    }

    #[test]
    fn arrays_beyond_the_bound_are_refused_however_small_they_are_packed() {
        let zeros = [("x.npy", npy(&[0.0; 100_000])), ("y.npy", npy(&[0.0; 100_000]))];
        let bytes = archive(&zeros, DEFLATED);
        assert!(bytes.len() < 5_000);
        assert!(read_npz(&bytes, 1_000_000).is_ok());
        for bytes_max in [0, 1_000, 600_000] {
            let refused = read_npz(&bytes, bytes_max).unwrap_err();
            assert!(
                matches!(refused, NpzError::TooLarge { expected_max } if expected_max == bytes_max),
                "{refused}"
            );
        }
    }

    #[test]
    fn damaged_archives_are_survived() {
        for method in [STORED, DEFLATED] {
            let whole = archive(&[("x.npy", npy(&[1.0; 40])), ("y.npy", npy(&[2.0; 40]))], method);
            for length in 0..whole.len() {
                assert!(read_npz(&whole[..length], 1 << 20).is_err(), "{length} bytes");
            }
            for (position, flip) in (0..whole.len()).flat_map(|p| [(p, 0x01), (p, 0x80), (p, 0xff)]) {
                let mut bytes = whole.clone();
                bytes[position] ^= flip;
                let _ = read_npz(&bytes, 1 << 20);
            }
        }
    }

    #[test]
    fn archives_without_usable_arrays_are_refused_in_words() {
        let stored = |name, content: &[u8]| archive(&[(name, content.to_vec())], STORED);
        assert!(matches!(read_npz(&stored("x.txt", b"text"), 99), Err(NpzError::Empty)));
        assert!(matches!(read_npz(&stored("x.npy", b"text"), 99), Err(NpzError::Array { .. })));
        assert!(matches!(read_npz(b"no archive", 99), Err(NpzError::Archive)));
    }
}
