//! Commands of the I/O queues: copies and kernels.
//!
//! A *vector* is a run of field elements in card memory, 32 bytes each, starting at a multiple of 32. No destination
//! may overlap a source. Commands of one queue run one after the other, in the order of submission; commands of
//! different queues run at the same time.

use crate::codes::codes;
use crate::entry::Entry;
use crate::error::{ParseError, in_range};
use crate::record::EngineKind;
use crate::{ELEMENT_BYTES, Element};

/// Largest `log_n` of a transform: the two-adicity of BN254's scalar field.
pub const NTT_LOG_MAX: u8 = 28;
/// Most points of one [`IoCommand::Evaluate`].
pub const EVALUATE_POINTS_MAX: u8 = 64;
/// Most segments of a scatter list.
pub const SEGMENTS_MAX: u32 = 1 << 16;
/// Bytes of one segment of a scatter list: host address u64, length u64.
pub const SEGMENT_BYTES: u64 = 16;
/// Bytes of the parameter block of [`IoCommand::Powers`]: first, ratio.
pub const POWERS_BYTES: u64 = 2 * ELEMENT_BYTES;
/// Largest bound of a signed scalar. \[bits\]
pub const SCALAR_BITS_MAX: u8 = 253;

codes! {
    /// Opcodes of the I/O queues.
    pub enum IoOpcode: u8 {
        /// Completes when all commands before it have.
        Fence = 0x00,
        /// Host to card copy.
        CopyToCard = 0x01,
        /// Card to host copy.
        CopyFromCard = 0x02,
        /// 32-bit integers in host memory become field elements in card memory.
        ExpandSmall = 0x03,
        /// Points from host memory, checked on the way.
        LoadBases = 0x04,
        /// Geometric progression; with ratio one, a fill.
        Powers = 0x08,
        /// Card to card copy with zeros around it.
        Place = 0x09,
        /// Multi-scalar multiplication.
        Msm = 0x10,
        /// Coefficients to evaluations on a coset.
        NttForward = 0x18,
        /// Evaluations on a coset to coefficients.
        NttInverse = 0x19,
        /// Pointwise program.
        VectorProgram = 0x20,
        /// Exclusive prefix sum or product.
        Scan = 0x21,
        /// Batch inversion.
        Invert = 0x22,
        /// Polynomial evaluation at several points.
        Evaluate = 0x23,
        /// Division by a linear factor.
        DivideLinear = 0x24,
    }
}

impl IoOpcode {
    /// The engine that runs it.
    pub const fn engine(self) -> EngineKind {
        match self {
            IoOpcode::Fence => EngineKind::Control,
            IoOpcode::CopyToCard | IoOpcode::CopyFromCard | IoOpcode::ExpandSmall | IoOpcode::LoadBases => {
                EngineKind::Copy
            }
            IoOpcode::Msm => EngineKind::Msm,
            IoOpcode::NttForward | IoOpcode::NttInverse => EngineKind::Ntt,
            IoOpcode::Powers
            | IoOpcode::Place
            | IoOpcode::VectorProgram
            | IoOpcode::Scan
            | IoOpcode::Invert
            | IoOpcode::Evaluate
            | IoOpcode::DivideLinear => EngineKind::Vector,
        }
    }
}

/// Host memory of a copy: one piece, or a scatter list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The text of a variant explains its fields.
pub enum HostBuffer {
    /// All bytes at this host address.
    Contiguous { address: u64 },
    /// A list of `segments` pairs (host address u64, length u64) at `list`, used in order.
    Scattered { list: u64, segments: u32 },
}

impl HostBuffer {
    fn to_words(self) -> [u64; 2] {
        match self {
            HostBuffer::Contiguous { address } => [address, 0],
            HostBuffer::Scattered { list, segments } => [list, u64::from(segments)],
        }
    }

    fn from_words(address: u64, segments: u64) -> Result<HostBuffer, ParseError> {
        match in_range("segments", segments, 0, u64::from(SEGMENTS_MAX))? {
            0 => Ok(HostBuffer::Contiguous { address }),
            segments => Ok(HostBuffer::Scattered { list: address, segments: segments as u32 }),
        }
    }
}

/// What the host promises of the scalars of an MSM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The text of a variant explains its fields.
pub enum ScalarBound {
    /// Nothing.
    Full,
    /// Each scalar is s or r − s with 0 ≤ s < 2^bits, 1 ≤ bits ≤ [`SCALAR_BITS_MAX`].
    Signed { bits: u8 },
}

/// Which prefix a scan takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanKind {
    /// `out[i] = Σ_{j<i} v[j]`
    Sum,
    /// `out[i] = Π_{j<i} v[j]`
    Product,
}

/// Direction of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Coefficients to evaluations.
    Forward,
    /// Evaluations to coefficients.
    Inverse,
}

/// Where a program image lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In host memory.
    Host(u64),
    /// In card memory, where a copy has put it.
    Card(u64),
}

/// A command of an I/O queue. Lengths are in elements unless a name says bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The text of a variant explains its fields.
pub enum IoCommand {
    /// Completes when all commands before it in its queue have.
    Fence,
    /// Copies `bytes` bytes from host memory to card memory.
    CopyToCard { destination: u64, bytes: u64, source: HostBuffer },
    /// Copies `bytes` bytes from card memory to host memory.
    CopyFromCard { source: u64, bytes: u64, destination: HostBuffer },
    /// Reads `length` signed 32-bit integers from host memory and writes them as field elements.
    ExpandSmall { destination: u64, length: u32, source: HostBuffer },
    /// Reads `length` points from host memory, refuses the first that is neither infinity nor on the curve (status
    /// PointNotOnCurve), and writes them. After a failure the destination holds anything.
    LoadBases { destination: u64, length: u32, source: HostBuffer },
    /// `out[i] = first·ratio^i`; first and ratio are 64 bytes in host memory at `parameters`.
    Powers { destination: u64, length: u32, parameters: u64 },
    /// `before` zeros, then `length` elements from `source`, then zeros up to `total` elements.
    Place { source: u64, length: u32, destination: u64, before: u32, total: u32 },
    /// `Σ scalars[i]·bases[offset + i]`, i < `length`; the affine point goes to host memory at `result`, 64 bytes.
    Msm { bases: u64, offset: u32, scalars: u64, length: u32, bound: ScalarBound, result: u64 },
    /// Forward: evaluations of the polynomial with `source_length` coefficients at shift·ω^i, i < 2^log_n, in natural
    /// order; a shorter polynomial is extended by zeros, a longer one is folded with X^(2^log_n) = shift^(2^log_n).
    /// Inverse: coefficients of the polynomial with these evaluations; `source_length` must be 2^log_n. ω is
    /// 5^((r−1)/2^log_n); `shift` is not zero.
    Ntt { source: u64, source_length: u32, destination: u64, log_n: u8, direction: Direction, shift: Element },
    /// Runs a program (see [`crate::program`]) for each of `rows` rows. The vectors are named by `bindings_bytes` bytes
    /// at host address `bindings`.
    VectorProgram { rows: u32, program: Location, program_bytes: u32, bindings: u64, bindings_bytes: u32 },
    /// Exclusive prefix sum or product.
    Scan { source: u64, destination: u64, length: u32, kind: ScanKind },
    /// `out[i] = 1/v[i]`, and 0 for 0.
    Invert { source: u64, destination: u64, length: u32 },
    /// Values of the polynomial with `length` coefficients at `points_count` points, read from host memory at `points`;
    /// the values go to host memory at `result`, 32 bytes each.
    Evaluate { source: u64, length: u32, points: u64, points_count: u8, result: u64 },
    /// Quotient of v(X) − v(root) by X − root: `length` − 1 coefficients.
    DivideLinear { source: u64, destination: u64, length: u32, root: Element },
}

/// option, count, body of an entry.
type Fields = (u8, u32, [u64; 6]);

impl IoCommand {
    /// The opcode.
    pub const fn opcode(&self) -> IoOpcode {
        match self {
            IoCommand::Fence => IoOpcode::Fence,
            IoCommand::CopyToCard { .. } => IoOpcode::CopyToCard,
            IoCommand::CopyFromCard { .. } => IoOpcode::CopyFromCard,
            IoCommand::ExpandSmall { .. } => IoOpcode::ExpandSmall,
            IoCommand::LoadBases { .. } => IoOpcode::LoadBases,
            IoCommand::Powers { .. } => IoOpcode::Powers,
            IoCommand::Place { .. } => IoOpcode::Place,
            IoCommand::Msm { .. } => IoOpcode::Msm,
            IoCommand::Ntt { direction: Direction::Forward, .. } => IoOpcode::NttForward,
            IoCommand::Ntt { direction: Direction::Inverse, .. } => IoOpcode::NttInverse,
            IoCommand::VectorProgram { .. } => IoOpcode::VectorProgram,
            IoCommand::Scan { .. } => IoOpcode::Scan,
            IoCommand::Invert { .. } => IoOpcode::Invert,
            IoCommand::Evaluate { .. } => IoOpcode::Evaluate,
            IoCommand::DivideLinear { .. } => IoOpcode::DivideLinear,
        }
    }

    /// The entry that carries the command.
    pub fn to_entry(&self, command_id: u16, record_address: u64) -> Entry {
        let (option, count, body) = self.fields();
        Entry { opcode: self.opcode().code(), option, command_id, count, record_address, body }
    }

    fn fields(&self) -> Fields {
        match *self {
            IoCommand::Fence => (0, 0, [0; 6]),
            IoCommand::CopyToCard { destination: card, bytes, source: host }
            | IoCommand::CopyFromCard { source: card, bytes, destination: host } => {
                let [address, segments] = host.to_words();
                (0, 0, [card, bytes, address, segments, 0, 0])
            }
            IoCommand::ExpandSmall { destination, length, source }
            | IoCommand::LoadBases { destination, length, source } => {
                let [address, segments] = source.to_words();
                (0, length, [destination, 0, address, segments, 0, 0])
            }
            IoCommand::Powers { destination, length, parameters } => {
                (0, length, [destination, parameters, 0, 0, 0, 0])
            }
            IoCommand::Place { source, length, destination, before, total } => {
                (0, length, [source, destination, u64::from(before), u64::from(total), 0, 0])
            }
            IoCommand::Msm { bases, offset, scalars, length, bound, result } => {
                let bits = match bound {
                    ScalarBound::Full => 0,
                    ScalarBound::Signed { bits } => bits,
                };
                (bits, length, [bases, u64::from(offset), scalars, result, 0, 0])
            }
            IoCommand::Ntt { source, source_length, destination, log_n, direction: _, shift } => {
                let [a, b, c, d] = shift;
                (log_n, source_length, [source, destination, a, b, c, d])
            }
            IoCommand::VectorProgram { rows, program, program_bytes, bindings, bindings_bytes } => {
                let (location, address) = match program {
                    Location::Host(address) => (0, address),
                    Location::Card(address) => (1, address),
                };
                let body = [address, u64::from(program_bytes), bindings, u64::from(bindings_bytes), 0, 0];
                (location, rows, body)
            }
            IoCommand::Scan { source, destination, length, kind } => {
                (u8::from(kind == ScanKind::Product), length, [source, destination, 0, 0, 0, 0])
            }
            IoCommand::Invert { source, destination, length } => {
                (0, length, [source, destination, 0, 0, 0, 0])
            }
            IoCommand::Evaluate { source, length, points, points_count, result } => {
                (points_count, length, [source, points, result, 0, 0, 0])
            }
            IoCommand::DivideLinear { source, destination, length, root: [a, b, c, d] } => {
                (0, length, [source, destination, a, b, c, d])
            }
        }
    }

    /// Parses the command of an entry. What is checked: the opcode, every coded field, lengths that must not be zero,
    /// and that all reserved bits are zero. Card addresses are checked by the card, which knows its memory.
    pub fn parse(entry: &Entry) -> Result<IoCommand, ParseError> {
        let opcode =
            IoOpcode::from_code(entry.opcode).ok_or(ParseError::UnknownOpcode { got: entry.opcode })?;
        entry.check_record_address()?;
        let command = IoCommand::from_fields(opcode, (entry.option, entry.count, entry.body))?;
        entry.must_equal(&command.to_entry(entry.command_id, entry.record_address), opcode.name())?;
        Ok(command)
    }

    fn from_fields(opcode: IoOpcode, (option, count, body): Fields) -> Result<IoCommand, ParseError> {
        let [b0, b1, b2, b3, b4, b5] = body;
        if !matches!(
            opcode,
            IoOpcode::Fence | IoOpcode::CopyToCard | IoOpcode::CopyFromCard | IoOpcode::Place
        ) {
            in_range("length", u64::from(count), 1, u64::from(u32::MAX))?;
        }
        Ok(match opcode {
            IoOpcode::Fence => IoCommand::Fence,
            IoOpcode::CopyToCard => IoCommand::CopyToCard {
                destination: b0,
                bytes: nonzero("bytes", b1)?,
                source: HostBuffer::from_words(b2, b3)?,
            },
            IoOpcode::CopyFromCard => IoCommand::CopyFromCard {
                source: b0,
                bytes: nonzero("bytes", b1)?,
                destination: HostBuffer::from_words(b2, b3)?,
            },
            IoOpcode::ExpandSmall => IoCommand::ExpandSmall {
                destination: b0,
                length: count,
                source: HostBuffer::from_words(b2, b3)?,
            },
            IoOpcode::LoadBases => IoCommand::LoadBases {
                destination: b0,
                length: count,
                source: HostBuffer::from_words(b2, b3)?,
            },
            IoOpcode::Powers => IoCommand::Powers { destination: b0, length: count, parameters: b1 },
            IoOpcode::Place => place(count, body)?,
            IoOpcode::Msm => IoCommand::Msm {
                bases: b0,
                offset: in_range("offset", b1, 0, u64::from(u32::MAX))? as u32,
                scalars: b2,
                length: count,
                bound: match in_range("bits", u64::from(option), 0, u64::from(SCALAR_BITS_MAX))? {
                    0 => ScalarBound::Full,
                    bits => ScalarBound::Signed { bits: bits as u8 },
                },
                result: b3,
            },
            IoOpcode::NttForward => ntt(Direction::Forward, option, count, body)?,
            IoOpcode::NttInverse => ntt(Direction::Inverse, option, count, body)?,
            IoOpcode::VectorProgram => IoCommand::VectorProgram {
                rows: count,
                program: match option {
                    0 => Location::Host(b0),
                    1 => Location::Card(b0),
                    got => return Err(ParseError::UnknownCode { field: "location", got: u64::from(got) }),
                },
                program_bytes: in_range("program bytes", b1, 1, crate::program::IMAGE_BYTES_MAX)? as u32,
                bindings: b2,
                bindings_bytes: in_range("bindings bytes", b3, 1, crate::program::BINDINGS_BYTES_MAX)? as u32,
            },
            IoOpcode::Scan => IoCommand::Scan {
                source: b0,
                destination: b1,
                length: count,
                kind: match option {
                    0 => ScanKind::Sum,
                    1 => ScanKind::Product,
                    got => return Err(ParseError::UnknownCode { field: "scan kind", got: u64::from(got) }),
                },
            },
            IoOpcode::Invert => IoCommand::Invert { source: b0, destination: b1, length: count },
            IoOpcode::Evaluate => IoCommand::Evaluate {
                source: b0,
                length: count,
                points: b1,
                points_count: in_range("points", u64::from(option), 1, u64::from(EVALUATE_POINTS_MAX))? as u8,
                result: b2,
            },
            IoOpcode::DivideLinear => {
                IoCommand::DivideLinear { source: b0, destination: b1, length: count, root: [b2, b3, b4, b5] }
            }
        })
    }
}

fn nonzero(field: &'static str, value: u64) -> Result<u64, ParseError> {
    in_range(field, value, 1, u64::MAX)
}

fn place(length: u32, body: [u64; 6]) -> Result<IoCommand, ParseError> {
    let [source, destination, before, total, ..] = body;
    let total = in_range("total", total, 1, u64::from(u32::MAX))?;
    let room = total.checked_sub(u64::from(length)).ok_or(ParseError::OutOfRange {
        field: "length",
        got: u64::from(length),
        min: 0,
        max: total,
    })?;
    let before = in_range("before", before, 0, room)?;
    Ok(IoCommand::Place { source, length, destination, before: before as u32, total: total as u32 })
}

fn ntt(direction: Direction, log_n: u8, source_length: u32, body: [u64; 6]) -> Result<IoCommand, ParseError> {
    let [source, destination, shift @ ..] = body;
    in_range("log_n", u64::from(log_n), 0, u64::from(NTT_LOG_MAX))?;
    if direction == Direction::Inverse {
        in_range("source length", u64::from(source_length), 1 << log_n, 1 << log_n)?;
    }
    if shift == [0; 4] {
        return Err(ParseError::OutOfRange { field: "shift", got: 0, min: 1, max: u64::MAX });
    }
    Ok(IoCommand::Ntt { source, source_length, destination, log_n, direction, shift })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One of every command.
    fn examples() -> [IoCommand; 17] {
        let host = HostBuffer::Contiguous { address: 0x1000 };
        let list = HostBuffer::Scattered { list: 0x2000, segments: 3 };
        let (source, destination, length) = (0x40, 0x8000, 5);
        let ntt = |direction, source_length| IoCommand::Ntt {
            source,
            source_length,
            destination,
            log_n: 4,
            direction,
            shift: [1, 2, 3, 4],
        };
        let msm = |bound| IoCommand::Msm { bases: 64, offset: 2, scalars: 4096, length, bound, result: 0x77 };
        [
            IoCommand::Fence,
            IoCommand::CopyToCard { destination, bytes: 1 << 40, source: host },
            IoCommand::CopyFromCard { source, bytes: 1, destination: list },
            IoCommand::ExpandSmall { destination, length, source: list },
            IoCommand::LoadBases { destination, length, source: host },
            IoCommand::Powers { destination, length, parameters: 0x40 },
            IoCommand::Place { source, length, destination, before: 2, total: 7 },
            msm(ScalarBound::Full),
            msm(ScalarBound::Signed { bits: 8 }),
            ntt(Direction::Forward, 99),
            ntt(Direction::Inverse, 16),
            IoCommand::VectorProgram {
                rows: 9,
                program: Location::Card(0x100),
                program_bytes: 40,
                bindings: 0x3000,
                bindings_bytes: 32,
            },
            IoCommand::Scan { source, destination, length, kind: ScanKind::Sum },
            IoCommand::Scan { source, destination, length, kind: ScanKind::Product },
            IoCommand::Invert { source, destination, length },
            IoCommand::Evaluate { source, length, points: 0x4000, points_count: 2, result: 0x5000 },
            IoCommand::DivideLinear { source, destination, length, root: [0; 4] },
        ]
    }

    #[test]
    fn every_command_survives_the_round_trip() {
        for opcode in IoOpcode::ALL {
            assert!(examples().iter().any(|command| command.opcode() == *opcode), "{}", opcode.name());
        }
        for command in examples() {
            let entry = Entry::from_bytes(&command.to_entry(7, 0x40).to_bytes());
            assert_eq!(IoCommand::parse(&entry), Ok(command));
        }
    }

    #[test]
    fn a_reserved_bit_is_refused_where_there_is_one() {
        let mut entry = IoCommand::Fence.to_entry(7, 0);
        entry.body[5] = 1 << 63;
        assert_eq!(IoCommand::parse(&entry), Err(ParseError::Reserved { what: "Fence", offset: 63 }));
    }

    #[test]
    fn impossible_fields_are_refused() {
        let refused =
            |command: IoCommand| assert!(IoCommand::parse(&command.to_entry(1, 0)).is_err(), "{command:?}");
        let host = HostBuffer::Contiguous { address: 0 };
        refused(IoCommand::CopyToCard { destination: 0, bytes: 0, source: host });
        refused(IoCommand::Invert { source: 0, destination: 32, length: 0 });
        refused(IoCommand::Place { source: 0, length: 6, destination: 320, before: 2, total: 7 });
        refused(IoCommand::Place { source: 0, length: 0, destination: 320, before: 0, total: 0 });
        let ntt = |direction, source_length, log_n, shift| IoCommand::Ntt {
            source: 0,
            source_length,
            destination: 320,
            log_n,
            direction,
            shift,
        };
        refused(ntt(Direction::Inverse, 15, 4, [1, 0, 0, 0]));
        refused(ntt(Direction::Forward, 15, 4, [0; 4]));
        refused(ntt(Direction::Forward, 15, 29, [1, 0, 0, 0]));
        refused(IoCommand::Evaluate { source: 0, length: 1, points: 0, points_count: 65, result: 0 });
        let bound = ScalarBound::Signed { bits: 254 };
        refused(IoCommand::Msm { bases: 0, offset: 0, scalars: 64, length: 1, bound, result: 0 });
        assert!(IoCommand::parse(&IoCommand::Fence.to_entry(1, 32)).is_err());
    }

    proptest! {
        #[test]
        fn what_parses_encodes_to_the_same_bytes(bytes in prop::array::uniform32(any::<u8>()), opcode in 0u8..0x28) {
            let mut raw = [0; 64];
            raw[..32].copy_from_slice(&bytes);
            raw[0] = opcode;
            raw[8..16].fill(0);
            let entry = Entry::from_bytes(&raw);
            if let Ok(command) = IoCommand::parse(&entry) {
                prop_assert_eq!(command.to_entry(entry.command_id, 0).to_bytes(), raw);
            }
        }
    }
}
