//! Parts of vectors in host memory. Small integers stay small until a kernel makes field elements of them.

use ark_bn254::Fr;
use ark_ff::Zero;

use crate::host_data::HostData;
use crate::large_pages::filled;

/// `out[i] = v[start + i]`, zero past the end of v.
pub(super) fn slice(v: &HostData, start: usize, len: usize) -> HostData {
    match v {
        HostData::Small(values) => HostData::small(slice_of(values, start, len, 0)),
        HostData::Full(values) if start == 0 && len == values.len() => HostData::Full(values.clone()),
        HostData::Full(values) => HostData::full(slice_of(values, start, len, Fr::zero())),
    }
}

/// `len` long, each v at its offset, zeros elsewhere. Where two overlap, the later is there.
pub(super) fn place(vectors: &[&HostData], offsets: &[usize], len: usize) -> HostData {
    let places = || vectors.iter().zip(offsets.iter().copied());
    if vectors.iter().all(|v| matches!(v, HostData::Small(_))) {
        let mut out = vec![0; len];
        for (v, offset) in places() {
            if let HostData::Small(values) = v {
                out[offset..offset + values.len()].copy_from_slice(values);
            }
        }
        return HostData::small(out);
    }
    HostData::full(filled(len, |first, out| {
        for (v, offset) in places() {
            let (start, end) = (first.max(offset), (first + out.len()).min(offset + v.len()));
            if start < end {
                v.copy_to(start - offset, &mut out[start - first..end - first]);
            }
        }
    }))
}

fn slice_of<T: Copy>(values: &[T], start: usize, len: usize, zero: T) -> Vec<T> {
    let start = start.min(values.len());
    let end = start.saturating_add(len).min(values.len());
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&values[start..end]);
    out.resize(len, zero);
    out
}
