//! Pointwise programs, a block of rows at a time: each instruction runs over a whole block, so decoding costs little
//! and the registers stay in the cache.

use ark_bn254::Fr;
use ark_ff::Zero;
use rayon::prelude::*;
use zeroize::Zeroize;

use crate::host_data::HostData;
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

pub(super) fn run(program: &Program, inputs: &[&HostData], len: usize) -> Vec<Vec<Fr>> {
    let mut outputs = vec![vec![Fr::zero(); len]; program.outputs];
    let registers = program.register_count();
    // Each block's slices of all outputs.
    let mut blocks: Vec<Vec<&mut [Fr]>> = (0..len.div_ceil(BLOCK)).map(|_| Vec::new()).collect();
    for output in &mut outputs {
        for (block, slice) in blocks.iter_mut().zip(output.chunks_mut(BLOCK)) {
            block.push(slice);
        }
    }
    blocks.into_par_iter().enumerate().for_each_init(
        || Registers(vec![vec![Fr::zero(); BLOCK]; registers]),
        |registers, (block, mut outputs)| {
            let first = block * BLOCK;
            run_block(program, inputs, first, len, &mut registers.0, &mut outputs);
        },
    );
    outputs
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
