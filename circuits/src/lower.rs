//! From an integer graph to a circuit and its witness: tensors stay where they are committed, and random evaluations of them
//! prove every linear layer with O(inputs + weights + outputs) cells.
//!
//! - `layout`: where elements lie; `chain`: random evaluations over them; `identity`: what these must satisfy;
//! - `linear`: what each kind of node asks for, a file a kind; `tables`: ranges and activations;
//! - `ledger`: the identities as one running sum; `fold`: its regular entries added up by chains first;
//! - `planner`: lanes and rows by predicted cost, by `rates`; `emit`: the circuit; `witness`: its values;
//! - `statement`: what is public.

mod chain;
mod emit;
mod fold;
mod identity;
mod layout;
mod ledger;
mod linear;
mod monomial;
mod planner;
mod rates;
mod selectors;
mod statement;
mod tables;
mod witness;

use kiln_plonk::circuit::Circuit;
use kiln_plonk::{ColumnValues, KeyError, Work};

use crate::graph::{IntGraph, Linear, TableKind};
use crate::validate::{GraphError, validate_graph};

use planner::Choice;
use tables::Tables;

pub(crate) use tables::TableReach;

pub use planner::{ColumnCounts, LayerReport, PlanOptions, PlanReport, Predicted, Target};
pub use rates::{Rate, Rates};
pub use statement::{InputVisibility, PARTS_MAX, Visibility, WeightVisibility, public_inputs};
pub use witness::{ModelWitness, WitnessToCome};

/// Why a graph cannot be laid out, or why values do not fit it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum LowerError {
    /// The graph is malformed.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A node's shift is neither 0 nor the graph's.
    #[error("node `{node}` shifts by {got} bits, expected 0 or {expected}; compile the model again")]
    Shift { node: String, expected: u32, got: u32 },
    /// The input is neither clamped to the activation range nor a row number.
    #[error(
        "input `{node}` must clamp to the activation range, or number rows as it is, without a shift, got {got}; compile the model again"
    )]
    Input { node: String, got: String },
    /// Too many lanes, or none.
    #[error("the number of lanes must be 1 to {expected_max}, got {got}; choose a power of two")]
    Lanes { expected_max: usize, got: usize },
    /// A degree that no circuit has.
    #[error(
        "the degree must be {expected_min} to {expected_max}, got {got}; choose 5 for the smallest proofs"
    )]
    Degree { expected_min: u32, expected_max: u32, got: u32 },
    /// More rows than allowed.
    #[error("the model needs {got} rows, at most {expected_max} are allowed; allow more rows or more lanes")]
    Rows { expected_max: usize, got: u32 },
    /// More table entries than any circuit holds.
    #[error(
        "the model's tables have {got} entries, at most {expected_max} fit; use fewer bits or fewer different widths"
    )]
    Tables { expected_max: u64, got: u64 },
    /// More cells than any circuit holds.
    #[error(
        "the model has {got} cells in tensors, weights and edges, at most {expected_max} fit; use a smaller model"
    )]
    Cells { expected_max: u64, got: u64 },
    /// Values of another graph.
    #[error("expected {expected} {what}, got {got}; these values belong to another model")]
    Mismatch { what: &'static str, expected: usize, got: usize },
}

/// A graph as a circuit. The same graph, visibility and options always give the same circuit, so only those three need to
/// be stored.
pub struct Lowered {
    /// The circuit; [`Circuit::meaning`] is empty.
    pub circuit: Circuit,
    /// Values of the fixed columns.
    pub fixed: Vec<ColumnValues>,
    /// What the planner chose.
    pub report: PlanReport,
    /// Who may see what.
    pub visibility: Visibility,
    graph: IntGraph,
    choice: Choice,
    tables: Tables,
}

impl Lowered {
    /// Options that give this circuit again, without a search.
    pub fn options(&self) -> PlanOptions {
        self.choice.options()
    }

    /// What a proof asks of kernels, if it holds all columns in memory.
    ///
    /// # Errors
    /// As [`Work::of_circuit`], never of a circuit as it was laid out.
    pub fn work(&self) -> Result<Work, KeyError> {
        Work::of_circuit(&self.circuit, &self.witness_to_come())
    }

    /// In place of a witness, where only estimates are made.
    pub fn witness_to_come(&self) -> WitnessToCome<'_> {
        WitnessToCome(self)
    }

    /// On how many rows an advice column has data, where the layout says. The columns come in the order of `emit`; those of chains are
    /// taken to be equally full.
    fn filled(&self, column: u32) -> Option<usize> {
        let (columns, rows) = (&self.report.columns, self.report.rows);
        let chains = |cells: usize, columns: usize| cells.div_ceil(columns.max(1));
        let groups = [
            (columns.remainders + columns.activations, Some(rows.0)),
            (columns.edges, Some(rows.2)),
            (columns.cell_relays, None),
            (columns.accumulators, Some(chains(self.choice.colouring.cells(), columns.accumulators))),
            (columns.chain_relays + columns.fractions + columns.inverses, None),
            (columns.folds, Some(chains(self.choice.fold.colouring.cells(), columns.folds))),
        ];
        let mut end = 0;
        let group = groups.into_iter().find(|(count, _)| {
            end += count;
            (column as usize) < end
        });
        group.and_then(|(_, filled)| filled)
    }

    /// Puts the prediction of such a proof at these rates into the report, in place of the planner's rough count of columns.
    ///
    /// # Errors
    /// As [`Lowered::work`].
    pub fn predict(&mut self, rates: &Rates) -> Result<(), KeyError> {
        self.report.predicted_ms = rates.proof_ms(&self.work()?);
        Ok(())
    }
}

/// Lays out a graph.
///
/// # Errors
/// [`LowerError`] if the graph is malformed or does not fit the options.
pub fn lower(graph: &IntGraph, visibility: Visibility, options: &PlanOptions) -> Result<Lowered, LowerError> {
    lower_at(graph, visibility, options, &Rates::default())
}

/// As [`lower`], as it is cheapest on a machine with these rates.
///
/// # Errors
/// As [`lower`].
pub fn lower_at(
    graph: &IntGraph,
    visibility: Visibility,
    options: &PlanOptions,
    rates: &Rates,
) -> Result<Lowered, LowerError> {
    validate_graph(graph)?;
    check_nodes(graph)?;
    let tables = Tables::new(graph);
    let choice = planner::choose(graph, visibility, options, &tables, rates)?;
    let (circuit, fixed) = emit::emit(graph, &choice, &tables);
    let mut report = choice.report(graph, visibility, rates);
    report.instance_cells = circuit.instance_cells.len();
    tracing::debug!(%report, "circuit planned");
    Ok(Lowered { circuit, fixed, report, visibility, graph: graph.clone(), choice, tables })
}

/// Most cells of one graph, so that nothing is laid out that cannot fit.
const CELLS_MAX: u64 = 1 << 28;

/// What the planner predicts of a graph's proof, without the circuit itself.
///
/// # Errors
/// As [`lower`].
pub fn predict(
    graph: &IntGraph,
    visibility: Visibility,
    options: &PlanOptions,
    rates: &Rates,
) -> Result<Predicted, LowerError> {
    validate_graph(graph)?;
    check_nodes(graph)?;
    let choice = planner::choose(graph, visibility, options, &Tables::new(graph), rates)?;
    Ok(choice.predicted(rates))
}

/// Most entries of all tables of a graph, so that no file makes us list more: four tables of 24 bits with signs.
const ENTRIES_MAX: u64 = 1 << 27;

/// Worst-case bound on the cells of tensors, weights and edges.
fn cells(graph: &IntGraph) -> u64 {
    let size = |shape: &[usize]| shape.iter().fold(1u64, |size, len| size.saturating_mul(*len as u64));
    let tensors = graph.tensors.iter().map(|tensor| size(&tensor.shape));
    let weights = graph.weights.iter().map(|weight| size(&weight.shape));
    let edges = graph.nodes.iter().map(|node| match &node.linear {
        Linear::Conv { input, weight, geometry, .. } => {
            linear::conv::edges_max(&input.shape, &graph.weights[weight.0].shape, geometry)
        }
        _ => 0,
    });
    tensors.chain(weights).chain(edges).fold(0, u64::saturating_add)
}

/// What the circuit takes for granted beyond a well-formed graph.
fn check_nodes(graph: &IntGraph) -> Result<(), LowerError> {
    let got = cells(graph);
    if got > CELLS_MAX {
        return Err(LowerError::Cells { expected_max: CELLS_MAX, got });
    }
    let got = TableReach::new(graph).entries();
    if got > ENTRIES_MAX {
        return Err(LowerError::Tables { expected_max: ENTRIES_MAX, got });
    }
    let numbers_rows = graph.row_numbers().is_some();
    for node in &graph.nodes {
        if node.shift != 0 && node.shift != graph.shift {
            return Err(LowerError::Shift {
                node: node.name.clone(),
                expected: graph.shift,
                got: node.shift,
            });
        }
        let fits = match node.table {
            TableKind::Identity => numbers_rows,
            TableKind::Clamp { .. } => !numbers_rows,
            _ => false,
        };
        if matches!(node.linear, Linear::Input) && !(fits && node.shift == 0) {
            let got = format!("{:?} with shift {}", node.table, node.shift);
            return Err(LowerError::Input { node: node.name.clone(), got });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
