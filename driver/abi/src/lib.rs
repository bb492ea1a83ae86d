//! What Kiln's host driver and its accelerator card agree on: the registers of the card, its queues, commands,
//! completions and data formats. `docs/card-interface.md` tells the same story in prose.
//!
//! Everything here is plain data: no I/O, no allocation, no dependency. Both sides use the same encoders and parsers,
//! and no parser trusts what it reads: every byte that the other side could have written is checked, a reserved bit
//! that is not zero is refused, and a failure is a typed [`ParseError`].
//!
//! All integers are little-endian. A *host address* is an address that the card uses in DMA (an IOVA); a *card
//! address* is a byte offset into the card's memory.
#![no_std]
#![forbid(unsafe_code)]

mod codes;
#[cfg(test)]
mod document;

pub mod admin;
pub mod completion;
pub mod endpoint;
pub mod entry;
pub mod error;
pub mod feature;
pub mod firmware;
pub mod io;
pub mod page;
pub mod program;
pub mod record;
pub mod register;
pub mod status;

pub use admin::{AdminCommand, AdminOpcode};
pub use completion::Completion;
pub use endpoint::{Activity, DmaFault, Endpoint, HostMemory, Interrupts};
pub use entry::Entry;
pub use error::ParseError;
pub use io::{HostBuffer, IoCommand, IoOpcode};
pub use record::TaskRecord;
pub use register::Register;
pub use status::Status;

/// Version of this interface: major in the upper 16 bits, minor in the lower. A driver refuses another major version.
pub const INTERFACE_VERSION: u32 = 0x0001_0001;

/// A field element of BN254's scalar field: four 64-bit limbs, least significant first, in Montgomery form with
/// R = 2^256. In memory: 32 bytes, little-endian.
pub type Element = [u64; 4];

/// Bytes of a field element in memory.
pub const ELEMENT_BYTES: u64 = 32;

/// Bytes of an affine point in memory: x then y, each four limbs of the base field in Montgomery form with R = 2^256.
/// The point at infinity is 64 zero bytes.
pub const POINT_BYTES: u64 = 64;

/// Vectors, points and programs in card memory start at multiples of this many bytes.
pub const CARD_ALIGNMENT: u64 = 32;

/// Reads an element from its 32 bytes in memory.
pub fn element_from_bytes(bytes: &[u8; 32]) -> Element {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        *limb = u64::from_le_bytes(word);
    }
    limbs
}

/// The 32 bytes of an element in memory.
pub fn element_to_bytes(element: &Element) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.chunks_exact_mut(8).zip(element) {
        chunk.copy_from_slice(&limb.to_le_bytes());
    }
    bytes
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeCompiles;
