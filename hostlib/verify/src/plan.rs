//! What prover and verifier both read off a circuit: phases, fractions, queries, point sets, blinding, sizes.
//!
//! A plan can only be made of a circuit that keeps all the rules, so whoever holds one need not check again.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use alloc::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;

use crate::circuit::Circuit;
use crate::constraints::{self, Algebra, Challenges, Oracle, Origin};
use crate::encoding::count;
use crate::error::CircuitError;
use crate::expression::{Column, Expression};

/// Monomial points of a reference string beyond 2^k: blinded polynomials are a little longer than the circuit.
pub const SRS_EXTRA: usize = 64;

/// Blinding coefficients of a committed column: one for each thing that is ever seen of it (its commitment, its share
/// in one linearised opening) and one to spare.
pub const COMMITTED_BLINDING: usize = 3;

/// The most cells, columns, rows or nodes that a circuit may name of a kind. Keeps hostile keys from exhausting memory.
const COUNT_MAX: usize = 1 << 24;

/// How deep an expression may nest.
const DEPTH_MAX: usize = 64;

/// The farthest row that a constraint may look at.
const ROTATION_MAX: i32 = 16;

/// One term of the sum that the lookup and copy arguments show to be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraction {
    /// `1/(γ + tuple)` of a lookup.
    Lookup(u32),
    /// `−m/(γ + tuple)` of a table segment.
    Segment {
        /// The table.
        table: u32,
        /// The segment of that table.
        segment: u32,
        /// The multiplicity column.
        multiplicity: u32,
    },
    /// `1/(δ + v + β·id)` of a copy column.
    CopyFrom(u32),
    /// `−1/(δ + v + β·σ)` of a copy column.
    CopyTo(u32),
}

/// Polynomials that are opened at the same points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointSet {
    /// The points are `ζ·ω^rotation`.
    pub rotations: Vec<i32>,
    /// The polynomials.
    pub oracles: Vec<Oracle>,
}

/// What both sides derive from a circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// log2 of the row count.
    pub k: u32,
    /// Advice columns of each phase.
    pub phases: Vec<Vec<u32>>,
    /// Fractions of each helper column.
    pub helpers: Vec<Vec<Fraction>>,
    /// Table segments in the order of their multiplicity columns: (table, segment).
    pub segments: Vec<(u32, u32)>,
    /// Evaluations that the prover sends, in order.
    pub queries: Vec<(Oracle, i32)>,
    /// Evaluations that the verifier makes by itself.
    pub instance_queries: Vec<(u32, i32)>,
    /// Polynomials folded into the linearisation, in order.
    pub linear: Vec<Oracle>,
    /// What is opened where. The first set is `{ζ}`, and the linearisation is its first polynomial.
    pub point_sets: Vec<PointSet>,
    /// Quotient pieces, and cosets that it is computed on: degree − 1.
    pub pieces: usize,
    /// By how many coefficients the quotient may be longer than `pieces·2^k`.
    pub excess: usize,
    blinding: BTreeMap<Oracle, usize>,
}

/// A place in a list, from an index as circuits write it.
pub fn position(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// An index as circuits write it. Counts are checked when a plan is made.
pub fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}

impl Plan {
    /// Reads a circuit, checking every rule.
    pub fn new(circuit: &Circuit) -> Result<Self, CircuitError> {
        check_counts(circuit)?;
        let group_size = position(circuit.degree).saturating_sub(1);
        let (fractions, segments) = fractions(circuit);
        let mut plan = Self {
            k: circuit.k,
            phases: phases(circuit),
            helpers: fractions.chunks(group_size).map(<[Fraction]>::to_vec).collect(),
            segments,
            queries: Vec::new(),
            instance_queries: Vec::new(),
            linear: Vec::new(),
            point_sets: Vec::new(),
            pieces: group_size,
            excess: 0,
            blinding: BTreeMap::new(),
        };
        let mut shape = Shape { circuit, queries: BTreeSet::new() };
        check_lookups(circuit, &mut shape)?;
        check_constraints(circuit, &plan, &mut shape)?;
        plan.sort_queries(circuit, &shape.queries);
        plan.count_blinding(circuit)?;
        Ok(plan)
    }

    /// Row count.
    pub fn rows(&self) -> usize {
        1usize.checked_shl(self.k).unwrap_or(0)
    }

    /// False if the circuit has no lookup, table or copy column.
    pub fn has_running_sum(&self) -> bool {
        !self.helpers.is_empty()
    }

    /// How many coefficients blind a column: one for each value that is seen of it, its commitment included, and one
    /// to spare. Zero for what is public.
    pub fn blinding(&self, oracle: Oracle) -> usize {
        self.blinding.get(&oracle).copied().unwrap_or(0)
    }

    /// Points in a proof.
    pub fn proof_points(&self) -> usize {
        let advice: usize = self.phases.iter().map(Vec::len).sum();
        let lookup = [self.segments.len(), self.helpers.len(), usize::from(self.has_running_sum())];
        lookup.into_iter().chain([self.pieces, 2]).fold(advice, usize::saturating_add)
    }

    fn sort_queries(&mut self, circuit: &Circuit, queries: &BTreeSet<(Oracle, i32)>) {
        let mut sets: BTreeMap<Vec<i32>, Vec<Oracle>> = BTreeMap::from([(vec![0], Vec::new())]);
        let mut rotations: BTreeMap<Oracle, Vec<i32>> = BTreeMap::new();
        for &(oracle, rotation) in queries {
            match oracle {
                Oracle::Identity => {}
                Oracle::Instance(column) => self.instance_queries.push((column, rotation)),
                _ if rotation == 0 && is_linear(circuit, oracle) => self.linear.push(oracle),
                _ => {
                    self.queries.push((oracle, rotation));
                    rotations.entry(oracle).or_default().push(rotation);
                }
            }
        }
        for (oracle, rotations) in rotations {
            sets.entry(rotations).or_default().push(oracle);
        }
        let first = sets.remove(&vec![0]).unwrap_or_default();
        self.point_sets.push(PointSet { rotations: vec![0], oracles: first });
        self.point_sets.extend(sets.into_iter().map(|(rotations, oracles)| PointSet { rotations, oracles }));
    }

    fn count_blinding(&mut self, circuit: &Circuit) -> Result<(), CircuitError> {
        let advice = (0..index(circuit.advice.len())).map(Oracle::Advice);
        let multiplicities = (0..index(self.segments.len())).map(Oracle::Multiplicity);
        let helpers = (0..index(self.helpers.len())).map(Oracle::Helper);
        let sum = self.has_running_sum().then_some(Oracle::RunningSum);
        let hidden: BTreeSet<Oracle> = advice.chain(multiplicities).chain(helpers).chain(sum).collect();
        let mut points: BTreeMap<Oracle, BTreeSet<i32>> =
            hidden.into_iter().map(|o| (o, BTreeSet::new())).collect();
        for (oracle, rotation) in self.queries.iter().copied().chain(self.linear.iter().map(|o| (*o, 0))) {
            if let Some(seen) = points.get_mut(&oracle) {
                seen.insert(rotation);
            }
        }
        // Each rotation is seen at ζ and, in the identity that the quotient's commitments satisfy, at τ; the row itself is
        // seen at τ in any case, in the commitment. See `docs/protocol.md`, "Zero knowledge".
        let count = |seen: BTreeSet<i32>| {
            let at_tau = seen.len().saturating_add(usize::from(!seen.contains(&0)));
            seen.len().saturating_add(at_tau.max(2))
        };
        self.blinding = points.into_iter().map(|(oracle, seen)| (oracle, count(seen))).collect();
        let longest = self.blinding.values().copied().max().unwrap_or(0).max(COMMITTED_BLINDING);
        self.excess = position(circuit.degree).saturating_mul(longest.saturating_sub(1)).saturating_add(1);
        range("blinding excess", 0..=SRS_EXTRA, self.excess)
    }
}

/// True if rotation 0 of the polynomial is folded into the linearisation.
pub fn is_linear(circuit: &Circuit, oracle: Oracle) -> bool {
    match oracle {
        Oracle::Committed(_) | Oracle::Multiplicity(_) | Oracle::Helper(_) | Oracle::RunningSum => true,
        Oracle::Advice(column) => circuit.advice.get(position(column)).is_some_and(|column| column.linear),
        Oracle::Fixed(_)
        | Oracle::Sigma(_)
        | Oracle::Instance(_)
        | Oracle::Identity
        | Oracle::Combination(_) => false,
    }
}

fn phases(circuit: &Circuit) -> Vec<Vec<u32>> {
    let later =
        circuit.advice.iter().map(|column| usize::from(column.phase).saturating_add(1)).max().unwrap_or(0);
    let mut phases = vec![Vec::new(); circuit.challenges.len().max(later)];
    for (i, column) in circuit.advice.iter().enumerate() {
        if let Some(phase) = phases.get_mut(usize::from(column.phase)) {
            phase.push(index(i));
        }
    }
    phases
}

fn fractions(circuit: &Circuit) -> (Vec<Fraction>, Vec<(u32, u32)>) {
    let mut fractions: Vec<_> = (0..index(circuit.lookups.len())).map(Fraction::Lookup).collect();
    let mut segments = Vec::new();
    for (table, content) in circuit.tables.iter().enumerate() {
        for segment in 0..index(content.segments.len()) {
            let (table, multiplicity) = (index(table), index(segments.len()));
            fractions.push(Fraction::Segment { table, segment, multiplicity });
            segments.push((table, segment));
        }
    }
    for column in 0..index(circuit.copy_columns.len()) {
        fractions.push(Fraction::CopyFrom(column));
        fractions.push(Fraction::CopyTo(column));
    }
    (fractions, segments)
}

// ---- rules ----------------------------------------------------------------------------------------------------

fn range(
    what: &'static str,
    allowed: core::ops::RangeInclusive<usize>,
    got: usize,
) -> Result<(), CircuitError> {
    if allowed.contains(&got) {
        return Ok(());
    }
    Err(CircuitError::Range {
        what,
        min: count(*allowed.start()),
        max: count(*allowed.end()),
        got: count(got),
    })
}

fn check_counts(circuit: &Circuit) -> Result<(), CircuitError> {
    range("k", 1..=24, position(circuit.k))?;
    range("degree", 3..=9, position(circuit.degree))?;
    range("number of phases", 0..=16, circuit.challenges.len())?;
    let committed: u64 = circuit.committed.iter().map(|group| u64::from(group.columns)).sum();
    let segments: usize = circuit.tables.iter().map(|table| table.segments.len()).sum();
    for (what, got) in [
        ("number of fixed columns", circuit.fixed.len()),
        ("number of instance columns", circuit.instance.len()),
        ("number of advice columns", circuit.advice.len()),
        ("number of committed columns", usize::try_from(committed).unwrap_or(usize::MAX)),
        ("number of lookups", circuit.lookups.len()),
        ("number of table segments", segments),
        ("number of copy columns", circuit.copy_columns.len()),
    ] {
        range(what, 0..=1 << 16, got)?;
    }
    let challenges: usize = circuit.challenges.iter().map(Vec::len).sum();
    let runs: usize = circuit.instance_cells.iter().map(|cell| cell.runs.len()).sum();
    for (what, got) in [
        ("number of gates", circuit.gates.len()),
        ("number of challenges", challenges),
        ("number of copies", circuit.copies.len()),
        ("number of instance cells", circuit.instance_cells.len()),
        ("number of instance runs", runs),
        ("number of public inputs", position(circuit.public_inputs)),
    ] {
        range(what, 0..=COUNT_MAX, got)?;
    }
    for column in &circuit.advice {
        range("phase of an advice column", 0..=circuit.challenges.len(), usize::from(column.phase))?;
    }
    check_cells(circuit)?;
    check_tables(circuit)
}

fn check_cells(circuit: &Circuit) -> Result<(), CircuitError> {
    let last_row = circuit.rows().saturating_sub(1);
    let mut seen = BTreeSet::new();
    for &column in &circuit.copy_columns {
        check_column(circuit, "copy column", &format!("{column:?}"), column)?;
        if is_linear(circuit, column.into()) || !seen.insert(column) {
            let problem = "is linear, committed or named twice".to_owned();
            return Err(broken("copy column", &format!("{column:?}"), problem));
        }
    }
    for (a, b) in &circuit.copies {
        for cell in [a, b] {
            range("row of a copy", 0..=last_row, position(cell.row))?;
            if !seen.contains(&cell.column) {
                let problem = "takes part in a copy but is not a copy column".to_owned();
                return Err(broken("column", &format!("{:?}", cell.column), problem));
            }
        }
    }
    let mut cells = BTreeSet::new();
    for cell in &circuit.instance_cells {
        range("row of an instance cell", 0..=last_row, position(cell.row))?;
        check_column(circuit, "instance cell of", "column", Column::Instance(cell.column))?;
        if !cells.insert((cell.column, cell.row)) {
            return Err(broken(
                "instance cell",
                &format!("{}:{}", cell.column, cell.row),
                "is named twice".into(),
            ));
        }
        cell.runs.iter().try_for_each(|run| check_run(circuit, run))?;
    }
    Ok(())
}

fn check_run(circuit: &Circuit, run: &crate::formula::Run) -> Result<(), CircuitError> {
    let challenges = circuit.challenges.iter().map(Vec::len).sum();
    for monomial in [&run.first, &run.step] {
        for (challenge, _) in &monomial.0 {
            range("challenge of a run, plus one", 1..=challenges, position(challenge.0).saturating_add(1))?;
        }
    }
    range("length of a run", 0..=COUNT_MAX, position(run.len))?;
    if let (Some((start, stride)), 1..) = (run.public, run.len) {
        let last = u64::from(run.len.saturating_sub(1)).saturating_mul(u64::from(stride));
        let last = last.saturating_add(u64::from(start));
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        range(
            "last public input of a run, plus one",
            1..=position(circuit.public_inputs),
            last.saturating_add(1),
        )?;
    }
    Ok(())
}

fn check_tables(circuit: &Circuit) -> Result<(), CircuitError> {
    for table in &circuit.tables {
        let width = table.segments.first().map_or(0, Vec::len);
        for segment in &table.segments {
            if segment.len() != width || segment.iter().any(|column| !matches!(column, Column::Fixed(_))) {
                let problem = "has segments of different width, or columns that are not fixed".to_owned();
                return Err(broken("table", &table.name, problem));
            }
            segment.iter().try_for_each(|column| check_column(circuit, "table", &table.name, *column))?;
        }
    }
    Ok(())
}

fn check_lookups(circuit: &Circuit, shape: &mut Shape) -> Result<(), CircuitError> {
    for lookup in &circuit.lookups {
        let width = circuit.tables.get(position(lookup.table)).and_then(|t| t.segments.first()).map(Vec::len);
        if width != Some(lookup.inputs.len()) {
            let problem = format!("has {} inputs, its table {width:?} columns", lookup.inputs.len());
            return Err(broken("lookup", &lookup.name, problem));
        }
        for input in &lookup.inputs {
            check_expression(circuit, "lookup", &lookup.name, input)?;
            let degree = constraints::expression(input, &placeholder(circuit).circuit, shape);
            if degree.total > 1 || degree.linear > 0 {
                let problem = "has an input above degree 1, or of a linear or committed column".to_owned();
                return Err(broken("lookup", &lookup.name, problem));
            }
        }
    }
    Ok(())
}

fn check_constraints(circuit: &Circuit, plan: &Plan, shape: &mut Shape) -> Result<(), CircuitError> {
    for gate in &circuit.gates {
        check_expression(circuit, "gate", &gate.name, &gate.expression)?;
    }
    let challenges = placeholder(circuit);
    for i in 0..constraints::count(circuit, plan) {
        let (origin, degree) = constraints::constraint(circuit, plan, &challenges, i, shape);
        let name = match origin {
            Origin::Gate(gate) => circuit.gates.get(gate).map(|gate| gate.name.clone()).unwrap_or_default(),
            Origin::Helper(helper) => format!("lookup helper {helper}"),
            Origin::RunningSum => "running sum".to_owned(),
        };
        if degree.total > circuit.degree {
            let problem = format!("has degree {}, the circuit allows {}", degree.total, circuit.degree);
            return Err(broken("gate", &name, problem));
        }
        if degree.linear > 1 {
            return Err(broken(
                "gate",
                &name,
                "multiplies linear or committed columns with each other".to_owned(),
            ));
        }
    }
    Ok(())
}

fn placeholder(circuit: &Circuit) -> Challenges {
    Challenges::placeholder(circuit.challenges.iter().map(Vec::len).sum())
}

fn broken(what: &'static str, name: &str, problem: String) -> CircuitError {
    CircuitError::Expression { what, name: name.to_owned(), problem }
}

fn check_column(
    circuit: &Circuit,
    what: &'static str,
    name: &str,
    column: Column,
) -> Result<(), CircuitError> {
    let committed: u32 = circuit.committed.iter().map(|group| group.columns).sum();
    let (i, count) = match column {
        Column::Fixed(i) => (i, circuit.fixed.len()),
        Column::Instance(i) => (i, circuit.instance.len()),
        Column::Committed(i) => (i, position(committed)),
        Column::Advice(i) => (i, circuit.advice.len()),
    };
    if position(i) < count {
        return Ok(());
    }
    Err(broken(what, name, format!("names {column:?}, but there are {count} such columns")))
}

fn check_expression(
    circuit: &Circuit,
    what: &'static str,
    name: &str,
    expression: &Expression,
) -> Result<(), CircuitError> {
    let challenges: usize = circuit.challenges.iter().map(Vec::len).sum();
    let mut pending = vec![(expression, 0usize)];
    while let Some((expression, depth)) = pending.pop() {
        let deeper = depth.saturating_add(1);
        if depth > DEPTH_MAX {
            return Err(broken(what, name, format!("nests deeper than {DEPTH_MAX}")));
        }
        match expression {
            Expression::Constant(_) => {}
            Expression::Challenge(monomial) => {
                if monomial.0.iter().any(|(challenge, _)| position(challenge.0) >= challenges) {
                    return Err(broken(
                        what,
                        name,
                        format!("names a challenge beyond the circuit's {challenges}"),
                    ));
                }
            }
            Expression::Query(column, rotation) => {
                check_column(circuit, what, name, *column)?;
                let committed = matches!(column, Column::Committed(_));
                if !rotations_allowed(circuit).contains(rotation) || (committed && *rotation != 0) {
                    return Err(broken(what, name, format!("looks at {column:?} {rotation} rows on")));
                }
            }
            Expression::Sum(parts) | Expression::Product(parts) => {
                pending.extend(parts.iter().map(|part| (part, deeper)));
            }
            Expression::Negated(inner) => pending.push((inner, deeper)),
        }
    }
    Ok(())
}

/// Rotations that name different rows: two names for one point would let a prover give it two evaluations.
fn rotations_allowed(circuit: &Circuit) -> core::ops::Range<i32> {
    let bits = circuit.k.saturating_sub(1).min(ROTATION_MAX.ilog2());
    let half = 1i32.checked_shl(bits).unwrap_or(1);
    half.saturating_neg()..half
}

/// Degrees in all columns, and in linear columns alone.
#[derive(Clone, Copy)]
struct Degree {
    total: u32,
    linear: u32,
}

/// The algebra of degrees; collects queries on the way.
struct Shape<'a> {
    circuit: &'a Circuit,
    queries: BTreeSet<(Oracle, i32)>,
}

impl Algebra for Shape<'_> {
    type Value = Degree;

    fn constant(&mut self, _: Fr) -> Degree {
        Degree { total: 0, linear: 0 }
    }

    fn query(&mut self, oracle: Oracle, rotation: i32) -> Degree {
        self.queries.insert((oracle, rotation));
        Degree { total: 1, linear: u32::from(rotation == 0 && is_linear(self.circuit, oracle)) }
    }

    fn add(&mut self, a: &Degree, b: &Degree) -> Degree {
        Degree { total: a.total.max(b.total), linear: a.linear.max(b.linear) }
    }

    fn sub(&mut self, a: &Degree, b: &Degree) -> Degree {
        self.add(a, b)
    }

    fn mul(&mut self, a: &Degree, b: &Degree) -> Degree {
        Degree { total: a.total.saturating_add(b.total), linear: a.linear.saturating_add(b.linear) }
    }
}

#[cfg(test)]
mod tests;
