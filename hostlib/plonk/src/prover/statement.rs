//! Round 1: binds the transcript to the verifying key and the statement, and brings in what is known ahead of it.
//!
//! Specified in `docs/protocol.md`, "Round 1: `statement`".

use std::collections::BTreeMap;

use kiln_kernels::{Engine, Graph};

use super::Prover;
use super::memory::MemoryPlan;
use super::store::Store;
use crate::commit::Committer;
use crate::constraints::Oracle;
use kiln_verify::VerifyError;

use crate::error::ProveError;
use crate::keys::CommittedSecret;
use crate::plan::index;
use crate::proof::ProofWriter;
use crate::proving_key::ProvingKey;
use crate::randomness::Randomness;
use crate::srs::Srs;
use kiln_verify::Statement;

/// Checks the statement, starts the proof, and makes the fixed and committed polynomials.
pub(super) fn round<'a>(
    engine: &'a Engine,
    pk: &'a ProvingKey,
    srs: &'a Srs,
    statement: &'a Statement,
    committed: &[CommittedSecret],
    rng: Randomness,
    memory: &MemoryPlan,
) -> Result<Prover<'a>, ProveError> {
    let vk = &pk.vk;
    if srs.verifier() != *vk.srs() {
        return Err(ProveError::SrsMismatch);
    }
    check(pk, statement, committed)?;
    pk.check_elements()?;
    let mut writer = ProofWriter::new();
    statement.absorb(vk, &mut writer.transcript);
    let committer = Committer::new(srs, vk.circuit().k)?;
    let (rows, coefficients) = (BTreeMap::new(), BTreeMap::new());
    let store = Store::new(memory)?;
    let memory = memory.clone();
    let mut prover =
        Prover { engine, pk, statement, committer, rng, writer, rows, coefficients, store, memory };
    prover.bring_in(committed)?;
    Ok(prover)
}

fn check(pk: &ProvingKey, statement: &Statement, committed: &[CommittedSecret]) -> Result<(), ProveError> {
    statement.check(&pk.vk).map_err(|error| match error {
        VerifyError::Statement { what, expected, got } => ProveError::Statement { what, expected, got },
        other => ProveError::Unsatisfied(other),
    })?;
    let circuit = pk.vk.circuit();
    if committed.len() != circuit.committed.len() {
        let (expected, got) = (circuit.committed.len(), committed.len());
        return Err(ProveError::Count { what: "secret halves of committed groups".into(), expected, got });
    }
    for (declared, secret) in circuit.committed.iter().zip(committed) {
        let (expected, got) = (declared.columns as usize, secret.values.len());
        let what = || format!("columns of committed group {:?}", declared.name);
        if expected != got || secret.blinding.len() != got {
            return Err(ProveError::Count { what: what(), expected, got });
        }
        for (values, blinding) in secret.values.iter().zip(&secret.blinding) {
            let (expected, got) = (circuit.rows(), values.len());
            if expected != got || blinding.len() > crate::plan::COMMITTED_BLINDING {
                return Err(ProveError::Count { what: format!("rows of the {}", what()), expected, got });
            }
        }
    }
    Ok(())
}

impl Prover<'_> {
    fn bring_in(&mut self, committed: &[CommittedSecret]) -> Result<(), ProveError> {
        let mut graph = Graph::new();
        let fixed = self.pk.fixed.iter().enumerate().map(|(i, values)| (Oracle::Fixed(index(i)), values));
        let sigma = self.pk.sigma.iter().enumerate().map(|(i, values)| (Oracle::Sigma(index(i)), values));
        let mut without_coefficients = Vec::new();
        for (column, (oracle, values)) in fixed.chain(sigma).enumerate() {
            let rows = graph.upload(values.clone());
            match self.pk.coefficients.as_ref().and_then(|known| known.get(column)) {
                Some(known) => drop(self.coefficients.insert(oracle, graph.upload(known.clone()))),
                None => without_coefficients.push((oracle, rows.clone(), Vec::new())),
            }
            self.rows.insert(oracle, rows);
        }
        self.bring_in_columns(&mut graph, without_coefficients);
        let columns = committed.iter().flat_map(|group| group.values.iter().zip(&group.blinding));
        let columns = (0..).zip(columns).map(|(i, (values, blinding))| {
            (Oracle::Committed(i), graph.upload(values.clone()), blinding.clone())
        });
        let columns = columns.collect();
        self.bring_in_columns(&mut graph, columns);
        self.engine.run(graph)?;
        Ok(())
    }
}
