//! The identities as entries of one running sum: which column, on which row, times what the verifier computes.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::{Colouring, Offsets, RequestId};
use super::identity::{Identities, Lookup, Part, Relay, Source, Weighting};
use super::monomial::Exponents;
use super::monomial::Variable::{Beta, Eta, Lambda};

/// What an entry reads on its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    /// Nothing: the entry is what the verifier computes.
    Known,
    /// An accumulator column.
    Acc(usize),
    /// A relay column.
    Relay(RelayColumn),
    /// An accumulator times a relay column.
    Product(usize, RelayColumn),
    /// A column of chains that add up chain ends.
    Fold(usize),
    /// A relay column's fractions of lookups.
    Fraction(usize),
    /// The inverses of a lane of ids.
    Inverse(usize),
}

/// Entries that are likely to follow each other regularly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Share {
    /// The ends of a request's parts in an identity.
    Parts(usize, RequestId),
    /// The products of an identity.
    Products(usize),
    /// The relays of an identity.
    Relays(usize),
    /// The chains that these repeat.
    Sources(usize),
    /// The fractions of a lookup.
    Fractions(usize),
    /// The inverses of its ids.
    Inverses(usize),
}

/// A column of relays, of cells, or of chains and indicators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RelayColumn {
    Cell(usize),
    Chain(usize),
}

/// Where a relay stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayPlace {
    pub column: RelayColumn,
    pub row: u32,
}

/// `slot[row] · factor · Σ weight`, a summand of the running sum.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The identity that it is part of; `None` for the ties of chain relays (those of indicators are identities).
    pub identity: Option<usize>,
    /// With which others it may be added up first.
    pub share: Option<Share>,
    pub slot: Slot,
    pub row: u32,
    pub factor: Exponents,
    pub weight: Vec<Weighting>,
}

/// All entries, and where relays stand.
pub(crate) struct Ledger {
    pub relays: Vec<RelayPlace>,
    pub entries: Vec<Entry>,
    /// Per identity, the row on which a violation is reported.
    pub homes: Vec<u32>,
}

/// A relay stands on the last row of the chain beside it, in the first relay column that is free there.
fn place_relays(relays: &[Relay], colouring: &Colouring) -> Vec<RelayPlace> {
    let mut used: BTreeMap<(bool, u32), usize> = BTreeMap::new();
    let mut place = |relay: &Relay| {
        let row = end_row(colouring, relay.beside);
        let of_chain = !matches!(relay.source, Source::Cell(_));
        let next = used.entry((of_chain, row)).or_default();
        let column = if of_chain { RelayColumn::Chain(*next) } else { RelayColumn::Cell(*next) };
        *next += 1;
        RelayPlace { column, row }
    };
    // Indicators come first, so that few columns have fractions.
    let mut order = (0..relays.len()).collect::<Vec<_>>();
    order.sort_by_key(|index| !matches!(relays[*index].source, Source::Indicator { .. }));
    let mut places = vec![RelayPlace { column: RelayColumn::Cell(0), row: 0 }; relays.len()];
    for index in order {
        places[index] = place(&relays[index]);
    }
    places
}

/// The row on which the last part of a request's sum ends.
fn end_row(colouring: &Colouring, request: RequestId) -> u32 {
    let last = colouring.of_request[request.0].last();
    last.map_or(0, |segment| colouring.segments[*segment].end_row())
}

impl Ledger {
    pub(crate) fn new(identities: &Identities, colouring: &Colouring, offsets: &Offsets) -> Self {
        let relays = place_relays(&identities.relays, colouring);
        let homes = identities.list.iter().map(|identity| end_row(colouring, identity.home)).collect();
        let mut ledger = Self { relays, entries: Vec::new(), homes };
        for (index, identity) in identities.list.iter().enumerate() {
            let eta = Eta.power(index as i64);
            for part in &identity.parts {
                ledger.add_part(index, part, identities, colouring, eta);
            }
        }
        let chains = identities.relays.iter().enumerate().filter_map(|(index, relay)| match relay.source {
            Source::Chain(request) => Some((index, request)),
            Source::Cell(_) | Source::Indicator { .. } => None,
        });
        let mut numbers = 1..;
        for (number, (index, request)) in numbers.by_ref().zip(chains) {
            let place = ledger.relays[index];
            let owner = identities.relays[index].owner;
            let tie = Tag { identity: None, share: Some(Share::Relays(owner)) };
            let lambda = Lambda.power(number);
            ledger.push(tie, Slot::Relay(place.column), place.row, lambda, vec![one(1)]);
            let tie = Tag { identity: None, share: Some(Share::Sources(owner)) };
            ledger.add_chain(tie, request, &[one(-1)], colouring, lambda);
        }
        for (number, lookup) in numbers.zip(0..identities.lookups.len()) {
            ledger.add_lookup(lookup, identities, offsets, Lambda.power(number));
        }
        ledger
    }

    /// `Σ_k g[k] − Σ_m β^m·u[m]`, times a power of `lambda`.
    fn add_lookup(&mut self, number: usize, identities: &Identities, offsets: &Offsets, lambda: Exponents) {
        let Lookup { ids, identity } = &identities.lookups[number];
        for at in 0..self.relays.len() {
            if let (Source::Indicator { lookup, .. }, RelayPlace { column: RelayColumn::Chain(column), row }) =
                (identities.relays[at].source, self.relays[at])
                && lookup == number
            {
                let tag = Tag { identity: Some(*identity), share: Some(Share::Fractions(number)) };
                self.push(tag, Slot::Fraction(column), row, lambda, vec![one(1)]);
            }
        }
        for (m, id) in (0..).zip(ids) {
            let tag = Tag { identity: Some(*identity), share: Some(Share::Inverses(number)) };
            let (slot, row) = (Slot::Inverse(id.lane.into()), id.row + offsets.activations);
            self.push(tag, slot, row, lambda, vec![Weighting::single(-1, Beta.power(m))]);
            if m == 0 {
                self.homes[*identity] = row;
            }
        }
    }

    /// For each relay column with fractions, the rows that are looked up: where their relays stand, and their numbers.
    pub(crate) fn fractions(&self, identities: &Identities) -> Vec<Vec<(u32, u32)>> {
        let mut columns = Vec::new();
        for (relay, place) in identities.relays.iter().zip(&self.relays) {
            if let (Source::Indicator { row, .. }, RelayColumn::Chain(column)) = (relay.source, place.column)
            {
                if columns.len() <= column {
                    columns.resize(column + 1, Vec::new());
                }
                columns[column].push((place.row, row));
            }
        }
        columns
    }

    /// For each lane with ids, the rows on which they lie.
    pub(crate) fn inverses(identities: &Identities, offsets: &Offsets) -> Vec<BTreeSet<u32>> {
        let mut lanes = Vec::new();
        for spot in identities.lookups.iter().flat_map(|lookup| &lookup.ids) {
            let lane = usize::from(spot.lane);
            if lanes.len() <= lane {
                lanes.resize(lane + 1, BTreeSet::new());
            }
            lanes[lane].insert(spot.row + offsets.activations);
        }
        lanes
    }

    /// The accumulators that are multiplied with relays.
    pub(crate) fn multiplied(&self) -> BTreeSet<usize> {
        let factor = |entry: &Entry| match entry.slot {
            Slot::Product(acc, _) => Some(acc),
            _ => None,
        };
        self.entries.iter().filter_map(factor).collect()
    }

    fn push(&mut self, tag: Tag, slot: Slot, row: u32, factor: Exponents, weight: Vec<Weighting>) {
        let Tag { identity, share } = tag;
        self.entries.push(Entry { identity, share, slot, row, factor, weight });
    }

    fn add_chain(
        &mut self,
        tag: Tag,
        request: RequestId,
        weight: &[Weighting],
        colouring: &Colouring,
        factor: Exponents,
    ) {
        for segment in colouring.of_request[request.0].iter().map(|segment| &colouring.segments[*segment]) {
            let factor = factor.times(segment.end_coefficient());
            self.push(tag, Slot::Acc(segment.column), segment.end_row(), factor, weight.to_vec());
        }
    }

    fn add_part(
        &mut self,
        identity: usize,
        part: &Part,
        identities: &Identities,
        colouring: &Colouring,
        eta: Exponents,
    ) {
        let tag = |share| Tag { identity: Some(identity), share };
        match part {
            Part::Chain { request, weight } => {
                let parts = tag(Some(Share::Parts(identity, *request)));
                self.add_chain(parts, *request, weight, colouring, eta);
            }
            Part::Known { weight } => {
                self.push(tag(None), Slot::Known, self.homes[identity], eta, weight.clone());
            }
            Part::Relay { relay, coefficient, monomial } => {
                let place = self.relays[relay.0];
                let weight = vec![Weighting::single(*coefficient, *monomial)];
                let relays = tag(Some(Share::Relays(identity)));
                self.push(relays, Slot::Relay(place.column), place.row, eta, weight);
            }
            Part::Product { relay, coefficient } => {
                let place = self.relays[relay.0];
                let beside = identities.relays[relay.0].beside;
                let products = tag(Some(Share::Products(identity)));
                for segment in
                    colouring.of_request[beside.0].iter().map(|segment| &colouring.segments[*segment])
                {
                    let factor = eta.times(segment.end_coefficient());
                    let slot = Slot::Product(segment.column, place.column);
                    self.push(products, slot, place.row, factor, vec![one(*coefficient)]);
                }
            }
        }
    }
}

/// What an entry belongs to.
#[derive(Clone, Copy)]
struct Tag {
    identity: Option<usize>,
    share: Option<Share>,
}

fn one(coefficient: i64) -> Weighting {
    Weighting::single(coefficient, Exponents::ONE)
}
