//! Chains: random evaluations of tensors in place.
//!
//! An operator asks for `Σ monomial · cell` over cells of one family, with small integer factors ([`Request`]). A chain walks the rows of these cells with
//! a running value `acc[i] = M·acc[i−1] + Σ_j A_j·lane_j[i]`, where the *multiplier* `M` and the *pattern* `A` are challenge
//! monomials (no entry: the lane is masked, whatever stands there). With row coefficients `C_i` such that
//! `A_j = monomial_j/C_i` and `M = C_{i−1}/C_i`, the last row holds the wanted sum divided by its coefficient.
//!
//! Each multiplier and each pattern of an accumulator column costs a selector, so the same ones should come back again and
//! again. A pattern is normalised by its first active lane; how far its row coefficients are shifted is chosen at its first use
//! such that a multiplier in use is used again; and where a multiplier would be rare, the chain ends and another begins, which
//! costs only one more number that the verifier computes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::layout::Spot;
use super::monomial::Exponents;

/// What a chain reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    /// Weights.
    W,
    /// Accumulators, `2^shift·q + r − 2^(shift−1)`.
    Z,
    /// Requantised values, the accumulators of nodes without shift.
    Q,
    /// Activations.
    Y,
    /// Edges of convolutions.
    E,
    /// The committed input.
    X,
    /// Ends of chains, alone or times a relay, and relays.
    End,
}

/// Row spaces; each is moved to its rows of the circuit as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Space {
    Weights,
    Activations,
    Edges,
    Input,
    /// All rows, for chains of chain ends.
    Circuit,
}

impl Family {
    pub(crate) fn space(self) -> Space {
        match self {
            Self::W => Space::Weights,
            Self::Z | Self::Q | Self::Y => Space::Activations,
            Self::E => Space::Edges,
            Self::X => Space::Input,
            Self::End => Space::Circuit,
        }
    }

    /// A gap of more rows than this ends a chain if it may be broken; shorter gaps are carried over.
    fn gap_max(self) -> u32 {
        match self {
            Self::End => 1 << 10,
            _ => 16,
        }
    }
}

/// First row of the circuit that each space takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub activations: u32,
    pub edges: u32,
    pub input: u32,
}

impl Offsets {
    pub(crate) fn of(&self, space: Space) -> u32 {
        match space {
            Space::Weights | Space::Circuit => 0,
            Space::Activations => self.activations,
            Space::Edges => self.edges,
            Space::Input => self.input,
        }
    }
}

/// An integer times a monomial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Weight {
    pub coefficient: i64,
    pub monomial: Exponents,
}

impl Weight {
    /// The monomial itself.
    pub(crate) fn unit(monomial: Exponents) -> Self {
        Self { coefficient: 1, monomial }
    }
}

/// `Σ weight · cell`. A cell comes at most once.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub family: Family,
    pub entries: Entries,
    /// Whether the sum may come in several parts on several rows.
    pub breakable: bool,
}

/// Cells and what they count with.
pub(crate) type Entries = Vec<(Spot, Weight)>;

/// The first entry of each cell, and the others. `entries` are in the order of their cells, and so is what comes out.
pub(crate) fn distinct(entries: Entries) -> (Entries, Entries) {
    let mut last = None;
    entries.into_iter().partition(|(spot, _)| last.replace(*spot) != Some(*spot))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PatternId(pub usize);

/// Lane coefficients of a row, `None` where a lane is masked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    pub family: Family,
    pub lanes: Vec<Option<Weight>>,
}

/// One row of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// What the row adds (`None`: nothing, the value is carried over).
    pub pattern: Option<PatternId>,
    /// `C_{i−1}/C_i`; of no meaning on a first row.
    pub multiplier: Exponents,
    /// `C_i`
    pub coefficient: Exponents,
}

/// Consecutive rows of one request.
#[derive(Clone, Debug)]
struct Piece {
    request: RequestId,
    family: Family,
    breakable: bool,
    /// Within the row space.
    first_row: u32,
    steps: Vec<Step>,
}

/// Lanes of each row space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lanes {
    /// Of activations and of the committed input.
    pub activations: usize,
    pub weights: usize,
    pub edges: usize,
    /// Of chains of chain ends: columns, and products of two, in which they lie.
    pub slots: usize,
}

impl Lanes {
    pub(crate) fn of(&self, space: Space) -> usize {
        match space {
            Space::Weights => self.weights,
            Space::Activations | Space::Input => self.activations,
            Space::Edges => self.edges,
            Space::Circuit => self.slots,
        }
    }
}

/// A row that a request reads: its normalised pattern and the monomial of its first active lane.
type PatternedRow = (u32, PatternId, Exponents);

/// All chains, before they have columns.
#[derive(Default)]
pub(crate) struct ChainSet {
    lanes: Lanes,
    pieces: Vec<Piece>,
    requests: usize,
    /// Breakable requests by what they read, so that identities that ask for the same sum share it.
    known: HashMap<Vec<PatternedRow>, RequestId>,
    patterns: Vec<Pattern>,
    pattern_ids: HashMap<Pattern, PatternId>,
    /// First active lane's coefficient of each pattern, once chosen.
    scales: Vec<Option<Exponents>>,
    uses: HashMap<(Family, Exponents), usize>,
}

impl ChainSet {
    pub(crate) fn new(lanes: Lanes) -> Self {
        Self { lanes, ..Self::default() }
    }

    pub(crate) fn request(&mut self, mut request: Request) -> RequestId {
        request.entries.sort_unstable_by_key(|(spot, _)| *spot);
        let rows = self.rows_of(&request);
        if request.breakable
            && let Some(id) = self.known.get(&rows)
        {
            return *id;
        }
        let id = RequestId(self.requests);
        self.requests += 1;
        let split =
            |a: &PatternedRow, b: &PatternedRow| !request.breakable || b.0 - a.0 <= request.family.gap_max();
        for run in rows.chunk_by(split) {
            let steps = self.steps_of(run, request.family);
            let (family, breakable) = (request.family, request.breakable);
            self.pieces.push(Piece { request: id, family, breakable, first_row: run[0].0, steps });
        }
        if request.breakable {
            self.known.insert(rows, id);
        }
        id
    }

    fn rows_of(&mut self, request: &Request) -> Vec<PatternedRow> {
        let mut rows = Vec::new();
        for cells in request.entries.chunk_by(|a, b| a.0.row == b.0.row) {
            let lead = cells[0].1.monomial;
            let mut lanes = vec![None; self.lanes.of(request.family.space())];
            for (spot, weight) in cells {
                lanes[spot.lane as usize] = Some(Weight { monomial: weight.monomial.over(lead), ..*weight });
            }
            rows.push((cells[0].0.row, self.intern(Pattern { family: request.family, lanes }), lead));
        }
        rows
    }

    fn intern(&mut self, pattern: Pattern) -> PatternId {
        if let Some(id) = self.pattern_ids.get(&pattern) {
            return *id;
        }
        let id = PatternId(self.patterns.len());
        self.patterns.push(pattern.clone());
        self.scales.push(None);
        self.pattern_ids.insert(pattern, id);
        id
    }

    fn steps_of(&mut self, rows: &[PatternedRow], family: Family) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::with_capacity(rows.len());
        let mut here: HashMap<Exponents, usize> = HashMap::new();
        for (index, &(row, pattern, lead)) in rows.iter().enumerate() {
            let before = steps.last().map(|step| step.coefficient);
            let scale = match self.scales[pattern.0] {
                Some(scale) => scale,
                None => {
                    let usual = self.usual_multiplier(&here, family);
                    let scale = match (before, usual) {
                        (Some(before), Some(usual)) => lead.times(usual).over(before),
                        _ => self.scale_before(rows.get(index + 1), lead, usual),
                    };
                    self.scales[pattern.0] = Some(scale);
                    scale
                }
            };
            let coefficient = lead.over(scale);
            if let (Some(before), Some(previous)) = (before, index.checked_sub(1)) {
                for _ in rows[previous].0 + 1..row {
                    let carry = Step { pattern: None, multiplier: Exponents::ONE, coefficient: before };
                    steps.push(carry);
                }
                let multiplier = before.over(coefficient);
                *here.entry(multiplier).or_default() += 1;
                *self.uses.entry((family, multiplier)).or_default() += 1;
                steps.push(Step { pattern: Some(pattern), multiplier, coefficient });
            } else {
                steps.push(Step { pattern: Some(pattern), multiplier: Exponents::ONE, coefficient });
            }
        }
        steps
    }

    /// The multiplier used most in this chain, or else in this family.
    fn usual_multiplier(&self, here: &HashMap<Exponents, usize>, family: Family) -> Option<Exponents> {
        let most =
            |uses: &mut dyn Iterator<Item = (usize, Exponents)>| uses.max().map(|(_, multiplier)| multiplier);
        most(&mut here.iter().map(|(multiplier, uses)| (*uses, *multiplier))).or_else(|| {
            let family_uses = self.uses.iter().filter(|((of, _), _)| *of == family);
            most(&mut family_uses.map(|((_, multiplier), uses)| (*uses, *multiplier)))
        })
    }

    /// The scale of a chain's first pattern such that the step to the next row has the usual multiplier.
    fn scale_before(
        &self,
        next: Option<&PatternedRow>,
        lead: Exponents,
        usual: Option<Exponents>,
    ) -> Exponents {
        let next = next.and_then(|(_, pattern, lead)| Some(lead.over(self.scales[pattern.0]?)));
        match (next, usual) {
            (Some(next), Some(usual)) => lead.over(usual.times(next)),
            _ => Exponents::ONE,
        }
    }

    /// Most chains that meet on one row of a space.
    pub(crate) fn depth(&self, space: Space) -> usize {
        let mut ends = Vec::new();
        for piece in self.pieces.iter().filter(|piece| piece.family.space() == space) {
            ends.push((piece.first_row, 1i64));
            ends.push((piece.first_row + piece.steps.len() as u32, -1));
        }
        ends.sort_unstable();
        let depths = ends.iter().scan(0, |depth, (_, change)| {
            *depth += change;
            Some(*depth)
        });
        depths.max().unwrap_or(0) as usize
    }

    /// Lets go of what only colouring reads: the colouring has the steps.
    pub(crate) fn forget_requests(&mut self) {
        (self.pieces, self.known, self.pattern_ids) = (Vec::new(), HashMap::new(), HashMap::new());
    }

    /// The lane coefficients of a pattern, with its scale.
    pub(crate) fn pattern(&self, id: PatternId) -> Pattern {
        let pattern = &self.patterns[id.0];
        let scale = self.scales[id.0].unwrap_or_default();
        let scaled = |weight: Weight| Weight { monomial: weight.monomial.times(scale), ..weight };
        let lanes = pattern.lanes.iter().map(|lane| lane.map(scaled)).collect();
        Pattern { family: pattern.family, lanes }
    }

    /// Gives every chain rows and an accumulator column.
    pub(crate) fn colour(&self, offsets: &Offsets, uses_min: usize) -> Colouring {
        let mut order = (0..self.pieces.len()).collect::<Vec<_>>();
        order.sort_by_key(|index| (self.pieces[*index].family, self.pieces[*index].first_row));
        let mut columns: Vec<Shelf> = Vec::new();
        let mut column_of = vec![0; self.pieces.len()];
        for index in order {
            let piece = &self.pieces[index];
            let first = piece.first_row + offsets.of(piece.family.space());
            let end = first + piece.steps.len() as u32;
            let free = columns.iter().enumerate().filter(|(_, shelf)| shelf.is_free(first, end));
            let best = free.min_by_key(|(_, shelf)| shelf.new_selectors(piece)).map(|(column, _)| column);
            let column = best.unwrap_or_else(|| {
                columns.push(Shelf::default());
                columns.len() - 1
            });
            columns[column].put(piece, first, end);
            column_of[index] = column;
        }
        self.segments(&columns, &column_of, offsets, uses_min)
    }

    fn segments(
        &self,
        shelves: &[Shelf],
        column_of: &[usize],
        offsets: &Offsets,
        uses_min: usize,
    ) -> Colouring {
        let mut colouring = Colouring {
            columns: vec![AccColumn::default(); shelves.len()],
            segments: Vec::new(),
            of_request: vec![Vec::new(); self.requests],
        };
        for (piece, &column) in self.pieces.iter().zip(column_of) {
            let offset = piece.first_row + offsets.of(piece.family.space());
            let keeps = |step: &Step| !piece.breakable || shelves[column].keeps(step.multiplier, uses_min);
            let mut from = 0;
            while from < piece.steps.len() {
                if piece.steps[from].pattern.is_none() {
                    from += 1;
                    continue;
                }
                let more = piece.steps[from + 1..].iter().take_while(|step| keeps(step)).count();
                let mut to = from + 1 + more;
                let next = to;
                // Where a chain breaks, rows that only carry it over are left out on both sides.
                while piece.steps[to - 1].pattern.is_none() {
                    to -= 1;
                }
                let steps = piece.steps[from..to].to_vec();
                colouring.push(piece, column, offset + from as u32, steps);
                from = next;
            }
        }
        colouring
    }
}

/// A multiplier of an accumulator column is worth a selector from so many uses on; below, chains are broken there. A selector
/// costs the prover transforms of all rows, a break costs prover and verifier one number.
pub(crate) fn uses_min(rows: u32) -> usize {
    (rows as usize / 32).clamp(24, 512)
}

/// What an accumulator column holds so far.
#[derive(Default)]
struct Shelf {
    taken: BTreeMap<u32, u32>,
    patterns: BTreeSet<PatternId>,
    multipliers: BTreeMap<Exponents, usize>,
    needed: BTreeSet<Exponents>,
}

impl Shelf {
    fn is_free(&self, first: u32, end: u32) -> bool {
        self.taken.range(..end).next_back().is_none_or(|(_, taken_end)| *taken_end <= first)
    }

    fn new_selectors(&self, piece: &Piece) -> usize {
        let patterns: BTreeSet<_> = piece.steps.iter().filter_map(|step| step.pattern).collect();
        let multipliers: BTreeSet<_> = piece.steps[1..].iter().map(|step| step.multiplier).collect();
        patterns.difference(&self.patterns).count()
            + multipliers.iter().filter(|multiplier| !self.multipliers.contains_key(multiplier)).count()
    }

    fn put(&mut self, piece: &Piece, first: u32, end: u32) {
        self.taken.insert(first, end);
        self.patterns.extend(piece.steps.iter().filter_map(|step| step.pattern));
        for step in &piece.steps[1..] {
            *self.multipliers.entry(step.multiplier).or_default() += 1;
            if !piece.breakable {
                self.needed.insert(step.multiplier);
            }
        }
    }

    fn keeps(&self, multiplier: Exponents, uses_min: usize) -> bool {
        self.needed.contains(&multiplier)
            || self.multipliers.get(&multiplier).is_some_and(|uses| *uses >= uses_min)
    }
}

/// A chain with its place.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub family: Family,
    pub column: usize,
    /// Of the circuit.
    pub first_row: u32,
    /// One a row.
    pub steps: Vec<Step>,
}

impl Segment {
    /// The row that holds the value.
    pub(crate) fn end_row(&self) -> u32 {
        self.first_row + self.steps.len() as u32 - 1
    }

    /// What the value must be multiplied by to give the wanted sum.
    pub(crate) fn end_coefficient(&self) -> Exponents {
        self.steps.last().map(|step| step.coefficient).unwrap_or_default()
    }
}

/// The selectors of an accumulator column: on which rows of the circuit each pattern and multiplier acts.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccColumn {
    pub patterns: BTreeMap<PatternId, Vec<u32>>,
    pub multipliers: BTreeMap<Exponents, Vec<u32>>,
}

/// All chains with their places.
#[derive(Default)]
pub(crate) struct Colouring {
    pub columns: Vec<AccColumn>,
    pub segments: Vec<Segment>,
    /// The segments whose values add up to each request's sum.
    pub of_request: Vec<Vec<usize>>,
}

impl Colouring {
    fn push(&mut self, piece: &Piece, column: usize, first_row: u32, steps: Vec<Step>) {
        for (row, (index, step)) in (first_row..).zip(steps.iter().enumerate()) {
            if let Some(pattern) = step.pattern {
                self.columns[column].patterns.entry(pattern).or_default().push(row);
            }
            if index > 0 {
                self.columns[column].multipliers.entry(step.multiplier).or_default().push(row);
            }
        }
        self.of_request[piece.request.0].push(self.segments.len());
        self.segments.push(Segment { family: piece.family, column, first_row, steps });
    }

    /// Number of selectors.
    pub(crate) fn selectors(&self) -> usize {
        self.columns.iter().map(|column| column.patterns.len() + column.multipliers.len()).sum()
    }

    /// Of these, selectors of multipliers.
    pub(crate) fn multipliers(&self) -> usize {
        self.columns.iter().map(|column| column.multipliers.len()).sum()
    }

    /// Accumulator cells in use.
    pub(crate) fn cells(&self) -> usize {
        self.segments.iter().map(|segment| segment.steps.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::monomial::Variable::{Beta, Gamma};

    fn request(breakable: bool, cells: &[(u32, u8, Exponents)]) -> Request {
        let entry = |(row, lane, monomial): &(u32, u8, Exponents)| {
            (Spot { row: *row, lane: *lane }, Weight::unit(*monomial))
        };
        Request { family: Family::Y, entries: cells.iter().map(entry).collect(), breakable }
    }

    fn lanes(lanes: usize) -> Lanes {
        Lanes { activations: lanes, weights: lanes, edges: lanes, slots: 0 }
    }

    /// Every cell's weight as the chains of the request give it: pattern times row coefficient.
    fn weights(set: &ChainSet, colouring: &Colouring, id: RequestId) -> Vec<(u32, u8, Exponents)> {
        let mut cells = Vec::new();
        for segment in colouring.of_request[id.0].iter().map(|segment| &colouring.segments[*segment]) {
            let mut before: Option<Step> = None;
            for (row, step) in (segment.first_row..).zip(&segment.steps) {
                if let Some(before) = before {
                    assert_eq!(step.multiplier, before.coefficient.over(step.coefficient));
                }
                before = Some(*step);
                let lanes = step.pattern.map(|id| set.pattern(id).lanes).unwrap_or_default();
                for (lane, weight) in (0u8..).zip(lanes) {
                    cells.extend(weight.map(|weight| (row, lane, weight.monomial.times(step.coefficient))));
                }
            }
        }
        cells
    }

    /// A full row, a masked one, a gap of two rows, a shifted one, a gap of a hundred rows, and a full one.
    fn cells() -> Vec<(u32, u8, Exponents)> {
        let row = |row: u32, lanes: std::ops::Range<u8>, lead: Exponents| {
            lanes.map(move |lane| (row, lane, lead.times(Gamma.power(i64::from(lane)))))
        };
        let rows = row(0, 0..4, Exponents::ONE).chain(row(1, 0..2, Gamma.power(4)));
        rows.chain(row(4, 1..4, Beta.power(1))).chain(row(105, 0..4, Beta.power(-3))).collect()
    }

    #[test]
    fn chains_give_every_cell_its_weight_however_they_are_broken() {
        for breakable in [false, true] {
            let mut set = ChainSet::new(lanes(4));
            let id = set.request(request(breakable, &cells()));
            let colouring = set.colour(&Offsets::default(), uses_min(256));
            assert_eq!(weights(&set, &colouring, id), cells());
            let segments = colouring.of_request[id.0].len();
            assert_eq!(segments == 1, !breakable, "rare multipliers and long gaps break a chain that may be");
        }
    }

    #[test]
    fn chains_that_meet_take_different_columns_and_others_share_one() {
        let mut set = ChainSet::new(lanes(4));
        let two_rows = |row: u32| [(row, 0, Exponents::ONE), (row + 1, 0, Gamma.power(1))];
        for row in [0, 1, 2, 3] {
            set.request(request(false, &two_rows(row)));
        }
        assert_eq!(set.depth(Space::Activations), 2);
        let colouring = set.colour(&Offsets { activations: 7, ..Offsets::default() }, uses_min(256));
        assert_eq!(colouring.columns.len(), 2);
        let column = |index: usize| colouring.segments[colouring.of_request[index][0]].column;
        assert_eq!((column(0), column(1)), (column(2), column(3)));
        assert_ne!(column(0), column(1));
        assert_eq!(colouring.segments[0].first_row, 7);
    }

    #[test]
    fn the_same_sum_is_read_once_and_a_sum_beside_which_relays_stand_is_not_shared() {
        let mut set = ChainSet::new(lanes(4));
        let ids = [true, true, false, false].map(|breakable| set.request(request(breakable, &cells())).0);
        assert_eq!(ids, [0, 0, 1, 2]);
        let mut others = cells();
        others[0].2 = Beta.power(1);
        assert_eq!(set.request(request(true, &others)).0, 3, "another weight is another sum");
    }

    #[test]
    fn a_multiplier_that_comes_often_is_kept() {
        let mut set = ChainSet::new(lanes(1));
        let cells = (0..100).map(|row| (row, 0, Gamma.power(i64::from(row)))).collect::<Vec<_>>();
        let id = set.request(request(true, &cells));
        let colouring = set.colour(&Offsets::default(), uses_min(256));
        assert_eq!((colouring.of_request[id.0].len(), colouring.selectors()), (1, 2));
    }
}
