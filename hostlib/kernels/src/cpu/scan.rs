//! Exclusive prefix sums and products: totals of parts, their prefix, then each part.

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::GRAIN;
use super::lanes::{Job, Lanes};
use super::stretches::{CHAINS, Ends, Stretches, wipe};
use super::vectors::Vectors;
use crate::kernel::ScanKind;

/// `vectors`: the processor's vector instructions, if they are to be used.
pub(super) fn scan(vectors: Option<Vectors>, v: Vec<Fr>, kind: ScanKind) -> Vec<Fr> {
    let add = |a, b| a + b;
    let multiply = |a, b| a * b;
    match (kind, vectors) {
        // Sums wait for memory as it is.
        (ScanKind::Sum, _) => {
            let total = |piece: &[Fr]| vec![piece.iter().sum()];
            exclusive(v, Fr::zero(), add, total, |piece, starts| walk(piece, starts[0], add))
        }
        (ScanKind::Product, None) => {
            let total = |piece: &[Fr]| vec![piece.iter().product()];
            exclusive(v, Fr::one(), multiply, total, |piece, starts| walk(piece, starts[0], multiply))
        }
        (ScanKind::Product, Some(vectors)) => exclusive(
            v,
            Fr::one(),
            multiply,
            |piece| vectors.run(Totals { piece }),
            |piece, starts| vectors.run(Products { piece, starts }),
        ),
    }
}

/// `totals` gives those of a piece's parts; `operate` makes each part its prefixes, from what comes before it.
fn exclusive(
    mut v: Vec<Fr>,
    identity: Fr,
    combine: impl Fn(Fr, Fr) -> Fr,
    totals: impl Fn(&[Fr]) -> Vec<Fr> + Sync + Send,
    operate: impl Fn(&mut [Fr], &[Fr]) + Sync,
) -> Vec<Fr> {
    let mut starts: Vec<Vec<Fr>> = v.par_chunks(GRAIN).map(totals).collect();
    let mut before = identity;
    for start in starts.iter_mut().flatten() {
        (*start, before) = (before, combine(before, *start));
    }
    v.par_chunks_mut(GRAIN).zip(&starts).for_each(|(piece, starts)| operate(piece, starts));
    // They are sums of what may be secret.
    starts.zeroize();
    v
}

fn walk(v: &mut [Fr], start: Fr, combine: impl Fn(Fr, Fr) -> Fr) {
    let mut total = start;
    for x in v {
        (*x, total) = (total, combine(total, *x));
    }
}

/// The product of each stretch, and of what is left over.
struct Totals<'a> {
    piece: &'a [Fr],
}

impl<L: Lanes> Job<L> for Totals<'_> {
    type Out = Vec<Fr>;

    #[inline(always)]
    fn run(self, lanes: L) -> Vec<Fr> {
        let stretches = Stretches::of::<L>(self.piece.len());
        let mut run = L::repeat(Fr::one());
        let (mut x, mut products) = (L::ZERO, [L::ZERO; CHAINS]);
        products.iter_mut().for_each(|product| lanes.load(&run, product));
        for at in 0..stretches.len {
            for (chain, product) in products.iter_mut().enumerate() {
                stretches.gather::<L>(self.piece, chain, at, &mut run);
                lanes.load_register(&run, &mut x);
                let before = *product;
                lanes.mul(&before, &x, product);
            }
        }
        let mut ends = Ends::<L>::from_slice(&[]);
        for (product, run) in products.iter().zip(&mut ends.0) {
            lanes.store(product, run);
        }
        let mut totals = ends.in_order();
        ends.wipe();
        wipe::<L>(&mut run);
        totals.push(self.piece[stretches.elements::<L>()..].iter().product());
        totals
    }
}

/// Prefix products of each stretch, and of what is left over, from `starts`.
struct Products<'a> {
    piece: &'a mut [Fr],
    starts: &'a [Fr],
}

impl<L: Lanes> Job<L> for Products<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let Products { piece, starts } = self;
        let stretches = Stretches::of::<L>(piece.len());
        let (starts, last) = starts.split_at(Stretches::count::<L>());
        let mut ends = Ends::<L>::from_slice(starts);
        let (mut x, mut products) = (L::ZERO, [L::ZERO; CHAINS]);
        for (product, run) in products.iter_mut().zip(&ends.0) {
            lanes.load(run, product);
        }
        let mut run = L::repeat(Fr::zero());
        for at in 0..stretches.len {
            for (chain, product) in products.iter_mut().enumerate() {
                stretches.gather::<L>(piece, chain, at, &mut run);
                lanes.load_register(&run, &mut x);
                lanes.store(product, &mut run);
                stretches.scatter::<L>(piece, chain, at, &mut run);
                let before = *product;
                lanes.mul(&before, &x, product);
            }
        }
        ends.wipe();
        wipe::<L>(&mut run);
        walk(&mut piece[stretches.elements::<L>()..], last[0], |a, b| a * b);
    }
}
