//! Sums in single precision over a window, told from integers: what a runtime gets that adds up `x = fl(v·s)` of integers `v` one after the
//! other, `S = fl(S + x)`.
//!
//! All numbers are whole multiples of a unit, the lowest bit of `s = m` units. `S` deviates from `P·m`, of the sum `P` of integers, by what was
//! rounded: `S = P·m + d`, `d = Σ e + Σ c`, where `e` is a number's **error**, `x = v·m + e`, and `c` an addition's **correction**. Which `d` there may be is
//! known between two numbers ([`Reached`]), so nearly every `P` tells the average; where it does not, one threshold of `d` does, since each step
//! grows with `S`.
//!
//! The correction of `z = P·m + d` follows from how many of its bits are rounded away, and from these. How many is the binade of `z`, which `P` tells, or, where
//! numbers of one `P` lie on both sides of a power of two, how far from it they are: a [`Class`] of `P`. So one table has corrections, by
//! the place of `P` in its class and `d`: [`Corrections`].

use std::collections::BTreeMap;

/// Bits of a sum of units that is exact while hulls are worked out.
const EXACT_BITS: i32 = 52;

/// For each sum of integers, from the least on, the least and the largest number of units.
struct Hulls {
    least: Vec<f64>,
    most: Vec<f64>,
}

/// What sums of up to so many integers may be in single precision.
pub(super) struct Reached {
    /// The least integer.
    least: i64,
    /// The least sum of integers.
    first: i64,
    unit: f64,
    /// The scale in units.
    scale: i64,
    /// Of each integer's number.
    errors: Vec<i64>,
    /// The sums.
    sums: Hulls,
    /// What any of the additions gives before it is rounded.
    before: Hulls,
}

/// What a runtime makes of the numbers of one sum of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The result of the least of them.
    pub(super) least: i64,
    /// From which deviation on the result is one more, if it is for some.
    pub(super) above: Option<i64>,
}

/// Which bits of a number are rounded away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    /// How many; of numbers on both sides of a power of two, of the smaller ones.
    places: u32,
    /// Of numbers on both sides of a power of two, its sign.
    edge: Option<i64>,
}

/// The corrections of all additions, as a table.
pub(super) struct Corrections {
    /// With where each begins and ends.
    classes: Vec<(Class, i64, i64)>,
    /// For each sum of integers, where it is without a deviation.
    of_sums: Vec<i64>,
    first: i64,
}

/// The lowest bit of a number.
fn unit_of(scale: f32) -> Option<f64> {
    let mantissa = scale.to_bits() | 1 << (f32::MANTISSA_DIGITS - 1);
    let exponent = (scale.to_bits() >> (f32::MANTISSA_DIGITS - 1)) as i32 - 150;
    (scale.is_normal() && scale > 0.0).then(|| 2f64.powi(exponent + mantissa.trailing_zeros() as i32))
}

/// How many bits of a whole number single precision has no place for.
fn places(units: f64) -> u32 {
    let bits = u64::BITS - (units.abs() as u64).leading_zeros();
    bits.saturating_sub(f32::MANTISSA_DIGITS)
}

/// What the lowest bits of a number are once they are rounded away, halves to even, less what they were.
fn correction(units: i64, places: u32) -> i64 {
    let unit = 1i64 << places;
    let (whole, rest) = (units >> places, units & (unit - 1));
    if 2 * rest > unit || 2 * rest == unit && whole & 1 == 1 { unit - rest } else { -rest }
}

impl Hulls {
    fn none(len: usize) -> Self {
        Self { least: vec![f64::INFINITY; len], most: vec![f64::NEG_INFINITY; len] }
    }

    /// Sums `at..at + len` with a number more: what they become stands at `to` and behind it.
    fn add(&mut self, to: usize, sums: &Self, (at, len): (usize, usize), number: f64) {
        for (sum, from) in self.least[to..].iter_mut().zip(&sums.least[at..at + len]) {
            *sum = sum.min(from + number);
        }
        for (sum, from) in self.most[to..].iter_mut().zip(&sums.most[at..at + len]) {
            *sum = sum.max(from + number);
        }
    }

    /// Whatever lies in either.
    fn join(&mut self, other: &Self) {
        self.least.iter_mut().zip(&other.least).for_each(|(one, other)| *one = one.min(*other));
        self.most.iter_mut().zip(&other.most).for_each(|(one, other)| *one = one.max(*other));
    }

    fn round(&mut self) {
        let both = self.least.iter_mut().chain(&mut self.most);
        both.for_each(|units| *units = f64::from(*units as f32));
    }

    fn each(&self) -> impl Iterator<Item = (f64, f64)> {
        self.least.iter().copied().zip(self.most.iter().copied())
    }
}

impl Reached {
    /// Sums of at most `count` integers of a range that has 0, each times `scale`. Returns none at scales that are no positive normal numbers.
    pub(super) fn of(scale: f32, range: (i64, i64), count: usize) -> Option<Self> {
        let unit = unit_of(scale)?;
        let in_units = |v: i64| f64::from(v as f32 * scale) / unit;
        let numbers: Vec<f64> = (range.0..=range.1).map(in_units).collect();
        let largest = numbers.iter().fold(0.0, |most: f64, number| most.max(number.abs()));
        if largest * (count + 1) as f64 >= 2f64.powi(EXACT_BITS) {
            return None;
        }
        let scale = in_units(1) as i64;
        let errors = (range.0..).zip(&numbers).map(|(v, number)| *number as i64 - v * scale).collect();
        let (first, width) = (count as i64 * range.0, (range.1 - range.0) as usize);
        let len = count * width + 1;
        let (mut sums, mut before) = (Hulls::none(len), Hulls::none(len));
        let none = (-first) as usize;
        (sums.least[none], sums.most[none]) = (0.0, 0.0);
        for added in 0..count {
            let at = added as i64 * range.0 - first;
            let mut next = Hulls::none(len);
            for (v, number) in (range.0..).zip(&numbers) {
                next.add((at + v) as usize, &sums, (at as usize, added * width + 1), *number);
            }
            before.join(&next);
            next.round();
            sums = next;
        }
        Some(Self { least: range.0, first, unit, scale, errors, sums, before })
    }

    /// Sums of integers from the least on, each with the hull of the numbers that it may be.
    fn each<'h>(&self, hulls: &'h Hulls) -> impl Iterator<Item = (i64, (f64, f64))> + use<'h> {
        (self.first..).zip(hulls.each())
    }

    /// For each sum of integers, from the least on, what `of` makes of the numbers that it may be; `of` grows with its argument. Returns none
    /// if there are more than two results for one sum.
    pub(super) fn decide(&self, of: &dyn Fn(f32) -> i64) -> Option<Vec<Decision>> {
        let of = |units: f64| of((units * self.unit) as f32);
        let one = |(sum, (first, last)): (i64, (f64, f64))| {
            let (least, most) = (of(first), of(last));
            let (mut first, mut last) = (first as i64, last as i64);
            while first < last {
                let middle = first + (last - first).div_euclid(2);
                // What is between two numbers of single precision becomes one of them, and the order stays.
                if of(f64::from(middle as f32)) > least { last = middle } else { first = middle + 1 }
            }
            let above = (most > least).then(|| first - sum * self.scale);
            (most - least <= 1).then_some(Decision { least, above })
        };
        self.each(&self.sums).map(one).collect()
    }

    /// All corrections. Returns none if the numbers of a sum are on more than two sides of powers of two.
    pub(super) fn corrections(&self) -> Option<Corrections> {
        let of = |(sum, hull): (i64, (f64, f64))| {
            let class = Class::of(hull)?;
            let units = sum * self.scale;
            let at = class.place(units);
            let end = |end: f64| (end as i64 - units + at).abs();
            Some((class, at, end(hull.0).max(end(hull.1))))
        };
        let sums = self.each(&self.before).map(of).collect::<Option<Vec<_>>>()?;
        let mut reach: BTreeMap<Class, i64> = BTreeMap::new();
        for (class, _, own) in &sums {
            let most = reach.entry(*class).or_default();
            *most = (*most).max(*own);
        }
        let mut begin = -reach.values().map(|reach| 2 * reach + 1).sum::<i64>() / 2;
        let place = |(class, reach): (&Class, &i64)| {
            let own = (*class, begin, begin + 2 * reach);
            begin = own.2 + 1;
            own
        };
        let classes: Vec<_> = reach.iter().map(place).collect();
        let centre = |class: Class| {
            let own = classes.iter().find(|(known, ..)| *known == class);
            own.map_or(0, |(_, begin, end)| (begin + end) / 2)
        };
        let of_sums = sums.iter().map(|(class, at, _)| centre(*class) + at).collect();
        Some(Corrections { classes, of_sums, first: self.first })
    }

    /// The error of an integer's number, in units.
    pub(super) fn error(&self, v: i64) -> i64 {
        let at = usize::try_from(v - self.least).ok();
        at.and_then(|at| self.errors.get(at)).copied().unwrap_or(0)
    }

    /// The largest magnitude of an error.
    pub(super) fn largest_error(&self) -> i64 {
        self.errors.iter().map(|error| error.abs()).max().unwrap_or(0)
    }

    /// The least and the largest sum of integers.
    pub(super) fn ends(&self) -> (i64, i64) {
        (self.first, self.first + self.sums.least.len() as i64 - 1)
    }
}

impl Class {
    /// That of the numbers between two.
    fn of((first, last): (f64, f64)) -> Option<Self> {
        let (of_first, of_last) = (places(first), places(last));
        let one_side = first.signum() == last.signum();
        let places = of_first.min(of_last);
        match of_first.abs_diff(of_last) {
            // Also where numbers of both signs are: those between them are smaller.
            0 if one_side || places == 0 => Some(Self { places, edge: None }),
            1 if one_side => Some(Self { places, edge: Some(first.signum() as i64) }),
            _ => None,
        }
    }

    /// What of a number is told: so much that the bits which are rounded away, and the next, are those of the number.
    fn place(self, units: i64) -> i64 {
        match self.edge {
            None => {
                let half = 1 << self.places;
                (units + half).rem_euclid(2 * half) - half
            }
            Some(sign) => units - (sign << (f32::MANTISSA_DIGITS + self.places)),
        }
    }

    /// The correction of a number of which so much is told.
    fn correction(self, told: i64) -> i64 {
        let beyond = self.edge.is_some_and(|sign| sign * told >= 0);
        correction(told, self.places + u32::from(beyond))
    }
}

impl Corrections {
    /// Where a sum of integers is in the table; one that there is not, where the nearest is.
    pub(super) fn place(&self, sum: i64) -> i64 {
        let at = (sum - self.first).clamp(0, self.of_sums.len() as i64 - 1);
        self.of_sums[at as usize]
    }

    /// The correction at a place to which a deviation has been added.
    pub(super) fn at(&self, q: i64) -> i64 {
        let class = self.classes.iter().find(|(_, begin, end)| (*begin..=*end).contains(&q));
        class.map_or(0, |(class, begin, end)| class.correction(q - (begin + end) / 2))
    }

    /// The largest magnitude of a correction.
    pub(super) fn largest(&self) -> i64 {
        let most =
            self.classes.iter().map(|(class, ..)| class.places + u32::from(class.edge.is_some())).max();
        most.map_or(0, |most| (1 << most) / 2)
    }

    /// The largest magnitude of a place.
    pub(super) fn farthest(&self) -> i64 {
        self.of_sums.iter().map(|place| place.abs()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Adds up integers in single precision and by deviations, and compares them; `of` tells the result of a number.
    fn check(scale: f32, range: (i64, i64), integers: &[i64], of: &dyn Fn(f32) -> i64) -> Result<(), String> {
        let reached = Reached::of(scale, range, integers.len()).ok_or("out of reach")?;
        let decisions = reached.decide(of).ok_or("more than two results")?;
        let corrections = reached.corrections().ok_or("no classes")?;
        let (mut single, mut sum, mut deviation) = (0f32, 0, 0);
        for v in integers {
            (single, sum) = (single + *v as f32 * scale, sum + v);
            deviation += reached.error(*v);
            deviation += corrections.at(corrections.place(sum) + deviation);
        }
        let units = (f64::from(single) / reached.unit) as i64;
        if sum * reached.scale + deviation != units {
            return Err(format!("{integers:?} at {scale}: deviation {deviation} of {units}"));
        }
        let Decision { least, above } = decisions[(sum - reached.first) as usize];
        let carry = above.is_some_and(|from| deviation >= from);
        let (got, expected) = (least + i64::from(carry), of(single));
        (got == expected)
            .then_some(())
            .ok_or_else(|| format!("{integers:?} at {scale}: {got}, not {expected}"))
    }

    /// What the runtime makes of a sum of `count` numbers.
    fn average(scale: f32, count: f32, zero: f32) -> impl Fn(f32) -> i64 {
        move |sum| (sum / count / scale + zero).round_ties_even() as i64
    }

    proptest! {
        #[test]
        fn deviations_tell_what_single_precision_gives(
            mantissa in 1.0f32..2.0,
            unsigned in any::<bool>(),
            integers in proptest::collection::vec(0i64..256, 1..12),
            zero in 0u8..4,
        ) {
            let offset = if unsigned { 0 } else { 119 };
            let integers: Vec<i64> = integers.iter().map(|v| v - offset).collect();
            // Sums near powers of two, few significant bits, and any.
            for scale in [mantissa * 0.004, 1.0 / 255.0, 0.5 / 255.0, 1.0 / 127.0, 1.0 / 51.0, 0.0117, 0.25, 0.375] {
                let of = average(scale, integers.len() as f32, f32::from(zero));
                check(scale, (-offset, 255 - offset), &integers, &of).map_err(TestCaseError::fail)?;
            }
        }
    }

    #[test]
    fn sums_at_powers_of_two_have_classes_of_their_own() {
        // 17 of them are as near to 1 as single precision goes.
        let reached = Reached::of(1.0 / 17.0, (-255, 255), 2).unwrap();
        let corrections = reached.corrections().unwrap();
        let edges: Vec<_> = corrections.classes.iter().filter_map(|(class, ..)| class.edge).collect();
        assert!(edges.contains(&1) && edges.contains(&-1), "{:?}", corrections.classes);
        for (a, b) in (-255..=255).flat_map(|a| (-255..=255).map(move |b| (a, b))) {
            let single = a as f32 * (1.0 / 17.0) + b as f32 * (1.0 / 17.0);
            let before = reached.error(a) + reached.error(b);
            let deviation = before + corrections.at(corrections.place(a + b) + before);
            let units = (f64::from(single) / reached.unit) as i64;
            assert_eq!((a + b) * reached.scale + deviation, units, "{a} {b}");
        }
    }

    #[test]
    fn sums_of_few_significant_bits_are_told_by_their_integers_alone() {
        let reached = Reached::of(0.25, (-128, 127), 4).unwrap();
        let decisions = reached.decide(&average(0.25, 4.0, 0.0)).unwrap();
        assert!(decisions.iter().all(|decision| decision.above.is_none()));
        let reached = Reached::of(0.0117, (-128, 127), 4).unwrap();
        let decisions = reached.decide(&average(0.0117, 4.0, 0.0)).unwrap();
        assert!(decisions.iter().any(|decision| decision.above.is_some()));
    }

    #[test]
    fn scales_that_are_no_positive_normal_numbers_are_refused() {
        for scale in [0.0, -1.0, f32::INFINITY, f32::NAN, 1e-40] {
            assert!(Reached::of(scale, (-128, 127), 4).is_none(), "{scale}");
        }
    }
}
