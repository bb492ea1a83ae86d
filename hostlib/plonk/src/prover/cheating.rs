//! A prover that cheats in exactly one thing and is honest about the rest, so that a test shows which check bites.
//!
//! Unlike damage to the bytes of a finished proof, everything that follows the lie, transcript included, is consistent with
//! it. Nothing here could be told from an honest prover by the form of its proof.

#[path = "../../tests/proofs/sample.rs"]
#[expect(dead_code, reason = "shared with the integration tests, which use all of it")]
mod sample;

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use kiln_kernels::{Graph, HostData, Vector};

use self::sample::{Sample, Setting};
use super::{MemoryPlan, Prover, evaluations, lookup, opening, phases, quotient, statement};
use crate::combine::combine;
use crate::constraints::Oracle;
use crate::expression::{Column, Expression};
use crate::keygen::keygen;
use crate::linearisation::Linearisation;
use crate::proving_key::ProvingKey;
use crate::randomness::Randomness;
use crate::witness::{ColumnValues, Witness, WitnessError};
use kiln_verify::verify;
use kiln_verify::{Portable, Statement};
use kiln_verify::{Rejection, VerifyError};

/// A round that is about to begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Phases,
    Lookup,
    Quotient,
    Evaluations,
    Opening,
}

/// What changes the prover's state between rounds: the state, and the quotient's pieces once there are some.
type Cheat<'a, 'c> = dyn Fn(Before, &mut Prover<'a>, &mut Vec<Vector>) + 'c;

/// The rounds of [`super::prove`] without the check at the end.
fn prove_cheating<'a>(
    setting: &'a Setting,
    pk: &'a ProvingKey,
    absorbed: &'a Statement,
    witness: &dyn Witness,
    cheat: &Cheat<'a, '_>,
) -> Vec<u8> {
    let rng = Randomness::insecure_from_seed([8; 32]);
    let (engine, srs) = (&setting.engine, &setting.srs);
    let mut prover =
        statement::round(engine, pk, srs, absorbed, &setting.secret, rng, &MemoryPlan::default()).unwrap();
    let mut pieces = Vec::new();
    cheat(Before::Phases, &mut prover, &mut pieces);
    let challenges = phases::round(&mut prover, witness).unwrap();
    cheat(Before::Lookup, &mut prover, &mut pieces);
    let challenges = lookup::round(&mut prover, challenges).unwrap();
    cheat(Before::Quotient, &mut prover, &mut pieces);
    let (alpha, committed) = quotient::round(&mut prover, &challenges).unwrap();
    pieces = committed;
    cheat(Before::Evaluations, &mut prover, &mut pieces);
    let evaluations = evaluations::round(&mut prover, &challenges).unwrap();
    let vk = &prover.pk.vk;
    let linearisation =
        Linearisation::new(&Portable, vk.circuit(), vk.plan(), &challenges, alpha, &evaluations);
    cheat(Before::Opening, &mut prover, &mut pieces);
    opening::round(prover, &pieces, &linearisation, evaluations.zeta).unwrap()
}

/// Proves the sample's own statement, cheating between rounds, and returns the verdict.
fn verdict<'a>(setting: &'a Setting, cheat: &Cheat<'a, '_>) -> Result<(), VerifyError> {
    let proof = prove_cheating(setting, &setting.pk, &setting.statement, &setting.sample, cheat);
    verify(&setting.vk, &setting.statement, &proof)
}

/// Proves with a key of the cheater's own making, in the transcript of the right one, and returns the verdict.
fn verdict_with_key(
    setting: &Setting,
    mut forged: ProvingKey,
    witness: &dyn Witness,
) -> Result<(), VerifyError> {
    assert_eq!(
        forged.vk.plan(),
        setting.vk.plan(),
        "a proof of another shape would be refused for that alone"
    );
    forged.vk = forged.vk.under_digest_of(&setting.vk);
    let proof = prove_cheating(setting, &forged, &setting.statement, witness, &|_, _, _| ());
    // The lie is the only thing wrong with it: the cheater's own key accepts.
    assert_eq!(verify(&forged.vk, &setting.statement, &proof), Ok(()));
    verify(&setting.vk, &setting.statement, &proof)
}

const FALSE: Result<(), VerifyError> = Err(VerifyError::Rejected(Rejection::Pairing));

fn setting() -> Setting {
    Setting::new(Sample::new(3, 4))
}

/// `polynomial + low`, and beyond the rows' degree `+ high·X^n`.
fn changed(prover: &Prover<'_>, polynomial: &Vector, low: i32, high: i32) -> Vector {
    let n = prover.pk.vk.circuit().rows();
    let mut graph = Graph::new();
    let mut difference = vec![Fr::zero(); n + 1];
    difference[0] = Fr::from(low);
    difference[n] = Fr::from(high);
    let difference = graph.upload(HostData::full(difference));
    let len = polynomial.len().max(n + 1);
    let sum = combine(&mut graph, &[(polynomial, Fr::one()), (&difference, Fr::one())], len).unwrap();
    prover.engine.run(graph).unwrap();
    sum
}

fn uploaded(prover: &Prover<'_>, values: Vec<i32>) -> Vector {
    let mut graph = Graph::new();
    let vector = graph.upload(HostData::small(values));
    prover.engine.run(graph).unwrap();
    vector
}

#[test]
fn without_a_lie_the_proof_verifies() {
    assert_eq!(verdict(&setting(), &|_, _, _| ()), Ok(()));
}

#[test]
fn multiplicities_of_other_rows_are_refused() {
    let setting = setting();
    // counts are put to the rows of a table in which two entries are exchanged, one of them never looked up
    let mut exchanged = setting.pk.clone();
    for column in [3, 5] {
        let mut values = exchanged.fixed[column].to_full();
        values.swap(0, 1);
        exchanged.fixed[column] = ColumnValues::full(values);
    }
    let cheat: &Cheat<'_, '_> = &|before, prover, _| match before {
        Before::Phases => prover.pk = &exchanged,
        Before::Lookup => prover.pk = &setting.pk,
        _ => (),
    };
    assert_eq!(verdict(&setting, cheat), FALSE);
}

#[test]
fn helpers_of_exchanged_rows_are_refused() {
    // The sums over all rows stay as they are, so the running sum is right: only the helpers' own constraints break.
    let setting = setting();
    let verdict = verdict(&setting, &|before, prover, _| {
        if before == Before::Lookup {
            let mut values = setting.sample.values.clone();
            values.swap(4, 5);
            let squares = values.iter().map(|value| value * value).collect();
            let (values, squares) = (uploaded(prover, values), uploaded(prover, squares));
            prover.rows.insert(Oracle::Advice(0), values);
            prover.rows.insert(Oracle::Advice(1), squares);
        }
    });
    assert_eq!(verdict, FALSE);
}

#[test]
fn a_running_sum_of_other_columns_is_refused() {
    let setting = setting();
    // the values of one row are other ones for the helpers than for the commitment, and the sum does not close
    let verdict = verdict(&setting, &|before, prover, _| {
        if before == Before::Lookup {
            let mut values = setting.sample.values.clone();
            values[4] = 2;
            let values = uploaded(prover, values);
            prover.rows.insert(Oracle::Advice(0), values);
        }
    });
    assert_eq!(verdict, FALSE);
}

#[test]
fn a_polynomial_other_than_the_committed_one_is_refused() {
    // equal on all rows, so that every constraint holds: f + (X^n − 1) in place of f
    let setting = setting();
    for oracle in
        [Oracle::Advice(0), Oracle::Advice(3), Oracle::Multiplicity(0), Oracle::Helper(0), Oracle::RunningSum]
    {
        let verdict = verdict(&setting, &|before, prover, _| {
            if before == Before::Quotient {
                let other = changed(prover, &prover.coefficients[&oracle], -1, 1);
                prover.coefficients.insert(oracle, other);
            }
        });
        assert_eq!(verdict, FALSE, "{oracle:?}");
    }
}

#[test]
fn exchanged_commitments_are_refused() {
    let setting = setting();
    let pairs = [
        (Oracle::Advice(0), Oracle::Advice(1)),
        (Oracle::Committed(0), Oracle::Committed(1)),
        (Oracle::Multiplicity(0), Oracle::Multiplicity(1)),
        (Oracle::Helper(0), Oracle::Helper(1)),
    ];
    for (a, b) in pairs {
        let verdict = verdict(&setting, &|before, prover, _| {
            if before == Before::Quotient {
                let (of_a, of_b) = (prover.coefficients[&a].clone(), prover.coefficients[&b].clone());
                prover.coefficients.insert(a, of_b);
                prover.coefficients.insert(b, of_a);
            }
        });
        assert_eq!(verdict, FALSE, "{a:?} and {b:?}");
    }
}

#[test]
fn a_quotient_other_than_the_committed_one_is_refused() {
    let setting = setting();
    for piece in 0..setting.vk.plan().pieces {
        let verdict = verdict(&setting, &|before, prover, pieces| {
            if before == Before::Opening {
                // a constant would drop out of the opening
                pieces[piece] = changed(prover, &pieces[piece], 0, 1);
            }
        });
        assert_eq!(verdict, FALSE, "piece {piece}");
    }
}

#[test]
fn every_wrong_evaluation_is_refused() {
    let setting = setting();
    let mut oracles: Vec<Oracle> = setting.vk.plan().queries.iter().map(|(oracle, _)| *oracle).collect();
    oracles.dedup();
    for oracle in oracles {
        let honest = std::cell::RefCell::new(None);
        let verdict = verdict(&setting, &|before, prover, _| match before {
            Before::Evaluations => {
                let other = changed(prover, &prover.coefficients[&oracle], 1, 0);
                honest.replace(prover.coefficients.insert(oracle, other));
            }
            Before::Opening => prover.coefficients.extend(honest.take().map(|honest| (oracle, honest))),
            _ => (),
        });
        assert_eq!(verdict, FALSE, "{oracle:?}");
    }
}

#[test]
fn instance_values_of_another_statement_are_refused() {
    let setting = setting();
    let mut absorbed = setting.statement.clone();
    absorbed.public_inputs[1] += Fr::one();
    // the transcript is bound to one statement, and the witness and the instance columns to another
    let cheat: &Cheat<'_, '_> = &|before, prover, _| {
        if before == Before::Phases {
            prover.statement = &setting.statement;
        }
    };
    let proof = prove_cheating(&setting, &setting.pk, &absorbed, &setting.sample, cheat);
    assert_eq!(verify(&setting.vk, &absorbed, &proof), FALSE);
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), FALSE);
}

/// The sample with one value of column `power`, which only one gate reads, changed.
struct WrongPower<'a>(&'a Sample);

impl Witness for WrongPower<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.0.phase(phase, challenges)?;
        if phase == 0 {
            let mut values = columns[2].to_full();
            values[4] += Fr::one();
            columns[2] = ColumnValues::full(values);
        }
        Ok(columns)
    }
}

#[test]
fn a_weaker_gate_under_the_right_digest_is_refused() {
    let setting = setting();
    let mut circuit = setting.sample.circuit.clone();
    let gate = circuit.gates.iter_mut().find(|gate| gate.name == "power").unwrap();
    let power = Column::Advice(2);
    gate.expression = Column::Fixed(0).here() * (power.here() - power.here()) * Expression::one();
    let (forged, _) = keygen(&setting.engine, &setting.srs, circuit, setting.sample.fixed.clone()).unwrap();
    assert_eq!(verdict_with_key(&setting, forged, &WrongPower(&setting.sample)), FALSE);
}

#[test]
fn dropped_copies_under_the_right_digest_are_refused() {
    let mut sample = Sample::new(3, 4);
    sample.values[7] += 2;
    let setting = Setting::new(sample);
    let mut circuit = setting.sample.circuit.clone();
    circuit.copies.clear();
    let (forged, _) = keygen(&setting.engine, &setting.srs, circuit, setting.sample.fixed.clone()).unwrap();
    assert_eq!(verdict_with_key(&setting, forged, &setting.sample), FALSE);
}

#[test]
fn a_table_with_one_more_entry_under_the_right_digest_is_refused() {
    let mut sample = Sample::new(3, 4);
    sample.values[3] = -1;
    let setting = Setting::new(sample);
    let mut fixed = setting.sample.fixed.clone();
    // (−1, 1) in place of (0, 0), which nobody looks up
    for (column, value) in [(3, -Fr::one()), (5, Fr::one())] {
        let mut values = fixed[column].to_full();
        values[0] = value;
        fixed[column] = ColumnValues::full(values);
    }
    let (forged, _) = keygen(&setting.engine, &setting.srs, setting.sample.circuit.clone(), fixed).unwrap();
    assert_eq!(verdict_with_key(&setting, forged, &setting.sample), FALSE);
}

#[test]
fn every_hidden_polynomial_has_more_blinding_than_openings() {
    let setting = setting();
    let plan = setting.vk.plan();
    let n = plan.rows();
    let hidden = |oracle: &Oracle| {
        !matches!(oracle, Oracle::Fixed(_) | Oracle::Sigma(_) | Oracle::Instance(_) | Oracle::Identity)
    };
    let cheat: &Cheat<'_, '_> = &|before, prover, _| {
        if before != Before::Quotient {
            return;
        }
        let mut seen = 0;
        for (oracle, coefficients) in prover.coefficients.iter().filter(|(oracle, _)| hidden(oracle)) {
            let openings = plan.queries.iter().filter(|(queried, _)| queried == oracle).count()
                + usize::from(plan.linear.contains(oracle));
            // one more than the openings, because the commitment shows the value at τ
            let blinding = coefficients.len() - n;
            assert!(blinding > openings, "{oracle:?}: {blinding} for {openings}");
            let mut graph = Graph::new();
            let high = graph.download(coefficients, n, blinding);
            let outcome = prover.engine.run(graph).unwrap();
            let high = outcome.scalars(high);
            assert!((1..blinding).all(|i| !high[i].is_zero() && !high[..i].contains(&high[i])), "{oracle:?}");
            seen += 1;
        }
        let advice = setting.sample.circuit.advice.len();
        assert_eq!(seen, advice + 2 + plan.segments.len() + plan.helpers.len() + 1);
    };
    assert_eq!(verdict(&setting, cheat), Ok(()));
}
