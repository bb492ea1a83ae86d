//! Compiles constraints into pointwise programs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use kiln_kernels::{KernelFailure, Program, ProgramBuilder, Value};

use crate::circuit::Circuit;
use crate::combinations::{Combinations, Gather, Gathered, Target, Terms};
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

/// Where the sum of all constraints is cut into [`Stage`]s.
#[derive(Clone, Copy)]
pub(crate) struct Stages<'a> {
    /// Whether a polynomial has to be made before a program can read it.
    pub is_made: &'a dyn Fn(Oracle) -> bool,
    /// How many of those a stage has at most, unless a single constraint has more.
    pub columns_max: usize,
}

/// Some constraints: their programs, and the polynomials that have to be made for them.
#[derive(Default)]
pub(crate) struct Stage {
    pub programs: Vec<Compiled>,
    pub columns: BTreeSet<Oracle>,
}

/// Programs that together compute `Σ α^i·constraint_i`, the sum of all their outputs. Linear polynomials that no
/// constraint multiplies by anything but a constant are added up in the last. Where stages begin does not depend on how rotations are
/// applied.
///
/// # Errors
/// [`KernelFailure`] if a single constraint does not fit a program.
pub(crate) fn combined_constraints(
    source: Constraints<'_>,
    rotations: Rotations,
    cut: Stages<'_>,
) -> Result<Vec<Stage>, KernelFailure> {
    let Constraints { circuit, plan, challenges, alpha, .. } = source;
    let mut stages = Vec::new();
    let mut stage = Stage::default();
    let mut gather = source.gather(rotations);
    let mut total = gather.constant(Fr::zero());
    let mut power = Fr::one();
    for i in 0..constraints::count(circuit, plan) {
        let mut columns = source.reads(i);
        columns.retain(|oracle| (cut.is_made)(*oracle));
        if !stage.columns.is_empty() && stage.columns.union(&columns).count() > cut.columns_max {
            stage.programs.extend(source.close(&mut gather, rotations, &mut total)?);
            stages.push(std::mem::take(&mut stage));
        }
        stage.columns.append(&mut columns);
        let (_, value) = constraints::constraint(circuit, plan, challenges, i, &mut gather);
        let weight = gather.constant(power);
        let term = gather.mul(&weight, &value);
        total = gather.add(&total, &term);
        power *= alpha;
        if gather.target.compiler.is_full() {
            stage.programs.extend(source.close(&mut gather, rotations, &mut total)?);
        }
    }
    let rest = gather.finish(&total);
    let mut last = gather.target.compiler;
    last.output(rest);
    let last = last.finish()?;
    stage
        .columns
        .extend(last.inputs.iter().map(|(oracle, _)| *oracle).filter(|oracle| (cut.is_made)(*oracle)));
    stage.programs.push(last);
    stages.push(stage);
    Ok(stages)
}

impl<'a> Constraints<'a> {
    fn gather(&self, rotations: Rotations) -> Gather<'a, Combining<'a>> {
        let compiler = Compiler::new(rotations);
        Gather::new(self.circuit, Combining { compiler, combinations: self.combinations })
    }

    /// The polynomials that a constraint reads, but for those that are added up in the end.
    fn reads(&self, constraint: usize) -> BTreeSet<Oracle> {
        let mut gather = self.gather(Rotations::Loaded);
        constraints::constraint(self.circuit, self.plan, self.challenges, constraint, &mut gather);
        gather.target.compiler.inputs.iter().map(|(oracle, _)| *oracle).collect()
    }

    /// Ends a program, of what of the sum is neither constant nor linear. None if there is nothing of the kind.
    fn close(
        &self,
        gather: &mut Gather<'a, Combining<'a>>,
        rotations: Rotations,
        total: &mut Gathered<Value>,
    ) -> Result<Option<Compiled>, KernelFailure> {
        let Some(rest) = total.take_rest() else { return Ok(None) };
        let mut full = std::mem::replace(gather, self.gather(rotations)).target.compiler;
        full.output(rest);
        full.finish().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{AdviceColumn, Gate};
    use crate::expression::Column;

    /// What stages have to make if each gate multiplies two of six neighbouring columns.
    fn columns_of_stages(columns_max: usize, rotations: Rotations) -> Vec<BTreeSet<Oracle>> {
        let column = |_| AdviceColumn { name: String::new(), phase: 0, linear: false };
        let product = |i| Column::Advice(i).here() * Column::Advice(i + 1).previous();
        let circuit = Circuit {
            k: 4,
            degree: 3,
            advice: (0..6).map(column).collect(),
            gates: (0..5).map(|i| Gate { name: String::new(), expression: product(i) }).collect(),
            ..Circuit::default()
        };
        let plan = Plan::new(&circuit).unwrap();
        let (challenges, alpha) = (Challenges::placeholder(0), Fr::from(7u64));
        let combinations = Combinations::choose(&circuit, &plan, &challenges, alpha);
        let source = Constraints {
            circuit: &circuit,
            plan: &plan,
            challenges: &challenges,
            alpha,
            combinations: &combinations,
        };
        let cut = Stages { is_made: &|oracle| oracle != Oracle::Advice(5), columns_max };
        let stages = combined_constraints(source, rotations, cut).unwrap();
        for stage in &stages {
            let read = stage.programs.iter().flat_map(|program| &program.inputs).map(|(oracle, _)| *oracle);
            let made: BTreeSet<Oracle> = read.filter(|oracle| *oracle != Oracle::Advice(5)).collect();
            assert_eq!(made, stage.columns, "{columns_max}");
        }
        stages.into_iter().map(|stage| stage.columns).collect()
    }

    #[test]
    fn a_stage_makes_what_its_programs_read_and_no_more_columns_than_it_may() {
        // Each gate reads two, but for the last, whose second is there already.
        for (columns_max, expected) in [
            (1, vec![2, 2, 2, 2, 1]),
            (2, vec![2, 2, 2, 2]),
            (3, vec![3, 3]),
            (4, vec![4, 2]),
            (5, vec![5]),
            (usize::MAX, vec![5]),
        ] {
            let stages = columns_of_stages(columns_max, Rotations::Loaded);
            assert_eq!(stages, columns_of_stages(columns_max, Rotations::Given), "{columns_max}");
            let sizes: Vec<usize> = stages.iter().map(BTreeSet::len).collect();
            assert_eq!(sizes, expected, "{columns_max}");
            let all: BTreeSet<Oracle> = stages.into_iter().flatten().collect();
            assert_eq!(all.len(), 5);
        }
    }
}
