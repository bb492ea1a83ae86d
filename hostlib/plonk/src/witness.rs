//! What a circuit's user brings to a proof: the values of the advice columns, phase by phase.

use std::error::Error;

use ark_bn254::Fr;
use thiserror::Error;

use crate::expression::Column;

/// Values of one column, as small as they come.
pub type ColumnValues = kiln_kernels::HostData;

/// Makes the advice columns. Phase 0 is asked first; a later phase may depend on the challenges drawn since.
pub trait Witness {
    /// Values of all advice columns of this phase, in column order, `2^k` rows each. `challenges` are all those drawn
    /// so far, in order.
    ///
    /// # Errors
    /// [`WitnessError::Refused`] with the reason if there is no such witness.
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError>;

    /// All columns are made, so what was kept for later phases may be let go of.
    fn finish(&self) {}

    /// At most how many bytes a value of this phase's columns takes, copies that the source keeps included: 4 if all columns
    /// are small integers, else 32. Only estimates of memory depend on it.
    fn value_bytes(&self, phase: u8) -> usize {
        let _ = phase;
        32
    }

    /// On how many rows an advice column has values of its own, where that is known: on the others it is zero, or as on the row before.
    /// Only predictions of time depend on it.
    fn filled(&self, column: u32) -> Option<usize> {
        let _ = column;
        None
    }
}

/// Why there is no witness, or why it does not fit the circuit.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum WitnessError {
    /// A phase has the wrong number of columns.
    #[error("the witness of phase {phase} has the wrong number of columns: expected {expected}, got {got}")]
    ColumnCount { phase: u8, expected: usize, got: usize },
    /// A column has the wrong number of rows.
    #[error("{column:?} has the wrong number of rows: expected {expected}, got {got}")]
    ColumnLength { column: Column, expected: usize, got: usize },
    /// Fixed or committed columns, or groups of them, are missing or too many.
    #[error("wrong number of {what}: expected {expected}, got {got}")]
    Count { what: &'static str, expected: usize, got: usize },
    /// The circuit names a column that it does not have.
    #[error("{place} names {column:?}, which the circuit does not have")]
    UnknownColumn { place: String, column: Column },
    /// The user's own reason.
    #[error("no witness: {0}")]
    Refused(#[from] Box<dyn Error + Send + Sync>),
}
