//! A checked file: a header, a body, and a Keccak-256 checksum over both.
//!
//! magic, 8 bytes | version u32 | body length u64 | body | checksum, 32 bytes; integers are big-endian. It finds
//! damage; it does not find forgery, and need not: what is kept so never leaves its owner.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// How such a file begins.
    pub magic: [u8; 8],
    /// Version of the body.
    pub version: u32,
}

const HEADER_BYTES: usize = 8 + 4 + 8;
const CHECKSUM_BYTES: usize = 32;

impl Kind {
    /// Puts a file together.
    pub fn wrap(self, body: &[u8]) -> Vec<u8> {
        // As large as it will be: a buffer that grows would leave copies of a secret behind.
        let capacity = body.len().saturating_add(HEADER_BYTES + CHECKSUM_BYTES);
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend(self.header(body.len()));
        bytes.extend(body);
        let checksum = Keccak256::digest(&bytes);
        bytes.extend(checksum);
        bytes
    }

    /// The body of a file that is whole and of this kind.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn unwrap(self, bytes: &[u8]) -> Result<&[u8], &'static str> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or("it is truncated")?;
        let (header, body) = content.split_first_chunk::<HEADER_BYTES>().ok_or("it is truncated")?;
        let version = header.strip_prefix(&self.magic);
        if version.is_none() {
            return Err("it is not such a file");
        }
        if version.and_then(|version| version.first_chunk()) != Some(&self.version.to_be_bytes()) {
            return Err("it was written by another version of kiln; compile the model again");
        }
        if *header != self.header(body.len()) {
            return Err("it is not as long as it says; get an intact copy");
        }
        if Keccak256::digest(content).as_slice() != checksum {
            return Err("it is damaged; get an intact copy");
        }
        Ok(body)
    }

    /// Puts a file of two parts together: length of the first u64 | first | second.
    pub fn wrap_pair(self, first: &[u8], second: &[u8]) -> Vec<u8> {
        let length = count(first.len()).to_be_bytes();
        let body = Zeroizing::new([length.as_slice(), first, second].concat());
        self.wrap(&body)
    }

    /// The parts of a file that [`Kind::wrap_pair`] made.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn unwrap_pair(self, bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
        const DAMAGED: &str = "it is damaged; get an intact copy";
        let (length, rest) = self.unwrap(bytes)?.split_first_chunk().ok_or(DAMAGED)?;
        let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| DAMAGED)?;
        rest.split_at_checked(length).ok_or(DAMAGED)
    }

    fn header(self, body_len: usize) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let fields = self.magic.into_iter().chain(self.version.to_be_bytes());
        let fields = fields.chain(count(body_len).to_be_bytes());
        header.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        header
    }
}

/// A length as it is written.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { magic: *b"KILN-T0\n", version: 3 };

    #[test]
    fn a_body_comes_back_and_any_change_is_found() {
        for body in [&b""[..], b"a", b"some body"] {
            let bytes = KIND.wrap(body);
            assert_eq!(KIND.unwrap(&bytes), Ok(body));
            for position in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[position] ^= 1;
                assert!(KIND.unwrap(&changed).is_err(), "byte {position}");
                assert!(KIND.unwrap(&bytes[..position]).is_err(), "length {position}");
            }
            assert!(KIND.unwrap(&[&bytes[..], b"x"].concat()).is_err());
        }
    }
}
