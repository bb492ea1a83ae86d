//! Round 6: the opening (SHPLONK: Boneh, Drake, Fisch, Gabizon, ePrint 2020/081, section 4) and its pairing check.
//!
//! Specified in `docs/protocol.md`, "Round 6: `opening`".

use alloc::vec::Vec;

use ark_bn254::{Bn254, Fr, G1Affine};
use ark_ec::pairing::{MillerLoopOutput, Pairing};
use ark_ff::{One, Zero};

use super::Commitments;
use crate::arithmetic::{Arithmetic, both};
use crate::check::Check;
use crate::constraints::Oracle;
use crate::error::{Rejection, VerifyError};
use crate::keys::{SrsVerifier, VerifyingKey};
use crate::linearisation::{Evaluations, Linearisation};
use crate::opening_points::OpeningPoints;
use crate::proof::ProofReader;

/// Reads the two opening points and collects what is to be checked of them with two pairings.
pub(super) fn round(
    vk: &VerifyingKey,
    commitments: &Commitments,
    pieces: &[G1Affine],
    linearisation: &Linearisation,
    evaluations: &Evaluations,
    mut reader: ProofReader<'_>,
) -> Result<Claim, VerifyError> {
    let v = reader.transcript.challenge("v");
    let w = reader.point("the first opening point")?;
    let u = reader.transcript.challenge("u");
    let w_prime = reader.point("the second opening point")?;
    reader.finish(&vk.plan)?;

    let points = OpeningPoints::new(&vk.plan, evaluations.zeta);
    let mut sum = Combination::default();
    let mut power = Fr::one();
    for (set, content) in vk.plan.point_sets.iter().enumerate() {
        let weight = points.others_at(set, u);
        let basis = points.lagrange_at(set, u).ok_or(VerifyError::Rejected(Rejection::Challenge))?;
        if set == 0 {
            if Check::Linearised.is_on() {
                sum.add_linearisation(vk, commitments, pieces, linearisation, weight);
            }
            power *= v;
        }
        for oracle in &content.oracles {
            let factor = weight * power;
            power *= v;
            if !Check::Opened(*oracle).is_on() {
                continue;
            }
            sum.add(commitment(commitments, *oracle), factor);
            let values = content.rotations.iter().map(|rotation| evaluations.value(*oracle, *rotation));
            let value: Fr = basis.iter().zip(values).map(|(l, value)| *l * value).sum();
            sum.constant -= factor * value;
        }
    }
    sum.add(w, -points.all_at(u));
    sum.add(w_prime, u);
    sum.add(vk.srs.g1, sum.constant);
    Ok(Claim { left: sum.terms, right: w_prime })
}

/// What a proof comes down to: `e(Σ factor·point, [1]_2) = e(right, [τ]_2)`.
pub(super) struct Claim {
    /// Points and their factors.
    pub left: Vec<(G1Affine, Fr)>,
    /// The second opening point, W'.
    pub right: G1Affine,
}

impl Claim {
    /// Checks it with two pairings.
    pub fn holds(&self, arithmetic: &dyn Arithmetic, srs: &SrsVerifier) -> bool {
        let left = || Bn254::miller_loop(arithmetic.sum_of_multiples_vartime(&self.left), srs.g2);
        let (left, right) = both(arithmetic, left, || Bn254::miller_loop(-self.right, srs.tau_g2));
        let check = Bn254::final_exponentiation(MillerLoopOutput(left.0 * right.0));
        check.is_some_and(|check| check.is_zero()) || !Check::Pairing.is_on()
    }
}

/// A commitment that the earlier rounds collected; all oracles of a plan have one.
fn commitment(commitments: &Commitments, oracle: Oracle) -> G1Affine {
    commitments.get(&oracle).copied().unwrap_or_default()
}

/// A linear combination of points.
#[derive(Default)]
struct Combination {
    terms: Vec<(G1Affine, Fr)>,
    constant: Fr,
}

impl Combination {
    fn add(&mut self, point: G1Affine, factor: Fr) {
        self.terms.push((point, factor));
    }

    fn add_linearisation(
        &mut self,
        vk: &VerifyingKey,
        commitments: &Commitments,
        pieces: &[G1Affine],
        linearisation: &Linearisation,
        weight: Fr,
    ) {
        for (oracle, factor) in &linearisation.terms {
            self.add(commitment(commitments, *oracle), weight * factor);
        }
        for (piece, factor) in pieces.iter().zip(&linearisation.pieces) {
            self.add(*piece, weight * factor);
        }
        self.add(vk.srs.g1, weight * linearisation.constant);
    }
}
