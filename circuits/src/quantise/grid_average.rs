//! Averages of a tensor that the model itself quantises (`grid.rs`), with the integers that ONNX Runtime gives.
//!
//! Over all of an image (`GlobalAveragePool`) it adds integers up and multiplies once, `v = round(a·s_x/(s_y·n))`: one table of their sum `a`,
//! or digits where none holds all sums (`grid_round.rs`).
//!
//! Over windows (`AveragePool`, `QLinearAveragePool`) it adds up numbers in single precision, one after the other, and adds the zero point before it
//! rounds: `v = round(fl(fl(fl(S/n)/s_y) + z_y)) − z_y`. Where the sum of integers tells that too, it is one table again. Where halves hinge on how `S` was
//! rounded, deviations say (`grid_window.rs`):
//!
//! 1. the error of each integer's number, a table of the input;
//! 2. for each element of the window behind the first, the place of the sum so far, and by it and the deviation the addition's correction: two tables;
//! 3. what the deviation has to reach, by the sum of integers; whether it does; and the result by both: three tables.
//!
//! Windows of other numbers of elements, at borders that do not count, have the last three for themselves.
//!
//! Other averages (`ReduceMean`) runtimes work out in single precision, each in its own order; where a sum comes so near to a tie that the
//! order could decide, the table is not called bit exact.

use std::collections::BTreeMap;

use super::grid_operand::Operand;
use super::grid_round::{Rounding, Sums};
use super::grid_window::{Corrections, Decision, Reached};
use super::{Builder, Figures, QuantiseError};
use crate::float::{FloatTerm, Grid};
use crate::graph::{Linear, TensorId, Term, View};

/// Most elements of a window whose sums are followed one after the other.
const WINDOW_MAX: usize = 64;

/// What an element of the result is the average of.
#[derive(Clone)]
struct Window {
    /// What the sum is divided by.
    count: u32,
    /// Elements of the view, in the order in which a runtime reads them.
    elements: Vec<u32>,
}

/// The windows with one count: their elements of the result, and what becomes of their sums.
struct Group {
    outputs: Vec<usize>,
    decisions: Vec<Decision>,
}

/// The tables of deviations, and how far they go.
struct Tables<'r> {
    reached: &'r Reached,
    corrections: Corrections,
    /// A bound of deviations, from those of their parts.
    deviation: i64,
}

/// The windows of an average, if all elements have one factor each that is one over a count.
fn windows(terms: &[FloatTerm], len: usize) -> Option<Vec<Window>> {
    let input = &terms.first()?.input;
    let mut windows = vec![Window { count: 0, elements: Vec::new() }; len];
    for term in terms {
        let count = (1.0 / f64::from(term.factor)).round();
        let alike = term.input.tensor == input.tensor && term.input.order == input.order;
        if !alike || !(1.0..1e9).contains(&count) || (1.0 / count) as f32 != term.factor {
            return None;
        }
        let count = count as u32;
        for element in 0..term.input.len() {
            let to =
                term.target.as_ref().map_or(Some(element), |target| target[element].map(|to| to as usize));
            let Some(window) = to.map(|to| &mut windows[to]) else { continue };
            if ![0, count].contains(&window.count) {
                return None;
            }
            window.count = count;
            window.elements.push(element as u32);
        }
    }
    windows.iter_mut().for_each(|window| window.elements.sort_unstable());
    windows.iter().all(|window| !window.elements.is_empty()).then_some(windows)
}

/// The most elements of a window.
fn most_of(windows: &[Window]) -> usize {
    windows.iter().map(|window| window.elements.len()).max().unwrap_or(0)
}

/// Terms that add elements of a view to elements of a result, each pair once.
fn taps(input: &View, coefficient: i64, pairs: impl Iterator<Item = (u32, usize)>) -> Vec<Term> {
    let mut targets: Vec<Vec<Option<u32>>> = Vec::new();
    for (from, to) in pairs {
        let free = |target: &&mut Vec<Option<u32>>| target[from as usize].is_none();
        match targets.iter_mut().find(free) {
            Some(target) => target[from as usize] = Some(to as u32),
            None => {
                let mut target = vec![None; input.len()];
                target[from as usize] = Some(to as u32);
                targets.push(target);
            }
        }
    }
    let term = |target| Term { input: input.clone(), coefficient, target: Some(target) };
    targets.into_iter().map(term).collect()
}

impl<'r> Tables<'r> {
    /// Those of sums of so many numbers.
    fn of(reached: &'r Reached, most: usize) -> Option<Self> {
        let corrections = reached.corrections()?;
        let deviation = most as i64 * (reached.largest_error() + corrections.largest());
        Some(Self { reached, corrections, deviation })
    }

    /// The largest magnitude of a place with a deviation.
    fn reach(&self) -> i64 {
        self.corrections.farthest() + self.deviation
    }

    /// The largest magnitude of a deviation less its threshold, which is one beyond all where there is none.
    fn beside(&self) -> i64 {
        2 * self.deviation + 1
    }
}

impl Builder<'_> {
    /// An average: float node `index`. Returns whether it could be computed in integers.
    pub(super) fn average(
        &mut self,
        index: usize,
        grid: &Grid,
        terms: &[FloatTerm],
    ) -> Result<bool, QuantiseError> {
        let len = self.model.graph.tensors[index].shape.iter().product();
        let Some(operand) = terms.first().and_then(|first| self.operand(&first.input)) else {
            return Ok(false);
        };
        let Some(windows) = windows(terms, len) else { return Ok(false) };
        let in_order =
            ["AveragePool", "QLinearAveragePool"].contains(&self.model.graph.nodes[index].operator.as_str());
        // Signed integers between pairs become unsigned ones first.
        let before = if self.fused(index, grid) { grid.zero } else { -grid.lo };
        if in_order
            && most_of(&windows) <= WINDOW_MAX
            && self.average_in_order(index, (grid, before), &operand, &windows)?
        {
            return Ok(true);
        }
        self.average_of_sums(index, grid, &operand, &windows, None)
    }

    /// An average of one count that follows from the sum of integers: as `told` says for each, from the least on, or nearly so.
    fn average_of_sums(
        &mut self,
        index: usize,
        grid: &Grid,
        operand: &Operand<'_>,
        windows: &[Window],
        told: Option<&[Decision]>,
    ) -> Result<bool, QuantiseError> {
        let Some(count) = windows.first().map(|window| window.count) else { return Ok(false) };
        if windows.iter().any(|window| window.count != count) {
            return Ok(false);
        }
        let most = most_of(windows) as i64;
        let (lo, hi) = (most * operand.range.0, most * operand.range.1);
        let reach = hi.max(-lo);
        let exact = f64::from(operand.grid.scale) / (f64::from(grid.scale) * f64::from(count));
        let single = operand.grid.scale / (grid.scale * count as f32);
        let whole = self.model.graph.nodes[index].operator == "GlobalAveragePool";
        // As many roundings as any order has, each of at most all magnitudes.
        let near = (most + 3) as f64 * f64::from(f32::EPSILON) / 2.0 * (reach as f64 * exact).max(1.0);
        let far_from_ties = |sum: i64| {
            let x = sum as f64 * exact;
            let outside = x > grid.hi as f64 + 1.0 || x < grid.lo as f64 - 1.0;
            outside || ((x - x.floor()) - 0.5).abs() > near
        };
        let bit_exact = whole || told.is_some() || (lo..=hi).all(far_from_ties);
        let before = if whole { 0 } else { grid.zero };
        let of = |sum: i64| match told {
            Some(decisions) => decisions[(sum.clamp(lo, hi) - lo) as usize].least,
            None => (sum as f32 * single + before as f32).round_ties_even() as i64 - before,
        };
        let pairs = |factor| sums_of(&self.view(operand.view), factor, windows.iter().enumerate());
        if reach <= self.table_top() {
            let linear = Linear::Combine { terms: pairs(1), constant: 0 };
            let table = self.saturating(index, grid, ("average", reach), of);
            self.push_result(index, "sum", linear, table, reach, grid, bit_exact)?;
            return Ok(true);
        }
        let saturated = grid.saturated(self.model.graph.nodes[index].relu);
        let of = |_: usize, sum: i64| of(sum).clamp(saturated.0, saturated.1);
        let ranges = vec![(lo, hi)];
        let bound = 2.0 * exact * reach as f64;
        let sums =
            Sums { ranges, multipliers: vec![f64::from(single)], bound, offset: 0.0, saturated, of: &of };
        let Some(rounding) = Rounding::of(&sums, self.graph.shift, self.graph.q_bits, true) else {
            return Ok(false);
        };
        let line = rounding.lines[0];
        let linear = Linear::Combine { terms: pairs(line.factor), constant: line.offset };
        let figures = Figures {
            weight_bits: 0,
            q_bits: self.graph.q_bits,
            accumulator_bits: super::bits((-reach, reach)) + 1,
            widened: 1.0,
            bit_exact: Some(bit_exact),
        };
        self.push_rounding(index, (&sums, &rounding, grid), linear, None, figures)?;
        Ok(true)
    }

    /// An average of numbers that are added up in single precision one after the other; `before` is added before results are rounded.
    fn average_in_order(
        &mut self,
        index: usize,
        (grid, before): (&Grid, i64),
        operand: &Operand<'_>,
        windows: &[Window],
    ) -> Result<bool, QuantiseError> {
        let most = most_of(windows);
        let Some(reached) = Reached::of(operand.grid.scale, operand.range, most) else { return Ok(false) };
        let Some(groups) = self.groups(index, (grid, before), windows, &reached) else { return Ok(false) };
        let (lo, hi) = reached.ends();
        let reach = hi.max(-lo);
        let hinges = |group: &Group| group.decisions.iter().any(|decision| decision.above.is_some());
        let tables = match groups.iter().any(hinges) {
            false if groups.len() == 1 => {
                return self.average_of_sums(index, grid, operand, windows, Some(&groups[0].decisions));
            }
            false => None,
            true => {
                let Some(tables) = Tables::of(&reached, most) else { return Ok(false) };
                Some(tables)
            }
        };
        let widest = tables.as_ref().map_or(0, |tables| tables.reach().max(tables.beside()));
        if widest.max(2 * reach + 1) > self.table_top() {
            return Ok(false);
        }
        let deviation = match &tables {
            Some(tables) => Some((tables, self.push_deviation(index, operand, windows, tables, reach)?)),
            None => None,
        };
        let mut parts = Vec::with_capacity(groups.len());
        for (at, group) in groups.iter().enumerate() {
            let what = if groups.len() == 1 { String::new() } else { format!("part{at}.") };
            let deviation = deviation.as_ref().filter(|_| hinges(group));
            let linear = self.push_group(index, &what, (operand, windows), group, deviation)?;
            let of = |q: i64| {
                let (sum, carry) =
                    if deviation.is_some() { (q.div_euclid(2), q.rem_euclid(2)) } else { (q, 0) };
                group.decisions[(sum.clamp(lo, hi) - lo) as usize].least + carry
            };
            let reach = if deviation.is_some() { 2 * reach + 1 } else { reach };
            if groups.len() == 1 {
                let table = self.saturating(index, grid, ("average", reach), of);
                self.push_result(index, "sum", linear, table, reach, grid, true)?;
                return Ok(true);
            }
            let (table, flat) = (self.listed("average", reach, |q| of(q) as i32), vec![group.outputs.len()]);
            parts.push(self.push_step(index, &format!("{what}sum"), linear, 0, table, flat, reach, 1.0)?);
        }
        let terms = parts.iter().zip(&groups).map(|(part, group)| {
            let target = group.outputs.iter().map(|o| Some(*o as u32)).collect();
            Term { target: Some(target), ..plain(*part, group.outputs.len()) }
        });
        let linear = Linear::Combine { terms: terms.collect(), constant: 0 };
        let reach = grid.hi.max(-grid.lo);
        let table = self.saturating(index, grid, ("joined", reach), |v| v);
        self.push_result(index, "sum", linear, table, reach, grid, true)?;
        Ok(true)
    }

    /// The sums of a group's integers; where halves hinge on deviations, twice the sums and the carry.
    fn push_group(
        &mut self,
        index: usize,
        what: &str,
        (operand, windows): (&Operand<'_>, &[Window]),
        group: &Group,
        deviation: Option<&(&Tables<'_>, Vec<Term>)>,
    ) -> Result<Linear, QuantiseError> {
        let own = |output: &usize| &windows[*output];
        let input = self.view(operand.view);
        let sums = |factor| sums_of(&input, factor, group.outputs.iter().map(own).enumerate());
        let Some((tables, deviation)) = deviation else {
            return Ok(Linear::Combine { terms: sums(1), constant: 0 });
        };
        let carry = self.push_carry(index, what, (tables, deviation), group, sums(1))?;
        let terms = sums(2).into_iter().chain([plain(carry, group.outputs.len())]).collect();
        Ok(Linear::Combine { terms, constant: 0 })
    }

    /// The windows by their counts, each with what a runtime makes of sums. Returns none if more than two results are possible for one sum of
    /// integers.
    fn groups(
        &self,
        index: usize,
        (grid, before): (&Grid, i64),
        windows: &[Window],
        reached: &Reached,
    ) -> Option<Vec<Group>> {
        let (lo, hi) = grid.saturated(self.model.graph.nodes[index].relu);
        let mut outputs: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (output, window) in windows.iter().enumerate() {
            outputs.entry(window.count).or_default().push(output);
        }
        let group = |(count, outputs): (u32, Vec<usize>)| {
            let of = |sum: f32| {
                let v = (sum / count as f32 / grid.scale + before as f32).round_ties_even() as i64;
                (v - before).clamp(lo, hi)
            };
            Some(Group { outputs, decisions: reached.decide(&of)? })
        };
        outputs.into_iter().map(group).collect()
    }

    /// What the deviation of every window's sum is the sum of.
    fn push_deviation(
        &mut self,
        index: usize,
        operand: &Operand<'_>,
        windows: &[Window],
        tables: &Tables<'_>,
        reach: i64,
    ) -> Result<Vec<Term>, QuantiseError> {
        let own = operand.range.1.max(-operand.range.0);
        let table = self.listed("error", own, |q| tables.reached.error(q) as i32);
        let linear = Linear::Combine { terms: vec![self.term(operand.view, 1)], constant: 0 };
        let elements = vec![operand.view.len()];
        let errors = self.push_step(index, "error", linear, 0, table, elements.clone(), own, 1.0)?;
        let (errors, input) = (View::plain(errors, elements), self.view(operand.view));
        // The window's element in a place, if it has so many.
        let in_place = |place: usize| {
            let each = windows.iter().enumerate();
            each.filter_map(move |(to, window)| Some((*window.elements.get(place)?, to)))
        };
        let places = self.listed("place", reach, |q| tables.corrections.place(q) as i32);
        let corrections = self.listed("correction", tables.reach(), |q| tables.corrections.at(q) as i32);
        let flat = vec![windows.len()];
        let most = most_of(windows);
        let mut made: Vec<TensorId> = Vec::new();
        for last in 1..most {
            let so_far = || (0..=last).flat_map(in_place);
            let linear = Linear::Combine { terms: taps(&input, 1, so_far()), constant: 0 };
            let what = format!("place{last}");
            let place = self.push_step(index, &what, linear, 0, places, flat.clone(), reach, 1.0)?;
            let mut terms = taps(&errors, 1, so_far());
            terms.extend(made.iter().chain([&place]).map(|tensor| plain(*tensor, windows.len())));
            let (linear, reach) = (Linear::Combine { terms, constant: 0 }, tables.reach());
            let what = format!("correction{last}");
            made.push(self.push_step(index, &what, linear, 0, corrections, flat.clone(), reach, 1.0)?);
        }
        let mut terms = taps(&errors, 1, (0..most).flat_map(in_place));
        terms.extend(made.iter().map(|tensor| plain(*tensor, windows.len())));
        Ok(terms)
    }

    /// Whether a group's part of the deviations reaches what the sums of integers `once` ask for.
    fn push_carry(
        &mut self,
        index: usize,
        what: &str,
        (tables, deviation): (&Tables<'_>, &[Term]),
        group: &Group,
        once: Vec<Term>,
    ) -> Result<TensorId, QuantiseError> {
        let (flat, (lo, hi)) = (vec![group.outputs.len()], tables.reached.ends());
        let threshold = |q: i64| {
            let at = usize::try_from(q - lo).ok();
            let decision = at.and_then(|at| group.decisions.get(at));
            -decision.and_then(|decision| decision.above).unwrap_or(tables.deviation + 1) as i32
        };
        let table = self.listed("threshold", hi.max(-lo), threshold);
        let linear = Linear::Combine { terms: once, constant: 0 };
        let what = |name: &str| format!("{what}{name}");
        let least =
            self.push_step(index, &what("threshold"), linear, 0, table, flat.clone(), hi.max(-lo), 1.0)?;
        let mut own = vec![None; group.outputs.iter().max().map_or(0, |last| last + 1)];
        group.outputs.iter().enumerate().for_each(|(to, from)| own[*from] = Some(to as u32));
        let of_group = |term: &Term| {
            let all = |e: usize| term.target.as_ref().map_or(Some(e as u32), |target| target[e]);
            let target = |e: usize| all(e).and_then(|to| own.get(to as usize).copied().flatten());
            Term { target: Some((0..term.input.len()).map(target).collect()), ..term.clone() }
        };
        let mut terms: Vec<Term> = deviation.iter().map(of_group).collect();
        terms.push(plain(least, group.outputs.len()));
        let linear = Linear::Combine { terms, constant: 0 };
        let table = self.listed("reached", tables.beside(), |q| i32::from(q >= 0));
        self.push_step(index, &what("reached"), linear, 0, table, flat, tables.beside(), 1.0)
    }
}

/// The sums of windows' integers, numbered.
fn sums_of<'w>(
    input: &View,
    coefficient: i64,
    windows: impl Iterator<Item = (usize, &'w Window)>,
) -> Vec<Term> {
    taps(
        input,
        coefficient,
        windows.flat_map(|(to, window)| window.elements.iter().map(move |from| (*from, to))),
    )
}

/// All of a tensor.
fn plain(tensor: TensorId, len: usize) -> Term {
    Term { input: View::plain(tensor, vec![len]), coefficient: 1, target: None }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType::Uint8;

    use crate::import;
    use crate::import::check::{Onnx, ints};
    use crate::{QuantiseOptions, QuantiseReport, quantise, quantise_record, run};

    /// Averages of 8×12 integers less 119 over windows that do not overlap, with one scale before and after; each is compared with single
    /// precision where it is called exact.
    fn averages(
        scale: f32,
        (height, width): (usize, usize),
        options: &QuantiseOptions,
    ) -> (QuantiseReport, usize) {
        let onnx = Onnx::new(&[1, 1, 8, 12]).floats("s", &[], vec![scale]).bytes("z", &[], Uint8, &[119]);
        let kernel = [height as i64, width as i64];
        let attributes = vec![ints("kernel_shape", &kernel), ints("strides", &kernel)];
        let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
        let onnx = onnx.node("DequantizeLinear", &["q", "s", "z"], "d", vec![]);
        let onnx = onnx.node("AveragePool", &["d"], "a", attributes);
        let model = onnx.node("QuantizeLinear", &["a", "s", "z"], "y", vec![]).import("y").unwrap();
        // The ends of the range, and much between them.
        let integer = |record: usize, e: usize| match record {
            0 => -119,
            1 => 136,
            _ => ((e * e * 31 + e * 17 + record * record * 13 + record * 7) % 256) as i32 - 119,
        };
        let integers: Vec<Vec<i32>> =
            (0..40).map(|record| (0..96).map(|e| integer(record, e)).collect()).collect();
        let records: Vec<Vec<f32>> =
            integers.iter().map(|record| record.iter().map(|v| *v as f32 * scale).collect()).collect();
        let (graph, values, report) = quantise(&model, &records, options).unwrap();
        let exact = report.nodes[1].bit_exact == Some(true);
        for (record, integers) in records.iter().zip(&integers) {
            let output = run(&graph, &values, &quantise_record(&graph, record).unwrap()).unwrap().output;
            for (at, got) in output.iter().enumerate() {
                let (top, left) = (at / (12 / width) * height, at % (12 / width) * width);
                let taps = (top..top + height).flat_map(|y| (left..left + width).map(move |x| 12 * y + x));
                let sum = taps.fold(0f32, |sum, tap| sum + integers[tap] as f32 * scale);
                let average = sum / (height * width) as f32 / scale + 119.0;
                let away = (got - average.round_ties_even() as i32).abs();
                assert!(if exact { away == 0 } else { away <= 1 }, "{got}, not {average}");
            }
        }
        (report, graph.nodes.len() - 1)
    }

    #[test]
    fn windows_of_one_scale_give_what_single_precision_gives() {
        for scale in [0.0117, 1.0 / 255.0, 1.0 / 17.0] {
            for (kernel, nodes) in [((2, 2), 10), ((1, 2), 6), ((2, 3), 14)] {
                let (report, got) = averages(scale, kernel, &QuantiseOptions::default());
                assert_eq!((report.nodes[1].bit_exact, got), (Some(true), nodes), "{scale} {kernel:?}");
            }
        }
        let fixed = QuantiseOptions { q_bits: Some(12), ..QuantiseOptions::default() };
        assert_eq!(averages(0.25, (2, 2), &fixed).1, 1, "no sum is rounded");
        assert_eq!(averages(0.0117, (1, 3), &fixed).1, 1, "no sum is near a half");
    }

    #[test]
    fn tables_become_larger_where_that_makes_averages_exact_and_only_if_they_may() {
        let (report, _) = averages(1.0 / 51.0, (4, 4), &QuantiseOptions::default());
        assert_eq!(report.nodes[1].bit_exact, Some(true));
        assert!(report.q_bits > 16, "{}", report.q_bits);
        let fixed = QuantiseOptions { q_bits: Some(12), ..QuantiseOptions::default() };
        assert_eq!(averages(1.0 / 51.0, (4, 4), &fixed).0.nodes[1].bit_exact, Some(false));
    }

    #[test]
    fn operators_of_the_runtime_with_channels_last_are_refused() {
        let onnx = Onnx::new(&[1, 3, 4, 4]).floats("s", &[], vec![0.5]).bytes("z", &[], Uint8, &[0]);
        let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
        let attributes = vec![crate::import::check::int("channels_last", 1)];
        let mut proto =
            onnx.node("QLinearGlobalAveragePool", &["q", "s", "z", "s", "z"], "y", attributes).proto("y");
        proto.graph.as_mut().unwrap().node[1].domain = "com.microsoft".into();
        let bytes = prost::Message::encode_to_vec(&proto);
        assert!(import(&bytes).unwrap_err().to_string().contains("com.microsoft.QLinearGlobalAveragePool"));
    }
}
