//! Challenge monomials while a circuit is being laid out: a fixed array of exponents, cheap to multiply and to hash.

use kiln_plonk::expression::{Challenge, Monomial};

/// Challenges drawn after phase 0, in order. `beta`, `gamma` and `delta` place the elements of tensors, `eta` keeps
/// the identities apart.
pub(crate) const CHALLENGES_PHASE_0: [&str; 4] = ["beta", "gamma", "delta", "eta"];
/// Challenge drawn after phase 1: it ties relayed chain values to their chains.
pub(crate) const CHALLENGES_PHASE_1: [&str; 1] = ["lambda"];
/// One more drawn then, where rows are looked up: their fractions are taken at it. It stands in no monomial.
pub(crate) const CHALLENGE_OF_LOOKUPS: &str = "mu";

/// The place of [`CHALLENGE_OF_LOOKUPS`] among all challenges.
pub(crate) const MU: usize = CHALLENGES_PHASE_0.len() + CHALLENGES_PHASE_1.len();

/// A product of challenge powers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Exponents(pub [i32; 5]);

/// A challenge that places elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// Heights and matrix rows.
    Beta = 0,
    /// Widths.
    Gamma = 1,
    /// Channels and matrix columns.
    Delta = 2,
    /// The number of an identity.
    Eta = 3,
    /// The number of a relay.
    Lambda = 4,
}

impl Variable {
    /// This challenge to a power.
    pub(crate) fn power(self, exponent: i64) -> Exponents {
        let mut exponents = [0; 5];
        // Exponents count cells of one tensor, far fewer than 2^31.
        exponents[self as usize] = exponent as i32;
        Exponents(exponents)
    }
}

impl Exponents {
    /// The empty product.
    pub(crate) const ONE: Self = Self([0; 5]);

    pub(crate) fn times(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    pub(crate) fn over(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }

    pub(crate) fn monomial(self) -> Monomial {
        let powers = self.0.iter().zip(0u32..).filter(|(exponent, _)| **exponent != 0);
        Monomial(powers.map(|(exponent, index)| (Challenge(index), i64::from(*exponent))).collect())
    }
}
