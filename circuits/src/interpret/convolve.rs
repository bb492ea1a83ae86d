//! Convolutions of integers.
//!
//! Where it pays, as products of matrices of doubles (the unfolded image times the kernel): exact, because
//! `Σ |weight| · max |pixel| < 2^53` is checked first, so that no partial sum is ever rounded. Else tap by tap.

use std::num::NonZero;
use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use zeroize::Zeroizing;

use crate::graph::ConvGeometry;

/// A (C,H,W) tensor.
pub(super) struct Image<'a> {
    pub values: &'a [i32],
    pub shape: &'a [usize],
}

/// A (O, C/groups, KH, KW) kernel.
pub(super) struct Kernel<'a> {
    pub values: &'a [i32],
    pub shape: &'a [usize],
    pub bias: Option<&'a [i32]>,
}

/// Output channels of one group, from which products of matrices are faster than walking the taps.
const CHANNELS_MIN: usize = 4;
/// Elements of an unfolded piece of the image: it should stay in the processor's cache.
const UNFOLDED: usize = 1 << 18;
/// Doubles below this are exact integers.
const EXACT: u64 = 1 << 53;

/// `z`, `len` values of (O, OH, OW).
pub(super) fn convolve(
    image: &Image<'_>,
    kernel: &Kernel<'_>,
    geometry: &ConvGeometry,
    len: usize,
) -> Vec<i64> {
    let size = (image.shape[1], image.shape[2]);
    let Some(output) = geometry.output(size, (kernel.shape[2], kernel.shape[3])) else { return Vec::new() };
    let (outputs, plane) = (kernel.shape[0], (output.0 * output.1).max(1));
    let mut z = vec![0i64; len];
    for (o, z) in z.chunks_exact_mut(plane).enumerate() {
        z.fill(kernel.bias.map_or(0, |bias| i64::from(bias[o])));
    }
    let walk = Walk { image, kernel, geometry, output };
    let of_group = outputs / geometry.groups;
    if of_group < CHANNELS_MIN || !walk.is_exact() {
        for (o, z) in z.chunks_exact_mut(plane).enumerate() {
            walk.taps(o, z);
        }
        return z;
    }
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = of_group.div_ceil(threads.div_ceil(geometry.groups)).max(1);
    let mut work = Vec::new();
    for (group, z) in z.chunks_mut(of_group * plane).enumerate() {
        let shares = z.chunks_mut(share * plane).enumerate();
        work.extend(shares.map(|(index, z)| (group * of_group + index * share, z)));
    }
    let each = work.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for shares in work.chunks_mut(each.max(1)) {
            scope.spawn(|| shares.iter_mut().for_each(|(first, z)| walk.products(*first, z)));
        }
    });
    z
}

struct Walk<'a> {
    image: &'a Image<'a>,
    kernel: &'a Kernel<'a>,
    geometry: &'a ConvGeometry,
    /// (height, width)
    output: (usize, usize),
}

impl Walk<'_> {
    fn fan_in(&self) -> usize {
        self.kernel.shape[1..].iter().product()
    }

    /// Whether doubles hold every sum of some of the products.
    fn is_exact(&self) -> bool {
        let largest = self.image.values.iter().map(|x| u64::from(x.unsigned_abs())).max().unwrap_or(0);
        let sum = |row: &[i32]| row.iter().map(|w| u64::from(w.unsigned_abs())).sum::<u64>();
        let weights = self.kernel.values.chunks(self.fan_in().max(1)).map(sum).max().unwrap_or(0);
        weights.checked_mul(largest).is_some_and(|sum| sum < EXACT)
    }

    fn first_channel(&self, o: usize) -> usize {
        o / (self.kernel.shape[0] / self.geometry.groups) * self.kernel.shape[1]
    }

    /// (channel of the group, row, column) of a tap.
    fn tap(&self, tap: usize) -> (usize, usize, usize) {
        let (height, width) = (self.kernel.shape[2], self.kernel.shape[3]);
        (tap / (height * width), tap / width % height, tap % width)
    }

    /// The image's row that output row `y` reads through kernel row `tap`, if it is not padding.
    fn row(&self, y: usize, tap: usize) -> Option<usize> {
        let (stride, dilation, pad) =
            (self.geometry.stride.0, self.geometry.dilation.0, self.geometry.pads.0);
        (y * stride + tap * dilation).checked_sub(pad).filter(|row| *row < self.image.shape[1])
    }

    fn column(&self, x: usize, tap: usize) -> Option<usize> {
        let (stride, dilation, pad) =
            (self.geometry.stride.1, self.geometry.dilation.1, self.geometry.pads.1);
        (x * stride + tap * dilation).checked_sub(pad).filter(|column| *column < self.image.shape[2])
    }

    fn line(&self, channel: usize, row: usize) -> &[i32] {
        let (height, width) = (self.image.shape[1], self.image.shape[2]);
        &self.image.values[(channel * height + row) * width..][..width]
    }

    /// Adds output channel `o` to `z`, tap by tap.
    fn taps(&self, o: usize, z: &mut [i64]) {
        let fan_in = self.fan_in();
        for tap in 0..fan_in {
            let (channel, tap_row, tap_column) = self.tap(tap);
            let weight = i64::from(self.kernel.values[o * fan_in + tap]);
            for (y, z) in z.chunks_exact_mut(self.output.1.max(1)).enumerate() {
                let Some(row) = self.row(y, tap_row) else { continue };
                let line = self.line(self.first_channel(o) + channel, row);
                for (x, z) in z.iter_mut().enumerate() {
                    if let Some(column) = self.column(x, tap_column) {
                        *z += weight * i64::from(line[column]);
                    }
                }
            }
        }
    }

    /// Adds the output channels from `first` on, of one group, to `z`.
    fn products(&self, first: usize, z: &mut [i64]) {
        let (fan_in, (height, width)) = (self.fan_in(), self.output);
        let channels = z.len() / (height * width).max(1);
        let weights = self.kernel.values[first * fan_in..][..channels * fan_in].iter();
        let weights = Zeroizing::new(weights.map(|w| f64::from(*w)).collect::<Vec<_>>());
        let lines = (UNFOLDED / (fan_in * width).max(1)).max(1);
        let mut unfolded = Zeroizing::new(vec![0.0; fan_in * lines.min(height) * width]);
        let mut product = Zeroizing::new(vec![0.0; channels * lines.min(height) * width]);
        for start in (0..height).step_by(lines) {
            let rows = start..(start + lines).min(height);
            let columns = rows.len() * width;
            self.unfold(self.first_channel(first), rows, &mut unfolded);
            let product = &mut product[..channels * columns];
            let views = (
                ArrayView2::from_shape((channels, fan_in), &weights),
                ArrayView2::from_shape((fan_in, columns), &unfolded[..fan_in * columns]),
                ArrayViewMut2::from_shape((channels, columns), &mut *product),
            );
            // The sizes are those of the vectors.
            let (Ok(weights), Ok(unfolded), Ok(mut result)) = views else { return };
            general_mat_mul(1.0, &weights, &unfolded, 0.0, &mut result);
            for (z, product) in z.chunks_exact_mut(height * width).zip(product.chunks_exact(columns)) {
                for (z, product) in z[start * width..][..columns].iter_mut().zip(product) {
                    *z += *product as i64;
                }
            }
        }
    }

    /// For each tap, what every output position of some output rows reads through it.
    fn unfold(&self, first_channel: usize, rows: Range<usize>, unfolded: &mut [f64]) {
        let width = self.output.1;
        for (tap, into) in unfolded.chunks_exact_mut(rows.len() * width).take(self.fan_in()).enumerate() {
            let (channel, tap_row, tap_column) = self.tap(tap);
            for (y, into) in rows.clone().zip(into.chunks_exact_mut(width)) {
                let Some(row) = self.row(y, tap_row) else {
                    into.fill(0.0);
                    continue;
                };
                let line = self.line(first_channel + channel, row);
                for (x, into) in into.iter_mut().enumerate() {
                    *into = self.column(x, tap_column).map_or(0.0, |column| f64::from(line[column]));
                }
            }
        }
    }
}
