//! Is what is seen of a column covered by its blinding? Counted once more, from the circuit alone.

use std::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};

use super::*;
use crate::circuit::{AdviceColumn, CommittedGroup, Gate, Lookup, Table};
use crate::domain::root_of_unity;
use crate::transcript::keccak256;

/// Numbers that a seed determines.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 += 1;
        let hash = keccak256(&self.0.to_be_bytes());
        u64::from_be_bytes(*hash.first_chunk().unwrap()) % bound
    }
}

/// A circuit with gates of random columns and rotations, up to three of them multiplied, lookups and copies.
fn random_circuit(seed: u64) -> Circuit {
    let mut numbers = Numbers(seed << 32);
    let advice = 2 + numbers.below(5);
    let column = |linear| AdviceColumn { name: "a".into(), phase: 0, linear };
    let mut circuit = Circuit {
        k: 4,
        degree: 4,
        fixed: vec!["f".into(), "table".into()],
        committed: vec![CommittedGroup { name: "model".into(), columns: 1 }],
        // the last one is linear
        advice: (0..advice).map(|i| column(i + 1 == advice)).collect(),
        ..Circuit::default()
    };
    let last = index(advice as usize - 1);
    for _ in 0..numbers.below(4) {
        let query = |numbers: &mut Numbers| {
            Expression::Query(
                Column::Advice(index(numbers.below(advice - 1) as usize)),
                numbers.below(7) as i32 - 3,
            )
        };
        let factors = (0..1 + numbers.below(3)).map(|_| query(&mut numbers)).collect();
        let mut expression = Expression::Product(factors);
        if numbers.below(2) == 0 {
            expression = expression + Expression::Query(Column::Advice(last), -(numbers.below(3) as i32));
        }
        if numbers.below(2) == 0 {
            expression = expression - Column::Committed(0).here();
        }
        circuit.gates.push(Gate { name: "g".into(), expression });
    }
    for _ in 0..numbers.below(3) {
        let input = Expression::Query(
            Column::Advice(index(numbers.below(advice - 1) as usize)),
            numbers.below(3) as i32 - 1,
        );
        circuit.lookups.push(Lookup { name: "l".into(), inputs: vec![input], table: 0 });
        circuit.tables = vec![Table { name: "t".into(), segments: vec![vec![Column::Fixed(1)]] }];
    }
    if numbers.below(2) == 0 {
        circuit.copy_columns = vec![Column::Advice(index(numbers.below(advice - 1) as usize))];
    }
    circuit
}

/// At which rotations something is seen of a polynomial: where the circuit's expressions read it, where the arguments
/// read it by the protocol's definition, and in the linearisation at ζ.
fn seen(circuit: &Circuit, plan: &Plan) -> BTreeMap<Oracle, BTreeSet<i32>> {
    let mut seen: BTreeMap<Oracle, BTreeSet<i32>> = BTreeMap::new();
    let lookups = circuit.lookups.iter().flat_map(|lookup| &lookup.inputs);
    for expression in circuit.gates.iter().map(|gate| &gate.expression).chain(lookups) {
        for (column, rotation) in expression.queries() {
            seen.entry(column.into()).or_default().insert(rotation);
        }
    }
    for column in &circuit.copy_columns {
        seen.entry((*column).into()).or_default().insert(0);
    }
    for i in 0..plan.segments.len() {
        seen.entry(Oracle::Multiplicity(index(i))).or_default().insert(0);
    }
    for i in 0..plan.helpers.len() {
        seen.entry(Oracle::Helper(index(i))).or_default().insert(0);
    }
    if !plan.helpers.is_empty() {
        seen.insert(Oracle::RunningSum, BTreeSet::from([-1, 0]));
    }
    for i in 0..circuit.advice.len() {
        seen.entry(Oracle::Advice(index(i))).or_default();
    }
    seen
}

/// The rank of a matrix.
fn rank(mut rows: Vec<Vec<Fr>>) -> usize {
    let mut rank = 0;
    for column in 0..rows.first().map_or(0, Vec::len) {
        let Some(pivot) = (rank..rows.len()).find(|row| !rows[*row][column].is_zero()) else { continue };
        rows.swap(rank, pivot);
        let inverse = rows[rank][column].inverse().unwrap();
        let pivot = rows[rank].clone();
        for row in &mut rows[rank + 1..] {
            let factor = row[column] * inverse;
            row.iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= factor * pivot);
        }
        rank += 1;
    }
    rank
}

fn hidden(oracle: Oracle) -> bool {
    matches!(oracle, Oracle::Advice(_) | Oracle::Multiplicity(_) | Oracle::Helper(_) | Oracle::RunningSum)
}

#[test]
fn blinding_is_one_more_than_all_that_is_seen_of_a_column_in_every_circuit() {
    let mut rotations = 0;
    for seed in 0..400 {
        let circuit = random_circuit(seed);
        let plan = Plan::new(&circuit).unwrap();
        for (oracle, points) in seen(&circuit, &plan).into_iter().filter(|(oracle, _)| hidden(*oracle)) {
            // at ζ as often as it is read; at τ as often, and once for the commitment; or one to spare
            let at_tau = points.iter().chain([&0]).collect::<BTreeSet<_>>().len();
            let expected = points.len() + at_tau.max(2);
            assert_eq!(plan.blinding(oracle), expected, "{oracle:?} of circuit {seed}: {points:?}");
            rotations = rotations.max(points.len());
        }
    }
    assert!(rotations > 3, "circuits with many rotations were among them");
}

/// What is seen of a column, `f(x) + b(x)·(x^n − 1)` at the opened points, at τ, and at the rows of τ that constraints read,
/// is a linear map of b. If it has full rank, every outcome is equally likely, whatever f is.
#[test]
fn all_that_is_seen_of_a_column_is_uniform_whatever_the_column() {
    let zeta = Fr::from(0x1234_5678_9abc_u64);
    let tau = Fr::from(0xfedc_ba98_7654_u64);
    for seed in 0..100 {
        let circuit = random_circuit(seed);
        let plan = Plan::new(&circuit).unwrap();
        let omega = root_of_unity(plan.k);
        for (oracle, rotations) in seen(&circuit, &plan).into_iter().filter(|(oracle, _)| hidden(*oracle)) {
            let at = |point: Fr, rotation: i32| {
                let power = omega.pow([u64::from(rotation.unsigned_abs())]);
                point * if rotation < 0 { power.inverse().unwrap() } else { power }
            };
            let opened = rotations.iter().map(|rotation| at(zeta, *rotation));
            let others =
                rotations.iter().filter(|rotation| **rotation != 0).map(|rotation| at(tau, *rotation));
            let points: Vec<Fr> = opened.chain([tau]).chain(others).collect();
            let row = |point: &Fr, count: usize| {
                let vanishing = point.pow([plan.rows() as u64]) - Fr::one();
                (0..count as u64).map(|j| point.pow([j]) * vanishing).collect::<Vec<Fr>>()
            };
            let matrix = |count| points.iter().map(|point| row(point, count)).collect::<Vec<_>>();
            let count = plan.blinding(oracle);
            assert_eq!(rank(matrix(count)), points.len(), "{oracle:?} of circuit {seed}");
            // and no more than one of them is to spare
            assert!(rank(matrix(count - 2)) < points.len());
        }
    }
}

#[test]
fn lookups_are_far_fewer_than_the_characteristic() {
    // 2^16 lookups on 2^24 rows, at most: a value would have to be looked up r times to vanish from the sum.
    let mut circuit = Circuit { k: 25, degree: 3, ..Circuit::default() };
    assert!(matches!(Plan::new(&circuit), Err(CircuitError::Range { what: "k", .. })));
    circuit.k = 24;
    assert!(Plan::new(&circuit).is_ok());
    let lookup = Lookup { name: "l".into(), inputs: Vec::new(), table: 0 };
    circuit.lookups = vec![lookup; (1 << 16) + 1];
    assert!(matches!(Plan::new(&circuit), Err(CircuitError::Range { what: "number of lookups", .. })));
}
