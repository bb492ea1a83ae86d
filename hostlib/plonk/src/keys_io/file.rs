//! The frame around a body: magic, version, length, checksum.

use std::io::{self, Read, Write};

use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

use super::KeyFileError;

const HEADER_BYTES: usize = 8 + 4 + 8;
const CHECKSUM_BYTES: usize = 32;

/// How much is read before more memory is asked for.
const FIRST_BUFFER_BYTES: usize = 1 << 16;

/// A kind of file.
pub(super) struct FileKind {
    pub magic: [u8; 8],
    pub name: &'static str,
    pub version: u32,
}

impl FileKind {
    /// Writes header, body and checksum.
    pub fn write(&self, body: &[u8], mut out: impl Write) -> Result<(), KeyFileError> {
        let mut header = self.magic.to_vec();
        header.extend(self.version.to_be_bytes());
        header.extend((body.len() as u64).to_be_bytes());
        let checksum = checksum(&header, body);
        let mut write_all = || {
            out.write_all(&header)?;
            out.write_all(body)?;
            out.write_all(&checksum)?;
            out.flush()
        };
        write_all().map_err(|source| self.io(source))
    }

    /// Reads and checks the frame; returns the body. Memory grows with the bytes that arrive, not with the length that
    /// the header announces, and is wiped when let go, because the body may be secret.
    pub fn read(&self, mut input: impl Read) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        input
            .by_ref()
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut header)
            .map_err(|source| self.io(source))?;
        let length = self.parse_header(&header)?;
        let rest = length.saturating_add(CHECKSUM_BYTES as u64);
        // One byte more tells a file that is too long.
        let mut body = read_wiping(input, rest.saturating_add(1)).map_err(|source| self.io(source))?;
        let (expected, got) = (rest.saturating_add(HEADER_BYTES as u64), (HEADER_BYTES + body.len()) as u64);
        if got < expected {
            return Err(KeyFileError::Truncated { what: self.name, expected, got });
        }
        if got > expected {
            return Err(KeyFileError::TooLong { what: self.name, expected });
        }
        let split = body.len() - CHECKSUM_BYTES;
        if checksum(&header, &body[..split]) != body[split..] {
            return Err(KeyFileError::Corrupted { what: self.name });
        }
        body.truncate(split);
        Ok(body)
    }

    /// The length that the header announces.
    fn parse_header(&self, header: &[u8]) -> Result<u64, KeyFileError> {
        let (expected, got) = (HEADER_BYTES as u64, header.len() as u64);
        if !header.starts_with(&self.magic) {
            return Err(KeyFileError::AnotherKind { expected: self.name });
        }
        let truncated = KeyFileError::Truncated { what: self.name, expected, got };
        let Some((version, length)) = header[self.magic.len()..].split_first_chunk() else {
            return Err(truncated);
        };
        let version = u32::from_be_bytes(*version);
        if version != self.version {
            return Err(KeyFileError::UnknownVersion {
                what: self.name,
                expected: self.version,
                got: version,
            });
        }
        length.try_into().map(u64::from_be_bytes).map_err(|_| truncated)
    }

    fn io(&self, source: io::Error) -> KeyFileError {
        KeyFileError::Io { what: self.name, source }
    }
}

fn checksum(header: &[u8], body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    Keccak256::new_with_prefix(header).chain_update(body).finalize().into()
}

/// Reads up to `limit` bytes, into a buffer that leaves no copy behind when it grows.
fn read_wiping(input: impl Read, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut input = input.take(limit);
    let mut bytes = Zeroizing::new(Vec::with_capacity(FIRST_BUFFER_BYTES));
    loop {
        let free = (bytes.capacity() - bytes.len()) as u64;
        // Never more than fits, so that the vector does not move.
        if input.by_ref().take(free).read_to_end(&mut bytes)? as u64 == free {
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * bytes.capacity()));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        } else {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: FileKind = FileKind { magic: *b"KILN-T\0\n", name: "test", version: 3 };

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        KIND.write(body, &mut file).unwrap();
        file
    }

    #[test]
    fn bodies_around_the_buffer_size_survive() {
        for len in [
            0,
            1,
            FIRST_BUFFER_BYTES - 33,
            FIRST_BUFFER_BYTES - 32,
            FIRST_BUFFER_BYTES,
            3 * FIRST_BUFFER_BYTES + 7,
        ] {
            let body = (0..len).map(|i| (i % 251) as u8).collect::<Vec<_>>();
            assert!(*KIND.read(framed(&body).as_slice()).unwrap() == body, "{len} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_truncation_and_prolongation_is_refused() {
        let file = framed(b"some body");
        for bit in 0..8 * file.len() {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(KIND.read(flipped.as_slice()).is_err(), "bit {bit}");
        }
        for length in 0..file.len() {
            assert!(KIND.read(&file[..length]).is_err(), "{length} bytes");
        }
        let longer = [file.as_slice(), b"x"].concat();
        assert!(
            matches!(KIND.read(longer.as_slice()), Err(KeyFileError::TooLong { expected, .. }) if expected == file.len() as u64)
        );
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let mut file = framed(b"body");
        let other = FileKind { magic: *b"KILN-U\0\n", name: "other", version: 3 };
        assert!(matches!(other.read(file.as_slice()), Err(KeyFileError::AnotherKind { expected: "other" })));
        file[11] = 4;
        assert!(matches!(
            KIND.read(file.as_slice()),
            Err(KeyFileError::UnknownVersion { expected: 3, got: 4, .. })
        ));
        file[11] = 3;
        file[12..20].fill(0xff);
        assert!(matches!(
            KIND.read(file.as_slice()),
            Err(KeyFileError::Truncated { expected: u64::MAX, .. })
        ));
    }
}
