//! A vector in host memory: wiped when it is freed, small as long as it can be.

use ark_bn254::Fr;
use ark_ff::Zero;

use crate::host_data::HostData;

/// A buffer. Small integers stay small until a kernel makes field elements of them.
pub(crate) struct Column(HostData);

impl Column {
    pub(crate) fn new(data: HostData) -> Column {
        Column(data)
    }

    pub(crate) fn data(&self) -> &HostData {
        &self.0
    }
}

impl Drop for Column {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

/// `out[i] = v[start + i]`, zero past the end of v.
pub(super) fn slice(v: &HostData, start: usize, len: usize) -> HostData {
    match v {
        HostData::Small(values) => HostData::small(slice_of(values, start, len, 0)),
        HostData::Full(values) if start == 0 && len == values.len() => HostData::Full(values.clone()),
        HostData::Full(values) => HostData::full(slice_of(values, start, len, Fr::zero())),
    }
}

/// `len` long, v at `offset`, zeros elsewhere.
pub(super) fn place(v: &HostData, offset: usize, len: usize) -> HostData {
    match v {
        HostData::Small(values) => HostData::small(place_of(values, offset, len, 0)),
        HostData::Full(values) => HostData::full(place_of(values, offset, len, Fr::zero())),
    }
}

fn slice_of<T: Copy>(values: &[T], start: usize, len: usize, zero: T) -> Vec<T> {
    let start = start.min(values.len());
    let end = start.saturating_add(len).min(values.len());
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&values[start..end]);
    out.resize(len, zero);
    out
}

fn place_of<T: Copy>(values: &[T], offset: usize, len: usize, zero: T) -> Vec<T> {
    let mut out = vec![zero; len];
    out[offset..offset + values.len()].copy_from_slice(values);
    out
}
