//! Points by reference: where an addition finds its operands.

use ark_bn254::G1Affine;

const NEGATIVE: u32 = 1 << 31;
const KIND_SHIFT: u32 = 28;
const KIND_MASK: u32 = 7;
const INDEX_MASK: u32 = (1 << KIND_SHIFT) - 1;

/// How many points a list may have.
pub(super) const LIST_LEN_MAX: usize = 1 << KIND_SHIFT;

/// The lists that an [`Entry`] can point into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// The bases, or whatever is summed.
    Bases = 0,
    /// Their images under the endomorphism.
    Images = 1,
    /// Sums made by the last three batches, in turn.
    First = 2,
    Second = 3,
    Third = 4,
}

impl List {
    pub(super) const SUMS: [List; 3] = [List::First, List::Second, List::Third];
}

/// ± a point of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cpu) struct Entry(pub(super) u32);

impl Entry {
    /// The point at `index` < [`LIST_LEN_MAX`].
    pub(super) fn new(list: List, index: usize) -> Entry {
        debug_assert!(index < LIST_LEN_MAX);
        Entry((list as u32) << KIND_SHIFT | index as u32)
    }

    /// Minus this, if `negative`.
    pub(super) fn signed(self, negative: bool) -> Entry {
        Entry(self.0 ^ u32::from(negative) << 31)
    }

    pub(in crate::cpu) fn is_negative(self) -> bool {
        self.0 & NEGATIVE != 0
    }
}

/// The lists themselves.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Lists<'a>(pub(super) [&'a [G1Affine]; 8]);

impl<'a> Lists<'a> {
    /// The point that an entry names, without its sign.
    #[inline(always)]
    pub(in crate::cpu) fn unsigned(&self, entry: Entry) -> &'a G1Affine {
        &self.0[(entry.0 >> KIND_SHIFT & KIND_MASK) as usize][(entry.0 & INDEX_MASK) as usize]
    }

    /// The point that an entry names.
    pub(in crate::cpu) fn get(&self, entry: Entry) -> G1Affine {
        let point = *self.unsigned(entry);
        if entry.is_negative() { -point } else { point }
    }
}
