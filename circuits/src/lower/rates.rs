//! What the work of proving takes on a machine: the rates behind the planner's predictions.

use serde::{Deserialize, Serialize};

/// What one thread takes for one of each, in nanoseconds, in a circuit of so many rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// log2 of the rows.
    pub k: u32,
    /// A full-width element committed to.
    pub full_ns: f64,
    /// A small one.
    pub small_ns: f64,
    /// A butterfly of a transform.
    pub butterfly_ns: f64,
    /// A multiplication and an addition in a program that goes over rows.
    pub multiply_add_ns: f64,
}

impl Rate {
    /// On an AMD EPYC (Zen 5) with both threads at work: fitted to the proofs of ResNet-18, ResNet-50 and MobileNetV2 (`zoo/README.md`), in
    /// the proportions of `kiln bench kernels`.
    pub const LARGE: Self =
        Self { k: 20, full_ns: 2_200.0, small_ns: 100.0, butterfly_ns: 10.5, multiply_add_ns: 4.2 };

    fn map(self, other: Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            k: self.k,
            full_ns: combine(self.full_ns, other.full_ns),
            small_ns: combine(self.small_ns, other.small_ns),
            butterfly_ns: combine(self.butterfly_ns, other.butterfly_ns),
            multiply_add_ns: combine(self.multiply_add_ns, other.multiply_add_ns),
        }
    }

    fn is_positive(&self) -> bool {
        let all = [self.full_ns, self.small_ns, self.butterfly_ns, self.multiply_add_ns];
        all.iter().all(|rate| rate.is_finite() && *rate > 0.0)
    }
}

/// Rates by the size of the circuit: the larger it is, the less a commitment takes for each element, and the less counts what every proof
/// takes. In between they are interpolated, beyond the ends they stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(Vec<Rate>);

/// The one set of rates with which layouts are the same on every machine.
impl Default for Rates {
    fn default() -> Self {
        Self(vec![Rate::LARGE])
    }
}

impl Rates {
    /// Rates in the order of their sizes; none if there are none, or if one of them is not a positive number.
    pub fn new(rates: Vec<Rate>) -> Option<Self> {
        let ordered = rates.is_sorted_by(|a, b| a.k < b.k);
        (ordered && !rates.is_empty() && rates.iter().all(Rate::is_positive)).then_some(Self(rates))
    }

    /// Size by size.
    pub fn sizes(&self) -> &[Rate] {
        &self.0
    }

    /// The rates of a circuit of 2^k rows.
    pub(super) fn at(&self, k: u32) -> Rate {
        let above = self.0.partition_point(|rate| rate.k < k);
        match (above.checked_sub(1).and_then(|below| self.0.get(below)), self.0.get(above)) {
            (Some(below), Some(above)) => {
                let share = f64::from(k - below.k) / f64::from(above.k - below.k);
                below.map(*above, |a, b| a + share * (b - a))
            }
            (Some(end), None) | (None, Some(end)) => *end,
            (None, None) => Rate::LARGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(k: u32, ns: f64) -> Rate {
        Rate { k, full_ns: ns, small_ns: ns, butterfly_ns: ns, multiply_add_ns: ns }
    }

    #[test]
    fn rates_are_interpolated_between_sizes_and_stay_beyond_them() {
        let rates = Rates::new(vec![rate(10, 8.0), rate(14, 4.0)]).unwrap();
        for (k, expected) in [(5, 8.0), (10, 8.0), (11, 7.0), (13, 5.0), (14, 4.0), (24, 4.0)] {
            assert_eq!(rates.at(k).full_ns, expected, "{k}");
            assert_eq!(rates.at(k).multiply_add_ns, expected, "{k}");
        }
        assert_eq!(Rates::default().at(3).full_ns, Rates::default().at(24).full_ns);
    }

    #[test]
    fn rates_that_mean_nothing_are_none() {
        for rates in [
            vec![],
            vec![rate(10, 1.0), rate(10, 1.0)],
            vec![rate(12, 1.0), rate(10, 1.0)],
            vec![rate(10, 0.0)],
            vec![rate(10, f64::NAN)],
            vec![rate(10, f64::INFINITY)],
        ] {
            assert_eq!(Rates::new(rates.clone()), None, "{rates:?}");
        }
    }
}
