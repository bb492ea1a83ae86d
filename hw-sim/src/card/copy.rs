//! The copy engine: DMA between host and card memory, expansion of small integers, checking of bases.
//!
//! Its data path is one 64-byte word a cycle; the host link and card memory stretch that. Checks and expansion are
//! pipelined in the path and add their latency once.

use super::datapath::Datapath;
use super::job::{Done, Failure};
use crate::memory::point;
use crate::stats::{Cause, Cost, Cycles};
use ark_bn254::Fr;
use kiln_abi::Status;
use kiln_abi::io::{HostBuffer, SEGMENT_BYTES};

/// Width of the engine's data path. \[bytes/cycle\]
const PORT_BYTES: u64 = 64;
/// The simulator moves at most this much at once. \[bytes\]
const PIECE_BYTES: u64 = 1 << 20;
/// Longest copy to the host, whose data are held until the copy ends. \[bytes\]
const COPY_BYTES_MAX: u64 = 1 << 30;
/// Products in sequence in the check of a point: x², x³.
const CHECK_PRODUCTS: u64 = 2;

/// Pieces of host memory: address and length, none longer than [`PIECE_BYTES`].
type Pieces = Vec<(u64, u64)>;

impl Datapath {
    /// Host to card.
    pub(super) fn copy_to_card(
        &mut self,
        card: u64,
        bytes: u64,
        source: HostBuffer,
    ) -> Result<Done, Failure> {
        let (pieces, list) = self.pieces(source, bytes)?;
        let (mut at, mut buffer) = (card, Vec::new());
        for (address, length) in &pieces {
            buffer.resize(*length as usize, 0);
            self.host_read(*address, &mut buffer)?;
            self.memory.write(at, &buffer)?;
            at += length;
        }
        Ok(self.transfer_in(bytes, bytes, 0, list, pieces.len() as u64).into())
    }

    /// Card to host.
    pub(super) fn copy_from_card(
        &mut self,
        card: u64,
        bytes: u64,
        target: HostBuffer,
    ) -> Result<Done, Failure> {
        if bytes > COPY_BYTES_MAX {
            return Err(Failure { status: Status::Unsupported, result: bytes });
        }
        let (pieces, list) = self.pieces(target, bytes)?;
        let mut at = card;
        let mut writes = Vec::with_capacity(pieces.len());
        for (address, length) in &pieces {
            let mut buffer = vec![0; *length as usize];
            self.memory.read(at, &mut buffer)?;
            writes.push((*address, buffer));
            at += length;
        }
        let wire = self.link.write_duration(bytes) + self.link.scatter_duration(pieces.len() as u64);
        let host = self.clock.cycles_to_cover(wire + self.link.read_duration(list));
        let memory = self.hbm.stream_cycles(bytes, self.clock) + self.hbm.read_latency(self.clock);
        let cost =
            Cost { memory_read_bytes: bytes, host_bytes: bytes + list, ..port_cost(bytes, host, memory) };
        Ok(Done { cost, writes })
    }

    /// 32-bit integers from the host become elements.
    pub(super) fn expand_small(
        &mut self,
        card: u64,
        length: u64,
        source: HostBuffer,
    ) -> Result<Done, Failure> {
        let (pieces, list) = self.pieces(source, 4 * length)?;
        let (mut at, mut bytes, mut rest) = (card, Vec::new(), Vec::new());
        for (address, piece) in &pieces {
            // A piece may end within an integer.
            let kept = rest.len();
            bytes.clear();
            bytes.append(&mut rest);
            bytes.resize(kept + *piece as usize, 0);
            self.host_read(*address, &mut bytes[kept..])?;
            let (words, tail) = bytes.as_chunks::<4>();
            let elements: Vec<Fr> = words.iter().map(|word| Fr::from(i32::from_le_bytes(*word))).collect();
            self.memory.write_elements(at, &elements)?;
            at += 32 * elements.len() as u64;
            rest.extend_from_slice(tail);
        }
        let latency = self.product_latency;
        Ok(self.transfer_in(4 * length, 32 * length, latency, list, pieces.len() as u64).into())
    }

    /// Points from the host, refused unless on the curve.
    pub(super) fn load_bases(&mut self, card: u64, length: u64, source: HostBuffer) -> Result<Done, Failure> {
        let (pieces, list) = self.pieces(source, 64 * length)?;
        let (mut at, mut index, mut bytes, mut rest) = (card, 0, Vec::new(), Vec::new());
        for (address, piece) in &pieces {
            let kept = rest.len();
            bytes.clear();
            bytes.append(&mut rest);
            bytes.resize(kept + *piece as usize, 0);
            self.host_read(*address, &mut bytes[kept..])?;
            let (points, tail) = bytes.as_chunks::<64>();
            for raw in points {
                if !point(raw).is_some_and(|base| base.is_on_curve()) {
                    return Err(Failure { status: Status::PointNotOnCurve, result: index });
                }
                index += 1;
            }
            self.memory.write(at, points.as_flattened())?;
            at += 64 * points.len() as u64;
            rest.extend_from_slice(tail);
        }
        let latency = CHECK_PRODUCTS * self.product_latency;
        Ok(self.transfer_in(64 * length, 64 * length, latency, list, pieces.len() as u64).into())
    }

    /// The host memory of a buffer, and the bytes of the list that names it.
    fn pieces(&self, buffer: HostBuffer, bytes: u64) -> Result<(Pieces, u64), Failure> {
        let (list, segments) = match buffer {
            HostBuffer::Contiguous { address } => return Ok((split(&[(address, bytes)]), 0)),
            HostBuffer::Scattered { list, segments } => (list, segments),
        };
        let mut raw = vec![0; segments as usize * SEGMENT_BYTES as usize];
        self.host_read(list, &mut raw)?;
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let parts: Vec<(u64, u64)> =
            raw.as_chunks::<8>().0.chunks_exact(2).map(|pair| (word(&pair[0]), word(&pair[1]))).collect();
        let sum = parts.iter().fold(0u64, |sum, (_, length)| sum.saturating_add(*length));
        if sum != bytes {
            return Err(Failure { status: Status::ScatterList, result: sum });
        }
        Ok((split(&parts), raw.len() as u64))
    }

    /// The cost of `host_bytes` coming in and `card_bytes` being written, through a path of `latency` cycles.
    fn transfer_in(&self, host_bytes: u64, card_bytes: u64, latency: u64, list: u64, pieces: u64) -> Cost {
        let wire = self.link.read_duration(host_bytes) + self.link.scatter_duration(pieces);
        let host = self.clock.cycles_to_cover(wire + self.link.read_duration(list)) + latency;
        let memory = self.hbm.stream_cycles(card_bytes, self.clock) + self.hbm.write_latency(self.clock);
        let cost = port_cost(card_bytes, host, memory);
        Cost { memory_write_bytes: card_bytes, host_bytes: host_bytes + list, ..cost }
    }
}

/// The path is busy a cycle a word; what the link takes beyond that is its stall, what memory takes beyond both its own.
fn port_cost(bytes: u64, host: u64, memory: u64) -> Cost {
    let busy = bytes.div_ceil(PORT_BYTES);
    let with_host = Cycles::stretched(busy, host, Cause::Host);
    let waited = memory.saturating_sub(with_host.total);
    Cost { cycles: with_host.then(Cycles::stalled(Cause::Memory, waited)), ..Cost::default() }
}

fn split(parts: &[(u64, u64)]) -> Pieces {
    let mut pieces = Vec::with_capacity(parts.len());
    for (address, length) in parts {
        for done in (0..*length).step_by(PIECE_BYTES as usize) {
            pieces.push((address.wrapping_add(done), PIECE_BYTES.min(length - done)));
        }
    }
    pieces
}
