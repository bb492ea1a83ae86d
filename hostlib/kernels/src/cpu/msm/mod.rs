//! Multi-scalar multiplication: Pippenger's bucket method (1976) with signed digits, for several columns of scalars over
//! the same points at once.
//!
//! Scalars are cut into digits ([`digits`], [`shape`]); points are sorted by bucket ([`sort`]), added up by bucket in
//! affine coordinates with shared inversions ([`accumulate`], [`additions`]), and the buckets are weighed ([`weigh`]). Runs of equal scalars are merged before ([`runs`]).
//!
//! All of it takes time that depends on the scalars.

mod accumulate;
mod additions;
mod digits;
mod entries;
mod runs;
mod shape;
mod sort;
mod weigh;

use ark_bn254::{Fr, G1Affine, G1Projective, g1};
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Zero;
use rayon::prelude::*;
use zeroize::Zeroize;

pub(super) use additions::{Special, add_pairs};
pub(super) use entries::{Entry, Lists};

use self::shape::{Kind, Shape};
use self::sort::{Column, Place, Scalars};
use crate::cpu::Features;
use crate::error::KernelFailure;
use crate::host::Points;
use crate::host_data::HostData;
use crate::kernel::{ScalarBound, bound_violated, small_magnitude_vartime};

/// Points that are sorted at a time: they stay in a cache, and what tells their addresses too.
const BLOCK: usize = 1 << 16;

/// Digits of columns that are sorted together: memory for six bytes a point each is taken for as long.
const STREAMS_MAX: usize = 32;

/// Σ v[i]·points[i] for each v, all of which are as long as `points.own`.
pub(super) fn msms_vartime(
    features: Features,
    points: Points<'_>,
    columns: &[(&HostData, ScalarBound)],
) -> Vec<Result<G1Affine, KernelFailure>> {
    let (mut owned, mut failed) = (Vec::new(), Vec::new());
    for (at, &(v, bound)) in columns.iter().enumerate() {
        match check(v, bound).and_then(|()| long(v, bound)) {
            Ok(long) => owned.push((v, long)),
            Err(failure) => failed.push((at, failure)),
        }
    }
    let mut sums = vec![G1Projective::zero(); owned.len()];
    let mut batch = Batch { features, points, places: Vec::new(), columns: Vec::new() };
    for (place, (v, long)) in owned.iter().enumerate() {
        let (scalars, shape) = shape_of(v, long.as_deref(), points.multiples.is_some());
        if let Scalars::Full(scalars) = scalars
            && let Some(merged) = runs::merge(features, scalars, points.own)
        {
            sums[place] = sum_merged(features, merged);
            continue;
        }
        batch.places.push(place);
        batch.columns.push((scalars, shape));
        if batch.columns.iter().map(|(_, shape)| shape.streams()).sum::<usize>() >= STREAMS_MAX {
            batch.finish(&mut sums);
        }
    }
    batch.finish(&mut sums);
    // They may be secret.
    owned.iter_mut().filter_map(|(_, long)| long.as_mut()).for_each(Zeroize::zeroize);
    let mut results: Vec<_> = G1Projective::normalize_batch(&sums).into_iter().map(Ok).collect();
    failed.into_iter().for_each(|(at, failure)| results.insert(at, Err(failure)));
    results
}

/// Columns that are summed together.
struct Batch<'a> {
    features: Features,
    points: Points<'a>,
    /// Where each column's sum belongs.
    places: Vec<usize>,
    columns: Vec<(Scalars<'a>, Shape)>,
}

impl Batch<'_> {
    /// Puts the sums where they belong, and empties the batch.
    fn finish(&mut self, sums: &mut [G1Projective]) {
        let found = sum(self.features, self.points, &std::mem::take(&mut self.columns));
        for (place, sum) in self.places.drain(..).zip(found) {
            sums[place] = sum;
        }
    }
}

/// The sum of scalars and points that are left of a column when equal neighbours are merged.
fn sum_merged(features: Features, (mut scalars, points): (Vec<Fr>, Vec<G1Affine>)) -> G1Projective {
    let sum = sum_of_multiples_vartime(features, &points, &scalars);
    // They may be secret.
    scalars.zeroize();
    sum
}

/// Σ scalars[i]·points[i], for as many of one as of the other.
pub(super) fn sum_of_multiples_vartime(
    features: Features,
    points: &[G1Affine],
    scalars: &[Fr],
) -> G1Projective {
    let column = (Scalars::Full(scalars), Shape::full(scalars.len(), false));
    sum(features, Points { own: points, multiples: None }, &[column]).into_iter().sum()
}

/// Field elements that are small by promise, as integers.
fn long(v: &HostData, bound: ScalarBound) -> Result<Option<Vec<i64>>, KernelFailure> {
    let (HostData::Full(values), ScalarBound::Signed { bits }) = (v, bound) else { return Ok(None) };
    let small = |(i, s)| match small_magnitude_vartime(s, bits) {
        Some((magnitude, true)) => Ok(-(magnitude as i64)),
        Some((magnitude, false)) => Ok(magnitude as i64),
        None => Err(bound_violated(i, bits)),
    };
    // In memory of the right size from the start: a vector that grows would leave copies of what may be secret.
    let mut long = vec![0; values.len()];
    let pairs = long.par_iter_mut().zip(values.par_iter()).with_min_len(1 << 10);
    let done = pairs.enumerate().try_for_each(|(i, (out, scalar))| {
        *out = small((i, scalar))?;
        Ok(())
    });
    if done.is_err() {
        long.zeroize();
    }
    done.map(|()| Some(long))
}

/// Small integers must keep the promise too; of field elements [`long`] finds out.
fn check(v: &HostData, bound: ScalarBound) -> Result<(), KernelFailure> {
    let (HostData::Small(values), ScalarBound::Signed { bits }) = (v, bound) else { return Ok(()) };
    match values.iter().position(|s| u64::from(s.unsigned_abs()) >> bits != 0) {
        Some(at) => Err(bound_violated(at, bits)),
        None => Ok(()),
    }
}

fn shape_of<'a>(v: &'a HostData, long: Option<&'a [i64]>, multiples: bool) -> (Scalars<'a>, Shape) {
    match (v, long) {
        (_, Some(long)) => {
            let range = range(long.iter().copied());
            (Scalars::Long(long), Shape::small(long.len(), range))
        }
        (HostData::Full(values), None) => (Scalars::Full(values), Shape::full(values.len(), multiples)),
        (HostData::Small(values), None) => {
            let range = range(values.iter().map(|&s| i64::from(s)));
            (Scalars::Small(values), Shape::small(values.len(), range))
        }
    }
}

/// The least and the largest.
fn range(values: impl Iterator<Item = i64>) -> [i64; 2] {
    values.fold([0, 0], |[least, most], value| [least.min(value), most.max(value)])
}

/// The sums of columns, whose digits are sorted together.
fn sum(features: Features, points: Points<'_>, shaped: &[(Scalars<'_>, Shape)]) -> Vec<G1Projective> {
    let mut columns = Vec::with_capacity(shaped.len());
    let mut bucket_count = 0;
    for &(scalars, shape) in shaped {
        columns.push(Column { scalars, shape, first_bucket: bucket_count });
        bucket_count += shape.all_buckets();
    }
    let streams: usize = columns.iter().map(|column| column.shape.streams()).sum();
    let threads = apart(points.own.len(), streams, bucket_count);
    let buckets = if threads == 1 {
        let threads = rayon::current_num_threads();
        fill_buckets(features, points, &columns, bucket_count, 0..points.own.len(), threads)
    } else {
        let part = |thread: usize| thread * points.own.len() / threads;
        let parts = (0..threads).into_par_iter().map(|thread| {
            let range = part(thread)..part(thread + 1);
            fill_buckets(features, points, &columns, bucket_count, range, 1)
        });
        let parts = parts.collect::<Vec<_>>();
        let total = |bucket: usize| parts.iter().map(|part| part[bucket]).sum();
        G1Projective::normalize_batch(&(0..bucket_count).map(total).collect::<Vec<G1Projective>>())
    };
    let windows: Vec<usize> =
        columns.iter().flat_map(|Column { shape, .. }| vec![shape.buckets; shape.sets()]).collect();
    let sums = weigh::weigh(features, &buckets, &windows);
    let mut sums = sums.as_slice();
    let mut totals = Vec::with_capacity(columns.len());
    for Column { shape, .. } in &columns {
        let (own, others) = sums.split_at(shape.sets());
        sums = others;
        let mut total = G1Projective::zero();
        for window in own.iter().rev() {
            for _ in 0..shape.window_bits {
                total += total;
            }
            total += window;
        }
        totals.push(total);
    }
    totals
}

/// Into so many ranges of points, each with buckets and a thread of its own, work is cut: 1 if adding up their buckets would cost
/// too much. Threads that need not wait for each other after every block are faster where there is little to do in one.
fn apart(points: usize, streams: usize, buckets: usize) -> usize {
    let threads = rayon::current_num_threads();
    let few_buckets = buckets.saturating_mul(512) <= points.saturating_mul(streams);
    if few_buckets && points / threads >= sort::PIECE_MIN { threads } else { 1 }
}

/// Adds a range of the points to buckets, by block.
fn fill_buckets(
    features: Features,
    points: Points<'_>,
    columns: &[Column<'_>],
    bucket_count: usize,
    range: std::ops::Range<usize>,
    threads: usize,
) -> Vec<G1Affine> {
    let mut buckets = vec![G1Affine::zero(); bucket_count];
    let has = |kind: Kind| columns.iter().any(|column| column.shape.kind == kind);
    for first in range.clone().step_by(BLOCK) {
        let own = &points.own[first..range.end.min(first + BLOCK)];
        let images = if has(Kind::Halves) { images(own) } else { Vec::new() };
        let (list, place) = match points.multiples {
            Some((multiples, offset)) if has(Kind::Multiples) => {
                (multiples.points(), Place { first: offset + first, table: multiples.bases() })
            }
            _ => (own, Place { first: 0, table: 0 }),
        };
        let sorted = sort::sort(columns, own.len(), first, place, bucket_count, threads);
        accumulate::add_to_buckets(features, list, &images, &sorted, &mut buckets, threads);
    }
    buckets
}

/// φ of each point.
fn images(points: &[G1Affine]) -> Vec<G1Affine> {
    points.par_iter().with_min_len(1 << 10).map(g1::Config::endomorphism_affine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_with_buckets_of_their_own_find_the_same_sum() {
        let n = 2 * sort::PIECE_MIN + 3;
        let bases: Vec<G1Projective> =
            (0..n as u64).map(|i| G1Affine::generator() * Fr::from(i % 97)).collect();
        let points = G1Projective::normalize_batch(&bases);
        let scalars: Vec<i32> = (0..n as i32).map(|i| i % 3 - 1).collect();
        let expected: i64 = (0..n as i64).map(|i| (i % 3 - 1) * (i % 97)).sum();
        let column = HostData::small(scalars);
        for threads in [1, 2, 3, 16] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let own = Points { own: &points, multiples: None };
            pool.install(|| {
                assert_eq!(apart(n, 1, 1) > 1, threads == 2, "{threads} threads");
                let bound = ScalarBound::Signed { bits: 1 };
                let sum = msms_vartime(
                    Features::detect(crate::cpu::Instructions::Avx512Ifma),
                    own,
                    &[(&column, bound)],
                )
                .remove(0)
                .unwrap();
                assert_eq!(sum, (G1Affine::generator() * Fr::from(expected)).into_affine());
            });
        }
    }
}
