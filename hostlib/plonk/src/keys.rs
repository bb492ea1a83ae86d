//! The secret half of a committed group.

use ark_bn254::Fr;
use zeroize::Zeroize;

use crate::witness::ColumnValues;

/// The secret half of a committed group: values and blinding. Wiped when dropped.
#[derive(Clone)]
pub struct CommittedSecret {
    pub(crate) values: Vec<ColumnValues>,
    /// Coefficients `b` of each column's blinding `b·(X^n − 1)`; empty for a group that hides nothing.
    pub(crate) blinding: Vec<Vec<Fr>>,
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
