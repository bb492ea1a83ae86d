//! A key, its contract on a chain, and both verdicts on calldata.

use ark_bn254::{Fr, G1Affine};
use kiln_plonk::{Statement, VerifyingKey, verify};
use kiln_solidity::{Call, Contract};
use kiln_verify::encoding::{g1_from_coordinates, g1_to_bytes, scalar_from_bytes};
use kiln_verify::{CommittedPublic, PROOF_VERSION};

use crate::compiled::creation_code;
use crate::evm::{Chain, Verdict};

/// Bytes of a selector.
pub const SELECTOR: usize = 4;

pub struct Subject {
    pub vk: VerifyingKey,
    /// Groups that the contract knows.
    pub known: Vec<CommittedPublic>,
    /// The statement's committed groups, known ones included.
    pub committed: Vec<CommittedPublic>,
    pub chain: Chain,
    source: String,
}

/// A word of calldata that is not what it should be, or of a point that is none.
#[derive(Debug)]
struct Malformed;

impl Subject {
    pub fn new(
        name: &str,
        vk: VerifyingKey,
        known: Vec<CommittedPublic>,
        committed: Vec<CommittedPublic>,
    ) -> Self {
        let contract = Contract::new(&vk, &known, name).unwrap();
        let chain = Chain::new(&creation_code(name, contract.source()));
        let source = contract.source().to_owned();
        Self { vk, known, committed, chain, source }
    }

    /// The contract's source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The calldata of a valid proof.
    pub fn calldata(&self, public_inputs: &[Fr], proof: &[u8]) -> Vec<u8> {
        let statement =
            Statement { public_inputs: public_inputs.to_vec(), committed: self.committed.clone() };
        Call::new(&self.vk, &self.known, &statement, proof).unwrap().to_bytes()
    }

    /// The contract's verdict; it must be the verifier's.
    pub fn verdict(&mut self, calldata: &[u8]) -> bool {
        let (verdict, _) = self.chain.call(calldata);
        assert_ne!(verdict, Verdict::Failed, "the call of a verifier does not fail");
        let accepted = verdict == Verdict::Accepted;
        assert_eq!(accepted, self.verifier_accepts(calldata), "contract and verifier disagree");
        accepted
    }

    /// What the verifier says of the same statement and proof.
    fn verifier_accepts(&self, calldata: &[u8]) -> bool {
        let Ok((statement, proof)) = self.parse(calldata) else { return false };
        verify(&self.vk, &statement, &proof).is_ok()
    }

    /// Calldata as a statement and a proof. Whatever has no such form would not be read by the verifier either.
    fn parse(&self, calldata: &[u8]) -> Result<(Statement, Vec<u8>), Malformed> {
        let (_, words) = calldata.split_at_checked(SELECTOR).ok_or(Malformed)?;
        let (words, rest) = words.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(Malformed);
        }
        let mut words = words.iter();
        let mut next = || words.next().ok_or(Malformed);
        let mut public_inputs = Vec::new();
        for _ in 0..self.vk.circuit().public_inputs {
            public_inputs.push(scalar_from_bytes(next()?).map_err(|_| Malformed)?);
        }
        let mut committed = self.committed.clone();
        for group in &mut committed {
            if self.known.iter().all(|known| known.name != group.name) {
                for point in &mut group.commitments {
                    *point = g1_from_coordinates(next()?, next()?).map_err(|_| Malformed)?;
                }
            }
        }
        let plan = self.vk.plan();
        let mut proof = [b"KILNPRF".as_slice(), &[PROOF_VERSION]].concat();
        let point = |x: &[u8; 32], y: &[u8; 32]| -> Result<[u8; 32], Malformed> {
            let point: G1Affine = g1_from_coordinates(x, y).map_err(|_| Malformed)?;
            Ok(g1_to_bytes(&point))
        };
        for _ in 0..plan.proof_points() - 2 {
            proof.extend(point(next()?, next()?)?);
        }
        for _ in &plan.queries {
            proof.extend(next()?);
        }
        for _ in 0..2 {
            proof.extend(point(next()?, next()?)?);
        }
        if next().is_ok() {
            return Err(Malformed);
        }
        Ok((Statement { public_inputs, committed }, proof))
    }

    /// Offsets in the calldata of all words that hold scalars, and of all points.
    pub fn places(&self, calldata: &[u8]) -> (Vec<usize>, Vec<usize>) {
        let plan = self.vk.plan();
        let inputs = self.vk.circuit().public_inputs as usize;
        let end = calldata.len();
        let evaluations = end - 128 - 32 * plan.queries.len();
        let scalars = (0..inputs).map(|i| SELECTOR + 32 * i);
        let scalars = scalars.chain((evaluations..end - 128).step_by(32)).collect();
        let points = (SELECTOR + 32 * inputs..evaluations).step_by(64).chain([end - 128, end - 64]).collect();
        (scalars, points)
    }
}
