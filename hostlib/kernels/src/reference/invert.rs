//! Inversion, one by one.

use ark_bn254::Fr;
use ark_ff::{Field, Zero};

pub(super) fn invert(v: &[Fr]) -> Vec<Fr> {
    v.iter().map(|x| x.inverse().unwrap_or_else(Fr::zero)).collect()
}
