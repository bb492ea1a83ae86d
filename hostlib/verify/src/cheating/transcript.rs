//! Frozen hearts: what a prover could do if a challenge did not depend on something.

use ark_bn254::{Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, One, Zero};

use super::polynomial::{Polynomial, add_scaled, evaluate};
use super::prover::{Prover, Step, prove};
use super::sample::{EDGE, ONE, ROWS, Setting, TWO, circuit};
use super::{FALSE, bites, bites_bytes};
use crate::check::{Check, without};
use crate::constraints::Oracle;
use crate::verifier::verify;

/// A column that no witness of the circuit has: `one` is two on some row.
fn be_false(step: Step, prover: &mut Prover<'_>) {
    if step == Step::Advice(0) {
        prover.rows.get_mut(&Oracle::Advice(ONE)).unwrap()[3] += Fr::one();
    }
}

/// With ζ known, adds that multiple of X to a polynomial which makes the identity at ζ hold.
fn repair(prover: &mut Prover<'_>, polynomial: &Polynomial, set: impl Fn(&mut Prover<'_>, Polynomial)) {
    let mut defect = |factor: Fr| {
        let mut shifted = polynomial.clone();
        add_scaled(&mut shifted, &[Fr::zero(), Fr::one()], factor);
        set(prover, shifted);
        prover.evaluate_again();
        evaluate(&prover.linearised(), prover.zeta)
    };
    // affine in the factor
    let (at_zero, at_one) = (defect(Fr::zero()), defect(Fr::one()));
    assert!(!at_zero.is_zero(), "there is a lie");
    let factor = at_zero * (at_zero - at_one).inverse().unwrap();
    assert!(defect(factor).is_zero());
}

/// The prover waits with one commitment until it knows ζ.
fn commits_late(oracle: Oracle, what: &'static str) {
    let setting = Setting::new();
    bites(&setting, &[Check::AbsorbPoint(what)], &mut |step, prover| {
        be_false(step, prover);
        if step == Step::Evaluations {
            let polynomial = prover.coefficients[&oracle].clone();
            repair(prover, &polynomial, |prover, changed| prover.replace(oracle, changed));
        }
    });
}

#[test]
fn an_advice_column_chosen_after_the_challenges_is_refused() {
    commits_late(Oracle::Advice(EDGE), "an advice commitment");
}

#[test]
fn multiplicities_chosen_after_the_challenges_are_refused() {
    commits_late(Oracle::Multiplicity(0), "a multiplicity commitment");
}

#[test]
fn a_helper_chosen_after_the_challenges_is_refused() {
    commits_late(Oracle::Helper(2), "a helper commitment");
}

#[test]
fn a_running_sum_chosen_after_the_challenges_is_refused() {
    commits_late(Oracle::RunningSum, "the running sum's commitment");
}

#[test]
fn a_quotient_chosen_after_the_challenge_is_refused() {
    let setting = Setting::new();
    for piece in 0..setting.vk.plan.pieces {
        bites(&setting, &[Check::AbsorbPoint("a quotient commitment")], &mut |step, prover| {
            be_false(step, prover);
            if step == Step::Evaluations {
                let polynomial = prover.pieces[piece].clone();
                repair(prover, &polynomial, |prover, changed| prover.replace_piece(piece, changed));
            }
        });
    }
}

/// The exponent of v that an opened polynomial has.
fn exponent(setting: &Setting, oracle: Oracle) -> u64 {
    let opened = setting.vk.plan.point_sets.iter().flat_map(|set| &set.oracles);
    1 + opened.into_iter().position(|other| *other == oracle).unwrap() as u64
}

#[test]
fn evaluations_chosen_after_their_challenge_are_refused() {
    // Two wrong values at ζ cancel in the batch, and together make the identity hold.
    let setting = Setting::new();
    bites(&setting, &[Check::AbsorbScalar], &mut |step, prover| {
        be_false(step, prover);
        if step == Step::Evaluations {
            let v = prover.transcript.clone().challenge("v");
            let place = |oracle| {
                prover.setting.vk.plan.queries.iter().position(|query| *query == (oracle, 0)).unwrap()
            };
            let (one, two) = (place(Oracle::Advice(ONE)), place(Oracle::Advice(TWO)));
            let ratio = v.pow([exponent(&setting, Oracle::Advice(ONE))])
                * v.pow([exponent(&setting, Oracle::Advice(TWO))]).inverse().unwrap();
            let honest = prover.sent.clone();
            let mut defect = |by: Fr| {
                prover.sent[one] = honest[one] + by;
                prover.sent[two] = honest[two] - by * ratio;
                evaluate(&prover.linearised(), prover.zeta)
            };
            let (at_zero, at_one) = (defect(Fr::zero()), defect(Fr::one()));
            assert!(defect(at_zero * (at_zero - at_one).inverse().unwrap()).is_zero());
        }
    });
}

#[test]
fn an_opening_point_chosen_after_its_challenge_is_refused() {
    // With u known before W, W' can be anything and W makes the pairing equation hold: every proof could be forged.
    let setting = Setting::new();
    bites(&setting, &[Check::AbsorbPoint("the first opening point")], &mut |step, prover| {
        be_false(step, prover);
        let forged = [Fr::from(3), Fr::from(5)];
        match step {
            Step::W => {
                let mut w = prover.numerator(prover.u);
                // F − Z_T(u)·W + u·W' = X·W'
                add_scaled(&mut w, &[Fr::zero(), forged[0], forged[1]], -Fr::one());
                add_scaled(&mut w, &forged, prover.u);
                let scale = prover.all_points_at(prover.u).inverse().unwrap();
                w.iter_mut().for_each(|coefficient| *coefficient *= scale);
                prover.w = prover.setting.commit(&w);
            }
            Step::WPrime => prover.w_prime = prover.setting.commit(&forged.to_vec()),
            _ => (),
        }
    });
}

#[test]
fn the_second_opening_point_binds_itself() {
    // Nothing is drawn after it, so nothing absorbs it; a change to it breaks the pairing equation by itself.
    let setting = Setting::new();
    bites(&setting, &[Check::Pairing], &mut |step, prover| {
        if step == Step::WPrime {
            prover.w_prime = (prover.w_prime + G1Affine::generator()).into_affine();
        }
    });
}

#[test]
fn public_inputs_chosen_after_the_challenges_are_refused() {
    // Only one random combination of the public inputs is compared: with β known, others have the same.
    let mut setting = Setting::new();
    let mut beta = Fr::zero();
    let proof = without(&[Check::AbsorbPublicInputs], || {
        prove(&setting, &setting.statement, &mut |_, prover| {
            beta = prover.circuit_challenges.first().copied().unwrap_or_default();
        })
    });
    // Σ public_i·β^(n−1−i)
    setting.statement.public_inputs[ROWS - 2] += Fr::one();
    setting.statement.public_inputs[ROWS - 1] -= beta;
    bites_bytes(&setting, &[Check::AbsorbPublicInputs], &proof, &FALSE);
}

#[test]
fn a_committed_group_chosen_after_the_challenges_is_refused() {
    // Other weights, which enter the linearisation with the same sum.
    let mut setting = Setting::new();
    let mut factors = [Fr::zero(); 2];
    let proof = without(&[Check::AbsorbGroups], || {
        prove(&setting, &setting.statement, &mut |step, prover| {
            if step == Step::W {
                let terms = prover.linearisation().terms;
                let factor = |i| terms.iter().find(|term| term.0 == Oracle::Committed(i)).unwrap().1;
                factors = [factor(0), factor(1)];
            }
        })
    });
    let commitments = &mut setting.statement.committed[0].commitments;
    let g = G1Affine::generator();
    commitments[0] = (commitments[0] + g * factors[1]).into_affine();
    commitments[1] = (commitments[1] - g * factors[0]).into_affine();
    bites_bytes(&setting, &[Check::AbsorbGroups], &proof, &FALSE);
}

#[test]
fn a_proof_for_another_verifying_key_is_refused() {
    // The keys differ in nothing but the meaning of the public inputs, which only the digest covers.
    let setting = Setting::new();
    let mut other = circuit();
    other.meaning = "something else".into();
    let other = Setting::with_circuit(other);
    let check = [Check::AbsorbKey];
    let proof = without(&check, || super::prover::honest(&other));
    bites_bytes(&setting, &check, &proof, &FALSE);
    // The honest proof of the other key is no better.
    let proof = super::prover::honest(&other);
    assert_eq!(verify(&other.vk, &other.statement, &proof), Ok(()));
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Err(FALSE));
}

#[test]
fn a_challenge_of_an_earlier_proof_is_refused() {
    // Stale challenges: the α of another proof of the same statement.
    let setting = Setting::new();
    let mut stale = Fr::zero();
    prove(&setting, &setting.statement, &mut |_, prover| stale = prover.alpha);
    let proof = Prover::new(&setting, &setting.statement, 99).finish(&mut |step, prover| {
        if step == Step::Quotient {
            prover.alpha = stale;
        }
    });
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Err(FALSE));
    // Another proof it is: the same steps with its own α verify.
    let proof = Prover::new(&setting, &setting.statement, 99).finish(&mut |_, _| ());
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()));
}
