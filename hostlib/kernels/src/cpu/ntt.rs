//! Number-theoretic transforms: several elements at a time where the processor can (see [`four_step`](super::four_step)),
//! else radix 2, decimation in frequency, then bit reversal; parallel over the batch (by the caller) and within.
//!
//! Twiddles of the latter are kept per level, each level contiguous, so the innermost loop reads them in order and one
//! table serves every smaller size.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ark_bn254::Fr;
use ark_ff::{FftField, Field, One, Zero};
use rayon::prelude::*;

use super::fma::Fma;
use super::four_step::{Plan, wipe};
use super::ifma::Ifma;
use super::vectors::Vectors;
use super::{GRAIN, full, polynomial};
use crate::host_data::HostData;
use crate::vector::lock;

/// The points of all plans that are kept: 2^22 of 40 bytes are 160 MiB.
const PLANNED_POINTS_MAX: usize = 1 << 22;

/// The ways to transform on the domains and cosets that were in use of late.
pub(super) struct Transforms {
    vectors: Option<Vectors>,
    twiddles: Mutex<Arc<Vec<Fr>>>,
    /// The latest used last.
    plans: Mutex<VecDeque<(u32, Fr, LanesPlan)>>,
}

impl Transforms {
    /// `vectors`: the processor's vector instructions, if they are to be used.
    pub(super) fn new(vectors: Option<Vectors>) -> Transforms {
        let twiddles = Mutex::new(Arc::new(vec![Fr::one()]));
        Transforms { vectors, twiddles, plans: Mutex::new(VecDeque::new()) }
    }

    /// How to transform 2^log_n points on `shift`·H.
    pub(super) fn on_coset(&self, log_n: u32, shift: Fr) -> Transform {
        match self.vectors {
            Some(vectors) if log_n >= LanesPlan::log_n_min(vectors) => {
                Transform::Lanes(self.plan(vectors, log_n, shift))
            }
            _ => Transform::Scalar(self.twiddles_up_to(log_n), shift),
        }
    }

    fn plan(&self, vectors: Vectors, log_n: u32, shift: Fr) -> LanesPlan {
        let mut plans = lock(&self.plans);
        let known = plans.iter().position(|plan| plan.0 == log_n && plan.1 == shift);
        let plan = known.and_then(|at| plans.remove(at)).map(|(_, _, plan)| plan);
        let plan = plan.unwrap_or_else(|| LanesPlan::new(vectors, log_n, shift));
        plans.push_back((log_n, shift, plan.clone()));
        while plans.iter().map(|plan| 1usize << plan.0).sum::<usize>() > PLANNED_POINTS_MAX {
            plans.pop_front();
        }
        plan
    }

    /// A table of at least 2^log_n entries: entry h + j, j < h, h a power of two, is ω_{2h}^j.
    fn twiddles_up_to(&self, log_n: u32) -> Arc<Vec<Fr>> {
        let mut table = lock(&self.twiddles);
        if table.len() < 1 << log_n {
            *table = Arc::new(twiddle_table(log_n));
        }
        table.clone()
    }
}

/// A plan for whichever lanes there are.
#[derive(Clone)]
pub(super) enum LanesPlan {
    Ifma(Arc<Plan<Ifma>>),
    Fma(Arc<Plan<Fma>>),
}

impl LanesPlan {
    fn new(vectors: Vectors, log_n: u32, shift: Fr) -> LanesPlan {
        match vectors {
            Vectors::Ifma(ifma) => LanesPlan::Ifma(Arc::new(Plan::new(ifma, log_n, shift))),
            Vectors::Fma(fma) => LanesPlan::Fma(Arc::new(Plan::new(fma, log_n, shift))),
        }
    }

    fn log_n_min(vectors: Vectors) -> u32 {
        match vectors {
            Vectors::Ifma(_) => Plan::<Ifma>::LOG_N_MIN,
            Vectors::Fma(_) => Plan::<Fma>::LOG_N_MIN,
        }
    }

    fn transform(&self, v: &[Fr], scale: Fr) -> Vec<Fr> {
        match self {
            LanesPlan::Ifma(plan) => plan.transform(v, scale),
            LanesPlan::Fma(plan) => plan.transform(v, scale),
        }
    }
}

/// A transform on one coset.
pub(super) enum Transform {
    Lanes(LanesPlan),
    /// Twiddles and shift.
    Scalar(Arc<Vec<Fr>>, Fr),
}

impl Transform {
    /// The vector instructions that it uses, if any.
    fn vectors(&self) -> Option<Vectors> {
        match self {
            Transform::Lanes(LanesPlan::Ifma(plan)) => Some(Vectors::Ifma(plan.lanes)),
            Transform::Lanes(LanesPlan::Fma(plan)) => Some(Vectors::Fma(plan.lanes)),
            Transform::Scalar(..) => None,
        }
    }

    /// `scale·Σ_i v[i]·(shift·ω^k)^i` for each k; as many values as points.
    fn run(&self, mut v: Vec<Fr>, scale: Fr) -> Vec<Fr> {
        match self {
            Transform::Lanes(plan) => {
                let out = plan.transform(&v, scale);
                // The values may be a witness.
                wipe(&mut v);
                out
            }
            Transform::Scalar(twiddles, shift) => {
                if !shift.is_one() || !scale.is_one() {
                    polynomial::scale_by_powers(None, &mut v, scale, *shift);
                }
                decimate(&mut v, twiddles);
                reverse_bits(&mut v);
                v
            }
        }
    }
}

fn twiddle_table(log_n: u32) -> Vec<Fr> {
    // The entry that no level uses, and the level h = 1.
    let mut table = vec![Fr::one(); 2];
    for level in 1..log_n {
        let h = 1usize << level;
        // Domains are powers of two up to 2^28, which all exist in this field.
        let root = Fr::get_root_of_unity(2 * h as u64).unwrap_or_else(Fr::one);
        table.append(&mut polynomial::powers(None, Fr::one(), root, h));
    }
    table
}

/// Evaluations on `shift·H` in natural order; see [`Kernel::EvaluateOnCoset`](crate::Kernel). `transform` is on that
/// coset.
pub(super) fn evaluate_on_coset(
    coefficients: &HostData,
    log_n: u32,
    shift: Fr,
    transform: &Transform,
) -> Vec<Fr> {
    let n = 1usize << log_n;
    if let (HostData::Full(values), Transform::Lanes(plan)) = (coefficients, transform)
        && values.len() <= n
    {
        return plan.transform(values, Fr::one());
    }
    // X^(i + kn) equals shift^(kn)·X^i on the coset.
    let step = shift.pow([n as u64]);
    let vectors = transform.vectors();
    let values = match coefficients {
        HostData::Full(values) => polynomial::folded(vectors, values, n, step),
        HostData::Small(_) => {
            let mut values = full(coefficients);
            let folded = polynomial::folded(vectors, &values, n, step);
            wipe(&mut values);
            folded
        }
    };
    transform.run(values, Fr::one())
}

/// Coefficients from evaluations on `shift·H`; see [`Kernel::InterpolateCoset`](crate::Kernel). `transform` is on H
/// itself.
pub(super) fn interpolate_coset(
    evaluations: &HostData,
    log_n: u32,
    shift: Fr,
    transform: &Transform,
) -> Vec<Fr> {
    let inverse = |x: Fr| x.inverse().unwrap_or_else(Fr::zero);
    let scale = inverse(Fr::from(1u64 << log_n));
    let mut values = match (evaluations, transform) {
        (HostData::Full(values), Transform::Lanes(plan)) => plan.transform(values, scale),
        _ => transform.run(full(evaluations), scale),
    };
    // The inverse transform is the forward one read backwards: ω^(−ik) = ω^((n−i)k).
    reverse(&mut values[1..]);
    if !shift.is_one() {
        polynomial::scale_by_powers(transform.vectors(), &mut values, Fr::one(), inverse(shift));
    }
    values
}

/// Turns the order of all values, by all threads.
fn reverse(v: &mut [Fr]) {
    // The one in the middle of an odd number stays.
    let (low, high) = v.split_at_mut(v.len() / 2);
    let odd = high.len() - low.len();
    let high = &mut high[odd..];
    low.par_chunks_mut(GRAIN).zip(high.par_rchunks_mut(GRAIN)).for_each(|(low, high)| {
        low.iter_mut().zip(high.iter_mut().rev()).for_each(|(a, b)| std::mem::swap(a, b));
    });
}

/// Natural order in, bit-reversed out (Gentleman and Sande 1966).
fn decimate(v: &mut [Fr], table: &[Fr]) {
    let h = v.len() / 2;
    if h == 0 {
        return;
    }
    let twiddles = &table[h..2 * h];
    let (low, high) = v.split_at_mut(h);
    if h < GRAIN {
        butterflies(low, high, twiddles);
        decimate(low, table);
        decimate(high, table);
        return;
    }
    low.par_chunks_mut(GRAIN)
        .zip(high.par_chunks_mut(GRAIN))
        .zip(twiddles.par_chunks(GRAIN))
        .for_each(|((low, high), twiddles)| butterflies(low, high, twiddles));
    rayon::join(|| decimate(low, table), || decimate(high, table));
}

fn butterflies(low: &mut [Fr], high: &mut [Fr], twiddles: &[Fr]) {
    for ((a, b), w) in low.iter_mut().zip(high).zip(twiddles) {
        let difference = *a - *b;
        *a += *b;
        *b = difference * w;
    }
}

fn reverse_bits(v: &mut [Fr]) {
    if v.len() < 2 {
        return;
    }
    let unused = usize::BITS - v.len().ilog2();
    for i in 0..v.len() {
        let j = i.reverse_bits() >> unused;
        if i < j {
            v.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::UniformRand;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// Every size around the thresholds, on values whose sums are largest, by every way.
    #[test]
    fn lanes_and_scalars_agree() {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let scalars = Transforms::new(None);
        for lanes in Vectors::all().map(|vectors| Transforms::new(Some(vectors))) {
            for log_n in 0..=13 {
                let n = 1usize << log_n;
                let random = |rng: &mut _, len| (0..len).map(|_| Fr::rand(rng)).collect::<Vec<_>>();
                for values in [vec![-Fr::one(); n], vec![Fr::zero(); n], random(&mut rng, n)] {
                    for shift in [Fr::one(), Fr::GENERATOR, -Fr::rand(&mut rng)] {
                        let values = HostData::full(values.clone());
                        let [a, b] = [&lanes, &scalars]
                            .map(|t| evaluate_on_coset(&values, log_n, shift, &t.on_coset(log_n, shift)));
                        assert!(a == b, "evaluation on 2^{log_n}");
                        let [a, b] = [&lanes, &scalars]
                            .map(|t| interpolate_coset(&values, log_n, shift, &t.on_coset(log_n, Fr::one())));
                        assert!(a == b, "interpolation from 2^{log_n}");
                    }
                }
                for len in [0, 1, n / 4 + 1, n / 2, n / 2 + 1, n - n / 8, n + 1, 2 * n + 3, 8 * n] {
                    let values = HostData::full(random(&mut rng, len));
                    let [a, b] = [&lanes, &scalars].map(|t| {
                        evaluate_on_coset(&values, log_n, Fr::GENERATOR, &t.on_coset(log_n, Fr::GENERATOR))
                    });
                    assert!(a == b, "{len} coefficients on 2^{log_n}");
                }
            }
        }
    }

    #[test]
    fn order_is_turned_at_sizes_around_a_task() {
        for n in [0, 1, 2, 3, GRAIN - 1, 2 * GRAIN, 2 * GRAIN + 1, 5 * GRAIN + 3] {
            let values: Vec<Fr> = (0..n as u64).map(Fr::from).collect();
            let mut turned = values.clone();
            reverse(&mut turned);
            assert!(turned.iter().eq(values.iter().rev()), "{n} values");
        }
    }

    #[test]
    fn plans_beyond_the_budget_are_forgotten() {
        let transforms = Transforms::new(Vectors::all().next());
        for k in 1..40u64 {
            transforms.on_coset(18, Fr::from(k));
        }
        assert!(lock(&transforms.plans).len() <= PLANNED_POINTS_MAX >> 18);
    }
}
