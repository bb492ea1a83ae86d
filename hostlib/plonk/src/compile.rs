//! Compiles constraints into pointwise programs.

use std::collections::HashMap;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use kiln_kernels::{KernelFailure, Program, ProgramBuilder, Value};

use crate::circuit::Circuit;
use crate::combinations::{Combinations, Gather, Target, Terms};
use crate::constraints::{self, Algebra, Challenges, Oracle};
use crate::plan::Plan;

/// A program is closed when it has this many inputs or operations; devices hold at least twice as many.
const INPUTS_FULL: usize = 120;
const OPERATIONS_FULL: usize = 2000;

/// What a program reads: a polynomial's values, `rotation` rows on.
pub(crate) type Input = (Oracle, i32);

/// Where rotations are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotations {
    /// By the program: an input is the vector of a polynomial's values on a whole coset of the rows, all at rotation 0.
    Loaded,
    /// By the caller: each rotation of a polynomial is an input of its own.
    Given,
}

/// A program with the names of its inputs.
pub(crate) struct Compiled {
    pub program: Arc<Program>,
    pub inputs: Vec<Input>,
}

/// The algebra of programs under construction.
pub(crate) struct Compiler {
    builder: ProgramBuilder,
    inputs: Vec<Input>,
    places: HashMap<Input, usize>,
    rotations: Rotations,
    operations: usize,
}

impl Compiler {
    pub fn new(rotations: Rotations) -> Self {
        let builder = ProgramBuilder::new();
        Self { builder, inputs: Vec::new(), places: HashMap::new(), rotations, operations: 0 }
    }

    /// Adds an output.
    pub fn output(&mut self, value: Value) {
        self.builder.output(value);
    }

    /// # Errors
    /// [`KernelFailure`] if the program cannot be expressed with the registers that there are.
    pub fn finish(self) -> Result<Compiled, KernelFailure> {
        Ok(Compiled { program: Arc::new(self.builder.finish()?), inputs: self.inputs })
    }

    fn is_full(&self) -> bool {
        self.inputs.len() >= INPUTS_FULL || self.operations >= OPERATIONS_FULL
    }
}

impl Algebra for Compiler {
    type Value = Value;

    fn constant(&mut self, c: Fr) -> Value {
        self.builder.constant(c)
    }

    fn query(&mut self, oracle: Oracle, rotation: i32) -> Value {
        let (input, rotation) = match self.rotations {
            Rotations::Loaded => ((oracle, 0), rotation),
            Rotations::Given => ((oracle, rotation), 0),
        };
        let next = self.inputs.len();
        let place = *self.places.entry(input).or_insert(next);
        if place == next {
            self.inputs.push(input);
        }
        self.builder.input(place, rotation)
    }

    fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.operations += 1;
        self.builder.add(*a, *b)
    }

    fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.operations += 1;
        self.builder.sub(*a, *b)
    }

    fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.operations += 1;
        self.builder.mul(*a, *b)
    }
}

/// The constraints' compiler, which knows the combinations that were chosen.
struct Combining<'a> {
    compiler: Compiler,
    combinations: &'a Combinations,
}

impl Algebra for Combining<'_> {
    type Value = Value;

    fn constant(&mut self, c: Fr) -> Value {
        self.compiler.constant(c)
    }

    fn query(&mut self, oracle: Oracle, rotation: i32) -> Value {
        self.compiler.query(oracle, rotation)
    }

    fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.compiler.add(a, b)
    }

    fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.compiler.sub(a, b)
    }

    fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.compiler.mul(a, b)
    }
}

impl Target for Combining<'_> {
    fn combination(&mut self, terms: &Terms) -> Value {
        if let Some(oracle) = self.combinations.oracle(terms) {
            return self.query(oracle, 0);
        }
        let zero = self.constant(Fr::zero());
        terms.iter().fold(zero, |sum, (oracle, factor)| {
            let factor = self.constant(*factor);
            let value = self.query(*oracle, 0);
            let term = self.mul(&factor, &value);
            self.add(&sum, &term)
        })
    }
}

/// What [`combined_constraints`] is computed from.
#[derive(Clone, Copy)]
pub(crate) struct Constraints<'a> {
    pub circuit: &'a Circuit,
    pub plan: &'a Plan,
    pub challenges: &'a Challenges,
    pub alpha: Fr,
    pub combinations: &'a Combinations,
}

/// Programs that together compute `Σ α^i·constraint_i`, the sum of all their outputs. Linear polynomials that no
/// constraint multiplies by anything but a constant are added up in the last.
///
/// # Errors
/// [`KernelFailure`] if a single constraint does not fit a program.
pub(crate) fn combined_constraints(
    source: Constraints<'_>,
    rotations: Rotations,
) -> Result<Vec<Compiled>, KernelFailure> {
    let Constraints { circuit, plan, challenges, alpha, combinations } = source;
    let new = || Combining { compiler: Compiler::new(rotations), combinations };
    let mut programs = Vec::new();
    let mut gather = Gather::new(circuit, new());
    let mut total = gather.constant(Fr::zero());
    let mut power = Fr::one();
    for i in 0..constraints::count(circuit, plan) {
        let (_, value) = constraints::constraint(circuit, plan, challenges, i, &mut gather);
        let weight = gather.constant(power);
        let term = gather.mul(&weight, &value);
        total = gather.add(&total, &term);
        power *= alpha;
        if gather.target.compiler.is_full()
            && let Some(rest) = total.take_rest()
        {
            let mut full = std::mem::replace(&mut gather.target, new()).compiler;
            full.output(rest);
            programs.push(full.finish()?);
        }
    }
    let rest = gather.finish(&total);
    let mut last = gather.target.compiler;
    last.output(rest);
    programs.push(last.finish()?);
    Ok(programs)
}
