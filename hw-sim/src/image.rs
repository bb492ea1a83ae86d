//! Firmware images for simulated cards: made, signed, and what the card makes of them.
//!
//! A simulated card has one control program, which is part of the simulator. So the payload of an image is no program: it
//! says under which conduct that one program runs. Form, signature, model, version and digest are those of any image.

use ed25519_dalek::{Signer, VerifyingKey};
use kiln_abi::firmware::{HEADER_BYTES, ImageHeader, SIGNATURE_BYTES};
use kiln_abi::page::Text;
use kiln_firmware::flash::SLOT_BYTES;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use ed25519_dalek::SigningKey;

/// How every payload for a simulated card begins.
const PAYLOAD_MAGIC: [u8; 16] = *b"kiln-sim payload";
/// Bytes of a payload that mean something: the magic and the conduct.
pub(crate) const PAYLOAD_HEAD_BYTES: usize = 17;
/// Seed of the signing key that every simulated card trusts unless it is told otherwise. **INSECURE**: it is public, so
/// anybody can sign with it. It is for tests and has no place on a card.
pub const INSECURE_TEST_KEY_SEED: [u8; 32] = *b"INSECURE kiln firmware test key!";

/// What an image does when it is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conduct {
    /// It runs.
    #[default]
    Runs,
    /// It does not start: the boot watchdog ends it.
    Hangs,
    /// It starts, and never becomes ready.
    NeverReady,
}

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    /// Its version, major in the upper half; not 0.
    pub version: u32,
    /// Lowest version that a card takes once this one came up; at most `version`.
    pub floor: u32,
    /// The model that it is for, as [`model`] gives it.
    pub model: String,
    /// What it does.
    pub conduct: Conduct,
    /// Length of the payload, at least 17. \[bytes\]
    pub payload_bytes: u32,
}

/// Why an image cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Version 0 stands for no image.
    #[error("an image's version is at least 0.1")]
    Version,
    /// The floor is above the version.
    #[error("an image's floor is at most its version ({version:#x}), got {floor:#x}")]
    Floor {
        /// The version.
        version: u32,
        /// The floor.
        floor: u32,
    },
    /// The payload is too short or too long.
    #[error("a payload has {PAYLOAD_HEAD_BYTES} to {max} bytes, got {got}")]
    Payload {
        /// The longest.
        max: u32,
        /// What was asked for.
        got: u32,
    },
}

/// The name of the model that is made after a profile.
pub fn model(profile: &str) -> String {
    format!("Kiln {profile} (simulated)")
}

/// The signing key that every simulated card trusts unless it is told otherwise. **INSECURE**: it is public.
pub fn insecure_test_key() -> SigningKey {
    SigningKey::from_bytes(&INSECURE_TEST_KEY_SEED)
}

/// Whether these bytes are a public key that a card can be given.
pub fn is_public_key(bytes: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak())
}

/// Makes and signs an image.
pub fn make(spec: &ImageSpec, key: &SigningKey) -> Result<Vec<u8>, ImageError> {
    let max = SLOT_BYTES - HEADER_BYTES as u32;
    if spec.version == 0 {
        return Err(ImageError::Version);
    }
    if spec.floor > spec.version {
        return Err(ImageError::Floor { version: spec.version, floor: spec.floor });
    }
    if spec.payload_bytes < PAYLOAD_HEAD_BYTES as u32 || spec.payload_bytes > max {
        return Err(ImageError::Payload { max, got: spec.payload_bytes });
    }
    let payload = payload(spec);
    let mut header = ImageHeader {
        version: spec.version,
        payload_bytes: spec.payload_bytes,
        floor: spec.floor,
        model: Text::new(&spec.model),
        name: Text::new(kiln_firmware::FIRMWARE_NAME),
        digest: Sha256::digest(&payload).into(),
        signature: [0; SIGNATURE_BYTES],
    };
    header.signature = key.sign(&header.signed_bytes()).to_bytes();
    Ok([&header.to_bytes()[..], &payload].concat())
}

fn payload(spec: &ImageSpec) -> Vec<u8> {
    let conduct = match spec.conduct {
        Conduct::Runs => 0,
        Conduct::Hangs => 1,
        Conduct::NeverReady => 2,
    };
    let filler = (0..spec.payload_bytes).map(|at| at.wrapping_mul(spec.version | 1) as u8);
    PAYLOAD_MAGIC.into_iter().chain([conduct]).chain(filler).take(spec.payload_bytes as usize).collect()
}

/// What a payload does that begins like this. What is none for a simulated card does not start there.
pub(crate) fn conduct(head: &[u8; PAYLOAD_HEAD_BYTES]) -> Conduct {
    match head.split_last() {
        Some((0, magic)) if magic == PAYLOAD_MAGIC => Conduct::Runs,
        Some((2, magic)) if magic == PAYLOAD_MAGIC => Conduct::NeverReady,
        _ => Conduct::Hangs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ImageSpec {
        let conduct = Conduct::NeverReady;
        ImageSpec { version: 5, floor: 5, model: model("u55c"), conduct, payload_bytes: 17 }
    }

    #[test]
    fn image_says_what_it_was_made_of() {
        let image = make(&spec(), &insecure_test_key()).unwrap();
        let header = ImageHeader::parse(image.first_chunk().unwrap()).unwrap();
        assert_eq!((header.version, header.floor, header.model.as_str()), (5, 5, "Kiln u55c (simulated)"));
        assert_eq!(header.image_bytes(), image.len() as u64);
        assert_eq!(conduct(image[HEADER_BYTES..].first_chunk().unwrap()), Conduct::NeverReady);
        assert_eq!(conduct(&[0; PAYLOAD_HEAD_BYTES]), Conduct::Hangs);
    }

    #[test]
    fn images_that_no_card_would_take_are_not_made() {
        let max = SLOT_BYTES - HEADER_BYTES as u32;
        for wrong in [
            ImageSpec { version: 0, ..spec() },
            ImageSpec { floor: 6, ..spec() },
            ImageSpec { payload_bytes: 16, ..spec() },
            ImageSpec { payload_bytes: max + 1, ..spec() },
        ] {
            assert!(make(&wrong, &insecure_test_key()).is_err(), "{wrong:?}");
        }
        assert!(make(&ImageSpec { payload_bytes: max, ..spec() }, &insecure_test_key()).is_ok());
    }
}
