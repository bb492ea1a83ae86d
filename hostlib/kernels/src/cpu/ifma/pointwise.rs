//! Pointwise programs, eight rows at a time.
//!
//! Registers hold x·2^260, so that a product of registers has that form again. An element in memory, x·2^256, is
//! brought to it by a shift of four bits, which makes the bound 16, and leaves it by a multiplication by 2^256.

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use zeroize::Zeroize;

use super::*;
use crate::program::{Instruction, Program};

/// Rows per block: 64 registers of 64 values are 160 KiB.
pub(in crate::cpu) const BLOCK: usize = 64;

/// Vectors per block.
const VECTORS: usize = BLOCK / LANES;

/// The largest bound of a register: 2^260 is more than 84·r, and [`reduce`] takes 80.
const BOUND_MAX: u64 = 80;

/// What a step does, apart from loads and stores.
#[derive(Clone, Copy)]
enum Step {
    Load {
        dst: u8,
        input: u16,
        rotation: i32,
    },
    Constant {
        dst: u8,
        index: u16,
    },
    Add {
        dst: u8,
        a: u8,
        b: u8,
    },
    /// `lift` is a multiple of r at least as large as b.
    Sub {
        dst: u8,
        a: u8,
        b: u8,
        lift: Limbs,
    },
    Mul {
        dst: u8,
        a: u8,
        b: u8,
    },
    Reduce {
        register: u8,
    },
    Store {
        output: u16,
        src: u8,
    },
}

/// A program with its reductions put in.
pub(in crate::cpu) struct Prepared {
    ifma: Ifma,
    steps: Vec<Step>,
    constants: Vec<Limbs>,
    registers: usize,
}

/// A thread's registers; wiped at the end, as they may hold a witness.
pub(in crate::cpu) struct Registers {
    values: Vec<Stored>,
    rows: Vec<Fr>,
}

impl Drop for Registers {
    fn drop(&mut self) {
        self.values.iter_mut().zeroize();
        self.rows.iter_mut().zeroize();
    }
}

impl Prepared {
    pub(in crate::cpu) fn new(ifma: Ifma, program: &Program) -> Prepared {
        let registers = program.register_count();
        let mut bounds = vec![0; registers];
        let mut steps = Vec::with_capacity(program.instructions.len());
        for instruction in &program.instructions {
            steps_of(instruction, &mut bounds, &mut steps);
        }
        let constants = program.constants.iter().map(|&c| factor(c)).collect();
        Prepared { ifma, steps, constants, registers }
    }

    pub(in crate::cpu) fn registers(&self) -> Registers {
        Registers { values: vec![[[0; LANES]; 5]; self.registers * VECTORS], rows: vec![Fr::zero(); BLOCK] }
    }

    /// Runs one block of rows, as many as each output is long. `load(input, rotation, out)` gives an input's rows of
    /// this block.
    pub(in crate::cpu) fn run_block(
        &self,
        registers: &mut Registers,
        outputs: &mut [&mut [Fr]],
        load: impl Fn(u16, i32, &mut [Fr]),
    ) {
        let Ifma(()) = self.ifma;
        let rows = outputs.first().map_or(0, |output| output.len());
        for &step in &self.steps {
            if let Step::Load { input, rotation, .. } = step {
                load(input, rotation, &mut registers.rows[..rows]);
            }
            // SAFETY: an `Ifma` exists only where the features do.
            unsafe { run_step(step, &self.constants, registers, outputs) }
        }
    }
}

/// Appends an instruction, after the reductions that keep its result below [`BOUND_MAX`].
fn steps_of(instruction: &Instruction, bounds: &mut [u64], steps: &mut Vec<Step>) {
    let mut make_room = |bounds: &mut [u64], a: u8, b: u8| {
        for _ in 0..2 {
            let larger = if bounds[a as usize] < bounds[b as usize] { b } else { a };
            if bounds[a as usize] + bounds[b as usize] > BOUND_MAX {
                steps.push(Step::Reduce { register: larger });
                bounds[larger as usize] = 2;
            }
        }
        bounds[a as usize] + bounds[b as usize]
    };
    let (dst, bound, step) = match *instruction {
        Instruction::Load { dst, input, rotation } => (dst, 16, Step::Load { dst, input, rotation }),
        Instruction::Constant { dst, index } => (dst, 1, Step::Constant { dst, index }),
        Instruction::Add { dst, a, b } => (dst, make_room(bounds, a, b), Step::Add { dst, a, b }),
        Instruction::Sub { dst, a, b } => {
            let bound = make_room(bounds, a, b);
            (dst, bound, Step::Sub { dst, a, b, lift: Modulus::<FrConfig>::multiple(bounds[b as usize]) })
        }
        Instruction::Mul { dst, a, b } => {
            let bound = bounds[a as usize] * bounds[b as usize] / 84 + 2;
            (dst, bound, Step::Mul { dst, a, b })
        }
        Instruction::Store { output, src } => return steps.push(Step::Store { output, src }),
    };
    steps.push(step);
    bounds[dst as usize] = bound;
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn run_step(step: Step, constants: &[Limbs], registers: &mut Registers, outputs: &mut [&mut [Fr]]) {
    let Registers { values, rows } = registers;
    let at = |register: u8| register as usize * VECTORS;
    match step {
        Step::Load { dst, .. } => {
            let (runs, _) = rows.as_chunks();
            for (out, run) in values[at(dst)..][..VECTORS].iter_mut().zip(runs) {
                keep(&load_shifted(run), out);
            }
        }
        Step::Constant { dst, index } => {
            let value = broadcast(&constants[index as usize]);
            values[at(dst)..][..VECTORS].iter_mut().for_each(|out| keep(&value, out));
        }
        Step::Add { dst, a, b } => {
            for i in 0..VECTORS {
                let sum = add(&fetch(&values[at(a) + i]), &fetch(&values[at(b) + i]));
                keep(&carry(&sum), &mut values[at(dst) + i]);
            }
        }
        Step::Sub { dst, a, b, lift } => {
            let lift = broadcast(&lift);
            for i in 0..VECTORS {
                let lifted = add(&fetch(&values[at(a) + i]), &lift);
                keep(&carry(&sub(&lifted, &fetch(&values[at(b) + i]))), &mut values[at(dst) + i]);
            }
        }
        Step::Mul { dst, a, b } => {
            for i in 0..VECTORS {
                let product = mul::<FrConfig>(&fetch(&values[at(a) + i]), &fetch(&values[at(b) + i]));
                keep(&carry(&product), &mut values[at(dst) + i]);
            }
        }
        Step::Reduce { register } => {
            for value in &mut values[at(register)..][..VECTORS] {
                keep(&reduce::<FrConfig>(&fetch(value)), value);
            }
        }
        Step::Store { output, src } => {
            let unshift = broadcast(&split(Fr::one().0.0));
            let mut run = [Fr::zero(); LANES];
            let out = outputs[output as usize].chunks_mut(LANES);
            for (out, value) in out.zip(&values[at(src)..][..VECTORS]) {
                store(&canonical::<FrConfig>(&carry(&mul::<FrConfig>(&fetch(value), &unshift))), &mut run);
                out.copy_from_slice(&run[..out.len()]);
            }
        }
    }
}
