//! Polynomial expressions over columns, rotations and challenges.

use alloc::boxed::Box;
use alloc::vec::Vec;

use core::ops::{Add, Mul, Neg, Sub};

use ark_bn254::Fr;
use ark_ff::One;

/// A column of the circuit. Every column has `2^k` rows, and all of them are usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// Fixed at key generation.
    Fixed(u32),
    /// Computed by the verifier from the public inputs and the challenges, see [`crate::formula`].
    Instance(u32),
    /// Committed before the proof and reused across proofs (model weights, a committed input). May be hidden.
    /// Enters every constraint linearly and at rotation 0, so no evaluation of it is ever revealed.
    Committed(u32),
    /// Made by the prover for this proof, in the phase that the circuit declares.
    Advice(u32),
}

/// A challenge, by its index over all phases in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Challenge(pub u32);

/// A product of powers of challenges, `Π challenge^exponent`. Exponents may be negative.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Monomial(pub Vec<(Challenge, i64)>);

/// A polynomial expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A constant of the circuit.
    Constant(Fr),
    /// A product of challenge powers: a constant by the time the expression is evaluated.
    Challenge(Monomial),
    /// A column at `row + rotation`, wrapping.
    Query(Column, i32),
    /// The sum of all parts (zero when empty).
    Sum(Vec<Expression>),
    /// The product of all parts (one when empty).
    Product(Vec<Expression>),
    /// The negative.
    Negated(Box<Expression>),
}

impl Column {
    /// The column on the row itself.
    pub fn here(self) -> Expression {
        Expression::Query(self, 0)
    }

    /// The column on the row before (the first row sees the last).
    pub fn previous(self) -> Expression {
        Expression::Query(self, -1)
    }
}

impl Expression {
    /// The constant one.
    pub fn one() -> Self {
        Self::Constant(Fr::one())
    }

    /// A small integer constant.
    pub fn integer(value: i64) -> Self {
        Self::Constant(Fr::from(value))
    }
}

impl Add for Expression {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        match self {
            Self::Sum(mut parts) => {
                parts.push(other);
                Self::Sum(parts)
            }
            first => Self::Sum(vec![first, other]),
        }
    }
}

impl Sub for Expression {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Add::add(self, Neg::neg(other))
    }
}

impl Neg for Expression {
    type Output = Self;
    fn neg(self) -> Self {
        Self::Negated(Box::new(self))
    }
}

impl Mul for Expression {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        match self {
            Self::Product(mut parts) => {
                parts.push(other);
                Self::Product(parts)
            }
            first => Self::Product(vec![first, other]),
        }
    }
}
