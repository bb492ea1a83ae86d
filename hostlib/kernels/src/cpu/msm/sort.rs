//! Brings points into the order of their buckets: a counting sort of references, for all digits of all columns at once.

use std::hint::select_unpredictable;
use std::sync::atomic::{AtomicU32, Ordering};

use ark_bn254::Fr;
use rayon::prelude::*;
use zeroize::Zeroize;

use super::accumulate::Sorted;
use super::digits;
use super::entries::{Entry, List};
use super::shape::{Kind, Shape};

/// The scalars of one column.
#[derive(Clone, Copy)]
pub(super) enum Scalars<'a> {
    /// Any.
    Full(&'a [Fr]),
    /// Small ones.
    Small(&'a [i32]),
    /// Larger ones, at most 63 bits long.
    Long(&'a [i64]),
}

/// A column and where its sums go.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) scalars: Scalars<'a>,
    pub(super) shape: Shape,
    /// Its first bucket; those of one digit follow those of the digit below.
    pub(super) first_bucket: usize,
}

/// Where the points to be sorted are in the list that entries point into.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first of them.
    pub(super) first: usize,
    /// From one table of multiples to the next.
    pub(super) table: usize,
}

/// Fewer points than this are not shared out.
pub(super) const PIECE_MIN: usize = 1 << 12;

/// The digits of a piece of the points.
struct Piece {
    /// Where it starts.
    first: usize,
    len: usize,
    /// By column, half and window.
    digits: Vec<i16>,
    /// How many entries go to each bucket; then, where the next of them goes.
    counts: Vec<u32>,
}

/// Sorts as many points by bucket, for the scalars of each column from `first` on, on as many threads.
pub(super) fn sort(
    columns: &[Column<'_>],
    points: usize,
    first: usize,
    place: Place,
    buckets: usize,
    threads: usize,
) -> Sorted {
    let pieces = threads.min(points / PIECE_MIN).max(1);
    let mut pieces: Vec<Piece> = (0..pieces)
        .into_par_iter()
        .map(|piece| {
            let (start, end) = (piece * points / pieces, (piece + 1) * points / pieces);
            Piece::new(columns, end - start, first, start, buckets)
        })
        .collect();
    let (mut ends, mut total) = (Vec::with_capacity(buckets), 0);
    for bucket in 0..buckets {
        for piece in &mut pieces {
            let count = std::mem::replace(&mut piece.counts[bucket], total);
            total += count;
        }
        ends.push(total);
    }
    // One more, for what goes nowhere.
    let order: Vec<AtomicU32> = (0..=total).map(|_| AtomicU32::new(0)).collect();
    pieces.par_iter_mut().for_each(|piece| piece.place(columns, place, total, &order));
    Sorted { order, ends }
}

/// The bucket of a digit. Zeros have none, but are many or few and come anywhere, so that a branch would be guessed wrong
/// often: they get any, to add nothing to. Were it always the same, each would wait until the last one had been written.
fn bucket_of(digit: i16, i: usize, buckets: usize) -> usize {
    let any = i & ((buckets / 2).next_power_of_two() - 1);
    select_unpredictable(digit == 0, any, usize::from(digit.unsigned_abs()).wrapping_sub(1))
}

impl Piece {
    fn new(columns: &[Column<'_>], len: usize, first: usize, start: usize, buckets: usize) -> Piece {
        let streams: usize = columns.iter().map(|column| column.shape.streams()).sum();
        let mut piece = Piece { first: start, len, digits: vec![0; streams * len], counts: vec![0; buckets] };
        let mut rest = piece.digits.as_mut_slice();
        for column in columns {
            let (streams, others) = std::mem::take(&mut rest).split_at_mut(column.shape.streams() * len);
            column.cut(first + start, len, streams);
            for (stream, digits) in streams.chunks_exact_mut(len.max(1)).enumerate() {
                let counts = &mut piece.counts[column.buckets_of(stream)];
                for (i, &digit) in digits.iter().enumerate() {
                    counts[bucket_of(digit, i, counts.len())] += u32::from(digit != 0);
                }
            }
            rest = others;
        }
        piece
    }

    /// Writes the entries where they belong.
    fn place(&mut self, columns: &[Column<'_>], place: Place, nowhere: u32, order: &[AtomicU32]) {
        let mut rest = self.digits.as_slice();
        for column in columns {
            let (streams, others) = rest.split_at(column.shape.streams() * self.len);
            for (stream, digits) in streams.chunks_exact(self.len.max(1)).enumerate() {
                let (list, first) = column.source_of(stream, place);
                let places = &mut self.counts[column.buckets_of(stream)];
                for (i, &digit) in digits.iter().enumerate() {
                    let zero = digit == 0;
                    let bucket = bucket_of(digit, i, places.len());
                    let place = select_unpredictable(zero, nowhere, places[bucket]);
                    let entry = Entry::new(list, first + self.first + i).signed(digit < 0);
                    order[place as usize].store(entry.0, Ordering::Relaxed);
                    places[bucket] += u32::from(!zero);
                }
            }
            rest = others;
        }
        // The scalars may be secret.
        self.digits.zeroize();
    }
}

impl Column<'_> {
    /// The buckets of a stream of digits.
    fn buckets_of(&self, stream: usize) -> std::ops::Range<usize> {
        let set = stream % self.shape.sets();
        let first = self.first_bucket + set * self.shape.buckets;
        first..first + self.shape.buckets
    }

    /// Where the points of a stream of digits begin.
    fn source_of(&self, stream: usize, place: Place) -> (List, usize) {
        match self.shape.kind {
            Kind::Multiples => (List::Bases, place.first + stream / self.shape.sets() * place.table),
            Kind::Halves if stream >= self.shape.sets() => (List::Images, 0),
            _ => (List::Bases, place.first),
        }
    }

    /// Writes the digits of scalars `first..first + len`, by half and window.
    fn cut(&self, first: usize, len: usize, out: &mut [i16]) {
        let Shape { window_bits: bits, windows, .. } = self.shape;
        let windows = windows as usize;
        let mut cut = |i: usize, half: usize, k: i128| {
            digits::digits(
                k,
                bits,
                |window, digit| out[(half * windows + window) * len + i] = digit,
                windows,
            );
        };
        match self.scalars {
            Scalars::Full(scalars) if self.shape.kind == Kind::Multiples => {
                for (i, scalar) in scalars[first..first + len].iter().enumerate() {
                    digits::whole(scalar, |window, digit| out[window * len + i] = digit);
                }
            }
            Scalars::Full(scalars) => {
                for (i, scalar) in scalars[first..first + len].iter().enumerate() {
                    for (half, k) in digits::split(scalar).into_iter().enumerate() {
                        cut(i, half, k);
                    }
                }
            }
            Scalars::Small(scalars) if windows == 1 => {
                for (out, &scalar) in out.iter_mut().zip(&scalars[first..first + len]) {
                    *out = scalar as i16;
                }
            }
            Scalars::Small(scalars) => {
                scalars[first..first + len].iter().enumerate().for_each(|(i, &k)| cut(i, 0, i128::from(k)));
            }
            Scalars::Long(scalars) => {
                scalars[first..first + len].iter().enumerate().for_each(|(i, &k)| cut(i, 0, i128::from(k)));
            }
        }
    }
}
