//! The writing of a proof. Its form is that which [`kiln_verify`] reads.

use ark_bn254::{Fr, G1Affine};
use kiln_verify::PROOF_VERSION;
use kiln_verify::internals::proof::{DOMAIN, MAGIC};
use kiln_verify::internals::transcript::Transcript;

use crate::encoding;

/// Writes a proof.
pub struct ProofWriter {
    pub transcript: Transcript,
    bytes: Vec<u8>,
}

impl ProofWriter {
    /// Starts a proof.
    pub fn new() -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.push(PROOF_VERSION);
        Self { transcript: Transcript::new(DOMAIN), bytes }
    }

    /// Appends and absorbs a point.
    pub fn point(&mut self, point: &G1Affine) {
        self.transcript.absorb_point(point);
        self.bytes.extend(encoding::g1_to_bytes(point));
    }

    /// Appends and absorbs a scalar.
    pub fn scalar(&mut self, scalar: &Fr) {
        self.transcript.absorb_scalar(scalar);
        self.bytes.extend(encoding::scalar_to_bytes(scalar));
    }

    /// The proof.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
