//! Multi-scalar multiplication: Pippenger's bucket method (1976) with signed digits, for several columns of scalars over
//! the same points at once.
//!
//! Scalars are cut into digits ([`digits`], [`shape`]); points are sorted by bucket ([`sort`]), added up by bucket in
//! affine coordinates with shared inversions ([`accumulate`], [`additions`]), and the buckets are weighed ([`weigh`]).
//!
//! All of it takes time that depends on the scalars.

mod accumulate;
mod additions;
mod digits;
mod entries;
mod shape;
mod sort;
mod weigh;

use ark_bn254::{G1Affine, G1Projective, g1};
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Zero;
use rayon::prelude::*;
use zeroize::Zeroize;

pub(super) use additions::Special;
pub(super) use entries::{Entry, Lists};

use self::shape::Shape;
use self::sort::{Column, Scalars};
use crate::cpu::Features;
use crate::error::KernelFailure;
use crate::host_data::HostData;
use crate::kernel::{ScalarBound, bound_violated, small_magnitude_vartime};

/// Points that are sorted at a time: they, their images and their references stay in a third-level cache.
const BLOCK: usize = 1 << 18;

/// Σ v[i]·points[i]
pub(super) fn msm_vartime(
    features: Features,
    points: &[G1Affine],
    v: &HostData,
    bound: ScalarBound,
) -> Result<G1Affine, KernelFailure> {
    let mut sums = msms_vartime(features, points, &[(v, bound)])?;
    Ok(sums.swap_remove(0))
}

/// Σ v[i]·points[i] for each v, all of which are as long.
pub(super) fn msms_vartime(
    features: Features,
    points: &[G1Affine],
    columns: &[(&HostData, ScalarBound)],
) -> Result<Vec<G1Affine>, KernelFailure> {
    let mut owned = columns.iter().map(|(v, bound)| long(v, *bound)).collect::<Result<Vec<_>, _>>()?;
    let mut shaped = Vec::with_capacity(columns.len());
    let mut buckets = 0;
    for ((v, bound), long) in columns.iter().zip(&owned) {
        let (scalars, shape) = shape_of(v, *bound, long.as_deref())?;
        shaped.push(Column { scalars, shape, first_bucket: buckets });
        buckets += shape.all_buckets();
    }
    let sums = sum(features, points, &shaped, buckets);
    // They may be secret.
    owned.iter_mut().flatten().for_each(Zeroize::zeroize);
    Ok(G1Projective::normalize_batch(&sums))
}

/// Field elements that are small by promise, as integers.
fn long(v: &HostData, bound: ScalarBound) -> Result<Option<Vec<i64>>, KernelFailure> {
    let (HostData::Full(values), ScalarBound::Signed { bits }) = (v, bound) else { return Ok(None) };
    let small = |(i, s)| match small_magnitude_vartime(s, bits) {
        Some((magnitude, true)) => Ok(-(magnitude as i64)),
        Some((magnitude, false)) => Ok(magnitude as i64),
        None => Err(bound_violated(i, bits)),
    };
    values.par_iter().with_min_len(1 << 10).enumerate().map(small).collect::<Result<_, _>>().map(Some)
}

fn shape_of<'a>(
    v: &'a HostData,
    bound: ScalarBound,
    long: Option<&'a [i64]>,
) -> Result<(Scalars<'a>, Shape), KernelFailure> {
    if let Some(long) = long {
        let magnitude = long.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
        return Ok((Scalars::Long(long), Shape::small(long.len(), magnitude)));
    }
    match v {
        HostData::Full(values) => Ok((Scalars::Full(values), Shape::full(values.len()))),
        HostData::Small(values) => {
            let magnitude = values.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
            if let ScalarBound::Signed { bits } = bound
                && u64::from(magnitude) >> bits != 0
            {
                let at = values.iter().position(|s| u64::from(s.unsigned_abs()) >> bits != 0);
                return Err(bound_violated(at.unwrap_or(0), bits));
            }
            Ok((Scalars::Small(values), Shape::small(values.len(), magnitude.into())))
        }
    }
}

fn sum(
    features: Features,
    points: &[G1Affine],
    columns: &[Column<'_>],
    bucket_count: usize,
) -> Vec<G1Projective> {
    let mut buckets = vec![G1Affine::zero(); bucket_count];
    for first in (0..points.len()).step_by(BLOCK) {
        let points = &points[first..points.len().min(first + BLOCK)];
        let images =
            if columns.iter().any(|column| column.shape.halves) { images(points) } else { Vec::new() };
        let sorted = sort::sort(columns, points, first, bucket_count);
        accumulate::add_to_buckets(features, points, &images, &sorted, &mut buckets);
    }
    let windows: Vec<usize> =
        columns.iter().flat_map(|Column { shape, .. }| vec![shape.buckets; shape.windows as usize]).collect();
    let sums = weigh::weigh(features, &buckets, &windows);
    let mut sums = sums.as_slice();
    let mut totals = Vec::with_capacity(columns.len());
    for Column { shape, .. } in columns {
        let (own, others) = sums.split_at(shape.windows as usize);
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

/// φ of each point.
fn images(points: &[G1Affine]) -> Vec<G1Affine> {
    points.par_iter().with_min_len(1 << 10).map(g1::Config::endomorphism_affine).collect()
}
