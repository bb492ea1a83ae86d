//! Many additions of points in affine coordinates, with one inversion for all (Montgomery's trick): 6 multiplications
//! each.

use ark_bn254::{Fq, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field, One, Zero};

use crate::cpu::ifma::{Ifma, LANES, Prefixes};

/// Additions of which none is special: the denominator of each slope is not zero.
#[derive(Default)]
pub(in crate::cpu) struct Additions {
    pub(in crate::cpu) denominators: Vec<Fq>,
    pub(in crate::cpu) numerators: Vec<Fq>,
    /// The first point, then the sum.
    pub(in crate::cpu) x: Vec<Fq>,
    pub(in crate::cpu) y: Vec<Fq>,
    pub(in crate::cpu) other_x: Vec<Fq>,
}

impl Additions {
    pub(super) fn clear(&mut self) {
        let Additions { denominators, numerators, x, y, other_x } = self;
        [denominators, numerators, x, y, other_x].into_iter().for_each(Vec::clear);
    }

    /// The sum if it needs no slope; else takes the addition in.
    pub(super) fn push(&mut self, a: &G1Affine, b: &G1Affine) -> Option<G1Affine> {
        if a.is_zero() {
            return Some(*b);
        }
        if b.is_zero() {
            return Some(*a);
        }
        if a.x != b.x {
            self.push_slope(b.y - a.y, b.x - a.x, a, b);
            return None;
        }
        if a.y != b.y {
            return Some(G1Affine::zero());
        }
        // The tangent; no point of the curve has y = 0, because its order is odd.
        let square = a.x.square();
        self.push_slope(square.double() + square, a.y.double(), a, b);
        None
    }

    fn push_slope(&mut self, numerator: Fq, denominator: Fq, a: &G1Affine, b: &G1Affine) {
        self.numerators.push(numerator);
        self.denominators.push(denominator);
        self.x.push(a.x);
        self.y.push(a.y);
        self.other_x.push(b.x);
    }

    /// The sum of each addition's points, in order, and perhaps some more.
    pub(super) fn finish(
        &mut self,
        ifma: Option<Ifma>,
        prefixes: &mut Prefixes,
    ) -> impl Iterator<Item = (Fq, Fq)> {
        match ifma {
            Some(ifma) => {
                while !self.x.len().is_multiple_of(LANES) {
                    self.denominators.push(Fq::one());
                    [&mut self.numerators, &mut self.x, &mut self.y, &mut self.other_x]
                        .into_iter()
                        .for_each(|v| v.push(Fq::zero()));
                }
                ifma.add_affine(self, prefixes);
            }
            None => self.finish_each(),
        }
        self.x.iter().copied().zip(self.y.iter().copied())
    }

    fn finish_each(&mut self) {
        invert_all(&mut self.denominators);
        for (i, inverse) in self.denominators.iter().enumerate() {
            let slope = self.numerators[i] * inverse;
            let x = slope.square() - self.x[i] - self.other_x[i];
            self.y[i] = slope * (self.x[i] - x) - self.y[i];
            self.x[i] = x;
        }
    }
}

/// Inverts all, none of which is zero, with one inversion.
fn invert_all(values: &mut [Fq]) {
    let mut prefixes = Vec::with_capacity(values.len());
    let mut product = Fq::one();
    for value in values.iter() {
        prefixes.push(product);
        product *= value;
    }
    let mut inverse = product.inverse().unwrap_or_else(Fq::zero);
    for (value, prefix) in values.iter_mut().zip(prefixes).rev() {
        let next = inverse * *value;
        *value = inverse * prefix;
        inverse = next;
    }
}
