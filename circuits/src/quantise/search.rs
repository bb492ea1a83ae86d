//! The choice of shift and table range: the smallest tables at which the integer model still does what the float model
//! does on the calibration records.
//!
//! Candidates are tried in the order of their table rows. One is good enough when at least 99.5 % of the records keep
//! their largest output and the outputs' relative error is at most 2.5 %. When none is, it is the first whose error is
//! within a factor 1.2 of the least; its figures are in the report.
//!
//! Of a model that is quantised already, only those candidates count at which the fewest of its nodes differ from what a runtime computes: none
//! where that is possible. If it quantises all of its tensors, the first at which all are exact is the choice.

use std::collections::HashMap;

use super::ranges::TensorRange;
use super::{Builder, FloatModel, NodeReport, QuantiseError, QuantiseOptions, QuantiseReport};
use crate::accuracy::Comparison;
use crate::float::FloatOp;
use crate::graph::{IntGraph, Linear, TableKind, WeightValues, requantise};
use crate::interpret::Interpreter;
use crate::quantise::quantise_record;

const AGREEMENT_MIN: f64 = 0.995;
const RELATIVE_ERROR_MAX: f64 = 0.025;
/// When no candidate is good enough: how much worse than the best of them the choice may be.
const WORSE_MAX: f64 = 1.2;
/// Multiply–accumulates that one candidate may cost.
const WORK_MAX: usize = 1 << 31;

type Quantised = (IntGraph, WeightValues, QuantiseReport);

/// Tries the candidates.
pub(super) fn choose(
    model: &FloatModel,
    calibration: &[Vec<f32>],
    outputs: &[Vec<f32>],
    ranges: &[TensorRange],
    options: &QuantiseOptions,
) -> Result<Quantised, QuantiseError> {
    let records = calibration.len().min((WORK_MAX / work(model).max(1)).max(1));
    let build = |(shift, q_bits)| Builder::build(model, ranges, options, shift, q_bits);
    let attempt = |(shift, q_bits)| -> Result<Quantised, QuantiseError> {
        let (graph, values, nodes) = build((shift, q_bits))?;
        let comparison = compare(&graph, &values, &calibration[..records], outputs)?;
        let report = QuantiseReport {
            shift,
            q_bits,
            table_entries: table_entries(&graph),
            agreement: (comparison.records, comparison.agreeing),
            relative_error: comparison.relative_error(),
            nodes,
        };
        Ok((graph, values, report))
    };
    let (mut tried, mut refusal) = (Vec::new(), None);
    // What a table of so many bits cannot hold at one shift it cannot hold at another.
    let mut too_few_bits = 0;
    for candidate in exact_candidates(model, options, |candidate| Ok(build(candidate)?.2)) {
        if candidate.1 <= too_few_bits {
            continue;
        }
        match attempt(candidate) {
            Ok((graph, values, report)) if good_enough(&report) => return Ok((graph, values, report)),
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
        Some((candidate, _)) => attempt(*candidate),
        None => Err(refusal.unwrap_or(QuantiseError::NoCalibration)),
    }
}

/// Whether the integer model does what the float model does.
pub(super) fn good_enough(report: &QuantiseReport) -> bool {
    let (records, agreeing) = report.agreement;
    agreeing as f64 >= AGREEMENT_MIN * records as f64 && report.relative_error <= RELATIVE_ERROR_MAX
}

/// (shift, q_bits) in the order of table rows, for two activation tables that reach as far as they may. What the model quantises needs a
/// shift of which 2^shift sums make no more than one step.
fn candidates(quantised: bool, options: &QuantiseOptions) -> Vec<(u32, u32)> {
    let shifts = options.shift.map_or(if quantised { 4..=12 } else { 6..=12 }, |s| s..=s);
    let q_bits = options.q_bits.map_or(options.activation_bits..=options.q_bits_max, |q| q..=q);
    let mut all: Vec<_> = shifts.flat_map(|s| q_bits.clone().map(move |q| (s, q))).collect();
    all.sort_by_key(|(s, q)| (1u64 << s) + 2 * (2u64 << q));
    all
}

/// The candidates at which the fewest nodes that the model quantises are not bit exact; of a model without such nodes, all.
fn exact_candidates(
    model: &FloatModel,
    options: &QuantiseOptions,
    build: impl Fn((u32, u32)) -> Result<Vec<NodeReport>, QuantiseError>,
) -> Vec<(u32, u32)> {
    let quantised = model.graph.nodes.iter().any(|node| node.grid.is_some());
    let all = candidates(quantised, options);
    if all.len() == 1 || !quantised {
        return all;
    }
    let mut least = usize::MAX;
    let mut kept = Vec::new();
    // Those at which nothing could be built stay, to say why if none can.
    for candidate in all {
        let nodes = build(candidate);
        if let Ok(nodes) = &nodes
            && nodes.iter().all(|node| node.bit_exact == Some(true))
        {
            return vec![candidate];
        }
        let inexact = |nodes: Vec<NodeReport>| nodes.iter().filter(|n| n.bit_exact == Some(false)).count();
        let count = nodes.map_or(usize::MAX, inexact);
        if count < least {
            least = count;
            kept.clear();
        }
        if count == least {
            kept.push(candidate);
        }
    }
    kept
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

/// Rows of the range table and of the activation tables in use, each as long as the worst case of its nodes.
fn table_entries(graph: &IntGraph) -> usize {
    let mut reach: HashMap<TableKind, (i64, i64)> = HashMap::new();
    for node in &graph.nodes {
        let q = match node.linear {
            Linear::Input => graph.record_range(),
            _ => {
                let bound = node.accumulator_bound;
                (requantise(-bound, node.shift), requantise(bound, node.shift))
            }
        };
        let entry = reach.entry(node.table).or_default();
        *entry = (entry.0.min(q.0), entry.1.max(q.1));
    }
    (1 << graph.shift) + reach.values().map(|(lo, hi)| (hi - lo + 1) as usize).sum::<usize>()
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
