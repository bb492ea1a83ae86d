//! The prover's key of a circuit: the verifier's, and all columns that no proof changes.

mod file;

use kiln_kernels::HostData;

use crate::circuit::Circuit;
use crate::mapped::all_reduced;
use crate::sections::Sections;
use crate::witness::ColumnValues;
use kiln_verify::{CircuitError, VerifyingKey};

pub use file::ProvingKeyError;

/// All that a prover needs besides statement and witness. Holds no secret.
///
/// A key that was [opened](ProvingKey::open) reads its columns where they lie in the file; a key that was just made has
/// them in memory, and the coefficients of their polynomials are worked out when they are asked for.
#[derive(Clone)]
pub struct ProvingKey {
    pub(crate) vk: VerifyingKey,
    /// Values of the fixed columns.
    pub(crate) fixed: Vec<ColumnValues>,
    /// Values of the permutation columns σ.
    pub(crate) sigma: Vec<ColumnValues>,
    /// Coefficients of the fixed columns, then of the columns σ.
    pub(crate) coefficients: Option<Vec<ColumnValues>>,
    file: Option<Sections>,
}

impl ProvingKey {
    /// Puts a key together from its parts, checking that they fit.
    pub(crate) fn new(vk: VerifyingKey, fixed: Vec<ColumnValues>) -> Result<Self, CircuitError> {
        Self::check_fixed(vk.circuit(), &fixed)?;
        let sigma = crate::permutation::sigma_columns(vk.circuit());
        Ok(Self { vk, fixed, sigma, coefficients: None, file: None })
    }

    /// Checks that these can be the fixed columns of a circuit.
    pub(crate) fn check_fixed(circuit: &Circuit, fixed: &[ColumnValues]) -> Result<(), CircuitError> {
        let (rows, columns) = (circuit.rows(), circuit.fixed.len());
        if fixed.len() != columns {
            return Err(CircuitError::Count { what: "fixed columns", expected: columns, got: fixed.len() });
        }
        match fixed.iter().find(|column| column.len() != rows) {
            Some(other) => {
                Err(CircuitError::Count { what: "rows of a fixed column", expected: rows, got: other.len() })
            }
            None => Ok(()),
        }
    }

    /// The verifying half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.vk
    }

    /// Values of the fixed columns.
    pub fn fixed(&self) -> &[ColumnValues] {
        &self.fixed
    }

    /// Checks that every field element that comes from a file is reduced, as the kernels expect them. Much cheaper than
    /// checksums, and enough: with other columns than the key was made with, a proof does not verify and never leaves.
    pub(crate) fn check_elements(&self) -> Result<(), ProvingKeyError> {
        let columns = self.fixed.iter().chain(&self.sigma).chain(self.coefficients.iter().flatten());
        for (column, values) in columns.enumerate() {
            if let HostData::Full(values) = values
                && values.is_lent()
                && !all_reduced(values)
            {
                return Err(ProvingKeyError::Element { column });
            }
        }
        Ok(())
    }
}
