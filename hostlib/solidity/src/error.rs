//! Why there is no contract or no calldata.

use kiln_verify::VerifyError;

/// Why a contract or calldata cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SolidityError {
    /// A group of commitments that the circuit does not have, or not so many.
    #[error(
        "the commitments do not fit the verifying key: expected {expected}, got {got}; use files of one model"
    )]
    Group {
        /// What the circuit has.
        expected: String,
        /// What was given.
        got: String,
    },
    /// The proof or statement does not verify, so it has no calldata.
    #[error("calldata is made of valid proofs only: {0}")]
    Invalid(#[from] VerifyError),
    /// The generator met a constant that it cannot name.
    #[error(
        "a constraint contains a constant that the circuit does not explain; this is a fault of the generator, report it"
    )]
    UnknownConstant,
}
