//! Round 2: advice columns phase by phase, each followed by the circuit's challenges, and multiplicities.
//!
//! Specified in `docs/protocol.md`, "Round 2: `phases`".

use std::collections::BTreeMap;

use ark_bn254::Fr;
use kiln_kernels::{Graph, HostData};

use super::{Prover, multiplicities};
use crate::commit::{coefficients, scalar_bound_vartime};
use crate::constraints::Oracle;
use crate::error::ProveError;
use crate::expression::Column;
use crate::plan::index;
use crate::witness::ColumnValues;
use crate::witness::{Witness, WitnessError};

/// Values of the advice and instance columns on the host, wiped when dropped.
pub(super) struct Assignment {
    pub columns: BTreeMap<Column, ColumnValues>,
}

impl Drop for Assignment {
    fn drop(&mut self) {
        self.columns.values_mut().for_each(ColumnValues::wipe);
    }
}

/// Commits to the witness, draws the circuit's challenges, and commits to the multiplicities.
pub(super) fn round(prover: &mut Prover<'_>, witness: &dyn Witness) -> Result<Vec<Fr>, ProveError> {
    let vk = &prover.pk.vk;
    let mut assignment = Assignment { columns: BTreeMap::new() };
    let mut challenges = Vec::new();
    for (phase, columns) in vk.plan().phases.iter().enumerate() {
        let values = ask(prover, witness, phase, columns, &challenges)?;
        for (column, values) in columns.iter().zip(&values) {
            assignment.columns.insert(Column::Advice(*column), values.clone());
        }
        prover.commit(columns.iter().map(|column| Oracle::Advice(*column)).zip(values).collect())?;
        for name in vk.circuit().challenges.get(phase).into_iter().flatten() {
            challenges.push(prover.writer.transcript.challenge(name));
        }
    }
    prover.bring_in_instance(&challenges, &mut assignment)?;
    let counts = multiplicities::count(prover.pk, &assignment, &challenges)?;
    let oracles = (0..).map(Oracle::Multiplicity);
    prover.commit(oracles.zip(counts).collect())?;
    Ok(challenges)
}

fn ask(
    prover: &Prover<'_>,
    witness: &dyn Witness,
    phase: usize,
    columns: &[u32],
    challenges: &[Fr],
) -> Result<Vec<ColumnValues>, ProveError> {
    let phase = u8::try_from(phase).unwrap_or(u8::MAX);
    let values = witness.phase(phase, challenges)?;
    if values.len() != columns.len() {
        return Err(WitnessError::ColumnCount { phase, expected: columns.len(), got: values.len() }.into());
    }
    let expected = prover.pk.vk.circuit().rows();
    for (column, values) in columns.iter().zip(&values) {
        if values.len() != expected {
            let column = Column::Advice(*column);
            return Err(WitnessError::ColumnLength { column, expected, got: values.len() }.into());
        }
    }
    Ok(values)
}

impl Prover<'_> {
    /// Blinds and commits to columns, and appends the commitments to the proof.
    fn commit(&mut self, columns: Vec<(Oracle, ColumnValues)>) -> Result<(), ProveError> {
        let mut graph = Graph::new();
        let (oracles, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let columns = oracles
            .iter()
            .zip(values)
            .map(|(oracle, values)| {
                let bound = scalar_bound_vartime(&values);
                (graph.upload(values), bound, self.blinding(*oracle))
            })
            .collect();
        let pending = oracles.into_iter().zip(self.committer.columns(&mut graph, columns));
        let pending: Vec<_> = pending.collect();
        let outcome = self.engine.run(graph)?;
        for (oracle, column) in pending {
            self.writer.point(&column.commitment.get(&outcome));
            self.rows.insert(oracle, column.rows);
            self.coefficients.insert(oracle, column.coefficients);
        }
        Ok(())
    }

    /// Works out the instance columns. Nobody commits to them: the verifier evaluates them by itself.
    fn bring_in_instance(
        &mut self,
        challenges: &[Fr],
        assignment: &mut Assignment,
    ) -> Result<(), ProveError> {
        let columns = self.pk.vk.circuit().instance_columns(&self.statement.public_inputs, challenges);
        let mut graph = Graph::new();
        let mut rows = Vec::with_capacity(columns.len());
        for (i, values) in columns.into_iter().enumerate() {
            let values = HostData::full(values);
            assignment.columns.insert(Column::Instance(index(i)), values.clone());
            rows.push(graph.upload(values));
        }
        let oracles = || (0..).map(Oracle::Instance);
        self.coefficients.extend(oracles().zip(coefficients(&mut graph, &rows)));
        self.rows.extend(oracles().zip(rows));
        self.engine.run(graph)?;
        Ok(())
    }
}
