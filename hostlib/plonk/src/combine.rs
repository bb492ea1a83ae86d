//! Linear combinations of vectors.

use std::sync::Arc;

use ark_bn254::Fr;
use kiln_kernels::{Graph, KernelFailure, ProgramBuilder, Vector};

/// How many vectors one program combines; devices hold more.
pub(crate) const TERMS_MAX: usize = 100;

/// `Σ factor·vector`, `len` long; shorter vectors count as zero past their end.
///
/// # Errors
/// [`KernelFailure`] never in practice: such programs need three registers.
pub(crate) fn combine(
    graph: &mut Graph,
    terms: &[(&Vector, Fr)],
    len: usize,
) -> Result<Vector, KernelFailure> {
    let mut sum = None;
    for part in terms.chunks(TERMS_MAX) {
        let mut builder = ProgramBuilder::new();
        let mut total = builder.constant(Fr::from(0u64));
        for (input, (_, factor)) in part.iter().enumerate() {
            let value = builder.input(input, 0);
            let factor = builder.constant(*factor);
            let term = builder.mul(factor, value);
            total = builder.add(total, term);
        }
        let mut inputs: Vec<&Vector> = part.iter().map(|(vector, _)| *vector).collect();
        if let Some(before) = &sum {
            let value = builder.input(inputs.len(), 0);
            total = builder.add(total, value);
            inputs.push(before);
        }
        builder.output(total);
        let next = graph.pointwise(Arc::new(builder.finish()?), &inputs, len).swap_remove(0);
        sum = Some(next);
    }
    Ok(sum.unwrap_or_else(|| graph.powers(Fr::from(0u64), Fr::from(1u64), len)))
}
