//! What the work of proving takes on a machine: the rates behind the planner's choices and behind predictions of proving time.
//!
//! The two are kept apart. Layouts are compared by a rough count of columns (`planner`), long before there is a circuit; with the
//! program's own rates for that, [`Rate::LARGE`], a layout is the same on every machine. A prediction counts what the circuit at hand makes a
//! proof ask of kernels, [`Work`], with the memory that it has, and multiplies the counts by rates.

use kiln_plonk::Work;
use serde::{Deserialize, Serialize};

/// What one of each takes, in nanoseconds of CPU time, all threads together, in a circuit of so many rows.
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
    /// A multiplication and an addition in a program that goes over rows, its operands in registers.
    pub multiply_add_ns: f64,
    /// An element of a vector that is made, by such a program or otherwise: memory that is new to the process, and is written.
    pub made_ns: f64,
    /// A cell of a column that the host makes, counts or hands to kernels: what a proof takes besides kernels' elements. In small circuits
    /// that is mostly what every column takes whatever its rows, and what starting kernels takes.
    pub cell_ns: f64,
}

/// An addition without a multiplication, or an element read, in multiplications: all go over registers in the cache, and do little more.
const ADDITION: f64 = 0.25;

impl Rate {
    /// What layouts are compared by where nothing was measured: on an AMD EPYC (Zen 5) with both threads at work, fitted to the proofs of
    /// ResNet-18, ResNet-50 and MobileNetV2 (`zoo/README.md`) by the planner's count of columns, in the proportions of `kiln bench
    /// kernels`. That count has neither vectors made nor cells.
    pub const LARGE: Self = Self {
        k: 20,
        full_ns: 2_200.0,
        small_ns: 100.0,
        butterfly_ns: 10.5,
        multiply_add_ns: 4.2,
        made_ns: 4.2,
        cell_ns: 1.0,
    };

    fn map(self, other: Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            k: self.k,
            full_ns: combine(self.full_ns, other.full_ns),
            small_ns: combine(self.small_ns, other.small_ns),
            butterfly_ns: combine(self.butterfly_ns, other.butterfly_ns),
            multiply_add_ns: combine(self.multiply_add_ns, other.multiply_add_ns),
            made_ns: combine(self.made_ns, other.made_ns),
            cell_ns: combine(self.cell_ns, other.cell_ns),
        }
    }

    fn is_positive(&self) -> bool {
        let all = [
            self.full_ns,
            self.small_ns,
            self.butterfly_ns,
            self.multiply_add_ns,
            self.made_ns,
            self.cell_ns,
        ];
        all.iter().all(|rate| rate.is_finite() && *rate > 0.0)
    }

    /// CPU time of kernels that do this \[ms\].
    pub fn kernels_ms(&self, work: &Work) -> f64 {
        let multiply_adds = Self::multiply_adds(work.multiplications, work.additions + work.loads);
        let nanoseconds = self.full_ns * work.full_filled as f64
            + self.small_ns * work.small_filled as f64
            + self.butterfly_ns * work.butterflies as f64
            + self.multiply_add_ns * multiply_adds
            + self.made_ns * (work.made + work.spilled) as f64;
        nanoseconds / 1e6
    }

    /// CPU time of a proof that takes this \[ms\].
    pub fn proof_ms(&self, work: &Work) -> f64 {
        self.kernels_ms(work) + self.cell_ns * work.cells as f64 / 1e6
    }

    /// Multiplications and additions (or elements read), in pairs of one each.
    pub fn multiply_adds(multiplications: u64, additions: u64) -> f64 {
        (multiplications as f64 + ADDITION * additions as f64) / (1.0 + ADDITION)
    }
}

/// Rates by the size of the circuit: the larger it is, the less a commitment takes for each element, and the less counts what every proof
/// takes. In between they are interpolated, beyond the ends they stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// What predictions go by.
    sizes: Vec<Rate>,
    /// What layouts are compared by, where that is something else.
    layouts: Option<Rate>,
}

/// The program's own: layouts are the same on every machine, and predictions are for the machine that it was measured on.
impl Default for Rates {
    fn default() -> Self {
        Self { sizes: MEASURED.to_vec(), layouts: Some(Rate::LARGE) }
    }
}

/// By `kiln tune --sizes …`, on two cores of an AMD EPYC (Zen 5) with AVX-512, rounded to three digits: at 2^10 to 2^12 rows
/// medians of six runs; from there one run each that other work shared, in memory that was used before. (Runs differ by a fifth, and proofs as much, with what else the machine does.)
const MEASURED: [Rate; 6] = [
    measured(10, [2_620.0, 185.0, 16.9, 5.32, 82.7, 670.0]),
    measured(11, [2_050.0, 126.0, 15.1, 5.06, 58.2, 406.0]),
    measured(12, [1_790.0, 96.0, 14.1, 5.33, 63.3, 271.0]),
    measured(14, [1_610.0, 86.9, 13.8, 5.44, 37.4, 140.0]),
    measured(16, [1_500.0, 78.8, 11.3, 5.68, 29.2, 76.4]),
    measured(18, [1_510.0, 89.1, 15.4, 5.46, 33.9, 56.7]),
];

/// Rates in the order of [`Rate`]'s fields.
const fn measured(k: u32, rates: [f64; 6]) -> Rate {
    let [full_ns, small_ns, butterfly_ns, multiply_add_ns, made_ns, cell_ns] = rates;
    Rate { k, full_ns, small_ns, butterfly_ns, multiply_add_ns, made_ns, cell_ns }
}

impl Rates {
    /// Rates in the order of their sizes, for predictions and for layouts; none if there are none, or if one of them is not a positive
    /// number.
    pub fn new(rates: Vec<Rate>) -> Option<Self> {
        let ordered = rates.is_sorted_by(|a, b| a.k < b.k);
        let usable = ordered && !rates.is_empty() && rates.iter().all(Rate::is_positive);
        usable.then_some(Self { sizes: rates, layouts: None })
    }

    /// Size by size.
    pub fn sizes(&self) -> &[Rate] {
        &self.sizes
    }

    /// CPU time of a proof that takes this, all threads together \[ms\].
    pub fn proof_ms(&self, work: &Work) -> f64 {
        self.at(work.k).proof_ms(work)
    }

    /// What layouts of 2^k rows are compared by.
    pub(super) fn of_layouts(&self, k: u32) -> Rate {
        self.layouts.unwrap_or_else(|| self.at(k))
    }

    /// The rates of a circuit of 2^k rows.
    fn at(&self, k: u32) -> Rate {
        let above = self.sizes.partition_point(|rate| rate.k < k);
        match (above.checked_sub(1).and_then(|below| self.sizes.get(below)), self.sizes.get(above)) {
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
        Rate { k, full_ns: ns, small_ns: ns, butterfly_ns: ns, multiply_add_ns: ns, made_ns: ns, cell_ns: ns }
    }

    #[test]
    fn rates_are_interpolated_between_sizes_and_stay_beyond_them() {
        let rates = Rates::new(vec![rate(10, 8.0), rate(14, 4.0)]).unwrap();
        for (k, expected) in [(5, 8.0), (10, 8.0), (11, 7.0), (13, 5.0), (14, 4.0), (24, 4.0)] {
            assert_eq!(rates.at(k), rate(rates.at(k).k, expected), "{k}");
            assert_eq!(rates.of_layouts(k), rates.at(k), "{k}");
        }
    }

    #[test]
    fn layouts_are_compared_by_the_same_rates_whatever_their_size_and_the_predictions_rates() {
        for k in [3, 10, 24] {
            assert_eq!(Rates::default().of_layouts(k), Rate::LARGE);
        }
        assert!(Rates::new(Rates::default().sizes().to_vec()).is_some());
    }

    #[test]
    fn every_count_that_grows_makes_the_prediction_grow() {
        let none = Work { k: 12, ..Work::default() };
        let rates = Rates::default();
        assert_eq!(rates.proof_ms(&none), 0.0);
        for more in [
            Work { full_filled: 1, ..none },
            Work { small_filled: 1, ..none },
            Work { butterflies: 1, ..none },
            Work { multiplications: 1, ..none },
            Work { additions: 1, ..none },
            Work { loads: 1, ..none },
            Work { made: 1, ..none },
            Work { spilled: 1, ..none },
            Work { cells: 1, ..none },
        ] {
            assert!(rates.proof_ms(&more) > 0.0, "{more:?}");
        }
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
            vec![Rate { cell_ns: -1.0, ..rate(10, 1.0) }],
        ] {
            assert_eq!(Rates::new(rates.clone()), None, "{rates:?}");
        }
    }
}
