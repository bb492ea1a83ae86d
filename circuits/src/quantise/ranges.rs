//! Ranges of tensors, record by record, without keeping the records' values.
//!
//! Percentiles and errors come from a histogram of magnitudes whose bins are a hundred-and-twenty-eighth of an octave wide, so what is
//! kept of a tensor is bounded, whatever the number of records.

use super::{Calibration, function};
use crate::float::FloatTrace;

/// Magnitudes with the same leading bits (sign, exponent, 7 bits of mantissa) share a bin. Bins grow with the number: bit patterns of
/// non-negative floats are ordered as they are.
const MANTISSA_BITS: u32 = 7;
/// Exponents of single precision.
const OCTAVES: usize = 1 << 8;

/// Some magnitudes that are nearly the same.
#[derive(Clone, Copy, Default)]
struct Bin {
    count: u64,
    largest: f32,
    sum: f64,
}

/// The bins of an exponent.
type Octave = [Bin; 1 << MANTISSA_BITS];

/// What has been seen of one tensor.
#[derive(Clone)]
enum Seen {
    Largest(f32),
    /// Exponents that no magnitude has take no memory.
    Histogram(Vec<Option<Box<Octave>>>),
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
pub(super) struct TensorRange {
    /// Largest magnitude that counts.
    pub result: f64,
    /// The same before the node's function; 0 where there is none.
    pub before: f64,
    /// Largest magnitude that was seen.
    pub result_max: f64,
    /// The same before the node's function.
    pub before_max: f64,
}

impl Ranges {
    pub(super) fn new(tensors: usize, calibration: Calibration) -> Self {
        let none = match calibration {
            Calibration::MinMax => Seen::Largest(0.0),
            Calibration::Percentile(_) | Calibration::Mse => Seen::Histogram(vec![None; OCTAVES]),
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
                Seen::Histogram(octaves) => magnitudes.for_each(|v| count(octaves, v)),
            }
        }
    }

    /// The range of every tensor; `bits` are those of their activations.
    pub(super) fn finish(&self, bits: &[u32]) -> Vec<TensorRange> {
        let both = |((seen, before), bits): ((&Seen, &Seen), &u32)| {
            let levels = f64::from(bits.saturating_sub(1)).exp2() - 1.0;
            let (result, result_max) = self.range(seen, levels);
            let (before, before_max) = self.range(before, levels * function::FINER);
            TensorRange { result, before, result_max, before_max }
        };
        self.seen.iter().zip(&self.before).zip(bits).map(both).collect()
    }

    /// The magnitude that counts, and the largest.
    fn range(&self, seen: &Seen, levels: f64) -> (f64, f64) {
        let octaves = match seen {
            Seen::Largest(largest) => return (f64::from(*largest), f64::from(*largest)),
            Seen::Histogram(octaves) => octaves,
        };
        let bins: Vec<Bin> = octaves
            .iter()
            .flatten()
            .flat_map(|octave| octave.iter().filter(|bin| bin.count > 0).copied())
            .collect();
        let largest = bins.last().map_or(0.0, |bin| f64::from(bin.largest));
        let range = match self.calibration {
            Calibration::MinMax => largest,
            Calibration::Percentile(percent) => percentile(&bins, percent),
            Calibration::Mse => least_error(&bins, levels),
        };
        // Where nearly all is 0, what is not is what the tensor tells.
        (if range > 0.0 { range } else { largest }, largest)
    }
}

fn count(octaves: &mut [Option<Box<Octave>>], v: f32) {
    let bin = (v.to_bits() >> (f32::MANTISSA_DIGITS - 1 - MANTISSA_BITS)) as usize;
    let octave = &mut octaves[bin >> MANTISSA_BITS];
    let octave = octave.get_or_insert_with(|| Box::new([Bin::default(); 1 << MANTISSA_BITS]));
    let bin = &mut octave[bin % (1 << MANTISSA_BITS)];
    bin.count += 1;
    bin.largest = bin.largest.max(v);
    bin.sum += f64::from(v);
}

/// The magnitude that `percent` of the values do not exceed, rounded up to the largest value in its bin.
fn percentile(bins: &[Bin], percent: f64) -> f64 {
    let total: u64 = bins.iter().map(|bin| bin.count).sum();
    let wanted = ((percent / 100.0).clamp(0.0, 1.0) * total as f64).ceil() as u64;
    let mut below = 0;
    for bin in bins {
        below += bin.count;
        if below >= wanted {
            return f64::from(bin.largest);
        }
    }
    0.0
}

/// The magnitude that, taken for the end of `levels` levels, gives the least squared error; of several, the largest. Between the levels
/// errors are taken as spread evenly, a twelfth of a step squared each, but never more than the value itself, which may be rounded to 0.
fn least_error(bins: &[Bin], levels: f64) -> f64 {
    let moments = |bin: &Bin| {
        let (count, sum) = (bin.count as f64, bin.sum);
        [count, sum, sum * sum / count]
    };
    let sums = bins.iter().scan([0.0; 3], |sums, bin| {
        sums.iter_mut().zip(moments(bin)).for_each(|(sum, of_bin)| *sum += of_bin);
        Some(*sums)
    });
    let sums: Vec<[f64; 3]> = std::iter::once([0.0; 3]).chain(sums).collect();
    let between = |from: usize, to: usize| [0, 1, 2].map(|moment| sums[to][moment] - sums[from][moment]);
    let error = |last: usize| {
        let end = f64::from(bins[last].largest);
        let step = end / levels;
        let first = bins.partition_point(|bin| f64::from(bin.largest) < step / 2.0).min(last + 1);
        let [_, _, to_zero] = between(0, first);
        let [rounded, _, _] = between(first, last + 1);
        let [count, sum, squares] = between(last + 1, bins.len());
        // Of a difference of sums, less than nothing may be left.
        to_zero + rounded * step * step / 12.0 + (squares - 2.0 * end * sum + end * end * count).max(0.0)
    };
    let ends = (0..bins.len()).rev().map(|last| (error(last), last));
    let least = ends.min_by(|a, b| a.0.total_cmp(&b.0));
    least.map_or(0.0, |(_, last)| f64::from(bins[last].largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(calibration: Calibration, records: &[&[f32]]) -> f64 {
        range_at(8, calibration, records)
    }

    fn range_at(bits: u32, calibration: Calibration, records: &[&[f32]]) -> f64 {
        let mut ranges = Ranges::new(1, calibration);
        for record in records {
            ranges.observe(&FloatTrace {
                tensors: vec![record.to_vec()],
                before: vec![None],
                output: Vec::new(),
            });
        }
        ranges.finish(&[bits])[0].result
    }

    #[test]
    fn percentiles_count_over_all_records_and_signs() {
        let records: [&[f32]; 2] = [&[1.0, -2.0, 3.0], &[-100.0, 0.0]];
        for (percent, expected) in [(40.0, 1.0), (60.0, 2.0), (80.0, 3.0), (81.0, 100.0)] {
            assert_eq!(range(Calibration::Percentile(percent), &records), expected, "{percent} %");
        }
        assert_eq!(range(Calibration::MinMax, &records), 100.0);
        assert_eq!(range(Calibration::Percentile(f64::NAN), &[&[]]), 0.0);
    }

    #[test]
    fn what_is_hardly_ever_set_keeps_its_range() {
        let mut mask = vec![0.0; 1000];
        mask[17] = 1.0;
        for calibration in [Calibration::MinMax, Calibration::Percentile(99.0), Calibration::Mse] {
            assert_eq!(range(calibration, &[&mask]), 1.0, "{calibration:?}");
        }
    }

    #[test]
    fn zeros_and_constants_are_what_they_are() {
        for calibration in [Calibration::MinMax, Calibration::Percentile(99.9), Calibration::Mse] {
            assert_eq!(range(calibration, &[&[0.0; 50], &[-0.0; 3]]), 0.0, "{calibration:?}");
            assert_eq!(range(calibration, &[&[]]), 0.0);
            assert_eq!(range(calibration, &[&[-2.5; 9], &[2.5; 2]]), 2.5, "{calibration:?}");
            assert_eq!(range(calibration, &[&[f32::MIN_POSITIVE, f32::MAX, 1e-45]]), f64::from(f32::MAX));
        }
    }

    /// Magnitudes spread evenly over 0..=1, each sign in turn.
    fn even(count: u16) -> Vec<f32> {
        (0..count)
            .map(|v| f32::from(v) / f32::from(count - 1) * if v % 2 == 0 { 1.0 } else { -1.0 })
            .collect()
    }

    #[test]
    fn one_outlier_among_many_is_cut_off_and_many_are_not() {
        let (mut one, mut many) = (even(20_000), even(20_000));
        one[7] = 20.0;
        many[..2_000].fill(20.0);
        // With 7 levels; with 127, one value of 20 is worth as much as the rounding of all the others.
        for (values, expected) in [(even(20_000), 0.9..=1.0), (one, 0.9..=1.0), (many, 20.0..=20.0)] {
            let got = range_at(4, Calibration::Mse, &[&values]);
            assert!(expected.contains(&got), "{got} {expected:?}");
        }
    }

    #[test]
    fn the_least_error_is_that_of_a_search_over_all_ends() {
        // A heavy tail: 1/u.
        let values: Vec<f32> = (1..4000u16).map(|v| 40.0 / f32::from(v)).collect();
        let levels = 7.0;
        let squared_error = |end: f64| {
            let step = end / levels;
            let rounded = |v: f64| (v / step).round().min(levels) * step - v;
            values.iter().map(|v| rounded(f64::from(*v)).powi(2)).sum::<f64>()
        };
        let got = squared_error(range_at(4, Calibration::Mse, &[&values]));
        let least = values.iter().map(|v| squared_error(f64::from(*v))).fold(f64::INFINITY, f64::min);
        assert!(got <= 1.25 * least, "{got} {least}");
    }
}
