//! From windows to the result: Horner's rule over the bit positions, then one inversion. All of it in sequence.

use super::adder::Adder;
use super::plan::{LEVELS_MAX, Plan};
use super::point::{Base, Xyzz};
use crate::stats::{Cause, Cycles};

/// Σ_j 2^(widths of the windows below j)·window_j, each window given by its levels.
pub fn combine(windows: &[[Xyzz; LEVELS_MAX]], plan: &Plan) -> Base {
    let mut result = Xyzz::INFINITY;
    for (index, window) in (0..plan.windows.count).zip(windows).rev() {
        let top = plan.segment_bits[..plan.levels - 1].iter().sum::<u32>();
        result = double_times(result, plan.windows.width(index) - top);
        for level in (0..plan.levels).rev() {
            result.add(&window[level]);
            if level > 0 {
                result = double_times(result, plan.segment_bits[level - 1]);
            }
        }
    }
    result.to_affine()
}

fn double_times(mut point: Xyzz, times: u32) -> Xyzz {
    for _ in 0..times {
        point = point.doubled();
    }
    point
}

/// One operation starts when the one before it has ended: a cycle of issue, then waiting for the pipeline.
pub fn combine_cycles(plan: &Plan, adder: &Adder) -> Cycles {
    let doublings = u64::from(plan.windows.count * plan.windows.bits - plan.windows.narrow);
    let additions = u64::from(plan.windows.count) * plan.levels as u64;
    let total = doublings * adder.double_latency + additions * adder.full_latency + adder.affine_latency;
    Cycles::stretched(doublings + additions * adder.full_interval + 1, total, Cause::Hazard)
}
