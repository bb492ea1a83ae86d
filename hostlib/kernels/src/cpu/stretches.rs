//! A slice cut into equal stretches, one for each lane of some vectors, which walk theirs side by side: so a recurrence,
//! each of whose steps waits for the one before, fills the processor. What is left over is one more, short stretch.

use ark_bn254::Fr;
use ark_ff::Zero;
use zeroize::Zeroize;

use super::lanes::Lanes;

/// Vectors that are worked on side by side: one alone would wait for itself.
pub(super) const CHAINS: usize = 4;

/// How a slice is cut.
#[derive(Clone, Copy)]
pub(super) struct Stretches {
    /// Elements of a stretch.
    pub(super) len: usize,
}

impl Stretches {
    /// The longest stretches that a slice of n elements has.
    pub(super) fn of<L: Lanes>(n: usize) -> Stretches {
        Stretches { len: n / Self::count::<L>() }
    }

    /// How many there are.
    pub(super) const fn count<L: Lanes>() -> usize {
        L::WIDTH * CHAINS
    }

    /// Elements in all of them.
    pub(super) const fn elements<L: Lanes>(self) -> usize {
        self.len * Self::count::<L>()
    }

    /// Element `at` of each stretch of a chain.
    #[inline(always)]
    pub(super) fn gather<L: Lanes>(self, v: &[Fr], chain: usize, at: usize, run: &mut L::Run) {
        let first = chain * L::WIDTH * self.len + at;
        for (lane, x) in L::elements(run).iter_mut().enumerate() {
            *x = v[first + lane * self.len];
        }
    }

    /// The inverse of [`gather`](Stretches::gather).
    #[inline(always)]
    pub(super) fn scatter<L: Lanes>(self, v: &mut [Fr], chain: usize, at: usize, run: &mut L::Run) {
        let first = chain * L::WIDTH * self.len + at;
        for (lane, x) in L::elements(run).iter().enumerate() {
            v[first + lane * self.len] = *x;
        }
    }
}

/// An element for each stretch. What depends on secrets is wiped by [`wipe`](Ends::wipe).
pub(super) struct Ends<L: Lanes>(pub(super) [L::Run; CHAINS]);

impl<L: Lanes> Ends<L> {
    /// Those, of which there are as many as stretches.
    pub(super) fn from_slice(values: &[Fr]) -> Ends<L> {
        let mut ends = Ends([L::repeat(Fr::zero()); CHAINS]);
        ends.0.iter_mut().flat_map(L::elements).zip(values).for_each(|(end, x)| *end = *x);
        ends
    }

    /// In the order of the stretches.
    pub(super) fn in_order(&mut self) -> Vec<Fr> {
        self.0.iter_mut().flat_map(|run| L::elements(run).iter().copied()).collect()
    }

    pub(super) fn wipe(&mut self) {
        self.0.iter_mut().for_each(wipe::<L>);
    }
}

/// Wipes elements that may be secret.
#[inline(always)]
pub(super) fn wipe<L: Lanes>(run: &mut L::Run) {
    L::elements(run).iter_mut().for_each(Zeroize::zeroize);
}

#[cfg(test)]
mod tests {
    use ark_ff::{Field, One, UniformRand};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::cpu::vectors::Vectors;
    use crate::cpu::{GRAIN, invert, polynomial, scan};
    use crate::host_data::HostData;
    use crate::kernel::ScanKind;

    /// Lengths around the stretches of four and of eight lanes, and around a piece.
    const LENGTHS: [usize; 17] =
        [1, 2, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 1000, GRAIN - 1, GRAIN, GRAIN + 1, 2 * GRAIN + 37];

    fn all_vectors() -> impl Iterator<Item = Option<Vectors>> {
        Vectors::all().map(Some).chain([None])
    }

    /// Random values, with some zeros and r − 1 among them.
    fn values(n: usize) -> Vec<Fr> {
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        let value = |i: usize| match i % 7 {
            2 => Fr::zero(),
            5 => -Fr::one(),
            _ => Fr::rand(&mut rng),
        };
        (0..n).map(value).collect()
    }

    #[test]
    fn bulk_kernels_agree_with_their_definitions_around_every_length_that_matters() {
        let ratio = Fr::from(0x1234_5678_9abc_def1_u64).square();
        for n in LENGTHS {
            let v = values(n);
            let powers: Vec<Fr> = (0..n).map(|i| ratio.pow([i as u64])).collect();
            let nonzero: Vec<Fr> = v.iter().map(|x| if x.is_zero() { ratio } else { *x }).collect();
            let products: Vec<Fr> = (0..n)
                .scan(Fr::one(), |product, i| Some(std::mem::replace(product, *product * nonzero[i])))
                .collect();
            let at = |point: Fr| v.iter().rev().fold(Fr::zero(), |sum, c| sum * point + c);
            let points = [Fr::zero(), Fr::one(), ratio];
            for vectors in all_vectors() {
                let inverses = invert::invert(vectors, v.clone());
                assert!(inverses.iter().zip(&v).all(|(y, x)| *y == x.inverse().unwrap_or_default()));
                assert!(scan::scan(vectors, nonzero.clone(), ScanKind::Product) == products, "{n}");
                assert!(
                    polynomial::powers(vectors, -Fr::one(), ratio, n)
                        .iter()
                        .zip(&powers)
                        .all(|(y, x)| *y == -*x)
                );
                let mut scaled = v.clone();
                polynomial::scale_by_powers(vectors, &mut scaled, -Fr::one(), ratio);
                assert!(scaled.iter().zip(&v).zip(&powers).all(|((y, x), power)| *y == -*x * power));
                let found = polynomial::evaluate(vectors, &HostData::full(v.clone()), &points);
                assert_eq!(found, points.map(at), "{n}");
                let quotient = polynomial::divide_linear(vectors, v.clone(), ratio);
                assert_eq!(quotient.len(), n - 1);
                let (last, first) = (
                    quotient.last().copied().unwrap_or_default(),
                    quotient.first().copied().unwrap_or_default(),
                );
                assert_eq!(v[0], at(ratio) - ratio * first);
                assert_eq!(last, if n == 1 { Fr::zero() } else { v[n - 1] });
                assert!((1..n - 1).all(|i| v[i] == quotient[i - 1] - ratio * quotient[i]), "{n}");
            }
        }
    }
}
