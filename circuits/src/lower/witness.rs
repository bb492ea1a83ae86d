//! The values of a circuit's columns: phase 0 from the interpreter's trace, later phases from the columns of phase 0.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, One, Zero, batch_inversion};
use kiln_kernels::Values;
use kiln_plonk::{ColumnValues, Witness, WitnessError};
use zeroize::Zeroize;

use crate::graph::{Linear, View, WeightValues};
use crate::interpret::Trace;

use super::chain::{ChainSet, Colouring, Family, Segment, Weight};
use super::identity::{Lookup, Source, Weighting};
use super::layout::Placed;
use super::ledger::{Entry, Ledger, RelayColumn, Slot};
use super::monomial::{Exponents, MU, Variable};
use super::planner::Choice;
use super::{LowerError, Lowered};

/// The rows of each lane. Whoever proves holds the same, not copies.
pub(crate) type Lanes = Vec<Values<i32>>;

/// The columns that do not depend on challenges.
#[derive(Clone)]
pub(crate) struct Cells {
    pub r: Lanes,
    pub q: Lanes,
    pub y: Lanes,
    pub e: Vec<Vec<i64>>,
    pub v: Lanes,
    pub w: Lanes,
    pub x: Lanes,
}

impl Drop for Cells {
    fn drop(&mut self) {
        self.e.zeroize();
    }
}

/// Makes the advice columns of a [`Lowered`] graph for one record.
pub struct ModelWitness<'a> {
    lowered: &'a Lowered,
    pub(crate) cells: Cells,
    public_inputs: Vec<Fr>,
    pub(super) chains: Mutex<Option<(Vec<Fr>, Arc<Chains>)>>,
}

/// The columns of phase 1.
#[derive(Clone)]
pub(super) struct Chains {
    pub(super) acc: Vec<Values<Fr>>,
    pub(super) t: Vec<Values<Fr>>,
}

/// The columns of the last phase, but for the running sum.
#[derive(Default)]
struct Later {
    fractions: Vec<Vec<Fr>>,
    inverses: Vec<Vec<Fr>>,
    folds: Vec<Vec<Fr>>,
}

/// Powers of challenges, with inverses at hand.
struct Powers {
    bases: Vec<(Fr, Fr)>,
}

impl Powers {
    fn new(challenges: &[Fr]) -> Self {
        // A challenge is zero with probability 1/r only.
        Self { bases: challenges.iter().map(|c| (*c, c.inverse().unwrap_or(Fr::ZERO))).collect() }
    }

    fn of(&self, exponents: Exponents) -> Fr {
        let mut product = Fr::one();
        for (exponent, (base, inverse)) in exponents.0.iter().zip(&self.bases) {
            if *exponent != 0 {
                let base = if *exponent > 0 { base } else { inverse };
                product *= base.pow([u64::from(exponent.unsigned_abs())]);
            }
        }
        product
    }
}

/// Puts a tensor's values into lanes; `first` is the row of the circuit at which the row space starts.
fn fill<T: Copy>(lanes: &mut [Vec<T>], placed: &Placed, first: u32, values: impl IntoIterator<Item = T>) {
    for (spot, value) in placed.spots.iter().zip(values) {
        lanes[spot.lane as usize][(spot.row + first) as usize] = value;
    }
}

fn mismatch(what: &'static str, expected: usize, got: usize) -> Result<(), LowerError> {
    if expected == got { Ok(()) } else { Err(LowerError::Mismatch { what, expected, got }) }
}

impl Lowered {
    /// The columns of the group "model", in the layout of this circuit.
    ///
    /// # Errors
    /// [`LowerError::Mismatch`] if the values are not this graph's.
    pub fn model_columns(&self, weights: &WeightValues) -> Result<Vec<ColumnValues>, LowerError> {
        Ok(small(&self.weight_lanes(weights)?))
    }

    /// The columns of the group "input" (none unless the input is committed).
    ///
    /// # Errors
    /// [`LowerError::Mismatch`] if the record has another length.
    pub fn input_columns(&self, record: &[i32]) -> Result<Vec<ColumnValues>, LowerError> {
        Ok(small(&self.input_lanes(record)?))
    }

    /// The public inputs of the statement that a trace shows.
    ///
    /// # Errors
    /// [`LowerError::Mismatch`] if the trace is not this graph's.
    pub fn public_inputs(&self, trace: &Trace) -> Result<Vec<Fr>, LowerError> {
        let input = self.input_of(trace)?;
        mismatch("output values", self.graph.output.len(), trace.output.len())?;
        super::statement::public_inputs(&self.graph, self.visibility, input, &trace.output).ok_or(
            LowerError::Mismatch {
                what: "public inputs",
                expected: self.circuit.public_inputs as usize,
                got: 0,
            },
        )
    }

    /// The witness for one run of the interpreter.
    ///
    /// # Errors
    /// [`LowerError::Mismatch`] if trace or weights are not this graph's.
    pub fn witness(&self, trace: &Trace, weights: &WeightValues) -> Result<ModelWitness<'_>, LowerError> {
        let public_inputs = self.public_inputs(trace)?;
        let mut cells = self.activation_cells(trace)?;
        cells.w = self.weight_lanes(weights)?;
        cells.x = self.input_lanes(self.input_of(trace)?)?;
        self.fill_edges(trace, weights, &mut cells.e);
        cells.v = self.cell_relays(&cells);
        Ok(ModelWitness { lowered: self, cells, public_inputs, chains: Mutex::new(None) })
    }

    fn rows(&self) -> usize {
        1 << self.choice.k
    }

    fn lanes<T: Clone + Default>(&self, count: usize) -> Vec<Vec<T>> {
        vec![vec![T::default(); self.rows()]; count]
    }

    fn input_of<'t>(&self, trace: &'t Trace) -> Result<&'t [i32], LowerError> {
        mismatch("nodes", self.graph.nodes.len(), trace.nodes.len())?;
        let node = self.graph.nodes.iter().position(|node| node.output == self.graph.input);
        Ok(node.map_or(&[], |node| trace.nodes[node].y.as_slice()))
    }

    fn weight_lanes(&self, weights: &WeightValues) -> Result<Lanes, LowerError> {
        let mut lanes = self.lanes::<i32>(self.choice.columns.weights);
        mismatch("weights", self.graph.weights.len(), weights.0.len())?;
        for (placed, values) in self.choice.plan.weights.iter().zip(&weights.0) {
            mismatch("values of a weight", placed.spots.len(), values.len())?;
            fill(&mut lanes, placed, 0, values.iter().copied());
        }
        Ok(held(lanes))
    }

    fn input_lanes(&self, record: &[i32]) -> Result<Lanes, LowerError> {
        let placed = &self.choice.plan.tensors[self.graph.input.0];
        mismatch("values of the record", placed.spots.len(), record.len())?;
        let mut lanes = self.lanes::<i32>(self.choice.columns.input);
        if !lanes.is_empty() {
            // What is not committed to is left out.
            for element in self.visibility.input.committed_elements(&self.graph) {
                let spot = placed.spots[element];
                lanes[spot.lane as usize][(spot.row - placed.first_row) as usize] = record[element];
            }
        }
        Ok(held(lanes))
    }

    fn activation_cells(&self, trace: &Trace) -> Result<Cells, LowerError> {
        let counts = &self.choice.columns;
        let lanes = counts.activations / 2;
        let (mut r, mut q, mut y) = (self.lanes(counts.remainders), self.lanes(lanes), self.lanes(lanes));
        let first = self.choice.offsets.activations;
        for (node, values) in self.graph.nodes.iter().zip(&trace.nodes) {
            let placed = &self.choice.plan.tensors[node.output.0];
            for got in [values.z.len(), values.q.len(), values.y.len()] {
                mismatch("values of a node", placed.spots.len(), got)?;
            }
            // Lanes that hold no element have q = 0 like all others, so y is what the table says of 0.
            let unused = self.graph.apply(node.table, 0) as i32;
            let rows = (placed.first_row + first) as usize..(placed.first_row + first + placed.rows) as usize;
            if unused != 0 {
                y.iter_mut().for_each(|lane| lane[rows.clone()].fill(unused));
            }
            fill(&mut q, placed, first, values.q.iter().copied());
            fill(&mut y, placed, first, values.y.iter().copied());
            if node.shift > 0 {
                let half = 1i64 << (node.shift - 1);
                let remainders =
                    values.z.iter().zip(&values.q).map(|(z, q)| z + half - (i64::from(*q) << node.shift));
                fill(&mut r, placed, first, remainders.map(|r| r as i32));
            }
        }
        let (r, q, y, e) = (held(r), held(q), held(y), self.lanes(counts.edges));
        Ok(Cells { r, q, y, e, v: Vec::new(), w: Vec::new(), x: Vec::new() })
    }

    fn fill_edges(&self, trace: &Trace, weights: &WeightValues, lanes: &mut [Vec<i64>]) {
        for (node, edges) in self.graph.nodes.iter().zip(&self.choice.plan.edges) {
            let (Linear::Conv { input, weight, geometry, low_bits, .. }, Some(edges)) = (&node.linear, edges)
            else {
                continue;
            };
            let image = self.gather(input, trace);
            let kernel = &self.graph.weights[weight.0].shape;
            let values = &weights.0[weight.0];
            let values = edges.values(&image, &input.shape, values, kernel, geometry, *low_bits);
            fill(lanes, &edges.placed, self.choice.offsets.edges, values);
        }
    }

    fn gather(&self, view: &View, trace: &Trace) -> Vec<i32> {
        let maker = self.graph.nodes.iter().position(|node| node.output == view.tensor);
        let values = maker.map_or(&[][..], |maker| trace.nodes[maker].y.as_slice());
        (0..view.len()).map(|e| values[view.element(e)]).collect()
    }

    fn cell_relays(&self, cells: &Cells) -> Lanes {
        let mut v = self.lanes::<i32>(self.choice.columns.cell_relays);
        for (relay, place) in self.choice.plan.identities.relays.iter().zip(&self.choice.ledger.relays) {
            if let (Source::Cell(spot), RelayColumn::Cell(column)) = (relay.source, place.column) {
                let row = (spot.row + self.choice.offsets.activations) as usize;
                v[column][place.row as usize] = cells.y[spot.lane as usize][row];
            }
        }
        held(v)
    }
}

/// Lanes that are filled, to be shared.
fn held<T: Zeroize>(lanes: Vec<Vec<T>>) -> Vec<Values<T>> {
    lanes.into_iter().map(Values::from).collect()
}

fn small(lanes: &Lanes) -> Vec<ColumnValues> {
    lanes.iter().cloned().map(ColumnValues::Small).collect()
}

fn full(columns: &[Values<Fr>]) -> Vec<ColumnValues> {
    columns.iter().cloned().map(ColumnValues::Full).collect()
}

/// The columns of all chains; `cell` is what a family reads in a lane of a row.
fn walk(
    chains: &ChainSet,
    colouring: &Colouring,
    rows: usize,
    powers: &Powers,
    cell: impl Fn(Family, usize, usize) -> Fr,
) -> Vec<Vec<Fr>> {
    let mut acc = vec![vec![Fr::zero(); rows]; colouring.columns.len()];
    let mut patterns = HashMap::new();
    let mut multipliers = HashMap::new();
    for segment in &colouring.segments {
        let mut value = Fr::zero();
        for (row, step) in (segment.first_row as usize..).zip(&segment.steps) {
            if row > segment.first_row as usize && step.multiplier != Exponents::ONE {
                value *= *multipliers.entry(step.multiplier).or_insert_with(|| powers.of(step.multiplier));
            }
            if let Some(id) = step.pattern {
                let pattern: &Vec<(usize, Fr)> = patterns.entry(id).or_insert_with(|| {
                    let lanes = chains.pattern(id).lanes.into_iter().enumerate();
                    let value = |weight: Weight| Fr::from(weight.coefficient) * powers.of(weight.monomial);
                    lanes.filter_map(|(lane, weight)| Some((lane, value(weight?)))).collect()
                });
                for (lane, weight) in pattern {
                    let cell = cell(segment.family, *lane, row);
                    if !cell.is_zero() {
                        value += *weight * cell;
                    }
                }
            }
            acc[segment.column][row] = value;
        }
    }
    acc
}

/// A column that holds a quotient on each row given with its numerator and denominator.
fn quotients(rows: usize, given: impl Iterator<Item = (u32, Fr, Fr)>) -> Vec<Fr> {
    let given = given.collect::<Vec<_>>();
    let mut inverses = given.iter().map(|(_, _, denominator)| *denominator).collect::<Vec<_>>();
    batch_inversion(&mut inverses);
    let mut column = vec![Fr::zero(); rows];
    for ((row, numerator, _), inverse) in given.iter().zip(&inverses) {
        column[*row as usize] = *numerator * inverse;
    }
    column
}

impl ModelWitness<'_> {
    /// The committed groups that belong to this witness, in the circuit's order.
    pub fn committed(&self) -> Vec<Vec<ColumnValues>> {
        [small(&self.cells.w), small(&self.cells.x)].into_iter().filter(|group| !group.is_empty()).collect()
    }

    /// The integer that a family reads in a lane of a row.
    fn lane(&self, family: Family, lane: usize, row: usize) -> i64 {
        let cells = &self.cells;
        match family {
            Family::W => cells.w[lane][row].into(),
            Family::Z => {
                let shift = self.lowered.tables.shift();
                let half = (1i64 << shift) >> 1;
                (i64::from(cells.q[lane][row]) << shift) + i64::from(cells.r[lane][row]) - half
            }
            Family::Q => cells.q[lane][row].into(),
            Family::Y => cells.y[lane][row].into(),
            Family::E => cells.e[lane][row],
            Family::X => cells.x[lane][row].into(),
            Family::End => 0,
        }
    }

    /// The columns of phase 1, computed once for given challenges.
    fn chains(&self, challenges: &[Fr]) -> Arc<Chains> {
        let mut known = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        let first_four = &challenges[..challenges.len().min(4)];
        if let Some((of, chains)) = known.as_ref()
            && of == first_four
        {
            return chains.clone();
        }
        let chains = Arc::new(self.compute_chains(&Powers::new(first_four)));
        *known = Some((first_four.to_vec(), chains.clone()));
        chains
    }

    fn compute_chains(&self, powers: &Powers) -> Chains {
        let choice = &self.lowered.choice;
        let cell = |family, lane, row| match self.lane(family, lane, row) {
            0 => Fr::zero(),
            value => Fr::from(value),
        };
        let acc = held(walk(&choice.plan.chains, &choice.colouring, self.lowered.rows(), powers, cell));
        let t = held(self.chain_relays(&acc, powers));
        Chains { acc, t }
    }

    fn chain_relays(&self, acc: &[Values<Fr>], powers: &Powers) -> Vec<Vec<Fr>> {
        let choice = &self.lowered.choice;
        let mut t = self.lowered.lanes::<Fr>(choice.columns.chain_relays);
        let indicators = self.indicators(powers);
        let value = |segment: &Segment| {
            acc[segment.column][segment.end_row() as usize] * powers.of(segment.end_coefficient())
        };
        for (relay, place) in choice.plan.identities.relays.iter().zip(&self.lowered.choice.ledger.relays) {
            let RelayColumn::Chain(column) = place.column else { continue };
            t[column][place.row as usize] = match relay.source {
                Source::Cell(_) => continue,
                Source::Chain(request) => {
                    let segments = &choice.colouring.of_request[request.0];
                    segments.iter().map(|segment| value(&choice.colouring.segments[*segment])).sum()
                }
                Source::Indicator { lookup, row } => {
                    indicators[lookup].get(&i64::from(row)).copied().unwrap_or_default()
                }
            };
        }
        t
    }

    /// For each lookup, `Σ β^m` over its ids `m` that are the same, by what they are.
    fn indicators(&self, powers: &Powers) -> Vec<HashMap<i64, Fr>> {
        let of_lookup = |lookup: &Lookup| {
            let mut indicators: HashMap<i64, Fr> = HashMap::new();
            for (m, spot) in (0..).zip(&lookup.ids) {
                let row = (spot.row + self.lowered.choice.offsets.activations) as usize;
                let id = self.lane(Family::Y, spot.lane.into(), row);
                *indicators.entry(id).or_default() += powers.of(Variable::Beta.power(m));
            }
            indicators
        };
        self.lowered.choice.plan.identities.lookups.iter().map(of_lookup).collect()
    }

    /// The columns of fractions and of inverses; there are none without lookups.
    fn quotients(&self, chains: &Chains, challenges: &[Fr]) -> Later {
        let Choice { ledger, plan, offsets, .. } = &self.lowered.choice;
        let Some(mu) = challenges.get(MU).copied() else { return Later::default() };
        let rows = self.lowered.rows();
        let fractions = ledger.fractions(&plan.identities).into_iter().zip(&chains.t).map(|(rows_of, t)| {
            let numbers: HashMap<u32, u32> = rows_of.into_iter().collect();
            let number = |row: u32| Fr::from(numbers.get(&row).copied().unwrap_or_default());
            let relays = (0u32..).zip(t.iter()).filter(|(_, t)| !t.is_zero());
            quotients(rows, relays.map(|(row, t)| (row, *t, mu - number(row))))
        });
        let inverses = Ledger::inverses(&plan.identities, offsets).into_iter().enumerate();
        let inverses = inverses.map(|(lane, ids)| {
            let id = |row: u32| Fr::from(self.lane(Family::Y, lane, row as usize));
            quotients(rows, ids.into_iter().map(|row| (row, Fr::one(), mu - id(row))))
        });
        Later { fractions: fractions.collect(), inverses: inverses.collect(), folds: Vec::new() }
    }

    /// The running sum. An identity that does not hold is made good on its home row, so that the gate fails exactly
    /// there and the report names the operator.
    fn running_sum(&self, chains: &Chains, later: &Later, challenges: &[Fr]) -> Vec<Fr> {
        let powers = Powers::new(challenges);
        let Choice { ledger, fold, .. } = &self.lowered.choice;
        let mut changes = vec![Fr::zero(); self.lowered.rows()];
        for entry in &fold.entries {
            let value = self.entry_value(entry, chains, later, &powers, challenges);
            changes[entry.row as usize] += value;
        }
        let mut sums = vec![Fr::zero(); ledger.homes.len()];
        for entry in &ledger.entries {
            if let Some(identity) = entry.identity {
                sums[identity] += self.entry_value(entry, chains, later, &powers, challenges);
            }
        }
        for (home, sum) in ledger.homes.iter().zip(sums) {
            changes[*home as usize] -= sum;
        }
        let mut sum = Fr::zero();
        for change in &mut changes {
            sum += *change;
            *change = sum;
        }
        changes
    }

    /// What a slot holds on a row.
    fn slot(&self, slot: Slot, row: usize, chains: &Chains, later: &Later) -> Fr {
        let relay = |column: RelayColumn| match column {
            RelayColumn::Cell(index) => Fr::from(self.cells.v[index][row]),
            RelayColumn::Chain(index) => chains.t[index][row],
        };
        match slot {
            Slot::Known => Fr::one(),
            Slot::Acc(acc) => chains.acc[acc][row],
            Slot::Relay(column) => relay(column),
            Slot::Product(acc, column) => chains.acc[acc][row] * relay(column),
            Slot::Fold(fold) => later.folds[fold][row],
            Slot::Fraction(relay) => later.fractions[relay][row],
            Slot::Inverse(lane) => later.inverses[lane][row],
        }
    }

    fn entry_value(
        &self,
        entry: &Entry,
        chains: &Chains,
        later: &Later,
        powers: &Powers,
        challenges: &[Fr],
    ) -> Fr {
        let value = |weight: &Weighting| match weight {
            Weighting { public: None, len: 1, .. } => Fr::from(weight.coefficient) * powers.of(weight.first),
            _ => weight.run(Exponents::ONE).evaluate(&self.public_inputs, |m| m.evaluate(challenges)),
        };
        let weight: Fr = entry.weight.iter().map(value).sum();
        self.slot(entry.slot, entry.row as usize, chains, later) * weight * powers.of(entry.factor)
    }

    /// The columns that add up ends of chains.
    fn folds(&self, chains: &Chains, later: &Later, challenges: &[Fr]) -> Vec<Vec<Fr>> {
        let fold = &self.lowered.choice.fold;
        let end = |slot: &Slot, row| self.slot(*slot, row, chains, later);
        walk(&fold.chains, &fold.colouring, self.lowered.rows(), &Powers::new(challenges), |_, lane, row| {
            end(&fold.slots[lane], row)
        })
    }

    fn small_cells(&self) -> Vec<ColumnValues> {
        let cells = &self.cells;
        let edge =
            |values: &Vec<i64>| match values.iter().map(|v| i32::try_from(*v)).collect::<Result<Vec<_>, _>>()
            {
                Ok(values) => ColumnValues::small(values),
                Err(_) => ColumnValues::full(values.iter().map(|v| Fr::from(*v)).collect()),
            };
        let edges = cells.e.iter().map(edge).collect();
        [small(&cells.r), small(&cells.q), small(&cells.y), edges, small(&cells.v)].concat()
    }
}

impl Witness for ModelWitness<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        if phase == 0 {
            return Ok(self.small_cells());
        }
        let chains = self.chains(challenges);
        let last = if chains.t.is_empty() { 1 } else { 2 };
        let mut columns = if phase == 1 { [full(&chains.acc), full(&chains.t)].concat() } else { Vec::new() };
        if phase == last {
            let mut later = self.quotients(&chains, challenges);
            later.folds = self.folds(&chains, &later, challenges);
            let sum = self.running_sum(&chains, &later, challenges);
            let Later { fractions, inverses, folds } = later;
            let last = [fractions, inverses, folds, vec![sum]].into_iter().flatten();
            columns.extend(last.map(ColumnValues::full));
        }
        Ok(columns)
    }

    fn finish(&self) {
        *self.chains.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn value_bytes(&self, phase: u8) -> usize {
        value_bytes(phase)
    }

    fn filled(&self, column: u32) -> Option<usize> {
        self.lowered.filled(column)
    }
}

/// No witness yet, but what estimates of memory and of work ask of one.
pub struct WitnessToCome<'a>(pub(super) &'a Lowered);

impl Witness for WitnessToCome<'_> {
    fn phase(&self, _: u8, _: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        Err(WitnessError::Refused(
            "there is no record yet; estimates can be made without, proofs cannot".into(),
        ))
    }

    fn value_bytes(&self, phase: u8) -> usize {
        value_bytes(phase)
    }

    fn filled(&self, column: u32) -> Option<usize> {
        self.0.filled(column)
    }
}

/// As [`Witness::value_bytes`].
fn value_bytes(phase: u8) -> usize {
    if phase == 0 { 4 } else { 32 }
}
