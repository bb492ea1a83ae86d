//! From a float model to an integer graph: scales by calibration, weights scaled so that requantisation is a pure shift,
//! worst-case bounds on everything.
//!
//! A tensor's float value is its integer times its scale. For a linear node reading scale `s_x` and writing `s_y`, the
//! weights get the scale `s_y / (s_x · 2^shift)`; then `z / 2^shift` is already in units of `s_y`. Scales come from the
//! magnitudes seen in calibration ([`Calibration`]); a tensor whose worst case over *all* inputs would leave the table gets a
//! coarser scale. The output keeps its resolution: its table is the identity and its scale fills the table.

mod batch_matmul;
mod embedding;
mod function;
pub(crate) mod grid;
mod grid_average;
mod grid_constant;
mod grid_join;
mod grid_operand;
mod grid_pairs;
mod grid_product;
mod grid_round;
mod grid_sum;
mod grid_window;
mod linear;
mod max_pool;
mod mixed;
mod normalise;
mod part;
mod product;
mod ranges;
mod rank;
mod search;
mod softmax;
mod sum;
mod token;
mod trees;
mod widths;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::accuracy::AccuracyError;
use crate::float::{FloatError, FloatModel, FloatOp, Function, Grid, check_record};
use crate::graph::{
    IntGraph, Linear, ListedTable, Node, Part, TableId, TableKind, Tensor, TensorId, Term, View, Weight,
    WeightId, WeightValues, requantise,
};
use crate::interpret::RunError;
use crate::validate::{GraphError, Q_BITS_MAX, SHIFT_MAX, validate_graph, validate_weights};
use ranges::TensorRange;
use search::{Observed, Widths};

pub use mixed::{MixedPhase, MixedReport, MixedStep, quantise_mixed};
pub use search::Tolerance;

/// A scale may become this much coarser than calibration asks for so that the worst case fits the tables (3 of 8 bits).
const WIDENING_MAX: f64 = 8.0;

/// How the range of a tensor follows from calibration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Calibration {
    /// The largest magnitude.
    MinMax,
    /// The magnitude that this percentage of values does not exceed, for example 99.9; larger values are clamped.
    Percentile(f64),
    /// The magnitude beyond which to clamp so that the mean squared error of rounding and clamping is least, at the tensor's bits.
    Mse,
}

/// Which products read their activations at a scale of each token's own: a token is a row of what a matrix of weights is multiplied by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PerToken {
    /// None.
    #[default]
    None,
    /// All products of two rows or more with weights.
    All,
    /// Those of these layers, as [`NodeReport`] names them.
    Layers(BTreeSet<String>),
}

/// Choices for [`quantise`].
#[derive(Clone, Debug, PartialEq)]
pub struct QuantiseOptions {
    /// Bits of an activation, signed: 8 gives −128..=127.
    pub activation_bits: u32,
    /// Where a layer's activations have other bits: by the layer's name, as [`NodeReport`] has it.
    pub layer_bits: BTreeMap<String, u32>,
    /// Which products read every token at a scale of its own: its elements then have `activation_bits`, relative to the token's largest, and
    /// tensors that such a product reads or makes, or with [`PerToken::All`] all tensors, six bits more where tables hold them (at most 16) and
    /// `layer_bits` does not say otherwise.
    pub per_token: PerToken,
    /// How ranges are found.
    pub calibration: Calibration,
    /// Requantisation shift in bits; `None`: searched.
    pub shift: Option<u32>,
    /// Table range in bits; `None`: searched up to `q_bits_max`.
    pub q_bits: Option<u32>,
    /// Largest table range in bits. Where `q_bits` is searched it may be up to four more if that is what makes a layer bit exact which the model
    /// quantises itself.
    pub q_bits_max: u32,
    /// Largest number of bits of a weight, with its sign.
    pub weight_bits_max: u32,
    /// How many times the range seen in calibration a tensor may reach before its function or clamping, where its worst case over all
    /// inputs is more. A record that goes further is refused when it is run, so it has no proof. `None`: the worst case is
    /// what counts, and no record is ever refused.
    pub margin: Option<f64>,
}

impl Default for QuantiseOptions {
    fn default() -> Self {
        Self {
            activation_bits: 8,
            layer_bits: BTreeMap::new(),
            per_token: PerToken::None,
            calibration: Calibration::MinMax,
            shift: None,
            q_bits: None,
            q_bits_max: 16,
            weight_bits_max: 24,
            margin: None,
        }
    }
}

/// What became of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Its ONNX operator.
    pub operator: String,
    /// Scale of its output.
    pub scale: f64,
    /// Bits of its largest weight, with the sign (0: no weights).
    pub weight_bits: u32,
    /// Smallest table range in bits that would hold it.
    pub q_bits: u32,
    /// Bits of its largest sum, worst case, with the sign.
    pub accumulator_bits: u32,
    /// How much coarser its scale is than calibration alone would make it, so that its worst case fits the table.
    pub widened: f64,
    /// Of a node whose result the model itself quantises: whether it is what a runtime computes, bit for bit.
    pub bit_exact: Option<bool>,
    /// Bits of its activations, where it has a width of its own: no maximum or copy has, nor the output.
    pub activation_bits: Option<u32>,
    /// Of a product that reads every token at a scale of its own, the bits of a token's elements.
    pub token_bits: Option<u32>,
    /// Rows of its tensor, where the integer tensor has these elements column by column.
    pub turned: Option<usize>,
    /// The nodes of the integer graph that it became; the last of them that holds no rest of another makes its tensor.
    pub nodes: Range<usize>,
}

impl NodeReport {
    /// The element of the integer tensor that is element `e` of the float tensor, which has `len` of them.
    pub(crate) fn element(&self, e: usize, len: usize) -> usize {
        match self.turned.map(|rows| (rows, len / rows.max(1))) {
            Some((rows, columns)) if columns > 0 => e % columns * rows + e / columns,
            _ => e,
        }
    }
}

/// What [`quantise`] chose and how well it does on the calibration records.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantiseReport {
    /// The shift.
    pub shift: u32,
    /// The table range in bits.
    pub q_bits: u32,
    /// Rows of all tables: the range table and one table per activation kind in use.
    pub table_entries: usize,
    /// Calibration records compared, and those whose largest output is the same in both models.
    pub agreement: (usize, usize),
    /// Root mean square error of the outputs over the root mean square of the outputs.
    pub relative_error: f64,
    /// Node by node.
    pub nodes: Vec<NodeReport>,
}

/// Why a model could not be quantised.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum QuantiseError {
    /// No calibration records.
    #[error("quantisation needs at least 1 calibration record, got 0")]
    NoCalibration,
    /// A calibration record is unusable.
    #[error("calibration record {record} is not usable")]
    Calibration {
        record: usize,
        #[source]
        source: FloatError,
    },
    /// An option is out of range.
    #[error("option {option} is {got}, outside {lo}..={hi}")]
    Option { option: &'static str, lo: u32, hi: u32, got: u32 },
    /// A layer of which no width can be chosen.
    #[error("no layer `{got}` has activations whose bits can be chosen; those that have are {expected}")]
    Layer { expected: String, got: String },
    /// A layer that has no tokens.
    #[error(
        "no layer `{got}` multiplies tokens, two rows or more, by a matrix of weights; those that do are {expected}"
    )]
    Tokens { expected: String, got: String },
    /// Tokens whose factors have too few bits.
    #[error(
        "node `{node}` ({operator}) divides tokens by their largest element in factors of as little as {got} in units of 2^−{shift}; use a larger shift"
    )]
    TokenFactor { node: String, operator: String, shift: u32, got: i64 },
    /// A search for widths together with tokens' own scales.
    #[error(
        "widths cannot be searched for where products read every token at a scale of its own; give a number of bits"
    )]
    TokensSearched,
    /// No widths that were tried are accurate enough.
    #[error(
        "the least error of the outputs is {got:.4} with activations of up to {bits} bits, more than the {expected:.4} asked for, or too few records keep their largest output; ask for less, or allow larger tables"
    )]
    Target { bits: u32, expected: f64, got: f64 },
    /// A percentile that is none.
    #[error("a percentile is a number from 0 to 100, got {got}; 99.9 clamps one value in a thousand")]
    Percentile { got: f64 },
    /// A margin that is none.
    #[error("a margin over calibration is at least 1, got {got}")]
    Margin { got: f64 },
    /// A node cannot be held within the table range.
    #[error(
        "node `{node}` ({operator}) needs values of {got} bits in its worst case, more than the {expected} that tables have; allow larger tables"
    )]
    TableRange { node: String, operator: String, expected: u32, got: u32 },
    /// A table of more rows than an activation can number.
    #[error(
        "node `{node}` ({operator}) takes numbers up to {got}, more than the {expected_max} of activations; use more bits of activations"
    )]
    Ids { node: String, operator: String, expected_max: i64, got: i64 },
    /// A weight needs too many bits.
    #[error(
        "node `{node}` ({operator}) needs weights of {got} bits, more than {expected}; its weights differ too much in size"
    )]
    WeightRange { node: String, operator: String, expected: u32, got: u32 },
    /// A sum over so many elements that one of them counts for nothing.
    #[error(
        "node `{node}` ({operator}) sums so much that each element counts {got:.3} in units of 2^−{shift}; use a larger shift"
    )]
    Factor { node: String, operator: String, shift: u32, got: f64 },
    /// The graph that came out is refused.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Running the integer graph on calibration records failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<AccuracyError> for QuantiseError {
    fn from(error: AccuracyError) -> Self {
        match error {
            AccuracyError::Record { record, source } => Self::Calibration { record, source },
            AccuracyError::Run { source, .. } => Self::Run(source),
            AccuracyError::Labels { .. } => Self::NoCalibration,
        }
    }
}

/// Turns a float model into an integer graph with the help of calibration records. Where `shift` or `q_bits` are left
/// open, the smallest tables are chosen that keep the outputs.
pub fn quantise(
    model: &FloatModel,
    calibration: &[Vec<f32>],
    options: &QuantiseOptions,
) -> Result<(IntGraph, WeightValues, QuantiseReport), QuantiseError> {
    check_options(options)?;
    let per_token = widths::per_token(model, options)?;
    let widths = widths::resolve(model, options, &per_token)?;
    let mut observed = Observed::new(model, calibration, options, &per_token)?;
    let widths = observed.widths(widths);
    observed.choose(&widths, &Tolerance::default())
}

/// The integers of a record: values over the input's scale, rounded and clamped to the activation range. Numbers of the rows of a
/// table are taken as they are, and what is none is refused, with its place.
pub fn quantise_record(graph: &IntGraph, record: &[f32]) -> Result<Vec<i32>, FloatError> {
    let Some(input) = graph.tensors.get(graph.input.0) else {
        return Err(FloatError::RecordLength { expected: 0, got: record.len() });
    };
    check_record(record, input.shape.iter().product())?;
    for (range, (lo, hi)) in graph.numbered() {
        let numbers = |v: &f32| v.fract() == 0.0 && (lo as f64..=hi as f64).contains(&f64::from(*v));
        let values = record.get(range.clone()).unwrap_or_default();
        if let Some((position, value)) = (range.start..).zip(values).find(|(_, v)| !numbers(v)) {
            return Err(FloatError::RecordRow { position, last: hi, got: value.to_string() });
        }
    }
    let (lo, hi) = graph.record_range();
    let integer = |v: f32, scale: f64, range: Option<(i64, i64)>| match range {
        // As `QuantizeLinear` says, in single precision.
        Some((lo, hi)) => ((v / scale as f32).round_ties_even() as i64).clamp(lo, hi) as i32,
        None => (f64::from(v) / scale).round().clamp(lo as f64, hi as f64) as i32,
    };
    let parts = parts_of(graph).chain(std::iter::repeat((input.scale, None)));
    Ok(record.iter().zip(parts).map(|(v, (scale, range))| integer(*v, scale, range)).collect())
}

/// For each value of a record that has parts, its part's scale and range.
fn parts_of(graph: &IntGraph) -> impl Iterator<Item = (f64, Option<(i64, i64)>)> {
    graph.parts.iter().flat_map(|part| std::iter::repeat_n((part.scale, part.range), part.len))
}

/// For each value of a record that has parts, its scale.
pub(crate) fn scales_of_record(graph: &IntGraph) -> Vec<f64> {
    parts_of(graph).map(|(scale, _)| scale).collect()
}

/// The real numbers that output integers stand for.
pub fn dequantise_output(graph: &IntGraph, output: &[i32]) -> Vec<f64> {
    let scale = graph.tensors.get(graph.output.tensor.0).map_or(1.0, |t| t.scale);
    output.iter().map(|y| f64::from(*y) * scale).collect()
}

fn check_options(options: &QuantiseOptions) -> Result<(), QuantiseError> {
    let check = |option, got: u32, lo, hi| {
        if (lo..=hi).contains(&got) { Ok(()) } else { Err(QuantiseError::Option { option, lo, hi, got }) }
    };
    let widths = std::iter::once(&options.activation_bits).chain(options.layer_bits.values());
    widths
        .clone()
        .try_for_each(|bits| check("activation_bits", *bits, widths::BITS_MIN, widths::BITS_MAX))?;
    let widest = widths.max().copied().unwrap_or(widths::BITS_MAX);
    check("q_bits_max", options.q_bits_max, widest, Q_BITS_MAX)?;
    check("weight_bits_max", options.weight_bits_max, 2, 31)?;
    check("shift", options.shift.unwrap_or(1), 1, SHIFT_MAX)?;
    if let Calibration::Percentile(got) = options.calibration
        && !(0.0..=100.0).contains(&got)
    {
        return Err(QuantiseError::Percentile { got });
    }
    if let Some(got) = options.margin.filter(|margin| !margin.is_finite() || *margin < 1.0) {
        return Err(QuantiseError::Margin { got });
    }
    let q_bits = options.q_bits.unwrap_or(options.q_bits_max);
    check("q_bits", q_bits, widest, options.q_bits_max)
}

/// The scale at which `range` is `top`. A tensor that is 0 on every calibration record has no scale of its own.
fn fill(range: f64, top: f64) -> f64 {
    if range > 0.0 { range / top } else { 1.0 / top }
}

/// Smallest b with −2^b ≤ lo and hi < 2^b.
fn bits((lo, hi): (i64, i64)) -> u32 {
    let magnitude = hi.max(-(lo + 1)).max(0);
    i64::BITS - magnitude.leading_zeros()
}

/// An integer graph in the making, for one choice of shift and table range.
struct Builder<'a> {
    model: &'a FloatModel,
    ranges: &'a [TensorRange],
    options: &'a QuantiseOptions,
    /// Bits of every float node's activations.
    widths: &'a [u32],
    /// Of every float node that reads tokens at scales of their own, the largest of its products with these in calibration.
    products: &'a [Option<f64>],
    /// A range that every activation range holds, so that the model's own integers fit.
    least: (i64, i64),
    graph: IntGraph,
    values: WeightValues,
    reports: Vec<NodeReport>,
    /// For each float tensor, its integer tensor.
    tensors: Vec<TensorId>,
    /// Tokens at scales of their own.
    tokens: Vec<token::Tokens>,
}

/// What a [`NodeReport`] tells besides names and scale.
struct Figures {
    weight_bits: u32,
    q_bits: u32,
    accumulator_bits: u32,
    widened: f64,
    bit_exact: Option<bool>,
}

/// What a linear step came out as, for one scale.
struct Scaled<T> {
    step: T,
    scale: f64,
    /// Worst-case range of z.
    z: (i64, i64),
}

impl<'a> Builder<'a> {
    /// Quantises every node.
    fn build(
        model: &'a FloatModel,
        Widths { bits: widths, ranges, products }: &'a Widths,
        options: &'a QuantiseOptions,
        shift: u32,
        q_bits: u32,
    ) -> Result<(IntGraph, WeightValues, Vec<NodeReport>), QuantiseError> {
        let grids = model.graph.nodes.iter().filter_map(|node| node.grid.as_ref());
        let least = grids.fold((0, 0), |(lo, hi), grid| (lo.min(grid.lo), hi.max(grid.hi)));
        let graph = IntGraph::empty(shift, q_bits);
        let (values, reports, tensors, tokens) =
            (WeightValues(Vec::new()), Vec::new(), Vec::new(), Vec::new());
        let mut builder =
            Self { model, ranges, options, widths, products, least, graph, values, reports, tensors, tokens };
        for index in 0..model.graph.nodes.len() {
            let first = builder.graph.nodes.len();
            builder.node(index)?;
            if let Some(report) = builder.reports.last_mut() {
                report.nodes = first..builder.graph.nodes.len();
            }
        }
        builder.graph.output = builder.view(&model.graph.output);
        validate_graph(&builder.graph)?;
        validate_weights(&builder.graph, &builder.values)?;
        Ok((builder.graph, builder.values, builder.reports))
    }

    fn node(&mut self, index: usize) -> Result<(), QuantiseError> {
        let node = &self.model.graph.nodes[index];
        match &node.op {
            FloatOp::Input => {
                // Several inputs have scales of their own.
                let scale = match &node.grid {
                    Some(grid) => self.quantised_input(index, grid),
                    None if widths::several_inputs(self.model) || self.numbers_rows(index) => 1.0,
                    None => self.calibrated_scale(index),
                };
                self.push_input(index, scale)
            }
            FloatOp::Part { record, first } => self.part(index, record, *first),
            FloatOp::Rank { .. } => self.rank(index),
            FloatOp::Conv { .. } | FloatOp::MatMul { .. } => match self.products[index] {
                Some(seen) => self.per_token(index, seen),
                None => self.weighted(index),
            },
            FloatOp::Sum { terms, constant } => self.sum(index, terms, *constant),
            FloatOp::Spread { terms, sums, blocks, sums_first } => {
                self.spread(index, (terms, sums, *sums_first), *blocks)
            }
            FloatOp::Softmax { input, mask, log } => self.softmax(index, input, mask.as_ref(), *log),
            FloatOp::Normalise { input, epsilon, centred } => {
                self.normalise(index, input, *epsilon, *centred)
            }
            FloatOp::BatchMatMul { left, right, factor } => self.batch_matmul(index, left, right, *factor),
            FloatOp::Max { input, windows } => self.max_pool(index, input, windows),
            FloatOp::Product { factors } => self.product(index, factors),
            FloatOp::Trees { .. } => self.trees(index),
            FloatOp::Embedding { .. } => self.embedding(index),
        }
    }

    /// The record of a model that quantises it.
    fn quantised_input(&mut self, index: usize, grid: &Grid) -> f64 {
        let tensor = &self.model.graph.tensors[index];
        let (scale, range) = (f64::from(grid.scale), Some((grid.lo, grid.hi)));
        let len = tensor.shape.iter().product();
        self.graph.parts.push(Part { name: tensor.name.clone(), len, scale, range });
        scale
    }

    /// The record, clamped to the activation range, or row numbers as they are.
    fn push_input(&mut self, index: usize, scale: f64) -> Result<(), QuantiseError> {
        let (tensor, node) = (&self.model.graph.tensors[index], &self.model.graph.nodes[index]);
        let (last, (lo, hi)) = (self.largest_row(), self.activation(index));
        let bound = match last {
            None => (lo, hi),
            Some(last) if widths::several_inputs(self.model) => (lo.min(0), hi.max(last)),
            Some(last) => (0, last),
        };
        let tensor = Tensor { name: tensor.name.clone(), shape: tensor.shape.clone(), bound, scale };
        let bit_exact = node.grid.as_ref().map(|_| true);
        let table = if last.is_some() { TableKind::Identity } else { TableKind::clamp(bound, false) };
        let name = node.name.clone();
        let made = self.add_node(index, name, tensor, (Linear::Input, 0, table), bound.1.max(-bound.0));
        let q_bits = bits(bound);
        let figures =
            Figures { weight_bits: 0, q_bits, accumulator_bits: q_bits + 1, widened: 1.0, bit_exact };
        self.finish(index, made, figures);
        Ok(())
    }

    /// The scale of `q` at which the calibrated range fills the activation range, or several of them before a function.
    fn calibrated_scale(&self, index: usize) -> f64 {
        let TensorRange { result, before, .. } = self.ranges[index];
        let top = self.activation(index).1 as f64;
        let node = &self.model.graph.nodes[index];
        match (&node.function, &node.grid) {
            (None, Some(grid)) => f64::from(grid.scale) / grid::FINER,
            (Some(_), _) => fill(before, top * function::FINER),
            (None, None) => fill(result, top),
        }
    }

    /// Whether a node's `q` is the output, and takes all of the table.
    fn fills_table(&self, index: usize) -> bool {
        widths::fills_table(self.model, index)
    }

    /// Whether a node makes the output and nothing else reads it: then it is not clamped.
    fn is_output(&self, index: usize) -> bool {
        widths::is_output(self.model, index)
    }

    fn table(&self, index: usize) -> TableKind {
        match (self.is_output(index), self.model.graph.nodes[index].relu) {
            (true, true) => TableKind::Relu,
            (true, false) => TableKind::Identity,
            (false, relu) => TableKind::clamp(self.activation(index), relu),
        }
    }

    /// The table of a node that keeps its input's integers, of which none is lost.
    fn keeping_table(&self, index: usize, (lo, hi): (i64, i64)) -> TableKind {
        let range = self.activation(index);
        // −128 has a negative of its own only beyond 8 bits: that one counts as 127.
        let holds = lo >= range.0 - 1 && hi <= range.1 + 1;
        match (holds, self.model.graph.nodes[index].relu) {
            (true, _) => self.table(index),
            (false, true) => TableKind::Relu,
            (false, false) => TableKind::Identity,
        }
    }

    /// The range of a float node's activations.
    fn activation(&self, index: usize) -> (i64, i64) {
        let half = 1i64 << (self.widths[index] - 1);
        (self.least.0.min(-half), self.least.1.max(half - 1))
    }

    /// Finds a scale at which a node's worst case fits the table, starting from `scale`.
    fn fit<T>(
        &self,
        index: usize,
        scale: f64,
        quantise: impl Fn(f64) -> Scaled<T>,
    ) -> Result<Scaled<T>, QuantiseError> {
        let top = ((1i64 << self.graph.q_bits) - 1) as f64;
        let mut need = 0;
        let (calibrated, mut scale) = (scale, scale);
        let coarsest = self.coarsest(index, calibrated);
        while scale <= coarsest {
            let mut scaled = quantise(scale);
            scaled.z = self.within_margin(index, scaled.scale, scaled.z);
            let q = (requantise(scaled.z.0, self.graph.shift), requantise(scaled.z.1, self.graph.shift));
            need = bits(q);
            if need <= self.graph.q_bits {
                return Ok(scaled);
            }
            scale *= (q.0.abs().max(q.1.abs()) as f64 / top).max(1.0) * 1.001;
        }
        let node = &self.model.graph.nodes[index];
        let (name, operator, expected) = (node.name.clone(), node.operator.clone(), self.graph.q_bits);
        Err(QuantiseError::TableRange { node: name, operator, expected, got: need })
    }

    /// The coarsest scale of a node's `q` that is allowed for the sake of the tables.
    fn coarsest(&self, index: usize, calibrated: f64) -> f64 {
        let node = &self.model.graph.nodes[index];
        let finer = match (&node.function, &node.grid) {
            (None, Some(_)) => grid::FINER,
            (Some(_), _) => function::FINER,
            (None, None) => 1.0,
        };
        // What is cut off for the sake of the rest may be taken in again.
        let (range, largest) = self.seen(index);
        let cut_off = if range > 0.0 { largest / range } else { 1.0 };
        // Bits that a tensor has beside tokens for their sake alone are had as far as tables hold them.
        let chosen =
            self.options.per_token == PerToken::None || self.options.layer_bits.contains_key(&node.name);
        let spare = if chosen { 0 } else { self.widths[index].saturating_sub(self.options.activation_bits) };
        WIDENING_MAX * finer * cut_off * calibrated * f64::from(spare).exp2()
    }

    /// How far a node's `q` goes in calibration: as far as counts, and the largest.
    fn seen(&self, index: usize) -> (f64, f64) {
        let TensorRange { result, before, result_max, before_max } = self.ranges[index];
        match self.model.graph.nodes[index].function {
            Some(_) => (before, before_max),
            None => (result, result_max),
        }
    }

    /// The range of z, or as much of it as the margin over calibration allows.
    fn within_margin(&self, index: usize, scale: f64, z: (i64, i64)) -> (i64, i64) {
        self.within(self.seen(index).1, scale, z)
    }

    /// The range of z, or as much of it as the margin over what was seen allows.
    fn within(&self, seen: f64, scale: f64, z: (i64, i64)) -> (i64, i64) {
        match self.options.margin {
            Some(margin) if seen > 0.0 => {
                let reach = (margin * seen / scale).ceil().min(f64::from(1u32 << 31)) as i64;
                let reach = (reach + 1) << self.graph.shift;
                (z.0.max(-reach), z.1.min(reach))
            }
            _ => z,
        }
    }

    /// A float graph's view on the integer graph's tensors.
    fn view(&self, view: &View) -> View {
        let tensor = self.tensors[view.tensor.0];
        match &self.reports[view.tensor.0] {
            NodeReport { turned: None, .. } => View { tensor, ..view.clone() },
            turned => {
                let order = (0..view.len()).map(|e| turned.element(view.element(e), view.len()) as u32);
                View { tensor, shape: view.shape.clone(), order: Some(order.collect()) }
            }
        }
    }

    fn scale_of(&self, view: &View) -> f64 {
        self.graph.tensors[self.tensors[view.tensor.0].0].scale
    }

    fn bound_of(&self, view: &View) -> (i64, i64) {
        self.graph.tensors[self.tensors[view.tensor.0].0].bound
    }

    fn add_weight(&mut self, name: &str, shape: Vec<usize>, values: Vec<i32>) -> WeightId {
        let largest = values.iter().map(|v| i64::from(*v).abs()).max().unwrap_or(0);
        let bound = (1 << bits((0, largest))) - 1;
        self.graph.weights.push(Weight { name: name.into(), shape, bound });
        self.values.0.push(values);
        WeightId(self.graph.weights.len() - 1)
    }

    /// A bound on |z| for all to see: that of the largest q of as many bits as the true bound's q has. Nodes without a
    /// shift have bounds that say nothing about weights.
    fn public_bound(&self, magnitude: i64, shift: u32) -> i64 {
        let q_bits = bits((0, requantise(magnitude, shift)));
        if shift == 0 || q_bits > self.graph.q_bits {
            return magnitude;
        }
        ((((1 << q_bits) - 1) << shift) + (1 << (shift - 1)) - 1).max(magnitude)
    }

    /// Adds an integer node that float node `index` needs on its way: `y` of table `table`, for |z| of at most `reach`.
    #[allow(clippy::too_many_arguments)]
    fn push_step(
        &mut self,
        index: usize,
        what: &str,
        linear: Linear,
        shift: u32,
        table: TableKind,
        shape: Vec<usize>,
        reach: i64,
        scale: f64,
    ) -> Result<TensorId, QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let name = format!("{}.{what}", node.name);
        let ends = (requantise(-reach, shift), requantise(reach, shift));
        let (got, expected) = (bits(ends), self.graph.q_bits);
        if got > expected {
            let operator = node.operator.clone();
            return Err(QuantiseError::TableRange { node: name, operator, expected, got });
        }
        let tensor = Tensor { name: name.clone(), shape, bound: self.graph.range_of(table, ends), scale };
        Ok(self.add_node(index, name, tensor, (linear, shift, table), reach))
    }

    /// Adds an integer node that makes `tensor`, for float node `index`.
    fn add_node(
        &mut self,
        index: usize,
        name: String,
        tensor: Tensor,
        (linear, shift, table): (Linear, u32, TableKind),
        accumulator_bound: i64,
    ) -> TensorId {
        let operator = self.model.graph.nodes[index].operator.clone();
        let output = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(tensor);
        self.graph.nodes.push(Node {
            name,
            operator,
            linear,
            modulus: 1,
            shift,
            table,
            output,
            accumulator_bound,
        });
        output
    }

    /// Float tensor `index` is `made`; reports what became of its node.
    fn finish(&mut self, index: usize, made: TensorId, figures: Figures) {
        self.tensors.push(made);
        let node = &self.model.graph.nodes[index];
        let Figures { weight_bits, q_bits, accumulator_bits, widened, bit_exact } = figures;
        self.reports.push(NodeReport {
            name: node.name.clone(),
            operator: node.operator.clone(),
            scale: self.graph.tensors[made.0].scale,
            weight_bits,
            q_bits,
            accumulator_bits,
            widened,
            bit_exact,
            activation_bits: widths::has_width(self.model, index).then(|| self.widths[index]),
            token_bits: self.products[index].map(|_| self.options.activation_bits),
            turned: None,
            nodes: 0..0,
        });
    }

    /// A listed table of `entry(q)` for −`reach` ≤ q ≤ `reach`, as far as the table range goes.
    fn listed(&mut self, name: &str, reach: i64, entry: impl Fn(i64) -> i32) -> TableKind {
        let range = 1i64 << self.graph.q_bits;
        let (first, last) = ((-reach).max(-range), reach.min(range - 1));
        self.list(ListedTable { name: name.into(), first, values: (first..=last).map(entry).collect() })
    }

    /// Adds a table, or finds one that is the same.
    fn list(&mut self, table: ListedTable) -> TableKind {
        let known = self.graph.tables.iter().position(|known| *known == table);
        let id = known.unwrap_or_else(|| {
            self.graph.tables.push(table);
            self.graph.tables.len() - 1
        });
        TableKind::Listed(TableId(id))
    }

    /// Adds the integer node that makes float tensor `index`; `scale` is with its widening, `z` its worst-case range.
    #[allow(clippy::too_many_arguments)]
    fn push(
        &mut self,
        index: usize,
        linear: Linear,
        shift: u32,
        table: TableKind,
        (scale, widened): (f64, f64),
        z: (i64, i64),
        weight_bits: u32,
    ) -> Result<(), QuantiseError> {
        let function = self.model.graph.nodes[index].function.clone();
        self.push_function(index, linear, shift, table, function.as_ref(), (scale, widened), z, weight_bits)
    }

    /// As [`Self::push`], with a function other than the node's.
    #[allow(clippy::too_many_arguments)]
    fn push_function(
        &mut self,
        index: usize,
        linear: Linear,
        shift: u32,
        table: TableKind,
        function: Option<&Function>,
        (scale, widened): (f64, f64),
        z: (i64, i64),
        weight_bits: u32,
    ) -> Result<(), QuantiseError> {
        let node = &self.model.graph.nodes[index];
        let name = node.name.clone();
        let q = (requantise(z.0, shift), requantise(z.1, shift));
        let q_bits = bits(q);
        if q_bits > self.graph.q_bits {
            let (operator, expected) = (node.operator.clone(), self.graph.q_bits);
            return Err(QuantiseError::TableRange { node: name, operator, expected, got: q_bits });
        }
        let accumulator_bound = self.public_bound(z.1.max(-z.0), shift);
        let reach = requantise(accumulator_bound, shift);
        let q = if shift == 0 { q } else { (q.0.signum().min(0) * reach, q.1.signum().max(0) * reach) };
        let (table, scale) = match (&node.grid, function) {
            (Some(grid), function) => self.grid_table(grid, function, node.relu, scale, reach),
            (None, Some(function)) => self.function_table(index, function, scale, reach),
            (None, None) => (table, scale),
        };
        let exact = shift == 0 && !matches!(linear, Linear::Spread { .. });
        let bit_exact = node.grid.as_ref().map(|_| exact);
        let tensor = &self.model.graph.tensors[index];
        let bound = self.graph.range_of(table, q);
        let tensor = Tensor { name: tensor.name.clone(), shape: tensor.shape.clone(), bound, scale };
        let made = self.add_node(index, name, tensor, (linear, shift, table), accumulator_bound);
        let accumulator_bits = bits(z) + 1;
        self.finish(index, made, Figures { weight_bits, q_bits, accumulator_bits, widened, bit_exact });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::check::{Onnx, ints, noise};
    use crate::interpret::run;

    fn records(model: &FloatModel, count: u64) -> Vec<Vec<f32>> {
        (0..count).map(|seed| noise(seed, model.record_len(), 2.0)).collect()
    }

    /// Gemm, Relu, Gemm on 12 inputs.
    fn perceptron() -> FloatModel {
        let onnx =
            Onnx::new(&[1, 12]).noise("w", &[12, 9], 1.0).noise("b", &[9], 1.0).noise("v", &[9, 3], 1.0);
        let onnx = onnx.node("Gemm", &["x", "w", "b"], "h", vec![]).node("Relu", &["h"], "r", vec![]);
        onnx.node("Gemm", &["r", "v"], "y", vec![]).import("y").unwrap()
    }

    /// A gated layer: `Sigmoid(W·x) · Tanh(V·x)` and a last layer.
    fn gated() -> FloatModel {
        let onnx =
            Onnx::new(&[1, 12]).noise("w", &[12, 9], 1.0).noise("u", &[12, 9], 1.0).noise("v", &[9, 3], 1.0);
        let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("Sigmoid", &["a"], "s", vec![]);
        let onnx = onnx.node("MatMul", &["x", "u"], "b", vec![]).node("Tanh", &["b"], "t", vec![]);
        let onnx = onnx.node("Mul", &["s", "t"], "p", vec![]);
        onnx.node("MatMul", &["p", "v"], "y", vec![]).import("y").unwrap()
    }

    #[test]
    fn no_record_at_all_breaks_the_promised_bounds() {
        [perceptron(), gated()].iter().for_each(keeps_its_bounds);
    }

    fn keeps_its_bounds(model: &FloatModel) {
        let calibration = records(model, 16);
        let (graph, weights, report) = quantise(model, &calibration, &QuantiseOptions::default()).unwrap();
        for seed in 0..50 {
            // Corners of the input range, far outside what calibration saw; the interpreter checks every bound.
            let corner: Vec<i32> =
                noise(seed, 12, 1.0).iter().map(|v| if *v > 0.0 { 127 } else { -128 }).collect();
            let trace = run(&graph, &weights, &corner).unwrap();
            for (node, tensor) in trace.nodes.iter().zip(&graph.tensors) {
                assert!(node.y.iter().all(|y| (tensor.bound.0..=tensor.bound.1).contains(&i64::from(*y))));
            }
        }
        assert!(report.nodes.iter().all(|n| n.q_bits <= report.q_bits));
    }

    #[test]
    fn chosen_tables_are_the_smallest_that_are_good_enough() {
        let model = perceptron();
        let calibration = records(&model, 32);
        let (_, _, chosen) = quantise(&model, &calibration, &QuantiseOptions::default()).unwrap();
        assert!(Tolerance::default().allows(&chosen));
        let smaller = QuantiseOptions {
            shift: Some(chosen.shift - 1),
            q_bits: Some(chosen.q_bits),
            ..QuantiseOptions::default()
        };
        let (_, _, smaller) = quantise(&model, &calibration, &smaller).unwrap();
        assert!(smaller.table_entries < chosen.table_entries);
        assert!(!Tolerance::default().allows(&smaller));
    }

    #[test]
    fn output_keeps_its_resolution_and_is_not_clamped() {
        let model = perceptron();
        let calibration = records(&model, 16);
        let options = QuantiseOptions { shift: Some(10), q_bits: Some(12), ..QuantiseOptions::default() };
        let (graph, weights, report) = quantise(&model, &calibration, &options).unwrap();
        let last = graph.nodes.last().unwrap();
        assert_eq!((last.table, report.nodes.last().unwrap().q_bits), (TableKind::Identity, 12));
        let record = quantise_record(&graph, &calibration[0]).unwrap();
        let output = run(&graph, &weights, &record).unwrap().output;
        let floats = model.run(&calibration[0]).unwrap().output;
        for (got, want) in dequantise_output(&graph, &output).iter().zip(&floats) {
            assert!((got - f64::from(*want)).abs() < 0.1, "{got} {want}");
        }
    }

    #[test]
    fn percentile_calibration_clamps_outliers() {
        let model = Onnx::new(&[1, 100]).node("Relu", &["x"], "y", vec![]).import("y").unwrap();
        let mut record = vec![1.0; 100];
        record[3] = 50.0;
        let scale = |calibration| {
            let options = QuantiseOptions { calibration, ..QuantiseOptions::default() };
            let (graph, _, _) = quantise(&model, &[record.clone()], &options).unwrap();
            assert_eq!(quantise_record(&graph, &record).unwrap()[3], 127);
            graph.tensors[0].scale
        };
        assert!((scale(Calibration::MinMax) - 50.0 / 127.0).abs() < 1e-9);
        assert!((scale(Calibration::Percentile(95.0)) - 1.0 / 127.0).abs() < 1e-9);
        // Of 99 ones and a 50, the outlier is worth more than the ones.
        assert!((scale(Calibration::Mse) - 50.0 / 127.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_cut_off_is_taken_in_again_where_the_tables_would_not_hold_the_worst_case() {
        let model = perceptron();
        let mut calibration = records(&model, 200);
        calibration[3].iter_mut().for_each(|v| *v *= 300.0);
        for calibrate in [Calibration::Percentile(90.0), Calibration::Mse] {
            let options =
                QuantiseOptions { calibration: calibrate, q_bits_max: 10, ..QuantiseOptions::default() };
            let (graph, weights, report) = quantise(&model, &calibration, &options).unwrap();
            assert!(run(&graph, &weights, &[127; 12]).is_ok(), "{report:?}");
        }
        let options =
            QuantiseOptions { calibration: Calibration::Percentile(f64::NAN), ..QuantiseOptions::default() };
        assert!(matches!(
            quantise(&model, &calibration, &options).unwrap_err(),
            QuantiseError::Percentile { .. }
        ));
    }

    #[test]
    fn worst_case_that_no_table_holds_is_refused_with_the_operators_name() {
        // On calibration the hidden layer shows a hundredth of what it can do.
        let onnx = Onnx::new(&[1, 12]).noise("w", &[12, 9], 100.0).noise("v", &[9, 3], 1.0);
        let onnx = onnx.node("Gemm", &["x", "w"], "h", vec![]).node("Relu", &["h"], "r", vec![]);
        let model = onnx.node("Gemm", &["r", "v"], "y", vec![]).import("y").unwrap();
        let quiet = [vec![0.0; 12]];
        let options = QuantiseOptions { q_bits_max: 9, ..QuantiseOptions::default() };
        let error = quantise(&model, &quiet, &options).unwrap_err();
        assert!(matches!(error, QuantiseError::TableRange { node, expected: 9, .. } if node == "h"));
        assert!(quantise(&model, &quiet, &QuantiseOptions::default()).is_ok());
    }

    #[test]
    fn with_a_margin_the_worst_case_counts_only_as_far_as_that() {
        let onnx = Onnx::new(&[1, 12]).noise("w", &[12, 9], 100.0).noise("v", &[9, 3], 1.0);
        let onnx = onnx.node("Gemm", &["x", "w"], "h", vec![]).node("Relu", &["h"], "r", vec![]);
        let model = onnx.node("Gemm", &["r", "v"], "y", vec![]).import("y").unwrap();
        // One input at a time is far from the worst case.
        let alone = |at: usize| (0..12).map(|e| f32::from(u8::from(e == at))).collect();
        let calibration = (0..12).map(alone).collect::<Vec<Vec<f32>>>();
        let options = QuantiseOptions { q_bits_max: 9, shift: Some(8), ..QuantiseOptions::default() };
        let least = quantise(&model, &calibration, &options).unwrap().2.nodes[1].widened;
        let options = QuantiseOptions { margin: Some(2.0), ..options };
        let (graph, weights, report) = quantise(&model, &calibration, &options).unwrap();
        assert!(report.nodes[1].widened < least.min(1.001), "{report:?}");
        assert!(run(&graph, &weights, &quantise_record(&graph, &calibration[3]).unwrap()).is_ok());
        let refused = run(&graph, &weights, &[127; 12]).unwrap_err();
        assert!(
            matches!(refused, crate::RunError::AccumulatorRange { ref node, .. } if node == "h"),
            "{refused}"
        );
        let options = QuantiseOptions { margin: Some(0.5), ..options };
        assert_eq!(quantise(&model, &calibration, &options).unwrap_err(), QuantiseError::Margin { got: 0.5 });
    }

    #[test]
    fn weights_beyond_their_bits_are_refused_with_the_operators_name() {
        let model = perceptron();
        let options = QuantiseOptions { weight_bits_max: 2, ..QuantiseOptions::default() };
        let error = quantise(&model, &records(&model, 2), &options).unwrap_err();
        assert!(matches!(error, QuantiseError::WeightRange { node, .. } if node == "h"));
    }

    #[test]
    fn steps_of_a_maximum_fit_tables_of_the_activations_bits() {
        let attributes = vec![ints("kernel_shape", &[2]), ints("strides", &[2])];
        let onnx = Onnx::new(&[1, 1, 6]).node("MaxPool", &["x"], "pool", attributes);
        let model = onnx.import("pool").unwrap();
        let options = QuantiseOptions { q_bits_max: 8, ..QuantiseOptions::default() };
        let (_, _, report) = quantise(&model, &records(&model, 2), &options).unwrap();
        assert_eq!(report.q_bits, 8);
    }

    #[test]
    fn average_over_more_elements_than_the_shift_can_tell_is_refused() {
        let onnx = Onnx::new(&[1, 1, 30, 30]).node("GlobalAveragePool", &["x"], "mean", vec![]);
        let model = onnx
            .node("Relu", &["mean"], "y", vec![])
            .node("Identity", &["y"], "z", vec![])
            .import("z")
            .unwrap();
        let constant = vec![vec![1.0; 900]];
        let options = QuantiseOptions { shift: Some(6), ..QuantiseOptions::default() };
        let options = QuantiseOptions { q_bits: Some(8), ..options };
        let error = quantise(&model, &constant, &options).unwrap_err();
        assert!(matches!(error, QuantiseError::Factor { shift: 6, .. }), "{error}");
        assert!(quantise(&model, &constant, &QuantiseOptions::default()).is_ok());
    }

    #[test]
    fn unusable_records_and_options_are_named() {
        let model = perceptron();
        let options = QuantiseOptions::default();
        assert_eq!(quantise(&model, &[], &options).unwrap_err(), QuantiseError::NoCalibration);
        let mut bad = records(&model, 3);
        bad[2][7] = f32::NAN;
        let error = quantise(&model, &bad, &options).unwrap_err();
        let source = FloatError::RecordNotFinite { position: 7, got: "NaN".into() };
        assert_eq!(error, QuantiseError::Calibration { record: 2, source: source.clone() });
        let error = quantise(&model, &[vec![0.0; 5]], &options).unwrap_err();
        let length = FloatError::RecordLength { expected: 12, got: 5 };
        assert_eq!(error, QuantiseError::Calibration { record: 0, source: length });
        let (graph, _, _) = quantise(&model, &records(&model, 3), &options).unwrap();
        assert_eq!(quantise_record(&graph, &bad[2]).unwrap_err(), source);
        let error = quantise(&model, &records(&model, 1), &QuantiseOptions { q_bits: Some(40), ..options })
            .unwrap_err();
        assert_eq!(error, QuantiseError::Option { option: "q_bits", lo: 8, hi: 16, got: 40 });
    }

    #[test]
    fn calibration_of_zeros_gives_a_model_all_the_same() {
        let model = perceptron();
        let (graph, weights, _) = quantise(&model, &[vec![0.0; 12]], &QuantiseOptions::default()).unwrap();
        assert_eq!(run(&graph, &weights, &[0; 12]).unwrap().output.len(), 3);
    }
}
