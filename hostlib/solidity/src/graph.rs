//! Field arithmetic written down instead of done: a graph of values that the contract will compute.
//!
//! Equal values are one node, so what constraints share is computed once; arithmetic on constants is done here.

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ff::{One, Zero};

/// A value of the scalar field that the contract computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node(usize);

/// How a node is computed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// Known when the contract is written.
    Constant(Fr),
    /// A word of the calldata, by its offset in bytes.
    Word(usize),
    /// A word of memory that a statement fills, by its address.
    Memory(usize),
    /// `a + b`
    Add(Node, Node),
    /// `a − b`
    Sub(Node, Node),
    /// `−a`; r stands for zero in its result.
    Negate(Node),
    /// `a · b`
    Mul(Node, Node),
    /// `Σ_{t < len} step^t · word[offset + t·stride]`
    WordSum {
        /// Offset of the first word in the calldata, in bytes.
        offset: usize,
        /// Bytes between neighbouring words.
        stride: usize,
        /// How many.
        len: u32,
        /// The ratio of weights.
        step: Node,
    },
}

impl Operation {
    /// What it is computed from.
    pub fn operands(&self) -> [Option<Node>; 2] {
        match self {
            Self::Constant(_) | Self::Word(_) | Self::Memory(_) => [None, None],
            Self::Add(a, b) | Self::Sub(a, b) | Self::Mul(a, b) => [Some(*a), Some(*b)],
            Self::Negate(a) | Self::WordSum { step: a, .. } => [Some(*a), None],
        }
    }
}

/// All nodes; operands come before what is made of them.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    operations: Vec<Operation>,
    known: HashMap<Operation, Node>,
}

impl Graph {
    /// How a node is computed.
    pub fn operation(&self, node: Node) -> &Operation {
        &self.operations[node.0]
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Position among all nodes.
    pub fn index(node: Node) -> usize {
        node.0
    }

    fn node(&mut self, operation: Operation) -> Node {
        if let Some(node) = self.known.get(&operation) {
            return *node;
        }
        let node = Node(self.operations.len());
        self.operations.push(operation.clone());
        self.known.insert(operation, node);
        node
    }

    fn as_constant(&self, node: Node) -> Option<Fr> {
        match self.operation(node) {
            Operation::Constant(value) => Some(*value),
            _ => None,
        }
    }

    /// A constant.
    pub fn constant(&mut self, value: Fr) -> Node {
        self.node(Operation::Constant(value))
    }

    /// The constant zero.
    pub fn zero(&mut self) -> Node {
        self.constant(Fr::zero())
    }

    /// The constant one.
    pub fn one(&mut self) -> Node {
        self.constant(Fr::one())
    }

    /// A word of the calldata.
    pub fn word(&mut self, offset: usize) -> Node {
        self.node(Operation::Word(offset))
    }

    /// A word of memory. Each is filled once, before anything reads it.
    pub fn memory(&mut self, address: usize) -> Node {
        self.node(Operation::Memory(address))
    }

    /// `a + b`
    pub fn add(&mut self, a: Node, b: Node) -> Node {
        match (self.as_constant(a), self.as_constant(b)) {
            (Some(a), Some(b)) => self.constant(a + b),
            (Some(x), _) if x.is_zero() => b,
            (_, Some(x)) if x.is_zero() => a,
            _ => self.node(Operation::Add(a.min(b), a.max(b))),
        }
    }

    /// `a − b`
    pub fn sub(&mut self, a: Node, b: Node) -> Node {
        match (self.as_constant(a), self.as_constant(b)) {
            (Some(a), Some(b)) => self.constant(a - b),
            (_, Some(b)) => {
                let negative = self.constant(-b);
                self.add(a, negative)
            }
            (Some(x), _) if x.is_zero() => self.negate(b),
            _ if a == b => self.zero(),
            _ => self.node(Operation::Sub(a, b)),
        }
    }

    /// `−a`
    pub fn negate(&mut self, a: Node) -> Node {
        match self.operation(a) {
            Operation::Constant(value) => {
                let value = -*value;
                self.constant(value)
            }
            Operation::Negate(inner) => *inner,
            _ => self.node(Operation::Negate(a)),
        }
    }

    /// `a · b`
    pub fn mul(&mut self, a: Node, b: Node) -> Node {
        match (self.as_constant(a), self.as_constant(b)) {
            (Some(a), Some(b)) => self.constant(a * b),
            (Some(x), _) | (_, Some(x)) if x.is_zero() => self.zero(),
            (Some(x), _) if x.is_one() => b,
            (_, Some(x)) if x.is_one() => a,
            (Some(x), _) if (-x).is_one() => self.negate(b),
            (_, Some(x)) if (-x).is_one() => self.negate(a),
            _ => self.node(Operation::Mul(a.min(b), a.max(b))),
        }
    }

    /// `base^exponent`; powers of one base share their squarings.
    pub fn power(&mut self, base: Node, mut exponent: u64) -> Node {
        let (mut result, mut square) = (self.one(), base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, square);
            }
            exponent >>= 1;
            if exponent > 0 {
                square = self.mul(square, square);
            }
        }
        result
    }

    /// `Σ_{t < len} step^t`, by doubling.
    pub fn geometric_sum(&mut self, step: Node, len: u32) -> Node {
        let (mut sum, mut power) = (self.zero(), self.one());
        let one = self.one();
        for bit in (0..u32::BITS - len.leading_zeros()).rev() {
            let above = self.add(one, power);
            sum = self.mul(sum, above);
            power = self.mul(power, power);
            if len >> bit & 1 == 1 {
                let shifted = self.mul(sum, step);
                sum = self.add(shifted, one);
                power = self.mul(power, step);
            }
        }
        sum
    }

    /// `Σ_{t < len} step^t · word[offset + t·stride]`
    pub fn word_sum(&mut self, offset: usize, stride: usize, len: u32, step: Node) -> Node {
        match len {
            0 => self.zero(),
            1 => self.word(offset),
            _ => self.node(Operation::WordSum { offset, stride, len, step }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a node, with word i holding i + 2.
    fn value(graph: &Graph, node: Node) -> Fr {
        let word = |offset: usize| Fr::from(offset as u64 + 2);
        match *graph.operation(node) {
            Operation::Constant(value) => value,
            Operation::Word(offset) => word(offset),
            Operation::Memory(_) => Fr::zero(),
            Operation::Add(a, b) => value(graph, a) + value(graph, b),
            Operation::Sub(a, b) => value(graph, a) - value(graph, b),
            Operation::Negate(a) => -value(graph, a),
            Operation::Mul(a, b) => value(graph, a) * value(graph, b),
            Operation::WordSum { offset, stride, len, step } => {
                let step = value(graph, step);
                (0..len as usize).rev().fold(Fr::zero(), |sum, t| sum * step + word(offset + t * stride))
            }
        }
    }

    #[test]
    fn powers_and_sums_are_what_they_say() {
        let mut graph = Graph::default();
        let base = graph.word(1);
        let mut power = Fr::one();
        let mut sum = Fr::zero();
        for exponent in 0..40u32 {
            let node = graph.geometric_sum(base, exponent);
            assert_eq!(value(&graph, node), sum, "{exponent} terms");
            let node = graph.power(base, exponent.into());
            assert_eq!(value(&graph, node), power, "exponent {exponent}");
            sum += power;
            power *= Fr::from(3u64);
        }
    }

    #[test]
    fn constants_are_folded_and_equal_values_are_one() {
        let mut graph = Graph::default();
        let (a, b) = (graph.word(0), graph.word(1));
        let (zero, one) = (graph.zero(), graph.one());
        assert_eq!((graph.add(a, zero), graph.mul(one, a), graph.sub(a, zero)), (a, a, a));
        assert_eq!((graph.mul(a, zero), graph.sub(b, b)), (zero, zero));
        let (ab, ba) = (graph.mul(a, b), graph.mul(b, a));
        assert_eq!(ab, ba);
        assert_ne!(graph.sub(a, b), graph.sub(b, a));
        let minus_one = graph.constant(-Fr::one());
        let (negative, product) = (graph.sub(zero, a), graph.mul(minus_one, a));
        assert_eq!((negative, graph.negate(negative)), (product, a));
        assert_eq!(value(&graph, negative), -value(&graph, a));
        let (two, three) = (graph.constant(Fr::from(2u64)), graph.constant(Fr::from(3u64)));
        let (product, difference) = (graph.mul(two, three), graph.sub(two, three));
        assert_eq!(value(&graph, product), Fr::from(6u64));
        assert_eq!(value(&graph, difference), -Fr::one());
    }
}
