//! Powers, evaluation and division by a linear factor, in parallel pieces.

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::GRAIN;
use super::lanes::{Job, Lanes};
use super::stretches::{CHAINS, Ends, Stretches, wipe};
use super::vectors::Vectors;
use crate::host_data::HostData;
use crate::large_pages::filled;

/// `first·ratio^i`. `vectors`: the processor's vector instructions, if they are to be used; so below.
pub(super) fn powers(vectors: Option<Vectors>, first: Fr, ratio: Fr, len: usize) -> Vec<Fr> {
    filled(len, |at, out| {
        let first = first * ratio.pow([at as u64]);
        match vectors {
            Some(vectors) => vectors.run(Powers { out, first, ratio, scale: false }),
            None => walk(out, first, ratio, |out, power| *out = power),
        }
    })
}

/// Multiplies `v[i]` by `first·ratio^i`.
pub(super) fn scale_by_powers(vectors: Option<Vectors>, v: &mut [Fr], first: Fr, ratio: Fr) {
    v.par_chunks_mut(GRAIN).enumerate().for_each(|(piece, out)| {
        let first = first * ratio.pow([(piece * GRAIN) as u64]);
        match vectors {
            Some(vectors) => vectors.run(Powers { out, first, ratio, scale: true }),
            None => walk(out, first, ratio, |out, power| *out *= power),
        }
    });
}

fn walk(out: &mut [Fr], first: Fr, ratio: Fr, operate: impl Fn(&mut Fr, Fr)) {
    let mut power = first;
    for out in out {
        operate(out, power);
        power *= ratio;
    }
}

/// Powers in order, or what is there times them.
struct Powers<'a> {
    out: &'a mut [Fr],
    first: Fr,
    ratio: Fr,
    scale: bool,
}

impl<L: Lanes> Job<L> for Powers<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let Powers { out, first, ratio, scale } = self;
        let count = Stretches::count::<L>();
        let (v, rest) = out.split_at_mut(out.len() / count * count);
        let last = first * ratio.pow([v.len() as u64]);
        let mut firsts = vec![Fr::zero(); count];
        walk(&mut firsts, first, ratio, |out, power| *out = power);
        let step = lanes.constant(ratio.pow([count as u64]));
        let (mut x, mut product, mut powers) = (L::ZERO, L::ZERO, [L::ZERO; CHAINS]);
        for (run, power) in L::runs(&firsts).iter().zip(&mut powers) {
            lanes.load(run, power);
        }
        for runs in L::runs_mut(v).chunks_exact_mut(CHAINS) {
            for (run, power) in runs.iter_mut().zip(&mut powers) {
                if scale {
                    lanes.load_register(run, &mut x);
                    lanes.mul(power, &x, &mut product);
                    lanes.store(&product, run);
                } else {
                    lanes.store(power, run);
                }
                let before = *power;
                lanes.mul(&before, &step, power);
            }
        }
        if scale {
            walk(rest, last, ratio, |out, power| *out *= power);
        } else {
            walk(rest, last, ratio, |out, power| *out = power);
        }
    }
}

/// Horner's rule on pieces, then on the pieces' values.
pub(super) fn evaluate(vectors: Option<Vectors>, v: &HostData, points: &[Fr]) -> Vec<Fr> {
    let pieces = v.len().div_ceil(GRAIN);
    let values: Vec<Vec<Fr>> = (0..pieces)
        .into_par_iter()
        .map(|piece| {
            let start = piece * GRAIN;
            let mut copied = Vec::new();
            let coefficients = match v {
                HostData::Full(values) => &values[start..values.len().min(start + GRAIN)],
                HostData::Small(_) => {
                    copied.resize(GRAIN.min(v.len() - start), Fr::zero());
                    v.copy_to(start, &mut copied);
                    &copied
                }
            };
            let values = match vectors {
                Some(vectors) => vectors.run(Values { coefficients, points }),
                None => points.iter().map(|&point| horner(coefficients, point)).collect(),
            };
            copied.zeroize();
            values
        })
        .collect();
    points
        .iter()
        .enumerate()
        .map(|(at, point)| {
            let step = point.pow([GRAIN as u64]);
            values.iter().rev().fold(Fr::zero(), |sum, piece| sum * step + piece[at])
        })
        .collect()
}

fn horner(coefficients: &[Fr], point: Fr) -> Fr {
    coefficients.iter().rev().fold(Fr::zero(), |sum, c| sum * point + c)
}

/// sum·point + run, in every lane; `c` is room for the run.
#[inline(always)]
fn horner_step<L: Lanes>(lanes: L, sum: &mut L::Stored, point: &L::Stored, run: &L::Run, c: &mut L::Stored) {
    let above = *sum;
    lanes.mul(&above, point, sum);
    lanes.load(run, c);
    let above = *sum;
    lanes.add(&above, c, sum);
}

/// The n coefficients that give the same values where X^n is `step`: the i-th is `Σ_k step^k·v[i + k·n]`.
pub(super) fn folded(vectors: Option<Vectors>, v: &[Fr], n: usize, step: Fr) -> Vec<Fr> {
    filled(n, |first, out| {
        let parts = (first..v.len()).step_by(n).map(|start| &v[start..v.len().min(start + out.len())]);
        let mut parts: Vec<&[Fr]> = parts.collect();
        // What is above all parts that reach as far as the chunk.
        if let Some(last) = parts.pop_if(|last| last.len() < out.len()) {
            out[..last.len()].copy_from_slice(last);
        }
        match (parts.as_slice(), vectors) {
            ([], _) => {}
            ([only], _) => fold(&[only], step, out),
            (parts, Some(vectors)) => vectors.run(Fold { parts, step, out }),
            (parts, None) => fold(parts, step, out),
        }
    })
}

/// Horner's rule for each element, from what is there. Most elements that have one part have nothing above it.
fn fold(parts: &[&[Fr]], step: Fr, out: &mut [Fr]) {
    for part in parts.iter().rev() {
        for (out, x) in out.iter_mut().zip(*part) {
            *out = if out.is_zero() { *x } else { *out * step + x };
        }
    }
}

/// [`fold`] for parts that are as long as `out`.
struct Fold<'a> {
    parts: &'a [&'a [Fr]],
    step: Fr,
    out: &'a mut [Fr],
}

impl<L: Lanes> Job<L> for Fold<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let Fold { parts, step, out } = self;
        let count = Stretches::count::<L>();
        let (whole, rest) = out.split_at_mut(out.len() / count * count);
        let ends: Vec<&[Fr]> = parts.iter().map(|part| &part[whole.len()..]).collect();
        fold(&ends, step, rest);
        let parts: Vec<&[L::Run]> = parts.iter().map(|part| L::runs(&part[..whole.len()])).collect();
        let step = lanes.constant(step);
        let (mut c, mut sums) = (L::ZERO, [L::ZERO; CHAINS]);
        for (at, runs) in L::runs_mut(whole).chunks_exact_mut(CHAINS).enumerate() {
            for (run, sum) in runs.iter().zip(&mut sums) {
                lanes.load(run, sum);
            }
            for part in parts.iter().rev() {
                for (run, sum) in part[at * CHAINS..][..CHAINS].iter().zip(&mut sums) {
                    horner_step(lanes, sum, &step, run, &mut c);
                }
            }
            for (run, sum) in runs.iter_mut().zip(&sums) {
                lanes.store(sum, run);
            }
        }
    }
}

/// The values of a piece at each point. Lane l of chain c adds up the coefficients l + WIDTH·(c + CHAINS·k), over all k.
struct Values<'a> {
    coefficients: &'a [Fr],
    points: &'a [Fr],
}

impl<L: Lanes> Job<L> for Values<'_> {
    type Out = Vec<Fr>;

    #[inline(always)]
    fn run(self, lanes: L) -> Vec<Fr> {
        let count = Stretches::count::<L>();
        let (v, rest) = self.coefficients.split_at(self.coefficients.len() / count * count);
        let mut values = Vec::with_capacity(self.points.len());
        for &point in self.points {
            let step = lanes.constant(point.pow([count as u64]));
            let (mut c, mut sums) = (L::ZERO, [L::ZERO; CHAINS]);
            for runs in L::runs(v).chunks_exact(CHAINS).rev() {
                for (run, sum) in runs.iter().zip(&mut sums) {
                    horner_step(lanes, sum, &step, run, &mut c);
                }
            }
            let mut ends = Ends::<L>::from_slice(&[]);
            for (sum, run) in sums.iter().zip(&mut ends.0) {
                lanes.store(sum, run);
            }
            let mut parts = ends.in_order();
            values.push(horner(&parts, point) + horner(rest, point) * point.pow([v.len() as u64]));
            parts.zeroize();
            ends.wipe();
        }
        values
    }
}

/// Synthetic division `q[i] = v[i+1] + root·q[i+1]`. The carry into each part of each piece is found first: it is the value
/// at the root of all that lies above the part.
pub(super) fn divide_linear(vectors: Option<Vectors>, mut v: Vec<Fr>, root: Fr) -> Vec<Fr> {
    if v.is_empty() {
        return v;
    }
    v.remove(0);
    let mut carries: Vec<Vec<Carry>> = v
        .par_chunks(GRAIN)
        .map(|piece| match vectors {
            Some(vectors) => vectors.run(Parts { piece, root }),
            None => vec![Carry { value: horner(piece, root), step: root.pow([piece.len() as u64]) }],
        })
        .collect();
    let mut above = Fr::zero();
    for carry in carries.iter_mut().flatten().rev() {
        let value = above * carry.step + carry.value;
        (carry.value, above) = (above, value);
    }
    v.par_chunks_mut(GRAIN).zip(&carries).for_each(|(piece, carries)| match vectors {
        Some(vectors) => vectors.run(Quotients { piece, carries, root }),
        None => divide(piece, carries[0].value, root),
    });
    carries.iter_mut().flatten().for_each(|carry| carry.value.zeroize());
    v
}

fn divide(v: &mut [Fr], mut carry: Fr, root: Fr) {
    for c in v.iter_mut().rev() {
        carry = carry * root + *c;
        *c = carry;
    }
}

/// A part's value at the root, then what is carried into it.
#[derive(Clone, Copy)]
struct Carry {
    value: Fr,
    /// The root to the power of the part's length.
    step: Fr,
}

/// The value of each stretch at the root, and of what is left over.
struct Parts<'a> {
    piece: &'a [Fr],
    root: Fr,
}

impl<L: Lanes> Job<L> for Parts<'_> {
    type Out = Vec<Carry>;

    #[inline(always)]
    fn run(self, lanes: L) -> Vec<Carry> {
        let Parts { piece, root } = self;
        let stretches = Stretches::of::<L>(piece.len());
        let by = lanes.constant(root);
        let mut run = L::repeat(Fr::zero());
        let (mut c, mut sums) = (L::ZERO, [L::ZERO; CHAINS]);
        for at in (0..stretches.len).rev() {
            for (chain, sum) in sums.iter_mut().enumerate() {
                stretches.gather::<L>(piece, chain, at, &mut run);
                horner_step(lanes, sum, &by, &run, &mut c);
            }
        }
        let mut ends = Ends::<L>::from_slice(&[]);
        for (sum, run) in sums.iter().zip(&mut ends.0) {
            lanes.store(sum, run);
        }
        let step = root.pow([stretches.len as u64]);
        let mut carries: Vec<Carry> =
            ends.in_order().into_iter().map(|value| Carry { value, step }).collect();
        let rest = &piece[stretches.elements::<L>()..];
        carries.push(Carry { value: horner(rest, root), step: root.pow([rest.len() as u64]) });
        ends.wipe();
        wipe::<L>(&mut run);
        carries
    }
}

/// The quotient of each stretch, and of what is left over.
struct Quotients<'a> {
    piece: &'a mut [Fr],
    carries: &'a [Carry],
    root: Fr,
}

impl<L: Lanes> Job<L> for Quotients<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let Quotients { piece, carries, root } = self;
        let stretches = Stretches::of::<L>(piece.len());
        let by = lanes.constant(root);
        let mut values: Vec<Fr> = carries.iter().map(|carry| carry.value).collect();
        let mut ends = Ends::<L>::from_slice(&values[..Stretches::count::<L>()]);
        let (mut c, mut sums) = (L::ZERO, [L::ZERO; CHAINS]);
        for (sum, run) in sums.iter_mut().zip(&ends.0) {
            lanes.load(run, sum);
        }
        let mut run = L::repeat(Fr::zero());
        for at in (0..stretches.len).rev() {
            for (chain, sum) in sums.iter_mut().enumerate() {
                stretches.gather::<L>(piece, chain, at, &mut run);
                horner_step(lanes, sum, &by, &run, &mut c);
                lanes.store(sum, &mut run);
                stretches.scatter::<L>(piece, chain, at, &mut run);
            }
        }
        ends.wipe();
        wipe::<L>(&mut run);
        divide(&mut piece[stretches.elements::<L>()..], values[values.len() - 1], root);
        values.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use ark_ff::UniformRand;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn folding_agrees_with_its_definition_wherever_a_part_ends() {
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        for n in [1, 2, 32, 64, GRAIN, 4 * GRAIN] {
            for len in [0, 1, n / 2, n, n + 1, n + n / 2 + 3, 2 * n, 3 * n - 1, 3 * n + 40] {
                let v: Vec<Fr> = (0..len).map(|_| Fr::rand(&mut rng)).collect();
                let step = Fr::rand(&mut rng);
                let expected: Vec<Fr> = (0..n)
                    .map(|i| horner(&v.iter().skip(i).step_by(n).copied().collect::<Vec<_>>(), step))
                    .collect();
                for vectors in Vectors::all().map(Some).chain([None]) {
                    assert!(folded(vectors, &v, n, step) == expected, "{len} to {n}, {vectors:?}");
                }
            }
        }
        let largest = vec![-Fr::from(1); 6 * GRAIN];
        for vectors in Vectors::all() {
            let expected = folded(None, &largest, GRAIN, -Fr::from(1));
            assert!(folded(Some(vectors), &largest, GRAIN, -Fr::from(1)) == expected, "{vectors:?}");
        }
    }
}
