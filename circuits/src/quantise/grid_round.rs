//! Exact sums `a` to the integers that the model itself asks for: `v = f(a)`, such as `saturate(round(single(a)·M))` with halves to even, for
//! any multiplier, a hidden one for each channel. `f` is known only as a function that grows with `a`; nothing is taken for granted of how
//! it is computed.
//!
//! **Nearest.** `v = saturate(⌊(p·a + o)/U⌋)`, one division of a wide number. `U` has some 38 bits and is public; `p ≈ M·U` and `o` are of the channel,
//! and `p` goes into its weights, `o` into its bias. Where `f` takes each of its steps says between which lines `p·a + o` has to be; the
//! widest place between them is found by bisection, since its width is a concave function of `p`. So either there are such numbers,
//! and `v` is right for every sum that the channel can reach, or there are none.
//!
//! **Even.** There are none where halves go up in one place and down in another, by the rounding of single precision or because scales are powers
//! of two. Then `u = round(2·p·a/U)` tells the rest: where it is even, `v = u/2`; where it is odd, `a` is near a half, and `v` is `(u − 1)/2` or
//! `(u + 1)/2` by the sign of what is left. What counts as nothing left, and goes to the even one of them, is half a unit in the last place of single
//! precision, which follows from `u`. Every step of `f` is tried; a layer of which one comes out wrong is said not to be exact.
//!
//! A wide number is a node with a modulus and the digits of what is left ([`Linear::Rest`]), of as many bits as a table has, and one with a
//! shift: two or three nodes for the nearest, four or five for halves, by the size of the tables. Sums that go beyond any table take one digit more in front, which
//! only tells that they do, and one node to put them together.

use super::{Builder, Figures, QuantiseError};
use crate::float::Grid;
use crate::graph::{Linear, TableKind, Tensor, TensorId, Term, View, quotient, requantise};

/// Bits of a divisor: so many that some line fits between the steps of a channel, unless halves are in the way.
const DIVISOR_BITS: u32 = 38;
/// The same of a divisor of doubled sums, where halves are: what counts as one is some 2^−24 of it.
const DIVISOR_BITS_EVEN: u32 = 42;
/// Most bits of the first digit of what is left beside a half, so that what counts as a half is within the second.
const MIDDLE_BITS_MAX: u32 = 13;
/// Most bits of a digit behind one that only tells that sums go beyond.
const BEHIND_BITS_MAX: u32 = 12;
/// Most bits of an accumulator.
const WIDE_BITS_MAX: u32 = 60;
/// How many divisors to try: with each, factors are rounded to other parts of it.
const TRIES: i64 = 24;
/// By how much a factor may differ from the multiplier.
const AWAY: f64 = 1.0 / 128.0;
/// Half a unit in the last place of a number from 2^j to 2^(j+1), doubled as `u` is, is 2^(j − 24); these j are told apart, smaller ones are not.
const PLACES: std::ops::RangeInclusive<u32> = 2..=8;
/// Numbers of what is left beside a half: none, as many each way as there are places, and more.
const SIDES: i64 = 7;

/// Sums, channel by channel, and what becomes of them.
pub(super) struct Sums<'a> {
    /// The least and the largest of each channel.
    pub ranges: Vec<(i64, i64)>,
    /// About how many steps one more in a sum makes.
    pub multipliers: Vec<f64>,
    /// As many steps as a circuit's bound of all accumulators has, which is more than that of each channel.
    pub bound: f64,
    /// As many steps as a sum of 0 may be from 0.
    pub offset: f64,
    /// The least and the largest integer.
    pub saturated: (i64, i64),
    /// The integer of a channel's sum; it grows with the sum.
    pub of: &'a dyn Fn(usize, i64) -> i64,
}

/// `factor·a + offset`, the accumulator of a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub factor: i64,
    pub offset: i64,
}

/// A digit of a wide number.
#[derive(Clone, Copy, Debug)]
struct Digit {
    /// What it is worth.
    modulus: i64,
    shift: u32,
    /// Its largest magnitude, if it has no shift the digit itself.
    reach: i64,
}

/// About how many nodes a layer has at such tables, the most of those that few are over.
pub(super) fn nodes(shift: u32, q_bits: u32) -> usize {
    let behind = DIVISOR_BITS_EVEN.saturating_sub(q_bits.min(MIDDLE_BITS_MAX) + 1 + shift);
    3 + behind.div_ceil(q_bits + 1) as usize
}

/// What a digit tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// That sums go beyond what the next holds.
    Beyond,
    /// Steps, or halves of them.
    Whole,
    /// On which side of a half what is left is, unless it is near.
    Middle,
    /// The same near a half.
    Low,
    /// Nothing but that it is there.
    Rest,
}

/// The numbers of a layer.
pub(super) struct Rounding {
    pub lines: Vec<Line>,
    /// From the highest.
    digits: Vec<Digit>,
    /// Whether halves go to the even integer.
    even: bool,
    /// Whether the first digit only tells that sums go beyond.
    beyond: bool,
}

/// A channel's steps.
struct Steps {
    range: (i64, i64),
    /// What becomes of its least and its largest sum.
    ends: (i64, i64),
    /// For each integer above the first, the least sum that becomes it or more.
    least: Vec<i64>,
}

impl Steps {
    fn of(sums: &Sums<'_>, channel: usize) -> Self {
        let (range, of) = (sums.ranges[channel], |sum| (sums.of)(channel, sum));
        let ends = (of(range.0), of(range.1));
        let mut first = range.0;
        let mut least = Vec::new();
        for v in ends.0 + 1..=ends.1 {
            let mut end = range.1;
            while first < end {
                let middle = first + (end - first) / 2;
                if of(middle) >= v { end = middle } else { first = middle + 1 }
            }
            least.push(first);
        }
        Self { range, ends, least }
    }

    /// Each integer above the first, with the least sum that becomes it or more.
    fn each(&self) -> impl Iterator<Item = (i64, i64)> {
        (self.ends.0 + 1..).zip(self.least.iter().copied())
    }

    /// Least and largest `o` at which `p·a + o` has these steps; `from` tells from which number on each integer is reached.
    fn offsets(&self, p: i128, from: &From<'_>) -> (i128, i128) {
        let at = |sum: i64| p * i128::from(sum);
        let mut between = (i128::MIN, i128::MAX);
        for (v, least) in self.each() {
            between = (between.0.max(from.of(v) - at(least)), between.1.min(from.of(v) - 1 - at(least - 1)));
        }
        if self.ends.0 > from.saturated.0 {
            between.0 = between.0.max(from.of(self.ends.0) - at(self.range.0));
        }
        if self.ends.1 < from.saturated.1 {
            between.1 = between.1.min(from.of(self.ends.1 + 1) - 1 - at(self.range.1));
        }
        // Open ends, of a channel that reaches neither the least integer nor the largest but from beyond.
        let (lo, hi) = from.saturated;
        let any = (from.of(lo + 1) - 1 - at(self.range.1), from.of(hi) - at(self.range.0));
        match between {
            (i128::MIN, i128::MAX) if self.ends.0 == lo => (any.0, any.0),
            (i128::MIN, i128::MAX) => (any.1, any.1),
            (i128::MIN, most) => (most, most),
            (least, i128::MAX) => (least, least),
            between => between,
        }
    }

    /// The line that has these steps, in the middle of where there are some; without an offset if `level`.
    fn line(&self, multiplier: f64, from: &From<'_>, level: bool) -> Option<Line> {
        let width = |p: i64| {
            let (least, most) = self.offsets(p.into(), from);
            if level { most.min(-least) } else { most - least }
        };
        let about = multiplier * from.divisor;
        let away = (about * AWAY) as i64 + 1;
        let mut factor = about.round() as i64;
        if width(factor) < 0 {
            let (mut first, mut last) = (factor - away, factor + away);
            while first < last {
                let middle = first + (last - first).div_euclid(2);
                if width(middle + 1) > width(middle) { first = middle + 1 } else { last = middle }
            }
            factor = first;
        }
        let (least, most) = self.offsets(factor.into(), from);
        let offset = if level { 0 } else { least + (most - least) / 2 };
        let offset = i64::try_from(offset).ok()?;
        (width(factor) >= 0).then_some(Line { factor, offset })
    }
}

/// From which accumulator on each integer is reached.
struct From<'a> {
    saturated: (i64, i64),
    /// From one more than the least integer on.
    least: &'a [i128],
    /// What one in an integer is worth.
    divisor: f64,
}

impl From<'_> {
    fn of(&self, v: i64) -> i128 {
        let index = usize::try_from(v - self.saturated.0 - 1).unwrap_or(0);
        self.least.get(index).or(self.least.last()).copied().unwrap_or(0)
    }
}

/// Digits of so many bits altogether, from the highest, each of at most `most` bits with its sign; the last has the shift.
fn behind(bits: u32, shift: u32, most: u32) -> Vec<Digit> {
    let mut bits = bits.saturating_sub(shift).max(2);
    let mut digits = Vec::new();
    while bits > 0 {
        let own = bits.clamp(2, most);
        bits = bits.saturating_sub(own);
        let shift = if bits == 0 { shift } else { 0 };
        digits.push(Digit { modulus: 1, shift, reach: (1i64 << (own - 1)) - 1 });
    }
    digits
}

/// Tells each digit what it is worth.
fn worth(mut digits: Vec<Digit>) -> Vec<Digit> {
    let mut modulus = 1;
    for digit in digits.iter_mut().rev() {
        digit.modulus = modulus;
        modulus *= digit.span();
    }
    digits
}

impl Digit {
    /// How many numbers it holds, with what its shift drops.
    fn span(self) -> i64 {
        (2 * self.reach + 1) << self.shift
    }
}

impl Rounding {
    /// Numbers at which all sums become what they should, if there are some; `offsets` tells whether accumulators may have any.
    pub(super) fn of(sums: &Sums<'_>, shift: u32, q_bits: u32, offsets: bool) -> Option<Self> {
        let steps: Vec<Steps> = (0..sums.ranges.len()).map(|channel| Steps::of(sums, channel)).collect();
        let nearest = |less| Self::nearest(sums, &steps, (shift, q_bits), less);
        let nearest = if offsets { (0..TRIES).find_map(nearest) } else { None };
        let to_even = |less| Self::to_even(sums, &steps, (shift, q_bits), offsets, less);
        let rounding = nearest.or_else(|| (0..TRIES).find_map(to_even))?;
        (rounding.reach(sums.saturated) < 1 << q_bits).then_some(rounding)
    }

    /// The largest number of steps that any sum is from 0, saturated or not.
    fn farthest(sums: &Sums<'_>) -> f64 {
        let each = sums.ranges.iter().zip(&sums.multipliers);
        let farthest = each.map(|((lo, hi), m)| m * (hi.max(&-lo) + 1) as f64).fold(2.0, f64::max);
        farthest * (1.0 + AWAY) + sums.offset + 2.0
    }

    /// The first digit: how far sums go if tables hold it, or what is beyond. Returns none if even that is beyond tables.
    fn with_first(
        rest: Vec<Digit>,
        farthest: f64,
        shift: u32,
        q_bits: u32,
        even: bool,
    ) -> Option<(Vec<Digit>, bool)> {
        let top = (1i64 << q_bits) - 1;
        let first = |reach: i64, shift| Digit { modulus: 1, shift, reach };
        let mut digits = rest;
        let beyond = farthest >= top as f64;
        if beyond {
            let reach = (1i64 << q_bits.min(BEHIND_BITS_MAX)) - 1;
            let far = farthest / (2 * reach + 1) as f64 + 1.0;
            if far >= top as f64 {
                return None;
            }
            digits.splice(0..0, [first(far.ceil() as i64, 0), first(reach, 0)]);
        } else {
            digits.insert(0, first(farthest.ceil() as i64, if even { 0 } else { shift }));
        }
        let digits = worth(digits);
        let bits = digits.first().map_or(0, |first| super::bits((0, first.modulus)) + first.shift);
        let wide = bits + super::bits((0, digits[0].reach));
        (wide <= WIDE_BITS_MAX).then_some((digits, beyond))
    }

    /// The most bits of a divisor: accumulators are bounded by the most of a circuit.
    fn most(sums: &Sums<'_>) -> u32 {
        // Offsets go as far as results do.
        let results = 8 * (sums.saturated.1.max(-sums.saturated.0) + 1);
        (f64::from(WIDE_BITS_MAX) - sums.bound.max(results as f64).log2()).clamp(0.0, 60.0) as u32
    }

    fn nearest(sums: &Sums<'_>, steps: &[Steps], (shift, q_bits): (u32, u32), less: i64) -> Option<Self> {
        let farthest = Self::farthest(sums);
        let own = if farthest >= ((1i64 << q_bits) - 1) as f64 { 0 } else { shift };
        let most = Self::most(sums);
        let count = DIVISOR_BITS.min(most).saturating_sub(own + shift).div_ceil(q_bits + 1).max(1);
        // Digits of one size, for one table, and as large as they may be.
        let bits = most.saturating_sub(own + shift).min(count * (q_bits + 1)) / count;
        if bits < 2 {
            return None;
        }
        let mut rest = behind(bits * count + shift, shift, bits);
        rest.iter_mut().for_each(|digit| digit.reach = (digit.reach - less).max(1));
        let (digits, beyond) = Self::with_first(rest, farthest, shift, q_bits, false)?;
        let whole = digits[usize::from(beyond)];
        // ⌊(z + ⌊D/2⌋ + D·half)/U⌋
        let divisor = whole.modulus << whole.shift;
        let before = whole.modulus / 2 + whole.modulus * (1i64 << whole.shift >> 1);
        let (lo, hi) = sums.saturated;
        let least = (lo + 1..=hi).map(|v| i128::from(v) * i128::from(divisor) - i128::from(before));
        let least = least.collect::<Vec<_>>();
        Self { lines: Vec::new(), digits, even: false, beyond }.along(
            sums,
            steps,
            &least,
            divisor as f64,
            false,
        )
    }

    /// The same with the lines of all channels, if there are such.
    fn along(
        mut self,
        sums: &Sums<'_>,
        steps: &[Steps],
        least: &[i128],
        divisor: f64,
        level: bool,
    ) -> Option<Self> {
        let from = From { saturated: sums.saturated, least, divisor };
        let lines = steps.iter().zip(&sums.multipliers).map(|(steps, m)| steps.line(*m, &from, level));
        self.lines = lines.collect::<Option<Vec<_>>>()?;
        self.within(sums)
    }

    fn to_even(
        sums: &Sums<'_>,
        steps: &[Steps],
        (shift, q_bits): (u32, u32),
        offsets: bool,
        less: i64,
    ) -> Option<Self> {
        let farthest = 2.0 * Self::farthest(sums);
        let middle = q_bits.min(MIDDLE_BITS_MAX);
        let most = Self::most(sums).saturating_sub(1).checked_sub(middle + 1)?;
        let least = DIVISOR_BITS_EVEN.saturating_sub(middle + 1).min(most);
        let count = least.saturating_sub(shift).div_ceil(q_bits + 1).max(1);
        let mut rest = behind(most.min(shift + count * (q_bits + 1)), shift, q_bits + 1);
        if let Some(last) = rest.last_mut() {
            last.reach = (last.reach - less).max(1);
        }
        rest.insert(0, Digit { modulus: 1, shift: 0, reach: (1i64 << middle) - 1 });
        let (digits, beyond) = Self::with_first(rest, farthest, shift, q_bits, true)?;
        let rounding = Self { lines: Vec::new(), digits, even: true, beyond };
        let (unit, low) = (rounding.whole().modulus, rounding.low());
        // What counts as a half is several of the low digit's numbers.
        if unit >> 24 < low.modulus << low.shift {
            return None;
        }
        let (lo, hi) = sums.saturated;
        let least = (lo + 1..=hi).map(|v| {
            let half = i128::from(2 * v - 1) * i128::from(unit);
            let (mut first, mut last) = (half - i128::from(unit), half + i128::from(unit));
            while first < last {
                let middle = first + (last - first).div_euclid(2);
                let reached = i64::try_from(middle).is_ok_and(|z| rounding.integer(z) >= v);
                if reached { last = middle } else { first = middle + 1 }
            }
            first
        });
        let least = least.collect::<Vec<_>>();
        rounding.along(sums, steps, &least, 2.0 * unit as f64, !offsets)
    }

    /// Itself, if its accumulators are within their digits and 64 bits.
    fn within(self, sums: &Sums<'_>) -> Option<Self> {
        let first = self.digits[0];
        let reach = i128::from(first.reach << first.shift) * i128::from(first.modulus);
        (self.largest(sums) < reach).then_some(self)
    }

    /// The largest magnitude of an accumulator.
    fn largest(&self, sums: &Sums<'_>) -> i128 {
        let ends = self.lines.iter().zip(&sums.ranges).flat_map(|(line, (lo, hi))| {
            [lo, hi].map(|sum| i128::from(line.factor) * i128::from(*sum) + i128::from(line.offset))
        });
        ends.map(i128::abs).max().unwrap_or(0)
    }

    /// The digit that counts steps, or halves of them.
    fn whole(&self) -> Digit {
        self.digits[usize::from(self.beyond)]
    }

    /// As far as results go, or halves of them, and one more.
    fn ends(&self, (lo, hi): (i64, i64)) -> (i64, i64) {
        let times = if self.even { 2 } else { 1 };
        (times * (lo - 1), times * (hi + 1))
    }

    /// What the digit that tells that sums go beyond counts with: enough to be beyond all ends.
    fn far(&self, saturated: (i64, i64)) -> i64 {
        let ends = self.ends(saturated);
        if self.beyond { ends.1 - ends.0 } else { 0 }
    }

    /// What one of the digit that counts steps is worth where digits are put together.
    fn spread(&self) -> i64 {
        if self.even { 2 * 3 * SIDES + 1 } else { 1 }
    }

    /// The largest magnitude of what digits are put together to.
    fn reach(&self, saturated: (i64, i64)) -> i64 {
        let ends = self.ends(saturated);
        self.spread() * (self.far(saturated) + ends.1.max(-ends.0)) + self.spread() / 2
    }

    /// What the digit in a place tells.
    fn part(&self, at: usize) -> Part {
        match at.checked_sub(usize::from(self.beyond)) {
            None => Part::Beyond,
            Some(0) => Part::Whole,
            Some(1) if self.even => Part::Middle,
            Some(2) if self.even => Part::Low,
            Some(_) => Part::Rest,
        }
    }

    /// Where halves go to the even integer, the digit that tells what is left beside one.
    fn low(&self) -> Digit {
        self.digits[usize::from(self.beyond) + 2]
    }

    /// On which side of a half what is left is, and how far in [`PLACES`].
    fn side(&self, middle: i64, last: i64) -> i64 {
        let (worth, unit) = (self.low().modulus << self.low().shift, self.whole().modulus);
        if middle != 0 {
            return middle.signum() * 2 * SIDES;
        }
        let left = i128::from(last.abs()) * i128::from(worth);
        let beyond = PLACES.filter(|place| left << 24 > i128::from(unit) << place).count() as i64;
        last.signum() * beyond
    }

    /// The integer of `u` with what is left on a side.
    fn halved(u: i64, side: i64) -> i64 {
        let t = u.div_euclid(2);
        if u % 2 == 0 {
            return t;
        }
        let place = (2 * t + 1).unsigned_abs().ilog2().clamp(*PLACES.start(), *PLACES.end());
        let nothing = i64::from(place - PLACES.start());
        match side {
            side if side > nothing => t + 1,
            side if side < -nothing => t,
            _ => t + t.rem_euclid(2),
        }
    }

    /// What the nodes make of an accumulator where halves go to the even integer, before saturation.
    fn integer(&self, z: i64) -> i64 {
        let (unit, low) = (self.whole().modulus, self.low());
        let middle = low.modulus * low.span();
        let u = quotient(z, unit);
        let left = z - u * unit;
        let high = quotient(left, middle);
        let side = self.side(high, requantise(quotient(left - high * middle, low.modulus), low.shift));
        Self::halved(u, side)
    }
}

impl Builder<'_> {
    /// The nodes that make float tensor `index` of sums; `linear` makes their accumulators, and `turned` is as in [`super::NodeReport`]. `figures` are those of the sums.
    pub(super) fn push_rounding(
        &mut self,
        index: usize,
        (sums, rounding, grid): (&Sums<'_>, &Rounding, &Grid),
        linear: Linear,
        turned: Option<usize>,
        figures: Figures,
    ) -> Result<(), QuantiseError> {
        let (lo, hi) = sums.saturated;
        let shape = self.model.graph.tensors[index].shape.clone();
        let flat = vec![shape.iter().product::<usize>()];
        let scale = grid.shown_scale();
        let shown = |v: i64| grid.shown(v.clamp(lo, hi)) as i32;
        let (ends, far) = (rounding.ends(sums.saturated), rounding.far(sums.saturated));
        let alone = !rounding.even && !rounding.beyond;
        let first = self.public_reach(index, rounding.digits[0], rounding.largest(sums))?;
        let mut made: Vec<TensorId> = Vec::new();
        let mut linear = Some(linear);
        for (at, digit) in rounding.digits.iter().enumerate() {
            let reach = if at == 0 { first.1 } else { digit.reach };
            let (what, table) = match rounding.part(at) {
                Part::Beyond => ("beyond", self.listed("beyond", reach, |q| (q.signum() * far) as i32)),
                Part::Whole if alone && !grid.raw => ("", TableKind::clamp((lo, hi), false)),
                Part::Whole if alone => ("", self.listed("saturated", reach, shown)),
                Part::Whole if at == 0 => ("whole", TableKind::clamp(ends, false)),
                Part::Whole => ("whole", self.listed("digit", reach, |q| q.clamp(ends.0, ends.1) as i32)),
                Part::Middle => ("middle", self.listed("digit", reach, |q| rounding.side(q, 0) as i32)),
                Part::Low => ("low", self.listed("digit", reach, |q| rounding.side(0, q) as i32)),
                Part::Rest => ("rest", self.listed("digit", reach, |_| 0)),
            };
            let of = made.last().copied().unwrap_or(TensorId(0));
            let linear = linear.take().unwrap_or(Linear::Rest { of });
            let (shape, scale) = if at == 0 && alone { (&shape, scale) } else { (&flat, 1.0) };
            made.push(self.push_digit(index, what, linear, *digit, table, shape.clone(), first.0, scale)?);
        }
        let made = match alone {
            true => made[0],
            false => {
                let reach = rounding.reach(sums.saturated);
                let (linear, table) = self.put_together(&made, &flat, sums, rounding, grid);
                self.push_step(index, "sum", linear, 0, table, shape, reach, scale)?
            }
        };
        self.finish(index, made, figures);
        if let Some(report) = self.reports.last_mut() {
            report.turned = turned;
        }
        Ok(())
    }

    /// The sum of what digits say, and its table.
    fn put_together(
        &mut self,
        made: &[TensorId],
        flat: &[usize],
        sums: &Sums<'_>,
        rounding: &Rounding,
        grid: &Grid,
    ) -> (Linear, TableKind) {
        let (lo, hi) = sums.saturated;
        let shown = |v: i64| grid.shown(v.clamp(lo, hi)) as i32;
        let spread = rounding.spread();
        let coefficient = |at: usize| match rounding.part(at) {
            Part::Beyond | Part::Whole => Some(spread),
            Part::Middle | Part::Low => Some(1),
            Part::Rest => None,
        };
        let seen = |(at, tensor): (usize, &TensorId)| {
            let input = View::plain(*tensor, flat.to_vec());
            Some(Term { input, coefficient: coefficient(at)?, target: None })
        };
        let terms = made.iter().enumerate().filter_map(seen).collect();
        let entry = |sum: i64| match rounding.even {
            true => {
                let u = quotient(sum, spread);
                shown(Rounding::halved(u, sum - u * spread))
            }
            false => shown(sum),
        };
        let table = self.listed("saturated", rounding.reach(sums.saturated), entry);
        (Linear::Combine { terms, constant: 0 }, table)
    }

    /// A bound of accumulators for all to see, no more than a number of bits, and how far the first digit then goes.
    fn public_reach(&self, index: usize, first: Digit, largest: i128) -> Result<(i64, i64), QuantiseError> {
        let top = i64::try_from(largest / i128::from(first.modulus) + 1).unwrap_or(i64::MAX);
        let got = super::bits((0, requantise(top, first.shift)));
        if got > self.graph.q_bits {
            let node = &self.model.graph.nodes[index];
            let (node, operator, expected) = (node.name.clone(), node.operator.clone(), self.graph.q_bits);
            return Err(QuantiseError::TableRange { node, operator, expected, got });
        }
        let (reach, half) = ((1i64 << got) - 1, 1i64 << first.shift >> 1);
        let whole = (reach << first.shift) + (half - 1).max(0);
        Ok((whole * first.modulus + (first.modulus - 1) / 2, reach))
    }

    /// A digit's node; `bound` is that of the accumulators of the first.
    #[allow(clippy::too_many_arguments)]
    fn push_digit(
        &mut self,
        index: usize,
        what: &str,
        linear: Linear,
        digit: Digit,
        table: TableKind,
        shape: Vec<usize>,
        bound: i64,
        scale: f64,
    ) -> Result<TensorId, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let name = if what.is_empty() { node.name.clone() } else { format!("{}.{what}", node.name) };
        let (modulus, shift) = (digit.modulus, digit.shift);
        let bound = match linear {
            // What is left of the digit before.
            Linear::Rest { .. } => digit.span() * modulus / 2,
            _ => bound,
        };
        let ends =
            (requantise(quotient(-bound, modulus), shift), requantise(quotient(bound, modulus), shift));
        let bound_of_tensor = self.graph.range_of(table, ends);
        let tensor = Tensor { name: name.clone(), shape, bound: bound_of_tensor, scale };
        let made = self.add_node(index, name, tensor, (linear, shift, table), bound);
        if let Some(node) = self.graph.nodes.last_mut() {
            node.modulus = modulus;
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType::{Int8, Uint8};

    use super::*;
    use crate::import::check::{Onnx, int};
    use crate::{QuantiseOptions, quantise, quantise_record, run};

    /// Every pair of two integers of 8 bits under 1×1 convolutions, so that sums are dense; input scale 1, output scale `u`, zero 3.
    fn every_pair(
        scales: [f32; 5],
        u: f32,
        relu: bool,
        (shift, q_bits): (u32, u32),
    ) -> (usize, Option<bool>) {
        let weights = [127, 1, -127, -1, 113, -7, 1, 127, -5, 3];
        let onnx = Onnx::new(&[1, 2, 256, 256]).floats("s", &[], vec![1.0]).bytes("z", &[], Uint8, &[0]);
        let onnx = onnx.bytes("k", &[5, 2, 1, 1], Int8, &weights).floats("t", &[5], scales.to_vec());
        let onnx =
            onnx.bytes("n", &[5], Int8, &[0; 5]).floats("u", &[], vec![u]).bytes("o", &[], Uint8, &[3]);
        let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
        let onnx = onnx.node("DequantizeLinear", &["q", "s", "z"], "d", vec![]);
        let onnx = onnx.node("DequantizeLinear", &["k", "t", "n"], "f", vec![int("axis", 0)]);
        let onnx = onnx.node("Conv", &["d", "f"], "c", vec![]);
        let onnx = if relu { onnx.node("Relu", &["c"], "v", vec![]) } else { onnx };
        let onnx = onnx.node("QuantizeLinear", &[if relu { "v" } else { "c" }, "u", "o"], "y", vec![]);
        let model = onnx.import("y").unwrap();
        let record: Vec<f32> =
            (0..1 << 17).map(|e| (if e < 1 << 16 { e / 256 } else { e % 256 }) as f32).collect();
        let options = QuantiseOptions {
            shift: Some(shift),
            q_bits: Some(q_bits),
            q_bits_max: 20,
            ..QuantiseOptions::default()
        };
        let (graph, values, report) = quantise(&model, std::slice::from_ref(&record), &options).unwrap();
        let integers = quantise_record(&graph, &record).unwrap();
        let output = run(&graph, &values, &integers).unwrap().output;
        for (channel, t) in scales.iter().enumerate() {
            let multiplier = (1.0f32 * t) / u;
            for (pair, got) in output[channel << 16..(channel + 1) << 16].iter().enumerate() {
                let (x, y) = ((pair / 256) as i32, (pair % 256) as i32);
                let sum = weights[2 * channel] * x + weights[2 * channel + 1] * y;
                let v = ((sum as f32 * multiplier).round_ties_even() as i32).clamp(-3, 252);
                let v = if relu { v.max(0) } else { v };
                if report.nodes[1].bit_exact == Some(true) {
                    assert_eq!(*got, v + 3, "channel {channel}, sum {sum}");
                } else {
                    assert!((got - v - 3).abs() <= 1, "channel {channel}, sum {sum}");
                }
            }
        }
        (graph.nodes.len() - 1, report.nodes[1].bit_exact)
    }

    #[test]
    fn every_sum_gives_what_single_precision_gives() {
        let scales = [0.00731, 0.0112, 0.0093, 0.0051, 0.0133];
        for (u, relu, tables) in
            [(1.0, false, (6, 16)), (1.7, true, (12, 15)), (5.3, false, (8, 16)), (11.0, false, (9, 15))]
        {
            let (nodes, exact) = every_pair(scales, u, relu, tables);
            assert_eq!(exact, Some(true), "{u}");
            assert!((2..=6).contains(&nodes), "{nodes}");
        }
    }

    #[test]
    fn multipliers_of_any_size_are_exact_beside_each_other() {
        // From one at which no sum makes a step to one at which each sum makes several.
        let scales = [1e-9, 0.0112, 3.7, 1.9e-5, 0.31];
        for (u, relu, tables) in
            [(1.0, false, (10, 17)), (0.37, true, (12, 17)), (7.0, false, (12, 16)), (0.01, false, (10, 18))]
        {
            assert_eq!(every_pair(scales, u, relu, tables).1, Some(true), "{u}");
        }
    }

    #[test]
    fn sums_beyond_tables_take_a_digit_more() {
        let scales = [0.31, 0.0112, 0.23, 0.7, 0.0133];
        let (nodes, exact) = every_pair(scales, 0.1, false, (8, 16));
        assert_eq!(exact, Some(true));
        let (held, of_larger) = every_pair(scales, 0.1, false, (8, 19));
        assert_eq!(of_larger, Some(true));
        assert!(nodes > held, "{nodes} and {held}");
    }

    #[test]
    fn halves_go_to_the_even_integer() {
        // Powers of two, whose products are exact, and one that is not.
        let scales = [2f32.powi(-8), 2f32.powi(-7), 0.0051, 2f32.powi(-9), 2f32.powi(-10)];
        let (nodes, exact) = every_pair(scales, 1.0, false, (6, 16));
        assert_eq!(exact, Some(true));
        assert!(nodes > 3, "{nodes} nodes");
        assert_eq!([-3, -2, -1, 0, 1, 2, 3].map(|u| Rounding::halved(u, 0)), [-2, -1, 0, 0, 0, 1, 2]);
        assert_eq!([-3, -1, 1, 3].map(|u| Rounding::halved(u, 2 * SIDES)), [-1, 0, 1, 2]);
        assert_eq!([-3, -1, 1, 3].map(|u| Rounding::halved(u, -2 * SIDES)), [-2, -1, 0, 1]);
    }

    #[test]
    fn tables_that_hold_too_little_are_said_not_to_be_exact() {
        let scales = [0.00731, 0.0112, 0.0093, 0.0051, 0.0133];
        assert_eq!(every_pair(scales, 1.0, false, (6, 10)).1, Some(false));
    }

    /// Sums of one channel that become `of`.
    fn one(range: (i64, i64), multiplier: f64, of: &dyn Fn(usize, i64) -> i64) -> Sums<'_> {
        let bound = 4.0 * multiplier * range.1.max(-range.0) as f64;
        Sums {
            ranges: vec![range],
            multipliers: vec![multiplier],
            bound,
            offset: 0.0,
            saturated: (-128, 127),
            of,
        }
    }

    #[test]
    fn a_line_has_every_step_or_is_none() {
        let m = 0.0371f32;
        let of = |_: usize, a: i64| ((a as f32 * m).round_ties_even() as i64).clamp(-128, 127);
        for range in [(-9000, 9000), (-9000, -8000), (8000, 9000), (-3, 5), (17, 17), (-5000, 0)] {
            let sums = one(range, f64::from(m), &of);
            let rounding = Rounding::nearest(&sums, &[Steps::of(&sums, 0)], (8, 14), 0).unwrap();
            let (line, whole) = (rounding.lines[0], rounding.whole());
            for a in range.0..=range.1 {
                let z = line.factor * a + line.offset;
                let v = requantise(quotient(z, whole.modulus), whole.shift).clamp(-128, 127);
                assert_eq!(v, of(0, a), "{a} in {range:?}");
            }
        }
        // A step out of its place.
        let bent = |_: usize, a: i64| of(0, if (100..140).contains(&a) { 100 } else { a });
        let sums = one((-9000, 9000), f64::from(m), &bent);
        assert!(Rounding::of(&sums, 8, 14, true).is_none());
    }
}
