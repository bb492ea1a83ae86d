//! Secret bytes.

use kiln_plonk::Randomness;
use zeroize::Zeroizing;

use crate::error::Failure;

/// 32 bytes from the operating system, wiped after use.
pub fn seed() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|e| Failure::device("draw randomness", e.to_string()))?;
    Ok(seed)
}

/// The randomness of one proof or commitment.
pub fn randomness() -> Result<Randomness, Failure> {
    Randomness::from_os().map_err(|e| Failure::device("draw randomness", e))
}
