//! Builds pointwise programs: shares common subexpressions, orders the steps, allocates registers.

use std::collections::{HashMap, VecDeque};

use ark_bn254::Fr;
use ark_ff::{One, Zero};

use crate::error::KernelFailure;
use crate::program::{Instruction, Program, REGISTERS_MAX, Register};

/// A value inside a program that is being built. It belongs to the builder that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value(usize);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Input { input: u16, rotation: i32 },
    Constant { index: u16 },
    Add(Value, Value),
    Sub(Value, Value),
    Mul(Value, Value),
}

/// Builds a [`Program`].
///
/// Equal subexpressions are computed once. Each expression is ordered so that it holds few registers (Sethi and Ullman
/// 1970: the operand that needs more of them first), and inputs and constants are loaded again rather than held when
/// registers run short. Where that is not enough, small shared expressions are computed again for each read.
#[derive(Default)]
pub struct ProgramBuilder {
    operations: Vec<Operation>,
    known: HashMap<Operation, Value>,
    constants: Vec<Fr>,
    outputs: Vec<Value>,
    inputs: usize,
    overflow: Option<&'static str>,
}

impl ProgramBuilder {
    /// A builder of an empty program.
    pub fn new() -> Self {
        ProgramBuilder::default()
    }

    /// `inputs[input][row + rotation]`, wrapping.
    pub fn input(&mut self, input: usize, rotation: i32) -> Value {
        self.inputs = self.inputs.max(input + 1);
        let input = u16::try_from(input).unwrap_or_else(|_| {
            self.overflow = Some("65536 inputs");
            0
        });
        self.intern(Operation::Input { input, rotation })
    }

    /// A constant.
    pub fn constant(&mut self, c: Fr) -> Value {
        let index = self.constants.iter().position(|&known| known == c).unwrap_or_else(|| {
            self.constants.push(c);
            self.constants.len() - 1
        });
        let index = u16::try_from(index).unwrap_or_else(|_| {
            self.overflow = Some("65536 constants");
            0
        });
        self.intern(Operation::Constant { index })
    }

    /// `a + b`
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        match (self.constant_of(a), self.constant_of(b)) {
            (Some(a), Some(b)) => self.constant(a + b),
            (Some(zero), _) if zero.is_zero() => b,
            (_, Some(zero)) if zero.is_zero() => a,
            _ => self.intern(Operation::Add(a.min(b), a.max(b))),
        }
    }

    /// `a − b`
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        match (self.constant_of(a), self.constant_of(b)) {
            (Some(a), Some(b)) => self.constant(a - b),
            (_, Some(zero)) if zero.is_zero() => a,
            _ => self.intern(Operation::Sub(a, b)),
        }
    }

    /// `a · b`
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        match (self.constant_of(a), self.constant_of(b)) {
            (Some(a), Some(b)) => self.constant(a * b),
            (Some(c), other) | (other, Some(c)) if c.is_zero() => {
                let _ = other;
                self.constant(Fr::zero())
            }
            (Some(one), _) if one.is_one() => b,
            (_, Some(one)) if one.is_one() => a,
            _ => self.intern(Operation::Mul(a.min(b), a.max(b))),
        }
    }

    /// Makes `v` the next output.
    pub fn output(&mut self, v: Value) {
        self.outputs.push(v);
    }

    /// The program.
    ///
    /// # Errors
    /// `InvariantViolation` when it needs more than [`REGISTERS_MAX`] registers, or has more than 65 535 inputs, outputs
    /// or constants: split it.
    pub fn finish(self) -> Result<Program, KernelFailure> {
        let overflow =
            self.overflow.or((self.outputs.len() > usize::from(u16::MAX)).then_some("65536 outputs"));
        if let Some(got) = overflow {
            return Err(too_large(format!("expected fewer, got {got}")));
        }
        let shared = Allocator::new(&self.operations, self.schedule()).run();
        // Sharing saves work and holds registers: with too few of them, small expressions are computed again instead.
        let instructions = shared.or_else(|_| {
            let again = self.with_small_parts_repeated();
            Allocator::new(&again.operations, again.schedule()).run()
        })?;
        Ok(Program {
            inputs: self.inputs,
            outputs: self.outputs.len(),
            constants: self.constants,
            instructions,
        })
    }

    fn constant_of(&self, value: Value) -> Option<Fr> {
        match self.operations[value.0] {
            Operation::Constant { index } => Some(self.constants[index as usize]),
            _ => None,
        }
    }

    fn intern(&mut self, operation: Operation) -> Value {
        *self.known.entry(operation).or_insert_with(|| {
            self.operations.push(operation);
            Value(self.operations.len() - 1)
        })
    }

    /// The arithmetic steps and stores in the order in which they run; loads come later, where registers are given out.
    fn schedule(&self) -> Vec<Step> {
        let needs = self.register_needs();
        let mut steps = Vec::new();
        let mut planned = vec![false; self.operations.len()];
        for (output, &value) in self.outputs.iter().enumerate() {
            // An explicit stack: expressions may be deeper than the thread's stack.
            let mut stack = vec![(value, false)];
            while let Some((value, operands_done)) = stack.pop() {
                let Some((a, b)) = self.operations[value.0].operands() else { continue };
                if planned[value.0] {
                    continue;
                }
                if operands_done {
                    planned[value.0] = true;
                    steps.push(Step::Compute(value));
                    continue;
                }
                stack.push((value, true));
                let (first, second) = if needs[b.0] > needs[a.0] { (b, a) } else { (a, b) };
                stack.push((second, false));
                stack.push((first, false));
            }
            steps.push(Step::Store { output: output as u16, value });
        }
        steps
    }

    /// The same outputs, where every read of a value that takes few operations has a copy of its own.
    fn with_small_parts_repeated(&self) -> ProgramBuilder {
        let mut again = ProgramBuilder { outputs: self.outputs.clone(), ..ProgramBuilder::default() };
        let mut sizes: Vec<usize> = Vec::with_capacity(self.operations.len());
        let mut places: Vec<Value> = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            let size = operation
                .operands()
                .map_or(0, |(a, b)| sizes[a.0].saturating_add(sizes[b.0]).saturating_add(1));
            let copied = operation.with_operands(|operand| {
                if (1..=REPEATED_OPERATIONS_MAX).contains(&sizes[operand.0]) {
                    self.repeat(operand, &places, &mut again)
                } else {
                    places[operand.0]
                }
            });
            sizes.push(size);
            places.push(again.push(copied));
        }
        again.outputs.iter_mut().for_each(|output| *output = places[output.0]);
        again
    }

    /// A new copy of a small expression; inputs and constants stay shared.
    fn repeat(&self, value: Value, places: &[Value], into: &mut ProgramBuilder) -> Value {
        let operation = self.operations[value.0];
        if operation.operands().is_none() {
            return places[value.0];
        }
        let copied = operation.with_operands(|operand| self.repeat(operand, places, into));
        into.push(copied)
    }

    fn push(&mut self, operation: Operation) -> Value {
        self.operations.push(operation);
        Value(self.operations.len() - 1)
    }

    /// Sethi–Ullman numbers: registers that each value's expression needs if nothing in it is shared.
    fn register_needs(&self) -> Vec<u32> {
        let mut needs: Vec<u32> = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            let need = match operation.operands() {
                None => 1,
                Some((a, b)) if needs[a.0] == needs[b.0] => needs[a.0] + 1,
                Some((a, b)) => needs[a.0].max(needs[b.0]),
            };
            needs.push(need);
        }
        needs
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl Operation {
    fn operands(&self) -> Option<(Value, Value)> {
        match *self {
            Operation::Add(a, b) | Operation::Sub(a, b) | Operation::Mul(a, b) => Some((a, b)),
            Operation::Input { .. } | Operation::Constant { .. } => None,
        }
    }

    /// The same operation on other operands.
    fn with_operands(self, mut map: impl FnMut(Value) -> Value) -> Operation {
        match self {
            Operation::Add(a, b) => Operation::Add(map(a), map(b)),
            Operation::Sub(a, b) => Operation::Sub(map(a), map(b)),
            Operation::Mul(a, b) => Operation::Mul(map(a), map(b)),
            loaded => loaded,
        }
    }
}

/// An expression of at most this many operations is repeated where registers are short.
const REPEATED_OPERATIONS_MAX: usize = 8;

enum Step {
    Compute(Value),
    Store { output: u16, value: Value },
}

/// Gives registers to values, step by step.
struct Allocator<'a> {
    operations: &'a [Operation],
    steps: Vec<Step>,
    /// The steps that read each value, the next one first.
    reads: Vec<VecDeque<usize>>,
    register: Vec<Option<Register>>,
    holder: [Option<Value>; REGISTERS_MAX],
    instructions: Vec<Instruction>,
}

impl<'a> Allocator<'a> {
    fn new(operations: &'a [Operation], steps: Vec<Step>) -> Self {
        let mut reads = vec![VecDeque::new(); operations.len()];
        for (at, step) in steps.iter().enumerate() {
            match *step {
                Step::Compute(value) => {
                    if let Some((a, b)) = operations[value.0].operands() {
                        reads[a.0].push_back(at);
                        reads[b.0].push_back(at);
                    }
                }
                Step::Store { value, .. } => reads[value.0].push_back(at),
            }
        }
        Allocator {
            operations,
            steps,
            reads,
            register: vec![None; operations.len()],
            holder: [None; REGISTERS_MAX],
            instructions: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Vec<Instruction>, KernelFailure> {
        for step in std::mem::take(&mut self.steps) {
            match step {
                Step::Store { output, value } => {
                    let src = self.bring(value, value)?;
                    self.instructions.push(Instruction::Store { output, src });
                    self.read_done(value);
                }
                Step::Compute(value) => self.compute(value)?,
            }
        }
        Ok(self.instructions)
    }

    fn compute(&mut self, value: Value) -> Result<(), KernelFailure> {
        let Some((x, y)) = self.operations[value.0].operands() else { return Ok(()) };
        let a = self.bring(x, y)?;
        let b = self.bring(y, x)?;
        // An operand read for the last time leaves its register to the result.
        self.read_done(x);
        self.read_done(y);
        let dst = self.free_register(value, value)?;
        self.hold(value, dst);
        self.instructions.push(match self.operations[value.0] {
            Operation::Add(..) => Instruction::Add { dst, a, b },
            Operation::Sub(..) => Instruction::Sub { dst, a, b },
            _ => Instruction::Mul { dst, a, b },
        });
        Ok(())
    }

    /// The register that holds a value, loading it if none does, without taking `keep`'s.
    fn bring(&mut self, value: Value, keep: Value) -> Result<Register, KernelFailure> {
        if let Some(register) = self.register[value.0] {
            return Ok(register);
        }
        let dst = self.free_register(value, keep)?;
        self.instructions.push(match self.operations[value.0] {
            Operation::Input { input, rotation } => Instruction::Load { dst, input, rotation },
            Operation::Constant { index } => Instruction::Constant { dst, index },
            _ => return Err(too_large("a value was read before it was computed".into())),
        });
        self.hold(value, dst);
        Ok(dst)
    }

    fn hold(&mut self, value: Value, register: Register) {
        self.register[value.0] = Some(register);
        self.holder[register as usize] = Some(value);
    }

    fn read_done(&mut self, value: Value) {
        self.reads[value.0].pop_front();
        if self.reads[value.0].is_empty()
            && let Some(register) = self.register[value.0].take()
        {
            self.holder[register as usize] = None;
        }
    }

    /// A free register; else that of the loadable value whose next read is furthest (Belady 1966), which is loaded
    /// again then.
    fn free_register(&mut self, value: Value, keep: Value) -> Result<Register, KernelFailure> {
        if let Some(free) = self.holder.iter().position(Option::is_none) {
            return Ok(free as Register);
        }
        let loadable =
            |held: &Value| *held != keep && *held != value && self.operations[held.0].operands().is_none();
        let evicted = self
            .holder
            .iter()
            .flatten()
            .copied()
            .filter(loadable)
            .max_by_key(|held| self.reads[held.0].front().copied())
            .ok_or_else(|| too_large(format!("expected at most {REGISTERS_MAX} live values, got more")))?;
        let register = self.register[evicted.0]
            .take()
            .ok_or_else(|| too_large("a register's holder does not know it".into()))?;
        self.holder[register as usize] = None;
        Ok(register)
    }
}

fn too_large(detail: String) -> KernelFailure {
    KernelFailure::InvariantViolation { kernel: "pointwise", detail: format!("program: {detail}; split it") }
}
