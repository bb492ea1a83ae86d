//! Fiat–Shamir: Keccak-256 over 32-byte big-endian words, chained, cheap on Ethereum.
//!
//! Everything absorbed since the last challenge, the previous state and the challenge's label are hashed into the next
//! state; the challenge is 64 bytes squeezed from that state, reduced modulo r (bias below 2^-250). What is absorbed
//! between two challenges is of a fixed shape once the verifying key and the lengths absorbed before are known, so
//! that the words need no further framing.

#[cfg(test)]
use alloc::{string::String, vec::Vec};

use ark_bn254::{Fr, G1Affine};
use ark_ff::{PrimeField, Zero};
use sha3::{Digest, Keccak256};

use crate::encoding;

/// A word of the transcript.
type Word = [u8; 32];

/// The state of one side's transcript.
#[derive(Clone)]
pub struct Transcript {
    state: Word,
    pending: Keccak256,
    /// Labels of all challenges so far, to compare with the document.
    #[cfg(test)]
    pub drawn: Vec<String>,
}

/// Keccak-256, as Ethereum defines it.
pub fn keccak256(bytes: &[u8]) -> Word {
    Keccak256::digest(bytes).into()
}

impl Transcript {
    /// Starts with a domain tag, which names protocol and version.
    pub fn new(domain: &str) -> Self {
        let state = keccak256(domain.as_bytes());
        Self {
            state,
            pending: Keccak256::new_with_prefix(state),
            #[cfg(test)]
            drawn: Vec::new(),
        }
    }

    /// Absorbs 32 bytes.
    pub fn absorb_word(&mut self, word: &Word) {
        self.pending.update(word);
    }

    /// Absorbs a count.
    pub fn absorb_integer(&mut self, value: u64) {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&value.to_be_bytes());
        self.absorb_word(&word);
    }

    /// Absorbs a name, as its hash.
    pub fn absorb_name(&mut self, name: &str) {
        self.absorb_word(&keccak256(name.as_bytes()));
    }

    /// Absorbs a scalar.
    pub fn absorb_scalar(&mut self, scalar: &Fr) {
        self.absorb_word(&encoding::scalar_to_bytes(scalar));
    }

    /// Absorbs a point as its affine coordinates, two words; infinity is two zero words.
    pub fn absorb_point(&mut self, point: &G1Affine) {
        let (x, y) = encoding::g1_coordinates(point);
        self.absorb_word(&x);
        self.absorb_word(&y);
    }

    /// Draws a challenge other than zero, which depends on everything absorbed so far and on the label.
    pub fn challenge(&mut self, label: &str) -> Fr {
        #[cfg(test)]
        self.drawn.push(label.into());
        self.absorb_name(label);
        loop {
            let mut pending = self.pending.clone();
            pending.update([0; 32]);
            self.state = pending.finalize().into();
            self.pending = Keccak256::new_with_prefix(self.state);
            let challenge = self.squeeze();
            if !challenge.is_zero() {
                return challenge;
            }
        }
    }

    /// 64 bytes from the state, reduced modulo r.
    fn squeeze(&self) -> Fr {
        let mut wide = [0; 64];
        for (half, out) in (1u8..).zip(wide.chunks_exact_mut(32)) {
            let mut word = [0; 32];
            word[31] = half;
            out.copy_from_slice(&Keccak256::new_with_prefix(self.state).chain_update(word).finalize());
        }
        Fr::from_be_bytes_mod_order(&wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_depend_on_domain_label_history_and_words() {
        let draw = |domain: &str, word: u8, label: &str| {
            let mut transcript = Transcript::new(domain);
            transcript.absorb_word(&[word; 32]);
            (transcript.challenge(label), transcript.challenge(label))
        };
        let (first, second) = draw("a", 1, "x");
        assert_eq!(draw("a", 1, "x"), (first, second));
        assert_ne!(first, second);
        for other in [draw("b", 1, "x"), draw("a", 2, "x"), draw("a", 1, "y")] {
            assert_ne!(other.0, first);
            assert_ne!(other.1, second);
        }
    }

    #[test]
    fn keccak_is_ethereums() {
        let empty = keccak256(b"");
        assert_eq!(empty[..4], [0xc5, 0xd2, 0x46, 0x01]);
        assert_eq!(empty[28..], [0x5d, 0x85, 0xa4, 0x70]);
    }

    #[test]
    fn a_point_and_its_negative_differ() {
        use ark_ec::AffineRepr;
        let draw = |point: G1Affine| {
            let mut transcript = Transcript::new("t");
            transcript.absorb_point(&point);
            transcript.challenge("c")
        };
        let g = G1Affine::generator();
        assert_ne!(draw(g), draw(-g));
        assert_ne!(draw(g), draw(G1Affine::identity()));
    }
}
