//! All lanes side by side, fed from memory: the accumulation of points into buckets.

use super::adder::Adder;
use super::feed::{DigitSource, Feed};
use super::lane::{Buckets, Lane, LaneCounts};
use super::plan::Plan;
use crate::profile::MsmProfile;
use crate::stats::Cycles;

/// Result of an accumulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accumulation {
    /// Cycles of all lanes together.
    pub lane_cycles: Cycles,
    /// Events of all lanes together.
    pub counts: LaneCounts,
}

/// Runs the accumulation of `points` points, all of which come from memory within `stream_cycles` cycles.
pub fn accumulate<S: DigitSource, B: Buckets>(
    points: u64,
    stream_cycles: u64,
    source: S,
    plan: Plan,
    adder: Adder,
    profile: &MsmProfile,
    buckets: &mut B,
) -> Accumulation {
    let mut lanes: Vec<Lane> =
        (0..profile.adders as u32).map(|number| Lane::new(number, plan, adder, profile, points)).collect();
    let mut feed = Feed::new(source, plan, profile.point_fifo_depth);
    let mut memory = Arrival::new(points, stream_cycles.max(points.div_ceil(profile.adders)));
    let mut now = 0;
    while !lanes.iter().all(Lane::is_issued) {
        let arrived = memory.next();
        let slowest = lanes.iter().map(Lane::position).min().unwrap_or(points);
        let room = slowest + profile.point_fifo_depth;
        feed.fill_to(arrived.min(room));
        for lane in &mut lanes {
            lane.step(now, &feed, arrived < room, buckets);
        }
        now += 1;
    }
    let end = lanes.iter().map(Lane::finished_at).max().unwrap_or(now).max(now);
    let mut sum = Accumulation::default();
    for lane in &mut lanes {
        lane.drain(now, end);
        sum.lane_cycles = sum.lane_cycles.then(lane.cycles);
        sum.counts.issued += lane.counts.issued;
        sum.counts.zero_digits += lane.counts.zero_digits;
        sum.counts.deferred += lane.counts.deferred;
        sum.counts.doublings += lane.counts.doublings;
    }
    sum
}

/// Points that have arrived from memory: an even stream of `points` in `cycles`.
struct Arrival {
    points: u64,
    cycles: u64,
    arrived: u64,
    fraction: u64,
}

impl Arrival {
    fn new(points: u64, cycles: u64) -> Arrival {
        Arrival { points, cycles: cycles.max(1), arrived: 0, fraction: 0 }
    }

    fn next(&mut self) -> u64 {
        if self.arrived < self.points {
            self.fraction += self.points;
            self.arrived += self.fraction / self.cycles;
            self.fraction %= self.cycles;
        }
        self.arrived.min(self.points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_arrive_evenly_and_all_of_them_in_time() {
        let mut arrival = Arrival::new(10, 25);
        let seen: Vec<u64> = (0..25).map(|_| arrival.next()).collect();
        assert_eq!((seen[0], seen[1], seen[2], seen[24]), (0, 0, 1, 10));
        assert!(seen.windows(2).all(|pair| pair[1] - pair[0] <= 1));
        assert_eq!(arrival.next(), 10);
    }
}
