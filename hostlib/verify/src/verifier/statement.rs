//! Round 1: binds the transcript to the verifying key and the statement.
//!
//! Specified in `docs/protocol.md`, "Round 1: `statement`".

use super::Commitments;
use crate::arithmetic::Arithmetic;
use crate::constraints::Oracle;
use crate::error::VerifyError;
use crate::keys::VerifyingKey;
use crate::plan::index;
use crate::proof::ProofReader;
use crate::statement::Statement;

/// Checks the statement, opens the proof and collects the commitments that are known ahead of it.
pub(super) fn round<'a>(
    arithmetic: &dyn Arithmetic,
    vk: &VerifyingKey,
    statement: &Statement,
    proof: &'a [u8],
) -> Result<(ProofReader<'a>, Commitments), VerifyError> {
    statement.check(vk)?;
    let mut reader = ProofReader::new(arithmetic, proof, &vk.plan)?;
    statement.absorb(vk, &mut reader.transcript);
    let fixed = vk.fixed.iter().enumerate().map(|(i, point)| (Oracle::Fixed(index(i)), *point));
    let sigma = vk.sigma.iter().enumerate().map(|(i, point)| (Oracle::Sigma(index(i)), *point));
    let groups = statement.committed.iter().flat_map(|group| &group.commitments);
    let committed = groups.enumerate().map(|(i, point)| (Oracle::Committed(index(i)), *point));
    Ok((reader, fixed.chain(sigma).chain(committed).collect()))
}
