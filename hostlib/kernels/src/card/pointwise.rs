//! Pointwise programs: the image that a card reads.

use kiln_abi::element_to_bytes;
use kiln_abi::program::{self, Shape, VectorBinding};
use kiln_driver::{Job, ProgramSource};

use super::{Call, CardDevice, Made, Results, Span, layout};
use crate::error::KernelFailure;
use crate::program::{Instruction, Program};

pub(super) fn submit(
    card: &mut CardDevice,
    call: Call,
    program: &Program,
    inputs: &[Span],
    len: usize,
) -> Result<Made, KernelFailure> {
    let outputs =
        (0..program.outputs).map(|_| card.allocate(call, len)).collect::<Result<Vec<_>, KernelFailure>>()?;
    if len > 0 && !outputs.is_empty() {
        let bind = |v: Span| VectorBinding { address: v.address, length: v.len as u64 };
        // A program may be given more inputs than it reads.
        let inputs: Vec<_> = inputs[..program.inputs].iter().map(|&v| bind(v)).collect();
        let bound: Vec<_> = outputs.iter().map(|v| bind(v.span())).collect();
        let image = image(program);
        let job = Job::VectorProgram {
            rows: len as u32,
            program: ProgramSource::Image(&image),
            inputs: &inputs,
            outputs: &bound,
        };
        card.send(call, &job)?;
    }
    Ok(Made { outputs, results: Results::None })
}

/// Header, constants, instructions. The sizes were checked against the card's limits, which fit the fields.
fn image(program: &Program) -> Vec<u8> {
    let shape = Shape {
        registers: program.register_count() as u16,
        inputs: program.inputs as u16,
        outputs: program.outputs as u16,
        constants: program.constants.len() as u32,
        instructions: program.instructions.len() as u32,
    };
    let mut image = shape.to_header().to_vec();
    for constant in &program.constants {
        image.extend_from_slice(&element_to_bytes(&layout::element(constant)));
    }
    for &instruction in &program.instructions {
        image.extend_from_slice(&encode(instruction).to_bytes());
    }
    image
}

fn encode(instruction: Instruction) -> program::Instruction {
    use program::Instruction as Card;
    match instruction {
        Instruction::Load { dst, input, rotation } => Card::Load { dst, input, rotation },
        Instruction::Constant { dst, index } => Card::Constant { dst, index },
        Instruction::Add { dst, a, b } => Card::Add { dst, a, b },
        Instruction::Sub { dst, a, b } => Card::Sub { dst, a, b },
        Instruction::Mul { dst, a, b } => Card::Mul { dst, a, b },
        Instruction::Store { output, src } => Card::Store { output, src },
    }
}
