//! The proving key of a circuit, and the secret half of a committed group.

use ark_bn254::Fr;
use kiln_verify::{CircuitError, VerifyingKey};
use zeroize::Zeroize;

use crate::circuit::Circuit;
use crate::witness::ColumnValues;

/// All that a prover needs besides statement and witness. Holds no secret.
#[derive(Clone)]
pub struct ProvingKey {
    pub(crate) vk: VerifyingKey,
    /// Values of the fixed columns.
    pub(crate) fixed: Vec<ColumnValues>,
    /// Derived: values of the permutation columns σ.
    pub(crate) sigma: Vec<ColumnValues>,
}

/// The secret half of a committed group: values and blinding. Wiped when dropped.
#[derive(Clone)]
pub struct CommittedSecret {
    pub(crate) values: Vec<ColumnValues>,
    /// Coefficients `b` of each column's blinding `b·(X^n − 1)`; empty for a group that hides nothing.
    pub(crate) blinding: Vec<Vec<Fr>>,
}

impl ProvingKey {
    /// Puts a key together from its parts, checking that they fit.
    pub(crate) fn new(vk: VerifyingKey, fixed: Vec<ColumnValues>) -> Result<Self, CircuitError> {
        Self::check_fixed(vk.circuit(), &fixed)?;
        let sigma = crate::permutation::sigma_columns(vk.circuit());
        Ok(Self { vk, fixed, sigma })
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
}

impl CommittedSecret {
    /// Values of the columns.
    pub fn values(&self) -> &[ColumnValues] {
        &self.values
    }

    /// False if the commitments may be recomputed by anybody who has the values.
    pub fn is_hiding(&self) -> bool {
        self.blinding.iter().any(|coefficients| !coefficients.is_empty())
    }
}

impl Drop for CommittedSecret {
    fn drop(&mut self) {
        self.values.iter_mut().for_each(ColumnValues::wipe);
        self.blinding.zeroize();
    }
}
