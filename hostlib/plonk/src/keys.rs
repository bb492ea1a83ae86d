//! The keys of a circuit, and the two halves of a committed group.

use ark_bn254::{Fr, G1Affine, G2Affine};
use zeroize::Zeroize;

use crate::circuit::Circuit;
use crate::encoding;
use crate::error::KeyError;
use crate::plan::Plan;
use crate::transcript::keccak256;
use crate::witness::ColumnValues;

/// What a verifier needs of the structured reference string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrsVerifier {
    /// `[1]_1`
    pub g1: G1Affine,
    /// `[1]_2`
    pub g2: G2Affine,
    /// `[τ]_2`
    pub tau_g2: G2Affine,
    /// Identifies the whole string.
    pub id: [u8; 32],
    /// Made locally by someone who may know τ: for tests and demonstrations only.
    pub insecure: bool,
}

impl SrsVerifier {
    /// Names τ, whatever the size of the string and of the file that it was read from: Keccak-256 over
    /// `kiln powers of tau v1`, `[1]_1` (compressed), `[1]_2` and `[τ]_2`. Who trusts a ceremony pins this.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut bytes = b"kiln powers of tau v1".to_vec();
        bytes.extend(encoding::g1_to_bytes(&self.g1));
        bytes.extend(encoding::g2_to_bytes(&self.g2));
        bytes.extend(encoding::g2_to_bytes(&self.tau_g2));
        keccak256(&bytes)
    }
}

/// All that a verifier needs besides statement and proof.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    pub(crate) circuit: Circuit,
    /// Commitments of the fixed columns, unblinded.
    pub(crate) fixed: Vec<G1Affine>,
    /// Commitments of the permutation columns σ, one per copy column, unblinded.
    pub(crate) sigma: Vec<G1Affine>,
    pub(crate) srs: SrsVerifier,
    /// Derived: what both sides read off the circuit.
    pub(crate) plan: Plan,
    /// Derived: Keccak-256 of the canonical encoding of everything above.
    pub(crate) digest: [u8; 32],
}

/// The secret half of a committed group: values and blinding. Wiped when dropped.
#[derive(Clone)]
pub struct CommittedSecret {
    pub(crate) values: Vec<ColumnValues>,
    /// Coefficients `b` of each column's blinding `b·(X^n − 1)`; empty for a group that hides nothing.
    pub(crate) blinding: Vec<Vec<Fr>>,
}

/// The public half of a committed group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedPublic {
    /// Name of the group in the circuit.
    pub name: String,
    /// One commitment per column.
    pub commitments: Vec<G1Affine>,
}

impl VerifyingKey {
    /// Puts a key together from its parts, checking that they fit. Labels for messages (`regions`) are kept, and are
    /// the only part of the circuit that the digest does not cover.
    pub(crate) fn new(
        circuit: Circuit,
        fixed: Vec<G1Affine>,
        sigma: Vec<G1Affine>,
        srs: SrsVerifier,
    ) -> Result<Self, KeyError> {
        let plan = Plan::new(&circuit)?;
        for (what, expected, got) in [
            ("fixed columns", circuit.fixed.len(), fixed.len()),
            ("σ columns", circuit.copy_columns.len(), sigma.len()),
        ] {
            if expected != got {
                return Err(KeyError::Count { what, expected, got });
            }
        }
        let digest = digest(&circuit, &fixed, &sigma, &srs);
        Ok(Self { circuit, fixed, sigma, srs, plan, digest })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Keccak-256 over circuit, commitments and SRS: what a proof is bound to.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// What this key holds of the structured reference string.
    pub fn srs(&self) -> &SrsVerifier {
        &self.srs
    }

    /// True if whoever made the SRS may be able to forge proofs: tests and demonstrations only.
    pub fn is_insecure(&self) -> bool {
        self.srs.insecure
    }
}

fn digest(circuit: &Circuit, fixed: &[G1Affine], sigma: &[G1Affine], srs: &SrsVerifier) -> [u8; 32] {
    let mut bytes = b"kiln verifying key v1".to_vec();
    bytes.extend(encoding::circuit_bytes(circuit));
    for commitment in fixed.iter().chain(sigma).chain([&srs.g1]) {
        bytes.extend(encoding::g1_to_bytes(commitment));
    }
    bytes.extend(encoding::g2_to_bytes(&srs.g2));
    bytes.extend(encoding::g2_to_bytes(&srs.tau_g2));
    bytes.extend(srs.id);
    bytes.push(u8::from(srs.insecure));
    keccak256(&bytes)
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

impl CommittedPublic {
    /// Keccak-256 over name and commitments: what the group is called in public.
    pub fn id(&self) -> [u8; 32] {
        let mut bytes = b"kiln committed group v1".to_vec();
        bytes.extend((self.name.len() as u64).to_be_bytes());
        bytes.extend(self.name.as_bytes());
        bytes.extend((self.commitments.len() as u64).to_be_bytes());
        for commitment in &self.commitments {
            bytes.extend(encoding::g1_to_bytes(commitment));
        }
        keccak256(&bytes)
    }
}
