//! A small circuit that uses everything there is: two phases, rotations, hidden and linear columns, lookups in several
//! tables and segments, copies, instance cells made of runs, and a gate of the highest degree.

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};
use kiln_kernels::{Engine, cpu, reference};
use kiln_plonk::circuit::{AdviceColumn, Cell, Circuit, CommittedGroup, Gate, Lookup, Table};
use kiln_plonk::expression::{Challenge, Column, Expression, Monomial};
use kiln_plonk::formula::{InstanceCell, Run};
use kiln_plonk::{
    ColumnValues, CommittedPublic, CommittedSecret, ProveError, ProvingKey, Randomness, Silent, Srs,
    Statement, VerifyingKey, Witness, WitnessError, commit_group, keygen, prove,
};

/// Fixed columns.
pub const SELECT: Column = Column::Fixed(0);
pub const KEEP: Column = Column::Fixed(1);
pub const LAST: Column = Column::Fixed(2);
const LOW: Column = Column::Fixed(3);
const HIGH: Column = Column::Fixed(4);
const LOW_SQUARE: Column = Column::Fixed(5);
const HIGH_SQUARE: Column = Column::Fixed(6);

/// Advice columns: a value, its square, its highest power, an edge (linear), the chain over the values, the chain over
/// weights and edges (linear at rotation 0).
pub const X: Column = Column::Advice(0);
pub const SQUARE: Column = Column::Advice(1);
pub const POWER: Column = Column::Advice(2);
pub const EDGE: Column = Column::Advice(3);
pub const CHAIN: Column = Column::Advice(4);
pub const WEIGHTED: Column = Column::Advice(5);

const PUBLIC: Column = Column::Instance(0);
const BETA: Challenge = Challenge(0);
const GAMMA: Challenge = Challenge(1);

/// A circuit with all that is needed to prove something with it.
#[derive(Clone)]
pub struct Sample {
    pub circuit: Circuit,
    pub fixed: Vec<ColumnValues>,
    pub weights: Vec<ColumnValues>,
    pub values: Vec<i32>,
    pub edges: Vec<i32>,
}

fn power(challenge: Challenge, exponent: i64) -> Monomial {
    Monomial(vec![(challenge, exponent)])
}

fn gates(degree: u32) -> Vec<Gate> {
    let challenge = |c, e| Expression::Challenge(power(c, e));
    let gate = |name: &str, expression| Gate { name: name.to_owned(), expression };
    let highest = Expression::Product(vec![X.here(); degree as usize - 1]);
    let weights =
        Column::Committed(0).here() * challenge(GAMMA, 1) + Column::Committed(1).here() * challenge(GAMMA, 2);
    vec![
        gate("square", SELECT.here() * (SQUARE.here() - X.here() * X.here())),
        gate("power", SELECT.here() * (POWER.here() - highest)),
        gate("chain", CHAIN.here() - (KEEP.here() * challenge(BETA, 1) * CHAIN.previous() + X.here())),
        gate(
            "weighted",
            WEIGHTED.here()
                - (KEEP.here() * challenge(BETA, -1) * WEIGHTED.previous()
                    + SELECT.here() * weights
                    + EDGE.here()),
        ),
        gate("public", LAST.here() * (CHAIN.here() - PUBLIC.here())),
    ]
}

fn circuit(k: u32, degree: u32) -> Circuit {
    let rows = 1u32 << k;
    let advice = |name: &str, phase, linear| AdviceColumn { name: name.to_owned(), phase, linear };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let lookup = |name: &str, inputs, table| Lookup { name: name.to_owned(), inputs, table };
    let table = |name: &str, segments| Table { name: name.to_owned(), segments };
    let cell = |column, row| Cell { column, row };
    let run = Run {
        coefficient: Fr::one(),
        public: Some((0, 1)),
        len: rows,
        first: power(BETA, i64::from(rows) - 1),
        step: power(BETA, -1),
    };
    Circuit {
        k,
        degree,
        fixed: names(&["select", "keep", "last", "low", "high", "low square", "high square"]),
        instance: names(&["public"]),
        committed: vec![CommittedGroup { name: "model".to_owned(), columns: 2 }],
        advice: vec![
            advice("x", 0, false),
            advice("square", 0, false),
            advice("power", 0, false),
            advice("edge", 0, true),
            advice("chain", 1, false),
            advice("weighted", 1, true),
        ],
        challenges: vec![names(&["beta", "gamma"])],
        gates: gates(degree),
        lookups: vec![
            lookup("range", vec![X.here()], 0),
            lookup("squares", vec![X.here(), SQUARE.here()], 1),
            lookup("range of the row before, doubled", vec![X.previous() + X.previous() - X.previous()], 0),
        ],
        tables: vec![
            table("range", vec![vec![LOW], vec![HIGH]]),
            table("squares", vec![vec![LOW, LOW_SQUARE], vec![HIGH, HIGH_SQUARE]]),
        ],
        copy_columns: vec![X, SQUARE, LOW],
        copies: vec![
            (cell(X, 0), cell(X, rows - 1)),
            (cell(X, 1), cell(SQUARE, 1)),
            (cell(X, 1), cell(LOW, 1)),
        ],
        instance_cells: vec![InstanceCell { column: 0, row: rows - 1, runs: vec![run] }],
        public_inputs: rows,
        ..Circuit::default()
    }
}

impl Sample {
    pub fn new(k: u32, degree: u32) -> Self {
        let rows = 1i32 << k;
        let column = |value: &dyn Fn(i32) -> i32| ColumnValues::small((0..rows).map(value).collect());
        let mut values: Vec<i32> = (0..rows).map(|row| (row * 7 + 3) % (2 * rows)).collect();
        values[1] = 1;
        values[rows as usize - 1] = values[0];
        Self {
            circuit: circuit(k, degree),
            fixed: vec![
                column(&|row| i32::from(row != 2)),
                column(&|row| i32::from(row > 0)),
                column(&|row| i32::from(row == rows - 1)),
                column(&|row| row),
                column(&|row| row + rows),
                column(&|row| row * row),
                column(&|row| (row + rows) * (row + rows)),
            ],
            weights: vec![column(&|row| row - 2), column(&|row| 5 - 3 * row)],
            values,
            edges: (0..rows).map(|row| row % 3 - 1).collect(),
        }
    }

    pub fn public_inputs(&self) -> Vec<Fr> {
        self.values.iter().map(|value| Fr::from(*value)).collect()
    }

    pub fn keys(&self, engine: &Engine, srs: &Srs) -> (ProvingKey, VerifyingKey) {
        keygen(engine, srs, self.circuit.clone(), self.fixed.clone()).unwrap()
    }

    pub fn group(&self, engine: &Engine, srs: &Srs, seed: u8) -> (CommittedSecret, CommittedPublic) {
        let mut rng = Randomness::insecure_from_seed([seed; 32]);
        commit_group(engine, srs, self.circuit.k, "model", self.weights.clone(), true, &mut rng).unwrap()
    }
}

impl Witness for Sample {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        if phase == 0 {
            let powers = |exponent: u64| self.values.iter().map(|v| Fr::from(*v).pow([exponent])).collect();
            return Ok(vec![
                ColumnValues::small(self.values.clone()),
                ColumnValues::small(self.values.iter().map(|value| value * value).collect()),
                ColumnValues::full(powers(u64::from(self.circuit.degree) - 1)),
                ColumnValues::small(self.edges.clone()),
            ]);
        }
        let (beta, gamma) = (challenges[0], challenges[1]);
        let beta_inverse = beta.inverse().unwrap();
        let (mut chain, mut weighted) = (Vec::new(), Vec::new());
        let (mut c, mut w) = (Fr::zero(), Fr::zero());
        for row in 0..self.values.len() {
            c = c * beta + Fr::from(self.values[row]);
            let weights = self.weights[0].get(row) * gamma + self.weights[1].get(row) * gamma * gamma;
            let selected = self.fixed[0].get(row);
            w = w * beta_inverse + selected * weights + Fr::from(self.edges[row]);
            chain.push(c);
            weighted.push(w);
        }
        Ok(vec![ColumnValues::full(chain), ColumnValues::full(weighted)])
    }
}

/// A sample with keys and a hidden committed group, ready to prove.
pub struct Setting {
    pub sample: Sample,
    pub engine: Engine,
    pub srs: Srs,
    pub pk: ProvingKey,
    pub vk: VerifyingKey,
    pub secret: Vec<CommittedSecret>,
    pub statement: Statement,
}

pub fn cpu_engine() -> Engine {
    Engine::new(vec![cpu::device()]).unwrap()
}

pub fn reference_engine() -> Engine {
    Engine::new(vec![reference::device()]).unwrap()
}

impl Setting {
    pub fn new(sample: Sample) -> Self {
        let srs = Srs::insecure_local(sample.circuit.k, [7; 32]).unwrap();
        Self::with_srs(sample, cpu_engine(), srs)
    }

    pub fn with_srs(sample: Sample, engine: Engine, srs: Srs) -> Self {
        let (pk, vk) = sample.keys(&engine, &srs);
        let (secret, public) = sample.group(&engine, &srs, 1);
        let statement = Statement { public_inputs: sample.public_inputs(), committed: vec![public] };
        Self { sample, engine, srs, pk, vk, secret: vec![secret], statement }
    }

    pub fn prove_with(
        &self,
        engine: &Engine,
        witness: &dyn Witness,
        seed: u8,
    ) -> Result<Vec<u8>, ProveError> {
        let rng = Randomness::insecure_from_seed([seed; 32]);
        prove(engine, &self.pk, &self.srs, &self.statement, &self.secret, witness, rng, &Silent)
            .map(|done| done.0)
    }

    pub fn prove(&self, seed: u8) -> Vec<u8> {
        self.prove_with(&self.engine, &self.sample, seed).unwrap()
    }
}
