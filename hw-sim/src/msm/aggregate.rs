//! From buckets to windows: Σ (k + 1)·B_k by running sums over segments, level by level.
//!
//! A segment of length 2^l is walked from its top: `run` collects its items, `weighted` collects `run`. What a segment
//! leaves (run, weighted, and the weighted sums of lower levels) is an item of the next level, and the sums combine as
//! Σ_k (k+1)·B_k = Σ_s weighted_s + 2^l·Σ_s s·run_s. A step of level i costs i + 2 independent additions; the next step
//! of the same segment waits for them, so the pipeline is filled by walking many segments at once.

use super::adder::Adder;
use super::plan::{LEVELS_MAX, Plan};
use super::point::Xyzz;
use crate::stats::Cycles;
use std::collections::VecDeque;

/// Merges replicas: additions that do not depend on each other as long as there are many buckets. Cycles of all lanes.
pub fn merge_cycles(plan: &Plan, lanes: u64, adder: &Adder) -> Cycles {
    let buckets = u64::from(plan.windows.count) * plan.buckets();
    (1..plan.replicas).fold(Cycles::default(), |sum, _| sum.then(level_cycles(buckets, 1, 1, lanes, adder)))
}

/// Walks all levels of all windows. Cycles of all lanes.
pub fn aggregation_cycles(plan: &Plan, lanes: u64, adder: &Adder) -> Cycles {
    let mut items = u64::from(plan.windows.count) * plan.buckets();
    let mut sum = Cycles::default();
    for (level, bits) in plan.segment_bits.iter().take(plan.levels).enumerate() {
        let chains = items >> bits;
        sum = sum.then(level_cycles(chains, 1 << bits, level as u64 + 2, lanes, adder));
        items = chains;
    }
    sum
}

/// `chains` chains of `steps` steps of `adds` additions each, dealt to the lanes; every lane walks its chains in turn.
fn level_cycles(chains: u64, steps: u64, adds: u64, lanes: u64, adder: &Adder) -> Cycles {
    let end = lane_end(chains.div_ceil(lanes), steps, adds, adder);
    let busy = chains * steps * adds * adder.full_interval;
    Cycles::stretched(busy, end * lanes, crate::stats::Cause::Hazard)
}

/// When a lane with `chains` chains has written its last bucket.
fn lane_end(chains: u64, steps: u64, adds: u64, adder: &Adder) -> u64 {
    let issue = adds * adder.full_interval;
    let latency = issue - adder.full_interval + adder.full_latency + adder.bucket_ram;
    let mut ready: VecDeque<(u64, u64)> = (0..chains).map(|_| (0, steps)).collect();
    let (mut free_at, mut end) = (0u64, 0);
    while let Some((ready_at, left)) = ready.pop_front() {
        let start = free_at.max(ready_at);
        free_at = start + issue;
        end = start + latency;
        if left > 1 {
            ready.push_back((end, left - 1));
        }
    }
    end
}

/// What a segment leaves.
#[derive(Clone, Copy)]
struct Item {
    run: Xyzz,
    sums: [Xyzz; LEVELS_MAX],
}

/// The weighted sums of one window, one per level: its value is Σ 2^(bits of lower levels)·sums\[level\].
pub fn aggregate_window(buckets: &[Xyzz], plan: &Plan) -> [Xyzz; LEVELS_MAX] {
    let empty = [Xyzz::INFINITY; LEVELS_MAX];
    let mut items: Vec<Item> = buckets.iter().map(|run| Item { run: *run, sums: empty }).collect();
    for (level, bits) in plan.segment_bits.iter().take(plan.levels).enumerate() {
        items = items.chunks(1 << bits).map(|segment| walk(segment, level)).collect();
    }
    items.first().map_or(empty, |item| item.sums)
}

fn walk(segment: &[Item], level: usize) -> Item {
    let mut left = Item { run: Xyzz::INFINITY, sums: [Xyzz::INFINITY; LEVELS_MAX] };
    for item in segment.iter().rev() {
        if level > 0 {
            // Weights count from zero here, from one at the lowest level.
            left.sums[level].add(&left.run);
        }
        left.run.add(&item.run);
        if level == 0 {
            left.sums[0].add(&left.run);
        }
        for lower in 0..level {
            left.sums[lower].add(&item.sums[lower]);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn adder() -> Adder {
        let profile = Profile::load("u55c").unwrap();
        Adder::new(&profile.msm, &profile.multiplier)
    }

    #[test]
    fn one_chain_is_bound_by_latency_and_many_by_the_interval() {
        let adder = adder();
        let step = adder.full_latency + adder.bucket_ram + adder.full_interval;
        assert_eq!(lane_end(1, 10, 2, &adder), 10 * step);
        let many = lane_end(1000, 10, 2, &adder);
        let floor = 1000 * 10 * 2 * adder.full_interval;
        assert!(many >= floor && many < floor + 2 * step, "{many} {floor}");
    }

    #[test]
    fn every_cycle_of_a_level_is_accounted_for() {
        for chains in [1, 2, 7, 640] {
            assert!(level_cycles(chains, 8, 3, 2, &adder()).balanced());
        }
    }
}
