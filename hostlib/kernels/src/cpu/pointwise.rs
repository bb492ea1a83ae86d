//! Pointwise programs, a block of rows at a time: each instruction runs over a whole block, so decoding costs little
//! and the registers stay in the cache.

mod prepared;

use ark_bn254::Fr;
use ark_ff::Zero;
use rayon::prelude::*;
use zeroize::Zeroize;

use self::prepared::{BLOCK as LANES_BLOCK, Prepared};
use super::lanes::Lanes;
use super::vectors::Vectors;
use crate::host_data::HostData;
use crate::large_pages::zeros;
use crate::program::{Instruction, Program};

/// Rows per block: 64 registers of 128 elements are 256 KiB.
const BLOCK: usize = 128;

/// One register: an element per row.
type Block = Vec<Fr>;

/// A thread's registers; wiped at the end, as they may hold a witness.
struct Registers(Vec<Block>);

impl Drop for Registers {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// `vectors`: the processor's vector instructions, if they are to be used.
pub(super) fn run(
    vectors: Option<Vectors>,
    program: &Program,
    inputs: &[&HostData],
    len: usize,
) -> Vec<Vec<Fr>> {
    match vectors {
        Some(Vectors::Ifma(ifma)) => run_lanes(ifma, program, inputs, len),
        Some(Vectors::Fma(fma)) => run_lanes(fma, program, inputs, len),
        None => run_scalar(program, inputs, len),
    }
}

fn run_lanes(lanes: impl Lanes, program: &Program, inputs: &[&HostData], len: usize) -> Vec<Vec<Fr>> {
    let mut outputs: Vec<Vec<Fr>> = (0..program.outputs).map(|_| zeros(len)).collect();
    let prepared = Prepared::new(lanes, program);
    blocks_of(&mut outputs, LANES_BLOCK).into_par_iter().enumerate().for_each_init(
        || prepared.registers(),
        |registers, (block, mut outputs)| {
            prepared.run_block(registers, &mut outputs, |input, rotation, out| {
                load(inputs[input as usize], block * LANES_BLOCK, rotation, len, out);
            });
        },
    );
    outputs
}

fn run_scalar(program: &Program, inputs: &[&HostData], len: usize) -> Vec<Vec<Fr>> {
    let mut outputs: Vec<Vec<Fr>> = (0..program.outputs).map(|_| zeros(len)).collect();
    let registers = program.register_count();
    blocks_of(&mut outputs, BLOCK).into_par_iter().enumerate().for_each_init(
        || Registers(vec![vec![Fr::zero(); BLOCK]; registers]),
        |registers, (block, mut outputs)| {
            run_block(program, inputs, block * BLOCK, len, &mut registers.0, &mut outputs);
        },
    );
    outputs
}

/// Each block's slices of all outputs.
fn blocks_of(outputs: &mut [Vec<Fr>], block: usize) -> Vec<Vec<&mut [Fr]>> {
    let len = outputs.first().map_or(0, Vec::len);
    let mut blocks: Vec<Vec<&mut [Fr]>> =
        (0..len.div_ceil(block)).map(|_| Vec::with_capacity(outputs.len())).collect();
    for output in outputs {
        for (block, slice) in blocks.iter_mut().zip(output.chunks_mut(block)) {
            block.push(slice);
        }
    }
    blocks
}

/// Runs rows `first..first + BLOCK`, cut at `len`.
fn run_block(
    program: &Program,
    inputs: &[&HostData],
    first: usize,
    len: usize,
    registers: &mut [Block],
    outputs: &mut [&mut [Fr]],
) {
    let rows = BLOCK.min(len - first);
    for instruction in &program.instructions {
        match *instruction {
            Instruction::Load { dst, input, rotation } => {
                let out = &mut registers[dst as usize][..rows];
                load(inputs[input as usize], first, rotation, len, out);
            }
            Instruction::Constant { dst, index } => {
                registers[dst as usize][..rows].fill(program.constants[index as usize]);
            }
            Instruction::Add { dst, a, b } => combine(registers, dst, a, b, rows, |a, b| a + b),
            Instruction::Sub { dst, a, b } => combine(registers, dst, a, b, rows, |a, b| a - b),
            Instruction::Mul { dst, a, b } => combine(registers, dst, a, b, rows, |a, b| a * b),
            Instruction::Store { output, src } => {
                outputs[output as usize].copy_from_slice(&registers[src as usize][..rows]);
            }
        }
    }
}

fn combine(registers: &mut [Block], dst: u8, a: u8, b: u8, rows: usize, operate: impl Fn(Fr, Fr) -> Fr) {
    let (dst, a, b) = (dst as usize, a as usize, b as usize);
    // Taken out, so that it can be written while others are read; what it held is read in place.
    let mut block = std::mem::take(&mut registers[dst]);
    let out = block[..rows].iter_mut();
    match (a == dst, b == dst) {
        (true, true) => out.for_each(|x| *x = operate(*x, *x)),
        (true, false) => out.zip(&registers[b]).for_each(|(x, b)| *x = operate(*x, *b)),
        (false, true) => out.zip(&registers[a]).for_each(|(x, a)| *x = operate(*a, *x)),
        (false, false) => {
            out.zip(&registers[a]).zip(&registers[b]).for_each(|((x, a), b)| *x = operate(*a, *b));
        }
    }
    registers[dst] = block;
}

/// `out[i] = input[(first + i + rotation) mod len]`
fn load(input: &HostData, first: usize, rotation: i32, len: usize, out: &mut [Fr]) {
    let start = (first as i64 + i64::from(rotation)).rem_euclid(len as i64) as usize;
    if rotation == 0 || start + out.len() <= len {
        input.copy_to(start, out);
        return;
    }
    // Rows that wrap: the column may be shorter than one block, so they may wrap more than once.
    let mut from = start;
    let mut rest = out;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at_mut(rest.len().min(len - from));
        input.copy_to(from, piece);
        rest = tail;
        from = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::ProgramBuilder;
    use ark_ff::{One, UniformRand};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    /// Random programs, with long sums that reach the bounds, on lengths around the blocks.
    #[test]
    fn lanes_and_scalars_agree() {
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        for round in 0..60 {
            let mut builder = ProgramBuilder::new();
            let mut values = vec![
                builder.input(0, 0),
                builder.input(0, 1),
                builder.input(1, -3),
                builder.constant(-Fr::one()),
                builder.constant(Fr::rand(&mut rng)),
            ];
            for _ in 0..40 {
                let a = values[rng.next_u32() as usize % values.len()];
                let b = values[values.len() - 1 - rng.next_u32() as usize % 3];
                values.push(match (rng.next_u32() + round) % 4 {
                    0 => builder.mul(a, b),
                    1 => builder.sub(a, b),
                    2 => builder.sub(b, a),
                    _ => builder.add(a, b),
                });
            }
            for &value in values.iter().rev().take(4) {
                builder.output(value);
            }
            let program = builder.finish().unwrap();
            for len in [3, 7, 8, 63, 64, 65, 200] {
                let random = HostData::full((0..len).map(|_| Fr::rand(&mut rng)).collect());
                let largest = HostData::full(vec![-Fr::one(); len]);
                for inputs in [[&random, &largest], [&largest, &largest]] {
                    let expected = run(None, &program, &inputs, len);
                    for vectors in Vectors::all() {
                        assert!(run(Some(vectors), &program, &inputs, len) == expected, "{round}, {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn sums_that_double_past_every_bound_are_right() {
        let mut builder = ProgramBuilder::new();
        let x = builder.input(0, 0);
        let zero = builder.constant(Fr::zero());
        let (mut sum, mut difference) = (x, x);
        for _ in 0..20 {
            sum = builder.add(sum, sum);
            let negative = builder.sub(zero, difference);
            difference = builder.sub(negative, difference);
        }
        let product = builder.mul(sum, difference);
        [sum, difference, product].into_iter().for_each(|value| builder.output(value));
        let program = builder.finish().unwrap();
        for value in [-Fr::one(), Fr::one(), Fr::from(12345)] {
            let input = HostData::full(vec![value; 9]);
            let [sum, difference] = [2i64, -2].map(|k| value * Fr::from(k.pow(20)));
            for vectors in Vectors::all() {
                let got = run(Some(vectors), &program, &[&input], 9);
                assert_eq!(got, [sum, difference, sum * difference].map(|value| vec![value; 9]));
            }
        }
    }
}
