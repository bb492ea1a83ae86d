//! Transforms of eight columns at a time: the four-step method (Bailey 1990), natural order in and out.
//!
//! The n inputs are a matrix of R rows and C columns, element (r, c) at r·C + c; output k₁ + R·k₂ is
//! Σ_c (s·ω_n^k₁·ω_C^k₂)^c · Σ_r (s^C·ω_R^k₁)^r·v[r·C + c]. So each column is evaluated on a coset of shift s^C, and then
//! each row k₁ of the result on a coset of its own shift, s·ω_n^k₁: neither the coset nor the twiddles between the
//! steps cost a multiplication. Lanes are eight neighbouring columns, then eight neighbouring rows, so that memory is
//! read and written in runs of eight elements, and each short transform stays in the cache.

use std::sync::Mutex;

use ark_bn254::Fr;
use ark_ff::{FftField, Field, One, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::*;
use crate::vector::lock;

/// Domains below 2^6 points do not fill the lanes both ways.
pub(in crate::cpu) const LOG_N_MIN: u32 = 6;

/// Groups of eight columns or rows that a thread takes at least.
const GROUPS_MIN: usize = 4;

/// The factors of transforms on one coset.
///
/// Both tables are by layers: entry h + j, j < h, h a power of two, is ω_{2h}^j times the shift to the power N/(2h), N
/// being R or C.
pub(in crate::cpu) struct Plan {
    ifma: Ifma,
    rows: usize,
    columns: usize,
    /// R entries for the columns, which have one shift.
    column_factors: Vec<Limbs>,
    /// C entries for each group of eight rows.
    row_factors: Vec<Stored>,
    /// Wiped memory for what lies between the steps: fresh pages cost about as much as the arithmetic.
    spare: Mutex<Vec<Vec<Fr>>>,
}

impl Plan {
    /// For 2^log_n points, log_n ≥ [`LOG_N_MIN`], on `shift`·H.
    pub(in crate::cpu) fn new(ifma: Ifma, log_n: u32, shift: Fr) -> Plan {
        let (rows, columns) = (1usize << (log_n / 2), 1usize << (log_n - log_n / 2));
        let plain = layers(columns, Fr::one());
        let root = root_of_unity(1 << log_n);
        let mut row_factors = vec![[[0; LANES]; 5]; rows / LANES * columns];
        row_factors.par_chunks_mut(columns).with_min_len(GROUPS_MIN).enumerate().for_each(|(group, out)| {
            let first = shift * root.pow([(group * LANES) as u64]);
            let mut shifts = [first; LANES];
            for lane in 1..LANES {
                shifts[lane] = shifts[lane - 1] * root;
            }
            // SAFETY: an `Ifma` exists only where the features do.
            unsafe { row_layers(&shifts, &plain, out) }
        });
        let column_factors = layers(rows, shift.pow([columns as u64]));
        Plan { ifma, rows, columns, column_factors, row_factors, spare: Mutex::default() }
    }

    /// `scale·Σ_i v[i]·(shift·ω^k)^i` for each k; as many values as points.
    pub(in crate::cpu) fn transform(&self, v: &[Fr], scale: Fr) -> Vec<Fr> {
        let (rows, columns) = (self.rows, self.columns);
        let Ifma(()) = self.ifma;
        // By groups of columns, rows within, and the eight columns of the group within.
        let spare = lock(&self.spare).pop();
        let mut between = spare.unwrap_or_else(|| vec![Fr::zero(); v.len()]);
        between.par_chunks_mut(rows * LANES).with_min_len(GROUPS_MIN).enumerate().for_each_init(
            || vec![[[0; LANES]; 5]; rows],
            // SAFETY: an `Ifma` exists only where the features do.
            |work, (group, out)| unsafe { transform_columns(self, v, group, work, out) },
        );
        let mut out = vec![Fr::zero(); v.len()];
        let mut places: Vec<Vec<&mut [Fr; LANES]>> =
            (0..rows / LANES).map(|_| Vec::with_capacity(columns)).collect();
        let (runs, _) = out.as_chunks_mut();
        for (at, run) in runs.iter_mut().enumerate() {
            places[at % (rows / LANES)].push(run);
        }
        let scale = factor(scale);
        places.into_par_iter().with_min_len(GROUPS_MIN).enumerate().for_each_init(
            || vec![[[0; LANES]; 5]; columns],
            // SAFETY: an `Ifma` exists only where the features do.
            |work, (group, out)| unsafe { transform_rows(self, &between, group, &scale, work, out) },
        );
        // The values may be a witness.
        between.iter_mut().zeroize();
        lock(&self.spare).push(between);
        out
    }
}

fn root_of_unity(n: usize) -> Fr {
    // Domains are powers of two up to 2^28, which all exist in this field.
    Fr::get_root_of_unity(n as u64).unwrap_or_else(Fr::one)
}

/// The table of `n` entries for one shift.
fn layers(n: usize, shift: Fr) -> Vec<Limbs> {
    let mut table = vec![[0; 5]; n];
    let mut power = shift;
    let mut h = n / 2;
    while h > 0 {
        let root = root_of_unity(2 * h);
        let mut twiddle = power;
        for out in &mut table[h..2 * h] {
            *out = factor(twiddle);
            twiddle *= root;
        }
        power.square_in_place();
        h /= 2;
    }
    table
}

/// The table of one shift per lane, from that of shift one.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn row_layers(shifts: &[Fr; LANES], plain: &[Limbs], out: &mut [Stored]) {
    // From the form with 2^256 to that with 2^260.
    let mut power = carry(&mul::<FrConfig>(&load(shifts), &broadcast(&factor(Fr::from(16u64)))));
    let mut h = out.len() / 2;
    while h > 0 {
        for (out, plain) in out[h..2 * h].iter_mut().zip(&plain[h..2 * h]) {
            keep(&canonical::<FrConfig>(&carry(&mul::<FrConfig>(&power, &broadcast(plain)))), out);
        }
        power = carry(&mul::<FrConfig>(&power, &power));
        h /= 2;
    }
}

/// The first step for eight columns: transforms, and gives them turned, eight rows next to each other.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn transform_columns(plan: &Plan, v: &[Fr], group: usize, work: &mut [Stored], out: &mut [Fr]) {
    let (runs, _) = v.as_chunks::<LANES>();
    let runs_per_row = plan.columns / LANES;
    let unused = usize::BITS - plan.rows.ilog2();
    for (at, work) in work.iter_mut().enumerate() {
        let row = at.reverse_bits() >> unused;
        keep(&load(&runs[row * runs_per_row + group]), work);
    }
    run_layers(work, |at| broadcast(&plan.column_factors[at]));
    let mut run = [Fr::zero(); LANES];
    for (tile, work) in out.chunks_exact_mut(LANES * LANES).zip(work.chunks_exact(LANES)) {
        for (row, work) in work.iter().enumerate() {
            store(&canonical::<FrConfig>(&reduce::<FrConfig>(&carry(&fetch(work)))), &mut run);
            for (column, x) in run.iter().enumerate() {
                tile[column * LANES + row] = *x;
            }
        }
    }
}

/// The second step for eight rows.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn transform_rows(
    plan: &Plan,
    between: &[Fr],
    group: usize,
    scale: &Limbs,
    work: &mut [Stored],
    out: Vec<&mut [Fr; LANES]>,
) {
    let (runs, _) = between.as_chunks::<LANES>();
    let unused = usize::BITS - plan.columns.ilog2();
    for (at, work) in work.iter_mut().enumerate() {
        let column = at.reverse_bits() >> unused;
        let tile = column / LANES * (plan.rows / LANES) + group;
        keep(&load(&runs[tile * LANES + column % LANES]), work);
    }
    let factors = &plan.row_factors[group * plan.columns..][..plan.columns];
    run_layers(work, |at| fetch(&factors[at]));
    let scale = broadcast(scale);
    for (out, work) in out.into_iter().zip(work.iter()) {
        let scaled = carry(&mul::<FrConfig>(&carry(&fetch(work)), &scale));
        store(&canonical::<FrConfig>(&scaled), out);
    }
}

/// Decimation in time (Cooley and Tukey 1965) from bit-reversed order. Each layer adds at most 2 to the bound: values
/// begin below 1, there are at most 14 layers, and so no product of a value below 29 is above 29/84 + 1.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn run_layers(v: &mut [Stored], factor: impl Fn(usize) -> Lanes) {
    let mut h = 1;
    while h < v.len() {
        for block in v.chunks_exact_mut(2 * h) {
            let (low, high) = block.split_at_mut(h);
            for (j, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let a = fetch(low);
                let b = mul::<FrConfig>(&carry(&fetch(high)), &factor(h + j));
                keep(&add(&a, &b), low);
                keep(&sub(&add(&a, &broadcast(&Modulus::<FrConfig>::multiple(2))), &b), high);
            }
        }
        h *= 2;
    }
}
