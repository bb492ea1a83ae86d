//! Checks of what the host asks for, against the card's engines and memory.

use kiln_abi::feature::{FeatureBlock, FeatureKind};
use kiln_abi::io::{IoCommand, Location};
use kiln_abi::program::{Bindings, Program, Shape};
use kiln_abi::record::EngineKind;
use kiln_abi::{CARD_ALIGNMENT, ELEMENT_BYTES, POINT_BYTES, ParseError, Status};

use crate::hardware::{Hardware, Part};

/// Why a command is refused: status and result of its completion.
pub(crate) type Refusal = (Status, u64);

/// A range of card memory that a command touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    /// `bytes` bytes at `start`, if they are aligned and in memory.
    fn new(start: u64, bytes: u64, memory_bytes: u64) -> Result<Range, Refusal> {
        if !start.is_multiple_of(CARD_ALIGNMENT) {
            return Err((Status::CardAddressAlignment, start));
        }
        match start.checked_add(bytes) {
            Some(end) if end <= memory_bytes => Ok(Range { start, end }),
            _ => Err((Status::CardAddressRange, start)),
        }
    }

    fn must_not_overlap(self, other: Range) -> Result<(), Refusal> {
        if self.start < other.end && other.start < self.end {
            Err((Status::Overlap, self.start))
        } else {
            Ok(())
        }
    }
}

/// Refuses a command whose engine the card lacks, or whose size is beyond it.
pub(crate) fn check_engine(hardware: &impl Hardware, command: &IoCommand) -> Result<(), Refusal> {
    let within = |size: u64, max: u64| if size > max { Err((Status::Unsupported, size)) } else { Ok(()) };
    let kind = match command.opcode().engine() {
        EngineKind::Control | EngineKind::Copy => return Ok(()),
        EngineKind::Msm => FeatureKind::EngineMsm,
        EngineKind::Ntt => FeatureKind::EngineNtt,
        EngineKind::Vector => FeatureKind::EngineVector,
    };
    match (hardware.feature(kind), *command) {
        (None, _) => Err((Status::Unsupported, 0)),
        (Some(FeatureBlock::EngineMsm { log_length_max, .. }), IoCommand::Msm { length, .. }) => {
            within(u64::from(length), 1u64.checked_shl(log_length_max).unwrap_or(u64::MAX))
        }
        (Some(FeatureBlock::EngineNtt { log_n_max, .. }), IoCommand::Ntt { log_n, .. }) => {
            within(u64::from(log_n), u64::from(log_n_max))
        }
        _ => Ok(()),
    }
}

/// Where a program image is read from; a card address is checked here, before it is read.
pub(crate) fn program_source(program: Location, bytes: u32, memory_bytes: u64) -> Result<Location, Refusal> {
    if let Location::Card(address) = program {
        Range::new(address, u64::from(bytes), memory_bytes)?;
    }
    Ok(program)
}

/// Refuses a well-formed program that is larger than what the vector engine says of itself.
fn check_shape(shape: Shape, engine: Option<FeatureBlock>) -> Result<(), Refusal> {
    let Some(FeatureBlock::EngineVector {
        registers,
        instructions_max,
        constants_max,
        inputs_max,
        outputs_max,
        ..
    }) = engine
    else {
        return Err((Status::Unsupported, 0));
    };
    for (size, max) in [
        (u32::from(shape.registers), registers),
        (shape.instructions, instructions_max),
        (shape.constants, constants_max),
        (u32::from(shape.inputs), inputs_max),
        (u32::from(shape.outputs), outputs_max),
    ] {
        if size > max {
            return Err((Status::Unsupported, u64::from(size)));
        }
    }
    Ok(())
}

/// Checks every card address of a command, and the staged program and bindings of a vector program.
pub(crate) fn check_ranges(
    hardware: &impl Hardware,
    command: &IoCommand,
    memory_bytes: u64,
) -> Result<(), Refusal> {
    let bytes = |start, bytes| Range::new(start, bytes, memory_bytes);
    let elements = |start, count: u32| bytes(start, u64::from(count) * ELEMENT_BYTES);
    let disjoint = |destination: Range, source: Range| destination.must_not_overlap(source);
    match *command {
        IoCommand::Fence => Ok(()),
        IoCommand::CopyToCard { destination: card, bytes: count, .. }
        | IoCommand::CopyFromCard { source: card, bytes: count, .. } => bytes(card, count).map(|_| ()),
        IoCommand::ExpandSmall { destination, length, .. }
        | IoCommand::Powers { destination, length, .. } => elements(destination, length).map(|_| ()),
        IoCommand::LoadBases { destination, length, .. } => {
            bytes(destination, u64::from(length) * POINT_BYTES).map(|_| ())
        }
        IoCommand::Place { source, length, destination, total, .. } => {
            disjoint(elements(destination, total)?, elements(source, length)?)
        }
        IoCommand::Msm { bases, offset, scalars, length, .. } => {
            elements(scalars, length)?;
            bytes(bases, (u64::from(offset) + u64::from(length)) * POINT_BYTES).map(|_| ())
        }
        IoCommand::Ntt { source, source_length, destination, log_n, .. } => {
            disjoint(bytes(destination, ELEMENT_BYTES << log_n)?, elements(source, source_length)?)
        }
        IoCommand::VectorProgram { rows, .. } => check_program(hardware, rows, memory_bytes),
        IoCommand::Scan { source, destination, length, .. }
        | IoCommand::Invert { source, destination, length } => {
            disjoint(elements(destination, length)?, elements(source, length)?)
        }
        IoCommand::Evaluate { source, length, .. } => elements(source, length).map(|_| ()),
        IoCommand::DivideLinear { source, destination, length, .. } => {
            disjoint(elements(destination, length - 1)?, elements(source, length)?)
        }
    }
}

fn check_program(hardware: &impl Hardware, rows: u32, memory_bytes: u64) -> Result<(), Refusal> {
    let malformed = |error: ParseError| (Status::InvalidProgram, error.detail());
    let program = Program::parse(hardware.staged(Part::Program)).map_err(malformed)?;
    check_shape(program.shape(), hardware.feature(FeatureKind::EngineVector))?;
    let bindings = Bindings::parse(hardware.staged(Part::Bindings), &program, rows).map_err(malformed)?;
    let range = |address: u64, length: u64| {
        let bytes = length.checked_mul(ELEMENT_BYTES).ok_or((Status::CardAddressRange, address))?;
        Range::new(address, bytes, memory_bytes)
    };
    for input in bindings.inputs() {
        range(input.address, input.length)?;
    }
    for (index, output) in bindings.outputs().enumerate() {
        let written = range(output.address, u64::from(rows))?;
        for input in bindings.inputs() {
            written.must_not_overlap(range(input.address, input.length)?)?;
        }
        for other in bindings.outputs().take(index) {
            written.must_not_overlap(range(other.address, u64::from(rows))?)?;
        }
    }
    Ok(())
}
