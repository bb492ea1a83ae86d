//! Where everything is in the calldata and in memory.

use std::collections::BTreeMap;

use kiln_verify::VerifyingKey;
use kiln_verify::internals::constraints::Oracle;
use kiln_verify::internals::plan::index;

/// Bytes of a word.
pub(crate) const WORD: usize = 32;
/// Bytes of a point: two coordinates.
pub(crate) const POINT: usize = 2 * WORD;
/// Bytes of a function selector.
const SELECTOR: usize = 4;

/// Memory for calls of precompiles: a point and its factor at 0, the sum of points at [`SUM`], the next term behind it.
pub(crate) const SCRATCH_END: usize = 0x100;
/// Address of the sum of points so far.
pub(crate) const SUM: usize = 0x80;

/// Words of the calldata: public inputs, committed groups that are arguments, the proof. All offsets in bytes.
pub(crate) struct Calldata {
    /// First public input.
    pub public_inputs: usize,
    /// Each group that is an argument: its index, its offset, its number of points.
    pub groups: Vec<(usize, usize, usize)>,
    /// First word of the proof.
    pub proof: usize,
    /// Points of the proof, in order, without the last two.
    pub points: Vec<(Oracle, usize)>,
    /// Pieces of the quotient.
    pub pieces: Vec<usize>,
    /// First evaluation.
    pub evaluations: usize,
    /// The two points of the opening.
    pub opening: [usize; 2],
    /// Length of all of it.
    pub end: usize,
}

impl Calldata {
    /// Lays out the calldata of a key; `arguments` are the indices of the groups that are arguments.
    pub fn new(vk: &VerifyingKey, arguments: &[usize]) -> Self {
        let (circuit, plan) = (vk.circuit(), vk.plan());
        let public_inputs = SELECTOR;
        let mut next = public_inputs + circuit.public_inputs as usize * WORD;
        let mut take = |bytes: usize| {
            next += bytes;
            next - bytes
        };
        let columns = |group: usize| circuit.committed[group].columns as usize;
        let groups =
            arguments.iter().map(|&group| (group, take(columns(group) * POINT), columns(group))).collect();
        let advice = plan.phases.iter().flatten().map(|column| Oracle::Advice(*column));
        let multiplicities = (0..index(plan.segments.len())).map(Oracle::Multiplicity);
        let helpers = (0..index(plan.helpers.len())).map(Oracle::Helper);
        let sum = plan.has_running_sum().then_some(Oracle::RunningSum);
        let oracles = advice.chain(multiplicities).chain(helpers).chain(sum);
        let points: Vec<_> = oracles.map(|oracle| (oracle, take(POINT))).collect();
        let pieces: Vec<_> = (0..plan.pieces).map(|_| take(POINT)).collect();
        let evaluations = take(plan.queries.len() * WORD);
        let opening = [take(POINT), take(POINT)];
        let proof = [points.first().map(|point| point.1), pieces.first().copied(), Some(evaluations)];
        let proof = proof.into_iter().flatten().min().unwrap_or(evaluations);
        Self { public_inputs, groups, proof, points, pieces, evaluations, opening, end: next }
    }

    /// Words of the proof.
    pub fn proof_words(&self) -> usize {
        (self.end - self.proof) / WORD
    }

    /// Offsets of the committed columns that are arguments.
    pub fn committed(&self, vk: &VerifyingKey) -> BTreeMap<u32, usize> {
        let mut offsets = BTreeMap::new();
        for &(group, offset, columns) in &self.groups {
            let before: u32 = vk.circuit().committed[..group].iter().map(|group| group.columns).sum();
            offsets.extend((0..columns).map(|column| (before + index(column), offset + column * POINT)));
        }
        offsets
    }

    /// Every point of the proof.
    pub fn proof_points(&self) -> impl Iterator<Item = usize> {
        self.points.iter().map(|point| point.1).chain(self.pieces.iter().copied()).chain(self.opening)
    }
}
