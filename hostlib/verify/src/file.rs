//! The frame around the body of a key file: magic, version, length, checksum.

use alloc::vec::Vec;

use sha3::{Digest, Keccak256};

use crate::file_error::FileError;

pub use crate::encoding::count;

/// Bytes ahead of the body.
pub const HEADER_BYTES: usize = 8 + 4 + 8;
/// Bytes that follow the body.
pub const CHECKSUM_BYTES: usize = 32;

/// A kind of file.
pub struct FileKind {
    /// First bytes of the file.
    pub magic: [u8; 8],
    /// What messages call it.
    pub name: &'static str,
    /// Version of the body's form.
    pub version: u32,
}

impl FileKind {
    /// Header and checksum for this body.
    pub fn frame(&self, body: &[u8]) -> ([u8; HEADER_BYTES], [u8; CHECKSUM_BYTES]) {
        let mut header = [0; HEADER_BYTES];
        let length = count(body.len());
        let fields = self.magic.into_iter().chain(self.version.to_be_bytes()).chain(length.to_be_bytes());
        header.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        (header, checksum(&header, body))
    }

    /// Header, body and checksum in one.
    pub fn seal(&self, body: &[u8]) -> Vec<u8> {
        let (header, checksum) = self.frame(body);
        [header.as_slice(), body, checksum.as_slice()].concat()
    }

    /// Checks the frame of a whole file and returns the body and its checksum.
    ///
    /// # Errors
    /// [`FileError`] says what is wrong.
    pub fn open<'a>(&self, file: &'a [u8]) -> Result<(&'a [u8], [u8; CHECKSUM_BYTES]), FileError> {
        let got = count(file.len());
        let expected = self.file_bytes(file)?;
        if got < expected {
            return Err(FileError::Truncated { what: self.name, expected, got });
        }
        let (Some((header, rest)), true) = (file.split_first_chunk::<HEADER_BYTES>(), got == expected) else {
            return Err(FileError::TooLong { what: self.name, expected });
        };
        match rest.split_last_chunk::<CHECKSUM_BYTES>() {
            Some((body, sum)) if *sum == checksum(header, body) => Ok((body, *sum)),
            _ => Err(FileError::Corrupted { what: self.name }),
        }
    }

    /// How long a file is by its header, which may be all that has been read of it. Whatever the header says, nothing
    /// is allocated here.
    ///
    /// # Errors
    /// [`FileError`] for another kind or version, and for a header that is not whole.
    pub fn file_bytes(&self, start: &[u8]) -> Result<u64, FileError> {
        let rest = start.strip_prefix(&self.magic).ok_or(FileError::AnotherKind { expected: self.name })?;
        let truncated = || FileError::Truncated {
            what: self.name,
            expected: count(HEADER_BYTES),
            got: count(start.len()),
        };
        let (version, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
        let version = u32::from_be_bytes(*version);
        if version != self.version {
            let (what, expected) = (self.name, self.version);
            return Err(FileError::UnknownVersion { what, expected, got: version });
        }
        let body = u64::from_be_bytes(*rest.first_chunk().ok_or_else(truncated)?);
        Ok(body.saturating_add(count(HEADER_BYTES + CHECKSUM_BYTES)))
    }
}

fn checksum(header: &[u8; HEADER_BYTES], body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    Keccak256::new_with_prefix(header).chain_update(body).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: FileKind = FileKind { magic: *b"KILN-T\0\n", name: "test", version: 3 };

    #[test]
    fn bodies_survive_the_frame() {
        for len in [0, 1, 135, 136, 137, 1000] {
            let body = (0..len).map(|i| (i % 251) as u8).collect::<Vec<_>>();
            assert_eq!(KIND.open(&KIND.seal(&body)).unwrap().0, body, "{len} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_truncation_and_prolongation_is_refused() {
        let file = KIND.seal(b"some body");
        for bit in 0..8 * file.len() {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(KIND.open(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..file.len() {
            assert!(KIND.open(&file[..length]).is_err(), "{length} bytes");
        }
        let longer = [file.as_slice(), b"x"].concat();
        let expected = file.len() as u64;
        assert_eq!(KIND.open(&longer), Err(FileError::TooLong { what: "test", expected }));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let mut file = KIND.seal(b"body");
        let other = FileKind { magic: *b"KILN-U\0\n", name: "other", version: 3 };
        assert_eq!(other.open(&file), Err(FileError::AnotherKind { expected: "other" }));
        file[11] = 4;
        assert_eq!(KIND.open(&file), Err(FileError::UnknownVersion { what: "test", expected: 3, got: 4 }));
        file[11] = 3;
        file[12..20].fill(0xff);
        let got = file.len() as u64;
        assert_eq!(KIND.open(&file), Err(FileError::Truncated { what: "test", expected: u64::MAX, got }));
    }
}
