//! Pointwise programs, one row at a time.

use ark_bn254::Fr;
use ark_ff::Zero;

use crate::host_data::HostData;
use crate::program::{Instruction, Program, REGISTERS_MAX};

pub(super) fn run(program: &Program, inputs: &[&HostData], len: usize) -> Vec<Vec<Fr>> {
    let rows: Vec<Vec<Fr>> = (0..len).map(|row| run_row(program, inputs, row, len)).collect();
    (0..program.outputs).map(|output| rows.iter().map(|row| row[output]).collect()).collect()
}

/// What one row stores to each output.
fn run_row(program: &Program, inputs: &[&HostData], row: usize, len: usize) -> Vec<Fr> {
    let mut outputs = vec![Fr::zero(); program.outputs];
    let mut registers = [Fr::zero(); REGISTERS_MAX];
    for instruction in &program.instructions {
        match *instruction {
            Instruction::Load { dst, input, rotation } => {
                let from = (row as i64 + i64::from(rotation)).rem_euclid(len as i64);
                registers[dst as usize] = inputs[input as usize].get(from as usize);
            }
            Instruction::Constant { dst, index } => {
                registers[dst as usize] = program.constants[index as usize];
            }
            Instruction::Add { dst, a, b } => {
                registers[dst as usize] = registers[a as usize] + registers[b as usize];
            }
            Instruction::Sub { dst, a, b } => {
                registers[dst as usize] = registers[a as usize] - registers[b as usize];
            }
            Instruction::Mul { dst, a, b } => {
                registers[dst as usize] = registers[a as usize] * registers[b as usize];
            }
            Instruction::Store { output, src } => outputs[output as usize] = registers[src as usize],
        }
    }
    outputs
}
