//! How much memory a proof takes, told ahead, and the ways to take less.
//!
//! A column of 2^k rows takes 2^k·32 bytes as field elements. A proof that holds everything holds the coefficients of each
//! column, and in the quotient round also the values of most of them on a coset. There are two ways out, which go together:
//!
//! - columns are not held as coefficients, but as what these can be made from again ([`Holding::Rows`]: values on the rows,
//!   which are often small), or on disk ([`Holding::Disk`]);
//! - a coset is not taken as a whole but in 2^s *slices*, each a coset of a subgroup 2^s times smaller.
//!
//! Where columns are not held as coefficients, the quotient round can make those that some constraints read, a *stage*, and take them to
//! all slices of all cosets, before it turns to other constraints; or, if there is no memory for that, make them again for each slice.
//!
//! Every way gives the same proof, byte for byte. Estimates are upper bounds for a device in the host's memory, found by adding
//! up what lives in each round; a margin stands for what is not counted one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use ark_bn254::Fr;
use ark_ff::{FftField, Field};
use kiln_kernels::{HostData, KernelFailure, Values};

use crate::combinations::Combinations;
use crate::compile::{Compiled, Constraints, Input, Rotations, Stage, Stages, combined_constraints};
use crate::constraints::{Challenges, Oracle};
use crate::error::ProveError;
use crate::proving_key::ProvingKey;
use crate::srs::Srs;
use crate::witness::{ColumnValues, Witness};

/// Bytes of a field element.
const ELEMENT_BYTES: u64 = 32;
/// Bytes of a small value.
const SMALL_BYTES: u64 = 4;
/// The largest stage has all columns, the next half of them, and so on.
const STAGE_HALVINGS: u32 = 4;
/// The most slices of a coset, log2.
const SLICES_LOG2_MAX: u32 = 6;
/// Fewest points of a slice, log2.
const SLICE_POINTS_LOG2_MIN: u32 = 6;
/// What buckets, tables and the like take whatever the size.
const FIXED_BYTES: u64 = 48 << 20;
/// What the processor's transforms keep prepared, at most, and for each point.
const TRANSFORM_BYTES_MAX: u64 = 160 << 20;
const TRANSFORM_POINT_BYTES: u64 = 40;

/// How columns are held between the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// As coefficients, in memory.
    Memory,
    /// As coefficients, encrypted on disk.
    Disk,
    /// As values on the rows, in memory; coefficients are made again whenever they are needed.
    Rows,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "hold all columns in memory",
            Self::Disk => "hold columns on disk, encrypted",
            Self::Rows => "make columns again when they are needed",
        })
    }
}

/// How a polynomial is held once it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Coefficients,
    Rows,
    Disk,
}

impl Held {
    /// As [`store`](super::store) holds it. `known` says that the coefficients of fixed columns lie in the key.
    pub fn of(oracle: Oracle, holding: Holding, known: bool) -> Self {
        match (oracle, holding) {
            (Oracle::Identity, _) | (_, Holding::Memory) => Self::Coefficients,
            (Oracle::Fixed(_) | Oracle::Sigma(_), _) if known => Self::Coefficients,
            (Oracle::Fixed(_) | Oracle::Sigma(_) | Oracle::Committed(_) | Oracle::Instance(_), _) => {
                Self::Rows
            }
            (_, Holding::Disk) => Self::Disk,
            (Oracle::Combination(_), Holding::Rows) => Self::Coefficients,
            (_, Holding::Rows) => Self::Rows,
        }
    }
}

/// How a proof uses memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    holding: Holding,
    slices_log2: u32,
    stage_columns: Option<usize>,
    slowness: u64,
    peak_bytes: u64,
    disk_bytes: u64,
    directory: Option<PathBuf>,
}

impl Default for MemoryPlan {
    /// Everything in memory, without an estimate.
    fn default() -> Self {
        Self {
            holding: Holding::Memory,
            slices_log2: 0,
            stage_columns: None,
            slowness: 0,
            peak_bytes: 0,
            disk_bytes: 0,
            directory: None,
        }
    }
}

impl MemoryPlan {
    /// All ways to make a proof, the fastest first. `in_use` is what the process holds already \[bytes\]; the estimates
    /// include it. Without a directory nothing goes to disk.
    ///
    /// # Errors
    /// [`ProveError::Kernel`] if a constraint does not fit a program.
    pub fn options(
        pk: &ProvingKey,
        srs: &Srs,
        witness: &dyn Witness,
        in_use: u64,
        directory: Option<&Path>,
    ) -> Result<Vec<Self>, ProveError> {
        let shape = Shape::new(pk, srs, witness);
        let mut options = Vec::new();
        for holding in [Holding::Memory, Holding::Disk, Holding::Rows] {
            if holding == Holding::Disk && directory.is_none() {
                continue;
            }
            let ways = QuotientShape::all(pk, holding)?;
            for slices_log2 in 0..=SLICES_LOG2_MAX {
                if slices_log2 > 0 && pk.vk.plan().k < SLICE_POINTS_LOG2_MIN + slices_log2 {
                    continue;
                }
                options.extend(ways.iter().map(|way| Self {
                    holding,
                    slices_log2,
                    stage_columns: way.stage_columns,
                    slowness: way.slowness(holding, slices_log2, shape.pieces),
                    peak_bytes: in_use + shape.peak_bytes(holding, slices_log2, way),
                    disk_bytes: if holding == Holding::Disk { shape.disk_bytes(way) } else { 0 },
                    directory: directory.filter(|_| holding == Holding::Disk).map(Path::to_owned),
                }));
            }
        }
        options.sort_by_key(|option| option.slowness);
        Ok(options)
    }

    /// The fastest of the options within a bound \[bytes\].
    ///
    /// # Errors
    /// [`ProveError::Memory`] names the smallest bound that can be met.
    pub fn choose(options: &[Self], bound: u64) -> Result<Self, ProveError> {
        let smallest = options.iter().map(|option| option.peak_bytes).min().unwrap_or(0);
        let fitting = options.iter().find(|option| option.peak_bytes <= bound).cloned();
        fitting.ok_or(ProveError::Memory { expected: smallest, got: bound })
    }

    /// How columns are held.
    pub fn holding(&self) -> Holding {
        self.holding
    }

    /// In how many slices a coset is taken.
    pub fn slices(&self) -> usize {
        1 << self.slices_log2
    }

    /// How many columns the quotient round makes at a time, to take them to all slices. None if it makes columns for each slice, or
    /// has them all.
    pub fn stage_columns(&self) -> Option<usize> {
        self.stage_columns
    }

    pub(super) fn slices_log2(&self) -> u32 {
        self.slices_log2
    }

    /// The most memory that the process will hold \[bytes\].
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    /// What will be on disk \[bytes\].
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// Where it will be.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.holding)?;
        if let Some(columns) = self.stage_columns {
            write!(f, ", up to {columns} at a time")?;
        }
        match self.slices() {
            1 => Ok(()),
            slices => write!(f, ", {slices} slices a coset"),
        }
    }
}

/// How many columns are in memory as coefficients at a time where they are not held so.
pub(super) fn columns_at_once() -> usize {
    rayon::current_num_threads().clamp(2, 8)
}

/// What the quotient round takes, one way or another. Counts are of columns.
struct QuotientShape {
    stage_columns: Option<usize>,
    combinations: u64,
    /// On whole cosets, and on slices.
    whole: StagesShape,
    sliced: StagesShape,
}

/// What stages take, all together or at most.
struct StagesShape {
    /// Made for all stages, and at most for one.
    made: u64,
    made_max: u64,
    /// Taken to a coset for all stages; rotations count by themselves where programs do not apply them.
    evaluated: u64,
    /// On a coset that live at the same time.
    live: u64,
    /// Rotations that are not applied by programs, each with transforms of its own.
    rotations: u64,
}

impl QuotientShape {
    /// The ways to go about it.
    fn all(pk: &ProvingKey, holding: Holding) -> Result<Vec<Self>, KernelFailure> {
        let (circuit, plan) = (pk.vk.circuit(), pk.vk.plan());
        let (challenges, alpha) = placeholder(circuit.challenges.iter().map(Vec::len).sum());
        let combinations = Combinations::choose(circuit, plan, &challenges, alpha);
        let source =
            Constraints { circuit, plan, challenges: &challenges, alpha, combinations: &combinations };
        let known = pk.coefficients.is_some();
        let is_made = |oracle| Held::of(oracle, holding, known) != Held::Coefficients;
        let way = |stage_columns: Option<usize>| {
            let cut = Stages { is_made: &is_made, columns_max: stage_columns.unwrap_or(usize::MAX) };
            let shape = |rotations| {
                combined_constraints(source, rotations, cut).map(|stages| StagesShape::new(&stages))
            };
            Ok(Self {
                stage_columns,
                combinations: combinations.all().count() as u64,
                whole: shape(Rotations::Loaded)?,
                sliced: shape(Rotations::Given)?,
            })
        };
        let mut ways = vec![way(None)?];
        let all = ways.iter().map(|way| way.whole.made_max as usize).max().unwrap_or(0);
        // Fewer at a time are of use only if that makes fewer.
        for columns in (0..STAGE_HALVINGS).map(|halvings| all >> halvings).filter(|columns| *columns > 0) {
            let way = way(Some(columns))?;
            let least =
                ways.iter().filter(|way| way.stage_columns.is_some()).map(|way| way.whole.made_max).min();
            if least.is_none_or(|least| way.whole.made_max < least) {
                ways.push(way);
            }
        }
        Ok(ways)
    }

    fn stages(&self, slices_log2: u32) -> &StagesShape {
        if slices_log2 == 0 { &self.whole } else { &self.sliced }
    }

    /// Transforms of columns, in 64ths: folding one to a slice costs a little, reading it back some more, and making it again another
    /// transform.
    fn slowness(&self, holding: Holding, slices_log2: u32, pieces: u64) -> u64 {
        let stages = self.stages(slices_log2);
        let slices = 1 << slices_log2;
        let folding = if slices == 1 { 0 } else { 3 * slices };
        let making = match holding {
            Holding::Memory => 0,
            Holding::Disk => 16,
            Holding::Rows => 72,
        };
        // The small coset is one more slice.
        let times = if self.stage_columns.is_some() { 1 } else { pieces * slices + 1 };
        pieces * stages.evaluated * (64 + folding) + times * stages.made * making
    }
}

impl StagesShape {
    fn new(stages: &[Stage]) -> Self {
        let made = || stages.iter().map(|stage| stage.columns.len() as u64);
        let inputs = |stage: &Stage| {
            let inputs = stage.programs.iter().flat_map(|program| &program.inputs);
            inputs.filter(|(oracle, _)| *oracle != Oracle::Identity).collect::<BTreeSet<_>>().len() as u64
        };
        let inputs_of_all =
            stages.iter().flat_map(|stage| &stage.programs).flat_map(|program| &program.inputs);
        Self {
            rotations: inputs_of_all.map(|(_, rotation)| rotation).collect::<BTreeSet<_>>().len() as u64,
            made: made().sum(),
            made_max: made().max().unwrap_or(0),
            evaluated: stages.iter().map(inputs).sum(),
            live: stages.iter().map(|stage| live_at_once(&stage.programs) as u64).max().unwrap_or(0),
        }
    }
}

/// What an estimate rests on. Counts are of columns.
struct Shape {
    rows: u64,
    pieces: u64,
    advice: u64,
    /// Values of the advice columns on the rows \[bytes\].
    advice_bytes: u64,
    multiplicities: u64,
    /// Helpers and the running sum.
    helpers: u64,
    instance: u64,
    committed: u64,
    /// Fixed and σ columns that have no coefficients yet.
    fixed_without_coefficients: u64,
    point_sets: u64,
    /// What comes from files that are used in place \[bytes\].
    mapped_bytes: u64,
}

impl Shape {
    fn new(pk: &ProvingKey, srs: &Srs, witness: &dyn Witness) -> Self {
        let (circuit, plan) = (&pk.vk.circuit(), &pk.vk.plan());
        let rows = plan.rows() as u64;
        let columns = pk.fixed.iter().chain(&pk.sigma).chain(pk.coefficients.iter().flatten());
        let points = [srs.monomial(), srs.lagrange()].into_iter().filter(|points| Values::is_lent(points));
        let phases = (0u8..).zip(&plan.phases);
        let count = |count: usize| count as u64;
        Self {
            rows,
            pieces: count(plan.pieces),
            advice: count(circuit.advice.len()),
            advice_bytes: phases
                .map(|(phase, columns)| count(columns.len()) * rows * count(witness.value_bytes(phase)))
                .sum(),
            multiplicities: count(plan.segments.len()),
            helpers: count(plan.helpers.len()) + u64::from(plan.has_running_sum()),
            instance: count(circuit.instance.len()),
            committed: circuit.committed.iter().map(|group| u64::from(group.columns)).sum(),
            fixed_without_coefficients: match pk.coefficients {
                Some(_) => 0,
                None => count(pk.fixed.len() + pk.sigma.len()),
            },
            point_sets: count(plan.point_sets.len()),
            mapped_bytes: columns.map(mapped_bytes).sum::<u64>()
                + points.map(|points| 64 * count(points.len())).sum::<u64>(),
        }
    }

    /// Bytes of a column of field elements.
    fn column(&self) -> u64 {
        ELEMENT_BYTES * self.rows
    }

    fn disk_bytes(&self, way: &QuotientShape) -> u64 {
        let columns = self.advice + self.multiplicities + self.helpers + way.combinations;
        columns * self.column()
    }

    /// The most that lives at the same time, besides what is in use already.
    fn peak_bytes(&self, holding: Holding, slices_log2: u32, way: &QuotientShape) -> u64 {
        let column = self.column();
        let at_once = columns_at_once() as u64;
        // What rounds work with, besides columns: scalars of a multi-scalar multiplication and its digits, transforms.
        let stages = way.stages(slices_log2);
        let cosets = self.pieces * stages.rotations + 1;
        let transforms = (TRANSFORM_POINT_BYTES * self.rows * cosets).min(TRANSFORM_BYTES_MAX);
        let fixed = FIXED_BYTES + transforms + self.mapped_bytes;
        let tools = 2 * at_once * column;
        let rows = self.advice_bytes + SMALL_BYTES * self.rows * self.multiplicities + self.instance * column;
        let first = self.advice + self.multiplicities;
        let brought = self.instance + self.committed + self.fixed_without_coefficients;
        let (held_first, held_helpers, held_brought, combinations) = match holding {
            Holding::Memory => {
                (first * column, self.helpers * column, brought * column, way.combinations * column)
            }
            Holding::Disk => (0, 0, 0, 0),
            Holding::Rows => (0, self.helpers * column, 0, way.combinations * column),
        };
        let phases = rows + held_brought + held_first + tools + at_once * column;
        let lookup = rows + held_brought + held_first + held_helpers + (2 * at_once + 4) * column + tools;
        // From here on only what is held as rows keeps them.
        let kept = match holding {
            Holding::Rows => rows,
            Holding::Memory | Holding::Disk => self.instance * column,
        };
        let held = kept + held_brought + held_first + held_helpers;
        let slice = column >> slices_log2;
        let evaluating = (stages.live + 3) * slice + 2 * at_once * slice;
        let staged = if way.stage_columns.is_some() { stages.made_max * column } else { 0 };
        let making = if holding == Holding::Memory { 0 } else { 2 * at_once * column };
        let joining = if slices_log2 == 0 { column } else { 4 * column };
        let sums = held + combinations + self.pieces * column;
        let quotient = sums + (staged + making + evaluating).max(joining);
        let assembling = held + (2 * self.pieces + 2) * column + tools;
        let opening = held + (self.pieces + 2 * self.point_sets + 2) * column + tools;
        let peak = [phases, lookup, quotient, assembling, opening].into_iter().max().unwrap_or(0);
        // What the allocator keeps beside: on proofs of some GiB, measured, up to an eighth.
        fixed + peak + peak / 7
    }
}

/// Bytes of a column that lies in a file that is used in place.
fn mapped_bytes(column: &ColumnValues) -> u64 {
    match column {
        HostData::Small(values) if values.is_lent() => SMALL_BYTES * values.len() as u64,
        HostData::Full(values) if values.is_lent() => ELEMENT_BYTES * values.len() as u64,
        _ => 0,
    }
}

/// Numbers in place of challenges, where only the shape of constraints is of interest: all different, so that nothing
/// cancels.
pub(super) fn placeholder(count: usize) -> (Challenges, Fr) {
    let number = |i: usize| Fr::GENERATOR.pow([i as u64 + 3]);
    let mut challenges = Challenges::placeholder(count);
    challenges.circuit.iter_mut().enumerate().for_each(|(i, challenge)| *challenge = number(2 * i + 9));
    challenges.theta = number(0);
    challenges.gamma = number(1);
    challenges.beta = number(2);
    challenges.delta = number(3);
    (challenges, number(5))
}

/// The most inputs that must be there at the same time if each is made when the first program reads it and let go after
/// the last.
fn live_at_once(programs: &[Compiled]) -> usize {
    let mut spans: BTreeMap<Input, (usize, usize)> = BTreeMap::new();
    for (at, program) in programs.iter().enumerate() {
        for input in &program.inputs {
            spans.entry(*input).or_insert((at, at)).1 = at;
        }
    }
    let live = |at: usize| spans.values().filter(|(first, last)| (*first..=*last).contains(&at)).count();
    (0..programs.len()).map(live).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(slowness: u64, peak_bytes: u64) -> MemoryPlan {
        MemoryPlan { slowness, peak_bytes, ..MemoryPlan::default() }
    }

    #[test]
    fn the_fastest_way_within_the_bound_is_chosen_or_the_smallest_bound_named() {
        let options = [option(16, 100), option(20, 50), option(24, 70), option(34, 60)];
        for (bound, expected) in [(100, 100), (99, 50), (1000, 100), (50, 50)] {
            assert_eq!(MemoryPlan::choose(&options, bound).unwrap().peak_bytes(), expected, "{bound}");
        }
        let error = MemoryPlan::choose(&options, 49).unwrap_err();
        assert!(matches!(error, ProveError::Memory { expected: 50, got: 49 }));
    }
}
