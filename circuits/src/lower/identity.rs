//! The identities: what the random evaluations of tensors must satisfy.
//!
//! Every operator is one polynomial identity in `beta`, `gamma` and `delta`, a sum of terms that are linear in chain values, or a
//! chain value times a *relay*. All identities are multiplied by different powers of `eta` and added up, and that one sum is
//! zero (Schwartz–Zippel: all that is tested is committed before the challenges are drawn, and the total degree is at most a
//! few times the number of cells, so the error is below 2^−220). One running sum around all rows collects the terms where
//! chains end; nothing is ever routed by a permutation.
//!
//! A relay brings a value to the row on which a weight chain ends, so that the two can be multiplied there:
//! - a *cell* relay repeats a `y` cell. It is committed in phase 0 and one more identity of its operator ties it;
//! - a *chain* relay repeats a chain's value. It is committed in phase 1, and powers of `lambda`, drawn after that, tie it;
//! - an *indicator* says where a row of a table is looked up (`linear/lookup.rs`). It is committed in phase 1, and a sum of
//!   fractions in `mu`, drawn after that, ties all of them at once.

use ark_bn254::Fr;
use kiln_plonk::formula::Run;

use super::chain::RequestId;
use super::layout::Spot;
use super::monomial::Exponents;

/// A [`Run`] with array monomials and a small coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weighting {
    pub coefficient: i64,
    pub public: Option<(u32, u32)>,
    pub len: u32,
    pub first: Exponents,
    pub step: Exponents,
}

impl Weighting {
    /// One monomial.
    pub(crate) fn single(coefficient: i64, monomial: Exponents) -> Self {
        Self { coefficient, public: None, len: 1, first: monomial, step: Exponents::ONE }
    }

    /// The same, times a monomial.
    pub(crate) fn run(&self, factor: Exponents) -> Run {
        Run {
            coefficient: Fr::from(self.coefficient),
            public: self.public,
            len: self.len,
            first: self.first.times(factor).monomial(),
            step: self.step.monomial(),
        }
    }
}

/// `coefficient · Σ value · monomial` in few runs; the values are public inputs, or ones.
pub(crate) fn weightings(
    coefficient: i64,
    items: impl IntoIterator<Item = (Option<u32>, Exponents)>,
) -> Vec<Weighting> {
    let mut runs: Vec<Weighting> = Vec::new();
    let mut last = (None, Exponents::ONE);
    for item in items {
        let (public, monomial) = item;
        let step = monomial.over(last.1);
        let stride = public.zip(last.0).and_then(|(here, before): (u32, u32)| here.checked_sub(before));
        match runs.last_mut() {
            Some(run)
                if run.public.is_some() == public.is_some() && run.public.is_some() == stride.is_some() =>
            {
                if run.len == 1 {
                    run.step = step;
                    run.public = run.public.zip(stride).map(|((start, _), stride)| (start, stride));
                }
                if run.step == step && run.public.map(|run| run.1) == stride {
                    run.len += 1;
                } else {
                    runs.push(single_value(coefficient, public, monomial));
                }
            }
            _ => runs.push(single_value(coefficient, public, monomial)),
        }
        last = item;
    }
    runs
}

fn single_value(coefficient: i64, public: Option<u32>, monomial: Exponents) -> Weighting {
    let public = public.map(|start| (start, 0));
    Weighting { public, ..Weighting::single(coefficient, monomial) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RelayId(pub usize);

/// What a relay repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The `y` cell at a place of the activation space.
    Cell(Spot),
    /// The sum of a request.
    Chain(RequestId),
    /// Nothing that is a cell: `Σ β^m` over the ids `m` of a lookup that are `row`.
    Indicator { lookup: usize, row: u32 },
}

/// A lookup of rows by their numbers: its indicators `h` satisfy `Σ_k h[k]/(μ − k) = Σ_m β^m/(μ − ids[m])`.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// Where the ids lie, in the activation space.
    pub ids: Vec<Spot>,
    /// The identity that says so; it has no parts of its own.
    pub identity: usize,
}

/// A relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relay {
    pub source: Source,
    /// The (unbreakable) weight chain on whose last row it stands.
    pub beside: RequestId,
    /// The identity that multiplies it.
    pub owner: usize,
}

/// A summand of an identity.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A request's sum times what the verifier computes.
    Chain { request: RequestId, weight: Vec<Weighting> },
    /// A relay's value times the sum of the chain beside it.
    Product { relay: RelayId, coefficient: i64 },
    /// A relay's value times a monomial.
    Relay { relay: RelayId, coefficient: i64, monomial: Exponents },
    /// What the verifier computes.
    Known { weight: Vec<Weighting> },
}

/// `Σ parts = 0`
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub parts: Vec<Part>,
    /// The chain in whose region a violation is reported.
    pub home: RequestId,
}

impl Part {
    /// A request's sum times an integer.
    pub(crate) fn chain(request: RequestId, coefficient: i64) -> Self {
        Self::Chain { request, weight: vec![Weighting::single(coefficient, Exponents::ONE)] }
    }
}

/// All identities and relays of a circuit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    pub list: Vec<Identity>,
    pub relays: Vec<Relay>,
    pub lookups: Vec<Lookup>,
}

impl Identities {
    pub(crate) fn relay(&mut self, source: Source, beside: RequestId) -> RelayId {
        self.relays.push(Relay { source, beside, owner: self.list.len() });
        RelayId(self.relays.len() - 1)
    }

    pub(crate) fn push(&mut self, home: RequestId, parts: Vec<Part>) {
        self.list.push(Identity { parts, home });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::monomial::Variable::{Beta, Gamma};

    #[test]
    fn evenly_spaced_weights_become_one_run() {
        let items = (0..10).map(|t| (Some(3 + 2 * t), Gamma.power(i64::from(t) * 4)));
        let runs = weightings(5, items);
        let expected = Weighting {
            coefficient: 5,
            public: Some((3, 2)),
            len: 10,
            first: Exponents::ONE,
            step: Gamma.power(4),
        };
        assert_eq!(runs, [expected]);
    }

    #[test]
    fn a_jump_starts_a_new_run() {
        let monomials = [0, 1, 2, 10, 11].map(|x| (None, Gamma.power(x)));
        let runs = weightings(1, monomials.into_iter().chain([(None, Beta.power(1))]));
        assert_eq!(runs.iter().map(|run| run.len).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(runs[1].first, Gamma.power(10));
    }
}
