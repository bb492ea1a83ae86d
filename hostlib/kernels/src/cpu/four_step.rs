//! Transforms over [`Lanes`]: the four-step method (Bailey 1990), natural order in and out.
//!
//! The n inputs are a matrix of R rows and C columns, element (r, c) at r·C + c; output k₁ + R·k₂ is
//! Σ_c (s·ω_n^k₁·ω_C^k₂)^c · Σ_r (s^C·ω_R^k₁)^r·v[r·C + c]. So each column is evaluated on a coset of shift s^C, and then
//! each row k₁ of the result on a coset of its own shift, s·ω_n^k₁: neither the coset nor the twiddles between the
//! steps cost a multiplication. Lanes are neighbouring columns, then neighbouring rows, so that memory is read and
//! written in runs, and each short transform stays in the cache. Turning the order of bits costs nothing here, as it is
//! done while a short transform is read, so that there is no order-free variant to be had for less.

use std::sync::Mutex;

use ark_bn254::Fr;
use ark_ff::{FftField, Field, One, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::GRAIN;
use super::lanes::{Job, Lanes};
use super::prefetch::prefetch;
use crate::large_pages::zeros;
use crate::vector::lock;

/// Groups of columns or rows that a thread takes at least.
const GROUPS_MIN: usize = 4;

/// Values of a short transform whose layers are done before others are begun: they stay in a first-level cache.
const BLOCK: usize = 64;

/// How many runs ahead memory is asked for: runs are far apart, so the processor does not see them coming.
const AHEAD: usize = 16;

/// The factors of transforms on one coset.
///
/// Both tables are by layers: entry h + j, j < h, h a power of two, is ω_{2h}^j times the shift to the power N/(2h), N
/// being R or C.
pub(super) struct Plan<L: Lanes> {
    pub(super) lanes: L,
    rows: usize,
    columns: usize,
    /// R entries for the columns, which have one shift.
    column_factors: Vec<L::Factor>,
    /// C entries for each group of rows.
    row_factors: Vec<L::Stored>,
    /// Wiped memory for what lies between the steps: fresh pages cost about as much as the arithmetic.
    spare: Mutex<Vec<Vec<Fr>>>,
}

impl<L: Lanes> Plan<L> {
    /// The shortest transform that fills the lanes both ways.
    pub(super) const LOG_N_MIN: u32 = 2 * L::WIDTH.ilog2();

    /// For 2^log_n points, log_n ≥ [`LOG_N_MIN`](Plan::LOG_N_MIN), on `shift`·H.
    pub(super) fn new(lanes: L, log_n: u32, shift: Fr) -> Plan<L> {
        let (rows, columns) = (1usize << (log_n / 2), 1usize << (log_n - log_n / 2));
        let plain: Vec<L::Factor> = layers::<L>(columns, Fr::one());
        let root = root_of_unity(1 << log_n);
        let mut row_factors = vec![L::ZERO; rows / L::WIDTH * columns];
        row_factors.par_chunks_mut(columns).with_min_len(GROUPS_MIN).enumerate().for_each(|(group, out)| {
            let mut shift = shift * root.pow([(group * L::WIDTH) as u64]);
            let mut shifts = L::repeat(Fr::zero());
            for element in L::elements(&mut shifts) {
                *element = shift;
                shift *= root;
            }
            lanes.run(RowLayers { shifts, plain: &plain, out });
        });
        let column_factors = layers::<L>(rows, shift.pow([columns as u64]));
        Plan { lanes, rows, columns, column_factors, row_factors, spare: Mutex::default() }
    }

    /// `scale·Σ_i v[i]·(shift·ω^k)^i` for each k. There may be fewer values than points: what is missing is zero.
    pub(super) fn transform(&self, v: &[Fr], scale: Fr) -> Vec<Fr> {
        let (rows, columns) = (self.rows, self.columns);
        let n = rows * columns;
        let mut tail = L::repeat(Fr::zero());
        let whole = L::runs(v);
        let halved = v.len() <= n / 2;
        let rest = &v[whole.len() * L::WIDTH..];
        L::elements(&mut tail)[..rest.len()].copy_from_slice(rest);
        // By groups of columns, rows within, and the columns of the group within.
        let spare = lock(&self.spare).pop();
        let mut between = spare.unwrap_or_else(|| zeros(n));
        between.par_chunks_mut(rows * L::WIDTH).with_min_len(GROUPS_MIN).enumerate().for_each_init(
            || Work::<L>::new(rows),
            |Work(work), (group, out)| {
                self.lanes.run(Columns { plan: self, whole, tail: &tail, halved, group, work, out })
            },
        );
        let mut out = zeros(n);
        let groups = rows / L::WIDTH;
        let mut places: Vec<Vec<&mut L::Run>> = (0..groups).map(|_| Vec::with_capacity(columns)).collect();
        for (at, run) in L::runs_mut(&mut out).iter_mut().enumerate() {
            places[at % groups].push(run);
        }
        let scale = L::factor(scale);
        places.into_par_iter().with_min_len(GROUPS_MIN).enumerate().for_each_init(
            || Work::<L>::new(columns),
            |Work(work), (group, out)| {
                let between = L::runs(&between);
                self.lanes.run(Rows { plan: self, between, group, scale: &scale, work, out });
            },
        );
        // The values may be a witness.
        wipe(&mut between);
        L::elements(&mut tail).iter_mut().zeroize();
        lock(&self.spare).push(between);
        out
    }
}

/// Wipes values, by all threads.
pub(super) fn wipe(values: &mut [Fr]) {
    values.par_chunks_mut(GRAIN).for_each(|values| values.iter_mut().zeroize());
}

/// Values of short transforms; wiped at the end, as they may be a witness's.
struct Work<L: Lanes>(Vec<L::Stored>);

impl<L: Lanes> Work<L> {
    fn new(len: usize) -> Work<L> {
        Work(vec![L::ZERO; len])
    }
}

impl<L: Lanes> Drop for Work<L> {
    fn drop(&mut self) {
        self.0.fill(L::ZERO);
        // Without this, writing what is never read may be left out.
        std::hint::black_box(&mut self.0);
    }
}

fn root_of_unity(n: usize) -> Fr {
    // Domains are powers of two up to 2^28, which all exist in this field.
    Fr::get_root_of_unity(n as u64).unwrap_or_else(Fr::one)
}

/// The table of `n` entries for one shift.
fn layers<L: Lanes>(n: usize, shift: Fr) -> Vec<L::Factor> {
    let mut table = vec![L::factor(Fr::one()); n];
    let mut power = shift;
    let mut h = n / 2;
    while h > 0 {
        let root = root_of_unity(2 * h);
        let mut twiddle = power;
        for out in &mut table[h..2 * h] {
            *out = L::factor(twiddle);
            twiddle *= root;
        }
        power.square_in_place();
        h /= 2;
    }
    table
}

/// Makes the table of one shift per lane, from that of shift one.
struct RowLayers<'a, L: Lanes> {
    shifts: L::Run,
    plain: &'a [L::Factor],
    out: &'a mut [L::Stored],
}

impl<L: Lanes> Job<L> for RowLayers<'_, L> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let mut power = L::ZERO;
        lanes.load_factors(&self.shifts, &mut power);
        let mut h = self.out.len() / 2;
        while h > 0 {
            for (out, plain) in self.out[h..2 * h].iter_mut().zip(&self.plain[h..2 * h]) {
                lanes.scaled(&power, plain, out);
            }
            let root = power;
            lanes.product(&root, &root, &mut power);
            h /= 2;
        }
    }
}

/// The first step for a group of columns: transforms, and gives them turned, the group's rows next to each other.
struct Columns<'a, L: Lanes> {
    plan: &'a Plan<L>,
    /// The values, and what is left of them, filled up with zeros.
    whole: &'a [L::Run],
    tail: &'a L::Run,
    /// Whether all values are in the lower half of the rows.
    halved: bool,
    group: usize,
    work: &'a mut [L::Stored],
    out: &'a mut [Fr],
}

impl<L: Lanes> Job<L> for Columns<'_, L> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let plan = self.plan;
        let runs_per_row = plan.columns / L::WIDTH;
        let unused = usize::BITS - plan.rows.ilog2();
        let run = |at: usize| (at.reverse_bits() >> unused) * runs_per_row + self.group;
        for (at, work) in self.work.iter_mut().enumerate() {
            // Where the upper half of the rows is zero, the first layer gives each lower value twice.
            if self.halved && at % 2 == 1 {
                continue;
            }
            if let Some(ahead) = self.whole.get(run(at + AHEAD)).filter(|_| at + AHEAD < plan.rows) {
                prefetch(ahead);
            }
            match (self.whole.get(run(at)), run(at) == self.whole.len()) {
                (Some(values), _) => lanes.load(values, work),
                (None, true) => lanes.load(self.tail, work),
                (None, false) => *work = L::ZERO,
            }
        }
        if self.halved {
            for pair in self.work.chunks_exact_mut(2) {
                pair[1] = pair[0];
            }
        }
        run_layers(lanes, self.work, if self.halved { 2 } else { 1 }, Twiddles::Same(&plan.column_factors));
        let mut run = L::repeat(Fr::zero());
        let tiles = self.out.chunks_exact_mut(L::WIDTH * L::WIDTH).zip(self.work.chunks_exact(L::WIDTH));
        for (tile, work) in tiles {
            for (row, work) in work.iter().enumerate() {
                lanes.store(work, &mut run);
                for (column, x) in L::elements(&mut run).iter().enumerate() {
                    tile[column * L::WIDTH + row] = *x;
                }
            }
        }
    }
}

/// The second step for a group of rows.
struct Rows<'a, L: Lanes> {
    plan: &'a Plan<L>,
    between: &'a [L::Run],
    group: usize,
    scale: &'a L::Factor,
    work: &'a mut [L::Stored],
    out: Vec<&'a mut L::Run>,
}

impl<L: Lanes> Job<L> for Rows<'_, L> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let plan = self.plan;
        let unused = usize::BITS - plan.columns.ilog2();
        for (at, work) in self.work.iter_mut().enumerate() {
            let run = |at: usize| {
                let column = at.reverse_bits() >> unused;
                let tile = column / L::WIDTH * (plan.rows / L::WIDTH) + self.group;
                &self.between[tile * L::WIDTH + column % L::WIDTH]
            };
            if at + AHEAD < plan.columns {
                prefetch(run(at + AHEAD));
            }
            lanes.load(run(at), work);
        }
        let factors = &plan.row_factors[self.group * plan.columns..][..plan.columns];
        run_layers(lanes, self.work, 1, Twiddles::Each(factors));
        for (out, work) in self.out.into_iter().zip(self.work.iter()) {
            lanes.store_scaled(work, self.scale, out);
        }
    }
}

/// What the butterflies of a short transform multiply by.
#[derive(Clone, Copy)]
enum Twiddles<'a, L: Lanes> {
    /// One factor for all lanes.
    Same(&'a [L::Factor]),
    /// A factor for each lane.
    Each(&'a [L::Stored]),
}

/// Decimation in time (Cooley and Tukey 1965) from bit-reversed order, from the layer of `first` pairs on.
#[inline(always)]
fn run_layers<L: Lanes>(lanes: L, v: &mut [L::Stored], first: usize, twiddles: Twiddles<'_, L>) {
    let block = BLOCK.min(v.len());
    for v in v.chunks_exact_mut(block) {
        run_layers_from(lanes, v, first, twiddles);
    }
    run_layers_from(lanes, v, block, twiddles);
}

/// The layers from that of `first` pairs on.
#[inline(always)]
fn run_layers_from<L: Lanes>(lanes: L, v: &mut [L::Stored], first: usize, twiddles: Twiddles<'_, L>) {
    let mut h = first;
    while h < v.len() {
        let layer = h.ilog2();
        for block in v.chunks_exact_mut(2 * h) {
            let (low, high) = block.split_at_mut(h);
            let pairs = low.iter_mut().zip(high);
            match twiddles {
                Twiddles::Same(factors) => {
                    for ((low, high), factor) in pairs.zip(&factors[h..2 * h]) {
                        lanes.butterfly_by(layer, low, high, factor);
                    }
                }
                Twiddles::Each(factors) => {
                    for ((low, high), factor) in pairs.zip(&factors[h..2 * h]) {
                        lanes.butterfly(layer, low, high, factor);
                    }
                }
            }
        }
        h *= 2;
    }
}
