//! The constraints at ζ, as nodes: an algebra of affine combinations of the polynomials that are not evaluated.

use std::collections::{BTreeMap, HashMap};

use ark_bn254::Fr;
use kiln_verify::VerifyingKey;
use kiln_verify::circuit::Circuit;
use kiln_verify::internals::constraints::{self, Algebra, Oracle};
use kiln_verify::internals::plan::is_linear;

use crate::challenges::StandIns;
use crate::error::SolidityError;
use crate::graph::{Graph, Node};

/// Values at ζ·ω^rotation of the polynomials that are not linear.
pub(crate) type Values = HashMap<(Oracle, i32), Node>;

/// `constant + Σ factor·polynomial`: what must open to zero, but for the quotient.
pub(crate) struct Linearisation {
    /// Factors of the linear polynomials.
    pub terms: BTreeMap<Oracle, Node>,
    /// The constant.
    pub constant: Node,
}

impl Linearisation {
    /// Linearises all constraints, combined with powers of α.
    pub fn new(
        vk: &VerifyingKey,
        graph: &mut Graph,
        stand_ins: &StandIns,
        values: &Values,
        alpha: Node,
    ) -> Result<Self, SolidityError> {
        let (circuit, plan) = (vk.circuit(), vk.plan());
        let (mut constant, mut power) = (graph.zero(), graph.one());
        let mut terms = BTreeMap::new();
        let mut algebra = Symbolic { circuit, graph, stand_ins, values, unknown: false };
        for i in 0..constraints::count(circuit, plan) {
            let (_, value) = constraints::constraint(circuit, plan, &stand_ins.challenges, i, &mut algebra);
            let graph = &mut *algebra.graph;
            let scaled = graph.mul(power, value.constant);
            constant = graph.add(constant, scaled);
            for (oracle, factor) in value.terms {
                let scaled = graph.mul(power, factor);
                let sum = terms.entry(oracle).or_insert(graph.zero());
                *sum = graph.add(*sum, scaled);
            }
            power = graph.mul(power, alpha);
        }
        if algebra.unknown {
            return Err(SolidityError::UnknownConstant);
        }
        Ok(Self { terms, constant })
    }
}

/// `constant + Σ factor·polynomial`
#[derive(Clone)]
struct Affine {
    constant: Node,
    terms: Vec<(Oracle, Node)>,
}

struct Symbolic<'a> {
    circuit: &'a Circuit,
    graph: &'a mut Graph,
    stand_ins: &'a StandIns,
    values: &'a Values,
    /// Something had no name.
    unknown: bool,
}

impl Symbolic<'_> {
    fn named(&mut self, node: Option<Node>) -> Affine {
        self.unknown |= node.is_none();
        let constant = node.unwrap_or_else(|| self.graph.zero());
        Affine { constant, terms: Vec::new() }
    }

    fn scaled(&mut self, value: &Affine, factor: Node) -> Affine {
        let terms = value.terms.iter().map(|(oracle, f)| (*oracle, self.graph.mul(*f, factor))).collect();
        Affine { constant: self.graph.mul(value.constant, factor), terms }
    }
}

impl Algebra for Symbolic<'_> {
    type Value = Affine;

    fn constant(&mut self, c: Fr) -> Affine {
        let node = self.stand_ins.node(c);
        self.named(node)
    }

    fn query(&mut self, oracle: Oracle, rotation: i32) -> Affine {
        if rotation == 0 && is_linear(self.circuit, oracle) {
            return Affine { constant: self.graph.zero(), terms: vec![(oracle, self.graph.one())] };
        }
        let node = self.values.get(&(oracle, rotation)).copied();
        self.named(node)
    }

    fn add(&mut self, a: &Affine, b: &Affine) -> Affine {
        let terms = a.terms.iter().chain(&b.terms).copied().collect();
        Affine { constant: self.graph.add(a.constant, b.constant), terms }
    }

    fn sub(&mut self, a: &Affine, b: &Affine) -> Affine {
        let minus_one = self.graph.constant(-Fr::from(1u64));
        let negative = b.terms.iter().map(|(oracle, f)| (*oracle, self.graph.mul(*f, minus_one)));
        let terms = a.terms.iter().copied().chain(negative.collect::<Vec<_>>()).collect();
        Affine { constant: self.graph.sub(a.constant, b.constant), terms }
    }

    /// Plans refuse circuits in which both sides have terms.
    fn mul(&mut self, a: &Affine, b: &Affine) -> Affine {
        if b.terms.is_empty() { self.scaled(a, b.constant) } else { self.scaled(b, a.constant) }
    }
}
