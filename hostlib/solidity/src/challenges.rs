//! Challenges as nodes.
//!
//! The constraints are written over an algebra whose constants are numbers, with the challenges among them. Here
//! challenges are not known yet, so numbers stand in for them, drawn from the key's digest, and every constant that the
//! constraints can make of them is recognised by its value. A constant that is neither one of these nor written in the
//! circuit stops the generator: it never guesses.

use std::collections::{BTreeSet, HashMap};

use ark_bn254::Fr;
use ark_ff::{Field, One, PrimeField, Zero};
use kiln_verify::VerifyingKey;
use kiln_verify::circuit::Circuit;
use kiln_verify::expression::{Challenge, Expression, Monomial};
use kiln_verify::internals::constraints::Challenges;
use kiln_verify::internals::domain::coset_shift;
use kiln_verify::internals::plan::index;
use kiln_verify::internals::transcript::keccak256;

use crate::graph::{Graph, Node};

/// The challenges that constraints are made of, as nodes.
#[derive(Clone)]
pub(crate) struct ChallengeNodes {
    /// Those of the circuit.
    pub circuit: Vec<Node>,
    /// Inverses of those that occur with a negative exponent.
    pub inverses: HashMap<u32, Node>,
    /// θ, γ, β, δ.
    pub arguments: [Node; 4],
}

impl ChallengeNodes {
    /// `Π challenge^exponent`
    pub fn monomial(&self, graph: &mut Graph, monomial: &Monomial) -> Node {
        let mut product = graph.one();
        for (Challenge(challenge), exponent) in &monomial.0 {
            let base = if *exponent < 0 {
                self.inverses.get(challenge).copied()
            } else {
                self.circuit.get(*challenge as usize).copied()
            };
            // Plans name no other challenges, and every negative exponent was collected.
            let base = base.unwrap_or_else(|| graph.zero());
            let power = graph.power(base, exponent.unsigned_abs());
            product = graph.mul(product, power);
        }
        product
    }
}

/// Constants of the constraints, and what they stand for.
pub(crate) struct StandIns {
    /// Numbers in place of the challenges.
    pub challenges: Challenges,
    nodes: HashMap<Fr, Node>,
}

impl StandIns {
    /// All constants that the constraints of a key can contain.
    pub fn new(vk: &VerifyingKey, graph: &mut Graph, nodes: &ChallengeNodes) -> Self {
        let circuit = vk.circuit();
        let challenges = stand_ins(vk);
        let mut known = HashMap::new();
        for constant in literals(circuit) {
            known.insert(constant, graph.constant(constant));
        }
        for monomial in monomials(circuit) {
            let value = monomial.evaluate(&challenges.circuit);
            known.insert(value, nodes.monomial(graph, monomial));
        }
        let [theta, gamma, beta, delta] = nodes.arguments;
        let width = circuit.lookups.iter().map(|lookup| lookup.inputs.len());
        let width = width.chain(circuit.tables.iter().flat_map(|table| table.segments.iter().map(Vec::len)));
        for exponent in 1..=width.max().unwrap_or(0) as u64 {
            known.insert(challenges.theta.pow([exponent]), graph.power(theta, exponent));
        }
        for table in 1..=circuit.tables.len() as u64 {
            let tag = graph.constant(Fr::from(table));
            known.insert(challenges.gamma + Fr::from(table), graph.add(gamma, tag));
        }
        known.insert(challenges.beta, beta);
        known.insert(challenges.delta, delta);
        for column in 0..index(circuit.copy_columns.len()) {
            let shift = graph.constant(coset_shift(column));
            known.insert(challenges.beta * coset_shift(column), graph.mul(beta, shift));
        }
        Self { challenges, nodes: known }
    }

    /// What a constant stands for.
    pub fn node(&self, constant: Fr) -> Option<Node> {
        self.nodes.get(&constant).copied()
    }
}

/// Numbers that no circuit can contain on purpose: they follow from a digest of it.
fn stand_ins(vk: &VerifyingKey) -> Challenges {
    let draw = |number: usize| {
        let mut bytes = b"kiln solidity stand-in".to_vec();
        bytes.extend(vk.digest());
        bytes.extend((number as u64).to_be_bytes());
        Fr::from_be_bytes_mod_order(&keccak256(&bytes))
    };
    let count: usize = vk.circuit().challenges.iter().map(Vec::len).sum();
    Challenges {
        theta: draw(0),
        gamma: draw(1),
        beta: draw(2),
        delta: draw(3),
        circuit: (4..count + 4).map(draw).collect(),
    }
}

/// Constants that are written in the circuit, or that the arguments use.
fn literals(circuit: &Circuit) -> BTreeSet<Fr> {
    let mut found = BTreeSet::from([Fr::zero(), Fr::one(), -Fr::one()]);
    visit(circuit, &mut |expression| {
        if let Expression::Constant(value) = expression {
            found.insert(*value);
        }
    });
    found
}

/// Monomials of challenges in gates and lookups.
pub(crate) fn monomials(circuit: &Circuit) -> Vec<&Monomial> {
    let mut found = BTreeSet::new();
    visit(circuit, &mut |expression| {
        if let Expression::Challenge(monomial) = expression {
            found.insert(monomial);
        }
    });
    found.into_iter().collect()
}

/// Shows every expression of the circuit to `see`; plans bound how deep they nest.
fn visit<'a>(circuit: &'a Circuit, see: &mut impl FnMut(&'a Expression)) {
    let gates = circuit.gates.iter().map(|gate| &gate.expression);
    let mut pending: Vec<_> = gates.chain(circuit.lookups.iter().flat_map(|lookup| &lookup.inputs)).collect();
    while let Some(expression) = pending.pop() {
        see(expression);
        match expression {
            Expression::Sum(parts) | Expression::Product(parts) => pending.extend(parts),
            Expression::Negated(part) => pending.push(part),
            Expression::Constant(_) | Expression::Challenge(_) | Expression::Query(..) => {}
        }
    }
}
