//! Values on the host, as small as they come.

use ark_bn254::Fr;
use ark_ff::Zero;

use crate::values::Values;

/// A column of values in host memory. Small columns travel and commit as small integers.
///
/// Cloning shares the values. Kernels never print them; `Debug` shows the length alone, because they may be secret.
#[derive(Clone)]
pub enum HostData {
    /// Signed integers, each standing for itself modulo r.
    Small(Values<i32>),
    /// Field elements.
    Full(Values<Fr>),
}

impl HostData {
    /// Takes ownership of small integers.
    pub fn small(values: Vec<i32>) -> HostData {
        HostData::Small(values.into())
    }

    /// Takes ownership of field elements.
    pub fn full(values: Vec<Fr>) -> HostData {
        HostData::Full(values.into())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            HostData::Small(values) => values.len(),
            HostData::Full(values) => values.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `index`, or zero past the end: a column is a polynomial or a function that is zero elsewhere.
    pub fn get(&self, index: usize) -> Fr {
        match self {
            HostData::Small(values) => values.get(index).map_or(Fr::zero(), |&value| Fr::from(value)),
            HostData::Full(values) => values.get(index).copied().unwrap_or_else(Fr::zero),
        }
    }

    /// Copies elements `start..start + out.len()` into `out`, with zeros past the end.
    pub fn copy_to(&self, start: usize, out: &mut [Fr]) {
        let held = self.len().saturating_sub(start).min(out.len());
        let (head, tail) = out.split_at_mut(held);
        match self {
            HostData::Small(values) => {
                for (out, &value) in head.iter_mut().zip(&values[start.min(values.len())..]) {
                    *out = Fr::from(value);
                }
            }
            HostData::Full(values) if held > 0 => head.copy_from_slice(&values[start..start + held]),
            HostData::Full(_) => {}
        }
        tail.fill(Fr::zero());
    }

    /// All elements as field elements.
    pub fn to_full(&self) -> Vec<Fr> {
        let mut out = vec![Fr::zero(); self.len()];
        self.copy_to(0, &mut out);
        out
    }

    /// Wipes the values if they are owned and nobody else shares them.
    pub fn wipe(&mut self) {
        match self {
            HostData::Small(values) => values.wipe(),
            HostData::Full(values) => values.wipe(),
        }
    }
}

impl std::fmt::Debug for HostData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            HostData::Small(_) => "Small",
            HostData::Full(_) => "Full",
        };
        write!(f, "HostData::{kind}({} values)", self.len())
    }
}
