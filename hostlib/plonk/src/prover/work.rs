//! What a proof asks of kernels, counted before it is made.
//!
//! The rounds are gone through in order, each under its own name, with the vectors' lengths in place of the vectors; programs are
//! compiled as the rounds compile them, with other challenges. So every count but those of uploads and downloads is the one that the
//! engine reports after the proof (`tests/proofs/work.rs`), with every way to use memory.

use std::collections::{BTreeMap, BTreeSet};

use kiln_kernels::{Instruction, KernelFailure, Program};
use serde::Serialize;

use super::memory::{self, Held, Holding, MemoryPlan, placeholder};
use crate::circuit::Circuit;
use crate::combinations::Combinations;
use crate::combine::TERMS_MAX;
use crate::compile::{Compiled, Compiler, Constraints, Input, Rotations, Stages, combined_constraints};
use crate::constraints::{Challenges, Oracle, joined_fractions};
use crate::error::KeyError;
use crate::plan::{COMMITTED_BLINDING, Plan, index};
use crate::proving_key::ProvingKey;
use crate::srs::Srs;
use crate::witness::Witness;

/// Bytes of a small value; what takes more is full-width.
const SMALL_BYTES: usize = 4;

/// What a proof asks of kernels, and what its columns hold. Elements are of vectors of a kernel's report, all calls together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Work {
    /// log2 of the rows.
    pub k: u32,
    /// Commitments: multi-scalar multiplications.
    pub commitments: u64,
    /// Full-width elements committed to.
    pub full: u64,
    /// Of these, those that differ from the one before: equal neighbours are committed to together.
    pub full_filled: u64,
    /// Small elements committed to.
    pub small: u64,
    /// Of these, those that are not zero because nothing is there.
    pub small_filled: u64,
    /// Elements interpolated from.
    pub interpolated: u64,
    /// Elements that polynomials were evaluated to on cosets.
    pub on_cosets: u64,
    /// Butterflies of all these transforms.
    pub butterflies: u64,
    /// Rows that programs run over, and linear combinations among them.
    pub program_rows: u64,
    /// Multiplications, in programs and in the other kernels that go over vectors.
    pub multiplications: u64,
    /// Additions and subtractions.
    pub additions: u64,
    /// Elements that programs read.
    pub loads: u64,
    /// Elements of vectors that all these make, and that placing makes: fresh memory.
    pub made: u64,
    /// Elements of vectors that are made longer.
    pub placed: u64,
    /// Elements inverted.
    pub inverted: u64,
    /// Coefficients of polynomials evaluated at a point.
    pub evaluated: u64,
    /// Coefficients of polynomials divided by a linear factor.
    pub divided: u64,
    /// Elements of columns on disk, written or read.
    pub spilled: u64,
    /// Cells that the host makes or goes through: of advice, instance and multiplicity columns, and once more of each lookup.
    pub cells: u64,
}

impl Work {
    /// The work of a proof with this key, used as `memory` says.
    ///
    /// # Errors
    /// [`KernelFailure`] if a constraint does not fit a program.
    pub fn of(
        pk: &ProvingKey,
        srs: &Srs,
        witness: &dyn Witness,
        memory: &MemoryPlan,
    ) -> Result<Self, KernelFailure> {
        let (circuit, plan) = (pk.vk.circuit(), pk.vk.plan());
        let known = pk.coefficients.is_some();
        let lagrange = srs.k() == circuit.k;
        Counter::new(circuit, plan, memory, known, lagrange, witness).count()
    }

    /// The work of a proof of a circuit whose key lies in a file, and whose reference string has the circuit's size. Everything is held in
    /// memory. Of the witness no values are asked.
    ///
    /// # Errors
    /// [`KeyError::Circuit`] for a circuit that breaks a rule, [`KeyError::Kernel`] if a constraint does not fit a program.
    pub fn of_circuit(circuit: &Circuit, witness: &dyn Witness) -> Result<Self, KeyError> {
        let plan = Plan::new(circuit)?;
        Ok(Counter::new(circuit, &plan, &MemoryPlan::default(), true, true, witness).count()?)
    }
}

/// Counts round by round.
struct Counter<'a> {
    circuit: &'a Circuit,
    plan: &'a Plan,
    memory: &'a MemoryPlan,
    /// Polynomials whose coefficients were made for a stage of the quotient.
    staged: BTreeSet<Oracle>,
    /// Whether the coefficients of fixed columns lie in the key.
    known: bool,
    /// Whether the reference string has a Lagrange basis of this size.
    lagrange: bool,
    n: u64,
    witness: &'a dyn Witness,
    work: Work,
}

fn count(count: usize) -> u64 {
    count as u64
}

impl<'a> Counter<'a> {
    fn new(
        circuit: &'a Circuit,
        plan: &'a Plan,
        memory: &'a MemoryPlan,
        known: bool,
        lagrange: bool,
        witness: &'a dyn Witness,
    ) -> Self {
        let (n, staged) = (count(plan.rows()), BTreeSet::new());
        let work = Work { k: plan.k, ..Work::default() };
        Self { circuit, plan, memory, staged, known, lagrange, n, witness, work }
    }

    fn count(mut self) -> Result<Work, KernelFailure> {
        let (challenges, alpha) = placeholder(self.circuit.challenges.iter().map(Vec::len).sum());
        let combinations = Combinations::choose(self.circuit, self.plan, &challenges, alpha);
        let (circuit, plan) = (self.circuit, self.plan);
        let constraints =
            Constraints { circuit, plan, challenges: &challenges, alpha, combinations: &combinations };
        self.statement();
        self.phases();
        self.lookup(&challenges)?;
        self.quotient(constraints)?;
        self.evaluations();
        self.opening();
        Ok(self.work)
    }

    // 1 ----- what is known ahead
    fn statement(&mut self) {
        if self.memory.holding() != Holding::Memory {
            return;
        }
        let brought = if self.known { 0 } else { self.circuit.fixed.len() + self.circuit.copy_columns.len() };
        for _ in 0..brought {
            self.coefficients(0);
        }
        for _ in 0..self.committed() {
            self.coefficients(COMMITTED_BLINDING);
        }
    }

    fn committed(&self) -> u32 {
        self.circuit.committed.iter().map(|group| group.columns).sum()
    }

    // 2 ----- advice, instance, multiplicities
    fn phases(&mut self) {
        for (phase, columns) in (0u8..).zip(&self.plan.phases) {
            let small = self.witness.value_bytes(phase) <= SMALL_BYTES;
            for column in columns {
                self.commit(Oracle::Advice(*column), small, self.filled(Oracle::Advice(*column)));
            }
        }
        if self.memory.holding() == Holding::Memory {
            for _ in &self.circuit.instance {
                self.coefficients(0);
            }
        }
        for multiplicity in 0..index(self.plan.segments.len()) {
            self.commit(Oracle::Multiplicity(multiplicity), true, self.n);
        }
        let columns = self.circuit.advice.len()
            + self.circuit.instance.len()
            + self.plan.segments.len()
            + self.circuit.lookups.len();
        self.work.cells += self.n * count(columns);
    }

    // 3 ----- helpers and running sum
    fn lookup(&mut self, challenges: &Challenges) -> Result<(), KernelFailure> {
        if !self.plan.has_running_sum() {
            return Ok(());
        }
        let mut filled = Vec::new();
        for fractions in &self.plan.helpers {
            let mut compiler = Compiler::new(Rotations::Loaded);
            let (top, bottom) = joined_fractions(self.circuit, fractions, challenges, &mut compiler);
            compiler.output(top);
            compiler.output(bottom);
            let compiled = compiler.finish()?;
            self.program(&compiled.program, self.n);
            // Where nothing that is looked up is there, a helper is the same from row to row.
            filled.push(compiled.inputs.iter().map(|(oracle, _)| self.filled(*oracle)).max().unwrap_or(0));
            self.work.inverted += self.n;
            // An inverse that many elements share.
            self.work.multiplications += 6 * self.n;
            self.work.made += self.n;
            self.rows(self.n, 1, 0, 2);
        }
        let helpers: Vec<(u32, u64)> = (0..).zip(filled).collect();
        for some in helpers.chunks(memory::columns_at_once()) {
            let terms = count(some.len());
            self.rows(self.n, 0, terms, terms + 1);
            some.iter().for_each(|(helper, filled)| self.commit(Oracle::Helper(*helper), false, *filled));
        }
        // The running sum, to which what is the same on every row adds too.
        self.work.additions += self.n;
        self.work.made += self.n;
        self.rows(self.n, 0, 1, 2);
        self.commit(Oracle::RunningSum, false, self.n);
        Ok(())
    }

    // 4 ----- quotient
    fn quotient(&mut self, constraints: Constraints<'_>) -> Result<(), KernelFailure> {
        let (n, pieces) = (self.n, count(self.plan.pieces));
        let mut lens: BTreeMap<Oracle, u64> = BTreeMap::new();
        for (oracle, terms) in constraints.combinations.all() {
            let oracles: Vec<_> = terms.iter().map(|(oracle, _)| *oracle).collect();
            let len = self.combination(&oracles, 0, 0);
            self.keep(len);
            lens.insert(oracle, len);
        }
        let slices_log2 = self.memory.slices_log2();
        let rotations = if slices_log2 == 0 { Rotations::Loaded } else { Rotations::Given };
        let columns_max = self.memory.stage_columns();
        let (holding, known) = (self.memory.holding(), self.known);
        let is_made = |oracle| Held::of(oracle, holding, known) != Held::Coefficients;
        let cut = Stages { is_made: &is_made, columns_max: columns_max.unwrap_or(usize::MAX) };
        let stages = combined_constraints(constraints, rotations, cut)?;
        let turned = combined_constraints(constraints, Rotations::Given, cut)?;
        let (slices, log_size) = (1u64 << slices_log2, self.plan.k - slices_log2);
        let small_log_size = self.plan.excess.next_power_of_two().ilog2();
        for (at, (stage, turned)) in stages.iter().zip(&turned).enumerate() {
            if columns_max.is_some() {
                stage.columns.iter().for_each(|oracle| self.read(*oracle, &lens));
                self.staged.clone_from(&stage.columns);
            }
            for _ in 0..pieces * slices {
                self.on_coset(&stage.programs, log_size, &lens, at > 0);
            }
            self.on_coset(&turned.programs, small_log_size, &lens, at > 0);
            self.staged.clear();
        }
        for _ in 0..pieces {
            for _ in 0..slices {
                self.interpolate(log_size);
            }
            if slices > 1 {
                for part in 0..slices {
                    self.combine(slices, n / slices);
                    self.place(n);
                    self.combine(if part == 0 { 1 } else { 2 }, n);
                }
            }
        }
        for _ in 0..pieces {
            self.combine(pieces, n);
        }
        for _ in 0..pieces {
            self.transform_to(small_log_size, n);
        }
        for piece in 1..=pieces {
            let high = if piece == pieces { count(self.plan.excess) } else { 1 };
            let len = n + high;
            self.extend(len, self.plan.excess);
            self.commit_full(len, len);
        }
        Ok(())
    }

    /// The programs on a coset of 2^log_size elements; each input is made when the first program reads it. Their outputs are added to
    /// what is there already.
    fn on_coset(
        &mut self,
        programs: &[Compiled],
        log_size: u32,
        lens: &BTreeMap<Oracle, u64>,
        mut is_there: bool,
    ) {
        let rows = 1 << log_size;
        let mut made: BTreeSet<Input> = BTreeSet::new();
        for compiled in programs {
            let new: BTreeSet<Input> =
                compiled.inputs.iter().filter(|input| made.insert(**input)).copied().collect();
            let oracles: BTreeSet<Oracle> = new.iter().map(|(oracle, _)| *oracle).collect();
            oracles.iter().for_each(|oracle| self.read(*oracle, lens));
            for (oracle, _) in new {
                if oracle == Oracle::Identity {
                    self.work.multiplications += rows;
                    self.work.made += rows;
                } else {
                    let len = lens.get(&oracle).copied().unwrap_or_else(|| self.len(oracle));
                    self.transform_to(log_size, len);
                }
            }
            self.program(&compiled.program, rows);
            if is_there {
                self.combine(2, rows);
            }
            is_there = true;
        }
    }

    // 5 ----- evaluations
    fn evaluations(&mut self) {
        for queries in self.plan.queries.chunk_by(|a, b| a.0 == b.0) {
            let Some((oracle, _)) = queries.first() else { continue };
            self.read(*oracle, &BTreeMap::new());
            let elements = self.len(*oracle) * count(queries.len());
            self.work.evaluated += elements;
            self.work.multiplications += elements;
            self.work.additions += elements;
        }
    }

    // 6 ----- opening
    fn opening(&mut self) {
        let plan = self.plan;
        let mut lens = Vec::new();
        for (set, content) in plan.point_sets.iter().enumerate() {
            let (mut oracles, mut vectors, mut longest) = (Vec::new(), 0, 0);
            if set == 0 {
                oracles.extend(plan.linear.iter().copied());
                vectors = count(plan.pieces);
                longest = self.n + count(plan.excess.max(1));
            }
            oracles.extend(content.oracles.iter().copied());
            lens.push((self.combination(&oracles, vectors, longest), count(content.rotations.len())));
        }
        let quotients = lens.iter().map(|(len, points)| (0..*points).fold(*len, |len, _| self.divide(len)));
        let h = quotients.max().unwrap_or(0);
        self.combine(count(lens.len()), h);
        self.commit_full(h, h);
        let l = lens.iter().map(|(len, _)| *len).max().unwrap_or(0);
        self.combine(count(lens.len()) + 1, l);
        let quotient = self.divide(l);
        self.commit_full(quotient, quotient);
    }

    // ----- columns, as `store.rs` has them

    fn held(&self, oracle: Oracle) -> Held {
        Held::of(oracle, self.memory.holding(), self.known)
    }

    /// Coefficients of its blinding.
    fn blinding(&self, oracle: Oracle) -> usize {
        match oracle {
            Oracle::Committed(_) => COMMITTED_BLINDING,
            _ => self.plan.blinding(oracle),
        }
    }

    fn len(&self, oracle: Oracle) -> u64 {
        self.n + count(self.blinding(oracle))
    }

    fn longest(&self, oracles: impl Iterator<Item = Oracle>) -> u64 {
        oracles.map(|oracle| self.len(oracle)).max().unwrap_or(0)
    }

    /// Brings in the coefficients of a polynomial of an earlier round. `lens` are those of combinations.
    fn read(&mut self, oracle: Oracle, lens: &BTreeMap<Oracle, u64>) {
        match self.held(oracle) {
            _ if self.staged.contains(&oracle) => {}
            Held::Coefficients => {}
            Held::Rows => self.coefficients(self.blinding(oracle)),
            Held::Disk => {
                self.work.spilled += lens.get(&oracle).copied().unwrap_or_else(|| self.len(oracle));
            }
        }
    }

    /// Coefficients from values on the rows and a blinding.
    fn coefficients(&mut self, blinding: usize) {
        self.interpolate(self.plan.k);
        if blinding > 0 {
            self.extend(self.n + count(blinding), blinding);
        }
    }

    /// In how many rows a column of the witness has values of its own. Public columns are not committed to, and have them everywhere.
    fn filled(&self, oracle: Oracle) -> u64 {
        match oracle {
            Oracle::Advice(column) => {
                self.witness.filled(column).map_or(self.n, |rows| count(rows).min(self.n))
            }
            _ => self.n,
        }
    }

    fn commit(&mut self, oracle: Oracle, small: bool, filled: u64) {
        if !self.lagrange {
            self.interpolate(self.plan.k);
        }
        if small && self.lagrange {
            self.work.commitments += 1;
            self.work.small += self.n;
            self.work.small_filled += filled;
        } else {
            self.commit_full(self.n, if self.lagrange { filled } else { self.n });
        }
        if self.memory.holding() != Holding::Rows {
            self.coefficients(self.blinding(oracle));
            self.keep(self.len(oracle));
        }
    }

    /// Puts a column where later rounds find it.
    fn keep(&mut self, len: u64) {
        if self.memory.holding() == Holding::Disk {
            self.work.spilled += len;
        }
    }

    /// A combination of polynomials and of so many vectors, the longest of `longest` elements. Those that are held by their values are
    /// added up first. Returns its length.
    fn combination(&mut self, oracles: &[Oracle], vectors: u64, longest: u64) -> u64 {
        let len = self.longest(oracles.iter().copied()).max(longest);
        let (rows, others): (Vec<Oracle>, Vec<Oracle>) =
            oracles.iter().partition(|oracle| matches!(self.held(**oracle), Held::Rows));
        if !rows.is_empty() {
            self.combine(count(rows.len()), self.n);
            let blinding = rows.iter().map(|oracle| self.blinding(*oracle)).max().unwrap_or(0);
            self.coefficients(blinding);
        }
        self.combine(vectors + u64::from(!rows.is_empty()), len);
        let at_once = match self.memory.holding() {
            Holding::Memory => others.len().max(1),
            Holding::Rows | Holding::Disk => memory::columns_at_once(),
        };
        for part in others.chunks(at_once) {
            part.iter().for_each(|oracle| self.read(*oracle, &BTreeMap::new()));
            self.combine(count(part.len()) + 1, len);
        }
        len
    }

    // ----- kernels

    fn commit_full(&mut self, len: u64, filled: u64) {
        self.work.commitments += 1;
        self.work.full += len;
        self.work.full_filled += filled;
    }

    /// By a linear factor; the length of the quotient.
    fn divide(&mut self, len: u64) -> u64 {
        self.work.divided += len;
        self.work.multiplications += len;
        self.work.additions += len;
        self.work.made += len;
        len.saturating_sub(1)
    }

    fn transform(&mut self, log_size: u32) {
        self.work.butterflies += (1u64 << log_size) / 2 * u64::from(log_size);
    }

    fn interpolate(&mut self, log_size: u32) {
        self.work.interpolated += 1 << log_size;
        self.transform(log_size);
    }

    /// To a coset of 2^log_size elements, from `len` coefficients: what is more than these is folded.
    fn transform_to(&mut self, log_size: u32, len: u64) {
        let folded = len.saturating_sub(1 << log_size);
        self.work.on_cosets += 1 << log_size;
        self.work.multiplications += folded;
        self.work.additions += folded;
        self.transform(log_size);
    }

    /// A program on so many rows.
    fn program(&mut self, program: &Program, rows: u64) {
        let of = |wanted: fn(&Instruction) -> bool| {
            count(program.instructions.iter().filter(|step| wanted(step)).count())
        };
        let multiplications = of(|step| matches!(step, Instruction::Mul { .. }));
        let additions = of(|step| matches!(step, Instruction::Add { .. } | Instruction::Sub { .. }));
        let loads = of(|step| matches!(step, Instruction::Load { .. }));
        self.rows(rows, multiplications, additions, loads);
        // Of one output; others come to it.
        self.work.made += rows * count(program.outputs).saturating_sub(1);
    }

    /// A program of so many steps with one output.
    fn rows(&mut self, rows: u64, multiplications: u64, additions: u64, loads: u64) {
        self.work.program_rows += rows;
        self.work.multiplications += rows * multiplications;
        self.work.additions += rows * additions;
        self.work.loads += rows * loads;
        self.work.made += rows;
    }

    /// A linear combination of so many vectors.
    fn combine(&mut self, terms: u64, len: u64) {
        let most = count(TERMS_MAX);
        let mut left = terms;
        while left > 0 {
            let some = left.min(most);
            let before = u64::from(left < terms);
            self.rows(len, some, some - 1 + before, some + before);
            left -= some;
        }
        if terms == 0 {
            self.work.made += len;
        }
    }

    fn place(&mut self, len: u64) {
        self.work.placed += len;
        self.work.made += len;
    }

    /// A vector made longer by a few coefficients, with others added at its start.
    fn extend(&mut self, len: u64, low: usize) {
        self.rows(count(low).min(self.n), 0, 1, 2);
        self.place(len);
    }
}
