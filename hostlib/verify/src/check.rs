//! Every check on which soundness rests, by name.
//!
//! In a test of this crate one of them can be taken away, to see that it, and nothing else, refuses a certain lie (see
//! `cheating`). Anywhere else they are all there: [`Check::is_on`] is a constant.

use crate::constraints::Oracle;
use crate::plan::Fraction;

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    // ----- the statement fits the circuit
    /// As many public inputs as the circuit declares.
    PublicInputCount,
    /// As many committed groups as the circuit declares.
    GroupCount,
    /// A committed group has the name that the circuit gives it.
    GroupName,
    /// A committed group has as many columns as the circuit declares.
    GroupColumns,
    /// Commitments that do not come from bytes lie on the curve.
    GroupOnCurve,

    // ----- the bytes are a proof, in the one form that it has
    /// Magic and version.
    Header,
    /// The length that the circuit determines.
    Length,
    /// Nothing is left when all has been read.
    End,
    /// A scalar is below r.
    CanonicalScalar,
    /// A coordinate is below q.
    CanonicalPoint,
    /// A commitment is not the point at infinity.
    NotInfinity,

    // ----- challenges depend on everything before them
    /// The verifying key's digest.
    AbsorbKey,
    /// The public inputs.
    AbsorbPublicInputs,
    /// The commitments of the committed groups.
    AbsorbGroups,
    /// Points of the proof, by what they are.
    AbsorbPoint(&'static str),
    /// The evaluations.
    AbsorbScalar,

    // ----- the constraints
    /// A constraint, in the order of powers of α.
    Constraint(usize),
    /// A term of the sum of the lookup and copy arguments.
    Fraction(Fraction),
    /// The tag that sets the entries of one table apart from another's.
    TableTag,

    // ----- the opening
    /// The linearisation opens to zero.
    Linearised,
    /// A polynomial opens to its claimed values.
    Opened(Oracle),
    /// The pairing equation.
    Pairing,
    /// Weights keep the claims of a batch apart.
    BatchWeights,
}

impl Check {
    /// True.
    #[cfg(not(test))]
    #[inline(always)]
    pub const fn is_on(self) -> bool {
        true
    }

    /// True unless this test has taken the check away.
    #[cfg(test)]
    pub fn is_on(self) -> bool {
        !removed::REMOVED.with_borrow(|removed| removed.contains(&self))
    }
}

#[cfg(test)]
pub(crate) use removed::without;

#[cfg(test)]
mod removed {
    use std::cell::RefCell;
    use std::vec::Vec;

    use super::Check;

    std::thread_local! {
        pub static REMOVED: RefCell<Vec<Check>> = const { RefCell::new(Vec::new()) };
    }

    /// Runs something in a world without these checks.
    pub(crate) fn without<T>(checks: &[Check], run: impl FnOnce() -> T) -> T {
        let before = REMOVED.replace(checks.to_vec());
        let result = run();
        REMOVED.set(before);
        result
    }
}
