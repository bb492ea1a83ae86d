//! Exclusive prefix sums and products.

use ark_bn254::Fr;
use ark_ff::{One, Zero};

use crate::kernel::ScanKind;

pub(super) fn scan(v: &[Fr], kind: ScanKind) -> Vec<Fr> {
    let mut total = match kind {
        ScanKind::Sum => Fr::zero(),
        ScanKind::Product => Fr::one(),
    };
    let mut out = Vec::with_capacity(v.len());
    for x in v {
        out.push(total);
        match kind {
            ScanKind::Sum => total += x,
            ScanKind::Product => total *= x,
        }
    }
    out
}
