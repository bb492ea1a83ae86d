//! Numbers as the contract's language writes them.

use ark_bn254::{Fr, G1Affine, G2Affine};
use kiln_verify::encoding;

/// An address or offset.
pub(crate) fn hex(value: usize) -> String {
    format!("{value:#x}")
}

/// A word.
pub(crate) fn word(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A scalar: decimal if that is short.
pub(crate) fn decimal_or_hex(value: &Fr) -> String {
    let bytes = encoding::scalar_to_bytes(value);
    let (high, low) = bytes.split_at(24);
    match low.try_into() {
        Ok(low) if high.iter().all(|byte| *byte == 0) => u64::from_be_bytes(low).to_string(),
        _ => word(&bytes),
    }
}

/// The coordinates of a point; infinity is two zeros.
pub(crate) fn coordinates(point: &G1Affine) -> [String; 2] {
    let (x, y) = encoding::g1_coordinates(point);
    [word(&x), word(&y)]
}

/// A point of the second group in the order that the pairing precompile takes: imaginary parts first.
pub(crate) fn g2_words(point: &G2Affine) -> Vec<String> {
    encoding::g2_to_bytes(point).chunks(32).map(word).collect()
}
