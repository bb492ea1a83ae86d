//! A file that shows, once for each model, that its committed weights are small integers.
//!
//! length of the key u64 | verifying key | proof, in a checked container. The key must be of the one circuit that says so,
//! for the commitment's columns, and rest on the reference string of the model's own verifying key.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use kiln_circuits::WeightRange;
use kiln_verify::{Arithmetic, CommittedPublic, Statement, VerifyError, VerifyingKey, verify_by};

use crate::container;
use crate::error::{Failure, Source};
use crate::public::MODEL_GROUP;

const FILE: container::Kind = container::Kind { magic: *b"KILN-WR\n", version: 1 };

/// A proof that weights are in range, with its verifying key.
pub struct RangeProof {
    /// The verifying key.
    pub key: VerifyingKey,
    /// The proof.
    pub proof: Vec<u8>,
}

impl RangeProof {
    /// As a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        FILE.wrap_pair(&self.key.to_file_bytes(), &self.proof)
    }

    /// From a file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, Source> {
        let (key, proof) = FILE.unwrap_pair(bytes)?;
        Ok(Self { key: VerifyingKey::from_file_bytes(key)?, proof: proof.to_vec() })
    }

    /// Checks it against the model's verifying key and commitment. Gives the bits that a weight may take, sign included.
    ///
    /// # Errors
    /// [`Failure::Invalid`] if it does not show that.
    pub fn check(
        &self,
        arithmetic: &dyn Arithmetic,
        model: &VerifyingKey,
        weights: &CommittedPublic,
    ) -> Result<u32, Failure> {
        let columns = u32::try_from(weights.commitments.len()).unwrap_or(u32::MAX);
        if self.key.srs() != model.srs() {
            return invalid("rests on another reference string than the model's verifying key");
        }
        if self.key.circuit().k != model.circuit().k || !group_is(model, columns) {
            return invalid("is not for a model of this size");
        }
        let range = WeightRange::new(model.circuit().k, MODEL_GROUP, columns);
        if *self.key.circuit() != range.circuit {
            return invalid("is of a circuit that does not say that weights are in range");
        }
        let statement = Statement { public_inputs: Vec::new(), committed: vec![weights.clone()] };
        match verify_by(arithmetic, &self.key, &statement, &self.proof) {
            Ok(()) => Ok(range.bits()),
            Err(VerifyError::Rejected(_)) => invalid("is not about this model's commitment, or is false"),
            Err(error) => Err(Failure::refused("check the range proof", error)),
        }
    }
}

/// The model's circuit has a group of weights of that many columns. (A hostile file cannot make it larger than its key.)
fn group_is(model: &VerifyingKey, columns: u32) -> bool {
    model.circuit().committed.iter().any(|group| group.name == MODEL_GROUP && group.columns == columns)
}

fn invalid<T>(reason: &str) -> Result<T, Failure> {
    Err(Failure::Invalid(format!("the range proof {reason}")))
}
