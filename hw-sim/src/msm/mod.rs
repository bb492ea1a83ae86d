//! The multi-scalar multiplication engine.
//!
//! ```text
//! scalars ─► slicer ─► digits ─┬─► lane 0: hazard table, stall FIFOs ─► XYZZ adder ─► buckets ─┐
//! bases ───► point FIFO ───────┴─► lane A−1 …                                                  ├─► segmented aggregation
//!                                     └─ equal operands ─► doubling unit                       ┘      └─► combination ─► affine
//! ```
//! The accumulation is simulated cycle by cycle with the real digits; aggregation by events. Values are computed with
//! the formulas of the adders in the order in which the hardware adds.

pub mod accumulate;
pub mod adder;
pub mod aggregate;
pub mod combine;
pub mod digits;
pub mod feed;
pub mod lane;
pub mod plan;
pub mod point;

use crate::hbm::Hbm;
use crate::profile::{MsmProfile, Profile};
use crate::stats::{Cause, Cost, Cycles};
use crate::time::Clock;
use accumulate::{Accumulation, accumulate};
use adder::Adder;
use ark_bn254::Fr;
use digits::{FULL_BITS, Signed};
use feed::{DigitSource, RandomDigits, Scalars};
use lane::{Buckets, LaneCounts};
use plan::Plan;
use point::{Base, Path, Xyzz};
use thiserror::Error;

/// Bytes of a base and a scalar in card memory.
const POINT_AND_SCALAR_BYTES: u64 = 64 + 32;

/// A scalar exceeds the bound that was promised for all of them.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("scalar {index} is not below 2^{bits} in magnitude; promise the true bound")]
pub struct BoundExceeded {
    /// Which scalar.
    pub index: usize,
    /// The promised bound.
    pub bits: u32,
}

/// What an MSM cost and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsmReport {
    /// Cycles and bytes.
    pub cost: Cost,
    /// The layout that was used.
    pub plan: Plan,
    /// Cycles of the accumulation alone, of all lanes together.
    pub accumulation: Cycles,
    /// Events of all lanes.
    pub counts: LaneCounts,
}

/// The engine.
#[derive(Clone, Debug)]
pub struct MsmEngine {
    profile: MsmProfile,
    adder: Adder,
    product_latency: u64,
    clock: Clock,
    hbm: Hbm,
    buckets: Vec<Xyzz>,
}

impl MsmEngine {
    /// The engine of a card.
    pub fn new(profile: &Profile) -> MsmEngine {
        MsmEngine {
            profile: profile.msm.clone(),
            adder: Adder::new(&profile.msm, &profile.multiplier),
            product_latency: profile.multiplier.latency_cycles,
            clock: Clock::from_mhz(profile.core_mhz),
            hbm: Hbm::new(&profile.memory),
            buckets: Vec::new(),
        }
    }

    /// Latencies of its adders.
    pub fn adder(&self) -> &Adder {
        &self.adder
    }

    /// Σ scalars\[i\]·bases\[i\] over the shorter of the two, with magnitudes below 2^`bits`; `bits` of 253 promises
    /// nothing.
    pub fn run(
        &mut self,
        bases: &[Base],
        scalars: &[Fr],
        bits: u32,
    ) -> Result<(Base, MsmReport), BoundExceeded> {
        let bits = bits.min(FULL_BITS);
        if let Some(index) = scalars.iter().position(|scalar| !Signed::of(scalar).fits(bits)) {
            return Err(BoundExceeded { index, bits });
        }
        let count = bases.len().min(scalars.len());
        let plan = Plan::choose(count as u64, bits, &self.profile, &self.adder);
        let per_slot = plan.buckets() as usize;
        let mut store = std::mem::take(&mut self.buckets);
        store.clear();
        store.resize(plan.slots() as usize * per_slot, Xyzz::INFINITY);
        let mut buckets = Filled { bases, store, per_slot };
        let accumulation = self.accumulate(count as u64, Scalars::new(&scalars[..count]), plan, &mut buckets);
        let result = finish(&mut buckets.store, &plan);
        self.buckets = buckets.store;
        Ok((result, self.report(count as u64, plan, accumulation)))
    }

    /// The time of an MSM with random scalars from `seed`, without data.
    pub fn run_timing(&self, points: u64, bits: u32, seed: u64) -> MsmReport {
        let plan = Plan::choose(points, bits.min(FULL_BITS), &self.profile, &self.adder);
        let accumulation =
            self.accumulate(points, RandomDigits::new(seed, bits.min(FULL_BITS)), plan, &mut Unfilled);
        self.report(points, plan, accumulation)
    }

    fn accumulate<S: DigitSource, B: Buckets>(
        &self,
        points: u64,
        source: S,
        plan: Plan,
        buckets: &mut B,
    ) -> Accumulation {
        let stream = self.hbm.stream_cycles(points * POINT_AND_SCALAR_BYTES, self.clock);
        accumulate(points, stream, source, plan, self.adder, &self.profile, buckets)
    }

    fn report(&self, points: u64, plan: Plan, accumulation: Accumulation) -> MsmReport {
        let lanes = self.profile.adders;
        let fill = self.product_latency + u64::from(plan.windows.count);
        let start = Cycles::stalled(Cause::Memory, self.hbm.read_latency(self.clock))
            .then(Cycles::stalled(Cause::Hazard, fill));
        let lane_cycles = accumulation
            .lane_cycles
            .then(aggregate::merge_cycles(&plan, lanes, &self.adder))
            .then(aggregate::aggregation_cycles(&plan, lanes, &self.adder));
        let cycles =
            start.then(lane_cycles.averaged(lanes)).then(combine::combine_cycles(&plan, &self.adder));
        let cost = Cost { cycles, memory_read_bytes: points * POINT_AND_SCALAR_BYTES, ..Cost::default() };
        MsmReport { cost, plan, accumulation: accumulation.lane_cycles, counts: accumulation.counts }
    }
}

/// Merges replicas, aggregates windows and combines them.
fn finish(store: &mut [Xyzz], plan: &Plan) -> Base {
    let replica = plan.windows.count as usize * plan.buckets() as usize;
    let (first, others) = store.split_at_mut(replica);
    for other in others.chunks(replica) {
        for (sum, bucket) in first.iter_mut().zip(other) {
            sum.add(bucket);
        }
    }
    let windows: Vec<_> = first
        .chunks(plan.buckets() as usize)
        .map(|buckets| aggregate::aggregate_window(buckets, plan))
        .collect();
    combine::combine(&windows, plan)
}

/// Buckets with points in them.
struct Filled<'a> {
    bases: &'a [Base],
    store: Vec<Xyzz>,
    per_slot: usize,
}

impl Buckets for Filled<'_> {
    fn add(&mut self, slot: u32, bucket: u32, point: u64, negative: bool) -> Path {
        let at = slot as usize * self.per_slot + bucket as usize;
        self.store[at].add_base(&self.bases[point as usize], negative)
    }
}

/// Buckets without contents.
struct Unfilled;

impl Buckets for Unfilled {
    fn add(&mut self, _slot: u32, _bucket: u32, _point: u64, _negative: bool) -> Path {
        Path::Pipeline
    }
}

#[cfg(test)]
mod tests;
