//! Vector programs in memory: the image of a program, and the bindings of its vectors.
//!
//! Image (all parts adjacent):
//! ```text
//! 0  version u16 (1) | 2 registers u16 | 4 inputs u16 | 6 outputs u16 | 8 constants u32 | 12 instructions u32
//! 16 constants, 32 bytes each; then instructions, 8 bytes each
//! ```
//! Instruction: byte 0 operation, byte 1 register, then by operation:
//! ```text
//! Load      bytes 2-3 input, 4-7 rotation (signed)     register ← inputs[input][(row + rotation) mod rows]
//! Constant  bytes 2-3 index                            register ← constants[index]
//! Add, Sub, Mul  byte 2 a, byte 3 b                    register ← a ∘ b
//! Store     bytes 2-3 output                           outputs[output][row] ← register
//! ```
//! Bindings: for each input, then for each output: card address u64, length u64 (in elements). An input read with a
//! rotation has at least `rows` elements; one read only in place may be shorter and reads zero past its end. An output
//! has at least `rows` elements; exactly `rows` are written.

use crate::codes::codes;
use crate::error::{ParseError, in_range};
use crate::{Element, element_from_bytes, element_to_bytes};

/// Version of the image format.
pub const IMAGE_VERSION: u16 = 1;
/// Bytes of the image's header.
pub const IMAGE_HEADER_BYTES: usize = 16;
/// Bytes of an instruction.
pub const INSTRUCTION_BYTES: usize = 8;
/// Bytes of the binding of one vector.
pub const BINDING_BYTES: usize = 16;
/// Most registers.
pub const REGISTERS_MAX: u16 = 64;
/// Most inputs.
pub const INPUTS_MAX: u16 = 4096;
/// Most outputs.
pub const OUTPUTS_MAX: u16 = 1024;
/// Most constants.
pub const CONSTANTS_MAX: u32 = 16_384;
/// Most instructions.
pub const INSTRUCTIONS_MAX: u32 = 65_536;
/// Largest image. \[bytes\]
pub const IMAGE_BYTES_MAX: u64 = 16 + 32 * CONSTANTS_MAX as u64 + 8 * INSTRUCTIONS_MAX as u64;
/// Largest bindings. \[bytes\]
pub const BINDINGS_BYTES_MAX: u64 = 16 * (INPUTS_MAX as u64 + OUTPUTS_MAX as u64);

codes! {
    /// Operations of a vector program.
    pub enum Operation: u8 {
        /// Read an input vector.
        Load = 1,
        /// Read a constant.
        Constant = 2,
        /// Sum.
        Add = 3,
        /// Difference.
        Sub = 4,
        /// Product.
        Mul = 5,
        /// Write an output vector.
        Store = 6,
    }
}

/// One step of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The text of a variant explains its fields.
pub enum Instruction {
    /// `dst ← inputs[input][(row + rotation) mod rows]`
    Load { dst: u8, input: u16, rotation: i32 },
    /// `dst ← constants[index]`
    Constant { dst: u8, index: u16 },
    /// `dst ← a + b`
    Add { dst: u8, a: u8, b: u8 },
    /// `dst ← a − b`
    Sub { dst: u8, a: u8, b: u8 },
    /// `dst ← a · b`
    Mul { dst: u8, a: u8, b: u8 },
    /// `outputs[output][row] ← src`
    Store { output: u16, src: u8 },
}

impl Instruction {
    /// The 8 bytes of the instruction.
    pub fn to_bytes(self) -> [u8; INSTRUCTION_BYTES] {
        let wide = |operation: Operation, register: u8, index: u16, rotation: i32| {
            let ([i0, i1], [r0, r1, r2, r3]) = (index.to_le_bytes(), rotation.to_le_bytes());
            [operation.code(), register, i0, i1, r0, r1, r2, r3]
        };
        let three =
            |operation: Operation, dst: u8, a: u8, b: u8| wide(operation, dst, u16::from_le_bytes([a, b]), 0);
        match self {
            Instruction::Load { dst, input, rotation } => wide(Operation::Load, dst, input, rotation),
            Instruction::Constant { dst, index } => wide(Operation::Constant, dst, index, 0),
            Instruction::Add { dst, a, b } => three(Operation::Add, dst, a, b),
            Instruction::Sub { dst, a, b } => three(Operation::Sub, dst, a, b),
            Instruction::Mul { dst, a, b } => three(Operation::Mul, dst, a, b),
            Instruction::Store { output, src } => wide(Operation::Store, src, output, 0),
        }
    }

    /// Decodes an instruction; its operands are judged by [`Program::parse`].
    pub fn from_bytes(bytes: [u8; INSTRUCTION_BYTES]) -> Result<Instruction, ParseError> {
        let [operation, register, a, b, r0, r1, r2, r3] = bytes;
        let (wide, rotation) = (u16::from_le_bytes([a, b]), i32::from_le_bytes([r0, r1, r2, r3]));
        let operation = Operation::from_code(operation)
            .ok_or(ParseError::UnknownCode { field: "operation", got: u64::from(operation) })?;
        if operation != Operation::Load && rotation != 0 {
            return Err(ParseError::Reserved { what: "instruction", offset: 4 });
        }
        Ok(match operation {
            Operation::Load => Instruction::Load { dst: register, input: wide, rotation },
            Operation::Constant => Instruction::Constant { dst: register, index: wide },
            Operation::Add => Instruction::Add { dst: register, a, b },
            Operation::Sub => Instruction::Sub { dst: register, a, b },
            Operation::Mul => Instruction::Mul { dst: register, a, b },
            Operation::Store => Instruction::Store { output: wide, src: register },
        })
    }
}

/// How large the parts of an image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Registers in use, at most [`REGISTERS_MAX`].
    pub registers: u16,
    /// Input vectors, at most [`INPUTS_MAX`].
    pub inputs: u16,
    /// Output vectors, 1 to [`OUTPUTS_MAX`].
    pub outputs: u16,
    /// Constants, at most [`CONSTANTS_MAX`].
    pub constants: u32,
    /// Instructions, 1 to [`INSTRUCTIONS_MAX`].
    pub instructions: u32,
}

impl Shape {
    /// Bytes of the whole image.
    pub fn image_bytes(&self) -> u64 {
        IMAGE_HEADER_BYTES as u64 + 32 * u64::from(self.constants) + 8 * u64::from(self.instructions)
    }

    /// Bytes of the bindings.
    pub fn bindings_bytes(&self) -> u64 {
        BINDING_BYTES as u64 * (u64::from(self.inputs) + u64::from(self.outputs))
    }

    /// The header of the image. Constants ([`crate::element_to_bytes`]) and instructions follow it.
    pub fn to_header(&self) -> [u8; IMAGE_HEADER_BYTES] {
        let mut bytes = [0; IMAGE_HEADER_BYTES];
        bytes[..2].copy_from_slice(&IMAGE_VERSION.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.registers.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.inputs.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.outputs.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.constants.to_le_bytes());
        bytes[12..].copy_from_slice(&self.instructions.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Shape, ParseError> {
        let Some(header) = bytes.first_chunk::<IMAGE_HEADER_BYTES>() else {
            let expected = IMAGE_HEADER_BYTES as u64;
            return Err(ParseError::Length { what: "program header", expected, got: bytes.len() as u64 });
        };
        let half = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let word = |at: usize| {
            u64::from(u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
        };
        in_range("program version", half(0), u64::from(IMAGE_VERSION), u64::from(IMAGE_VERSION))?;
        Ok(Shape {
            registers: in_range("registers", half(2), 1, u64::from(REGISTERS_MAX))? as u16,
            inputs: in_range("inputs", half(4), 0, u64::from(INPUTS_MAX))? as u16,
            outputs: in_range("outputs", half(6), 1, u64::from(OUTPUTS_MAX))? as u16,
            constants: in_range("constants", word(8), 0, u64::from(CONSTANTS_MAX))? as u32,
            instructions: in_range("instructions", word(12), 1, u64::from(INSTRUCTIONS_MAX))? as u32,
        })
    }
}

/// A checked program image: every register, input, output and constant that an instruction names is there, and no
/// register is read before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    shape: Shape,
    constants: &'a [[u8; 32]],
    instructions: &'a [[u8; INSTRUCTION_BYTES]],
}

impl<'a> Program<'a> {
    /// Parses and checks an image.
    pub fn parse(bytes: &'a [u8]) -> Result<Program<'a>, ParseError> {
        let shape = Shape::parse(bytes)?;
        let (expected, got) = (shape.image_bytes(), bytes.len() as u64);
        if expected != got {
            return Err(ParseError::Length { what: "program", expected, got });
        }
        let (constants, instructions) = bytes[IMAGE_HEADER_BYTES..].split_at(32 * shape.constants as usize);
        let program =
            Program { shape, constants: constants.as_chunks().0, instructions: instructions.as_chunks().0 };
        program.check_instructions()?;
        Ok(program)
    }

    fn check_instructions(&self) -> Result<(), ParseError> {
        let mut written: u64 = 0;
        for (index, raw) in (0u32..).zip(self.instructions) {
            let fail = |reason| ParseError::Instruction { index, reason };
            let instruction = Instruction::from_bytes(*raw).map_err(|_| fail("no such operation"))?;
            let (reads, writes) = match instruction {
                Instruction::Load { dst, input, .. } if input < self.shape.inputs => ([None; 2], Some(dst)),
                Instruction::Load { .. } => return Err(fail("no such input")),
                Instruction::Constant { dst, index } if u32::from(index) < self.shape.constants => {
                    ([None; 2], Some(dst))
                }
                Instruction::Constant { .. } => return Err(fail("no such constant")),
                Instruction::Add { dst, a, b }
                | Instruction::Sub { dst, a, b }
                | Instruction::Mul { dst, a, b } => ([Some(a), Some(b)], Some(dst)),
                Instruction::Store { output, src } if output < self.shape.outputs => {
                    ([Some(src), None], None)
                }
                Instruction::Store { .. } => return Err(fail("no such output")),
            };
            for register in reads.into_iter().flatten() {
                if u16::from(register) >= self.shape.registers || written >> register & 1 == 0 {
                    return Err(fail("reads a register that holds nothing"));
                }
            }
            if let Some(register) = writes {
                if u16::from(register) >= self.shape.registers {
                    return Err(fail("no such register"));
                }
                written |= 1 << register;
            }
        }
        Ok(())
    }

    /// Sizes of the parts.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The constants, in order.
    pub fn constants(&self) -> impl Iterator<Item = Element> + 'a {
        self.constants.iter().map(element_from_bytes)
    }

    /// The instructions, in order.
    pub fn instructions(&self) -> impl Iterator<Item = Instruction> + 'a {
        // All of them decoded when the image was parsed, so none is dropped here.
        self.instructions.iter().filter_map(|raw| Instruction::from_bytes(*raw).ok())
    }
}

/// A vector in card memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorBinding {
    /// Card address, a multiple of 32.
    pub address: u64,
    /// Its length. \[elements\]
    pub length: u64,
}

impl VectorBinding {
    /// The 16 bytes of the binding.
    pub fn to_bytes(self) -> [u8; BINDING_BYTES] {
        let mut bytes = [0; BINDING_BYTES];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }
}

/// The vectors of a program.
#[derive(Clone, Copy, Debug)]
pub struct Bindings<'a> {
    inputs: &'a [[u8; BINDING_BYTES]],
    outputs: &'a [[u8; BINDING_BYTES]],
}

impl<'a> Bindings<'a> {
    /// Parses the bindings of a program for `rows` rows and checks their lengths. Card addresses are checked by the
    /// card, which knows its memory.
    pub fn parse(bytes: &'a [u8], program: &Program<'_>, rows: u32) -> Result<Bindings<'a>, ParseError> {
        let (expected, got) = (program.shape.bindings_bytes(), bytes.len() as u64);
        if expected != got {
            return Err(ParseError::Length { what: "bindings", expected, got });
        }
        let (inputs, outputs) = bytes.split_at(BINDING_BYTES * usize::from(program.shape.inputs));
        let bindings = Bindings { inputs: inputs.as_chunks().0, outputs: outputs.as_chunks().0 };
        let rows = u64::from(rows);
        for output in bindings.outputs() {
            in_range("length of an output", output.length, rows, u64::MAX)?;
        }
        for instruction in program.instructions() {
            if let Instruction::Load { input, rotation, .. } = instruction
                && rotation != 0
            {
                let length = bindings.input(input).length;
                in_range("length of an input that is read with a rotation", length, rows, u64::MAX)?;
            }
        }
        Ok(bindings)
    }

    /// The vector bound to an input; an empty vector for an index that the program does not have.
    pub fn input(&self, index: u16) -> VectorBinding {
        self.inputs.get(usize::from(index)).map_or(VectorBinding { address: 0, length: 0 }, decode_binding)
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> impl Iterator<Item = VectorBinding> + 'a {
        self.inputs.iter().map(decode_binding)
    }

    /// The outputs, in order.
    pub fn outputs(&self) -> impl Iterator<Item = VectorBinding> + 'a {
        self.outputs.iter().map(decode_binding)
    }
}

fn decode_binding(raw: &[u8; BINDING_BYTES]) -> VectorBinding {
    let [address, length]: [u64; 2] = {
        let mut words = [0; 2];
        for (word, chunk) in words.iter_mut().zip(raw.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        words
    };
    VectorBinding { address, length }
}

/// The parameter block of [`crate::IoCommand::Powers`].
pub fn powers_parameters(first: &Element, ratio: &Element) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&element_to_bytes(first));
    bytes[32..].copy_from_slice(&element_to_bytes(ratio));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: [Instruction; 4] = [
        Instruction::Load { dst: 0, input: 0, rotation: -1 },
        Instruction::Constant { dst: 1, index: 0 },
        Instruction::Add { dst: 0, a: 0, b: 1 },
        Instruction::Store { output: 0, src: 0 },
    ];
    const SHAPE: Shape = Shape { registers: 2, inputs: 1, outputs: 1, constants: 1, instructions: 4 };
    const IMAGE_BYTES: usize = 16 + 32 + 4 * 8;

    fn image(shape: Shape, instructions: [Instruction; 4]) -> [u8; IMAGE_BYTES] {
        let mut bytes = [0; IMAGE_BYTES];
        bytes[..16].copy_from_slice(&shape.to_header());
        bytes[16..48].copy_from_slice(&element_to_bytes(&[1, 2, 3, 4]));
        for (chunk, instruction) in bytes[48..].chunks_exact_mut(8).zip(instructions) {
            chunk.copy_from_slice(&instruction.to_bytes());
        }
        bytes
    }

    fn bindings(input: u64, output: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&VectorBinding { address: 0, length: input }.to_bytes());
        bytes[16..].copy_from_slice(&VectorBinding { address: 3200, length: output }.to_bytes());
        bytes
    }

    #[test]
    fn program_survives_the_round_trip() {
        let bytes = image(SHAPE, ADD);
        let program = Program::parse(&bytes).expect("well formed");
        assert_eq!(program.shape(), SHAPE);
        assert!(program.instructions().eq(ADD));
        assert!(program.constants().eq([[1, 2, 3, 4]]));
    }

    #[test]
    fn programs_that_name_what_is_not_there_are_refused() {
        let wrong = [
            (0, Instruction::Load { dst: 0, input: 1, rotation: 0 }, "no such input"),
            (0, Instruction::Load { dst: 2, input: 0, rotation: 0 }, "no such register"),
            (0, Instruction::Load { dst: 255, input: 0, rotation: 0 }, "no such register"),
            (1, Instruction::Constant { dst: 1, index: 1 }, "no such constant"),
            (1, Instruction::Mul { dst: 1, a: 0, b: 1 }, "reads a register that holds nothing"),
            (2, Instruction::Sub { dst: 1, a: 0, b: 64 }, "reads a register that holds nothing"),
            (3, Instruction::Store { output: 1, src: 0 }, "no such output"),
            (3, Instruction::Store { output: 0, src: 200 }, "reads a register that holds nothing"),
        ];
        for (index, instruction, reason) in wrong {
            let mut instructions = ADD;
            instructions[index] = instruction;
            let expected = ParseError::Instruction { index: index as u32, reason };
            assert_eq!(Program::parse(&image(SHAPE, instructions)).map(|_| ()), Err(expected));
        }
    }

    #[test]
    fn cut_or_lying_images_are_refused() {
        let bytes = image(SHAPE, ADD);
        for cut in 0..bytes.len() {
            assert!(Program::parse(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        for shape in [
            Shape { registers: 65, ..SHAPE },
            Shape { registers: 0, ..SHAPE },
            Shape { outputs: 0, ..SHAPE },
            Shape { constants: u32::MAX, ..SHAPE },
            Shape { instructions: u32::MAX, ..SHAPE },
            Shape { instructions: 0, ..SHAPE },
        ] {
            assert!(Program::parse(&image(shape, ADD)).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn bindings_must_be_long_enough() {
        let bytes = image(SHAPE, ADD);
        let program = Program::parse(&bytes).expect("well formed");
        let check = |input, output| Bindings::parse(&bindings(input, output), &program, 10).map(|_| ());
        assert_eq!(check(10, 10), Ok(()));
        assert_eq!(check(11, 11), Ok(()));
        assert!(check(9, 10).is_err(), "the input is read with a rotation");
        assert!(check(10, 9).is_err());
        assert!(Bindings::parse(&bindings(10, 10)[..31], &program, 10).is_err());
        let mut in_place = ADD;
        in_place[0] = Instruction::Load { dst: 0, input: 0, rotation: 0 };
        let bytes = image(SHAPE, in_place);
        let program = Program::parse(&bytes).expect("well formed");
        assert!(Bindings::parse(&bindings(9, 10), &program, 10).is_ok());
    }
}
