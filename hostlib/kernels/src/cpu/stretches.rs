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
    pub(super) fn to_vec(&mut self) -> Vec<Fr> {
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
