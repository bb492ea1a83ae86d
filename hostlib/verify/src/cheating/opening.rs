//! Lies about polynomials: swapped commitments, wrong quotients, wrong evaluations, tampered openings.

use std::vec::Vec;

use ark_bn254::{Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{One, Zero};

use super::polynomial::{add_scaled, evaluate};
use super::prover::{Prover, Step, honest, prove};
use super::sample::{CHAIN, EDGE, FAR, NEAR, ONE, ROWS, SQUARE, Setting, WEIGHTED, X};
use super::{FALSE, bites, bites_bytes};
use crate::arithmetic::Portable;
use crate::check::{Check, without};
use crate::constraints::{Challenges, Oracle};
use crate::domain::root_of_unity;
use crate::linearisation::{Evaluations, rotated};
use crate::opening_points::OpeningPoints;
use crate::verifier::verify;

/// A commitment to something else.
fn other_point() -> G1Affine {
    (G1Affine::generator() * Fr::from(1234567)).into_affine()
}

#[test]
fn a_swapped_commitment_is_refused_by_the_opening_of_its_polynomial() {
    let setting = Setting::new();
    let opened = [X, SQUARE, NEAR, FAR, ONE, CHAIN].map(|column| (Oracle::Advice(column), None));
    let linear = [
        Oracle::Advice(EDGE),
        Oracle::Multiplicity(0),
        Oracle::Multiplicity(2),
        Oracle::Helper(0),
        Oracle::Helper(3),
    ];
    let linear = linear.map(|oracle| (oracle, Some(Check::Linearised)));
    for (oracle, check) in opened.into_iter().chain(linear) {
        bites(&setting, &[check.unwrap_or(Check::Opened(oracle))], &mut |_, prover| {
            prover.instead.insert(oracle, other_point());
        });
    }
    // Linear on its row and opened on the row before: two independent checks.
    for oracle in [Oracle::RunningSum, Oracle::Advice(WEIGHTED)] {
        bites(&setting, &[Check::Linearised, Check::Opened(oracle)], &mut |_, prover| {
            prover.instead.insert(oracle, other_point());
        });
    }
}

#[test]
fn two_commitments_in_each_others_place_are_refused() {
    let setting = Setting::new();
    let mut points = Vec::new();
    let pair = [Oracle::Advice(NEAR), Oracle::Advice(FAR)];
    prove(&setting, &setting.statement, &mut |step, prover| {
        if step == Step::Quotient {
            points = pair.map(|oracle| setting.commit(&prover.coefficients[&oracle])).to_vec();
        }
    });
    bites(&setting, &pair.map(Check::Opened), &mut |_, prover| {
        prover.instead.insert(pair[0], points[1]);
        prover.instead.insert(pair[1], points[0]);
    });
}

#[test]
fn committed_groups_in_each_others_place_are_refused() {
    let mut setting = Setting::new();
    setting.statement.committed[0].commitments.swap(0, 1);
    bites(&setting, &[Check::Linearised], &mut |_, _| ());
}

#[test]
fn a_wrong_quotient_is_refused_by_the_linearisation() {
    let setting = Setting::new();
    for piece in 0..setting.vk.plan.pieces {
        bites(&setting, &[Check::Linearised], &mut |step, prover| {
            if step == Step::Quotient {
                prover.pieces[piece][2] += Fr::one();
            }
        });
    }
}

#[test]
fn a_quotient_of_higher_degree_is_refused_by_the_linearisation() {
    let setting = Setting::new();
    for piece in 0..setting.vk.plan.pieces {
        bites(&setting, &[Check::Linearised], &mut |step, prover| {
            if step == Step::Quotient {
                let mut long = vec![Fr::zero(); 4 * ROWS];
                long.push(Fr::one());
                add_scaled(&mut prover.pieces[piece], &long, Fr::one());
            }
        });
    }
}

#[test]
fn a_column_of_higher_degree_proves_no_more_than_its_values() {
    // Longer than any honest prover's, by a multiple of X^n − 1: the values on the rows are all that counts.
    let setting = Setting::new();
    let longer = |step: Step, prover: &mut Prover<'_>| {
        if step == Step::Multiplicities {
            let mut long = prover.coefficients[&Oracle::Advice(X)].clone();
            long.resize(5 * ROWS, Fr::zero());
            long[4 * ROWS] += Fr::one();
            long[3 * ROWS] -= Fr::one();
            prover.replace(Oracle::Advice(X), long);
        }
    };
    // Its commitment was sent before; so this is a swap, unless the transcript begins anew.
    let mut point = G1Affine::identity();
    prove(&setting, &setting.statement, &mut |step, prover| {
        longer(step, prover);
        if step == Step::Quotient {
            point = setting.commit(&prover.coefficients[&Oracle::Advice(X)]);
        }
    });
    let proof = prove(&setting, &setting.statement, &mut |step, prover| {
        prover.instead.insert(Oracle::Advice(X), point);
        longer(step, prover);
    });
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()));
}

#[test]
fn one_wrong_evaluation_is_refused_by_its_opening_and_by_the_linearisation() {
    let setting = Setting::new();
    for (place, (oracle, _)) in setting.vk.plan.queries.iter().enumerate() {
        bites(&setting, &[Check::Opened(*oracle), Check::Linearised], &mut |step, prover| {
            if step == Step::Evaluations {
                prover.sent[place] += Fr::one();
            }
        });
    }
}

#[test]
fn an_evaluation_at_the_wrong_row_is_refused() {
    let setting = Setting::new();
    let queries = &setting.vk.plan.queries;
    let rotations = queries.iter().enumerate().filter(|(_, (_, rotation))| *rotation != 0);
    let mut seen = 0;
    for (place, (oracle, rotation)) in rotations {
        bites(&setting, &[Check::Opened(*oracle), Check::Linearised], &mut |step, prover| {
            if step == Step::Evaluations {
                let point = rotated(&setting.vk.plan, prover.zeta, -rotation);
                prover.sent[place] = evaluate(&prover.coefficients[oracle], point);
            }
        });
        seen += 1;
    }
    assert_eq!(seen, 4, "x, chain, weighted and the running sum");
}

#[test]
fn wrong_values_that_cancel_in_no_batch_are_refused() {
    // Two columns, each off by one in the other direction: weights v keep them apart.
    let setting = Setting::new();
    let places = [X, NEAR].map(|column| {
        let query = (Oracle::Advice(column), 0);
        setting.vk.plan.queries.iter().position(|other| *other == query).unwrap()
    });
    let proof = prove(&setting, &setting.statement, &mut |step, prover| {
        if step == Step::Evaluations {
            prover.sent[places[0]] += Fr::one();
            prover.sent[places[1]] -= Fr::one();
        }
    });
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Err(FALSE));
}

#[test]
fn tampered_opening_points_are_refused_by_the_pairing() {
    let setting = Setting::new();
    for step in [Step::W, Step::WPrime] {
        for change in
            [|point: G1Affine| -point, |point: G1Affine| (point + G1Affine::generator()).into_affine()]
        {
            bites(&setting, &[Check::Pairing], &mut |now, prover| {
                if now == step {
                    let point = if step == Step::W { &mut prover.w } else { &mut prover.w_prime };
                    *point = change(*point);
                }
            });
        }
    }
}

#[test]
fn only_the_pairing_tells_bytes_of_the_right_form_from_a_proof() {
    let setting = Setting::new();
    let mut bytes = honest(&setting);
    let mut one = [0; 32];
    one[31] = 1;
    // 1 is a scalar, and the x coordinate of a point
    bytes[8..].chunks_mut(32).for_each(|word| word.copy_from_slice(&one));
    bites_bytes(&setting, &[Check::Pairing], &bytes, &FALSE);
}

#[test]
fn a_point_that_is_a_row_has_no_evaluations() {
    let setting = Setting::new();
    let (circuit, plan) = (&setting.vk.circuit, &setting.vk.plan);
    let challenges = Challenges::placeholder(2);
    let sent = vec![Fr::zero(); plan.queries.len()];
    let at = |zeta| {
        Evaluations::new(&Portable, circuit, plan, &challenges, &setting.values, zeta, &sent).is_some()
    };
    let row = root_of_unity(plan.k);
    assert!(!at(Fr::one()) && !at(row) && !at(row * row));
    assert!(at(Fr::from(2)));
}

#[test]
fn one_point_under_two_names_has_no_interpolation() {
    // Key generation refuses such rotations; a verifier that met them all the same would not go on.
    let setting = Setting::new();
    let mut plan = setting.vk.plan.clone();
    let rows = ROWS as i32;
    plan.point_sets[1].rotations = vec![-1, rows - 1];
    let points = OpeningPoints::new(&plan, Fr::from(7));
    assert!(points.lagrange_at(1, Fr::from(9)).is_none());
    assert!(points.lagrange_at(0, Fr::from(9)).is_some());
}

#[test]
fn an_unblinded_proof_is_valid_and_no_check_of_a_verifier_could_know() {
    // Hiding is the prover's own business: what counts its blinding is a test of the prover.
    let setting = Setting::new();
    let mut prover = Prover::new(&setting, &setting.statement, 1);
    prover.unblinded = true;
    let proof = without(&[], || prover.finish(&mut |_, _| ()));
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()));
}
