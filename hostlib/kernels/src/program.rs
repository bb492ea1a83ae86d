//! Pointwise programs: the gate expressions of a circuit as straight-line code for a register machine.
//!
//! A program is run once per row `i` of a domain of `len` rows. It may load row `i + rotation` (wrapping) of any
//! input vector, and stores one element to row `i` of each output vector. There are no branches and no memory
//! other than the registers, so a device may run any number of rows at once.

use ark_bn254::Fr;

/// A register of the machine.
pub type Register = u8;

/// The most registers a program may name; every backend has at least these.
pub const REGISTERS_MAX: usize = 64;

/// One step of a pointwise program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `dst ← inputs[input][(row + rotation) mod len]`; past the end of an input shorter than `len` reads zero
    /// (allowed only with rotation 0).
    Load { dst: Register, input: u16, rotation: i32 },
    /// `dst ← constants[index]`
    Constant { dst: Register, index: u16 },
    /// `dst ← a + b`
    Add { dst: Register, a: Register, b: Register },
    /// `dst ← a − b`
    Sub { dst: Register, a: Register, b: Register },
    /// `dst ← a · b`
    Mul { dst: Register, a: Register, b: Register },
    /// `outputs[output][row] ← src`
    Store { output: u16, src: Register },
}

/// A straight-line program over vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// How many input vectors it reads.
    pub inputs: usize,
    /// How many output vectors it writes.
    pub outputs: usize,
    /// Constants, by index. Challenges are constants by the time a program is built.
    pub constants: Vec<Fr>,
    /// The steps, in order.
    pub instructions: Vec<Instruction>,
}
