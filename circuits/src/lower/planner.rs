//! Chooses the number of lanes and of rows: the cheapest prediction wins.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::graph::{IntGraph, Linear};

use super::LowerError;
use super::chain::{Colouring, Offsets, Space};
use super::ledger::{RelayColumn, place_relays};
use super::linear::Plan;
use super::statement::{InputVisibility, Visibility};
use super::tables::Tables;

/// What the planner may not choose by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOptions {
    /// Number of lanes (`None`: the cheapest of 4, 8 and 16).
    pub lanes: Option<usize>,
    /// log2 of the row count (`None`: the cheapest).
    pub k: Option<u32>,
    /// [`kiln_plonk::circuit::Circuit::degree`].
    pub degree: u32,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { lanes: None, k: None, degree: 5 }
    }
}

/// Smallest circuit, log2 of rows.
const K_MIN: u32 = 5;
/// Largest circuit, log2 of rows.
pub(crate) const K_MAX: u32 = 24;
/// Numbers of lanes to try.
const LANES: [usize; 3] = [4, 8, 16];
/// Most lanes.
pub(crate) const LANES_MAX: usize = 64;

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
    /// Selectors of patterns and multipliers.
    pub selectors: usize,
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
    /// Lanes.
    pub lanes: usize,
    /// log2 of rows.
    pub k: u32,
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
    /// Predicted proving time of one thread, in milliseconds.
    pub predicted_ms: f64,
    /// Predicted proof size, in bytes.
    pub predicted_proof_bytes: usize,
    /// Layer by layer.
    pub layers: Vec<LayerReport>,
}

/// A plan with its rows and columns.
pub(crate) struct Choice {
    pub plan: Plan,
    pub k: u32,
    pub offsets: Offsets,
    pub colouring: Colouring,
    pub columns: ColumnCounts,
}

/// Predicted costs. Rates of one thread: a full-width element committed 3.7 µs, a small one 0.24 µs, a butterfly 29 ns, a
/// multiply–add 25 ns. They only have to rank layouts.
#[derive(Clone, Copy, Debug)]
struct Prediction {
    milliseconds: f64,
    proof_bytes: usize,
}

impl Prediction {
    fn new(columns: &ColumnCounts, k: u32, degree: u32) -> Self {
        let (n, cosets) = ((1u64 << k) as f64, degree.saturating_sub(1).max(1) as usize);
        let lookups = columns.remainders + columns.activations / 2 + columns.table_segments;
        let helpers = lookups.div_ceil(cosets);
        let small_read = columns.remainders + columns.activations;
        let small_linear = columns.edges + columns.cell_relays + columns.table_segments;
        let committed = columns.weights + columns.input;
        let full_read = columns.accumulators + 2;
        let full_linear = columns.chain_relays + helpers;
        let fixed = columns.selectors + 3 * columns.table_segments + 1;
        let transformed = small_read + small_linear + committed + full_read + full_linear;
        let transforms = transformed * (1 + cosets) + fixed * cosets;
        let micros = n * 3.7 * (full_read + full_linear + cosets + 2) as f64
            + n * 0.24 * (small_read + small_linear) as f64
            + n * 0.029 * f64::from(k) / 2.0 * transforms as f64
            + n * 0.025 * (cosets * (columns.selectors * columns.activations / 2 + 4 * transformed)) as f64;
        let commitments = small_read + small_linear + full_read + full_linear + cosets + 2;
        let evaluations = small_read + fixed + 2 * full_read;
        Self { milliseconds: micros / 1000.0, proof_bytes: 32 * (commitments + evaluations) }
    }

    /// Ten microseconds are as good as a byte.
    fn cost(&self) -> f64 {
        self.milliseconds + 0.01 * self.proof_bytes as f64
    }
}

/// Tries every number of lanes and of rows that is allowed.
pub(crate) fn choose(
    graph: &IntGraph,
    visibility: Visibility,
    options: &PlanOptions,
    tables: &Tables,
) -> Result<Choice, LowerError> {
    let all = options.lanes.map_or_else(|| LANES.to_vec(), |lanes| vec![lanes]);
    let mut best: Option<(f64, Choice)> = None;
    let mut rows_needed = u32::MAX;
    for lanes in all {
        if !(1..=LANES_MAX).contains(&lanes) {
            return Err(LowerError::Lanes { expected_max: LANES_MAX, got: lanes });
        }
        let plan = Plan::new(graph, visibility, lanes);
        let rows = [plan.rows.activations, plan.rows.weights, plan.rows.edges].into_iter().max().unwrap_or(0);
        rows_needed = rows_needed.min(rows);
        if let Some((cost, k, offsets)) = best_rows(&plan, rows, options, tables)
            && best.as_ref().is_none_or(|(least, _)| cost < *least)
        {
            let colouring = plan.chains.colour(&offsets);
            let columns = count_columns(&plan, &colouring, tables, k);
            best = Some((cost, Choice { plan, k, offsets, colouring, columns }));
        }
    }
    let k_max = options.k.unwrap_or(K_MAX);
    best.map(|(_, choice)| choice)
        .ok_or(LowerError::Rows { expected_max: 1 << k_max.min(K_MAX), got: rows_needed })
}

/// The cheapest number of rows: (cost, k, offsets).
fn best_rows(plan: &Plan, rows: u32, options: &PlanOptions, tables: &Tables) -> Option<(f64, u32, Offsets)> {
    let least = rows.max(1).next_power_of_two().trailing_zeros().max(K_MIN);
    let candidates = match options.k {
        Some(k) if k < least => return None,
        Some(k) => k..=k,
        None => least..=least + 4,
    };
    let mut best: Option<(f64, u32, Offsets)> = None;
    for k in candidates.filter(|k| *k <= K_MAX) {
        let offsets = place_spaces(plan, 1 << k);
        let colouring = plan.chains.colour(&offsets);
        let columns = count_columns(plan, &colouring, tables, k);
        let cost = Prediction::new(&columns, k, options.degree).cost();
        if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
            best = Some((cost, k, offsets));
        }
    }
    best
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

fn count_columns(plan: &Plan, colouring: &Colouring, tables: &Tables, k: u32) -> ColumnCounts {
    let relays = place_relays(&plan.identities.relays, colouring);
    let cell = |column: &RelayColumn| matches!(column, RelayColumn::Cell(_));
    let relay_columns = relays.iter().map(|place| place.column).collect::<BTreeSet<_>>();
    let cell_relays = relay_columns.iter().filter(|column| cell(column)).count();
    ColumnCounts {
        remainders: if tables.shift() > 0 { plan.lanes } else { 0 },
        activations: 2 * plan.lanes,
        weights: if plan.rows.weights > 0 { plan.lanes } else { 0 },
        input: if plan.rows.input > 0 { plan.lanes } else { 0 },
        edges: if plan.rows.edges > 0 { plan.lanes } else { 0 },
        cell_relays,
        chain_relays: relay_columns.len() - cell_relays,
        accumulators: colouring.columns.len(),
        selectors: colouring.selectors(),
        table_segments: tables.len().div_ceil(1 << k),
    }
}

impl Choice {
    /// The figures of this choice.
    pub(crate) fn report(&self, graph: &IntGraph, visibility: Visibility, degree: u32) -> PlanReport {
        let prediction = Prediction::new(&self.columns, self.k, degree);
        let layers = (0..graph.nodes.len()).map(|index| self.layer(graph, index)).collect::<Vec<_>>();
        let input: usize = graph.tensors[graph.input.0].shape.iter().product();
        let committed = if visibility.input == InputVisibility::Committed { input } else { 0 };
        let relays = place_relays(&self.plan.identities.relays, &self.colouring);
        let chain_relays =
            relays.iter().filter(|place| matches!(place.column, RelayColumn::Chain(_))).count();
        PlanReport {
            lanes: self.plan.lanes,
            k: self.k,
            columns: self.columns,
            rows: (
                self.plan.rows.activations as usize,
                self.plan.rows.weights as usize,
                self.plan.rows.edges as usize,
            ),
            small_cells: layers.iter().map(|layer| layer.cells).sum::<usize>() + committed,
            full_cells: self.colouring.cells() + chain_relays,
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
            Linear::Input | Linear::Combine { .. } => (0, 0, 0),
        };
        LayerReport {
            name: node.name.clone(),
            operator: node.operator.clone(),
            rows: self.plan.tensors[node.output.0].rows as usize,
            outputs,
            weights,
            multiply_accumulates: outputs as u64 * fan_in as u64,
            cells: outputs * if node.shift == 0 { 2 } else { 3 } + weights + edges + relays,
        }
    }
}

impl fmt::Display for PlanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.columns;
        writeln!(
            f,
            "2^{} rows × {} lanes; rows in use: {} of activations, {} of weights, {} of edges",
            self.k, self.lanes, self.rows.0, self.rows.1, self.rows.2
        )?;
        writeln!(
            f,
            "columns: {} small, {} of weights and input, {} full-width; {} selectors, {} table segments",
            c.remainders + c.activations + c.edges + c.cell_relays,
            c.weights + c.input,
            c.accumulators + c.chain_relays + 1,
            c.selectors,
            c.table_segments
        )?;
        let per = |cells: usize, of: u64| if of == 0 { 0.0 } else { cells as f64 / of as f64 };
        let outputs = self.layers.iter().map(|layer| layer.outputs as u64).sum::<u64>();
        writeln!(
            f,
            "cells: {} small and {} full-width for {} inputs, weights and outputs; {:.3} a multiply–accumulate, {:.2} an activation",
            self.small_cells,
            self.full_cells,
            self.data,
            per(self.small_cells + self.full_cells, self.multiply_accumulates),
            per(self.small_cells + self.full_cells, outputs)
        )?;
        writeln!(
            f,
            "predicted: {:.0} ms of one thread, proof of {} bytes",
            self.predicted_ms, self.predicted_proof_bytes
        )?;
        for layer in &self.layers {
            writeln!(
                f,
                "  {} \"{}\": {} rows, {} outputs, {} weights, {} multiply–accumulates, {} cells",
                layer.operator,
                layer.name,
                layer.rows,
                layer.outputs,
                layer.weights,
                layer.multiply_accumulates,
                layer.cells
            )?;
        }
        Ok(())
    }
}
