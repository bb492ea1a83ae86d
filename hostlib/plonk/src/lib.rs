//! KZG-Plonk over BN254 with logUp lookups, multi-phase challenges and hidden committed columns.
#![forbid(unsafe_code)]

pub mod circuit;
pub mod encoding;
mod evaluate;
pub mod expression;
pub mod formula;
mod mock;
pub mod srs;
mod witness;

pub use mock::{MockFailure, Place, QueryValue, mock};
pub use witness::{ColumnValues, Witness, WitnessError};
