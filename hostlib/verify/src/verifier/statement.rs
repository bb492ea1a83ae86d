//! Round 1: binds the transcript to the verifying key and the statement.
//!
//! Specified in `docs/protocol.md`, "Round 1: `statement`".

use super::Commitments;
use crate::constraints::Oracle;
use crate::keys::VerifyingKey;
use crate::plan::index;
use crate::proof::ProofReader;
use crate::statement::Statement;

/// Absorbs both and collects the commitments that are known ahead of the proof.
pub(super) fn round(vk: &VerifyingKey, statement: &Statement, reader: &mut ProofReader<'_>) -> Commitments {
    statement.absorb(vk, &mut reader.transcript);
    let fixed = vk.fixed.iter().enumerate().map(|(i, point)| (Oracle::Fixed(index(i)), *point));
    let sigma = vk.sigma.iter().enumerate().map(|(i, point)| (Oracle::Sigma(index(i)), *point));
    let groups = statement.committed.iter().flat_map(|group| &group.commitments);
    let committed = groups.enumerate().map(|(i, point)| (Oracle::Committed(index(i)), *point));
    fixed.chain(sigma).chain(committed).collect()
}
