//! What lies where in the card's flash.
//!
//! ```text
//! sector 0, 1   commit record, two copies in turn   | then slot 1, slot 2: an image each, from its header on
//! ```
//! The factory image is not here: it is in memory that nobody can write.

use kiln_abi::page::FIRMWARE_SLOTS;

/// What is erased at once. \[bytes\]
pub const SECTOR_BYTES: u32 = 4096;
/// What is programmed at once. \[bytes\]
pub const PAGE_BYTES: usize = 256;
/// Largest image. \[bytes\]
pub const SLOT_BYTES: u32 = 1 << 20;
/// The flash. \[bytes\]
pub const FLASH_BYTES: u32 = 2 * SECTOR_BYTES + FIRMWARE_SLOTS as u32 * SLOT_BYTES;

/// Where a copy of the commit record lies.
pub(crate) const fn record_address(copy: u32) -> u32 {
    copy % 2 * SECTOR_BYTES
}

/// Where slot 1 or 2 begins; none for the factory image and slots that do not exist.
pub const fn slot_address(slot: u8) -> Option<u32> {
    match slot {
        1 => Some(2 * SECTOR_BYTES),
        2 => Some(2 * SECTOR_BYTES + SLOT_BYTES),
        _ => None,
    }
}

// A header is one page, so that it is there or it is not.
const _: () = assert!(kiln_abi::firmware::HEADER_BYTES == PAGE_BYTES);
