//! The bytes of a proof. There is no proof structure: what is in a proof went through the transcript on its way.

use alloc::vec::{self, Vec};

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;

use crate::arithmetic::Arithmetic;
use crate::check::Check;
use crate::encoding::{self, DecodeError};
use crate::error::MalformedProof;
use crate::plan::Plan;
use crate::transcript::Transcript;

/// Version of the proof format and of the protocol.
pub const PROOF_VERSION: u8 = 1;

/// First bytes of every proof.
pub const MAGIC: [u8; 7] = *b"KILNPRF";

/// Length of magic and version.
const HEADER_BYTES: usize = MAGIC.len() + 1;

/// What the transcript of a proof begins with.
pub const DOMAIN: &str = "kiln plonk bn254 v1";

/// Bytes of a proof for a circuit.
pub fn proof_bytes(plan: &Plan) -> usize {
    plan.proof_points().saturating_add(plan.queries.len()).saturating_mul(32).saturating_add(HEADER_BYTES)
}

/// Reads a proof.
#[derive(Clone)]
pub struct ProofReader<'a> {
    /// What has been read so far, hashed.
    pub transcript: Transcript,
    rest: &'a [u8],
    /// The points that have not been read yet.
    points: vec::IntoIter<Result<G1Affine, DecodeError>>,
}

impl<'a> ProofReader<'a> {
    /// Checks length and header, and takes all points out of their compressed form.
    ///
    /// # Errors
    /// [`MalformedProof`] with what is wrong.
    pub fn new(arithmetic: &dyn Arithmetic, bytes: &'a [u8], plan: &Plan) -> Result<Self, MalformedProof> {
        let header = || MalformedProof::Header { expected: PROOF_VERSION };
        let (start, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(header)?;
        if start.strip_prefix(&MAGIC) != Some(&[PROOF_VERSION]) && Check::Header.is_on() {
            return Err(header());
        }
        let expected = proof_bytes(plan);
        if bytes.len() != expected && Check::Length.is_on() {
            return Err(MalformedProof::Length { expected, got: bytes.len() });
        }
        // Evaluations stand between the commitments and the two points of the opening.
        let first = plan.proof_points().saturating_sub(2);
        let end = first.saturating_add(plan.queries.len());
        let words = rest.as_chunks().0.iter().enumerate();
        let points = words.filter(|(i, _)| !(first..end).contains(i)).map(|(_, word)| word);
        let points = encoding::g1s_from_bytes(arithmetic, points).into_iter();
        Ok(Self { transcript: Transcript::new(DOMAIN), rest, points })
    }

    /// The last point of a proof that nothing has been read of, ahead of its turn. Infinity if it is none.
    pub fn last_point(&self, plan: &Plan) -> G1Affine {
        let point = self.points.as_slice().get(plan.proof_points().saturating_sub(1));
        point.and_then(|point| point.as_ref().ok()).copied().unwrap_or_default()
    }

    fn word(&mut self) -> Option<&'a [u8; 32]> {
        let (word, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(word)
    }

    /// Reads and absorbs a point other than infinity: no honest prover commits to zero.
    ///
    /// # Errors
    /// [`MalformedProof::Point`]
    pub fn point(&mut self, what: &'static str) -> Result<G1Affine, MalformedProof> {
        let malformed = MalformedProof::Point { what };
        self.word().ok_or(malformed.clone())?;
        let point = self.points.next().and_then(Result::ok).ok_or(malformed.clone())?;
        if point.is_zero() && Check::NotInfinity.is_on() {
            return Err(malformed);
        }
        if Check::AbsorbPoint(what).is_on() {
            self.transcript.absorb_point(&point);
        }
        Ok(point)
    }

    /// Reads and absorbs several points.
    ///
    /// # Errors
    /// [`MalformedProof::Point`]
    pub fn points(&mut self, what: &'static str, count: usize) -> Result<Vec<G1Affine>, MalformedProof> {
        (0..count).map(|_| self.point(what)).collect()
    }

    /// Reads and absorbs a scalar.
    ///
    /// # Errors
    /// [`MalformedProof::Scalar`]
    pub fn scalar(&mut self, what: &'static str) -> Result<Fr, MalformedProof> {
        let malformed = MalformedProof::Scalar { what };
        let word = self.word().ok_or(malformed.clone())?;
        let scalar = encoding::scalar_from_bytes(word).map_err(|_| malformed)?;
        if Check::AbsorbScalar.is_on() {
            self.transcript.absorb_scalar(&scalar);
        }
        Ok(scalar)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`MalformedProof::Length`] if anything is left.
    pub fn finish(self, plan: &Plan) -> Result<(), MalformedProof> {
        let expected = proof_bytes(plan);
        match self.rest.len() {
            0 => Ok(()),
            _ if !Check::End.is_on() => Ok(()),
            rest => Err(MalformedProof::Length { expected, got: expected.saturating_add(rest) }),
        }
    }
}
