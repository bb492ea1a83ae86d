//! Ranges of tensors, record by record, without keeping the records' values.

use super::Calibration;
use crate::float::FloatTrace;

/// Magnitudes with the same leading 16 bits (sign, exponent, 7 bits of mantissa) share a bin.
const BINS: usize = 1 << 16;

/// What has been seen of one tensor.
#[derive(Clone)]
enum Seen {
    Largest(f32),
    /// For each bin, how many values, and the largest of them. Bins grow with the number: bit patterns of non-negative
    /// floats are ordered as they are.
    Histogram(Vec<(u64, f32)>),
}

/// Magnitudes of every tensor over the calibration records.
pub(super) struct Ranges {
    calibration: Calibration,
    seen: Vec<Seen>,
    /// Of tensors made by a function, before it.
    before: Vec<Seen>,
}

/// The range of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    /// Largest magnitude that counts.
    pub result: f64,
    /// The same before the node's function; 0 where there is none.
    pub before: f64,
}

impl Ranges {
    pub(super) fn new(tensors: usize, calibration: Calibration) -> Self {
        let none = match calibration {
            Calibration::MinMax => Seen::Largest(0.0),
            Calibration::Percentile(_) => Seen::Histogram(vec![(0, 0.0); BINS]),
        };
        Self { calibration, seen: vec![none.clone(); tensors], before: vec![none; tensors] }
    }

    pub(super) fn observe(&mut self, trace: &FloatTrace) {
        let results = self.seen.iter_mut().zip(trace.tensors.iter().map(Some));
        let before = self.before.iter_mut().zip(trace.before.iter().map(Option::as_ref));
        for (seen, values) in results.chain(before) {
            let magnitudes = values.into_iter().flatten().map(|v| v.abs());
            match seen {
                Seen::Largest(largest) => *largest = magnitudes.fold(*largest, f32::max),
                Seen::Histogram(bins) => magnitudes.for_each(|v| {
                    let bin = &mut bins[(v.to_bits() >> 16) as usize];
                    *bin = (bin.0 + 1, bin.1.max(v));
                }),
            }
        }
    }

    /// The range of every tensor.
    pub(super) fn finish(&self) -> Vec<Range> {
        let range = |seen: &Seen| match (seen, self.calibration) {
            (Seen::Largest(largest), _) => f64::from(*largest),
            (Seen::Histogram(bins), Calibration::Percentile(percent)) => percentile(bins, percent),
            (Seen::Histogram(bins), Calibration::MinMax) => percentile(bins, 100.0),
        };
        let both = |(seen, before)| Range { result: range(seen), before: range(before) };
        self.seen.iter().zip(&self.before).map(both).collect()
    }
}

/// The magnitude that `percent` of the values do not exceed, rounded up to the largest value in its bin.
fn percentile(bins: &[(u64, f32)], percent: f64) -> f64 {
    let total: u64 = bins.iter().map(|(count, _)| count).sum();
    let wanted = ((percent / 100.0).clamp(0.0, 1.0) * total as f64).ceil() as u64;
    let mut below = 0;
    for (count, largest) in bins {
        below += count;
        if below >= wanted && *count > 0 {
            return f64::from(*largest);
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(calibration: Calibration, records: &[&[f32]]) -> f64 {
        let mut ranges = Ranges::new(1, calibration);
        for record in records {
            ranges.observe(&FloatTrace {
                tensors: vec![record.to_vec()],
                before: vec![None],
                output: Vec::new(),
            });
        }
        ranges.finish()[0].result
    }

    #[test]
    fn percentiles_count_over_all_records_and_signs() {
        let records: [&[f32]; 2] = [&[1.0, -2.0, 3.0], &[-100.0, 0.0]];
        for (percent, expected) in
            [(0.0, 0.0), (20.0, 0.0), (40.0, 1.0), (60.0, 2.0), (80.0, 3.0), (81.0, 100.0)]
        {
            assert_eq!(range(Calibration::Percentile(percent), &records), expected, "{percent} %");
        }
        assert_eq!(range(Calibration::MinMax, &records), 100.0);
        assert_eq!(range(Calibration::Percentile(f64::NAN), &[&[]]), 0.0);
    }
}
