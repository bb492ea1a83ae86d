//! Round 1: binds the transcript to the verifying key and the statement, and brings in what is known ahead of it.
//!
//! Specified in `docs/protocol.md`, "Round 1: `statement`".

use std::collections::BTreeMap;

use kiln_kernels::{Engine, Graph};

use super::Prover;
use crate::commit::{Committer, blinded_coefficients, coefficients};
use crate::constraints::Oracle;
use kiln_verify::VerifyError;

use crate::error::ProveError;
use crate::keys::{CommittedSecret, ProvingKey};
use crate::plan::index;
use crate::proof::ProofWriter;
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
) -> Result<Prover<'a>, ProveError> {
    let vk = &pk.vk;
    if srs.verifier() != *vk.srs() {
        return Err(ProveError::SrsMismatch);
    }
    check(pk, statement, committed)?;
    let mut writer = ProofWriter::new();
    statement.absorb(vk, &mut writer.transcript);
    let committer = Committer::new(srs, vk.circuit().k)?;
    let (rows, coefficients) = (BTreeMap::new(), BTreeMap::new());
    let mut prover = Prover { engine, pk, statement, committer, rng, writer, rows, coefficients };
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
        let (oracles, rows): (Vec<_>, Vec<_>) =
            fixed.chain(sigma).map(|(oracle, values)| (oracle, graph.upload(values.clone()))).unzip();
        self.coefficients.extend(oracles.iter().copied().zip(coefficients(&mut graph, &rows)));
        self.rows.extend(oracles.into_iter().zip(rows));

        let columns = committed.iter().flat_map(|group| group.values.iter().zip(&group.blinding));
        let (rows, blinding): (Vec<_>, Vec<_>) =
            columns.map(|(values, blinding)| (graph.upload(values.clone()), blinding.clone())).unzip();
        let committed = blinded_coefficients(&mut graph, &rows, blinding);
        self.coefficients.extend((0..).map(Oracle::Committed).zip(committed));
        drop(rows);
        self.engine.run(graph)?;
        Ok(())
    }
}
