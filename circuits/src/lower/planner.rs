//! Chooses the number of lanes and of rows: the cheapest prediction wins.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::graph::{IntGraph, Linear, Node};

use super::LowerError;
use super::chain::{Colouring, Lanes, Offsets, PatternId, Space, uses_min};
use super::fold::{Fold, Worth};
use super::layout::{place_activations, place_weights};
use super::ledger::{Ledger, RelayColumn};
use super::linear::{Plan, conv};
use super::rates::{Rate, Rates};
use super::selectors::Selectors;
use super::statement::Visibility;
use super::tables::Tables;

/// Whose cost counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The prover's time, and the length of a proof.
    #[default]
    Proving,
    /// The gas of a verifier on Ethereum, for which every commitment counts: few columns, many rows.
    Ethereum,
}

/// What the planner may not choose by itself; `None` is the cheapest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOptions {
    /// What is cheap.
    pub target: Target,
    /// Number of lanes of activations.
    pub lanes: Option<usize>,
    /// Number of lanes of weights, the columns of the committed group "model".
    pub weight_lanes: Option<usize>,
    /// Number of lanes of the edges of convolutions.
    pub edge_lanes: Option<usize>,
    /// log2 of the row count.
    pub k: Option<u32>,
    /// [`kiln_plonk::circuit::Circuit::degree`], 3 to 9.
    pub degree: Option<u32>,
    /// Whether chain ends are added up by chains wherever that can be done (`true`), nowhere (`false`), or where it is
    /// worth its columns.
    #[serde(default)]
    pub fold: Option<bool>,
}

/// Smallest circuit, log2 of rows.
const K_MIN: u32 = 5;
/// From so many rows on (log2), selectors share columns where only proving counts: there a column is dear, in transforms
/// and in memory, and below it a gate of lower degree is the simpler one.
const SHARED_K_MIN: u32 = 15;
/// Largest circuit, log2 of rows.
pub(crate) const K_MAX: u32 = 24;
/// Numbers of lanes of activations to try.
const LANES: [usize; 7] = [4, 8, 14, 16, 20, 28, 32];
/// Numbers of lanes of weights and of edges to try.
const LINEAR_LANES: [usize; 7] = [4, 8, 16, 32, 64, 128, 144];
/// Numbers of lanes to try where every column counts.
const FEW_LANES: [usize; 5] = [1, 2, 4, 8, 16];
/// Most lanes.
pub(crate) const LANES_MAX: usize = 144;
/// Degrees that a circuit may have; the running sum has degree 3.
const DEGREES: RangeInclusive<u32> = 3..=9;
/// Degrees to try.
const DEGREES_TRIED: RangeInclusive<u32> = 3..=5;

/// Columns of a circuit, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnCounts {
    /// Remainders (0 or the lanes).
    pub remainders: usize,
    /// Requantised values and activations together (2 a lane).
    pub activations: usize,
    /// Weights (a lane each).
    pub weights: usize,
    /// The committed input (0 or the lanes).
    pub input: usize,
    /// Edges of convolutions (0 or the lanes).
    pub edges: usize,
    /// Cells of the input of a matrix product with one row, repeated beside weights.
    pub cell_relays: usize,
    /// Chain values, repeated beside weights.
    pub chain_relays: usize,
    /// Chains.
    pub accumulators: usize,
    /// Of these, accumulators whose ends are multiplied with relays.
    #[serde(default)]
    pub multiplied: usize,
    /// Chains of chain ends.
    #[serde(default)]
    pub folds: usize,
    /// Fractions beside relays, for lookups of rows.
    #[serde(default)]
    pub fractions: usize,
    /// Inverses of row numbers, for the same.
    #[serde(default)]
    pub inverses: usize,
    /// Selectors of patterns and multipliers.
    pub selectors: usize,
    /// Fixed columns that they take.
    pub selector_columns: usize,
    /// Of these, selectors of multipliers.
    pub multipliers: usize,
    /// Combinations of weights, edges or the committed input that a pattern reads.
    pub combinations: usize,
    /// Segments of the table, three columns each.
    pub table_segments: usize,
}

/// What one node takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Name of the node.
    pub name: String,
    /// Operator.
    pub operator: String,
    /// Rows of its output.
    pub rows: usize,
    /// Elements that it reads, those of a tensor that it reads several times once.
    pub inputs: usize,
    /// Elements of its output.
    pub outputs: usize,
    /// Weights and biases.
    pub weights: usize,
    /// Multiply–accumulates.
    pub multiply_accumulates: u64,
    /// Cells committed for it: three (two without shift) an output, weights, edges and relays.
    pub cells: usize,
}

/// What was chosen, and what it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanReport {
    /// Lanes of activations.
    pub lanes: usize,
    /// Lanes of weights.
    pub weight_lanes: usize,
    /// log2 of rows.
    pub k: u32,
    /// Degree of the constraints.
    pub degree: u32,
    /// Columns by kind.
    pub columns: ColumnCounts,
    /// Rows in use of activations, weights, edges.
    pub rows: (usize, usize, usize),
    /// Small cells that hold data: remainders, requantised values, activations, weights, edges, cell relays.
    pub small_cells: usize,
    /// Full-width cells that hold data: accumulators and chain relays.
    pub full_cells: usize,
    /// Inputs, weights and outputs of all layers together.
    pub data: usize,
    /// Multiply–accumulates of all layers together.
    pub multiply_accumulates: u64,
    /// Cells the verifier computes.
    pub instance_cells: usize,
    /// Predicted CPU time of a proof that holds all columns in memory, all threads together, in milliseconds. See
    /// [`Lowered::predict`](super::Lowered::predict).
    pub predicted_ms: f64,
    /// Predicted proof size, in bytes.
    pub predicted_proof_bytes: usize,
    /// Layer by layer.
    pub layers: Vec<LayerReport>,
}

/// A plan with its rows and columns.
pub(crate) struct Choice {
    pub target: Target,
    pub plan: Plan,
    pub k: u32,
    pub degree: u32,
    pub offsets: Offsets,
    pub colouring: Colouring,
    pub ledger: Ledger,
    pub fold: Fold,
    fold_asked: Option<bool>,
    pub selectors: Selectors,
    pub columns: ColumnCounts,
}

/// What proving a graph takes, as predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// What layouts are compared by: the time and the length of the proof, or the gas of a contract, as the target says.
    pub cost: f64,
    /// CPU time, by the planner's rough count of columns \[ms\].
    pub milliseconds: f64,
}

/// Predicted costs.
#[derive(Clone, Copy, Debug)]
struct Prediction {
    milliseconds: f64,
    proof_bytes: usize,
    points: usize,
    evaluations: usize,
    fixed: usize,
    weight_columns: usize,
    instance_cells: usize,
}

impl Prediction {
    /// A column that is multiplied with others is interpolated and taken to every coset; a linear one is interpolated only, and
    /// each combination of such columns is taken to every coset in their place.
    fn new(columns: &ColumnCounts, instance_cells: usize, k: u32, degree: u32, rate: &Rate) -> Self {
        let (n, cosets) = ((1u64 << k) as f64, degree.saturating_sub(1).max(1) as usize);
        let lookups = columns.remainders + columns.activations / 2 + columns.table_segments;
        let helpers = lookups.div_ceil(cosets);
        let small_read = columns.remainders + columns.activations;
        let small_linear = columns.edges + columns.cell_relays + columns.table_segments;
        let committed = columns.weights + columns.input;
        let full_read = columns.accumulators + columns.folds + 2;
        let quotients = columns.fractions + columns.inverses;
        let full_linear = columns.chain_relays + quotients + helpers;
        let instance = 1 + 2 * columns.accumulators + columns.cell_relays + columns.chain_relays + quotients;
        // Fractions and inverses each have a fixed column of row numbers, or of where they are.
        let fixed = columns.selector_columns + 3 * columns.table_segments + 1 + quotients;
        let linear = small_linear + committed + full_linear;
        let evaluated = small_read + full_read + instance + fixed;
        // Relays, helpers, multiplicities and what sums them up are not combined.
        let taken = columns.combinations + full_linear + columns.cell_relays + columns.table_segments;
        let transforms = evaluated * (1 + cosets) + linear + taken * cosets;
        let reads = columns.selectors * columns.activations / 2 + 4 * (evaluated + taken);
        let combined = columns.combinations * (committed + columns.edges) / 2;
        let nanoseconds = n * rate.full_ns * (full_read + full_linear + cosets + 2) as f64
            + n * rate.small_ns * (small_read + small_linear) as f64
            + n * rate.butterfly_ns * f64::from(k) / 2.0 * transforms as f64
            + n * rate.multiply_add_ns * (cosets * reads + combined) as f64;
        let commitments = small_read + small_linear + full_read + full_linear + cosets + 2;
        // Where a chain or a running sum stands is not revealed, only where it stood a row before.
        let evaluations = small_read + fixed + full_read + columns.multiplied;
        let proof_bytes = 32 * (commitments + evaluations);
        Self {
            milliseconds: nanoseconds / 1e6,
            proof_bytes,
            points: commitments,
            evaluations,
            fixed,
            weight_columns: committed,
            instance_cells,
        }
    }

    fn cost(&self, target: Target) -> f64 {
        match target {
            Target::Proving => self.proving_cost(),
            Target::Ethereum => self.gas() + self.milliseconds,
        }
    }

    /// Gas of a verifier on Ethereum. A commitment is one multiplication of a point, 6 000, and its addition; in a proof
    /// it is calldata besides. All proofs pay for the transaction and two pairings.
    fn gas(&self) -> f64 {
        let known = self.fixed + self.weight_columns + 1;
        150_000.0
            + 7_600.0 * self.points as f64
            + 6_500.0 * known as f64
            + 650.0 * self.evaluations as f64
            + 170.0 * self.instance_cells as f64
    }

    /// In milliseconds. A byte of the proof is worth 100 µs, one of the model's commitment a fifth of that; and 80 bytes are worth a
    /// hundredth of the time that the proof takes. An instance cell takes the verifier a microsecond and a half.
    fn proving_cost(&self) -> f64 {
        let bytes = self.proof_bytes as f64 + 0.2 * 32.0 * self.weight_columns as f64;
        self.milliseconds * (1.0 + bytes / 8000.0) + 0.1 * bytes + 0.004 * self.instance_cells as f64
    }
}

/// Lanes and rows to try.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    lanes: Lanes,
    k: u32,
    /// What it costs whatever the chains.
    cost: f64,
}

/// Tries the numbers of lanes and of rows that promise most.
pub(crate) fn choose(
    graph: &IntGraph,
    visibility: Visibility,
    options: &PlanOptions,
    tables: &Tables,
    rates: &Rates,
) -> Result<Choice, LowerError> {
    check_options(options)?;
    let (mut candidates, rows_needed) = candidates(graph, visibility, options, tables, rates);
    candidates.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    candidates.truncate(trials(graph));
    candidates.sort_by_key(|candidate| (candidate.lanes, candidate.k));
    let mut best: Option<(f64, Choice)> = None;
    for same in candidates.chunk_by(|a, b| a.lanes == b.lanes) {
        let plan = Plan::new(graph, visibility, same[0].lanes);
        let least = same
            .iter()
            .filter_map(|candidate| try_rows(&plan, candidate.k, visibility, options, tables, rates));
        if let Some((cost, settings)) = least.min_by(|a, b| a.0.total_cmp(&b.0))
            && best.as_ref().is_none_or(|(least, _)| cost < *least)
        {
            best = Some((cost, settings.with(options, plan)));
        }
    }
    let k_max = options.k.unwrap_or(K_MAX).min(K_MAX);
    best.map(|(_, choice)| choice).ok_or(LowerError::Rows { expected_max: 1 << k_max, got: rows_needed })
}

fn check_options(options: &PlanOptions) -> Result<(), LowerError> {
    for got in [options.lanes, options.weight_lanes, options.edge_lanes].into_iter().flatten() {
        if !(1..=LANES_MAX).contains(&got) {
            return Err(LowerError::Lanes { expected_max: LANES_MAX, got });
        }
    }
    match options.degree {
        Some(got) if !DEGREES.contains(&got) => {
            Err(LowerError::Degree { expected_min: *DEGREES.start(), expected_max: *DEGREES.end(), got })
        }
        _ => Ok(()),
    }
}

/// How many layouts are planned in full: all of a small model, few of a large one.
fn trials(graph: &IntGraph) -> usize {
    let size = |shape: &[usize]| shape.iter().product::<usize>();
    let cells = graph.tensors.iter().map(|tensor| size(&tensor.shape)).sum::<usize>()
        + graph.weights.iter().map(|weight| size(&weight.shape)).sum::<usize>();
    (2_000_000 / cells.max(1)).clamp(3, 40)
}

/// All that fit by estimate, and the fewest rows that any needs.
fn candidates(
    graph: &IntGraph,
    visibility: Visibility,
    options: &PlanOptions,
    tables: &Tables,
    rates: &Rates,
) -> (Vec<Candidate>, u32) {
    let given = |lanes: Option<usize>, all: &[usize]| lanes.map_or_else(|| all.to_vec(), |lanes| vec![lanes]);
    let (few, linear): (&[usize], &[usize]) = match options.target {
        Target::Proving => (&LANES, &LINEAR_LANES),
        Target::Ethereum => (&FEW_LANES, &FEW_LANES),
    };
    let weights = given(options.weight_lanes, linear);
    let weights = weights.into_iter().map(|lanes| (lanes, place_weights(graph, lanes).1)).collect::<Vec<_>>();
    let edges = given(options.edge_lanes, linear);
    let edges = edges.into_iter().map(|lanes| (lanes, conv::edge_rows(graph, lanes))).collect::<Vec<_>>();
    let (mut all, mut rows_needed) = (Vec::new(), u32::MAX);
    for activations in given(options.lanes, few) {
        let rows = place_activations(graph, activations).1;
        for (weights, weight_rows) in &weights {
            let edges_needed = edges.iter().map(|edges| edges.1).min().unwrap_or(0);
            rows_needed = rows_needed.min(rows.max(*weight_rows).max(edges_needed));
            let need = rows.max(*weight_rows).max(1);
            let least = need.next_power_of_two().trailing_zeros().max(K_MIN);
            let ks = options.k.map_or(least..=least + 4, |k| k..=k);
            for k in ks.filter(|k| (least..=K_MAX).contains(k)) {
                // Fewest edge lanes that fit, and twice as many.
                let fit = edges.iter().filter(|(_, rows)| *rows <= 1 << k);
                for (edges, edge_rows) in fit.take(2) {
                    let lanes = Lanes { activations, weights: *weights, edges: *edges, slots: 0 };
                    let columns = ColumnCounts {
                        weights: if *weight_rows > 0 { *weights } else { 0 },
                        edges: if *edge_rows > 0 { *edges } else { 0 },
                        ..columns_of_lanes(lanes, visibility, tables, k)
                    };
                    let cost =
                        Prediction::new(&columns, 0, k, options.degree.unwrap_or(5), &rates.of_layouts(k))
                            .cost(options.target);
                    all.push(Candidate { lanes, k, cost });
                    if *edge_rows == 0 {
                        break;
                    }
                }
            }
        }
    }
    (all, rows_needed)
}

/// A choice but for its plan.
struct Settings {
    k: u32,
    degree: u32,
    offsets: Offsets,
    colouring: Colouring,
    ledger: Ledger,
    fold: Fold,
    selectors: Selectors,
    columns: ColumnCounts,
}

impl Settings {
    fn with(self, options: &PlanOptions, mut plan: Plan) -> Choice {
        plan.chains.forget_requests();
        let (target, fold_asked) = (options.target, options.fold);
        let Self { k, degree, offsets, colouring, ledger, mut fold, selectors, columns } = self;
        fold.chains.forget_requests();
        Choice { target, plan, k, degree, offsets, colouring, ledger, fold, fold_asked, selectors, columns }
    }
}

/// The cheapest settings with so many rows, if the plan fits.
fn try_rows(
    plan: &Plan,
    k: u32,
    visibility: Visibility,
    options: &PlanOptions,
    tables: &Tables,
    rates: &Rates,
) -> Option<(f64, Settings)> {
    let rows = plan.rows.activations.max(plan.rows.weights).max(plan.rows.edges);
    if rows > 1 << k {
        return None;
    }
    let offsets = place_spaces(plan, 1 << k);
    let colouring = plan.chains.colour(&offsets, uses_min(1 << k));
    let ledger = Ledger::new(&plan.identities, &colouring, &offsets);
    let worth = options.fold.map_or(Worth::USUAL, |fold| if fold { Worth::ALWAYS } else { Worth::NEVER });
    let fold = Fold::new(&ledger, worth);
    let columns = count_columns(plan, visibility, (&colouring, &ledger, &fold), tables, k);
    let cells = fold.entries.len();
    let with_degree = |degree: u32| {
        let selectors = place_selectors(&colouring, &fold, options.target, k, degree);
        let columns = ColumnCounts { selector_columns: selectors.columns(), ..columns };
        let cost = Prediction::new(&columns, cells, k, degree, &rates.of_layouts(k)).cost(options.target);
        (cost, degree, selectors, columns)
    };
    let degrees = options.degree.map_or(DEGREES_TRIED, |degree| degree..=degree);
    let least = degrees.map(with_degree).min_by(|a, b| a.0.total_cmp(&b.0));
    let (cost, degree, selectors, columns) = least?;
    Some((cost, Settings { k, degree, offsets, colouring, ledger, fold, selectors, columns }))
}

/// Columns of selectors. A gate multiplies a selector with one cell, or two in chains of products, so the degree leaves room
/// for several in a column.
fn place_selectors(colouring: &Colouring, fold: &Fold, target: Target, k: u32, degree: u32) -> Selectors {
    let most = |cells: usize| match target {
        Target::Proving if k < SHARED_K_MIN => 1,
        Target::Proving | Target::Ethereum => degree as usize - cells,
    };
    let columns = colouring.columns.iter().chain(&fold.colouring.columns);
    let multipliers = columns.flat_map(|uses| uses.multipliers.values()).map(|rows| (rows, most(1)));
    let patterns = colouring.columns.iter().flat_map(|uses| uses.patterns.values());
    let patterns = patterns.map(|rows| (rows, most(1)));
    let folds = fold.colouring.columns.iter().flat_map(|uses| &uses.patterns);
    let folds = folds.map(|(id, rows)| (rows, most(if fold.multiplies(*id) { 2 } else { 1 })));
    Selectors::new(multipliers.chain(patterns).chain(folds))
}

/// Moves the row spaces past each other so that few chains meet; weights and the committed input stay on row 0, so that
/// their commitments depend on nothing else.
fn place_spaces(plan: &Plan, rows: u32) -> Offsets {
    let mut taken = vec![(0, plan.rows.weights, plan.chains.depth(Space::Weights))];
    taken.push((0, plan.rows.input, plan.chains.depth(Space::Input)));
    let mut place = |need: u32, space: Space| {
        let ends = taken.iter().map(|(_, end, _)| *end);
        let candidates = ends.chain([0, rows - need]).filter(|at| at + need <= rows).collect::<BTreeSet<_>>();
        let meets = |at: u32| deepest(&taken, at, at + need);
        let at = candidates.into_iter().min_by_key(|at| (meets(*at), *at)).unwrap_or(0);
        taken.push((at, at + need, plan.chains.depth(space)));
        at
    };
    let activations = place(plan.rows.activations, Space::Activations);
    let edges = place(plan.rows.edges, Space::Edges);
    Offsets { activations, edges, input: 0 }
}

/// Most chains on one row of a range, of the spaces placed so far.
fn deepest(taken: &[(u32, u32, usize)], first: u32, end: u32) -> usize {
    let starts = taken.iter().map(|(start, ..)| (*start).max(first)).filter(|row| *row < end);
    let on = |row: u32| {
        taken.iter().filter(|(start, end, _)| (*start..*end).contains(&row)).map(|part| part.2).sum()
    };
    starts.map(on).max().unwrap_or(0)
}

/// The columns that follow from the lanes.
fn columns_of_lanes(lanes: Lanes, visibility: Visibility, tables: &Tables, k: u32) -> ColumnCounts {
    let committed = visibility.input.commits();
    ColumnCounts {
        remainders: if tables.shift() > 0 { lanes.activations } else { 0 },
        activations: 2 * lanes.activations,
        input: if committed { lanes.activations } else { 0 },
        table_segments: tables.len().div_ceil(1 << k),
        ..ColumnCounts::default()
    }
}

fn count_columns(
    plan: &Plan,
    visibility: Visibility,
    (colouring, ledger, fold): (&Colouring, &Ledger, &Fold),
    tables: &Tables,
    k: u32,
) -> ColumnCounts {
    let cell = |column: &RelayColumn| matches!(column, RelayColumn::Cell(_));
    let relay_columns = ledger.relays.iter().map(|place| place.column).collect::<BTreeSet<_>>();
    let cell_relays = relay_columns.iter().filter(|column| cell(column)).count();
    let patterns =
        colouring.columns.iter().flat_map(|column| column.patterns.keys()).collect::<BTreeSet<_>>();
    let of_activations = |id: &&PatternId| plan.chains.pattern(**id).family.space() == Space::Activations;
    ColumnCounts {
        weights: if plan.rows.weights > 0 { plan.lanes.weights } else { 0 },
        edges: if plan.rows.edges > 0 { plan.lanes.edges } else { 0 },
        cell_relays,
        chain_relays: relay_columns.len() - cell_relays,
        accumulators: colouring.columns.len(),
        multiplied: ledger.multiplied().len(),
        folds: fold.colouring.columns.len(),
        fractions: ledger.fractions(&plan.identities).len(),
        inverses: Ledger::inverses(&plan.identities, &Offsets::default()).len(),
        selectors: colouring.selectors() + fold.colouring.selectors(),
        multipliers: colouring.multipliers() + fold.colouring.multipliers(),
        combinations: patterns.iter().filter(|id| !of_activations(id)).count(),
        ..columns_of_lanes(plan.lanes, visibility, tables, k)
    }
}

impl Choice {
    /// What gives this choice again, without a search.
    pub(crate) fn options(&self) -> PlanOptions {
        PlanOptions {
            target: self.target,
            lanes: Some(self.plan.lanes.activations),
            weight_lanes: Some(self.plan.lanes.weights),
            edge_lanes: Some(self.plan.lanes.edges),
            k: Some(self.k),
            degree: Some(self.degree),
            fold: self.fold_asked,
        }
    }

    /// What layouts are compared by.
    pub(crate) fn predicted(&self, rates: &Rates) -> Predicted {
        let prediction = self.prediction(rates);
        Predicted { cost: prediction.cost(self.target), milliseconds: prediction.milliseconds }
    }

    fn prediction(&self, rates: &Rates) -> Prediction {
        let cells = self.fold.entries.len();
        Prediction::new(&self.columns, cells, self.k, self.degree, &rates.of_layouts(self.k))
    }

    /// The figures of this choice.
    pub(crate) fn report(&self, graph: &IntGraph, visibility: Visibility, rates: &Rates) -> PlanReport {
        let prediction = self.prediction(rates);
        let layers = (0..graph.nodes.len()).map(|index| self.layer(graph, index)).collect::<Vec<_>>();
        let committed = visibility.input.committed_elements(graph).len();
        let chain_relays =
            self.ledger.relays.iter().filter(|place| matches!(place.column, RelayColumn::Chain(_))).count();
        PlanReport {
            lanes: self.plan.lanes.activations,
            weight_lanes: self.plan.lanes.weights,
            k: self.k,
            degree: self.degree,
            columns: self.columns,
            rows: (
                self.plan.rows.activations as usize,
                self.plan.rows.weights as usize,
                self.plan.rows.edges as usize,
            ),
            small_cells: layers.iter().map(|layer| layer.cells).sum::<usize>() + committed,
            full_cells: self.colouring.cells() + self.fold.colouring.cells() + chain_relays,
            data: layers.iter().map(|layer| layer.outputs + layer.weights).sum(),
            multiply_accumulates: layers.iter().map(|layer| layer.multiply_accumulates).sum(),
            instance_cells: 0,
            predicted_ms: prediction.milliseconds,
            predicted_proof_bytes: prediction.proof_bytes,
            layers,
        }
    }

    fn layer(&self, graph: &IntGraph, index: usize) -> LayerReport {
        let node = &graph.nodes[index];
        let outputs = self.plan.tensors[node.output.0].spots.len();
        let size = |weight: usize| graph.weights[weight].shape.iter().product::<usize>();
        let edges = self.plan.edges[index].as_ref().map_or(0, |edges| edges.placed.spots.len());
        let (weights, relays, fan_in) = match &node.linear {
            Linear::Conv { weight, bias, .. } => {
                let fan_in = graph.weights[weight.0].shape[1..].iter().product();
                (size(weight.0) + bias.map_or(0, |bias| size(bias.0)), 0, fan_in)
            }
            Linear::MatMul { input, weight, bias } => {
                let relays = if input.shape[0] == 1 { input.shape[1] } else { 0 };
                (size(weight.0) + bias.map_or(0, |bias| size(bias.0)), relays, input.shape[1])
            }
            Linear::Lookup { ids, weight } => {
                (size(weight.0), 2 * graph.weights[weight.0].shape[0] + ids.len(), 0)
            }
            Linear::BatchMatMul { left, .. } => (0, left.shape[0] * left.shape[2], left.shape[2]),
            Linear::Input | Linear::Combine { .. } | Linear::Spread { .. } | Linear::Rest { .. } => (0, 0, 0),
        };
        LayerReport {
            name: node.name.clone(),
            operator: node.operator.clone(),
            rows: self.plan.tensors[node.output.0].rows as usize,
            inputs: inputs(graph, node),
            outputs,
            weights,
            multiply_accumulates: outputs as u64 * fan_in as u64,
            cells: outputs * if node.shift == 0 { 2 } else { 3 } + weights + edges + relays,
        }
    }
}

/// Elements of the tensors that a node reads.
fn inputs(graph: &IntGraph, node: &Node) -> usize {
    let tensors: BTreeSet<usize> = match &node.linear {
        Linear::Input => BTreeSet::new(),
        Linear::Conv { input, residual, .. } => {
            residual.iter().map(|term| &term.input).chain([input]).map(|view| view.tensor.0).collect()
        }
        Linear::MatMul { input, .. } => BTreeSet::from([input.tensor.0]),
        Linear::Lookup { ids, .. } => BTreeSet::from([ids.tensor.0]),
        Linear::BatchMatMul { left, right, .. } => BTreeSet::from([left.tensor.0, right.tensor.0]),
        Linear::Spread { terms, sums, .. } => {
            let of_sums = sums.iter().map(|sum| sum.input.tensor.0);
            terms.iter().map(|term| term.input.tensor.0).chain(of_sums).collect()
        }
        Linear::Combine { terms, .. } => terms.iter().map(|term| term.input.tensor.0).collect(),
        Linear::Rest { of } => BTreeSet::from([of.0]),
    };
    tensors.into_iter().map(|tensor| graph.tensors[tensor].shape.iter().product::<usize>()).sum()
}

impl PlanReport {
    /// Committed cells that hold data over the inputs, weights and outputs of all layers.
    pub fn cells_per_datum(&self) -> f64 {
        let data =
            self.layers.iter().map(|layer| layer.inputs + layer.weights + layer.outputs).sum::<usize>();
        (self.small_cells + self.full_cells) as f64 / data.max(1) as f64
    }
}

impl fmt::Display for PlanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.columns;
        writeln!(
            f,
            "2^{} rows, degree {}; rows in use: {} of {} activations, {} of {} weights, {} of {} edges",
            self.k,
            self.degree,
            self.rows.0,
            self.lanes,
            self.rows.1,
            self.weight_lanes,
            self.rows.2,
            c.edges
        )?;
        writeln!(
            f,
            "columns: {} small, {} of weights and input, {} full-width; {} selectors ({} of multipliers), {} table segments",
            c.remainders + c.activations + c.edges + c.cell_relays,
            c.weights + c.input,
            c.accumulators + c.chain_relays + c.fractions + c.inverses + c.folds + 1,
            c.selectors,
            c.multipliers,
            c.table_segments
        )?;
        let per = |cells: usize, of: u64| if of == 0 { 0.0 } else { cells as f64 / of as f64 };
        let outputs = self.layers.iter().map(|layer| layer.outputs as u64).sum::<u64>();
        writeln!(
            f,
            "cells: {} small and {} full-width, {:.2} for each input, weight and output of a layer; {:.3} a multiply–accumulate, {:.2} an activation",
            self.small_cells,
            self.full_cells,
            self.cells_per_datum(),
            per(self.small_cells + self.full_cells, self.multiply_accumulates),
            per(self.small_cells + self.full_cells, outputs)
        )?;
        writeln!(
            f,
            "predicted: {:.0} ms of CPU time with all columns in memory, proof of {} bytes",
            self.predicted_ms, self.predicted_proof_bytes
        )?;
        for layer in &self.layers {
            writeln!(
                f,
                "  {} \"{}\": {} rows, {} inputs, {} outputs, {} weights, {} multiply–accumulates, {} cells",
                layer.operator,
                layer.name,
                layer.rows,
                layer.inputs,
                layer.outputs,
                layer.weights,
                layer.multiply_accumulates,
                layer.cells
            )?;
        }
        Ok(())
    }
}
