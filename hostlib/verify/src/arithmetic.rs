//! The two computations that most of a verification consists of, this crate's own way to do them, and threads.
//!
//! A verification is a sum of multiples of some hundreds of points, and a square root for each point of a proof. Libraries with
//! faster arithmetic can stand in for what these two are made of, and run parts of all at the same time ([`Arithmetic`]); what the
//! parts do stays here. Roots are checked wherever they are used; sums of points are taken as given, so that whoever passes their
//! own answers for them.

use alloc::vec::Vec;

use ark_bn254::{Fq, FqConfig, Fr, G1Affine, G1Projective};
use ark_ff::{AdditiveGroup, BigInt, Field, MontConfig};

use crate::multiexp::{self, Summand};

/// Arithmetic in the curve and its coordinates' field, and the threads for it.
pub trait Arithmetic: Sync {
    /// Replaces `sums` by the sums of pairs of points. Points may be infinity, equal, and each other's negative.
    fn add_pairs(&self, points: &[G1Affine], pairs: &[[Summand; 2]], sums: &mut Vec<G1Affine>);

    /// `Σ scalar·point`. May take time that depends on the terms: they are public.
    fn sum_of_multiples_vartime(&self, terms: &[(G1Affine, Fr)]) -> G1Projective {
        multiexp::sum_of_multiples_vartime(self, terms)
    }

    /// Replaces every x by `x^((q + 1)/4)`, a square root of x if it has one (q ≡ 3 modulo 4).
    fn roots(&self, values: &mut [Fq]);

    /// Does both, at the same time where there are threads for it.
    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        first();
        second();
    }
}

/// The results of two computations by [`Arithmetic::both`]. What that leaves undone is done here.
pub(crate) fn both<A: Send, B: Send>(
    arithmetic: &(impl Arithmetic + ?Sized),
    first: impl Fn() -> A + Sync,
    second: impl Fn() -> B + Sync,
) -> (A, B) {
    let (mut a, mut b) = (None, None);
    arithmetic.both(&mut || a = Some(first()), &mut || b = Some(second()));
    (a.unwrap_or_else(first), b.unwrap_or_else(second))
}

/// This crate's own: plain Rust for any processor, on one thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl Arithmetic for Portable {
    fn add_pairs(&self, points: &[G1Affine], pairs: &[[Summand; 2]], sums: &mut Vec<G1Affine>) {
        multiexp::add_pairs(points, pairs, sums);
    }

    fn roots(&self, values: &mut [Fq]) {
        values.iter_mut().for_each(|x| *x = root(*x));
    }
}

/// (q + 1)/4
const ROOT_EXPONENT: BigInt<4> = match FqConfig::MODULUS_PLUS_ONE_DIV_FOUR {
    Some(exponent) => exponent,
    None => unreachable!(),
};

/// x^((q + 1)/4), by digits of four bits.
fn root(x: Fq) -> Fq {
    let mut powers = [Fq::ONE; 16];
    let mut power = Fq::ONE;
    for place in powers.iter_mut().skip(1) {
        power *= x;
        *place = power;
    }
    let bytes = ROOT_EXPONENT.0.into_iter().rev().flat_map(u64::to_be_bytes);
    let digits = bytes.flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.fold(Fq::ONE, |mut root, digit| {
        for _ in 0..4 {
            root.square_in_place();
        }
        root * powers.get(usize::from(digit)).copied().unwrap_or(Fq::ZERO)
    })
}

#[cfg(test)]
mod tests {
    use ark_ff::UniformRand;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// Does nothing at all of what it is asked to do.
    struct Idle;

    impl Arithmetic for Idle {
        fn add_pairs(&self, _: &[G1Affine], _: &[[Summand; 2]], _: &mut Vec<G1Affine>) {}

        fn roots(&self, _: &mut [Fq]) {}

        fn both(&self, _: &mut (dyn FnMut() + Send), _: &mut (dyn FnMut() + Send)) {}
    }

    #[test]
    fn both_are_done_whoever_should_do_them() {
        for arithmetic in [&Portable as &dyn Arithmetic, &Idle] {
            assert_eq!(both(arithmetic, || 1, || "two"), (1, "two"));
        }
    }

    #[test]
    fn squares_have_the_root_and_other_values_are_told_by_its_square() {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let edges = [Fq::ZERO, Fq::ONE, -Fq::ONE, Fq::from(2), Fq::from(3)];
        let values: Vec<Fq> = edges.into_iter().chain((0..100).map(|_| Fq::rand(&mut rng))).collect();
        let mut roots = values.clone();
        Portable.roots(&mut roots);
        for (value, root) in values.into_iter().zip(roots) {
            match value.sqrt() {
                Some(expected) => assert!(root == expected || root == -expected, "{value}"),
                None => assert_eq!(root.square(), -value),
            }
        }
    }
}
