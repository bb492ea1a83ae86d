//! Round 4: the quotient t of all constraints by X^n − 1, coset by coset.
//!
//! On coset i of size n, X^n is the constant c_i, so interpolating there gives t mod (X^n − c_i). The Vandermonde matrix of
//! the c_i puts these together to t mod M, M = Π (X^n − c_i), a polynomial of `pieces·n` coefficients. Because blinded
//! columns have a degree of n and a little more, t is longer by a few coefficients: t = (t mod M) + M·q with a short q, whose
//! values come from a *small* coset, on which all columns are evaluated once more.
//!
//! To save memory a coset g·H may be taken in 2^s slices g·ω^j·H', H' the subgroup of m = n/2^s elements, which are cosets
//! themselves: on slice j, X^m is the constant c_j = g^m·ω^(jm), and t mod (X^m − c_j) comes out. A rotation of a column then is the
//! column on another slice.
//! Specified in `docs/protocol.md`, "Round 4: `quotient`".

use std::collections::BTreeMap;

use ark_bn254::{Fr, G1Affine};
use ark_ff::{FftField, Field, One, Zero};
use kiln_kernels::{Graph, KernelFailure, Vector};
use zeroize::Zeroizing;

use super::Prover;
use super::lookup::inputs;
use crate::combinations::Combinations;
use crate::combine::combine;
use crate::commit::extend;
use crate::compile::{Compiled, Constraints, Input, Rotations, Stages, combined_constraints};
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
    let sums = prover.sums(constraints)?;
    let remainder = Cosets::new(prover).remainder(prover, sums.whole)?;
    let excess = SmallCoset::new(prover).excess(prover, &sums.small, &remainder)?;
    prover.forget(|oracle| matches!(oracle, Oracle::Combination(_)));
    let pieces = prover.pieces(remainder, &excess)?;
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

    /// The slices of a coset.
    fn slices(&self, coset: usize, slices_log2: u32) -> impl Iterator<Item = Coset> {
        let (k, log_size) = (self.k, self.k - slices_log2);
        let on = move |slice| Coset { k, log_size, shift: shift(coset) * root_of_unity(k).pow([slice]) };
        (0..1 << slices_log2).map(on)
    }

    /// The `pieces` parts, n coefficients each, of t mod M, from the sum of all constraints on the slices of each coset.
    fn remainder(&self, prover: &Prover<'_>, sums: Vec<Vec<Vector>>) -> Result<Vec<Vector>, ProveError> {
        let local = sums.into_iter().enumerate().map(|(coset, sums)| {
            let slices = self.slices(coset, prover.memory.slices_log2()).zip(sums).map(|(on, sum)| {
                let mut graph = Graph::new();
                let coefficients = graph.interpolate_coset(&[&sum], on.shift).swap_remove(0);
                drop(sum);
                prover.engine.run(graph)?;
                prover.settle(&coefficients);
                Ok(coefficients)
            });
            let slices = slices.collect::<Result<Vec<_>, ProveError>>()?;
            self.join(prover, slices, shift(coset))
        });
        let local = local.collect::<Result<Vec<_>, ProveError>>()?;
        self.assemble(prover, &local)
    }

    /// From t mod (X^m − c_j), m = n/2^s, for all j to t mod (X^n − shift^n). With c_j = c·ζ^j, ζ of order 2^s, the coefficients
    /// from `m·k` on are `c^{−k}/2^s·Σ_j ζ^{−jk}·slice_j`.
    fn join(&self, prover: &Prover<'_>, mut slices: Vec<Vector>, shift: Fr) -> Result<Vector, ProveError> {
        if slices.len() == 1 {
            return Ok(slices.swap_remove(0));
        }
        let (count, len) = (slices.len() as u64, self.n / slices.len());
        let inverse = |x: Fr| x.inverse().unwrap_or_default();
        let base = inverse(shift.pow([len as u64]));
        let root = inverse(root_of_unity(slices.len().ilog2()));
        let scale = inverse(Fr::from(count));
        let mut total: Option<Vector> = None;
        for part in 0..count {
            let factor = scale * base.pow([part]);
            let terms = slices.iter().zip(0u64..).map(|(v, j)| (v, factor * root.pow([j * part])));
            let mut graph = Graph::new();
            let sum = combine(&mut graph, &terms.collect::<Vec<_>>(), len)?;
            let placed = graph.place(&[(&sum, part as usize * len)], self.n);
            let terms: Vec<_> = total.iter().chain([&placed]).map(|v| (v, Fr::one())).collect();
            let next = combine(&mut graph, &terms, self.n)?;
            drop((sum, placed));
            prover.engine.run(graph)?;
            prover.settle(&next);
            total = Some(next);
        }
        total.ok_or_else(|| unreachable_slices().into())
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
        parts.iter().for_each(|part| prover.settle(part));
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

    fn coset(&self, k: u32) -> Coset {
        Coset { k, log_size: self.log_size, shift: self.shift }
    }

    /// Coefficients of q, from the sum of all constraints.
    fn excess(
        &self,
        prover: &Prover<'_>,
        sum: &Vector,
        remainder: &[Vector],
    ) -> Result<Zeroizing<Vec<Fr>>, ProveError> {
        let mut graph = Graph::new();
        let sum = graph.download(sum, 0, self.points.len());
        let parts: Vec<&Vector> = remainder.iter().collect();
        let parts = graph.evaluate_on_coset(&parts, self.log_size, self.shift);
        let parts: Vec<_> = parts.iter().map(|part| graph.download(part, 0, self.points.len())).collect();
        let outcome = prover.engine.run(graph)?;
        let value = |i: usize| {
            let power = self.points[i].pow([self.n]);
            let constraints = outcome.scalars(sum)[i];
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

// ---- constraints on a coset ------------------------------------------------------------------------------------

/// A coset of the subgroup of 2^log_size elements, of a circuit of 2^k rows.
struct Coset {
    k: u32,
    log_size: u32,
    shift: Fr,
}

/// The sum of all constraints.
struct Sums {
    /// On each slice of each coset.
    whole: Vec<Vec<Vector>>,
    /// On the small coset.
    small: Vector,
}

impl Prover<'_> {
    /// Evaluates all constraints, stage by stage.
    fn sums(&mut self, constraints: Constraints<'_>) -> Result<Sums, ProveError> {
        let slices_log2 = self.memory.slices_log2();
        let rotations = if slices_log2 == 0 { Rotations::Loaded } else { Rotations::Given };
        let columns_max = self.memory.stage_columns();
        let is_made = |oracle| oracle != Oracle::Identity && !self.coefficients.contains_key(&oracle);
        let cut = Stages { is_made: &is_made, columns_max: columns_max.unwrap_or(usize::MAX) };
        let stages = combined_constraints(constraints, rotations, cut)?;
        let turned = combined_constraints(constraints, Rotations::Given, cut)?;
        let (cosets, small) = (Cosets::new(self), SmallCoset::new(self).coset(self.pk.vk.plan().k));
        let on = |coset| cosets.slices(coset, slices_log2).map(|on| (on, None)).collect::<Vec<_>>();
        let mut whole: Vec<Vec<(Coset, Option<Vector>)>> = (0..cosets.constants.len()).map(on).collect();
        let mut excess = None;
        for (stage, turned) in stages.iter().zip(&turned) {
            if columns_max.is_some() {
                self.hold(&stage.columns)?;
            }
            for (on, sum) in whole.iter_mut().flatten() {
                on.add(self, &stage.programs, sum)?;
            }
            small.add(self, &turned.programs, &mut excess)?;
            if columns_max.is_some() {
                self.release(&stage.columns);
            }
        }
        let there = |sum: Option<Vector>| sum.ok_or_else(unreachable_slices);
        let of_coset =
            |slices: Vec<(Coset, Option<Vector>)>| slices.into_iter().map(|(_, sum)| there(sum)).collect();
        let whole = whole.into_iter().map(of_coset).collect::<Result<_, _>>()?;
        Ok(Sums { whole, small: there(excess)? })
    }
}

impl Coset {
    /// Adds the programs' outputs on the coset to a sum. A polynomial is evaluated when the first program reads it, once, and let
    /// go after the last.
    fn add(
        &self,
        prover: &Prover<'_>,
        programs: &[Compiled],
        total: &mut Option<Vector>,
    ) -> Result<(), ProveError> {
        let len = 1 << self.log_size;
        let mut last_reader: BTreeMap<Input, usize> = BTreeMap::new();
        for (at, compiled) in programs.iter().enumerate() {
            last_reader.extend(compiled.inputs.iter().map(|input| (*input, at)));
        }
        let mut values: BTreeMap<Input, Vector> = BTreeMap::new();
        for (at, compiled) in programs.iter().enumerate() {
            let mut graph = Graph::new();
            let new = compiled.inputs.iter().filter(|input| !values.contains_key(input));
            let new: Vec<Input> = new.copied().collect();
            self.bring_in(prover, &mut graph, &new, &mut values)?;
            let inputs = inputs(compiled, |oracle, rotation| values.get(&(oracle, rotation)))?;
            let sum = graph.pointwise(compiled.program.clone(), &inputs, len).swap_remove(0);
            *total = Some(match total.take() {
                None => sum,
                Some(total) => combine(&mut graph, &[(&total, Fr::one()), (&sum, Fr::one())], len)?,
            });
            values.retain(|input, _| last_reader.get(input).is_some_and(|last| *last > at));
            prover.engine.run(graph)?;
            total.iter().for_each(|total| prover.settle(total));
        }
        Ok(())
    }

    /// Values of polynomials, each turned by its rotation.
    fn bring_in(
        &self,
        prover: &Prover<'_>,
        graph: &mut Graph,
        wanted: &[Input],
        values: &mut BTreeMap<Input, Vector>,
    ) -> Result<(), ProveError> {
        let mut rotations: BTreeMap<Oracle, Vec<i32>> = BTreeMap::new();
        for &(oracle, rotation) in wanted {
            rotations.entry(oracle).or_default().push(rotation);
        }
        for rotation in rotations.remove(&Oracle::Identity).into_iter().flatten() {
            let identity =
                graph.powers(self.turned(rotation), root_of_unity(self.log_size), 1 << self.log_size);
            values.insert((Oracle::Identity, rotation), identity);
        }
        let oracles: Vec<Oracle> = rotations.keys().copied().collect();
        let some = prover.columns_at_once(oracles.len());
        for oracles in oracles.chunks(some) {
            let polynomials = prover.polynomials(graph, oracles)?;
            let mut fresh = Vec::new();
            // All polynomials that are to be turned alike go through one kernel, so that a device may share the work out.
            let mut alike: BTreeMap<i32, Vec<(Oracle, &Vector)>> = BTreeMap::new();
            for (oracle, polynomial) in oracles.iter().zip(&polynomials) {
                for rotation in rotations.get(oracle).into_iter().flatten() {
                    alike.entry(*rotation).or_default().push((*oracle, polynomial));
                }
            }
            for (rotation, columns) in alike {
                let (oracles, coefficients): (Vec<Oracle>, Vec<&Vector>) = columns.into_iter().unzip();
                let made = graph.evaluate_on_coset(&coefficients, self.log_size, self.turned(rotation));
                fresh.extend(made.iter().cloned());
                values.extend(oracles.into_iter().map(|oracle| (oracle, rotation)).zip(made));
            }
            drop(polynomials);
            if some < rotations.len() {
                prover.engine.run(std::mem::take(graph))?;
                fresh.iter().for_each(|vector| prover.settle(vector));
            }
        }
        Ok(())
    }

    /// The shift of the coset on which a polynomial's values are those of its rotation here.
    fn turned(&self, rotation: i32) -> Fr {
        let power = root_of_unity(self.k).pow([u64::from(rotation.unsigned_abs())]);
        self.shift * if rotation < 0 { power.inverse().unwrap_or_default() } else { power }
    }
}

/// There is always a slice, and always a program.
fn unreachable_slices() -> KernelFailure {
    KernelFailure::InvariantViolation { kernel: "pointwise", detail: "expected a program, got none".into() }
}

// ---- pieces ----------------------------------------------------------------------------------------------------

impl Prover<'_> {
    /// Makes the combinations of linear polynomials that are to be evaluated in their place.
    fn combine_linear(&mut self, combinations: &Combinations) -> Result<(), ProveError> {
        for (oracle, terms) in combinations.all() {
            let made = self.combination(terms, &[])?;
            self.keep(oracle, made)?;
        }
        Ok(())
    }

    /// `t = Σ X^{n·i}·t_i` from t mod M and q, with each piece blinded, `t_i + b_i·X^n − b_{i−1}`, and committed to.
    fn pieces(&mut self, remainder: Vec<Vector>, excess: &[Fr]) -> Result<Vec<Vector>, ProveError> {
        let cosets = Cosets::new(self);
        let modulus = product_of_linear(&cosets.constants);
        let last = remainder.len() - 1;
        let mut borrowed = Fr::zero();
        let mut pieces = Vec::new();
        for (i, part) in remainder.into_iter().enumerate() {
            let mut low: Vec<Fr> = excess.iter().map(|q| *q * modulus[i]).collect();
            low[0] -= borrowed;
            // The modulus is monic: what is left of M·q is X^{n·pieces}·q.
            let high = if i == last { excess.to_vec() } else { vec![self.rng.scalar()] };
            borrowed = high[0];
            let mut graph = Graph::new();
            let piece = extend(&mut graph, &part, low, high, cosets.n);
            drop(part);
            let pending = self.committer.coefficients(&mut graph, &piece);
            let point: G1Affine = self.engine.run(graph)?.point(pending);
            self.writer.point(&point);
            self.settle(&piece);
            pieces.push(piece);
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
