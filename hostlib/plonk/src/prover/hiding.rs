//! Do proofs tell two witnesses of one statement apart? Counted over many proofs, from fixed seeds.
//!
//! Every word of a proof, and every evaluation less what it would be without blinding, is sorted by its lowest bits. If the
//! counts of proofs from one witness differ from those of the other more than chance would have it, something shows. Provers
//! that blind too little make sure that the statistic would notice.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use ark_ff::{Field, One, PrimeField, Zero};
use kiln_kernels::{Engine, Graph, HostData, cpu};

use super::{MemoryPlan, Prover, evaluations, lookup, opening, phases, quotient, statement};
use crate::circuit::{AdviceColumn, Cell, Circuit, Gate, Lookup, Table};
use crate::constraints::Oracle;
use crate::domain::root_of_unity;
use crate::expression::{Challenge, Column, Expression, Monomial};
use crate::formula::{InstanceCell, Run};
use crate::keygen::keygen;
use crate::linearisation::{Linearisation, rotated};
use crate::plan::is_linear;
use crate::proving_key::ProvingKey;
use crate::randomness::Randomness;
use crate::srs::Srs;
use crate::witness::{ColumnValues, Witness, WitnessError};
use crate::{Portable, Statement, verify};

const ROWS: usize = 4;
/// Proofs of each witness.
const PROOFS: u8 = 150;
const BUCKETS: usize = 8;
/// χ² with seven degrees of freedom is above this once in five million times.
const CHANCE: f64 = 44.0;

const X: Column = Column::Advice(0);
const Y: Column = Column::Advice(1);
/// Linear.
const SUM: Column = Column::Advice(2);
/// Of phase 1.
const CHAIN: Column = Column::Advice(3);

/// x·y is public, x is in a table, and the two witnesses have x and y exchanged.
struct Factors {
    x: [i32; ROWS],
    y: [i32; ROWS],
}

const WITNESSES: [Factors; 2] =
    [Factors { x: [2, 2, 3, 4], y: [6, 6, 4, 3] }, Factors { x: [6, 6, 4, 3], y: [2, 2, 3, 4] }];

impl Witness for Factors {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        if phase == 0 {
            let sums = self.x.iter().zip(&self.y).map(|(x, y)| x + 2 * y).collect();
            return Ok([self.x.to_vec(), self.y.to_vec(), sums].map(ColumnValues::small).into());
        }
        let beta = challenges[0];
        let mut last = Fr::zero();
        let chain = self.x.iter().map(|x| {
            last = last * beta + Fr::from(*x);
            last
        });
        Ok(vec![ColumnValues::full(chain.collect())])
    }
}

fn circuit() -> Circuit {
    let advice = |name: &str, phase, linear| AdviceColumn { name: name.into(), phase, linear };
    let gate = |name: &str, expression| Gate { name: name.into(), expression };
    let cell = |row| {
        let one = Monomial::default;
        let run = Run { coefficient: Fr::one(), public: Some((row, 1)), len: 1, first: one(), step: one() };
        InstanceCell { column: 0, row, runs: vec![run] }
    };
    let beta = Expression::Challenge(Monomial(vec![(Challenge(0), 1)]));
    let keep = Column::Fixed(1).here();
    Circuit {
        k: 2,
        degree: 3,
        fixed: vec!["table".into(), "keep".into(), "more of the table".into()],
        instance: vec!["product".into()],
        advice: vec![
            advice("x", 0, false),
            advice("y", 0, false),
            advice("sum", 0, true),
            advice("chain", 1, false),
        ],
        challenges: vec![vec!["beta".into()]],
        gates: vec![
            gate("product", X.here() * Y.here() - Column::Instance(0).here()),
            gate("sum", SUM.here() - X.here() - Y.here() * Expression::integer(2)),
            gate("chain", CHAIN.here() - keep * CHAIN.previous() * beta - X.here()),
        ],
        lookups: vec![Lookup { name: "small".into(), inputs: vec![X.here()], table: 0 }],
        tables: vec![Table {
            name: "small".into(),
            segments: vec![vec![Column::Fixed(0)], vec![Column::Fixed(2)]],
        }],
        copy_columns: vec![X, Y],
        copies: vec![
            (Cell { column: X, row: 0 }, Cell { column: X, row: 1 }),
            (Cell { column: Y, row: 0 }, Cell { column: Y, row: 1 }),
        ],
        instance_cells: (0..ROWS as u32).map(cell).collect(),
        public_inputs: ROWS as u32,
        ..Circuit::default()
    }
}

/// What is shown by one proof: its words, and its evaluations less those of the first witness's unblinded columns.
struct Shown {
    words: Vec<Vec<u8>>,
    residues: Vec<Fr>,
}

/// How a prover falls short.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// This column is not blinded.
    Unblinded(Oracle),
    /// Every proof draws the same randomness.
    SameRandomness,
}

fn prove(engine: &Engine, srs: &Srs, pk: &ProvingKey, witness: &Factors, seed: u8, fault: Fault) -> Shown {
    let statement = &Statement { public_inputs: vec![Fr::from(12); ROWS], committed: Vec::new() };
    let seed = if fault == Fault::SameRandomness { 0 } else { seed };
    // Randomness that depends on the witness alone would do as well: these are two different sequences of seeds.
    let mut key = [seed; 32];
    key[0] = u8::from(witness.x[0] == 2);
    let rng = Randomness::insecure_from_seed(key);
    let mut prover = statement::round(engine, pk, srs, statement, &[], rng, &MemoryPlan::default()).unwrap();
    let circuit_challenges = phases::round(&mut prover, witness).unwrap();
    if let Fault::Unblinded(oracle) = fault {
        unblind(&mut prover, oracle);
    }
    let challenges = lookup::round(&mut prover, circuit_challenges).unwrap();
    let (alpha, pieces) = quotient::round(&mut prover, &challenges).unwrap();
    let evaluations = evaluations::round(&mut prover, &challenges).unwrap();
    let vk = &pk.vk;
    let (circuit, plan) = (vk.circuit(), vk.plan());
    let mut residues = Vec::new();
    for (oracle, rotation) in &plan.queries {
        let point = rotated(plan, evaluations.zeta, *rotation);
        if let Some(rows) = unblinded_rows(*oracle, &challenges.circuit) {
            residues.push(evaluations.value(*oracle, *rotation) - interpolated(&rows, point));
        }
    }
    let linearisation = Linearisation::new(&Portable, circuit, plan, &challenges, alpha, &evaluations);
    let proof = opening::round(prover, &pieces, &linearisation, evaluations.zeta).unwrap();
    if matches!(fault, Fault::None | Fault::SameRandomness) {
        assert_eq!(verify(vk, statement, &proof), Ok(()));
    }
    Shown { words: proof[8..].chunks(32).map(<[u8]>::to_vec).collect(), residues }
}

/// The rows of an advice column of the first witness.
fn unblinded_rows(oracle: Oracle, challenges: &[Fr]) -> Option<Vec<Fr>> {
    let [first, _] = &WITNESSES;
    let (phase, place) = match oracle {
        Oracle::Advice(3) => (1, 0),
        Oracle::Advice(column) => (0, column as usize),
        _ => return None,
    };
    Some(first.phase(phase, challenges).unwrap()[place].to_full())
}

/// The polynomial with these values on the rows, at a point.
fn interpolated(rows: &[Fr], point: Fr) -> Fr {
    let omega = root_of_unity(2);
    let scale = (point.pow([ROWS as u64]) - Fr::one()) * Fr::from(ROWS as u64).inverse().unwrap();
    let term = |(row, value): (usize, &Fr)| {
        let name = omega.pow([row as u64]);
        *value * name * (point - name).inverse().unwrap()
    };
    scale * rows.iter().enumerate().map(term).sum::<Fr>()
}

/// Takes the blinding of a column away, after it was committed to.
fn unblind(prover: &mut Prover<'_>, oracle: Oracle) {
    let mut graph = Graph::new();
    let column = &prover.coefficients[&oracle];
    let values = graph.download(column, 0, column.len());
    let outcome = prover.engine.run(graph).unwrap();
    let mut values = outcome.scalars(values).to_vec();
    for i in ROWS..values.len() {
        let blinding = std::mem::take(&mut values[i]);
        values[i - ROWS] += blinding;
    }
    let mut graph = Graph::new();
    let weakened = graph.upload(HostData::full(values));
    prover.engine.run(graph).unwrap();
    prover.coefficients.insert(oracle, weakened);
}

/// The largest χ² between the proofs of the two witnesses: over all words, and over all residues.
fn largest_difference(fault: Fault) -> (f64, f64) {
    let engine = Engine::new(vec![cpu::device()]).unwrap();
    let srs = Srs::insecure_local(2, [7; 32]).unwrap();
    let table = |from: i32| ColumnValues::small((from..from + 4).collect());
    let fixed = vec![table(0), ColumnValues::small(vec![0, 1, 1, 1]), table(4)];
    let (pk, _) = keygen(&engine, &srs, circuit(), fixed).unwrap();
    let [first, second] = WITNESSES.map(|witness| {
        let mut words = BTreeMap::<usize, [u32; BUCKETS]>::new();
        let mut residues = BTreeMap::<usize, [u32; BUCKETS]>::new();
        for seed in 0..PROOFS {
            let shown = prove(&engine, &srs, &pk, &witness, seed, fault);
            for (place, word) in shown.words.iter().enumerate() {
                words.entry(place).or_default()[usize::from(word[31]) % BUCKETS] += 1;
            }
            for (place, residue) in shown.residues.iter().enumerate() {
                let lowest = residue.into_bigint().0[0] as usize;
                residues.entry(place).or_default()[lowest % BUCKETS] += 1;
            }
        }
        (words, residues)
    });
    (difference(&first.0, &second.0), difference(&first.1, &second.1))
}

/// Two-sample χ² of each place, for samples of one size; the largest.
fn difference(a: &BTreeMap<usize, [u32; BUCKETS]>, b: &BTreeMap<usize, [u32; BUCKETS]>) -> f64 {
    assert_eq!(a.len(), b.len());
    let of_bucket = |(a, b): (&u32, &u32)| {
        let (a, b) = (f64::from(*a), f64::from(*b));
        if a + b == 0.0 { 0.0 } else { (a - b).powi(2) / (a + b) }
    };
    let of_place = |(a, b): (&[u32; BUCKETS], &[u32; BUCKETS])| a.iter().zip(b).map(of_bucket).sum();
    a.values().zip(b.values()).map(of_place).fold(0.0, f64::max)
}

#[test]
fn proofs_of_two_witnesses_cannot_be_told_apart() {
    let (words, residues) = largest_difference(Fault::None);
    assert!(words > 0.0 && words < CHANCE, "words: {words}");
    assert!(residues > 0.0 && residues < CHANCE, "residues: {residues}");
}

#[test]
fn the_statistic_notices_a_column_without_blinding() {
    for column in [0, 3] {
        let oracle = Oracle::Advice(column);
        assert!(!is_linear(&circuit(), oracle));
        let (_, residues) = largest_difference(Fault::Unblinded(oracle));
        assert!(residues > 2.0 * CHANCE, "column {column}: {residues}");
    }
}

#[test]
fn the_statistic_notices_randomness_that_is_used_again() {
    let (words, _) = largest_difference(Fault::SameRandomness);
    assert!(words > 2.0 * CHANCE, "{words}");
}
