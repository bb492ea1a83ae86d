//! Framed files through streams: their bodies may be long, and secret.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::io::{self, Read, Write};

use kiln_verify::internals::file::{FileKind, HEADER_BYTES, count};
use zeroize::Zeroizing;

use super::KeyFileError;

/// How much is read before more memory is asked for.
const FIRST_BUFFER_BYTES: usize = 1 << 16;

/// Writes header, body and checksum.
pub(super) fn write(kind: &FileKind, body: &[u8], mut out: impl Write) -> Result<(), KeyFileError> {
    let (header, checksum) = kind.frame(body);
    let mut write_all = || {
        out.write_all(&header)?;
        out.write_all(body)?;
        out.write_all(&checksum)?;
        out.flush()
    };
    write_all().map_err(|source| failed(kind, source))
}

/// Reads a file whose header is of this kind, as far as the header says and one byte more, which tells a file that is
/// too long. Memory grows with the bytes that arrive, not with the length that the header announces, and is wiped when
/// let go. The frame is checked by [`FileKind::open`].
pub(super) fn read(kind: &FileKind, mut input: impl Read) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let mut file = Zeroizing::new(Vec::with_capacity(FIRST_BUFFER_BYTES));
    input.by_ref().take(count(HEADER_BYTES)).read_to_end(&mut file).map_err(|source| failed(kind, source))?;
    let rest = kind.file_bytes(&file)?.saturating_sub(count(HEADER_BYTES));
    read_wiping(input, rest.saturating_add(1), file).map_err(|source| failed(kind, source))
}

fn failed(kind: &FileKind, source: io::Error) -> KeyFileError {
    KeyFileError::Io { what: kind.name, source }
}

/// Reads up to `limit` more bytes, into a buffer that leaves no copy behind when it grows.
fn read_wiping(
    input: impl Read,
    limit: u64,
    mut bytes: Zeroizing<Vec<u8>>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut input = input.take(limit);
    loop {
        let free = bytes.capacity().saturating_sub(bytes.len());
        // Never more than fits, so that the vector does not move.
        if input.by_ref().take(count(free)).read_to_end(&mut bytes)? == free {
            let mut larger = Zeroizing::new(Vec::with_capacity(bytes.capacity().saturating_mul(2)));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        } else {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_verify::FileError;

    use super::*;

    const KIND: FileKind = FileKind { magic: *b"KILN-T\0\n", name: "test", version: 3 };

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        write(&KIND, body, &mut file).unwrap();
        file
    }

    #[test]
    fn bodies_around_the_buffer_size_survive() {
        let around = [0, 20, 21, 52, 53].map(|less| FIRST_BUFFER_BYTES - less);
        for len in [0, 1, 3 * FIRST_BUFFER_BYTES + 7].into_iter().chain(around) {
            let body = (0..len).map(|i| (i % 251) as u8).collect::<Vec<_>>();
            let file = read(&KIND, framed(&body).as_slice()).unwrap();
            assert!(KIND.open(&file).unwrap().0 == body, "{len} bytes");
        }
    }

    #[test]
    fn no_more_is_read_than_shows_that_a_file_is_too_long() {
        let longer = [framed(b"some body"), vec![0; 1000]].concat();
        let file = read(&KIND, longer.as_slice()).unwrap();
        assert_eq!(file.len(), framed(b"some body").len() + 1);
        assert!(matches!(KIND.open(&file), Err(FileError::TooLong { .. })));
    }

    #[test]
    fn a_file_of_another_kind_is_not_read_to_its_end() {
        let mut input = io::Cursor::new(vec![0u8; 1000]);
        let result = read(&KIND, &mut input);
        assert!(matches!(result, Err(KeyFileError::File(FileError::AnotherKind { expected: "test" }))));
        assert_eq!(input.position(), HEADER_BYTES as u64);
    }
}
