//! Round 2: advice columns phase by phase, each followed by the circuit's challenges, and multiplicities.
//!
//! Specified in `docs/protocol.md`, "Round 2: `phases`".

use std::collections::BTreeMap;

use ark_bn254::Fr;
use kiln_kernels::{Graph, HostData};

use super::{Prover, multiplicities};
use crate::commit::scalar_bound_vartime;
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
        prover.commit_values(columns.iter().map(|column| Oracle::Advice(*column)).zip(values).collect())?;
        for name in vk.circuit().challenges.get(phase).into_iter().flatten() {
            challenges.push(prover.writer.transcript.challenge(name));
        }
    }
    witness.finish();
    prover.bring_in_instance(&challenges, &mut assignment)?;
    let counts = multiplicities::count(prover.pk, &assignment, &challenges)?;
    let oracles = (0..).map(Oracle::Multiplicity);
    prover.commit_values(oracles.zip(counts).collect())?;
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
    fn commit_values(&mut self, columns: Vec<(Oracle, ColumnValues)>) -> Result<(), ProveError> {
        let mut columns = columns.into_iter().peekable();
        let at_once = self.columns_at_once(columns.len());
        while columns.peek().is_some() {
            let mut graph = Graph::new();
            let mut made = Vec::new();
            for (oracle, values) in columns.by_ref().take(at_once) {
                let bound = scalar_bound_vartime(&values);
                let rows = graph.upload(values);
                self.rows.insert(oracle, rows.clone());
                made.push((oracle, rows, bound));
            }
            self.commit(graph, made)?;
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
        let mut brought = Vec::with_capacity(columns.len());
        for (i, values) in columns.into_iter().enumerate() {
            let (oracle, values) = (Oracle::Instance(index(i)), HostData::full(values));
            assignment.columns.insert(Column::Instance(index(i)), values.clone());
            let rows = graph.upload(values);
            self.rows.insert(oracle, rows.clone());
            brought.push((oracle, rows, Vec::new()));
        }
        self.bring_in_columns(&mut graph, brought);
        self.engine.run(graph)?;
        Ok(())
    }
}
