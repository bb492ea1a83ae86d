//! Many proofs checked with one pairing equation.
//!
//! Each proof comes down to a claim e(L, \[1\]_2) = e(W', \[τ\]_2). A batch checks Σ ρ·L against Σ ρ·W', with one weight ρ of
//! 128 bits for each proof. A false claim has an error e(L, \[1\]_2)/e(W', \[τ\]_2) other than one; the product of all errors, each to
//! its weight, is one for at most one value of the weight of a false claim, whatever the other weights are. Weights are
//! hashed from all keys, statements and proofs, so nobody can choose a proof after its weight, and each attempt at a batch
//! that passes with a false proof in it succeeds with probability 2^-128. No randomness is needed, and everybody who
//! checks the same batch does the same.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{One, PrimeField, Zero};
use thiserror::Error;

use super::opening::Claim;
use super::{claim, open};
use crate::arithmetic::{Arithmetic, Portable};
use crate::check::Check;
use crate::error::VerifyError;
use crate::keys::VerifyingKey;
use crate::statement::Statement;
use crate::transcript::{Transcript, keccak256};

/// What the transcript of a batch begins with.
const DOMAIN: &str = "kiln batch bn254 v1";

/// One proof of a batch, with what it is checked against.
#[derive(Clone, Copy, Debug)]
pub struct BatchItem<'a> {
    /// The verifying key. All keys of a batch rest on one reference string.
    pub key: &'a VerifyingKey,
    /// What the proof is about.
    pub statement: &'a Statement,
    /// The bytes of the proof.
    pub proof: &'a [u8],
}

/// Why a batch was not accepted. Proofs are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum BatchError {
    /// There is nothing to check, so nothing is said to hold.
    #[error("the batch has no proofs; give at least one")]
    Empty,
    /// A statement or a proof does not fit its key. Nothing is said about the others.
    #[error("proof {index} of the batch: {source}")]
    Item { index: usize, source: VerifyError },
    /// Keys rest on different reference strings.
    #[error(
        "the key of proof {index} rests on another reference string than that of proof 0; batch them apart"
    )]
    AnotherSrs { index: usize },
    /// These proofs are false; all others hold.
    #[error("the proofs {indices:?} of the batch are false; do not rely on them")]
    False { indices: Vec<usize> },
}

/// Verifies proofs together: two pairings, whatever their number. If the batch fails, each proof is checked by itself, to
/// tell which are false.
///
/// # Errors
/// [`BatchError`] says which proofs are to blame. All of the proofs hold if and only if there is none, but with probability
/// 2^-128.
pub fn verify_batch(items: &[BatchItem<'_>]) -> Result<(), BatchError> {
    verify_batch_by(&Portable, items)
}

/// [`verify_batch`] by another library's arithmetic. The verdict is worth as much as that library's sums.
///
/// # Errors
/// As [`verify_batch`].
pub fn verify_batch_by(arithmetic: &dyn Arithmetic, items: &[BatchItem<'_>]) -> Result<(), BatchError> {
    let first = items.first().ok_or(BatchError::Empty)?;
    let pairing = |key: &VerifyingKey| (key.srs.g1, key.srs.g2, key.srs.tau_g2);
    if let Some(index) = items.iter().position(|item| pairing(item.key) != pairing(first.key)) {
        return Err(BatchError::AnotherSrs { index });
    }
    let read = |(index, item): (usize, &BatchItem<'_>)| {
        open(arithmetic, item.key, item.statement, item.proof)
            .and_then(|reader| claim(arithmetic, item.key, item.statement, reader))
            .map_err(|source| BatchError::Item { index, source })
    };
    let claims = items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    if combined(arithmetic, &claims, &weights(items)).holds(arithmetic, &first.key.srs) {
        return Ok(());
    }
    let wrong = claims.iter().enumerate().filter(|(_, claim)| !claim.holds(arithmetic, &first.key.srs));
    Err(BatchError::False { indices: wrong.map(|(index, _)| index).collect() })
}

/// Weights of 128 bits, none of them zero, bound to everything that is checked.
fn weights(items: &[BatchItem<'_>]) -> Vec<Fr> {
    if !Check::BatchWeights.is_on() {
        return items.iter().map(|_| Fr::one()).collect();
    }
    let mut transcript = Transcript::new(DOMAIN);
    transcript.absorb_integer(u64::try_from(items.len()).unwrap_or(u64::MAX));
    for item in items {
        item.statement.absorb(item.key, &mut transcript);
        transcript.absorb_word(&keccak256(item.proof));
    }
    let mut weight = |_| loop {
        let [low, high, ..] = transcript.challenge("batch").into_bigint().0;
        let weight = Fr::from(u128::from(high) << 64 | u128::from(low));
        if !weight.is_zero() {
            return weight;
        }
    };
    items.iter().map(&mut weight).collect()
}

/// The weighted sum of claims. Points that several of them have, those of one key above all, become one term.
fn combined(arithmetic: &dyn Arithmetic, claims: &[Claim], weights: &[Fr]) -> Claim {
    let mut left: BTreeMap<(ark_bn254::Fq, ark_bn254::Fq), Fr> = BTreeMap::new();
    let mut right = Vec::new();
    for (claim, weight) in claims.iter().zip(weights) {
        for (point, factor) in &claim.left {
            if let Some(coordinates) = point.xy() {
                *left.entry(coordinates).or_default() += *weight * factor;
            }
        }
        right.push((claim.right, *weight));
    }
    let left = left.into_iter().map(|((x, y), factor)| (G1Affine::new_unchecked(x, y), factor)).collect();
    Claim { left, right: arithmetic.sum_of_multiples_vartime(&right).into() }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use ark_bn254::G2Affine;
    use ark_ec::CurveGroup;

    use super::*;
    use crate::keys::SrsVerifier;

    const TAU: u64 = 7;

    fn srs() -> SrsVerifier {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        SrsVerifier { g1, g2, tau_g2: (g2 * Fr::from(TAU)).into_affine(), id: [0; 32], insecure: true }
    }

    /// e(τ·s + error, 1) = e(s, τ)
    fn claim(s: u64, error: i64) -> Claim {
        let g = G1Affine::generator();
        let left = vec![(g, Fr::from(TAU) * Fr::from(s)), (g, Fr::from(error))];
        Claim { left, right: (g * Fr::from(s)).into_affine() }
    }

    #[test]
    fn errors_that_cancel_under_equal_weights_do_not_under_others() {
        let claims = [claim(3, 5), claim(4, -5), claim(0, 0)];
        let one = Fr::from(1);
        assert!(
            claims.iter().take(2).all(|claim| !claim.holds(&Portable, &srs()))
                && claims[2].holds(&Portable, &srs())
        );
        assert!(combined(&Portable, &claims, &[one; 3]).holds(&Portable, &srs()));
        assert!(!combined(&Portable, &claims, &[one, Fr::from(2), one]).holds(&Portable, &srs()));
    }

    #[test]
    fn true_claims_hold_together_under_any_weights() {
        let claims = [claim(3, 0), claim(3, 0), claim(0, 0), claim(9, 0)];
        assert!(combined(&Portable, &claims, &[5, 6, 1u64 << 40, 1].map(Fr::from)).holds(&Portable, &srs()));
    }
}
