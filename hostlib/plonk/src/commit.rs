//! Commitments to columns, and the blinding that hides them.
//!
//! A column f over the rows becomes the polynomial f + b·(X^n − 1) with random b: the same values on the rows, and as
//! many random values elsewhere as b has coefficients. The values are committed as they are with the Lagrange basis, so
//! that small values stay small; b adds a few points of the monomial basis.

use std::sync::{Arc, OnceLock};

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::One;
use kiln_kernels::{
    Engine, Graph, HostData, Instruction, Outcome, PendingPoint, Program, ScalarBound, Vector,
};
use zeroize::Zeroize;

use crate::error::{KeyError, ProveError};
use kiln_verify::CommittedPublic;

use crate::keys::CommittedSecret;
use crate::plan::COMMITTED_BLINDING;
use crate::randomness::Randomness;
use crate::srs::{SRS_EXTRA, Srs};
use crate::witness::ColumnValues;

/// Commits to columns of one height.
pub(crate) struct Committer<'a> {
    srs: &'a Srs,
    k: u32,
    /// `[τ^(n+i) − τ^i]`
    blinders: Vec<G1Affine>,
}

/// A commitment on its way.
pub(crate) struct PendingCommitment {
    point: PendingPoint,
    blinding: G1Projective,
}

impl PendingCommitment {
    /// The commitment, once the graph has run.
    pub fn get(&self, outcome: &Outcome) -> G1Affine {
        (self.blinding + outcome.point(self.point)).into_affine()
    }
}

impl<'a> Committer<'a> {
    /// # Errors
    /// [`ProveError::SrsTooSmall`], [`ProveError::Srs`]
    pub fn new(srs: &'a Srs, k: u32) -> Result<Self, ProveError> {
        if k > srs.k() {
            return Err(ProveError::SrsTooSmall { expected: k, got: srs.k() });
        }
        srs.check_reduced()?;
        let (low, high) = (srs.monomial(), &srs.monomial()[1 << k..]);
        let differences: Vec<G1Projective> =
            low.iter().zip(high).take(SRS_EXTRA).map(|(low, high)| *high - *low).collect();
        let blinders = G1Projective::normalize_batch(&differences);
        Ok(Self { srs, k, blinders })
    }

    fn row_count(&self) -> usize {
        1 << self.k
    }

    /// Commits to blinded values: in the Lagrange basis where the SRS has one for this height, and otherwise to the
    /// coefficients.
    pub fn rows(
        &self,
        graph: &mut Graph,
        rows: &Vector,
        bound: ScalarBound,
        blinding: &[Fr],
    ) -> PendingCommitment {
        let point = if self.srs.k() == self.k {
            graph.msm(self.srs.lagrange_bases(), 0, rows, bound)
        } else {
            let plain = graph.interpolate_coset(&[rows], Fr::one()).swap_remove(0);
            self.coefficients(graph, &plain)
        };
        PendingCommitment { point, blinding: self.blinding_point(blinding) }
    }

    /// Commits to a polynomial by its coefficients.
    pub fn coefficients(&self, graph: &mut Graph, coefficients: &Vector) -> PendingPoint {
        graph.msm(self.srs.monomial_bases(), 0, coefficients, ScalarBound::Full)
    }

    /// `[b(τ)·(τ^n − 1)]`
    fn blinding_point(&self, blinding: &[Fr]) -> G1Projective {
        G1Projective::msm_unchecked(&self.blinders[..blinding.len()], blinding)
    }
}

/// Coefficients of `f + b·(X^n − 1)` for several columns, with the values of f on the rows given. All are
/// interpolated at once, so that a device may share the work out.
pub(crate) fn blinded_coefficients(
    graph: &mut Graph,
    rows: &[Vector],
    blinding: Vec<Vec<Fr>>,
) -> Vec<Vector> {
    if rows.is_empty() {
        return Vec::new();
    }
    let plain = graph.interpolate_coset(&rows.iter().collect::<Vec<_>>(), Fr::one());
    let blind = |(plain, b): (Vector, Vec<Fr>)| {
        if b.is_empty() {
            return plain;
        }
        let (n, low) = (plain.len(), b.iter().map(|b| -*b).collect());
        extend(graph, &plain, low, b, n)
    };
    plain.into_iter().zip(blinding).map(blind).collect()
}

/// `f + low + X^n·high`, for f of at most n coefficients and a few low and high ones.
pub(crate) fn extend(graph: &mut Graph, f: &Vector, mut low: Vec<Fr>, mut high: Vec<Fr>, n: usize) -> Vector {
    // Of few rows the low coefficients reach into the high ones.
    let mut over = low.split_off(low.len().min(n));
    if over.len() > high.len() {
        std::mem::swap(&mut over, &mut high);
    }
    high.iter_mut().zip(&over).for_each(|(high, over)| *high += over);
    over.zeroize();
    let start = graph.slice(f, 0, low.len());
    let len = low.len();
    let low = graph.upload(HostData::full(low));
    let start = graph.pointwise(sum_of_two(), &[&start, &low], len).swap_remove(0);
    let len = n + high.len();
    let high = graph.upload(HostData::full(high));
    graph.place(&[(f, 0), (&start, 0), (&high, n)], len)
}

fn sum_of_two() -> Arc<Program> {
    static PROGRAM: OnceLock<Arc<Program>> = OnceLock::new();
    let program = || {
        Arc::new(Program {
            inputs: 2,
            outputs: 1,
            constants: Vec::new(),
            instructions: vec![
                Instruction::Load { dst: 0, input: 0, rotation: 0 },
                Instruction::Load { dst: 1, input: 1, rotation: 0 },
                Instruction::Add { dst: 0, a: 0, b: 1 },
                Instruction::Store { output: 0, src: 0 },
            ],
        })
    };
    PROGRAM.get_or_init(program).clone()
}

/// The tightest promise that can be made of a column's values.
pub(crate) fn scalar_bound_vartime(values: &ColumnValues) -> ScalarBound {
    match values {
        HostData::Full(_) => ScalarBound::Full,
        HostData::Small(values) => {
            let magnitude = values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
            ScalarBound::Signed { bits: (u32::BITS - magnitude.leading_zeros()).max(1) }
        }
    }
}

/// Commits to public columns, unblinded.
///
/// # Errors
/// [`KeyError::SrsTooSmall`], [`KeyError::Kernel`]
pub(crate) fn commit_public(
    engine: &Engine,
    srs: &Srs,
    k: u32,
    columns: &[ColumnValues],
) -> Result<Vec<G1Affine>, KeyError> {
    let committer = Committer::new(srs, k).map_err(|error| match error {
        ProveError::Srs(error) => KeyError::Srs(error),
        _ => KeyError::SrsTooSmall { expected: k, got: srs.k() },
    })?;
    let mut graph = Graph::new();
    let pending: Vec<_> = columns
        .iter()
        .map(|values| {
            let rows = graph.upload(values.clone());
            committer.rows(&mut graph, &rows, scalar_bound_vartime(values), &[])
        })
        .collect();
    let outcome = engine.run(graph)?;
    Ok(pending.iter().map(|commitment| commitment.get(&outcome)).collect())
}

/// Commits to a group of columns of `2^k` rows ahead of any proof. With `hiding`, each column is blinded once and for
/// all: proofs never reveal an evaluation of it, so the same commitments may serve any number of proofs. Without, anyone
/// who has the values can recompute the commitments.
///
/// # Errors
/// [`ProveError::Count`] for columns of another length, [`ProveError::SrsTooSmall`], [`ProveError::Kernel`].
pub fn commit_group(
    engine: &Engine,
    srs: &Srs,
    k: u32,
    name: &str,
    values: Vec<ColumnValues>,
    hiding: bool,
    rng: &mut Randomness,
) -> Result<(CommittedSecret, CommittedPublic), ProveError> {
    let committer = Committer::new(srs, k)?;
    if let Some(column) = values.iter().find(|column| column.len() != committer.row_count()) {
        let what = format!("rows of a column of committed group {name:?}");
        return Err(ProveError::Count { what, expected: committer.row_count(), got: column.len() });
    }
    let count = if hiding { COMMITTED_BLINDING } else { 0 };
    let blinding: Vec<Vec<Fr>> = values.iter().map(|_| rng.scalars(count)).collect();
    let mut graph = Graph::new();
    let pending: Vec<_> = values
        .iter()
        .zip(&blinding)
        .map(|(values, blinding)| {
            let rows = graph.upload(values.clone());
            committer.rows(&mut graph, &rows, scalar_bound_vartime(values), blinding)
        })
        .collect();
    let outcome = engine.run(graph)?;
    let commitments = pending.iter().map(|commitment| commitment.get(&outcome)).collect();
    Ok((CommittedSecret { values, blinding }, CommittedPublic { name: name.to_owned(), commitments }))
}
