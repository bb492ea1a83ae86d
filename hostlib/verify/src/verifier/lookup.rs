//! Round 3: helpers and running sum of the lookup and copy arguments.
//!
//! Specified in `docs/protocol.md`, "Round 3: `lookup`".

use alloc::vec::Vec;

use ark_bn254::Fr;

use super::Commitments;
use crate::constraints::{Challenges, Oracle};
use crate::error::VerifyError;
use crate::plan::{Plan, index};
use crate::proof::ProofReader;

/// Draws the arguments' challenges and reads the commitments.
pub(super) fn round(
    plan: &Plan,
    circuit: Vec<Fr>,
    reader: &mut ProofReader<'_>,
    commitments: &mut Commitments,
) -> Result<Challenges, VerifyError> {
    let challenges = Challenges::draw(circuit, &mut reader.transcript);
    for helper in 0..plan.helpers.len() {
        commitments.insert(Oracle::Helper(index(helper)), reader.point("a helper commitment")?);
    }
    if plan.has_running_sum() {
        commitments.insert(Oracle::RunningSum, reader.point("the running sum's commitment")?);
    }
    Ok(challenges)
}
