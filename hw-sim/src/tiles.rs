//! Load, compute, store of tile after tile, overlapped: two buffers on each side of the engine, one memory.

use crate::stats::{Cause, Cycles};

/// Time of the parts of one tile.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// Occupies the memory. \[cycles\]
    pub load: u64,
    /// Occupies the engine.
    pub compute: Cycles,
    /// Occupies the memory. \[cycles\]
    pub store: u64,
}

/// Latencies of the memory. \[cycles\]
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// From request to data.
    pub read: u64,
    /// From data to acknowledgement.
    pub write: u64,
}

/// Runs the tiles in order. A tile is loaded while the one before it is computed, into the buffer that the one before
/// that has left; it is stored while the next one is computed. Time in which the engine waits is a memory stall.
pub fn run(tiles: impl Iterator<Item = Tile>, latency: Latency) -> Cycles {
    let mut sum = Cycles::default();
    // When the memory is free, when the last two computations ended, and when the last store left its buffer.
    let (mut memory_free, mut computed, mut stored) = (0, [0u64; 2], 0);
    // The end of a computation whose tile is not stored yet, and what its store takes.
    let mut pending: Option<(u64, u64)> = None;
    for tile in tiles {
        memory_free = memory_free.max(computed[0]) + tile.load;
        let start = (memory_free + latency.read).max(computed[1]).max(stored);
        if let Some((ready, store)) = pending {
            memory_free = memory_free.max(ready) + store;
            stored = memory_free;
        }
        computed = [computed[1], start + tile.compute.total];
        sum = sum.then(tile.compute);
        pending = Some((computed[1], tile.store));
    }
    let Some((ready, store)) = pending else { return sum };
    let end = memory_free.max(ready) + store + latency.write;
    sum.then(Cycles::stalled(Cause::Memory, end - sum.total))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCY: Latency = Latency { read: 70, write: 43 };

    fn many(load: u64, compute: u64, store: u64) -> Cycles {
        let tile = Tile { load, compute: Cycles::busy(compute), store };
        run(std::iter::repeat_n(tile, 1000), LATENCY)
    }

    #[test]
    fn one_tile_takes_the_sum_of_its_parts() {
        let tile = Tile { load: 10, compute: Cycles::busy(100), store: 20 };
        let cycles = run(std::iter::once(tile), LATENCY);
        assert_eq!(cycles.total, 10 + 70 + 100 + 20 + 43);
        assert_eq!(cycles.busy, 100);
    }

    #[test]
    fn many_tiles_take_the_longer_of_compute_and_memory() {
        let compute_bound = many(100, 400, 100);
        assert!((400_000..402_000).contains(&compute_bound.total), "{compute_bound:?}");
        let memory_bound = many(300, 200, 300);
        assert!((600_000..602_000).contains(&memory_bound.total), "{memory_bound:?}");
        assert!(compute_bound.balanced() && memory_bound.balanced());
    }

    #[test]
    fn no_tiles_take_no_time() {
        assert_eq!(run(std::iter::empty(), LATENCY).total, 0);
    }
}
