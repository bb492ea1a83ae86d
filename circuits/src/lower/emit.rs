//! A plan as a circuit: columns, gates, lookups, fixed values, instance cells, and regions that name operators and tensors.
//!
//! Gates: one an accumulator column, `acc[i] = (Σ_m S_m·M_m)·acc[i−1] + Σ_p P_p·(Σ_j A_pj·lane_j)` (degree 2 where selectors have
//! degree 1; where nothing is selected the accumulator is zero), the same for columns that add up ends of such chains (degree 3 if
//! these are multiplied), the fractions of lookups (degree 2), and the running sum `s[i] = s[i−1] + Σ slots` (degree 3), which wraps, so that the whole sum is zero. Lookups: on every row and lane, `(0, r, 0)` and `(tag, q, y)`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kiln_plonk::ColumnValues;
use kiln_plonk::circuit::{AdviceColumn, Circuit, CommittedGroup, Gate, Lookup, Region, Table};
use kiln_plonk::expression::{Challenge, Column, Expression, Monomial};
use kiln_plonk::formula::{InstanceCell, Run};

use crate::graph::IntGraph;

use super::chain::{AccColumn, Family, Pattern, PatternId, Weight};
use super::fold::Fold;
use super::ledger::{Entry, Ledger, RelayColumn, Slot};
use super::monomial::{CHALLENGE_OF_LOOKUPS, CHALLENGES_PHASE_0, CHALLENGES_PHASE_1, Exponents, MU};
use super::planner::{Choice, ColumnCounts};
use super::tables::Tables;

/// Every column by its role.
struct Columns {
    r: Vec<Column>,
    q: Vec<Column>,
    y: Vec<Column>,
    e: Vec<Column>,
    cell_relays: Vec<Column>,
    acc: Vec<Column>,
    chain_relays: Vec<Column>,
    fractions: Vec<Column>,
    inverses: Vec<Column>,
    folds: Vec<Column>,
    s: Vec<Column>,
    w: Vec<Column>,
    x: Vec<Column>,
}

impl Columns {
    /// Advice columns in order of their phases. Of the accumulators, those that are multiplied with relays are not linear.
    fn new(counts: &ColumnCounts, multiplied: &BTreeSet<usize>, circuit: &mut Circuit) -> Self {
        let lanes = counts.activations / 2;
        let last_phase = if counts.chain_relays > 0 { 2 } else { 1 };
        let mut column = |name: String, phase: u8, linear: bool| {
            circuit.advice.push(AdviceColumn { name, phase, linear });
            Column::Advice(circuit.advice.len() as u32 - 1)
        };
        let mut advice = |name: &str, count: usize, phase: u8, linear: &dyn Fn(usize) -> bool| {
            let indices = 0..count;
            indices.map(|index| column(format!("{name}{index}"), phase, linear(index))).collect::<Vec<_>>()
        };
        let (linear, read) = (|_: usize| true, |_: usize| false);
        let committed =
            |first: usize, count: usize| (first..first + count).map(|index| Column::Committed(index as u32));
        Self {
            r: advice("r", counts.remainders, 0, &read),
            q: advice("q", lanes, 0, &read),
            y: advice("y", lanes, 0, &read),
            e: advice("e", counts.edges, 0, &linear),
            cell_relays: advice("v", counts.cell_relays, 0, &linear),
            acc: advice("acc", counts.accumulators, 1, &|index| !multiplied.contains(&index)),
            chain_relays: advice("t", counts.chain_relays, 1, &linear),
            fractions: advice("g", counts.fractions, 2, &linear),
            inverses: advice("u", counts.inverses, 2, &linear),
            folds: advice("f", counts.folds, last_phase, &linear),
            s: advice("s", 1, last_phase, &linear),
            w: committed(0, counts.weights).collect(),
            x: committed(counts.weights, counts.input).collect(),
        }
    }

    fn relay(&self, column: RelayColumn) -> Column {
        match column {
            RelayColumn::Cell(index) => self.cell_relays[index],
            RelayColumn::Chain(index) => self.chain_relays[index],
        }
    }

    /// What a slot multiplies.
    fn factors(&self, slot: Slot) -> Vec<Expression> {
        let columns = match slot {
            Slot::Known => vec![],
            Slot::Acc(acc) => vec![self.acc[acc]],
            Slot::Relay(relay) => vec![self.relay(relay)],
            Slot::Product(acc, relay) => vec![self.acc[acc], self.relay(relay)],
            Slot::Fold(fold) => vec![self.folds[fold]],
            Slot::Fraction(relay) => vec![self.fractions[relay]],
            Slot::Inverse(lane) => vec![self.inverses[lane]],
        };
        columns.into_iter().map(Column::here).collect()
    }
}

/// Fixed columns; equal ones are kept once.
struct Fixed {
    rows: usize,
    names: Vec<String>,
    values: Vec<ColumnValues>,
    known: HashMap<Vec<i32>, Column>,
}

impl Fixed {
    fn add(&mut self, name: String, values: Vec<i32>) -> Column {
        if let Some(column) = self.known.get(&values) {
            return *column;
        }
        let column = Column::Fixed(self.values.len() as u32);
        self.known.insert(values.clone(), column);
        self.values.push(ColumnValues::small(values));
        self.names.push(name);
        column
    }
}

/// The circuit and the values of its fixed columns.
pub(crate) fn emit(graph: &IntGraph, choice: &Choice, tables: &Tables) -> (Circuit, Vec<ColumnValues>) {
    let mut circuit = Circuit {
        k: choice.k,
        degree: choice.degree,
        public_inputs: choice.plan.public_inputs,
        challenges: vec![CHALLENGES_PHASE_0.map(str::to_owned).to_vec()],
        ..Circuit::default()
    };
    if choice.columns.chain_relays > 0 {
        let lookups = !choice.plan.identities.lookups.is_empty();
        let of_lookups = lookups.then_some(CHALLENGE_OF_LOOKUPS);
        circuit
            .challenges
            .push(CHALLENGES_PHASE_1.into_iter().chain(of_lookups).map(str::to_owned).collect());
    }
    for (name, columns) in [("model", choice.columns.weights), ("input", choice.columns.input)] {
        if columns > 0 {
            circuit.committed.push(CommittedGroup { name: name.to_owned(), columns: columns as u32 });
        }
    }
    let columns = Columns::new(&choice.columns, &choice.ledger.multiplied(), &mut circuit);
    let rows = 1 << choice.k;
    let mut fixed = Fixed { rows, names: Vec::new(), values: Vec::new(), known: HashMap::new() };
    let selectors = selector_columns(choice, &mut fixed);
    let on = |rows: &Vec<u32>| choice.selectors.expression(rows, &selectors);
    for (index, (acc, uses)) in columns.acc.iter().zip(&choice.colouring.columns).enumerate() {
        let sum = |id| pattern_sum(&columns, &choice.plan.chains.pattern(id), tables.shift());
        circuit.gates.push(chain_gate(format!("chain acc{index}"), *acc, uses, on, sum));
    }
    for (index, (fold, uses)) in columns.folds.iter().zip(&choice.fold.colouring.columns).enumerate() {
        let sum = |id| ends_sum(&columns, &choice.fold, id);
        circuit.gates.push(chain_gate(format!("ends f{index}"), *fold, uses, on, sum));
    }
    add_quotients(&mut circuit, &columns, choice, &mut fixed);
    add_sum(&mut circuit, &columns, &choice.fold.entries);
    add_lookups(&mut circuit, &columns, &mut fixed, tables, tag_values(graph, choice, tables));
    circuit.regions = regions(graph, choice, &columns);
    circuit.fixed = fixed.names;
    (circuit, fixed.values)
}

fn scaled(monomial: Exponents, expression: Expression) -> Expression {
    if monomial == Exponents::ONE {
        expression
    } else {
        Expression::Product(vec![Expression::Challenge(monomial.monomial()), expression])
    }
}

/// `z` of a lane.
fn accumulator_lane(columns: &Columns, lane: usize, shift: u32) -> Expression {
    let shifted = Expression::integer(1 << shift) * columns.q[lane].here();
    Expression::Sum(vec![shifted, columns.r[lane].here(), Expression::integer(-(1 << shift >> 1))])
}

fn lane(columns: &Columns, family: Family, lane: usize, shift: u32) -> Expression {
    match family {
        Family::W => columns.w[lane].here(),
        Family::Z => accumulator_lane(columns, lane, shift),
        Family::Q => columns.q[lane].here(),
        Family::Y => columns.y[lane].here(),
        Family::E => columns.e[lane].here(),
        Family::X => columns.x[lane].here(),
        // What ends are made of depends on the slot: `ends_sum` reads them.
        Family::End => Expression::integer(0),
    }
}

fn weighted_sum(cells: impl Iterator<Item = (Expression, Weight)>) -> Expression {
    let term = |(cell, weight): (Expression, Weight)| {
        let cell = match weight.coefficient {
            1 => cell,
            -1 => -cell,
            factor => Expression::integer(factor) * cell,
        };
        scaled(weight.monomial, cell)
    };
    Expression::Sum(cells.map(term).collect())
}

fn pattern_sum(columns: &Columns, pattern: &Pattern, shift: u32) -> Expression {
    let lanes = pattern.lanes.iter().enumerate();
    weighted_sum(
        lanes.filter_map(|(index, weight)| Some((lane(columns, pattern.family, index, shift), (*weight)?))),
    )
}

fn ends_sum(columns: &Columns, fold: &Fold, id: PatternId) -> Expression {
    let pattern = fold.chains.pattern(id);
    let slots = fold.slots.iter().zip(&pattern.lanes);
    weighted_sum(
        slots.filter_map(|(slot, weight)| Some((Expression::Product(columns.factors(*slot)), (*weight)?))),
    )
}

/// The fixed columns of all selectors.
fn selector_columns(choice: &Choice, fixed: &mut Fixed) -> Vec<Column> {
    let selectors = &choice.selectors;
    let add = |column| fixed.add(format!("selectors{column}"), selectors.values(column, fixed.rows));
    (0..selectors.columns()).map(add).collect()
}

fn chain_gate(
    name: String,
    acc: Column,
    uses: &AccColumn,
    on: impl Fn(&Vec<u32>) -> Option<Expression>,
    sum: impl Fn(PatternId) -> Expression,
) -> Gate {
    // The plan has placed every selector of every column.
    let selector = |rows| on(rows).unwrap_or(Expression::integer(0));
    let mut parts = Vec::new();
    let multipliers = uses.multipliers.iter().map(|(monomial, rows)| scaled(*monomial, selector(rows)));
    let multipliers = multipliers.collect::<Vec<_>>();
    if !multipliers.is_empty() {
        parts.push(Expression::Sum(multipliers) * acc.previous());
    }
    let patterns = uses.patterns.iter();
    parts.extend(patterns.map(|(id, rows)| Expression::Product(vec![selector(rows), sum(*id)])));
    Gate { name, expression: acc.here() - Expression::Sum(parts) }
}

/// The fractions of lookups, `g·(μ − k) = t` with `k` the number of the row that a relay `t` stands for and 0 beside other relays, and
/// `u·(μ − id) = 1` where `id` numbers a row, `u·(μ − y) = 0` elsewhere. No value of `mu` but a number makes a factor vanish.
fn add_quotients(circuit: &mut Circuit, columns: &Columns, choice: &Choice, fixed: &mut Fixed) {
    let mu = || Expression::Challenge(Monomial(vec![(Challenge(MU as u32), 1)]));
    let mut gate = |name, quotient: Column, number: Column, numerator: Column| {
        let product = quotient.here() * (mu() - number.here());
        circuit.gates.push(Gate { name, expression: product - numerator.here() });
    };
    let identities = &choice.plan.identities;
    for (index, rows) in choice.ledger.fractions(identities).into_iter().enumerate() {
        let mut numbers = vec![0; fixed.rows];
        // A weight has at most 2^27 rows.
        rows.iter().for_each(|(row, number)| numbers[*row as usize] = *number as i32);
        let numbers = fixed.add(format!("numbers{index}"), numbers);
        gate(format!("fraction g{index}"), columns.fractions[index], numbers, columns.chain_relays[index]);
    }
    for (lane, rows) in Ledger::inverses(identities, &choice.offsets).into_iter().enumerate() {
        let mut ones = vec![0; fixed.rows];
        rows.iter().for_each(|row| ones[*row as usize] = 1);
        let ones = fixed.add(format!("ids{lane}"), ones);
        gate(format!("inverse u{lane}"), columns.inverses[lane], columns.y[lane], ones);
    }
}

/// The running sum of all identities, and its instance cells.
fn add_sum(circuit: &mut Circuit, columns: &Columns, entries: &[Entry]) {
    let mut cells: BTreeMap<(Slot, u32), Vec<Run>> = BTreeMap::new();
    for entry in entries {
        let runs = entry.weight.iter().map(|weight| weight.run(entry.factor));
        cells.entry((entry.slot, entry.row)).or_default().extend(runs);
    }
    let mut instance: BTreeMap<Slot, u32> = BTreeMap::new();
    for ((slot, row), runs) in cells {
        let next = instance.len() as u32;
        let column = *instance.entry(slot).or_insert(next);
        circuit.instance_cells.push(InstanceCell { column, row, runs });
    }
    let s = columns.s[0];
    let mut parts = vec![s.previous()];
    let mut names = vec![String::new(); instance.len()];
    for (slot, index) in instance {
        let mut factors = vec![Column::Instance(index).here()];
        factors.extend(columns.factors(slot));
        names[index as usize] = slot_name(slot);
        parts.push(if factors.len() == 1 { factors.remove(0) } else { Expression::Product(factors) });
    }
    circuit.instance = names;
    let expression = s.here() - Expression::Sum(parts);
    circuit.gates.push(Gate { name: "identities".to_owned(), expression });
}

fn slot_name(slot: Slot) -> String {
    let relay = |column| match column {
        RelayColumn::Cell(index) => format!("v{index}"),
        RelayColumn::Chain(index) => format!("t{index}"),
    };
    match slot {
        Slot::Known => "known".to_owned(),
        Slot::Acc(acc) => format!("acc{acc}"),
        Slot::Relay(column) => relay(column),
        Slot::Product(acc, column) => format!("acc{acc}.{}", relay(column)),
        Slot::Fold(fold) => format!("f{fold}"),
        Slot::Fraction(relay) => format!("g{relay}"),
        Slot::Inverse(lane) => format!("u{lane}"),
    }
}

/// The table's tag on each row; a row that holds nothing has any tag.
fn tag_values(graph: &IntGraph, choice: &Choice, tables: &Tables) -> Vec<i32> {
    let mut tags = vec![1; 1 << choice.k];
    for node in &graph.nodes {
        let placed = &choice.plan.tensors[node.output.0];
        let first = (placed.first_row + choice.offsets.activations) as usize;
        tags[first..first + placed.rows as usize].fill(tables.tag(node.table));
    }
    tags
}

fn add_lookups(circuit: &mut Circuit, columns: &Columns, fixed: &mut Fixed, tables: &Tables, tags: Vec<i32>) {
    let tag = fixed.add("tag".to_owned(), tags);
    let zero = || Expression::integer(0);
    let lookup = |name: String, inputs| Lookup { name, inputs, table: 0 };
    for (index, r) in columns.r.iter().enumerate() {
        circuit.lookups.push(lookup(format!("range r{index}"), vec![zero(), r.here(), zero()]));
    }
    for (index, (q, y)) in columns.q.iter().zip(&columns.y).enumerate() {
        let inputs = vec![tag.here(), q.here(), y.here()];
        circuit.lookups.push(lookup(format!("activation y{index}"), inputs));
    }
    let mut segments = Vec::new();
    for (number, segment) in tables.segments(circuit.rows()).into_iter().enumerate() {
        let names = ["tag", "u", "v"].map(|name| format!("table{number}.{name}"));
        let columns = names.into_iter().zip(segment).map(|(name, values)| fixed.add(name, values));
        segments.push(columns.collect());
    }
    circuit.tables.push(Table { name: "range and activations".to_owned(), segments });
}

fn regions(graph: &IntGraph, choice: &Choice, columns: &Columns) -> Vec<Region> {
    let mut regions = Vec::new();
    let activations =
        [&columns.r, &columns.q, &columns.y, &columns.acc, &columns.s].map(|part| part.as_slice()).concat();
    for (node, edges) in graph.nodes.iter().zip(&choice.plan.edges) {
        let placed = &choice.plan.tensors[node.output.0];
        let mut region = |first_row: u32, rows: u32, columns: &[Column]| {
            let operator = format!("{} \"{}\"", node.operator, node.name);
            let tensor = graph.tensors[node.output.0].name.clone();
            regions.push(Region { first_row, rows, operator, tensor, columns: columns.to_vec() });
        };
        region(placed.first_row + choice.offsets.activations, placed.rows, &activations);
        if let Some(edges) = edges {
            region(edges.placed.first_row + choice.offsets.edges, edges.placed.rows, &columns.e);
        }
    }
    for (weight, placed) in graph.weights.iter().zip(&choice.plan.weights) {
        regions.push(Region {
            first_row: placed.first_row,
            rows: placed.rows,
            operator: "weights".to_owned(),
            tensor: weight.name.clone(),
            columns: columns.w.clone(),
        });
    }
    regions
}
