//! The choice of shift and table range: the smallest tables at which the integer model still does what the float model
//! does on the calibration records.
//!
//! Candidates are tried in the order of their table rows. One is good enough when at least 99.5 % of the records keep
//! their largest output and the outputs' relative error is at most 2.5 %. When none is, it is the first whose error is
//! within a factor 1.2 of the least; its figures are in the report.
//!
//! Of a model that is quantised already, only those candidates count at which the fewest of its nodes differ from what a runtime computes: none
//! where that is possible. They are tried in the order of the cells that a circuit has at each, and if the model quantises all of its tensors, the
//! first at which all are exact is the choice. Where none is, larger tables than otherwise allowed are tried too.

use std::ops::RangeInclusive;

use super::ranges::{Ranges, TensorRange};
use super::{Builder, FloatModel, NodeReport, QuantiseError, QuantiseOptions, QuantiseReport};
use super::{grid_round, token};
use crate::accuracy::Comparison;
use crate::float::FloatOp;
use crate::graph::{IntGraph, WeightValues};
use crate::interpret::Interpreter;
use crate::lower::TableReach;
use crate::quantise::quantise_record;
use crate::validate::Q_BITS_MAX;

/// Shifts to try.
pub(super) const SHIFTS: RangeInclusive<u32> = 6..=12;
const AGREEMENT_MIN: f64 = 0.995;
const RELATIVE_ERROR_MAX: f64 = 0.025;
/// When no candidate is good enough: how much worse than the best of them the choice may be.
const WORSE_MAX: f64 = 1.2;
/// By how many bits tables may be larger than the options say where that makes more nodes bit exact.
const MORE_BITS: u32 = 4;
/// Multiply–accumulates that one candidate may cost.
const WORK_MAX: usize = 1 << 31;

pub(super) type Quantised = (IntGraph, WeightValues, QuantiseReport);

/// How far from the float model an integer model may be on the calibration records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Share of records that keep their largest output, at least.
    pub agreement_min: f64,
    /// Root mean square error of the outputs over their root mean square, at most.
    pub relative_error_max: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { agreement_min: AGREEMENT_MIN, relative_error_max: RELATIVE_ERROR_MAX }
    }
}

impl Tolerance {
    /// Whether the integer model does what the float model does.
    pub(super) fn allows(&self, report: &QuantiseReport) -> bool {
        let (records, agreeing) = report.agreement;
        agreeing as f64 >= self.agreement_min * records as f64
            && report.relative_error <= self.relative_error_max
    }
}

/// Bits of every float node's activations, and the ranges that calibration gives them at these.
pub(super) struct Widths {
    pub bits: Vec<u32>,
    pub ranges: Vec<TensorRange>,
    /// Of every float node that reads tokens at scales of their own, the largest of its products with these.
    pub products: Vec<Option<f64>>,
}

/// The float model on the calibration records.
pub(super) struct Observed<'a> {
    pub model: &'a FloatModel,
    pub options: &'a QuantiseOptions,
    calibration: &'a [Vec<f32>],
    outputs: Vec<Vec<f32>>,
    ranges: Ranges,
    products: Vec<Option<f64>>,
    /// How many integer models have been made and run.
    pub runs: usize,
}

impl<'a> Observed<'a> {
    /// Runs the float model. `per_token` tells the nodes that read tokens at scales of their own.
    pub(super) fn new(
        model: &'a FloatModel,
        calibration: &'a [Vec<f32>],
        options: &'a QuantiseOptions,
        per_token: &[bool],
    ) -> Result<Self, QuantiseError> {
        if calibration.is_empty() {
            return Err(QuantiseError::NoCalibration);
        }
        let mut ranges = Ranges::new(model.graph.tensors.len(), options.calibration);
        let mut outputs = Vec::with_capacity(calibration.len());
        let mut products: Vec<Option<f64>> = per_token.iter().map(|chosen| chosen.then_some(0.0)).collect();
        for (record, values) in calibration.iter().enumerate() {
            let trace = model.run(values).map_err(|source| QuantiseError::Calibration { record, source })?;
            ranges.observe(&trace);
            for (index, largest) in products.iter_mut().enumerate() {
                *largest = largest.map(|seen| seen.max(token::largest_product(model, index, &trace)));
            }
            outputs.push(trace.output);
        }
        // Fewer records where running them all would take long.
        let records = calibration.len().min((WORK_MAX / work(model).max(1)).max(1));
        let calibration = &calibration[..records];
        Ok(Self { model, options, calibration, outputs, ranges, products, runs: 0 })
    }

    pub(super) fn widths(&self, bits: Vec<u32>) -> Widths {
        Widths { ranges: self.ranges.finish(&bits), bits, products: self.products.clone() }
    }

    /// Multiply–accumulates that making and running one integer model takes, about.
    pub(super) fn work(&self) -> usize {
        work(self.model).saturating_mul(self.calibration.len())
    }

    /// Makes an integer model and runs it.
    pub(super) fn attempt(
        &mut self,
        widths: &Widths,
        (shift, q_bits): (u32, u32),
    ) -> Result<Quantised, QuantiseError> {
        self.runs += 1;
        let (graph, values, nodes) = Builder::build(self.model, widths, self.options, shift, q_bits)?;
        let comparison = compare(&graph, &values, self.calibration, &self.outputs)?;
        let report = QuantiseReport {
            shift,
            q_bits,
            table_entries: usize::try_from(TableReach::new(&graph).entries()).unwrap_or(usize::MAX),
            agreement: (comparison.records, comparison.agreeing),
            relative_error: comparison.relative_error(),
            nodes,
        };
        Ok((graph, values, report))
    }

    /// The candidates at which the fewest nodes that the model quantises are not bit exact; of a model without such nodes, all.
    fn exact_candidates(&self, widths: &Widths) -> Vec<(u32, u32)> {
        let quantised = quantised_sums(self.model);
        let all = candidates(quantised, self.options, &widths.bits);
        if all.len() == 1 || quantised == 0 {
            return all;
        }
        let inexact = |(shift, q_bits): (u32, u32)| {
            let built = Builder::build(self.model, widths, self.options, shift, q_bits);
            let count = |nodes: &[NodeReport]| nodes.iter().filter(|n| n.bit_exact == Some(false)).count();
            let all = |nodes: &[NodeReport]| nodes.iter().all(|node| node.bit_exact == Some(true));
            built.map_or((usize::MAX, false), |(_, _, nodes)| (count(&nodes), all(&nodes)))
        };
        let mut least = usize::MAX;
        let mut kept = Vec::new();
        // Those at which nothing could be built stay, to say why if none can.
        for candidate in all {
            let (count, every) = inexact(candidate);
            if every {
                return vec![candidate];
            }
            if count < least {
                least = count;
                kept.clear();
            }
            if count == least {
                kept.push(candidate);
            }
        }
        if [0, usize::MAX].contains(&least) || self.options.q_bits.is_some() {
            return kept;
        }
        let shift = self.options.shift.unwrap_or(*SHIFTS.end());
        for more in 1..=MORE_BITS {
            let candidate = (shift, (self.options.q_bits_max + more).min(Q_BITS_MAX));
            let (count, _) = inexact(candidate);
            if count < least {
                (least, kept) = (count, vec![candidate]);
            }
        }
        kept
    }

    /// Tries the candidates.
    pub(super) fn choose(
        &mut self,
        widths: &Widths,
        tolerance: &Tolerance,
    ) -> Result<Quantised, QuantiseError> {
        let (mut tried, mut refusal) = (Vec::new(), None);
        // What a table of so many bits cannot hold at one shift it cannot hold at another.
        let mut too_few_bits = 0;
        for candidate in self.exact_candidates(widths) {
            if candidate.1 <= too_few_bits {
                continue;
            }
            match self.attempt(widths, candidate) {
                Ok(quantised) if tolerance.allows(&quantised.2) => return Ok(quantised),
                Ok((_, _, report)) => tried.push((candidate, report.relative_error)),
                Err(error) => {
                    if matches!(error, QuantiseError::TableRange { .. }) {
                        too_few_bits = too_few_bits.max(candidate.1);
                    }
                    refusal = Some(error);
                }
            }
        }
        let least = tried.iter().fold(f64::INFINITY, |least, (_, error)| least.min(*error));
        match tried.iter().find(|(_, error)| *error <= WORSE_MAX * least).or(tried.first()) {
            Some((candidate, _)) => self.attempt(widths, *candidate),
            None => Err(refusal.unwrap_or(QuantiseError::NoCalibration)),
        }
    }
}

/// (shift, q_bits) in the order of table rows, for two activation tables that reach as far as they may. Of a model that quantises so many sums
/// itself, in the order of the cells that these and three tables take: the larger the tables, the fewer digits have sums.
fn candidates(quantised: usize, options: &QuantiseOptions, bits: &[u32]) -> Vec<(u32, u32)> {
    let widest = bits.iter().copied().max().unwrap_or(options.activation_bits);
    let shifts = options.shift.map_or(SHIFTS, |s| s..=s);
    let q_bits = options.q_bits.map_or(widest..=options.q_bits_max, |q| q..=q);
    let mut all: Vec<_> = shifts.flat_map(|s| q_bits.clone().map(move |q| (s, q))).collect();
    let cells = |(s, q): &(u32, u32)| match quantised {
        0 => (1u64 << s) + 2 * (2u64 << q),
        sums => 3 * (sums * grid_round::nodes(*s, *q)) as u64 + 2 * ((1u64 << s) + 3 * (2u64 << q)),
    };
    all.sort_by_key(cells);
    all
}

/// How many sums a model quantises itself.
fn quantised_sums(model: &FloatModel) -> usize {
    let nodes = model.graph.nodes.iter().zip(&model.graph.tensors).filter(|(node, _)| node.grid.is_some());
    nodes.map(|(_, tensor)| tensor.shape.iter().product::<usize>()).sum()
}

fn compare(
    graph: &IntGraph,
    values: &WeightValues,
    records: &[Vec<f32>],
    outputs: &[Vec<f32>],
) -> Result<Comparison, QuantiseError> {
    let interpreter = Interpreter::new(graph, values)?;
    let mut comparison = Comparison::default();
    for (index, (record, output)) in records.iter().zip(outputs).enumerate() {
        let record = quantise_record(graph, record);
        let record = record.map_err(|source| QuantiseError::Calibration { record: index, source })?;
        comparison.add(graph, &interpreter.run(&record)?.output, output);
    }
    Ok(comparison)
}

/// Multiply–accumulates of one record, about.
fn work(model: &FloatModel) -> usize {
    let elements = |index: usize| model.graph.tensors[index].shape.iter().product::<usize>();
    let node = |(index, node): (usize, &crate::float::FloatNode)| match &node.op {
        FloatOp::Conv { weight, .. } => elements(index) * weight.values.len() / weight.shape[0].max(1),
        FloatOp::MatMul { weight, .. } => elements(index) * weight.shape[0],
        FloatOp::BatchMatMul { left, .. } => elements(index) * left.shape[2],
        FloatOp::Spread { terms, sums, .. } => elements(index) * (terms.len() + sums.len()),
        FloatOp::Softmax { .. } | FloatOp::Normalise { .. } => 8 * elements(index),
        FloatOp::Sum { terms, .. } => elements(index) * terms.len(),
        FloatOp::Product { .. } => 3 * elements(index),
        FloatOp::Max { windows, .. } => windows.iter().map(Vec::len).sum(),
        FloatOp::Embedding { input, table } => input.len() * table.values.len(),
        FloatOp::Trees { forest, .. } => forest.splits.len() * forest.features + forest.leaves.len(),
        FloatOp::Rank { input, count, .. } => 4 * input.len() * count,
        FloatOp::Input | FloatOp::Part { .. } => elements(index),
    };
    model.graph.nodes.iter().enumerate().map(node).sum()
}
