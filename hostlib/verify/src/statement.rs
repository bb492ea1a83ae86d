//! What a proof is about, and how it enters the transcript on both sides.

use alloc::borrow::ToOwned;
use alloc::string::ToString;
use alloc::vec::Vec;

use ark_bn254::Fr;

use crate::check::Check;
use crate::encoding::count;
use crate::error::VerifyError;
use crate::keys::{CommittedPublic, VerifyingKey};
use crate::plan::position;
use crate::transcript::Transcript;

/// Public side of one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Public inputs, as many as the circuit declares.
    pub public_inputs: Vec<Fr>,
    /// Committed groups, in the circuit's order.
    pub committed: Vec<CommittedPublic>,
}

impl Statement {
    /// Checks that the statement fits the circuit.
    ///
    /// # Errors
    /// [`VerifyError::Statement`] with what does not fit.
    #[doc(hidden)]
    pub fn check(&self, vk: &VerifyingKey) -> Result<(), VerifyError> {
        let circuit = &vk.circuit;
        let (expected, got) = (position(circuit.public_inputs), self.public_inputs.len());
        check_count(Check::PublicInputCount, "public inputs", expected, got)?;
        check_count(Check::GroupCount, "committed groups", circuit.committed.len(), self.committed.len())?;
        for (declared, given) in circuit.committed.iter().zip(&self.committed) {
            if declared.name != given.name && Check::GroupName.is_on() {
                let (expected, got) = (declared.name.clone(), given.name.clone());
                return Err(VerifyError::Statement { what: "committed group".into(), expected, got });
            }
            let what = format!("columns of committed group {:?}", declared.name);
            let (expected, got) = (position(declared.columns), given.commitments.len());
            check_count(Check::GroupColumns, &what, expected, got)?;
            if given.commitments.iter().any(|point| !point.is_on_curve()) && Check::GroupOnCurve.is_on() {
                let (expected, got) = ("points of the curve".into(), "another point".into());
                return Err(VerifyError::Statement { what, expected, got });
            }
        }
        Ok(())
    }

    /// Binds the transcript to the verifying key and to all of the statement.
    #[doc(hidden)]
    pub fn absorb(&self, vk: &VerifyingKey, transcript: &mut Transcript) {
        if Check::AbsorbKey.is_on() {
            transcript.absorb_word(&vk.digest);
        }
        transcript.absorb_integer(count(self.public_inputs.len()));
        if Check::AbsorbPublicInputs.is_on() {
            self.public_inputs.iter().for_each(|value| transcript.absorb_scalar(value));
        }
        transcript.absorb_integer(count(self.committed.len()));
        for group in &self.committed {
            transcript.absorb_name(&group.name);
            transcript.absorb_integer(count(group.commitments.len()));
            if Check::AbsorbGroups.is_on() {
                group.commitments.iter().for_each(|point| transcript.absorb_point(point));
            }
        }
    }
}

fn check_count(check: Check, what: &str, expected: usize, got: usize) -> Result<(), VerifyError> {
    if expected == got || !check.is_on() {
        return Ok(());
    }
    Err(VerifyError::Statement {
        what: what.to_owned(),
        expected: expected.to_string(),
        got: got.to_string(),
    })
}
