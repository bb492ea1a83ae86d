//! One lane of the accumulation, cycle by cycle: hazard table, stall FIFOs, adder pipeline, doubling unit.
//!
//! A lane owns the slots (windows of replicas) whose number is its own modulo the number of lanes. In a cycle it takes
//! one digit and issues at most one addition:
//!
//! ```text
//! digit ─► zero? ─────────────► nothing to add
//!       ─► bucket taken? ─► stall FIFO of the slot (full: the slicer waits)
//!       ─► else issue ─► adder pipeline ─► bucket free again
//!                            └► equal operands ─► doubling unit ─► bucket free again
//! ```
//! A cycle in which the digit does not need the adder issues a stalled point whose bucket has become free.

use super::adder::Adder;
use super::feed::{DigitSource, Feed};
use super::plan::Plan;
use super::point::Path;
use crate::stats::Cycles;
use std::collections::VecDeque;

/// The buckets' contents, or nothing when only time matters.
pub trait Buckets {
    /// Adds a point, or its opposite, into a bucket. Tells which way the addition takes through the hardware.
    fn add(&mut self, slot: u32, bucket: u32, point: u64, negative: bool) -> Path;
}

const EMPTY: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Waiting {
    slot: u32,
    digit: i32,
    point: u64,
}

impl Waiting {
    fn bucket(&self) -> u32 {
        self.digit.unsigned_abs() - 1
    }
}

/// What a lane counted beside its cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Additions issued.
    pub issued: u64,
    /// Digits that were zero.
    pub zero_digits: u64,
    /// Points that went through a stall FIFO.
    pub deferred: u64,
    /// Additions that went to the doubling unit.
    pub doublings: u64,
}

/// State of a lane.
pub struct Lane {
    number: u32,
    lanes: u32,
    plan: Plan,
    adder: Adder,
    fifo_depth: usize,
    exceptions_max: usize,
    points: u64,
    point: u64,
    window: u32,
    taken: Vec<bool>,
    pipeline: Vec<u32>,
    pipeline_at: usize,
    stalled: Vec<VecDeque<Waiting>>,
    waiting_slots: Vec<u32>,
    turn: usize,
    exceptions: VecDeque<(u64, u32)>,
    doubling_free_at: u64,
    last_release: u64,
    /// Cycles so far.
    pub cycles: Cycles,
    /// Events so far.
    pub counts: LaneCounts,
}

impl Lane {
    /// Lane `number` of `lanes`, before its first cycle.
    pub fn new(
        number: u32,
        plan: Plan,
        adder: Adder,
        profile: &crate::profile::MsmProfile,
        points: u64,
    ) -> Lane {
        let lanes = profile.adders as u32;
        let slots = plan.slots().div_ceil(lanes) as usize;
        let mut lane = Lane {
            number,
            lanes,
            plan,
            adder,
            fifo_depth: profile.stall_fifo_depth as usize,
            exceptions_max: (profile.exception_fifo_depth - adder.detect_latency) as usize,
            points,
            point: 0,
            window: 0,
            taken: vec![false; slots * plan.buckets() as usize],
            pipeline: vec![EMPTY; adder.bucket_latency() as usize],
            pipeline_at: 0,
            stalled: vec![VecDeque::with_capacity(profile.stall_fifo_depth as usize); slots],
            waiting_slots: Vec::with_capacity(slots),
            turn: 0,
            exceptions: VecDeque::new(),
            doubling_free_at: 0,
            last_release: 0,
            cycles: Cycles::default(),
            counts: LaneCounts::default(),
        };
        lane.start_point(0);
        lane
    }

    /// The point that it takes next.
    pub fn position(&self) -> u64 {
        self.point
    }

    /// Whether all its points have been issued; some may still be in the pipeline.
    pub fn is_issued(&self) -> bool {
        self.point >= self.points && self.waiting_slots.is_empty()
    }

    /// The cycle in which its last bucket is written.
    pub fn finished_at(&self) -> u64 {
        self.last_release
    }

    /// One cycle. `memory_bound` says whether points that are missing have not come from memory yet.
    pub fn step<S: DigitSource, B: Buckets>(
        &mut self,
        now: u64,
        feed: &Feed<S>,
        memory_bound: bool,
        buckets: &mut B,
    ) {
        self.release(now);
        self.cycles.total += 1;
        if self.exceptions.len() >= self.exceptions_max {
            self.cycles.stall_hazard += 1;
            return;
        }
        let input_left = self.point < self.points;
        let arrived = self.point < feed.available();
        let (worked, adder_is_free) =
            if arrived { self.take_digit(now, feed, buckets) } else { (false, true) };
        if adder_is_free && self.issue_stalled(now, buckets) || worked {
            self.cycles.busy += 1;
        } else if arrived || !input_left && !self.is_issued() {
            self.cycles.stall_hazard += 1;
        } else if input_left && memory_bound {
            self.cycles.stall_memory += 1;
        } else {
            self.cycles.idle += 1;
        }
    }

    /// Waits for the pipeline without anything to issue, then for other lanes, until `end`.
    pub fn drain(&mut self, now: u64, end: u64) {
        let waited = self.last_release.clamp(now, end) - now;
        self.cycles.total += end - now;
        self.cycles.stall_hazard += waited;
        self.cycles.idle += end - now - waited;
    }

    /// Takes the next digit if it can. Says whether that was work of its own, and whether the adder is still free.
    fn take_digit<S: DigitSource, B: Buckets>(
        &mut self,
        now: u64,
        feed: &Feed<S>,
        buckets: &mut B,
    ) -> (bool, bool) {
        let digit = feed.digit(self.point, self.window);
        let slot =
            (self.point % u64::from(self.plan.replicas)) as u32 * self.plan.windows.count + self.window;
        let waiting = Waiting { slot: slot / self.lanes, digit, point: self.point };
        if digit == 0 {
            self.counts.zero_digits += 1;
            self.next_digit();
            return (true, true);
        }
        if !self.taken[self.bucket_index(&waiting)] {
            self.issue(now, waiting, buckets);
            self.next_digit();
            return (true, false);
        }
        let fifo = &mut self.stalled[waiting.slot as usize];
        if fifo.len() < self.fifo_depth {
            if fifo.is_empty() {
                self.waiting_slots.push(waiting.slot);
            }
            fifo.push_back(waiting);
            self.counts.deferred += 1;
            self.next_digit();
        }
        (false, true)
    }

    fn issue_stalled<B: Buckets>(&mut self, now: u64, buckets: &mut B) -> bool {
        for step in 0..self.waiting_slots.len() {
            let at = (self.turn + step) % self.waiting_slots.len();
            let slot = self.waiting_slots[at] as usize;
            let Some(head) = self.stalled[slot].front().copied() else { continue };
            if self.taken[self.bucket_index(&head)] {
                continue;
            }
            self.stalled[slot].pop_front();
            self.turn = at + 1;
            if self.stalled[slot].is_empty() {
                self.waiting_slots.swap_remove(at);
            }
            self.issue(now, head, buckets);
            return true;
        }
        false
    }

    fn issue<B: Buckets>(&mut self, now: u64, waiting: Waiting, buckets: &mut B) {
        let index = self.bucket_index(&waiting);
        self.taken[index] = true;
        self.counts.issued += 1;
        let slot = waiting.slot * self.lanes + self.number;
        let mut free_at = now + self.adder.bucket_latency();
        match buckets.add(slot, waiting.bucket(), waiting.point, waiting.digit < 0) {
            Path::Pipeline => self.pipeline[self.pipeline_at] = index as u32,
            Path::Doubling => {
                let start = self.doubling_free_at.max(now + self.adder.detect_latency);
                self.doubling_free_at = start + self.adder.double_latency;
                free_at = self.doubling_free_at + self.adder.bucket_ram;
                self.exceptions.push_back((free_at, index as u32));
                self.counts.doublings += 1;
            }
        }
        self.last_release = self.last_release.max(free_at);
    }

    /// Frees the buckets whose additions end now. The ring's entry is due one latency after it was written.
    fn release(&mut self, now: u64) {
        self.pipeline_at = (now % self.pipeline.len() as u64) as usize;
        let due = std::mem::replace(&mut self.pipeline[self.pipeline_at], EMPTY);
        if due != EMPTY {
            self.taken[due as usize] = false;
        }
        while let Some(&(free_at, index)) = self.exceptions.front()
            && free_at <= now
        {
            self.taken[index as usize] = false;
            self.exceptions.pop_front();
        }
    }

    fn bucket_index(&self, waiting: &Waiting) -> usize {
        waiting.slot as usize * self.plan.buckets() as usize + waiting.bucket() as usize
    }

    fn next_digit(&mut self) {
        self.window += self.lanes;
        if self.window >= self.plan.windows.count {
            self.start_point(self.point + 1);
        }
    }

    /// Goes to the first digit of `point`, or of the first point after it, that is one of this lane's slots.
    fn start_point(&mut self, point: u64) {
        self.point = if self.number < self.plan.slots() { point } else { self.points };
        while self.point < self.points {
            let replica = (self.point % u64::from(self.plan.replicas)) as u32;
            let first_slot = replica * self.plan.windows.count % self.lanes;
            self.window = (self.number + self.lanes - first_slot) % self.lanes;
            if self.window < self.plan.windows.count {
                return;
            }
            self.point += 1;
        }
    }
}
