//! Sums of chain ends by chains of a second kind, so that a verifier's work does not grow with the channels of a model.
//!
//! A convolution ends a chain for each channel and phase, and the running sum takes each of these ends times a challenge
//! monomial. Written as instance cells these monomials are the verifier's to work out, tens of thousands for a large network.
//! But they follow each other as regularly as the cells under a chain do: the products of one layer all count alike, and the
//! ties of relays count with neighbouring powers of `lambda`. So the ends of one layer are the entries of one more request, its
//! lanes the columns in which chains end, and the running sum takes the end of that chain instead.
//!
//! Nothing is tested here: what such a chain holds follows from the columns of phase 1 and the challenges, gate by gate.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::chain::{
    ChainSet, Colouring, Family, Lanes, Offsets, PatternId, Request, RequestId, Weight, distinct,
};
use super::identity::Weighting;
use super::layout::Spot;
use super::ledger::{Entry, Ledger, Share, Slot};
use super::monomial::Exponents;

/// From when on chains of chain ends are worth what they cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worth {
    /// Ends of one share for a chain.
    ends_min: usize,
    /// Cells that a column must spare the verifier.
    spared_min: usize,
    /// Uses of a multiplier for a selector.
    uses_min: usize,
}

impl Worth {
    /// A column and its selectors cost some two hundred bytes of a proof; 512 cells take a verifier about a millisecond.
    pub(crate) const USUAL: Self = Self { ends_min: 16, spared_min: 512, uses_min: 64 };
    /// Wherever two ends can be added up.
    pub(crate) const ALWAYS: Self = Self { ends_min: 2, spared_min: 1, uses_min: 1 };
    /// Nowhere.
    pub(crate) const NEVER: Self = Self { ends_min: usize::MAX, ..Self::USUAL };
}

/// The entries of a running sum after regular ones have been added up by chains.
pub(crate) struct Fold {
    /// What each lane of these chains reads.
    pub slots: Vec<Slot>,
    pub chains: ChainSet,
    pub colouring: Colouring,
    /// What the running sum takes.
    pub entries: Vec<Entry>,
}

/// Numbers of the entries of each share.
type Shares = BTreeMap<Share, Vec<usize>>;

/// A chain asked for, and what its sum counts with.
struct Asked {
    share: Share,
    request: RequestId,
    factor: Weight,
}

impl Fold {
    /// Folds the entries of `ledger`, as far as that is worth its columns.
    pub(crate) fn new(ledger: &Ledger, worth: Worth) -> Self {
        let mut shares = Shares::new();
        for (index, entry) in ledger.entries.iter().enumerate() {
            if let Some(share) = entry.share.filter(|_| single(entry).is_some()) {
                shares.entry(share).or_default().push(index);
            }
        }
        shares.retain(|_, entries| entries.len() >= worth.ends_min);
        loop {
            let (fold, asked) = Self::of_shares(ledger, &shares, worth);
            let poor = fold.poor(&shares, &asked, worth);
            if poor.is_empty() {
                return fold;
            }
            shares.retain(|share, _| !poor.contains(share));
        }
    }

    fn of_shares(ledger: &Ledger, shares: &Shares, worth: Worth) -> (Self, Vec<Asked>) {
        let slots: BTreeSet<Slot> =
            shares.values().flatten().map(|index| ledger.entries[*index].slot).collect();
        let slots: Vec<Slot> = slots.into_iter().collect();
        let chains = ChainSet::new(Lanes { slots: slots.len(), ..Lanes::default() });
        let mut fold = Self { slots, chains, colouring: Colouring::default(), entries: Vec::new() };
        let mut asked = Vec::new();
        // An entry that finds no lane is no end: the running sum takes it itself.
        let mut folded: HashSet<usize> = HashSet::new();
        for (share, indices) in shares {
            let ends = indices.iter().filter_map(|index| Some((*index, fold.end(&ledger.entries[*index])?)));
            let (numbers, ends): (Vec<_>, Vec<_>) = ends.unzip();
            folded.extend(numbers);
            fold.request(*share, ends, &mut asked);
        }
        fold.colouring = fold.chains.colour(&Offsets::default(), worth.uses_min);
        let unfolded = ledger.entries.iter().enumerate().filter(|(index, _)| !folded.contains(index));
        fold.entries = unfolded.map(|(_, entry)| entry.clone()).collect();
        for asked in &asked {
            let segments = &fold.colouring.of_request[asked.request.0];
            let segments = segments.iter().map(|segment| &fold.colouring.segments[*segment]);
            fold.entries.extend(segments.map(|segment| Entry {
                identity: None,
                share: None,
                slot: Slot::Fold(segment.column),
                row: segment.end_row(),
                factor: asked.factor.monomial.times(segment.end_coefficient()),
                weight: vec![Weighting::single(asked.factor.coefficient, Exponents::ONE)],
            }));
        }
        (fold, asked)
    }

    /// Asks for `Σ weight · end`. Only the ratios of weights are the chain's own, so that shares with the same ends and the
    /// same ratios, such as the ties of several layers to one tensor, share a chain.
    fn request(&mut self, share: Share, mut ends: Vec<(Spot, Weight)>, asked: &mut Vec<Asked>) {
        ends.sort_by_key(|(spot, _)| *spot);
        while let Some(&(_, lead)) = ends.first() {
            let (now, again) = distinct(ends);
            let sign = lead.coefficient.signum();
            let over = |weight: Weight| Weight {
                coefficient: weight.coefficient * sign,
                monomial: weight.monomial.over(lead.monomial),
            };
            let entries = now.into_iter().map(|(spot, weight)| (spot, over(weight))).collect();
            let request = self.chains.request(Request { family: Family::End, entries, breakable: true });
            asked.push(Asked { share, request, factor: Weight { coefficient: sign, ..lead } });
            ends = again;
        }
    }

    fn end(&self, entry: &Entry) -> Option<(Spot, Weight)> {
        let lane = self.slots.binary_search(&entry.slot).ok()?;
        Some((Spot { row: entry.row, lane: u8::try_from(lane).ok()? }, single(entry)?))
    }

    /// The shares that lie, even in part, in columns that spare too little.
    fn poor(&self, shares: &Shares, asked: &[Asked], worth: Worth) -> BTreeSet<Share> {
        let mut spared = vec![0i64; self.colouring.columns.len()];
        let column = |asked: &Asked| {
            let segments = &self.colouring.of_request[asked.request.0];
            segments.first().map(|segment| self.colouring.segments[*segment].column)
        };
        for asked in asked {
            let ends = shares[&asked.share].len() as i64;
            let cells = self.colouring.of_request[asked.request.0].len() as i64;
            if let Some(column) = column(asked) {
                spared[column] += ends - cells;
            }
        }
        let poor =
            |asked: &&Asked| column(asked).is_none_or(|column| spared[column] < worth.spared_min as i64);
        asked.iter().filter(poor).map(|asked| asked.share).collect()
    }
}

impl Fold {
    /// Whether a pattern multiplies two columns.
    pub(crate) fn multiplies(&self, id: PatternId) -> bool {
        let lanes = self.chains.pattern(id).lanes;
        let read = self.slots.iter().zip(lanes).filter(|(_, weight)| weight.is_some());
        read.into_iter().any(|(slot, _)| matches!(slot, Slot::Product(..)))
    }
}

/// The weight of an entry that counts with one monomial.
fn single(entry: &Entry) -> Option<Weight> {
    match entry.weight.as_slice() {
        [Weighting { coefficient, public: None, len: 1, first, .. }] => {
            Some(Weight { coefficient: *coefficient, monomial: entry.factor.times(*first) })
        }
        _ => None,
    }
}
