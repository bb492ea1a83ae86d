//! The lanes: L fused multiply-add units, one instruction each a cycle, behind a strip of registers.

use crate::hbm::Hbm;
use crate::profile::Profile;
use crate::stats::{Cause, Cost, Cycles};
use crate::tiles::Latency;
use crate::time::Clock;

/// Register read and write around an operation. \[cycles\]
const REGISTER_CYCLES: u64 = 3;
/// Modular addition. \[cycles\]
const ADD_CYCLES: u64 = 2;
/// Iterations of a binary inversion (Kaliski): at most two a bit of 254.
const INVERSION_ITERATIONS: u64 = 2 * 254;
/// Bytes of an element in memory.
pub const ELEMENT_BYTES: u64 = 32;

/// Rates and latencies of the vector engine.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// Elements a cycle and instruction.
    pub count: u64,
    /// Rows of a strip.
    pub strip_rows: u64,
    /// Product, from register to register. \[cycles\]
    pub multiply_latency: u64,
    /// Sum, from register to register. \[cycles\]
    pub add_latency: u64,
    /// Product and sum in one go. \[cycles\]
    pub fused_latency: u64,
    /// Inversion of one element. \[cycles\]
    pub inversion_latency: u64,
    clock: Clock,
    hbm: Hbm,
}

impl Lanes {
    /// Those of a card.
    pub fn new(profile: &Profile) -> Lanes {
        let product = profile.multiplier.latency_cycles;
        Lanes {
            count: profile.vector.lanes,
            strip_rows: profile.vector.strip_rows,
            multiply_latency: product + REGISTER_CYCLES,
            add_latency: ADD_CYCLES + REGISTER_CYCLES,
            fused_latency: product + ADD_CYCLES + REGISTER_CYCLES,
            // Out of Montgomery form and back: two products.
            inversion_latency: INVERSION_ITERATIONS + 2 * product,
            clock: Clock::from_mhz(profile.core_mhz),
            hbm: Hbm::new(&profile.memory),
        }
    }

    /// `operations` independent operations: they fill the lanes.
    pub fn independent(&self, operations: u64, latency: u64) -> Cycles {
        let issue = operations.div_ceil(self.count);
        Cycles::stretched(issue, issue + latency, Cause::Hazard)
    }

    /// How many recurrences run side by side so that each is back when it is its turn.
    pub fn segments(&self, latency: u64) -> u64 {
        self.count * latency
    }

    /// A linear recurrence over `length` elements, cut into [`Lanes::segments`] that run side by side.
    pub fn recurrence(&self, length: u64, latency: u64) -> Cycles {
        let steps = length.div_ceil(self.segments(latency));
        Cycles::stretched(length.div_ceil(self.count), steps * latency, Cause::Hazard)
    }

    /// A binary tree over the segments' results, `operations` dependent operations a node.
    pub fn tree(&self, leaves: u64, latency: u64, operations: u64) -> Cycles {
        let mut sum = Cycles::default();
        let mut nodes = leaves;
        while nodes > 1 {
            nodes = nodes.div_ceil(2);
            for _ in 0..operations {
                sum = sum.then(self.independent(nodes, latency));
            }
        }
        sum
    }

    /// Operations that each wait for the one before.
    pub fn serial(&self, operations: u64, latency: u64) -> Cycles {
        Cycles::stretched(operations, operations * latency, Cause::Hazard)
    }

    /// A pass over vectors: no faster than the memory moves them.
    pub fn pass(&self, compute: Cycles, read: u64, written: u64) -> Cost {
        let memory = self.stream(read + written) + self.latency().read + self.latency().write;
        let waited = memory.saturating_sub(compute.total).max(self.latency().read);
        let cycles = compute.then(Cycles::stalled(Cause::Memory, waited));
        Cost { cycles, memory_read_bytes: read, memory_write_bytes: written, host_bytes: 0 }
    }

    /// Cycles that the memory needs for `bytes` bytes of a stream.
    pub fn stream(&self, bytes: u64) -> u64 {
        self.hbm.stream_cycles(bytes, self.clock)
    }

    /// Latencies of the memory.
    pub fn latency(&self) -> Latency {
        Latency { read: self.hbm.read_latency(self.clock), write: self.hbm.write_latency(self.clock) }
    }
}
