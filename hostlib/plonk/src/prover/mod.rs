//! The prover: the same rounds as the verifier's, one file each, under the same names.
//!
//! All heavy work is written down as graphs of kernels and run by the engine, wherever that may be.

#[cfg(test)]
mod cheating;
mod evaluations;
#[cfg(test)]
mod hiding;
mod lookup;
mod memory;
mod multiplicities;
mod opening;
mod phases;
mod quotient;
mod spill;
mod statement;
mod store;
mod work;

use std::collections::BTreeMap;

use ark_bn254::Fr;
use kiln_kernels::{Engine, Vector};

use self::store::Store;
use crate::commit::Committer;
use crate::constraints::Oracle;
use crate::error::ProveError;
use crate::keys::CommittedSecret;
use crate::linearisation::Linearisation;
use crate::progress::{Clock, Progress, ProofReport};
use crate::proof::ProofWriter;
use crate::proving_key::ProvingKey;
use crate::randomness::Randomness;
use crate::srs::Srs;
use crate::witness::Witness;
use kiln_verify::verify;
use kiln_verify::{Portable, Statement};

pub use self::memory::{Holding, MemoryPlan};
pub use self::work::Work;

/// What all rounds share.
struct Prover<'a> {
    engine: &'a Engine,
    pk: &'a ProvingKey,
    statement: &'a Statement,
    committer: Committer<'a>,
    rng: Randomness,
    writer: ProofWriter,
    /// Values on the rows, as long as a round needs them.
    rows: BTreeMap<Oracle, Vector>,
    /// Coefficients of the polynomials, blinded where they are to be hidden.
    coefficients: BTreeMap<Oracle, Vector>,
    /// The polynomials that are not held as coefficients in memory.
    store: Store,
    memory: MemoryPlan,
}

/// Proves a statement. `committed` are the secret halves of the statement's committed groups, in order. The proof is
/// verified before it is given out, so a wrong witness gives an error and never a wrong proof.
///
/// # Errors
/// [`ProveError`]: counts that do not fit, a witness that cannot be made or does not satisfy the circuit, an SRS that is
/// not the key's, or a kernel that failed on every device. No error holds a value of the witness.
#[allow(clippy::too_many_arguments)] // Each is a thing of its own that the caller holds already.
pub fn prove(
    engine: &Engine,
    pk: &ProvingKey,
    srs: &Srs,
    statement: &Statement,
    committed: &[CommittedSecret],
    witness: &dyn Witness,
    rng: Randomness,
    progress: &dyn Progress,
) -> Result<(Vec<u8>, ProofReport), ProveError> {
    prove_within(engine, pk, srs, statement, committed, witness, rng, progress, &MemoryPlan::default())
}

/// As [`prove`], with memory used as a [`MemoryPlan`] says. From one seed, every plan gives the same proof.
///
/// # Errors
/// As [`prove`], and [`ProveError::Spill`] if the disk fails.
#[allow(clippy::too_many_arguments)] // As above.
pub fn prove_within(
    engine: &Engine,
    pk: &ProvingKey,
    srs: &Srs,
    statement: &Statement,
    committed: &[CommittedSecret],
    witness: &dyn Witness,
    rng: Randomness,
    progress: &dyn Progress,
    memory: &MemoryPlan,
) -> Result<(Vec<u8>, ProofReport), ProveError> {
    let mut clock = Clock::new(progress);
    // 1 ----- bind to key and statement
    clock.next_round();
    let mut prover = statement::round(engine, pk, srs, statement, committed, rng, memory)?;
    // 2 ----- advice of each phase, the circuit's challenges, multiplicities
    clock.next_round();
    let circuit_challenges = phases::round(&mut prover, witness)?;
    // 3 ----- helpers and running sum of lookups and copies
    clock.next_round();
    let challenges = lookup::round(&mut prover, circuit_challenges)?;
    // 4 ----- quotient
    clock.next_round();
    let (alpha, pieces) = quotient::round(&mut prover, &challenges)?;
    // 5 ----- evaluations at ζ, linearisation
    clock.next_round();
    let evaluations = evaluations::round(&mut prover, &challenges)?;
    let vk = &pk.vk;
    let linearisation =
        Linearisation::new(&Portable, vk.circuit(), vk.plan(), &challenges, alpha, &evaluations);
    // 6 ----- opening
    clock.next_round();
    let proof = opening::round(prover, &pieces, &linearisation, evaluations.zeta)?;
    // 7 ----- nothing leaves unchecked
    clock.next_round();
    verify(vk, statement, &proof).map_err(ProveError::Unsatisfied)?;
    Ok((proof, clock.finish()))
}

impl Prover<'_> {
    /// Random coefficients to blind a polynomial with.
    fn blinding(&mut self, oracle: Oracle) -> Vec<Fr> {
        self.rng.scalars(self.pk.vk.plan().blinding(oracle))
    }
}
