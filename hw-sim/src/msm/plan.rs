//! How an MSM is laid out on the engine: window width, replicas, and the levels of the aggregation.
//!
//! The bucket memory is sized for the windows of full-width scalars at the widest window. Scalars that need fewer
//! windows, or narrower ones, leave room for *replicas*: point i adds into replica i mod R, so that the few buckets of
//! small scalars are not all taken while additions are in the pipeline. Replicas are merged before the aggregation. The
//! control program's choice here is the one with the fewest predicted cycles; it depends on the size and the promised
//! bound only, never on the scalars.

use super::adder::Adder;
use super::digits::{FULL_BITS, Windows};
use crate::profile::MsmProfile;

/// Narrowest window that is considered. \[bits\]
const WINDOW_BITS_MIN: u32 = 4;
/// Most levels of the aggregation.
pub const LEVELS_MAX: usize = 3;

/// The layout of one MSM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Windows of a scalar.
    pub windows: Windows,
    /// Copies of all buckets.
    pub replicas: u32,
    /// Segment length of each level of the aggregation, as powers of two; they add up to the widest
    /// window less one bit.
    pub segment_bits: [u32; LEVELS_MAX],
    /// Levels in use.
    pub levels: usize,
}

impl Plan {
    /// The best layout for `points` points with scalars below 2^`bits`.
    pub fn choose(points: u64, bits: u32, profile: &MsmProfile, adder: &Adder) -> Plan {
        let (widest, lanes) = (profile.window_bits as u32, profile.adders);
        let lane_slots_full = Windows::new(FULL_BITS, widest).count.div_ceil(lanes as u32);
        let mut best: Option<(u64, Plan)> = None;
        for window_bits in WINDOW_BITS_MIN..=widest {
            let aggregation = Plan::best_aggregation(Windows::new(bits, window_bits), lanes, adder);
            let windows = aggregation.windows;
            let lane_slots = lane_slots_full << (widest - windows.bits);
            for replicas in replica_counts(windows.count, lanes as u32, lane_slots) {
                let plan = Plan { replicas, ..aggregation };
                let cost = plan.predicted_cycles(points, lanes, adder);
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, plan));
                }
            }
        }
        // Windows of the widest kind fit in one replica, so there is a best layout.
        best.map_or(Plan::best_aggregation(Windows::new(bits, widest), lanes, adder), |(_, plan)| plan)
    }

    fn best_aggregation(windows: Windows, lanes: u64, adder: &Adder) -> Plan {
        let total = windows.bits - 1;
        let with =
            |segment_bits: [u32; LEVELS_MAX], levels| Plan { windows, replicas: 1, segment_bits, levels };
        let mut best = with([total, 0, 0], 1);
        let mut consider = |plan: Plan| {
            if plan.aggregation_cycles(lanes, adder) < best.aggregation_cycles(lanes, adder) {
                best = plan;
            }
        };
        for first in 1..total {
            consider(with([first, total - first, 0], 2));
            for second in 1..total - first {
                consider(with([first, second, total - first - second], 3));
            }
        }
        best
    }

    /// Buckets of one window of one replica; a narrow window leaves half of them empty.
    pub fn buckets(&self) -> u64 {
        1 << (self.windows.bits - 1)
    }

    /// Windows of all replicas.
    pub fn slots(&self) -> u32 {
        self.windows.count * self.replicas
    }

    fn predicted_cycles(&self, points: u64, lanes: u64, adder: &Adder) -> u64 {
        let lane_slots = u64::from(self.slots()).div_ceil(lanes);
        let issues = (points * lane_slots).div_ceil(u64::from(self.replicas));
        // A digit meets a taken bucket with probability H/(slots·buckets) and then waits H/2 cycles, H being the bucket
        // latency; the points waiting in one FIFO are a share H/slots of that. Only full FIFOs cost time.
        let latency = adder.bucket_latency();
        let taken_permille = 1000 * latency / (lane_slots * self.buckets());
        let waiting_permille = taken_permille * latency / (2 * lane_slots);
        let penalty = (issues * taken_permille / 1000).saturating_mul(waiting_permille) / 1000;
        let merged = u64::from(self.replicas - 1) * u64::from(self.windows.count) * self.buckets();
        issues
            + penalty
            + (merged * adder.full_interval).div_ceil(lanes)
            + self.aggregation_cycles(lanes, adder)
    }

    fn aggregation_cycles(&self, lanes: u64, adder: &Adder) -> u64 {
        let mut items = u64::from(self.windows.count) * self.buckets();
        let mut cycles = u64::from(self.windows.count * self.windows.bits) * adder.double_latency;
        for (level, bits) in self.segment_bits.iter().take(self.levels).enumerate() {
            let adds = level as u64 + 2;
            let chains = items >> bits;
            let issue = chains.div_ceil(lanes) * adds * adder.full_interval;
            cycles +=
                issue.max(adder.full_latency + adder.bucket_ram + (adds - 1) * adder.full_interval) << bits;
            cycles += u64::from(self.windows.count) * adder.full_latency;
            items = chains;
        }
        cycles
    }
}

/// Replica counts that fit: powers of two, and powers of two times the count that gives every lane the same load.
fn replica_counts(windows: u32, lanes: u32, lane_slots: u32) -> impl Iterator<Item = u32> {
    let even = lanes / common_divisor(windows, lanes);
    [1, even].into_iter().flat_map(move |first| {
        (0..16)
            .map(move |power| first << power)
            .take_while(move |count| (count * windows).div_ceil(lanes) <= lane_slots)
    })
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn plan(points: u64, bits: u32) -> Plan {
        let profile = Profile::load("u55c").unwrap();
        Plan::choose(points, bits, &profile.msm, &Adder::new(&profile.msm, &profile.multiplier))
    }

    #[test]
    fn large_sets_take_the_widest_window() {
        let plan = plan(1 << 24, FULL_BITS);
        assert_eq!((plan.windows.bits, plan.windows.count, plan.replicas), (13, 20, 1));
    }

    #[test]
    fn small_sets_take_narrower_windows() {
        assert!(plan(4096, FULL_BITS).windows.bits < 13);
    }

    #[test]
    fn small_scalars_get_replicas() {
        let plan = plan(1 << 20, 8);
        assert_eq!(plan.windows.count, 1);
        assert!(plan.replicas > 1);
    }

    #[test]
    fn levels_cover_the_window_and_slots_fit_the_bucket_memory() {
        for bits in [1, 2, 7, 8, 16, 31, 64, FULL_BITS] {
            for points in [1, 2, 100, 4096, 1 << 20] {
                let plan = plan(points, bits);
                assert_eq!(plan.segment_bits.iter().sum::<u32>(), plan.windows.bits - 1);
                assert!(u64::from(plan.slots()) * plan.buckets() <= 20 * 4096);
            }
        }
    }
}
