//! The verifying key of a circuit, and the public half of a committed group.

use alloc::string::String;
use alloc::vec::Vec;

use ark_bn254::{G1Affine, G2Affine};

use crate::circuit::Circuit;
use crate::encoding;
use crate::error::CircuitError;
use crate::plan::Plan;
use crate::transcript::keccak256;

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
    /// Derived: the checksum of the key's file, which holds everything above in its one encoding.
    pub(crate) digest: [u8; 32],
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
    /// Puts a key together from its parts, checking that the circuit keeps all rules and that the counts fit. Labels
    /// for messages (`regions`) are kept, and are the only part of the circuit that the digest does not cover.
    ///
    /// # Errors
    /// [`CircuitError`] names what does not fit.
    pub fn new(
        circuit: Circuit,
        fixed: Vec<G1Affine>,
        sigma: Vec<G1Affine>,
        srs: SrsVerifier,
    ) -> Result<Self, CircuitError> {
        let digest = Self::checksum_of(&circuit, &fixed, &sigma, &srs);
        Self::with_digest(circuit, fixed, sigma, srs, digest)
    }

    /// [`new`](Self::new), for whoever knows the digest.
    pub(crate) fn with_digest(
        circuit: Circuit,
        fixed: Vec<G1Affine>,
        sigma: Vec<G1Affine>,
        srs: SrsVerifier,
        digest: [u8; 32],
    ) -> Result<Self, CircuitError> {
        let plan = Plan::new(&circuit)?;
        for (what, expected, got) in [
            ("fixed columns", circuit.fixed.len(), fixed.len()),
            ("σ columns", circuit.copy_columns.len(), sigma.len()),
        ] {
            if expected != got {
                return Err(CircuitError::Count { what, expected, got });
            }
        }
        Ok(Self { circuit, fixed, sigma, srs, plan, digest })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// What both sides read off the circuit.
    #[doc(hidden)]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Commitments of the fixed columns.
    pub fn fixed(&self) -> &[G1Affine] {
        &self.fixed
    }

    /// Commitments of the permutation columns σ, one per copy column.
    pub fn sigma(&self) -> &[G1Affine] {
        &self.sigma
    }

    /// Keccak-256 over circuit, commitments and SRS, the checksum of the key's file: what a proof is bound to.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// What this key holds of the structured reference string.
    pub fn srs(&self) -> &SrsVerifier {
        &self.srs
    }

    /// The key under another key's digest: what a prover's tests make a cheater bind its transcript to. No key that is
    /// read from bytes is like this.
    #[doc(hidden)]
    pub fn under_digest_of(self, other: &Self) -> Self {
        Self { digest: other.digest, ..self }
    }

    /// True if whoever made the SRS may be able to forge proofs: tests and demonstrations only.
    pub fn is_insecure(&self) -> bool {
        self.srs.insecure
    }
}

impl CommittedPublic {
    /// Keccak-256 over name and commitments: what the group is called in public.
    pub fn id(&self) -> [u8; 32] {
        let mut bytes = b"kiln committed group v1".to_vec();
        bytes.extend(encoding::count(self.name.len()).to_be_bytes());
        bytes.extend(self.name.as_bytes());
        bytes.extend(encoding::count(self.commitments.len()).to_be_bytes());
        for commitment in &self.commitments {
            bytes.extend(encoding::g1_to_bytes(commitment));
        }
        keccak256(&bytes)
    }
}
