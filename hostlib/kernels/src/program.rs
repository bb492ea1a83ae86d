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
#[allow(missing_docs, reason = "each variant's line names its fields")]
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

impl Program {
    /// How many registers the program needs: one more than the highest that it writes.
    pub fn register_count(&self) -> usize {
        let highest = self.instructions.iter().map(|instruction| match *instruction {
            Instruction::Load { dst, .. } | Instruction::Constant { dst, .. } => usize::from(dst) + 1,
            Instruction::Add { dst, .. } | Instruction::Sub { dst, .. } | Instruction::Mul { dst, .. } => {
                usize::from(dst) + 1
            }
            Instruction::Store { .. } => 0,
        });
        highest.max().unwrap_or(0)
    }

    /// Checks that the program is well formed and fits inputs of these lengths on a domain of `len` rows.
    ///
    /// # Errors
    /// A sentence that says what was expected and what was got.
    pub fn check(&self, inputs: &[usize], len: usize) -> Result<(), String> {
        if inputs.len() < self.inputs {
            return Err(format!("expected at least {} input vectors, got {}", self.inputs, inputs.len()));
        }
        if let Some((input, got)) = inputs.iter().enumerate().find(|&(_, &got)| got > len) {
            return Err(format!("expected inputs of at most {len} rows, got {got} in input {input}"));
        }
        let mut written = [false; REGISTERS_MAX];
        let mut stored = vec![false; self.outputs];
        for (at, instruction) in self.instructions.iter().enumerate() {
            self.check_step(instruction, inputs, len, &mut written, &mut stored)
                .map_err(|detail| format!("instruction {at}: {detail}"))?;
        }
        match stored.iter().position(|stored| !stored) {
            Some(output) => Err(format!("expected a store to output {output}, got none")),
            None => Ok(()),
        }
    }

    fn check_step(
        &self,
        instruction: &Instruction,
        inputs: &[usize],
        len: usize,
        written: &mut [bool; REGISTERS_MAX],
        stored: &mut [bool],
    ) -> Result<(), String> {
        let read = |register: Register| match written.get(register as usize) {
            Some(true) => Ok(()),
            _ => Err(format!("expected a register that holds a value, got register {register}")),
        };
        let dst = match *instruction {
            Instruction::Load { dst, input, rotation } => {
                let got = *inputs
                    .get(input as usize)
                    .ok_or_else(|| format!("expected an input below {}, got {input}", inputs.len()))?;
                if rotation != 0 && got != len {
                    return Err(format!("expected {len} rows in rotated input {input}, got {got}"));
                }
                dst
            }
            Instruction::Constant { dst, index } if (index as usize) < self.constants.len() => dst,
            Instruction::Constant { index, .. } => {
                return Err(format!("expected a constant below {}, got {index}", self.constants.len()));
            }
            Instruction::Add { dst, a, b }
            | Instruction::Sub { dst, a, b }
            | Instruction::Mul { dst, a, b } => {
                read(a)?;
                read(b)?;
                dst
            }
            Instruction::Store { output, src } => {
                read(src)?;
                let outputs = stored.len();
                *stored
                    .get_mut(output as usize)
                    .ok_or_else(|| format!("expected an output below {outputs}, got {output}"))? = true;
                return Ok(());
            }
        };
        let slot = written
            .get_mut(dst as usize)
            .ok_or_else(|| format!("expected a register below {REGISTERS_MAX}, got {dst}"))?;
        *slot = true;
        Ok(())
    }
}
