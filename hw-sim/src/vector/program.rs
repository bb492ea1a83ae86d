//! Pointwise programs: strips of rows go through the program; the next strip is loaded meanwhile.
//!
//! An instruction takes strip / L cycles of issue. Lanes work element by element, so an instruction may start one
//! latency after the one that makes its operand, and stalls only when a strip is shorter than the pipeline.

use super::lanes::{ELEMENT_BYTES, Lanes};
use crate::memory::{CardMemory, MemoryFault};
use crate::stats::{Cause, Cost, Cycles};
use crate::tiles::{self, Tile};
use ark_bn254::Fr;
use ark_ff::BigInt;
use kiln_abi::program::{Bindings, Instruction, Program, REGISTERS_MAX, VectorBinding};

/// Rows whose values are computed together; a matter of the simulator's speed only.
const BLOCK_ROWS: usize = 128;

/// Runs a program over all rows: writes the outputs, returns the cost.
pub fn run(
    lanes: &Lanes,
    memory: &mut CardMemory,
    program: &Program<'_>,
    bindings: &Bindings<'_>,
    rows: u32,
) -> Result<Cost, MemoryFault> {
    let instructions: Vec<Instruction> = program.instructions().collect();
    compute(memory, program, &instructions, bindings, rows as usize)?;
    Ok(cost(lanes, &instructions, u64::from(rows)))
}

fn compute(
    memory: &mut CardMemory,
    program: &Program<'_>,
    instructions: &[Instruction],
    bindings: &Bindings<'_>,
    rows: usize,
) -> Result<(), MemoryFault> {
    let inputs: Vec<VectorBinding> = bindings.inputs().collect();
    let outputs: Vec<VectorBinding> = bindings.outputs().collect();
    let constants: Vec<Fr> = program.constants().map(|limbs| Fr::new_unchecked(BigInt(limbs))).collect();
    let mut registers = vec![[Fr::default(); BLOCK_ROWS]; usize::from(REGISTERS_MAX)];
    for first in (0..rows).step_by(BLOCK_ROWS) {
        let count = BLOCK_ROWS.min(rows - first);
        for instruction in instructions {
            match *instruction {
                Instruction::Load { dst, input, rotation } => {
                    let part = &mut registers[usize::from(dst)][..count];
                    load(memory, inputs[usize::from(input)], first, i64::from(rotation), rows, part)?;
                }
                Instruction::Constant { dst, index } => {
                    registers[usize::from(dst)][..count].fill(constants[usize::from(index)]);
                }
                Instruction::Store { output, src } => {
                    let address = outputs[usize::from(output)].address + ELEMENT_BYTES * first as u64;
                    memory.write_elements(address, &registers[usize::from(src)][..count])?;
                }
                Instruction::Add { dst, a, b } => apply(&mut registers, dst, a, b, count, |a, b| a + b),
                Instruction::Sub { dst, a, b } => apply(&mut registers, dst, a, b, count, |a, b| a - b),
                Instruction::Mul { dst, a, b } => apply(&mut registers, dst, a, b, count, |a, b| a * b),
            }
        }
    }
    Ok(())
}

fn apply(
    registers: &mut [[Fr; BLOCK_ROWS]],
    dst: u8,
    a: u8,
    b: u8,
    count: usize,
    operation: impl Fn(Fr, Fr) -> Fr,
) {
    let (left, right) = (registers[usize::from(a)], registers[usize::from(b)]);
    let operands = left.into_iter().zip(right).take(count);
    for (out, (left, right)) in registers[usize::from(dst)].iter_mut().zip(operands) {
        *out = operation(left, right);
    }
}

/// Rows `first + rotation`, `first + rotation + 1`, … of an input, wrapping; past the end of a short input, zeros.
fn load(
    memory: &CardMemory,
    input: VectorBinding,
    first: usize,
    rotation: i64,
    rows: usize,
    part: &mut [Fr],
) -> Result<(), MemoryFault> {
    let available = input.length.min(rows as u64) as usize;
    let mut row = (first as i64 + rotation).rem_euclid(rows as i64) as usize;
    let mut done = 0;
    while done < part.len() {
        let run = (part.len() - done).min(rows - row);
        let held = run.min(available.saturating_sub(row));
        let (values, zeros) = part[done..done + run].split_at_mut(held);
        memory.read_elements(input.address + ELEMENT_BYTES * row as u64, values)?;
        zeros.fill(Fr::default());
        done += run;
        row = 0;
    }
    Ok(())
}

/// What a program costs, without data.
pub fn cost(lanes: &Lanes, instructions: &[Instruction], rows: u64) -> Cost {
    let (loads, rotated) = count_loads(instructions);
    let stores = instructions.iter().filter(|step| matches!(step, Instruction::Store { .. })).count() as u64;
    let strip = |rows: u64| Tile {
        // A rotated access reads one more burst of each strip's neighbour.
        load: lanes.stream((loads * rows + rotated * (512 / ELEMENT_BYTES)) * ELEMENT_BYTES),
        compute: strip_cycles(lanes, instructions, rows),
        store: lanes.stream(stores * rows * ELEMENT_BYTES),
    };
    let (full, rest) = (rows / lanes.strip_rows, rows % lanes.strip_rows);
    let tiles =
        std::iter::repeat_n(strip(lanes.strip_rows), full as usize).chain((rest > 0).then(|| strip(rest)));
    let drain = Cycles::stalled(Cause::Hazard, lanes.multiply_latency);
    Cost {
        cycles: tiles::run(tiles, lanes.latency()).then(drain),
        memory_read_bytes: loads * rows * ELEMENT_BYTES,
        memory_write_bytes: stores * rows * ELEMENT_BYTES,
        host_bytes: 0,
    }
}

/// Different inputs, and different pairs of input and rotation other than zero. An input is fetched once a strip.
fn count_loads(instructions: &[Instruction]) -> (u64, u64) {
    let mut loads: Vec<(u16, i32)> = instructions
        .iter()
        .filter_map(|step| match *step {
            Instruction::Load { input, rotation, .. } => Some((input, rotation)),
            _ => None,
        })
        .collect();
    loads.sort_unstable();
    loads.dedup();
    let rotated = loads.iter().filter(|(_, rotation)| *rotation != 0).count() as u64;
    loads.dedup_by_key(|(input, _)| *input);
    (loads.len() as u64, rotated)
}

/// Issue of one strip: in order, each instruction after its operands.
fn strip_cycles(lanes: &Lanes, instructions: &[Instruction], rows: u64) -> Cycles {
    let issue = rows.div_ceil(lanes.count);
    let mut ready = [0u64; REGISTERS_MAX as usize];
    let mut now = 0;
    for instruction in instructions {
        let (operands, dst, latency) = match *instruction {
            Instruction::Load { dst, .. } | Instruction::Constant { dst, .. } => {
                ([None; 2], Some(dst), lanes.add_latency)
            }
            Instruction::Add { dst, a, b } | Instruction::Sub { dst, a, b } => {
                ([Some(a), Some(b)], Some(dst), lanes.add_latency)
            }
            Instruction::Mul { dst, a, b } => ([Some(a), Some(b)], Some(dst), lanes.multiply_latency),
            Instruction::Store { src, .. } => ([Some(src), None], None, 0),
        };
        let start =
            operands.into_iter().flatten().map(|register| ready[usize::from(register)]).fold(now, u64::max);
        now = start + issue;
        if let Some(dst) = dst {
            ready[usize::from(dst)] = start + latency;
        }
    }
    Cycles::stretched(issue * instructions.len() as u64, now, Cause::Hazard)
}
