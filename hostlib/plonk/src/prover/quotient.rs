//! Round 4: the quotient t of all constraints by X^n − 1, coset by coset.
//!
//! On coset i of size n, X^n is the constant c_i, so interpolating there gives t mod (X^n − c_i). The Vandermonde matrix of
//! the c_i puts these together to t mod M, M = Π (X^n − c_i), a polynomial of `pieces·n` coefficients. Because blinded
//! columns have a degree of n and a little more, t is longer by a few coefficients: t = (t mod M) + M·q with a short q, whose
//! values come from a *small* coset, on which all columns are evaluated once more.
//!
//! Specified in `docs/protocol.md`, "Round 4: `quotient`".

use std::collections::BTreeMap;

use ark_bn254::{Fr, G1Affine};
use ark_ff::{FftField, Field, One, Zero};
use kiln_kernels::{Graph, Vector};
use zeroize::Zeroizing;

use super::Prover;
use super::lookup::inputs;
use crate::combinations::Combinations;
use crate::combine::combine;
use crate::commit::extend;
use crate::compile::{Compiled, Constraints, Input, Rotations, combined_constraints};
use crate::constraints::{Challenges, Oracle};
use crate::domain::root_of_unity;
use crate::error::ProveError;

/// Draws α, computes the quotient, and commits to its pieces.
pub(super) fn round(
    prover: &mut Prover<'_>,
    challenges: &Challenges,
) -> Result<(Fr, Vec<Vector>), ProveError> {
    let alpha = prover.writer.transcript.challenge("alpha");
    let vk = &prover.pk.vk;
    let (circuit, plan) = (vk.circuit(), vk.plan());
    let combinations = Combinations::choose(circuit, plan, challenges, alpha);
    prover.combine_linear(&combinations)?;
    let constraints = Constraints { circuit, plan, challenges, alpha, combinations: &combinations };
    let remainder = Cosets::new(prover).remainder(prover, constraints)?;
    let excess = SmallCoset::new(prover).excess(prover, constraints, &remainder)?;
    prover.coefficients.retain(|oracle, _| !matches!(oracle, Oracle::Combination(_)));
    let pieces = prover.pieces(&remainder, &excess)?;
    Ok((alpha, pieces))
}

/// X^n on coset i, and its shift: distinct powers of a generator of the whole group, so that the cosets are disjoint
/// and none of them is the rows' subgroup.
fn shift(coset: usize) -> Fr {
    Fr::GENERATOR.pow([coset as u64 + 1])
}

// ---- t mod M ---------------------------------------------------------------------------------------------------

/// The cosets of the rows' subgroup on which constraints are evaluated.
struct Cosets {
    k: u32,
    n: usize,
    /// c_i
    constants: Vec<Fr>,
}

impl Cosets {
    fn new(prover: &Prover<'_>) -> Self {
        let plan = prover.pk.vk.plan();
        let n = plan.rows();
        Self { k: plan.k, n, constants: (0..plan.pieces).map(|i| shift(i).pow([n as u64])).collect() }
    }

    /// The `pieces` parts, n coefficients each, of t mod M.
    fn remainder(
        &self,
        prover: &Prover<'_>,
        constraints: Constraints<'_>,
    ) -> Result<Vec<Vector>, ProveError> {
        let programs = combined_constraints(constraints, Rotations::Loaded)?;
        let mut local = Vec::new();
        for coset in 0..self.constants.len() {
            // One graph per coset: the columns' values on it are let go before the next.
            let mut graph = Graph::new();
            let total = self.evaluate(prover, &mut graph, &programs, coset)?;
            local.extend(graph.interpolate_coset(&[&total], shift(coset)));
            drop(total);
            prover.engine.run(graph)?;
        }
        self.assemble(prover, &local)
    }

    /// The combined constraints on a coset. A column is evaluated when the first program needs it, and only once.
    fn evaluate(
        &self,
        prover: &Prover<'_>,
        graph: &mut Graph,
        programs: &[Compiled],
        coset: usize,
    ) -> Result<Vector, ProveError> {
        let mut values: BTreeMap<Oracle, Vector> = BTreeMap::new();
        values.insert(Oracle::Identity, graph.powers(shift(coset), root_of_unity(self.k), self.n));
        let mut sums = Vec::new();
        for compiled in programs {
            let new: Vec<Oracle> = compiled
                .inputs
                .iter()
                .map(|(oracle, _)| *oracle)
                .filter(|o| !values.contains_key(o))
                .collect();
            let on_coset = prover.on_coset(graph, &new, self.k, shift(coset))?;
            values.extend(new.into_iter().zip(on_coset));
            let inputs = inputs(compiled, |oracle, _| values.get(&oracle))?;
            sums.push(graph.pointwise(compiled.program.clone(), &inputs, self.n).swap_remove(0));
        }
        let terms: Vec<_> = sums.iter().map(|sum| (sum, Fr::one())).collect();
        Ok(combine(graph, &terms, self.n)?)
    }

    /// From t·(X^n − 1) mod (X^n − c_i) to t mod M: part k is `Σ_i (V⁻¹)_{ki}/(c_i − 1)·local_i`, V_{ik} = c_i^k.
    fn assemble(&self, prover: &Prover<'_>, local: &[Vector]) -> Result<Vec<Vector>, ProveError> {
        let mut graph = Graph::new();
        let columns: Vec<Vec<Fr>> = (0..self.constants.len()).map(|i| self.lagrange(i)).collect();
        let parts = (0..self.constants.len())
            .map(|part| {
                let terms: Vec<_> = local.iter().zip(&columns).map(|(v, column)| (v, column[part])).collect();
                combine(&mut graph, &terms, self.n)
            })
            .collect::<Result<Vec<_>, _>>()?;
        prover.engine.run(graph)?;
        Ok(parts)
    }

    /// Coefficients of `1/(c_i − 1)·Π_{j≠i} (Y − c_j)/(c_i − c_j)`.
    fn lagrange(&self, i: usize) -> Vec<Fr> {
        let others: Vec<Fr> = self
            .constants
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i)
            .map(|(_, constant)| *constant)
            .collect();
        let here = self.constants[i];
        let scale: Fr = others.iter().map(|other| here - other).product::<Fr>() * (here - Fr::one());
        let scale = scale.inverse().unwrap_or_default();
        product_of_linear(&others).iter().map(|coefficient| *coefficient * scale).collect()
    }
}

/// Coefficients of `Π (Y − root)`, lowest first.
fn product_of_linear(roots: &[Fr]) -> Vec<Fr> {
    let mut product = vec![Fr::one()];
    for root in roots {
        let mut next = vec![Fr::zero(); product.len() + 1];
        for (i, coefficient) in product.iter().enumerate() {
            next[i + 1] += coefficient;
            next[i] -= *root * coefficient;
        }
        product = next;
    }
    product
}

// ---- q = (t − t mod M) / M -------------------------------------------------------------------------------------

/// A coset of a small subgroup, large enough for q.
struct SmallCoset {
    log_size: u32,
    shift: Fr,
    points: Vec<Fr>,
    n: u64,
    excess: usize,
    /// c_i
    constants: Vec<Fr>,
}

impl SmallCoset {
    fn new(prover: &Prover<'_>) -> Self {
        let plan = prover.pk.vk.plan();
        let log_size = plan.excess.next_power_of_two().ilog2();
        let shift = shift(plan.pieces);
        let omega = root_of_unity(log_size);
        let points =
            std::iter::successors(Some(shift), |point| Some(*point * omega)).take(1 << log_size).collect();
        let Cosets { n, constants, .. } = Cosets::new(prover);
        Self { log_size, shift, points, n: n as u64, excess: plan.excess, constants }
    }

    /// Coefficients of q.
    fn excess(
        &self,
        prover: &Prover<'_>,
        constraints: Constraints<'_>,
        remainder: &[Vector],
    ) -> Result<Zeroizing<Vec<Fr>>, ProveError> {
        let programs = combined_constraints(constraints, Rotations::Given)?;
        let mut graph = Graph::new();
        let mut sums = Vec::new();
        for program in &programs {
            let sum = self.evaluate(prover, &mut graph, program)?;
            sums.push(graph.download(&sum, 0, self.points.len()));
        }
        let parts: Vec<&Vector> = remainder.iter().collect();
        let parts = graph.evaluate_on_coset(&parts, self.log_size, self.shift);
        let parts: Vec<_> = parts.iter().map(|part| graph.download(part, 0, self.points.len())).collect();
        let outcome = prover.engine.run(graph)?;
        let value = |i: usize| {
            let power = self.points[i].pow([self.n]);
            let constraints: Fr = sums.iter().map(|sum| outcome.scalars(*sum)[i]).sum();
            let remainder =
                parts.iter().rev().fold(Fr::zero(), |sum, part| sum * power + outcome.scalars(*part)[i]);
            let modulus: Fr = self.constants.iter().map(|constant| power - constant).product();
            let vanishing = power - Fr::one();
            // t − t mod M = (constraints − (X^n − 1)·remainder) / (X^n − 1)
            (constraints - vanishing * remainder) * (vanishing * modulus).inverse().unwrap_or_default()
        };
        let values = Zeroizing::new((0..self.points.len()).map(value).collect::<Vec<Fr>>());
        Ok(Zeroizing::new(self.interpolate(&values)))
    }

    fn evaluate(
        &self,
        prover: &Prover<'_>,
        graph: &mut Graph,
        compiled: &Compiled,
    ) -> Result<Vector, ProveError> {
        let omega = root_of_unity(prover.pk.vk.plan().k);
        let mut values: BTreeMap<Input, Vector> = BTreeMap::new();
        let mut by_rotation: BTreeMap<i32, Vec<Oracle>> = BTreeMap::new();
        for &(oracle, rotation) in &compiled.inputs {
            by_rotation.entry(rotation).or_default().push(oracle);
        }
        for (rotation, mut oracles) in by_rotation {
            let power = omega.pow([u64::from(rotation.unsigned_abs())]);
            let turn = if rotation < 0 { power.inverse().unwrap_or_default() } else { power };
            let shift = self.shift * turn;
            if oracles.contains(&Oracle::Identity) {
                oracles.retain(|oracle| *oracle != Oracle::Identity);
                let identity = graph.powers(shift, root_of_unity(self.log_size), self.points.len());
                values.insert((Oracle::Identity, rotation), identity);
            }
            let coefficients =
                oracles.iter().map(|o| prover.polynomial(*o)).collect::<Result<Vec<_>, _>>()?;
            let on_coset = graph.evaluate_on_coset(&coefficients, self.log_size, shift);
            values.extend(oracles.iter().map(|oracle| (*oracle, rotation)).zip(on_coset));
        }
        let inputs = inputs(compiled, |oracle, rotation| values.get(&(oracle, rotation)))?;
        Ok(graph.pointwise(compiled.program.clone(), &inputs, self.points.len()).swap_remove(0))
    }

    /// The first `excess` coefficients of the polynomial with these values: at most 64 of them, so the sum is taken as
    /// it stands.
    fn interpolate(&self, values: &[Fr]) -> Vec<Fr> {
        let scale = Fr::from(values.len() as u64).inverse().unwrap_or_default();
        let inverses: Vec<Fr> = self.points.iter().map(|point| point.inverse().unwrap_or_default()).collect();
        (0..self.excess as u64)
            .map(|j| {
                scale * values.iter().zip(&inverses).map(|(v, inverse)| *v * inverse.pow([j])).sum::<Fr>()
            })
            .collect()
    }
}

// ---- pieces ----------------------------------------------------------------------------------------------------

impl Prover<'_> {
    /// Makes the combinations of linear polynomials that are to be evaluated in their place.
    fn combine_linear(&mut self, combinations: &Combinations) -> Result<(), ProveError> {
        let mut graph = Graph::new();
        let mut made = Vec::new();
        for (oracle, terms) in combinations.all() {
            let terms = terms.iter().map(|(oracle, factor)| Ok((self.polynomial(*oracle)?, *factor)));
            let terms = terms.collect::<Result<Vec<_>, ProveError>>()?;
            let len = terms.iter().map(|(vector, _)| vector.len()).max().unwrap_or(0);
            made.push((oracle, combine(&mut graph, &terms, len)?));
        }
        self.coefficients.extend(made);
        self.engine.run(graph)?;
        Ok(())
    }

    /// Values of polynomials on a coset of `2^log_size` points.
    fn on_coset(
        &self,
        graph: &mut Graph,
        oracles: &[Oracle],
        log_size: u32,
        shift: Fr,
    ) -> Result<Vec<Vector>, ProveError> {
        let coefficients = oracles.iter().map(|o| self.polynomial(*o)).collect::<Result<Vec<_>, _>>()?;
        Ok(if oracles.is_empty() {
            Vec::new()
        } else {
            graph.evaluate_on_coset(&coefficients, log_size, shift)
        })
    }

    /// `t = Σ X^{n·i}·t_i` from t mod M and q, with each piece blinded, `t_i + b_i·X^n − b_{i−1}`, and committed to.
    fn pieces(&mut self, remainder: &[Vector], excess: &[Fr]) -> Result<Vec<Vector>, ProveError> {
        let cosets = Cosets::new(self);
        let modulus = product_of_linear(&cosets.constants);
        let last = remainder.len() - 1;
        let mut graph = Graph::new();
        let mut borrowed = Fr::zero();
        let mut pieces = Vec::new();
        for (i, part) in remainder.iter().enumerate() {
            let mut low: Vec<Fr> = excess.iter().map(|q| *q * modulus[i]).collect();
            low[0] -= borrowed;
            // The modulus is monic: what is left of M·q is X^{n·pieces}·q.
            let high = if i == last { excess.to_vec() } else { vec![self.rng.scalar()] };
            borrowed = high[0];
            pieces.push(extend(&mut graph, part, low, high, cosets.n));
        }
        let pending: Vec<_> =
            pieces.iter().map(|piece| self.committer.coefficients(&mut graph, piece)).collect();
        let outcome = self.engine.run(graph)?;
        for point in pending {
            let point: G1Affine = outcome.point(point);
            self.writer.point(&point);
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_linear_factors_vanishes_at_its_roots() {
        let roots = [Fr::from(3u64), Fr::from(5u64), -Fr::from(1u64)];
        let product = product_of_linear(&roots);
        let at = |x: Fr| product.iter().rev().fold(Fr::zero(), |sum, c| sum * x + c);
        assert!(roots.iter().all(|root| at(*root).is_zero()));
        assert_eq!(product.len(), 4);
        assert_eq!(at(Fr::zero()), Fr::from(15u64));
    }
}
