//! What makes an image one that may start: its form, its signature, its model, its version, its digest.

use ed25519_dalek::{Signature, VerifyingKey};
use kiln_abi::Status;
use kiln_abi::firmware::{HEADER_BYTES, ImageHeader};
use kiln_abi::page::Text;
use sha2::{Digest, Sha256};

use crate::flash::{PAGE_BYTES, SLOT_BYTES, slot_address};
use crate::hardware::Hardware;
use crate::validate::Refusal;

/// Largest payload. \[bytes\]
const PAYLOAD_BYTES_MAX: u32 = SLOT_BYTES - HEADER_BYTES as u32;

/// Checks a header. The signature comes first of all that needs trust, so that nothing is said of an image that
/// somebody else has made.
fn check_header(
    hardware: &impl Hardware,
    bytes: &[u8; HEADER_BYTES],
    floor: u32,
) -> Result<ImageHeader, Refusal> {
    let header = ImageHeader::parse(bytes).map_err(|error| (Status::FirmwareMalformed, error.detail()))?;
    let signature = Signature::from_bytes(&header.signature);
    // Strict: one signature for a key and a message, and no key of small order.
    VerifyingKey::from_bytes(&hardware.firmware_key())
        .and_then(|key| key.verify_strict(&header.signed_bytes(), &signature))
        .map_err(|_| (Status::FirmwareSignature, 0))?;
    if header.model != Text::new(hardware.model()) {
        return Err((Status::FirmwareModel, 0));
    }
    if header.version < floor {
        return Err((Status::FirmwareVersionFloor, u64::from(floor)));
    }
    if header.payload_bytes > PAYLOAD_BYTES_MAX {
        return Err((Status::FirmwareTooLarge, u64::from(SLOT_BYTES)));
    }
    Ok(header)
}

/// Checks the first `downloaded` bytes of the image buffer.
pub(crate) fn check_buffer(
    hardware: &mut impl Hardware,
    downloaded: u32,
    floor: u32,
) -> Result<ImageHeader, Refusal> {
    let wrong_length = (Status::FirmwareLength, u64::from(downloaded));
    let buffer = hardware.image_buffer();
    let header = *buffer
        .get(..downloaded as usize)
        .and_then(|image| image.first_chunk::<HEADER_BYTES>())
        .ok_or(wrong_length)?;
    let header = check_header(hardware, &header, floor)?;
    if header.image_bytes() != u64::from(downloaded) {
        return Err(wrong_length);
    }
    let payload = hardware.image_buffer().get(HEADER_BYTES..downloaded as usize).unwrap_or_default();
    if Sha256::digest(payload).as_slice() != header.digest {
        return Err((Status::FirmwareDigest, 0));
    }
    Ok(header)
}

/// Checks what lies in slot 1 or 2.
pub(crate) fn check_slot(hardware: &mut impl Hardware, slot: u8, floor: u32) -> Result<ImageHeader, Refusal> {
    let start = slot_address(slot).ok_or((Status::FirmwareSlotInvalid, u64::from(slot)))?;
    let mut page = [0; PAGE_BYTES];
    hardware.flash_read(start, &mut page);
    let header = check_header(hardware, &page, floor)?;
    let (mut left, mut address) = (header.payload_bytes as usize, start + HEADER_BYTES as u32);
    let mut digest = Sha256::new();
    while left > 0 {
        let here = left.min(PAGE_BYTES);
        hardware.flash_read(address, &mut page[..here]);
        digest.update(&page[..here]);
        (left, address) = (left - here, address + here as u32);
    }
    if digest.finalize().as_slice() == header.digest { Ok(header) } else { Err((Status::FirmwareDigest, 0)) }
}
