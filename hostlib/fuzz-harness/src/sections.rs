//! Files whose parts lie in sections on pages: proving keys and our own reference strings.
//!
//! Whatever bytes come in, what their header announces is made true as far as it can be: the file's length and all
//! checksums. A fuzzer gets behind them without finding hashes.

use sha3::{Digest, Keccak256};

const PAGE_BYTES: usize = 4096;
const FILE_LENGTH: usize = 8 + 4;
const HEAD_LENGTH: usize = FILE_LENGTH + 8;
const HEAD: usize = HEAD_LENGTH + 4 + 4;
const CHECKSUM_BYTES: usize = 32;
const ENTRY_BYTES: usize = 4 + 8 + CHECKSUM_BYTES;

/// Where fields of 4 bytes begin in a header, and numbers in sections.
pub const WORDS: crate::edits::Words = crate::edits::Words { first: 0, stride: 4 };

/// Makes lengths and checksums fit the bytes.
pub fn seal(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES), 0);
    let length = (bytes.len() as u64).to_be_bytes();
    bytes.iter_mut().skip(FILE_LENGTH).zip(length).for_each(|(byte, to)| *byte = to);
    // Numbers that do not fit leave the rest as it is.
    let _ = seal_sections(bytes);
}

fn seal_sections(bytes: &mut [u8]) -> Option<()> {
    let head = u32_at(bytes, HEAD_LENGTH)? as usize;
    let count = u32_at(bytes, HEAD_LENGTH + 4)? as usize;
    let table = HEAD + head;
    let end = table.checked_add(count.checked_mul(ENTRY_BYTES)?)?;
    bytes.get(..end + CHECKSUM_BYTES)?;
    let mut at = end + CHECKSUM_BYTES;
    for entry in (table..end).step_by(ENTRY_BYTES) {
        let length = u64::from_be_bytes(*bytes.get(entry + 4..)?.first_chunk()?);
        at = at.checked_next_multiple_of(PAGE_BYTES)?;
        let next = at.checked_add(usize::try_from(length).ok()?)?;
        // A section that reaches beyond the file has no checksum.
        let Some(section) = bytes.get(at..next) else { break };
        let checksum = Keccak256::digest(section);
        bytes[entry + 12..][..CHECKSUM_BYTES].copy_from_slice(&checksum);
        at = next;
    }
    let checksum = Keccak256::digest(&bytes[..end]);
    bytes[end..][..CHECKSUM_BYTES].copy_from_slice(&checksum);
    Some(())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{srs_files, valid_samples};

    #[test]
    fn sealing_a_valid_file_changes_nothing() {
        let keys = valid_samples().iter().map(|sample| &sample.pk_file);
        let strings = srs_files().iter().filter(|file| !file.ptau).map(|file| &file.bytes);
        for file in keys.chain(strings) {
            let mut sealed = file.clone();
            seal(&mut sealed);
            assert!(sealed == *file);
        }
    }

    #[test]
    fn any_bytes_can_be_sealed() {
        for length in [0, 1, 20, 28, 60, 5000] {
            for byte in [0, 1, 0xff] {
                seal(&mut vec![byte; length]);
            }
        }
    }
}
