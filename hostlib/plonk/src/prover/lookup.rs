//! Round 3: helpers and running sum of the lookup and copy arguments.
//!
//! Lookups by logarithmic derivatives (Haböck, ePrint 2022/1530); copies likewise, as an equality of two multisets of
//! (value, position). All fractions go into one sum.
//!
//! Specified in `docs/protocol.md`, "Round 3: `lookup`".

use std::collections::BTreeMap;

use ark_bn254::Fr;
use ark_ff::One;
use kiln_kernels::{Graph, KernelFailure, ScalarBound, ScanKind, Vector};

use super::{Prover, memory};
use crate::compile::{Compiled, Compiler, Rotations};
use crate::constraints::{Algebra, Challenges, Oracle, joined_fractions};
use crate::domain::root_of_unity;
use crate::error::ProveError;
use crate::plan::index;

/// Draws the arguments' challenges and commits to helpers and running sum. The values on the rows are let go after it.
pub(super) fn round(prover: &mut Prover<'_>, circuit: Vec<Fr>) -> Result<Challenges, ProveError> {
    let challenges = Challenges::draw(circuit, &mut prover.writer.transcript);
    let mut rows = std::mem::take(&mut prover.rows);
    if !prover.pk.vk.plan().has_running_sum() {
        return Ok(challenges);
    }
    let (k, n) = (prover.pk.vk.circuit().k, prover.pk.vk.circuit().rows());
    let mut graph = Graph::new();
    rows.insert(Oracle::Identity, graph.powers(Fr::one(), root_of_unity(k), n));
    let mut total = graph.powers(Fr::from(0u64), Fr::one(), n);
    // A few helpers at a time: what they are made from takes several times their own size.
    let helpers: Vec<usize> = (0..prover.pk.vk.plan().helpers.len()).collect();
    for some in helpers.chunks(memory::columns_at_once()) {
        let mut made = Vec::new();
        for helper in some {
            let values = helper_rows(prover, &challenges, *helper, &rows, &mut graph)?;
            made.push((Oracle::Helper(index(*helper)), values, ScalarBound::Full));
        }
        let values: Vec<&Vector> = made.iter().map(|(_, values, _)| values).collect();
        total = sum(&mut graph, &total, &values)?;
        prover.commit(std::mem::take(&mut graph), made)?;
    }
    drop(rows);
    let before = graph.scan(&total, ScanKind::Sum);
    let running_sum =
        pointwise(&mut graph, &[&before, &total], |builder, values| builder.add(&values[0], &values[1]))?;
    drop((before, total));
    prover.commit(graph, vec![(Oracle::RunningSum, running_sum, ScalarBound::Full)])?;
    Ok(challenges)
}

/// The helper's value on each row: numerator times inverse of the common denominator.
fn helper_rows(
    prover: &Prover<'_>,
    challenges: &Challenges,
    helper: usize,
    rows: &BTreeMap<Oracle, Vector>,
    graph: &mut Graph,
) -> Result<Vector, ProveError> {
    let vk = &prover.pk.vk;
    let mut compiler = Compiler::new(Rotations::Loaded);
    let (top, bottom) = joined_fractions(vk.circuit(), &vk.plan().helpers[helper], challenges, &mut compiler);
    compiler.output(top);
    compiler.output(bottom);
    let compiled = compiler.finish()?;
    let inputs = inputs(&compiled, |oracle, _| rows.get(&oracle))?;
    let parts = graph.pointwise(compiled.program, &inputs, vk.circuit().rows());
    let inverse = graph.invert(&parts[1]);
    Ok(pointwise(graph, &[&parts[0], &inverse], |builder, values| builder.mul(&values[0], &values[1]))?)
}

/// `total[i] + Σ h[i]`
fn sum(graph: &mut Graph, total: &Vector, helpers: &[&Vector]) -> Result<Vector, KernelFailure> {
    let terms: Vec<&Vector> = helpers.iter().copied().chain([total]).collect();
    pointwise(graph, &terms, |builder, values| {
        let zero = builder.constant(Fr::from(0u64));
        values.iter().fold(zero, |sum, value| builder.add(&sum, value))
    })
}

/// One vector computed row by row from a few others of the same length.
fn pointwise(
    graph: &mut Graph,
    vectors: &[&Vector],
    write: impl FnOnce(&mut Compiler, &[kiln_kernels::Value]) -> kiln_kernels::Value,
) -> Result<Vector, KernelFailure> {
    let mut compiler = Compiler::new(Rotations::Loaded);
    let values: Vec<_> = (0..index(vectors.len())).map(|i| compiler.query(Oracle::Helper(i), 0)).collect();
    let result = write(&mut compiler, &values);
    compiler.output(result);
    let compiled = compiler.finish()?;
    let len = vectors.iter().map(|vector| vector.len()).max().unwrap_or(0);
    Ok(graph.pointwise(compiled.program, vectors, len).swap_remove(0))
}

/// The vectors that a program reads.
pub(super) fn inputs<'v>(
    compiled: &Compiled,
    find: impl Fn(Oracle, i32) -> Option<&'v Vector>,
) -> Result<Vec<&'v Vector>, KernelFailure> {
    let missing = |oracle: Oracle| KernelFailure::InvariantViolation {
        kernel: "pointwise",
        detail: format!("a program reads {oracle:?}, which is not there"),
    };
    compiled
        .inputs
        .iter()
        .map(|&(oracle, rotation)| find(oracle, rotation).ok_or_else(|| missing(oracle)))
        .collect()
}
