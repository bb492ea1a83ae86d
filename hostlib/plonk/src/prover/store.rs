//! How columns are held between the rounds, and how rounds get at them.
//!
//! What a round needs of a polynomial are its coefficients. They are in memory; or made again from the values on the rows
//! and the blinding; or read back from disk. Whichever it is, they are the same, so the proof is.

use std::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;
use kiln_kernels::{Graph, HostData, KernelFailure, ScalarBound, Vector};
use zeroize::Zeroizing;

use super::Prover;
use super::memory::{Holding, MemoryPlan};
use super::spill::{SpillFile, Spilled};
use crate::combine::combine;
use crate::commit::blinded_coefficients;
use crate::constraints::Oracle;
use crate::error::ProveError;

/// A column that is not held as coefficients in memory.
pub(super) enum Held {
    /// By its values on the rows and the coefficients of its blinding.
    Rows(Vector, Zeroizing<Vec<Fr>>),
    /// By its coefficients, on disk.
    Spilled(Spilled),
}

/// The columns that are not held as coefficients in memory, and where.
pub(super) struct Store {
    pub holding: Holding,
    held: BTreeMap<Oracle, Held>,
    file: Option<SpillFile>,
}

impl Store {
    /// An empty store.
    ///
    /// # Errors
    /// [`ProveError::Spill`] if no file can be made.
    pub fn new(plan: &MemoryPlan) -> Result<Self, ProveError> {
        let file = match (plan.holding(), plan.directory()) {
            (Holding::Disk, Some(directory)) => Some(SpillFile::new(directory).map_err(ProveError::Spill)?),
            (Holding::Disk, None) => return Err(ProveError::Spill(std::io::ErrorKind::NotFound.into())),
            _ => None,
        };
        Ok(Self { holding: plan.holding(), held: BTreeMap::new(), file })
    }

    /// Elements of a column that it holds.
    fn len(&self, oracle: Oracle) -> Option<usize> {
        self.held.get(&oracle).map(|held| match held {
            Held::Rows(rows, blinding) => rows.len() + blinding.len(),
            Held::Spilled(column) => column.len(),
        })
    }
}

impl Prover<'_> {
    /// Gives back the host memory that only the recipe of a vector holds, unless memory is no concern and another device
    /// could make it again.
    pub(super) fn settle(&self, vector: &Vector) {
        if self.store.holding != Holding::Memory || !self.engine.has_several_devices() {
            vector.settle();
        }
    }

    /// How many of `count` columns to have in memory as coefficients at a time.
    pub(super) fn columns_at_once(&self, count: usize) -> usize {
        match self.store.holding {
            Holding::Memory => count.max(1),
            Holding::Rows | Holding::Disk => super::memory::columns_at_once(),
        }
    }

    /// Length of a polynomial.
    pub(super) fn polynomial_len(&self, oracle: Oracle) -> Result<usize, KernelFailure> {
        let held = self.coefficients.get(&oracle).map(Vector::len).or_else(|| self.store.len(oracle));
        held.ok_or_else(|| missing(oracle))
    }

    /// The coefficients of polynomials that earlier rounds made.
    pub(super) fn polynomials(
        &self,
        graph: &mut Graph,
        oracles: &[Oracle],
    ) -> Result<Vec<Vector>, ProveError> {
        let mut found: Vec<Option<Vector>> = Vec::with_capacity(oracles.len());
        let (mut rows, mut blinding, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (place, oracle) in oracles.iter().enumerate() {
            let in_memory = self.coefficients.get(oracle).cloned();
            found.push(match (in_memory, self.store.held.get(oracle), &self.store.file) {
                (Some(coefficients), ..) => Some(coefficients),
                (None, Some(Held::Rows(values, b)), _) => {
                    rows.push(values.clone());
                    blinding.push(b.to_vec());
                    places.push(place);
                    None
                }
                (None, Some(Held::Spilled(column)), Some(file)) => {
                    let elements = file.load(column).map_err(ProveError::Spill)?;
                    Some(graph.upload(HostData::full(elements)))
                }
                _ => return Err(missing(*oracle).into()),
            });
        }
        for (place, made) in places.into_iter().zip(blinded_coefficients(graph, &rows, blinding)) {
            if let Some(found) = found.get_mut(place) {
                *found = Some(made);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// `Σ factor·polynomial + Σ factor·vector`.
    pub(super) fn combination(
        &self,
        terms: &[(Oracle, Fr)],
        vectors: &[(&Vector, Fr)],
    ) -> Result<Vector, ProveError> {
        let lens = terms.iter().map(|(oracle, _)| self.polynomial_len(*oracle));
        let lens = lens.collect::<Result<Vec<_>, _>>()?;
        let len = lens.into_iter().chain(vectors.iter().map(|(vector, _)| vector.len())).max().unwrap_or(0);
        let mut graph = Graph::new();
        let (rows, terms): (Vec<_>, Vec<_>) =
            terms.iter().partition(|(oracle, _)| self.rows(*oracle).is_some());
        let mut total = {
            let of_rows = self.combination_of_rows(&mut graph, &rows)?;
            let of_rows = of_rows.iter().map(|sum| (sum, Fr::from(1u64)));
            combine(&mut graph, &vectors.iter().copied().chain(of_rows).collect::<Vec<_>>(), len)?
        };
        // Before the others are there, so that not all of it takes memory at a time.
        self.engine.run(std::mem::take(&mut graph))?;
        self.settle(&total);
        for part in terms.chunks(self.columns_at_once(terms.len())) {
            let oracles: Vec<_> = part.iter().map(|(oracle, _)| *oracle).collect();
            let polynomials = self.polynomials(&mut graph, &oracles)?;
            let before = (&total, Fr::from(1u64));
            let parts = polynomials.iter().zip(part).map(|(polynomial, (_, factor))| (polynomial, *factor));
            let sum = combine(&mut graph, &parts.chain([before]).collect::<Vec<_>>(), len)?;
            total = sum;
            drop(polynomials);
            self.engine.run(std::mem::take(&mut graph))?;
            self.settle(&total);
        }
        Ok(total)
    }

    /// The values on the rows and the blinding of a column that is held by these.
    fn rows(&self, oracle: Oracle) -> Option<(&Vector, &[Fr])> {
        match self.store.held.get(&oracle) {
            Some(Held::Rows(values, blinding)) if !self.coefficients.contains_key(&oracle) => {
                Some((values, blinding))
            }
            _ => None,
        }
    }

    /// `Σ factor·polynomial` of columns that are held by their values. These are added up first, so that one transform does.
    fn combination_of_rows(
        &self,
        graph: &mut Graph,
        terms: &[&(Oracle, Fr)],
    ) -> Result<Option<Vector>, KernelFailure> {
        let mut rows = Vec::new();
        let mut blinding = Zeroizing::new(Vec::new());
        for (oracle, factor) in terms {
            let Some((values, own)) = self.rows(*oracle) else { continue };
            rows.push((values, *factor));
            let len = blinding.len().max(own.len());
            blinding.resize(len, Fr::from(0u64));
            blinding.iter_mut().zip(own).for_each(|(sum, b)| *sum += *factor * b);
        }
        let Some(len) = rows.iter().map(|(values, _)| values.len()).max() else { return Ok(None) };
        let sum = combine(graph, &rows, len)?;
        Ok(blinded_coefficients(graph, &[sum], vec![blinding.to_vec()]).pop())
    }

    /// Keeps a vector of coefficients for later rounds.
    pub(super) fn keep(&mut self, oracle: Oracle, coefficients: Vector) -> Result<(), ProveError> {
        self.settle(&coefficients);
        let Some(file) = &mut self.store.file else {
            self.coefficients.insert(oracle, coefficients);
            return Ok(());
        };
        let mut graph = Graph::new();
        let pending = graph.download(&coefficients, 0, coefficients.len());
        drop(coefficients);
        let elements = Zeroizing::new(self.engine.run(graph)?.take_scalars(pending));
        let column = file.store(&elements).map_err(ProveError::Spill)?;
        self.store.held.insert(oracle, Held::Spilled(column));
        Ok(())
    }

    /// Makes the coefficients of polynomials that are not held by these, to be read often.
    pub(super) fn hold(&mut self, oracles: &BTreeSet<Oracle>) -> Result<(), ProveError> {
        let oracles: Vec<Oracle> = oracles.iter().copied().collect();
        for some in oracles.chunks(self.columns_at_once(oracles.len())) {
            let mut graph = Graph::new();
            let made = self.polynomials(&mut graph, some)?;
            self.engine.run(graph)?;
            made.iter().for_each(|made| self.settle(made));
            self.coefficients.extend(some.iter().copied().zip(made));
        }
        Ok(())
    }

    /// Lets go of what [`Self::hold`] made.
    pub(super) fn release(&mut self, oracles: &BTreeSet<Oracle>) {
        self.coefficients.retain(|oracle, _| !oracles.contains(oracle));
    }

    /// Lets go of a polynomial.
    pub(super) fn forget(&mut self, drop: impl Fn(&Oracle) -> bool) {
        self.coefficients.retain(|oracle, _| !drop(oracle));
        self.store.held.retain(|oracle, _| !drop(oracle));
    }

    /// Runs the graph that makes these columns' values, blinds them, commits to them, appends the commitments to the proof
    /// and keeps the polynomials.
    pub(super) fn commit(
        &mut self,
        mut graph: Graph,
        columns: Vec<(Oracle, Vector, ScalarBound)>,
    ) -> Result<(), ProveError> {
        let (mut pending, mut rows, mut blindings) = (Vec::new(), Vec::new(), Vec::new());
        for (oracle, values, bound) in columns {
            let blinding = Zeroizing::new(self.blinding(oracle));
            pending.push((oracle, self.committer.rows(&mut graph, &values, bound, &blinding)));
            rows.push(values);
            blindings.push(blinding);
        }
        let coefficients = match self.store.holding {
            Holding::Rows => Vec::new(),
            _ => blinded_coefficients(&mut graph, &rows, blindings.iter().map(|b| b.to_vec()).collect()),
        };
        if self.store.holding != Holding::Rows {
            rows.clear();
        }
        let outcome = self.engine.run(graph)?;
        for (_, commitment) in &pending {
            self.writer.point(&commitment.get(&outcome));
        }
        let oracles = pending.into_iter().map(|(oracle, _)| oracle);
        if self.store.holding == Holding::Rows {
            let held = rows.into_iter().zip(blindings).map(|(rows, blinding)| Held::Rows(rows, blinding));
            self.store.held.extend(oracles.zip(held));
        } else {
            for (oracle, coefficients) in oracles.zip(coefficients) {
                self.keep(oracle, coefficients)?;
            }
        }
        Ok(())
    }

    /// Brings in polynomials by their values and their blinding that nobody commits to here.
    pub(super) fn bring_in_columns(&mut self, graph: &mut Graph, columns: Vec<(Oracle, Vector, Vec<Fr>)>) {
        if self.store.holding != Holding::Memory {
            let held = |rows, blinding| Held::Rows(rows, Zeroizing::new(blinding));
            self.store.held.extend(columns.into_iter().map(|(o, rows, blinding)| (o, held(rows, blinding))));
            return;
        }
        let (oracles, columns): (Vec<_>, Vec<_>) =
            columns.into_iter().map(|(oracle, rows, blinding)| (oracle, (rows, blinding))).unzip();
        let (rows, blinding): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        self.coefficients.extend(oracles.into_iter().zip(blinded_coefficients(graph, &rows, blinding)));
    }
}

/// A polynomial that no earlier round made.
fn missing(oracle: Oracle) -> KernelFailure {
    KernelFailure::InvariantViolation {
        kernel: "evaluate",
        detail: format!("{oracle:?} is read and was never made"),
    }
}
