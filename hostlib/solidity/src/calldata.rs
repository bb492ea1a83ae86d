//! A proof as calldata: the same proof with its points uncompressed, since the contract would pay for their square roots.

use ark_bn254::G1Affine;
use kiln_verify::encoding::{g1_coordinates, g1_from_bytes, scalar_to_bytes};
use kiln_verify::{CommittedPublic, MalformedProof, Statement, VerifyError, VerifyingKey, verify};

use crate::contract::{Groups, selector, signature};
use crate::error::SolidityError;
use crate::layout::Calldata;

/// Bytes before a proof's first word.
const HEADER_BYTES: usize = 8;

/// The call of a contract that verifies a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The signature of the function.
    pub signature: String,
    /// The arguments in order, each a list of words.
    pub arguments: Vec<Vec<[u8; 32]>>,
}

impl Call {
    /// The call that verifies a proof by the contract of a key and of these committed groups, which are given as to
    /// [`crate::Contract::new`]. The proof is verified first.
    ///
    /// # Errors
    /// [`SolidityError::Invalid`] if the proof does not verify, [`SolidityError::Group`] if the commitments are others than the
    /// statement's.
    pub fn new(
        vk: &VerifyingKey,
        committed: &[CommittedPublic],
        statement: &Statement,
        proof: &[u8],
    ) -> Result<Self, SolidityError> {
        let groups = Groups::new(vk, committed)?;
        for fixed in committed {
            if let Some(stated) = statement.committed.iter().find(|group| group.name == fixed.name)
                && stated != fixed
            {
                let hex = |group: &CommittedPublic| crate::number::word(&group.id());
                return Err(SolidityError::Group { expected: hex(fixed), got: hex(stated) });
            }
        }
        verify(vk, statement, proof)?;
        Self::unchecked(vk, &groups, statement, proof)
    }

    fn unchecked(
        vk: &VerifyingKey,
        groups: &Groups,
        statement: &Statement,
        proof: &[u8],
    ) -> Result<Self, SolidityError> {
        let calldata = Calldata::new(vk, &groups.arguments());
        let mut arguments = vec![statement.public_inputs.iter().map(scalar_to_bytes).collect::<Vec<_>>()];
        for (group, ..) in &calldata.groups {
            let points = statement.committed.get(*group).map(|group| group.commitments.as_slice());
            arguments.push(points.unwrap_or_default().iter().flat_map(point_words).collect());
        }
        arguments.push(proof_words(vk, proof)?);
        arguments.retain(|words| !words.is_empty());
        Ok(Self { signature: signature(vk, &calldata), arguments })
    }

    /// First bytes of the calldata.
    pub fn selector(&self) -> [u8; 4] {
        selector(&self.signature)
    }

    /// The calldata.
    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.arguments.iter().flatten().flatten();
        self.selector().iter().chain(words).copied().collect()
    }
}

fn point_words(point: &G1Affine) -> [[u8; 32]; 2] {
    let (x, y) = g1_coordinates(point);
    [x, y]
}

/// The words of a proof that has been verified.
fn proof_words(vk: &VerifyingKey, proof: &[u8]) -> Result<Vec<[u8; 32]>, SolidityError> {
    let plan = vk.plan();
    let (points, evaluations) = (plan.proof_points() - 2, plan.queries.len());
    let (words, _) = proof.get(HEADER_BYTES..).unwrap_or_default().as_chunks::<32>();
    let mut out = Vec::with_capacity(2 * words.len());
    for (i, word) in words.iter().enumerate() {
        if (points..points + evaluations).contains(&i) {
            out.push(*word);
            continue;
        }
        let malformed = MalformedProof::Point { what: "a point" };
        let point = g1_from_bytes(word).map_err(|_| VerifyError::Malformed(malformed))?;
        out.extend(point_words(&point));
    }
    Ok(out)
}
