//! Round 6: the opening (SHPLONK: Boneh, Drake, Fisch, Gabizon, ePrint 2020/081, section 4) and its pairing check.
//!
//! Specified in `docs/protocol.md`, "Round 6: `opening`".

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use ark_bn254::{Bn254, Config, Fr, G1Affine};
use ark_ec::bn::G2Prepared;
use ark_ec::pairing::{MillerLoopOutput, Pairing};
use ark_ff::{One, Zero};

use super::Commitments;
use crate::arithmetic::Arithmetic;
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
                sum.add_linearisation(pieces, linearisation, weight);
            }
            power *= v;
        }
        for oracle in &content.oracles {
            let factor = weight * power;
            power *= v;
            if !Check::Opened(*oracle).is_on() {
                continue;
            }
            sum.add_commitment(*oracle, factor);
            let values = content.rotations.iter().map(|rotation| evaluations.value(*oracle, *rotation));
            let value: Fr = basis.iter().zip(values).map(|(l, value)| *l * value).sum();
            sum.constant -= factor * value;
        }
    }
    sum.add(w, -points.all_at(u));
    sum.add(w_prime, u);
    sum.add(vk.srs.g1, sum.constant);
    let terms = sum.factors.into_iter().map(|(oracle, factor)| (commitment(commitments, oracle), factor));
    Ok(Claim { left: terms.chain(sum.terms).collect(), right: w_prime })
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
        self.holds_with(arithmetic, HalfPairing::new(srs, self.right))
    }

    /// [`Self::holds`], given the half that rests on the right side. False if it is that of another point.
    pub fn holds_with(&self, arithmetic: &dyn Arithmetic, half: HalfPairing) -> bool {
        let left = arithmetic.sum_of_multiples_vartime(&self.left);
        let left = Bn254::miller_loop(left, half.one_lines);
        let check = Bn254::final_exponentiation(MillerLoopOutput(left.0 * half.right.0));
        half.point == self.right && check.is_some_and(|check| check.is_zero()) || !Check::Pairing.is_on()
    }
}

/// What of a pairing check can be done without its left side.
pub(super) struct HalfPairing {
    /// The point on the right.
    point: G1Affine,
    /// The Miller loop of (−point, \[τ\]_2).
    right: MillerLoopOutput<Bn254>,
    /// The lines of \[1\]_2's Miller loop.
    one_lines: G2Prepared<Config>,
}

impl HalfPairing {
    pub fn new(srs: &SrsVerifier, point: G1Affine) -> Self {
        Self { point, right: Bn254::miller_loop(-point, srs.tau_g2), one_lines: srs.g2.into() }
    }
}

/// A commitment that the earlier rounds collected; all oracles of a plan have one.
fn commitment(commitments: &Commitments, oracle: Oracle) -> G1Affine {
    commitments.get(&oracle).copied().unwrap_or_default()
}

/// A linear combination of points.
#[derive(Default)]
struct Combination {
    /// Factors of commitments. Some are opened to zero within the linearisation, and to a value by themselves.
    factors: BTreeMap<Oracle, Fr>,
    /// Other points and their factors.
    terms: Vec<(G1Affine, Fr)>,
    /// The factor of \[1\]_1.
    constant: Fr,
}

impl Combination {
    fn add_commitment(&mut self, oracle: Oracle, factor: Fr) {
        *self.factors.entry(oracle).or_default() += factor;
    }

    fn add(&mut self, point: G1Affine, factor: Fr) {
        self.terms.push((point, factor));
    }

    fn add_linearisation(&mut self, pieces: &[G1Affine], linearisation: &Linearisation, weight: Fr) {
        for (oracle, factor) in &linearisation.terms {
            self.add_commitment(*oracle, weight * factor);
        }
        for (piece, factor) in pieces.iter().zip(&linearisation.pieces) {
            self.add(*piece, weight * factor);
        }
        self.constant += weight * linearisation.constant;
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::G2Affine;
    use ark_ec::{AffineRepr, CurveGroup};

    use super::*;
    use crate::arithmetic::Portable;

    #[test]
    fn half_of_a_pairing_counts_for_its_own_point_only() {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let tau = Fr::from(7);
        let tau_g2 = (g2 * tau).into_affine();
        let srs = SrsVerifier { g1, g2, tau_g2, id: [0; 32], insecure: true };
        // e(τ·s, 1) = e(s, τ)
        let right = |s: u64| (g1 * Fr::from(s)).into_affine();
        let claim = |s: u64, of: u64| Claim { left: vec![(g1, tau * Fr::from(s))], right: right(of) };
        assert!(claim(3, 3).holds_with(&Portable, HalfPairing::new(&srs, right(3))));
        assert!(!claim(3, 3).holds_with(&Portable, HalfPairing::new(&srs, right(4))));
        assert!(!claim(4, 3).holds_with(&Portable, HalfPairing::new(&srs, right(3))));
        // The equation would hold, for a point that the proof's transcript has not seen.
        assert!(!claim(4, 3).holds_with(&Portable, HalfPairing::new(&srs, right(4))));
    }
}
