//! Randomness of one proof.

use ark_bn254::Fr;
use ark_ff::PrimeField;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use crate::error::ProveError;

/// A stream of secret random scalars, for one proof or one commitment only: it is consumed by its use.
///
/// ChaCha20 keyed with 32 bytes. [`Randomness::from_os`] is the only constructor for real proofs.
pub struct Randomness {
    stream: ChaCha20Rng,
}

impl Randomness {
    /// Keyed by the operating system.
    ///
    /// # Errors
    /// [`ProveError::Randomness`] if it has none to give.
    pub fn from_os() -> Result<Self, ProveError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|e| ProveError::Randomness(e.to_string()))?;
        Ok(Self { stream: ChaCha20Rng::from_seed(*seed) })
    }

    /// For tests only. Whoever knows the seed can compute the witness from the proof, and two proofs from one seed
    /// leak to everyone.
    #[doc(hidden)]
    pub fn insecure_from_seed(seed: [u8; 32]) -> Self {
        Self { stream: ChaCha20Rng::from_seed(seed) }
    }

    /// A uniform scalar (64 random bytes reduced modulo r).
    pub(crate) fn scalar(&mut self) -> Fr {
        let mut bytes = [0; 64];
        self.stream.fill_bytes(&mut bytes);
        let scalar = Fr::from_be_bytes_mod_order(&bytes);
        bytes.zeroize();
        scalar
    }

    /// Uniform scalars.
    pub(crate) fn scalars(&mut self, count: usize) -> Vec<Fr> {
        (0..count).map(|_| self.scalar()).collect()
    }
}

impl Drop for Randomness {
    /// Forgets the key. (The generator has no wiping of its own; this is the best that safe code can do.)
    fn drop(&mut self) {
        self.stream = ChaCha20Rng::from_seed([0; 32]);
        std::hint::black_box(&self.stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_gives_two_different_streams() {
        let mut a = Randomness::from_os().unwrap();
        let mut b = Randomness::from_os().unwrap();
        assert_ne!(a.scalars(4), b.scalars(4));
    }
}
