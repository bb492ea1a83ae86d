//! Pointwise programs over [`Lanes`].

use ark_bn254::Fr;
use ark_ff::Zero;
use zeroize::Zeroize;

use crate::cpu::lanes::{Job, Lanes};
use crate::program::{Instruction, Program};

/// Rows per block: 64 registers of 64 values are 160 KiB.
pub(super) const BLOCK: usize = 64;

/// What a step does. Registers are numbered; bounds are known.
#[derive(Clone, Copy)]
enum Step {
    Load { dst: u8, input: u16, rotation: i32 },
    Constant { dst: u8, index: u16 },
    Add { dst: u8, a: u8, b: u8 },
    Sub { dst: u8, a: u8, b: u8, bound: u64 },
    Mul { dst: u8, a: u8, b: u8 },
    Reduce { register: u8 },
    Store { output: u16, src: u8 },
}

/// A program with its reductions put in.
pub(super) struct Prepared<L: Lanes> {
    lanes: L,
    steps: Vec<Step>,
    constants: Vec<L::Stored>,
    registers: usize,
}

/// A thread's registers; wiped at the end, as they may hold a witness.
pub(super) struct Registers<L: Lanes> {
    values: Vec<L::Stored>,
    rows: Vec<Fr>,
}

impl<L: Lanes> Drop for Registers<L> {
    fn drop(&mut self) {
        self.values.fill(L::ZERO);
        // So that filling them is not left out.
        std::hint::black_box(&self.values);
        self.rows.iter_mut().zeroize();
    }
}

impl<L: Lanes> Prepared<L> {
    pub(super) fn new(lanes: L, program: &Program) -> Prepared<L> {
        let registers = program.register_count();
        let mut bounds = vec![0; registers];
        let mut steps = Vec::with_capacity(program.instructions.len());
        for instruction in &program.instructions {
            steps_of::<L>(instruction, &mut bounds, &mut steps);
        }
        let constants = program.constants.iter().map(|&c| lanes.constant(c)).collect();
        Prepared { lanes, steps, constants, registers }
    }

    pub(super) fn registers(&self) -> Registers<L> {
        Registers {
            values: vec![L::ZERO; self.registers * (BLOCK / L::WIDTH)],
            rows: vec![Fr::zero(); BLOCK],
        }
    }

    /// Runs one block of rows, as many as each output is long. `load(input, rotation, out)` gives an input's rows of
    /// this block.
    pub(super) fn run_block(
        &self,
        registers: &mut Registers<L>,
        outputs: &mut [&mut [Fr]],
        load: impl Fn(u16, i32, &mut [Fr]),
    ) {
        let rows = outputs.first().map_or(0, |output| output.len());
        for &step in &self.steps {
            if let Step::Load { input, rotation, .. } = step {
                load(input, rotation, &mut registers.rows[..rows]);
            }
            let Registers { values, rows } = &mut *registers;
            self.lanes.run(OneStep { step, constants: &self.constants, values, rows, outputs });
        }
    }
}

/// Appends an instruction, after the reductions that keep its result in bounds.
fn steps_of<L: Lanes>(instruction: &Instruction, bounds: &mut [u64], steps: &mut Vec<Step>) {
    let mut make_room = |bounds: &mut [u64], a: u8, b: u8| {
        for _ in 0..2 {
            let larger = if bounds[a as usize] < bounds[b as usize] { b } else { a };
            if bounds[a as usize] + bounds[b as usize] > L::BOUND_MAX {
                steps.push(Step::Reduce { register: larger });
                bounds[larger as usize] = 2;
            }
        }
        L::bound_of_sum(bounds[a as usize], bounds[b as usize])
    };
    let (dst, bound, step) = match *instruction {
        Instruction::Load { dst, input, rotation } => {
            (dst, L::BOUND_LOADED, Step::Load { dst, input, rotation })
        }
        Instruction::Constant { dst, index } => (dst, 1, Step::Constant { dst, index }),
        Instruction::Add { dst, a, b } => (dst, make_room(bounds, a, b), Step::Add { dst, a, b }),
        Instruction::Sub { dst, a, b } => {
            let bound = make_room(bounds, a, b);
            (dst, bound, Step::Sub { dst, a, b, bound: bounds[b as usize] })
        }
        Instruction::Mul { dst, a, b } => {
            (dst, L::bound_of_product(bounds[a as usize], bounds[b as usize]), Step::Mul { dst, a, b })
        }
        Instruction::Store { output, src } => return steps.push(Step::Store { output, src }),
    };
    steps.push(step);
    bounds[dst as usize] = bound;
}

/// One step on a block of rows.
struct OneStep<'a, 'b, L: Lanes> {
    step: Step,
    constants: &'a [L::Stored],
    values: &'a mut [L::Stored],
    rows: &'a [Fr],
    outputs: &'a mut [&'b mut [Fr]],
}

impl<L: Lanes> Job<L> for OneStep<'_, '_, L> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let OneStep { step, constants, values, rows, outputs } = self;
        let vectors = BLOCK / L::WIDTH;
        let at = |register: u8| register as usize * vectors;
        match step {
            Step::Load { dst, .. } => {
                for (out, run) in values[at(dst)..][..vectors].iter_mut().zip(L::runs(rows)) {
                    lanes.load_register(run, out);
                }
            }
            Step::Constant { dst, index } => values[at(dst)..][..vectors].fill(constants[index as usize]),
            Step::Add { dst, a, b } => {
                for i in 0..vectors {
                    let mut out = L::ZERO;
                    lanes.add(&values[at(a) + i], &values[at(b) + i], &mut out);
                    values[at(dst) + i] = out;
                }
            }
            Step::Sub { dst, a, b, bound } => {
                for i in 0..vectors {
                    let mut out = L::ZERO;
                    lanes.sub(&values[at(a) + i], &values[at(b) + i], bound, &mut out);
                    values[at(dst) + i] = out;
                }
            }
            Step::Mul { dst, a, b } => {
                for i in 0..vectors {
                    let mut out = L::ZERO;
                    lanes.mul(&values[at(a) + i], &values[at(b) + i], &mut out);
                    values[at(dst) + i] = out;
                }
            }
            Step::Reduce { register } => {
                for value in &mut values[at(register)..][..vectors] {
                    lanes.reduce(value);
                }
            }
            Step::Store { output, src } => {
                let mut run = L::repeat(Fr::zero());
                let out = outputs[output as usize].chunks_mut(L::WIDTH);
                for (out, value) in out.zip(&values[at(src)..][..vectors]) {
                    lanes.store_register(value, &mut run);
                    out.copy_from_slice(&L::elements(&mut run)[..out.len()]);
                }
            }
        }
    }
}
