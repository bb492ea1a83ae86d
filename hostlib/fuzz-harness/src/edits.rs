//! Scripts of changes to valid bytes. Every byte string is a script, and small changes to it are small changes to what it
//! does, so that a fuzzer that knows nothing of points and scalars finds its way behind the checks that they pass.

use ark_bn254::{Fq, Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, PrimeField};
use kiln_verify::encoding::{
    WORD_BYTES, g1_coordinates, g1_from_bytes, g1_to_bytes, scalar_from_bytes, scalar_to_bytes,
};

/// Bytes of one change: what, place, other place, three bytes of detail.
pub const EDIT_BYTES: usize = 8;

/// How many changes a script makes at most.
pub const EDITS_MAX: usize = 24;

/// Where words of 32 bytes begin.
#[derive(Clone, Copy)]
pub struct Words {
    /// Offset of the first.
    pub first: usize,
    /// Distance between neighbours.
    pub stride: usize,
}

impl Words {
    /// The offset of a word that lies within `len` bytes.
    fn offset(self, len: usize, number: u16) -> Option<usize> {
        let count = len.checked_sub(self.first + WORD_BYTES)? / self.stride + 1;
        Some(self.first + self.stride * (usize::from(number) % count))
    }

    fn word(self, bytes: &mut [u8], number: u16) -> Option<&mut [u8; WORD_BYTES]> {
        let offset = self.offset(bytes.len(), number)?;
        bytes.get_mut(offset..)?.first_chunk_mut()
    }
}

/// Carries a script out.
pub fn apply(bytes: &mut Vec<u8>, words: Words, script: &[u8]) {
    for edit in script.as_chunks::<EDIT_BYTES>().0.iter().take(EDITS_MAX) {
        let [what, p1, p0, o1, o0, detail @ ..] = *edit;
        let (place, other) = (u16::from_be_bytes([p1, p0]), u16::from_be_bytes([o1, o0]));
        change(bytes, words, what, place, other, detail);
    }
}

/// A change; one that does not fit is none.
fn change(bytes: &mut Vec<u8>, words: Words, what: u8, place: u16, other: u16, detail: [u8; 3]) {
    let byte = usize::from(place) % (bytes.len() + 1);
    match what % 16 {
        0 => bytes.iter_mut().skip(byte).take(1).for_each(|byte| *byte ^= detail[0]),
        1 => bytes.iter_mut().skip(byte).zip(detail).for_each(|(byte, to)| *byte = to),
        2 => {
            let fill = vec![detail[0]; usize::from(detail[1])];
            bytes.splice(byte..byte, fill);
        }
        3 => {
            let end = (byte + usize::from(detail[0]) + 1).min(bytes.len());
            bytes.drain(byte..end);
        }
        4 => {
            let integer = u64::from(other) << (detail[0] % 64);
            bytes.iter_mut().skip(byte).zip(integer.to_be_bytes()).for_each(|(byte, to)| *byte = to);
        }
        5 => {
            let from = usize::from(other) % (bytes.len() + 1);
            let end = (from + usize::from(detail[0])).min(bytes.len());
            let copied = bytes[from..end].to_vec();
            bytes.splice(byte..byte, copied);
        }
        6 => {
            let (Some(a), Some(b)) = (words.offset(bytes.len(), place), words.offset(bytes.len(), other))
            else {
                return;
            };
            let copied = bytes[a..a + WORD_BYTES].to_vec();
            bytes[b..b + WORD_BYTES].copy_from_slice(&copied);
        }
        7 => {
            let (Some(a), Some(b)) = (words.offset(bytes.len(), place), words.offset(bytes.len(), other))
            else {
                return;
            };
            for i in 0..WORD_BYTES {
                bytes.swap(a + i, b + i);
            }
        }
        8 => {
            let Some(offset) = words.offset(bytes.len(), place) else { return };
            let (x, y) = g1_coordinates(&multiple(G1Affine::identity(), detail[0]));
            bytes.iter_mut().skip(offset).zip([x, y].concat()).for_each(|(byte, to)| *byte = to);
        }
        _ => {
            if let Some(word) = words.word(bytes, place) {
                change_word(word, what, detail);
            }
        }
    }
}

/// Changes to what may be a scalar or a compressed point.
fn change_word(word: &mut [u8; WORD_BYTES], what: u8, detail: [u8; 3]) {
    match what % 16 {
        9 => word[0] ^= 0x80,
        10 => *word = special(detail[0]),
        11 => *word = g1_to_bytes(&multiple(G1Affine::identity(), detail[0])),
        12 => {
            if let Ok(point) = g1_from_bytes(word) {
                *word = g1_to_bytes(&multiple(point, detail[0]));
            }
        }
        13 => {
            if let Ok(scalar) = scalar_from_bytes(word) {
                *word = scalar_to_bytes(&(scalar + signed(detail[0])));
            }
        }
        14 => add(word, Fr::MODULUS),
        _ => add(word, Fq::MODULUS),
    }
}

/// `point + factor·G`
fn multiple(point: G1Affine, factor: u8) -> G1Affine {
    (point + G1Affine::generator() * signed(factor)).into_affine()
}

fn signed(byte: u8) -> Fr {
    Fr::from(i64::from(i8::from_be_bytes([byte])))
}

/// Words at the borders of what is allowed.
fn special(which: u8) -> [u8; WORD_BYTES] {
    let mut word = [0; WORD_BYTES];
    match which % 8 {
        0 => {}
        1 => word[0] = 0x40,
        2 => word = [0xff; WORD_BYTES],
        3 => add(&mut word, Fr::MODULUS),
        4 => word = scalar_to_bytes(&-Fr::from(1)),
        5 => add(&mut word, Fq::MODULUS),
        6 => word[WORD_BYTES - 1] = 1,
        _ => word[0] = 0x80,
    }
    word
}

/// `word + modulus`, wrapping.
fn add(word: &mut [u8; WORD_BYTES], modulus: impl BigInteger) {
    let mut carry = 0u16;
    for (byte, term) in word.iter_mut().rev().zip(modulus.to_bytes_le()) {
        let [high, low] = (u16::from(*byte) + u16::from(term) + carry).to_be_bytes();
        *byte = low;
        carry = u16::from(high);
    }
}
