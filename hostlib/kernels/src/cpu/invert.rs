//! Batch inversion by Montgomery's trick (Montgomery 1987, section 10.3.1), in parallel pieces.

use ark_bn254::{Fr, FrConfig};
use ark_ff::{One, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::field::inverse;
use super::lanes::{Job, Lanes};
use super::stretches::{CHAINS, Ends};
use super::vectors::Vectors;

/// Elements that share an inversion, which costs as much as some hundred products.
const PIECE: usize = 4096;

/// Inverses; 0 ↦ 0. `vectors`: the processor's vector instructions, if they are to be used.
pub(super) fn invert(vectors: Option<Vectors>, mut v: Vec<Fr>) -> Vec<Fr> {
    v.par_chunks_mut(PIECE).for_each(|piece| match vectors {
        Some(vectors) => vectors.run(Piece(piece)),
        None => invert_piece(piece),
    });
    v
}

/// One inversion and three multiplications per element: prefix products up, then the inverse of the whole down.
fn invert_piece(piece: &mut [Fr]) {
    let mut product = Fr::one();
    let mut prefixes = Vec::with_capacity(piece.len());
    for x in piece.iter() {
        prefixes.push(product);
        if !x.is_zero() {
            product *= x;
        }
    }
    // A product of elements that are not zero is not zero.
    let mut inverse = inverse::<FrConfig>(&product).unwrap_or_else(Fr::zero);
    for (x, prefix) in piece.iter_mut().zip(&prefixes).rev() {
        if !x.is_zero() {
            let next = inverse * *x;
            *x = inverse * prefix;
            inverse = next;
        }
    }
    // They begin with a value, which may be secret.
    prefixes.zeroize();
}

/// The same in every lane of every chain, whose products are then inverted together.
struct Piece<'a>(&'a mut [Fr]);

impl<L: Lanes> Job<L> for Piece<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let whole = self.0.len() / L::WIDTH * L::WIDTH;
        let (v, rest) = self.0.split_at_mut(whole);
        invert_piece(rest);
        let runs = L::runs_mut(v);
        let (mut x, mut out) = (L::ZERO, L::ZERO);
        let mut prefixes = vec![L::ZERO; runs.len()];
        let mut products = [lanes.constant(Fr::one()); CHAINS];
        for (at, (run, prefix)) in runs.iter().zip(&mut prefixes).enumerate() {
            lanes.load_register(&without_zeros::<L>(run), &mut x);
            *prefix = products[at % CHAINS];
            lanes.mul(prefix, &x, &mut products[at % CHAINS]);
        }
        let mut ends = Ends::<L>::from_slice(&[]);
        for (product, run) in products.iter().zip(&mut ends.0) {
            lanes.store_register(product, run);
        }
        let mut inverses = ends.in_order();
        invert_piece(&mut inverses);
        ends.wipe();
        ends = Ends::from_slice(&inverses);
        inverses.zeroize();
        for (product, run) in products.iter_mut().zip(&ends.0) {
            lanes.load(run, product);
        }
        for (at, (run, prefix)) in runs.iter_mut().zip(&prefixes).enumerate().rev() {
            let mut before = *run;
            lanes.load_register(&without_zeros::<L>(&before), &mut x);
            let shared = products[at % CHAINS];
            lanes.mul(&shared, prefix, &mut out);
            lanes.store(&out, run);
            lanes.mul(&shared, &x, &mut products[at % CHAINS]);
            restore_zeros::<L>(&mut before, run);
        }
        ends.wipe();
        // They begin with a value, which may be secret.
        prefixes.fill(L::ZERO);
        std::hint::black_box(&mut prefixes);
    }
}

/// One in place of each zero.
#[inline(always)]
fn without_zeros<L: Lanes>(run: &L::Run) -> L::Run {
    let mut run = *run;
    L::elements(&mut run).iter_mut().filter(|x| x.is_zero()).for_each(|x| *x = Fr::one());
    run
}

/// Zero where it was before.
#[inline(always)]
fn restore_zeros<L: Lanes>(before: &mut L::Run, run: &mut L::Run) {
    let pairs = L::elements(before).iter().zip(L::elements(run));
    pairs.filter(|(before, _)| before.is_zero()).for_each(|(_, x)| *x = Fr::zero());
}
