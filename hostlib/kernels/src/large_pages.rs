//! New vectors, in large pages where the system has them: fewer to be asked for, and a transform, which walks a vector in long steps, need
//! not look up another small page at each.

use std::slice;

use ark_bn254::Fr;
use ark_ff::Zero;
use rayon::prelude::*;

/// Elements that are written at a time: they stay in a cache.
const CHUNK: usize = 4096;

/// From here on a vector holds a large page wherever it begins. \[bytes\]
const BYTES_MIN: usize = 4 << 20;

/// n zeros.
pub(crate) fn zeros(n: usize) -> Vec<Fr> {
    filled(n, |_, _| {})
}

/// n elements: `fill` is given the first index of a chunk, and its elements, which are zero. All threads fill, for the system clears a
/// page when it is first written to.
pub(crate) fn filled(n: usize, fill: impl Fn(usize, &mut [Fr]) + Sync) -> Vec<Fr> {
    let mut v: Vec<Fr> = Vec::with_capacity(n);
    advise(&mut v);
    let chunks = v.spare_capacity_mut()[..n].par_chunks_mut(CHUNK);
    chunks.enumerate().for_each(|(at, chunk)| {
        chunk.iter_mut().for_each(|x| _ = x.write(Fr::zero()));
        // SAFETY: the memory is the chunk's own, borrowed as long, and all of its elements have just been written.
        let chunk = unsafe { slice::from_raw_parts_mut(chunk.as_mut_ptr().cast::<Fr>(), chunk.len()) };
        fill(at * CHUNK, chunk);
    });
    // SAFETY: the capacity is n or more, and the chunks, all of whose elements were written, are the first n.
    unsafe { v.set_len(n) };
    v
}

/// Asks for large pages for a vector's memory that has not been touched yet. It is a wish: the system may not heed it.
#[cfg(target_os = "linux")]
fn advise<T>(v: &mut Vec<T>) {
    const PAGE: usize = 4096;
    let memory = v.spare_capacity_mut();
    let (start, bytes) = (memory.as_mut_ptr().addr(), size_of_val(memory));
    if bytes < BYTES_MIN {
        return;
    }
    // Whole pages within, as the call wants them.
    let skipped = start.next_multiple_of(PAGE) - start;
    let bytes = (bytes - skipped) / PAGE * PAGE;
    // SAFETY: the range lies within the vector's own memory; the advice changes neither values nor what may be accessed. A
    // refusal does no harm.
    unsafe { libc::madvise(memory.as_mut_ptr().byte_add(skipped).cast(), bytes, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_: &mut Vec<T>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_filled_by_its_index() {
        for n in [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 5] {
            let v = filled(n, |first, out| {
                assert!(out.iter().all(Fr::is_zero));
                out.iter_mut().zip(first as u64..).for_each(|(x, i)| *x = Fr::from(i));
            });
            assert!(v.into_iter().eq((0..n as u64).map(Fr::from)), "{n} elements");
        }
    }

    #[test]
    fn vectors_around_the_threshold_are_zero() {
        for n in [0, 1, BYTES_MIN / 32 - 1, BYTES_MIN / 32, BYTES_MIN / 32 + 129] {
            let v = zeros(n);
            assert!(v.len() == n && v.iter().all(Fr::is_zero));
        }
    }
}
