//! What a circuit's user brings to a proof: the values of the advice columns, phase by phase.

use std::error::Error;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::Zero;
use thiserror::Error;

use crate::expression::Column;

/// Values of one column, as small as they come.
#[derive(Clone)]
pub enum ColumnValues {
    /// Small signed integers.
    Small(Arc<Vec<i32>>),
    /// Field elements.
    Full(Arc<Vec<Fr>>),
}

impl ColumnValues {
    /// Takes ownership of small integers.
    pub fn small(values: Vec<i32>) -> Self {
        Self::Small(Arc::new(values))
    }

    /// Takes ownership of field elements.
    pub fn full(values: Vec<Fr>) -> Self {
        Self::Full(Arc::new(values))
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Small(values) => values.len(),
            Self::Full(values) => values.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `index`, or zero past the end.
    pub fn get(&self, index: usize) -> Fr {
        match self {
            Self::Small(values) => values.get(index).map_or_else(Fr::zero, |value| Fr::from(*value)),
            Self::Full(values) => values.get(index).copied().unwrap_or_default(),
        }
    }
}

/// Makes the advice columns. Phase 0 is asked first; a later phase may depend on the challenges drawn since.
pub trait Witness {
    /// Values of all advice columns of this phase, in column order, `2^k` rows each. `challenges` are all those drawn
    /// so far, in order.
    ///
    /// # Errors
    /// [`WitnessError::Refused`] with the reason if there is no such witness.
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError>;
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
