//! Compiles constraints into pointwise programs.

use std::collections::HashMap;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::One;
use kiln_kernels::{KernelFailure, Program, ProgramBuilder, Value};

use crate::circuit::Circuit;
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

/// Programs that together compute `Σ α^i·constraint_i`, the sum of all their outputs.
///
/// # Errors
/// [`KernelFailure`] if a single constraint does not fit a program.
pub(crate) fn combined_constraints(
    circuit: &Circuit,
    plan: &Plan,
    challenges: &Challenges,
    alpha: Fr,
    rotations: Rotations,
) -> Result<Vec<Compiled>, KernelFailure> {
    let mut programs = Vec::new();
    let mut compiler = Compiler::new(rotations);
    let mut sum: Option<Value> = None;
    let mut power = Fr::one();
    for i in 0..constraints::count(circuit, plan) {
        let (_, value) = constraints::constraint(circuit, plan, challenges, i, &mut compiler);
        let weight = compiler.constant(power);
        let term = compiler.mul(&weight, &value);
        let total = sum.map_or(term, |sum| compiler.add(&sum, &term));
        sum = Some(total);
        power *= alpha;
        if compiler.is_full() {
            compiler.output(total);
            programs.push(std::mem::replace(&mut compiler, Compiler::new(rotations)).finish()?);
            sum = None;
        }
    }
    if let Some(total) = sum {
        compiler.output(total);
        programs.push(compiler.finish()?);
    }
    Ok(programs)
}
