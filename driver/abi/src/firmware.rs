//! Firmware images: what the host downloads and the card checks before it believes it.
//!
//! ```text
//! 0 magic "KILNFW01" | 8 version u32 | 12 bytes of the payload u32 | 16 floor u32 | 20 reserved
//! 24 model, 40 bytes | 64 name, 24 bytes | 88 SHA-256 of the payload | 120 reserved | 192 Ed25519 signature | 256 payload
//! ```
//! The signature is over the first 192 bytes (Ed25519 of RFC 8032, without a context), so it covers the payload by its
//! digest. Whether key, digest, model and version are right is for the card to say; here is only the form.

use crate::error::{ParseError, in_range};
use crate::page::Text;

/// Bytes of an image's header; the payload follows it.
pub const HEADER_BYTES: usize = 256;
/// Bytes of the header that the signature covers.
pub const SIGNED_BYTES: usize = 192;
/// Bytes of the signature, at [`SIGNED_BYTES`].
pub const SIGNATURE_BYTES: usize = 64;
/// How every image begins.
pub const IMAGE_MAGIC: [u8; 8] = *b"KILNFW01";
/// Most bytes of an image that one FirmwareDownload transfers.
pub const CHUNK_BYTES_MAX: u32 = 1 << 16;

/// Starts after which the card gives up an image that has not become ready.
pub const STARTS_MAX: u8 = 3;

/// What an image says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// Version of the image, major in the upper half; not 0.
    pub version: u32,
    /// Length of the payload, at least 1. \[bytes\]
    pub payload_bytes: u32,
    /// Once the image has come up, the card takes no image of a lower version; at most `version`.
    pub floor: u32,
    /// The model that it is for, as in the identify page.
    pub model: Text<40>,
    /// Name of the firmware.
    pub name: Text<24>,
    /// SHA-256 of the payload.
    pub digest: [u8; 32],
    /// Ed25519 signature of [`ImageHeader::signed_bytes`].
    pub signature: [u8; SIGNATURE_BYTES],
}

impl ImageHeader {
    /// What the signature is over.
    pub fn signed_bytes(&self) -> [u8; SIGNED_BYTES] {
        let mut bytes = [0; SIGNED_BYTES];
        let mut put = |at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);
        put(0, &IMAGE_MAGIC);
        put(8, &self.version.to_le_bytes());
        put(12, &self.payload_bytes.to_le_bytes());
        put(16, &self.floor.to_le_bytes());
        put(24, self.model.as_bytes());
        put(64, self.name.as_bytes());
        put(88, &self.digest);
        bytes
    }

    /// The header.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..SIGNED_BYTES].copy_from_slice(&self.signed_bytes());
        bytes[SIGNED_BYTES..].copy_from_slice(&self.signature);
        bytes
    }

    /// Parses a header. What is checked: the magic, the ranges stated at the fields, printable texts, and that all
    /// reserved bytes are zero.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<ImageHeader, ParseError> {
        let what = "header of a firmware image";
        let magic = u64::from_le_bytes(chunk(bytes, 0));
        if magic != u64::from_le_bytes(IMAGE_MAGIC) {
            return Err(ParseError::UnknownCode { field: "magic of a firmware image", got: magic });
        }
        let word = |at| u32::from_le_bytes(chunk(bytes, at));
        let (version, payload_bytes, floor) = (word(8), word(12), word(16));
        in_range("version of a firmware image", u64::from(version), 1, u64::from(u32::MAX))?;
        in_range("payload of a firmware image", u64::from(payload_bytes), 1, u64::from(u32::MAX))?;
        in_range("floor of a firmware image", u64::from(floor), 0, u64::from(version))?;
        let header = ImageHeader {
            version,
            payload_bytes,
            floor,
            model: Text::parse("model of a firmware image", 24, &bytes[24..64])?,
            name: Text::parse("name of a firmware image", 64, &bytes[64..88])?,
            digest: chunk(bytes, 88),
            signature: chunk(bytes, SIGNED_BYTES),
        };
        match header.to_bytes().iter().zip(bytes).position(|(a, b)| a != b) {
            None => Ok(header),
            Some(offset) => Err(ParseError::Reserved { what, offset: offset as u64 }),
        }
    }

    /// Bytes of the whole image.
    pub fn image_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

fn chunk<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> ImageHeader {
        ImageHeader {
            version: 0x0001_0002,
            payload_bytes: 5,
            floor: 0x0001_0000,
            model: Text::new("Kiln ZK1"),
            name: Text::new("kiln-firmware"),
            digest: [7; 32],
            signature: [9; SIGNATURE_BYTES],
        }
    }

    #[test]
    fn header_survives_the_round_trip() {
        let header = example();
        assert_eq!(ImageHeader::parse(&header.to_bytes()), Ok(header));
        assert_eq!(header.image_bytes(), 261);
    }

    #[test]
    fn headers_that_cannot_be_are_refused() {
        assert!(ImageHeader::parse(&[0xff; HEADER_BYTES]).is_err(), "erased flash is no header");
        for wrong in [
            ImageHeader { version: 0, floor: 0, ..example() },
            ImageHeader { payload_bytes: 0, ..example() },
            ImageHeader { floor: 0x0001_0003, ..example() },
        ] {
            assert!(ImageHeader::parse(&wrong.to_bytes()).is_err(), "{wrong:?}");
        }
        // The magic, a reserved byte each, and a text that goes on after its end.
        for at in [0, 20, 120, 191, 63] {
            let mut bytes = example().to_bytes();
            bytes[at] ^= 1;
            assert!(ImageHeader::parse(&bytes).is_err(), "byte {at}");
        }
    }
}
