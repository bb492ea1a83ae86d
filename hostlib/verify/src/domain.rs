//! The rows as points of the field, and the names that the copy argument gives to cells.

use ark_bn254::Fr;
use ark_ff::{FftField, Field};

/// The generator ω of the subgroup of order 2^k that names the rows. Plans allow k up to 24; the field has 28.
pub fn root_of_unity(k: u32) -> Fr {
    1u64.checked_shl(k).and_then(Fr::get_root_of_unity).unwrap_or_default()
}

/// The factor κ_i of copy column i: its cell on row j is called κ_i·ω^j. Powers of a generator of the whole group
/// lie in different cosets of the rows' subgroup as long as there are fewer columns than cosets.
pub fn coset_shift(column: u32) -> Fr {
    Fr::GENERATOR.pow([u64::from(column)])
}
