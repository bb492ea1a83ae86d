//! The time of a transform: tiles that go through the butterflies once, or twice in four steps.
//!
//! A transform that fits an on-chip buffer is one tile. A larger one of n = n1·n2 is done in four steps: tiles of as
//! many columns as fill a burst are loaded, transformed (length n1), multiplied by twiddles and stored transposed; then
//! the same with rows (length n2). So memory is always read and written in full bursts, each element twice.

use crate::hbm::Hbm;
use crate::profile::Profile;
use crate::stats::{Cause, Cost, Cycles};
use crate::tiles::{self, Latency, Tile};
use crate::time::Clock;

const ELEMENT_BYTES: u64 = 32;
/// Adder, subtractor and buffer memory around the multiplier of a butterfly.
const BUTTERFLY_GLUE_CYCLES: u64 = 4;

/// What a transform has to do beside the butterflies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Elements in memory.
    pub source_length: u64,
    /// Size as a power of two.
    pub log_n: u32,
    /// Multiply before the transform (a coset).
    pub scale_before: bool,
    /// Multiply after it (1/n, and a coset).
    pub scale_after: bool,
}

/// The butterflies and their buffers.
#[derive(Clone, Debug)]
pub struct Butterflies {
    count: u64,
    latency: u64,
    tile_log2: u32,
    burst_elements: u64,
    clock: Clock,
    hbm: Hbm,
}

impl Butterflies {
    /// Those of a card.
    pub fn new(profile: &Profile) -> Butterflies {
        Butterflies {
            count: profile.ntt.butterflies,
            latency: profile.multiplier.latency_cycles + BUTTERFLY_GLUE_CYCLES,
            tile_log2: profile.ntt.tile_log2 as u32,
            burst_elements: profile.memory.burst_bytes / ELEMENT_BYTES,
            clock: Clock::from_mhz(profile.core_mhz),
            hbm: Hbm::new(&profile.memory),
        }
    }

    /// From operands to results. \[cycles\]
    pub fn latency(&self) -> u64 {
        self.latency
    }

    /// What a transform costs.
    pub fn cost(&self, shape: &Shape) -> Cost {
        let n = 1u64 << shape.log_n;
        let latency =
            Latency { read: self.hbm.read_latency(self.clock), write: self.hbm.write_latency(self.clock) };
        let folded = shape.source_length.saturating_sub(n);
        let loaded = shape.source_length * ELEMENT_BYTES;
        if shape.log_n <= self.tile_log2 {
            let scalings = u64::from(shape.scale_before) + u64::from(shape.scale_after);
            let compute = self.transform(n, shape.log_n).then(self.multiply(scalings * n + folded, scalings));
            let tile = Tile { load: self.stream(loaded), compute, store: self.stream(n * ELEMENT_BYTES) };
            let cycles = tiles::run(std::iter::once(tile), latency);
            return self.with_bytes(cycles, loaded, n * ELEMENT_BYTES);
        }
        let rows_log = shape.log_n / 2;
        let (rows, columns) = (1u64 << rows_log, n >> rows_log);
        // Step 1 transforms columns (length `rows`), step 2 rows; the twiddles of the four steps follow step 1.
        let first = self.pass(columns, rows_log, loaded, folded, u64::from(shape.scale_before) + 1);
        let second =
            self.pass(rows, shape.log_n - rows_log, n * ELEMENT_BYTES, 0, u64::from(shape.scale_after));
        let cycles = tiles::run(first, latency).then(tiles::run(second, latency));
        self.with_bytes(cycles, loaded + n * ELEMENT_BYTES, 2 * n * ELEMENT_BYTES)
    }

    fn with_bytes(&self, cycles: Cycles, read: u64, written: u64) -> Cost {
        Cost { cycles, memory_read_bytes: read, memory_write_bytes: written, host_bytes: 0 }
    }

    /// One pass over `count` transforms of length 2^log, a burst of them per tile.
    fn pass(
        &self,
        count: u64,
        log: u32,
        loaded: u64,
        folded: u64,
        scalings: u64,
    ) -> impl Iterator<Item = Tile> {
        let tiles = count.div_ceil(self.burst_elements);
        let elements = self.burst_elements.min(count) << log;
        let multiply = self.multiply(scalings * elements + folded.div_ceil(tiles), scalings);
        let tile = Tile {
            load: self.stream(loaded.div_ceil(tiles)),
            compute: self.transform(elements, log).then(multiply),
            store: self.stream(elements * ELEMENT_BYTES),
        };
        std::iter::repeat_n(tile, tiles as usize)
    }

    /// All stages of the transforms in a tile; a stage starts when the one before has left the pipeline.
    fn transform(&self, elements: u64, stages: u32) -> Cycles {
        let issue = (elements / 2).div_ceil(self.count);
        let stage = Cycles::stretched(issue, issue + self.latency, Cause::Hazard);
        (0..stages).fold(Cycles::default(), |sum, _| sum.then(stage))
    }

    /// `products` multiplications by generated factors, in `passes` passes over the tile.
    fn multiply(&self, products: u64, passes: u64) -> Cycles {
        let issue = products.div_ceil(self.count);
        Cycles::stretched(issue, issue + passes * self.latency, Cause::Hazard)
    }

    fn stream(&self, bytes: u64) -> u64 {
        self.hbm.stream_cycles(bytes, self.clock)
    }
}
