//! Adds up points by bucket.
//!
//! What is to be added comes sorted by bucket: a run of entries for each. A batch takes pairs from the runs until it is
//! full, adds them with one inversion, and leaves each run half as long; runs that are down to one entry go to their
//! bucket, the others come first in the next batch. So batches stay full whether there are few entries in each of many
//! buckets or many in few, and only the last batches are small.

use std::sync::atomic::{AtomicU32, Ordering};

use ark_bn254::G1Affine;
use ark_ec::{AffineRepr, CurveGroup};
use rayon::prelude::*;

use super::additions::Additions;
use super::entries::{Entry, List, Lists};
use crate::cpu::Features;

/// Additions that share an inversion, which costs some 200 multiplications. Their operands, results and products stay
/// in a second-level cache.
const BATCH: usize = 1024;

/// Parts into which work is cut for each thread, if there are several: enough that none waits long for the others.
const PARTS_PER_THREAD: usize = 8;

/// A part smaller than this is not worth its last, small batches.
const PART_MIN: usize = 8 * BATCH;

/// Entries by bucket.
pub(super) struct Sorted {
    pub(super) order: Vec<AtomicU32>,
    /// For each bucket, where its entries end; they begin where the previous bucket's end.
    pub(super) ends: Vec<u32>,
}

impl Drop for Sorted {
    /// Where a point goes tells its scalar's digits, which may be secret.
    fn drop(&mut self) {
        self.order.iter_mut().for_each(|entry| *entry.get_mut() = 0);
        std::hint::black_box(&mut self.order);
    }
}

impl Sorted {
    fn entry(&self, at: usize) -> Entry {
        Entry(self.order[at].load(Ordering::Relaxed))
    }

    /// The first bucket whose entries begin at `at` or later.
    fn first_bucket_from(&self, at: usize) -> usize {
        match at {
            0 => 0,
            _ => self.ends.partition_point(|&end| (end as usize) < at) + 1,
        }
    }
}

/// Adds each bucket's entries to it, on as many threads.
pub(super) fn add_to_buckets(
    features: Features,
    bases: &[G1Affine],
    images: &[G1Affine],
    sorted: &Sorted,
    buckets: &mut [G1Affine],
    threads: usize,
) {
    let total = sorted.ends.last().map_or(0, |&end| end as usize);
    let parts = if threads == 1 { 1 } else { (threads * PARTS_PER_THREAD).min(total / PART_MIN).max(1) };
    let mut rest = &mut *buckets;
    let mut given = 0;
    let mut machines = Vec::with_capacity(parts);
    for part in 0..parts {
        let (start, end) = (part * total / parts, (part + 1) * total / parts);
        let next = if part + 1 == parts { sorted.ends.len() } else { sorted.first_bucket_from(end) };
        let (own, others) = std::mem::take(&mut rest).split_at_mut(next - given);
        machines.push(Machine::new(features, [bases, images], Feed::new(sorted, start, end), own, given));
        (rest, given) = (others, next);
    }
    let heads: Vec<(usize, G1Affine)> =
        machines.into_par_iter().with_max_len(1).filter_map(Machine::run).collect();
    for (bucket, sum) in heads {
        buckets[bucket] = (buckets[bucket] + sum).into_affine();
    }
}

/// A part of the sorted entries, run by run.
struct Feed<'a> {
    sorted: &'a Sorted,
    at: usize,
    end: usize,
    /// The bucket of `at`.
    bucket: usize,
}

impl<'a> Feed<'a> {
    fn new(sorted: &'a Sorted, at: usize, end: usize) -> Feed<'a> {
        Feed { sorted, at, end, bucket: sorted.ends.partition_point(|&end| end as usize <= at) }
    }

    /// The next entries, at most `limit`, of one bucket.
    fn next(&mut self, limit: usize) -> Option<(usize, std::ops::Range<usize>)> {
        if self.at == self.end {
            return None;
        }
        while self.sorted.ends[self.bucket] as usize <= self.at {
            self.bucket += 1;
        }
        let start = self.at;
        self.at = (self.sorted.ends[self.bucket] as usize).min(self.end).min(start + limit);
        Some((self.bucket, start..self.at))
    }
}

/// How many entries go to one bucket.
struct Run {
    bucket: usize,
    len: usize,
}

/// One thread's work.
struct Machine<'a> {
    features: Features,
    lists: [&'a [G1Affine]; 2],
    feed: Feed<'a>,
    buckets: &'a mut [G1Affine],
    /// The number of the first of `buckets`.
    first_bucket: usize,
    /// The sum for the bucket before these, in which the feed may begin.
    head: G1Affine,
    /// What is left of the runs, and their entries in order.
    runs: Vec<Run>,
    entries: Vec<Entry>,
    /// The same after the current batch.
    next_runs: Vec<Run>,
    next_entries: Vec<Entry>,
    additions: Additions,
    /// Sums of the last three batches: an entry waits for one batch at most before it is taken.
    sums: [Vec<G1Affine>; 3],
    batch: usize,
    /// Entries that are a run's sum.
    done: Vec<(usize, Entry)>,
}

impl<'a> Machine<'a> {
    fn new(
        features: Features,
        lists: [&'a [G1Affine]; 2],
        feed: Feed<'a>,
        buckets: &'a mut [G1Affine],
        first_bucket: usize,
    ) -> Machine<'a> {
        Machine {
            features,
            lists,
            feed,
            buckets,
            first_bucket,
            head: G1Affine::zero(),
            runs: Vec::new(),
            entries: Vec::new(),
            next_runs: Vec::new(),
            next_entries: Vec::new(),
            additions: Additions::default(),
            sums: Default::default(),
            batch: 0,
            done: Vec::new(),
        }
    }

    /// Adds everything up. Returns the sum for the bucket before this machine's, if there is one.
    fn run(mut self) -> Option<(usize, G1Affine)> {
        while self.schedule() {
            self.add();
            self.settle();
            std::mem::swap(&mut self.runs, &mut self.next_runs);
            std::mem::swap(&mut self.entries, &mut self.next_entries);
            self.batch = (self.batch + 1) % 3;
        }
        (!self.head.is_zero()).then(|| (self.first_bucket - 1, self.head))
    }

    /// Chooses the pairs of the next batch. False when nothing is left to do.
    fn schedule(&mut self) -> bool {
        self.additions.pairs.clear();
        self.next_runs.clear();
        self.next_entries.clear();
        let mut entries = std::mem::take(&mut self.entries);
        let mut first = 0;
        for at in 0..self.runs.len() {
            let Run { bucket, len } = self.runs[at];
            self.halve(bucket, len, |i| entries[first + i]);
            first += len;
        }
        entries.clear();
        self.entries = entries;
        while self.additions.pairs.len() < BATCH {
            let room = 2 * (BATCH - self.additions.pairs.len());
            let Some((bucket, range)) = self.feed.next(room) else { break };
            let sorted = self.feed.sorted;
            self.halve(bucket, range.len(), |i| sorted.entry(range.start + i));
        }
        !self.additions.pairs.is_empty() || !self.done.is_empty()
    }

    /// Takes all pairs of a run. The last entry of an odd number comes first the next time, so that it waits no longer.
    #[inline]
    fn halve(&mut self, bucket: usize, len: usize, entry: impl Fn(usize) -> Entry) {
        if len == 1 {
            self.done.push((bucket, entry(0)));
            return;
        }
        let list = List::SUMS[self.batch];
        let (odd, made) = (len % 2, self.additions.pairs.len());
        if odd == 1 {
            self.next_entries.push(entry(len - 1));
        }
        for pair in 0..len / 2 {
            self.additions.pairs.push([entry(2 * pair), entry(2 * pair + 1)]);
            self.next_entries.push(Entry::new(list, made + pair));
        }
        self.next_runs.push(Run { bucket, len: odd + len / 2 });
    }

    fn lists(&self) -> Lists<'_> {
        let [bases, images] = self.lists;
        let [first, second, third] = &self.sums;
        Lists([bases, images, first, second, third, &[], &[], &[]])
    }

    fn add(&mut self) {
        let mut sums = std::mem::take(&mut self.sums[self.batch]);
        let mut additions = std::mem::take(&mut self.additions);
        additions.finish(self.features, &self.lists(), &mut sums);
        self.additions = additions;
        self.sums[self.batch] = sums;
    }

    /// Puts the sums of runs into their buckets. Where a bucket has a sum already, the two are a new run.
    fn settle(&mut self) {
        let mut done = std::mem::take(&mut self.done);
        for (bucket, entry) in done.drain(..) {
            let point = self.lists().get(entry);
            let place = match bucket.checked_sub(self.first_bucket) {
                Some(own) => &mut self.buckets[own],
                None => &mut self.head,
            };
            if place.is_zero() {
                *place = point;
                continue;
            }
            let earlier = std::mem::replace(place, G1Affine::zero());
            let sums = &mut self.sums[self.batch];
            for point in [earlier, point] {
                self.next_entries.push(Entry::new(List::SUMS[self.batch], sums.len()));
                sums.push(point);
            }
            self.next_runs.push(Run { bucket, len: 2 });
        }
        self.done = done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Instructions;
    use ark_bn254::{Fr, G1Projective};
    use ark_ec::PrimeGroup;

    /// Runs that cross parts and batches, with special points among them, and buckets that have a sum already.
    #[test]
    fn crowded_and_empty_buckets_add_up_on_several_threads() {
        let g = G1Projective::generator();
        let multiples = [0i64, 1, 1, -1, 2, -2, 3, 3, 4, -5, 7];
        let points = multiples.map(|k| (g * Fr::from(k)).into_affine());
        let count = 4 * PART_MIN + 77;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for ends in [vec![count], vec![0, 3, 3, 5, count - 1, count, count], (1..=count).step_by(4).collect()]
        {
            let chosen: Vec<usize> = (0..count).map(|i| (i * i + i / 7) % points.len()).collect();
            let negative = |i: usize| i.is_multiple_of(3);
            let entry = |i: usize| Entry::new(List::Bases, chosen[i]).signed(negative(i)).0;
            let sorted = Sorted {
                order: (0..count).map(|i| AtomicU32::new(entry(i))).collect(),
                ends: ends.iter().map(|&end| end as u32).collect(),
            };
            let mut start = 0;
            let expected: Vec<i64> = ends
                .iter()
                .map(|&end| {
                    let run = std::mem::replace(&mut start, end)..end;
                    run.map(|i| multiples[chosen[i]] * if negative(i) { -1 } else { 1 }).sum()
                })
                .collect();
            for limit in [Instructions::Portable, Instructions::Avx2Fma, Instructions::Avx512Ifma] {
                let features = Features::detect(limit);
                let mut buckets = vec![G1Affine::zero(); ends.len()];
                for times in 1..3 {
                    pool.install(|| {
                        add_to_buckets(
                            features,
                            &points,
                            &[],
                            &sorted,
                            &mut buckets,
                            rayon::current_num_threads(),
                        )
                    });
                    for (bucket, sum) in buckets.iter().zip(&expected) {
                        assert_eq!(*bucket, (g * Fr::from(times * sum)).into_affine(), "{limit:?}");
                    }
                }
            }
        }
    }
}
