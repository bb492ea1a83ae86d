//! Jobs: commands as a caller thinks of them, with data instead of host addresses.
//!
//! A job becomes one command and one DMA buffer: the task record, then the data that the card reads, then room for what
//! it writes.

use kiln_abi::io::{
    Direction, EVALUATE_POINTS_MAX, HostBuffer, IoCommand, IoOpcode, Location, ScalarBound, ScanKind,
};
use kiln_abi::program::{BINDINGS_BYTES_MAX, IMAGE_BYTES_MAX, VectorBinding, powers_parameters};
use kiln_abi::record::RECORD_BYTES;
use kiln_abi::{ELEMENT_BYTES, Element, POINT_BYTES, element_to_bytes};

use zeroize::Zeroize;

use crate::dma::DmaBuffer;
use crate::error::CardError;
use crate::transport::Transport;

/// Where the image of a vector program is.
#[derive(Clone, Copy, Debug)]
pub enum ProgramSource<'a> {
    /// Here; it travels with the command.
    Image(&'a [u8]),
    /// In card memory, where a [`Job::CopyToCard`] has put it.
    Card {
        /// Card address.
        address: u64,
        /// Length of the image. \[bytes\]
        bytes: u32,
    },
}

/// A command for a card. Addresses are card addresses; vectors are runs of 32-byte elements at multiples of 32; no
/// destination may overlap a source. See [`IoCommand`] for the exact meaning of each.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The text of a variant explains its fields.
pub enum Job<'a> {
    /// Completes when all jobs before it have.
    Fence,
    /// Bytes into card memory.
    CopyToCard { destination: u64, data: &'a [u8] },
    /// Bytes out of card memory; they are the job's data.
    CopyFromCard { source: u64, bytes: u64 },
    /// Small integers, which become field elements on the card.
    ExpandSmall { destination: u64, values: &'a [i32] },
    /// Points (64 bytes each), checked by the card.
    LoadBases { destination: u64, points: &'a [u8] },
    /// `first·ratio^i`.
    Powers { destination: u64, length: u32, first: Element, ratio: Element },
    /// `before` zeros, `length` elements of the source, zeros up to `total`.
    Place { source: u64, length: u32, destination: u64, before: u32, total: u32 },
    /// `Σ scalars[i]·bases[offset + i]`; the job's data is the affine point, 64 bytes.
    Msm { bases: u64, offset: u32, scalars: u64, length: u32, bound: ScalarBound },
    /// A transform of 2^log_n points.
    Ntt { source: u64, source_length: u32, destination: u64, log_n: u8, direction: Direction, shift: Element },
    /// A pointwise program over `rows` rows.
    VectorProgram {
        rows: u32,
        program: ProgramSource<'a>,
        inputs: &'a [VectorBinding],
        outputs: &'a [VectorBinding],
    },
    /// Exclusive prefix sum or product.
    Scan { source: u64, destination: u64, length: u32, kind: ScanKind },
    /// Inverses; 0 for 0.
    Invert { source: u64, destination: u64, length: u32 },
    /// Values of a polynomial; the job's data holds them, 32 bytes each.
    Evaluate { source: u64, length: u32, points: &'a [Element] },
    /// Quotient by X − root: `length` − 1 coefficients.
    DivideLinear { source: u64, destination: u64, length: u32, root: Element },
}

/// A job turned into a command, with its buffer.
pub(crate) struct Prepared {
    pub(crate) command: IoCommand,
    pub(crate) buffer: DmaBuffer,
    /// Where in the buffer the results are.
    pub(crate) results: std::ops::Range<usize>,
}

impl Job<'_> {
    /// The opcode of the job's command.
    pub fn opcode(&self) -> IoOpcode {
        // Host addresses do not matter for the opcode.
        self.command(0, 0).map_or(IoOpcode::Fence, |command| command.opcode())
    }

    /// Makes the buffer and the command.
    pub(crate) fn prepare(&self, transport: &dyn Transport) -> Result<Prepared, CardError> {
        let input = self.input_bytes()?;
        let start = RECORD_BYTES + input.next_multiple_of(64);
        let results = start..start + self.result_bytes()?;
        let buffer = DmaBuffer::new(transport, results.end)?;
        self.write_input(&buffer)?;
        let command =
            self.command(buffer.address() + RECORD_BYTES as u64, buffer.address() + start as u64)?;
        Ok(Prepared { command, buffer, results })
    }

    fn input_bytes(&self) -> Result<usize, CardError> {
        Ok(match self {
            Job::CopyToCard { data, .. } | Job::LoadBases { points: data, .. } => data.len(),
            Job::ExpandSmall { values, .. } => size_of_val(*values),
            Job::Powers { .. } => 2 * ELEMENT_BYTES as usize,
            Job::Evaluate { points, .. } => points.len() * ELEMENT_BYTES as usize,
            Job::VectorProgram { program, inputs, outputs, .. } => {
                image_bytes(program) + size_of_bindings(inputs, outputs)
            }
            _ => 0,
        })
    }

    fn result_bytes(&self) -> Result<usize, CardError> {
        Ok(match self {
            Job::CopyFromCard { bytes, .. } => usize::try_from(*bytes).map_err(|_| CardError::JobSize {
                what: "bytes of a copy",
                allowed: usize::MAX as u64,
                got: *bytes,
            })?,
            Job::Msm { .. } => POINT_BYTES as usize,
            Job::Evaluate { points, .. } => points.len() * ELEMENT_BYTES as usize,
            _ => 0,
        })
    }

    fn write_input(&self, buffer: &DmaBuffer) -> Result<(), CardError> {
        let at = RECORD_BYTES;
        match self {
            Job::CopyToCard { data, .. } | Job::LoadBases { points: data, .. } => buffer.write(at, data),
            Job::ExpandSmall { values, .. } => {
                // In pieces, so that no second copy of a whole column is made.
                for (index, piece) in values.chunks(1024).enumerate() {
                    let mut bytes = [0; 4096];
                    for (chunk, value) in bytes.chunks_exact_mut(4).zip(piece) {
                        chunk.copy_from_slice(&value.to_le_bytes());
                    }
                    buffer.write(at + 4096 * index, &bytes[..4 * piece.len()])?;
                    // A column may be part of a witness.
                    bytes.zeroize();
                }
                Ok(())
            }
            Job::Powers { first, ratio, .. } => buffer.write(at, &powers_parameters(first, ratio)),
            Job::Evaluate { points, .. } => {
                let bytes: Vec<u8> = points.iter().flat_map(element_to_bytes).collect();
                buffer.write(at, &bytes)
            }
            Job::VectorProgram { program, inputs, outputs, .. } => {
                let bindings: Vec<u8> =
                    inputs.iter().chain(*outputs).flat_map(|vector| vector.to_bytes()).collect();
                buffer.write(at + image_bytes(program), &bindings)?;
                match program {
                    ProgramSource::Image(image) => buffer.write(at, image),
                    ProgramSource::Card { .. } => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The command, with its input at host address `input` and its results at `result`.
    fn command(&self, input: u64, result: u64) -> Result<IoCommand, CardError> {
        let host = HostBuffer::Contiguous { address: input };
        Ok(match *self {
            Job::Fence => IoCommand::Fence,
            Job::CopyToCard { destination, data } => {
                IoCommand::CopyToCard { destination, bytes: data.len() as u64, source: host }
            }
            Job::CopyFromCard { source, bytes } => IoCommand::CopyFromCard {
                source,
                bytes,
                destination: HostBuffer::Contiguous { address: result },
            },
            Job::ExpandSmall { destination, values } => {
                IoCommand::ExpandSmall { destination, length: count("values", values.len())?, source: host }
            }
            Job::LoadBases { destination, points } => {
                limited("bytes after the last whole point", points.len() % POINT_BYTES as usize, 0)?;
                let length = count("points", points.len() / POINT_BYTES as usize)?;
                IoCommand::LoadBases { destination, length, source: host }
            }
            Job::Powers { destination, length, .. } => {
                IoCommand::Powers { destination, length, parameters: input }
            }
            Job::Place { source, length, destination, before, total } => {
                IoCommand::Place { source, length, destination, before, total }
            }
            Job::Msm { bases, offset, scalars, length, bound } => {
                IoCommand::Msm { bases, offset, scalars, length, bound, result }
            }
            Job::Ntt { source, source_length, destination, log_n, direction, shift } => {
                IoCommand::Ntt { source, source_length, destination, log_n, direction, shift }
            }
            Job::VectorProgram { rows, program, inputs, outputs } => {
                let bindings_bytes =
                    limited("bindings", size_of_bindings(inputs, outputs), BINDINGS_BYTES_MAX)?;
                let (bindings, at) = (input + image_bytes(&program) as u64, input);
                let (program, program_bytes) = match program {
                    ProgramSource::Image(image) => {
                        (Location::Host(at), limited("program", image.len(), IMAGE_BYTES_MAX)?)
                    }
                    ProgramSource::Card { address, bytes } => (Location::Card(address), bytes),
                };
                IoCommand::VectorProgram { rows, program, program_bytes, bindings, bindings_bytes }
            }
            Job::Scan { source, destination, length, kind } => {
                IoCommand::Scan { source, destination, length, kind }
            }
            Job::Invert { source, destination, length } => IoCommand::Invert { source, destination, length },
            Job::Evaluate { source, length, points } => {
                let points_count = limited("points", points.len(), u64::from(EVALUATE_POINTS_MAX))? as u8;
                IoCommand::Evaluate { source, length, points: input, points_count, result }
            }
            Job::DivideLinear { source, destination, length, root } => {
                IoCommand::DivideLinear { source, destination, length, root }
            }
        })
    }
}

/// Bytes of the image that travels with the command.
fn image_bytes(program: &ProgramSource<'_>) -> usize {
    match program {
        ProgramSource::Image(image) => image.len(),
        ProgramSource::Card { .. } => 0,
    }
}

fn size_of_bindings(inputs: &[VectorBinding], outputs: &[VectorBinding]) -> usize {
    kiln_abi::program::BINDING_BYTES * (inputs.len() + outputs.len())
}

fn count(what: &'static str, got: usize) -> Result<u32, CardError> {
    limited(what, got, u64::from(u32::MAX))
}

fn limited(what: &'static str, got: usize, allowed: u64) -> Result<u32, CardError> {
    let got = got as u64;
    u32::try_from(got).ok().filter(|_| got <= allowed).ok_or(CardError::JobSize { what, allowed, got })
}
