//! Verifiers of Kiln's proofs as Solidity contracts, and the calldata that proofs become.
//!
//! [`Contract::new`] writes one contract for one verifying key, and for the model commitments that it shall accept proofs
//! about; [`Call::new`] re-encodes a proof for it. The contract repeats what `kiln_verify::verify` does: the same transcript,
//! the same checks of the bytes, the same constraints. Constraints are not written a second time: they are walked with
//! an algebra of expressions, so that contract and verifier cannot disagree about them.
//!
//! The contract needs no storage and no other contract, only the precompiles of BN254 (ecAdd, ecMul, pairing), modular
//! exponentiation and Keccak-256. `docs/ethereum.md` says what it checks, what it costs and who is trusted.
#![forbid(unsafe_code)]

mod calldata;
mod challenges;
mod code;
mod contract;
mod error;
mod graph;
mod instance;
mod layout;
mod linearisation;
mod number;
mod verifier;

pub use calldata::Call;
pub use contract::Contract;
pub use error::SolidityError;
