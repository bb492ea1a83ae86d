//! A circuit in which every check has something to refuse, and a witness of it.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{One, Zero};

use super::polynomial::{Polynomial, evaluate, interpolate, powers};
use crate::circuit::{AdviceColumn, Cell, Circuit, CommittedGroup, Gate, Lookup, Table};
use crate::domain::{coset_shift, root_of_unity};
use crate::expression::{Challenge, Column, Expression, Monomial};
use crate::formula::{InstanceCell, Run};
use crate::keys::{CommittedPublic, SrsVerifier, VerifyingKey};
use crate::statement::Statement;

pub const K: u32 = 3;
pub const ROWS: usize = 1 << K;

// fixed
const SELECT: Column = Column::Fixed(0);
const KEEP: Column = Column::Fixed(1);
const LAST: Column = Column::Fixed(2);
pub const LOW: Column = Column::Fixed(3);
const SQUARES: Column = Column::Fixed(4);
const HIGH: Column = Column::Fixed(5);

// advice of phase 0
pub const X: u32 = 0;
/// Only a lookup says that it is X².
pub const SQUARE: u32 = 1;
/// Only a gate says that it is X³, on most rows.
pub const CUBE: u32 = 2;
/// Only a lookup says that it is small.
pub const NEAR: u32 = 3;
/// Only a lookup and a copy say anything about it.
pub const FAR: u32 = 4;
/// The value of X on the row before.
pub const BEFORE: u32 = 5;
pub const ONE: u32 = 6;
pub const TWO: u32 = 7;
/// Linear.
pub const EDGE: u32 = 8;
// advice of phase 1
/// Random evaluation of X, compared with that of the public inputs.
pub const CHAIN: u32 = 9;
/// Linear: random evaluation of weights and edges.
pub const WEIGHTED: u32 = 10;

/// Gates, in order.
pub const GATES: [&str; 7] = ["cube", "before", "one", "two", "chain", "weighted", "public"];

const BETA: Challenge = Challenge(0);
const GAMMA: Challenge = Challenge(1);

fn power(challenge: Challenge, exponent: i64) -> Monomial {
    Monomial(vec![(challenge, exponent)])
}

fn gates() -> Vec<Gate> {
    let here = |column| Column::Advice(column).here();
    let challenge = |c, e| Expression::Challenge(power(c, e));
    let weights =
        Column::Committed(0).here() * challenge(GAMMA, 1) + Column::Committed(1).here() * challenge(GAMMA, 2);
    let chain = KEEP.here() * challenge(BETA, 1) * Column::Advice(CHAIN).previous() + here(X);
    let weighted = KEEP.here() * challenge(BETA, -1) * Column::Advice(WEIGHTED).previous()
        + SELECT.here() * weights
        + here(EDGE);
    let expressions = [
        SELECT.here() * (here(CUBE) - here(X) * here(X) * here(X)),
        here(BEFORE) - Column::Advice(X).previous(),
        here(ONE) - Expression::integer(1),
        here(TWO) - Expression::integer(2),
        here(CHAIN) - chain,
        here(WEIGHTED) - weighted,
        LAST.here() * (here(CHAIN) - Column::Instance(0).here()),
    ];
    let gate = |(name, expression): (&&str, _)| Gate { name: name.to_string(), expression };
    GATES.iter().zip(expressions).map(gate).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// The circuit.
pub fn circuit() -> Circuit {
    let rows = ROWS as u32;
    let advice = |name: &str, phase, linear| AdviceColumn { name: name.into(), phase, linear };
    let lookup = |name: &str, inputs, table| Lookup { name: name.into(), inputs, table };
    let table = |name: &str, segments| Table { name: name.into(), segments };
    let cell = |column, row| Cell { column: Column::Advice(column), row };
    let run = Run {
        coefficient: Fr::one(),
        public: Some((0, 1)),
        len: rows,
        first: power(BETA, i64::from(rows) - 1),
        step: power(BETA, -1),
    };
    Circuit {
        k: K,
        degree: 4,
        fixed: names(&["select", "keep", "last", "low", "squares", "high"]),
        instance: names(&["public"]),
        // The third column is read by no constraint.
        committed: vec![CommittedGroup { name: "model".into(), columns: 3 }],
        advice: vec![
            advice("x", 0, false),
            advice("square", 0, false),
            advice("cube", 0, false),
            advice("near", 0, false),
            advice("far", 0, false),
            advice("before", 0, false),
            advice("one", 0, false),
            advice("two", 0, false),
            advice("edge", 0, true),
            advice("chain", 1, false),
            advice("weighted", 1, true),
        ],
        challenges: vec![names(&["beta", "gamma"])],
        gates: gates(),
        lookups: vec![
            lookup("low", vec![Column::Advice(NEAR).here()], 0),
            lookup("squares", vec![Column::Advice(X).here(), Column::Advice(SQUARE).here()], 1),
            lookup("high", vec![Column::Advice(FAR).here()], 2),
        ],
        tables: vec![
            table("low", vec![vec![LOW]]),
            table("squares", vec![vec![LOW, SQUARES]]),
            table("high", vec![vec![HIGH]]),
        ],
        copy_columns: vec![Column::Advice(X), Column::Advice(FAR)],
        copies: vec![(cell(X, 0), cell(X, 5)), (cell(FAR, 1), cell(FAR, 4))],
        instance_cells: vec![InstanceCell { column: 0, row: rows - 1, runs: vec![run] }],
        public_inputs: rows,
        ..Circuit::default()
    }
}

/// A circuit with its keys. The τ of its string is known, which spares us the string: nobody here cheats with it.
#[derive(Clone)]
pub struct Setting {
    pub vk: VerifyingKey,
    pub tau: Fr,
    pub fixed: Vec<Vec<Fr>>,
    pub sigma: Vec<Vec<Fr>>,
    pub weights: Vec<Vec<Fr>>,
    /// Blinded.
    pub committed: Vec<Polynomial>,
    pub values: Vec<Fr>,
    pub statement: Statement,
}

/// Values of one column on all rows.
fn column(value: impl Fn(i64) -> i64) -> Vec<Fr> {
    (0..ROWS as i64).map(|row| Fr::from(value(row))).collect()
}

impl Setting {
    pub fn new() -> Self {
        Self::with_circuit(circuit())
    }

    /// With another circuit over the same columns.
    pub fn with_circuit(circuit: Circuit) -> Self {
        let last = ROWS as i64 - 1;
        let fixed = vec![
            column(|row| i64::from(row != 2)),
            column(|row| i64::from(row > 0)),
            column(|row| i64::from(row == last)),
            column(|row| row),
            column(|row| row * row),
            column(|row| row + 100),
        ];
        let mut values = column(|row| (3 * row + 1) % 8);
        values[5] = values[0];
        let weights = vec![column(|row| row - 2), column(|row| 5 - 3 * row), column(|row| row)];
        Self::with_fixed(circuit, fixed, values, weights)
    }

    fn with_fixed(circuit: Circuit, fixed: Vec<Vec<Fr>>, values: Vec<Fr>, weights: Vec<Vec<Fr>>) -> Self {
        let tau = Fr::from(0x9e37_79b9_7f4a_7c15_u64);
        let commit = |polynomial: &Polynomial| commit(tau, polynomial);
        let plain = |rows: &Vec<Fr>| interpolate(K, Fr::one(), rows);
        let sigma = sigma(&circuit);
        let committed: Vec<Polynomial> = (17u64..)
            .zip(&weights)
            .map(|(seed, rows)| blinded(plain(rows), &[seed, seed * seed, 3 * seed].map(Fr::from)))
            .collect();
        let srs = SrsVerifier {
            g1: G1Affine::generator(),
            g2: G2Affine::generator(),
            tau_g2: (G2Affine::generator() * tau).into_affine(),
            id: [5; 32],
            insecure: true,
        };
        let commitments = |columns: &[Vec<Fr>]| columns.iter().map(|rows| commit(&plain(rows))).collect();
        let vk = VerifyingKey::new(circuit, commitments(&fixed), commitments(&sigma), srs).unwrap();
        let group =
            CommittedPublic { name: "model".into(), commitments: committed.iter().map(commit).collect() };
        let statement = Statement { public_inputs: values.clone(), committed: vec![group] };
        Self { vk, tau, fixed, sigma, weights, committed, values, statement }
    }

    pub fn commit(&self, polynomial: &Polynomial) -> G1Affine {
        commit(self.tau, polynomial)
    }

    /// Values of the advice columns of a phase, by column.
    pub fn advice(&self, phase: usize, challenges: &[Fr]) -> Vec<(u32, Vec<Fr>)> {
        let x = &self.values;
        let at = |value: &dyn Fn(usize) -> Fr| (0..ROWS).map(value).collect::<Vec<Fr>>();
        let edge = |row: usize| Fr::from((row % 3) as u64);
        if phase == 0 {
            return vec![
                (X, x.clone()),
                (SQUARE, at(&|row| x[row] * x[row])),
                (CUBE, at(&|row| x[row] * x[row] * x[row])),
                (NEAR, at(&|row| Fr::from(row as u64 / 2))),
                (FAR, at(&|row| Fr::from(100 + row.max(1) as u64 % 3))),
                (BEFORE, at(&|row| x[(row + ROWS - 1) % ROWS])),
                (ONE, at(&|_| Fr::from(1))),
                (TWO, at(&|_| Fr::from(2))),
                (EDGE, at(&edge)),
            ];
        }
        let (beta, gamma) = (challenges[0], challenges[1]);
        let inverse = power(BETA, -1).evaluate(challenges);
        let (mut chain, mut weighted) = (vec![Fr::zero(); ROWS], vec![Fr::zero(); ROWS]);
        for row in 0..ROWS {
            let (c, w) =
                if row == 0 { (Fr::zero(), Fr::zero()) } else { (chain[row - 1], weighted[row - 1]) };
            let weights = self.weights[0][row] * gamma + self.weights[1][row] * gamma * gamma;
            chain[row] = beta * c + x[row];
            weighted[row] = inverse * w + self.fixed[0][row] * weights + edge(row);
        }
        vec![(CHAIN, chain), (WEIGHTED, weighted)]
    }
}

fn commit(tau: Fr, polynomial: &[Fr]) -> G1Affine {
    (G1Projective::from(G1Affine::generator()) * evaluate(polynomial, tau)).into_affine()
}

/// `f + b·(X^n − 1)`
pub fn blinded(mut f: Polynomial, b: &[Fr]) -> Polynomial {
    f.resize(ROWS + b.len(), Fr::zero());
    for (i, b) in b.iter().enumerate() {
        f[i] -= b;
        f[ROWS + i] += b;
    }
    f
}

/// σ, by its definition: cycles of cells, joined copy by copy.
fn sigma(circuit: &Circuit) -> Vec<Vec<Fr>> {
    let place = |cell: &Cell| {
        let column = circuit.copy_columns.iter().position(|column| *column == cell.column).unwrap();
        column * ROWS + cell.row as usize
    };
    let mut next: Vec<usize> = (0..circuit.copy_columns.len() * ROWS).collect();
    for (a, b) in &circuit.copies {
        next.swap(place(a), place(b));
    }
    let names = powers(root_of_unity(K), ROWS);
    let name = |cell: usize| coset_shift((cell / ROWS) as u32) * names[cell % ROWS];
    next.chunks(ROWS).map(|column| column.iter().map(|cell| name(*cell)).collect()).collect()
}
