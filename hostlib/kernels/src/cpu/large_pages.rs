//! Memory in large pages, where the system has them: a transform walks a vector in long steps, each of which would look up
//! another small page.

use ark_bn254::Fr;
use ark_ff::Zero;
use rayon::prelude::*;

use super::GRAIN;

/// From here on a vector holds a large page wherever it begins. \[bytes\]
const BYTES_MIN: usize = 4 << 20;

/// n zeros. All threads write them, for the system clears a page when it is first written to.
pub(super) fn zeros(n: usize) -> Vec<Fr> {
    let mut v: Vec<Fr> = Vec::with_capacity(n);
    advise(&mut v);
    rayon::iter::repeat_n(Fr::zero(), n).with_min_len(GRAIN).collect_into_vec(&mut v);
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
    fn vectors_around_the_threshold_are_zero() {
        for n in [0, 1, BYTES_MIN / 32 - 1, BYTES_MIN / 32, BYTES_MIN / 32 + 129] {
            let v = zeros(n);
            assert!(v.len() == n && v.iter().all(Fr::is_zero));
        }
    }
}
