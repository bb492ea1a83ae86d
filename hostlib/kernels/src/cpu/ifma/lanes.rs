//! The bulk kernels' operations. Registers of pointwise programs hold x·2^260, so that a product of registers has that form
//! again: an element in memory, x·2^256, is brought to it by a shift of four bits, which makes the bound 16, and leaves it
//! by a multiplication by 2^256.

use ark_bn254::{Fr, FrConfig};
use ark_ff::One;

use super::*;
use crate::cpu::lanes::{self, Job};

/// Multiples of r, to be added before a value of that bound is taken away.
const MULTIPLES: [Limbs; 81] = {
    let mut out = [[0; 5]; 81];
    let mut k = 0;
    while k < 81 {
        out[k] = Modulus::<FrConfig>::multiple(k as u64);
        k += 1;
    }
    out
};

impl lanes::Lanes for Ifma {
    const WIDTH: usize = LANES;
    /// 2^260 is more than 84·r, and [`reduce`] takes 80.
    const BOUND_MAX: u64 = 80;
    const BOUND_LOADED: u64 = 16;
    type Run = [Fr; LANES];
    type Stored = Stored;
    type Factor = Limbs;
    const ZERO: Stored = [[0; LANES]; 5];

    fn runs(v: &[Fr]) -> &[Self::Run] {
        v.as_chunks().0
    }

    fn runs_mut(v: &mut [Fr]) -> &mut [Self::Run] {
        v.as_chunks_mut().0
    }

    fn elements(run: &mut Self::Run) -> &mut [Fr] {
        run
    }

    fn repeat(x: Fr) -> Self::Run {
        [x; LANES]
    }

    fn factor(x: Fr) -> Limbs {
        split((x * Fr::from(16u64)).0.0)
    }

    fn run<J: Job<Ifma>>(self, job: J) -> J::Out {
        #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
        fn with_features<J: Job<Ifma>>(lanes: Ifma, job: J) -> J::Out {
            job.run(lanes)
        }
        // SAFETY: an `Ifma` exists only where the features do.
        unsafe { with_features(self, job) }
    }

    #[inline(always)]
    fn load(self, run: &Self::Run, out: &mut Stored) {
        // SAFETY: an `Ifma` exists only where the features do; so below.
        unsafe { keep(&load(run), out) }
    }

    #[inline(always)]
    fn load_factors(self, run: &Self::Run, out: &mut Stored) {
        let mut shifted = Self::ZERO;
        // SAFETY: as above.
        unsafe { keep(&load_shifted(run), &mut shifted) }
        self.product(&shifted, &self.constant(Fr::one()), out);
    }

    /// Values are below 2 + 2·14 at most.
    #[inline(always)]
    fn store(self, x: &Stored, out: &mut Self::Run) {
        // SAFETY: as above.
        unsafe { store(&canonical::<FrConfig>(&reduce::<FrConfig>(&carry(&fetch(x)))), out) }
    }

    #[inline(always)]
    fn store_scaled(self, x: &Stored, scale: &Limbs, out: &mut Self::Run) {
        // SAFETY: as above.
        unsafe {
            let scaled = mul::<FrConfig>(&carry(&fetch(x)), &broadcast(scale));
            store(&canonical::<FrConfig>(&carry(&scaled)), out);
        }
    }

    #[inline(always)]
    fn product(self, a: &Stored, b: &Stored, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&canonical::<FrConfig>(&carry(&mul::<FrConfig>(&fetch(a), &fetch(b)))), out) }
    }

    #[inline(always)]
    fn scaled(self, a: &Stored, b: &Limbs, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&canonical::<FrConfig>(&carry(&mul::<FrConfig>(&fetch(a), &broadcast(b)))), out) }
    }

    #[inline(always)]
    fn butterfly(self, _layer: u32, low: &mut Stored, high: &mut Stored, factor: &Stored) {
        // SAFETY: as above.
        unsafe { butterfly(low, high, &fetch(factor)) }
    }

    #[inline(always)]
    fn butterfly_by(self, _layer: u32, low: &mut Stored, high: &mut Stored, factor: &Limbs) {
        // SAFETY: as above.
        unsafe { butterfly(low, high, &broadcast(factor)) }
    }

    #[inline(always)]
    fn load_register(self, run: &Self::Run, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&load_shifted(run), out) }
    }

    #[inline(always)]
    fn store_register(self, x: &Stored, out: &mut Self::Run) {
        // SAFETY: as above.
        unsafe {
            let unshifted = mul::<FrConfig>(&fetch(x), &broadcast(&split(Fr::one().0.0)));
            store(&canonical::<FrConfig>(&carry(&unshifted)), out);
        }
    }

    fn constant(self, x: Fr) -> Stored {
        Self::factor(x).map(|limb| [limb; LANES])
    }

    #[inline(always)]
    fn add(self, a: &Stored, b: &Stored, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&carry(&add(&fetch(a), &fetch(b))), out) }
    }

    #[inline(always)]
    fn sub(self, a: &Stored, b: &Stored, bound: u64, out: &mut Stored) {
        // SAFETY: as above.
        unsafe {
            let lifted = add(&fetch(a), &broadcast(&MULTIPLES[bound as usize]));
            keep(&carry(&sub(&lifted, &fetch(b))), out);
        }
    }

    #[inline(always)]
    fn mul(self, a: &Stored, b: &Stored, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&carry(&mul::<FrConfig>(&fetch(a), &fetch(b))), out) }
    }

    fn bound_of_sum(a: u64, b: u64) -> u64 {
        a + b
    }

    fn bound_of_product(a: u64, b: u64) -> u64 {
        a * b / 84 + 2
    }

    #[inline(always)]
    fn reduce(self, x: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&reduce::<FrConfig>(&fetch(x)), x) }
    }
}

/// Each layer adds at most 2 to the bound: values begin below 1, there are at most 14 layers, and so no product of a value
/// below 29 is above 29/84 + 1.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn butterfly(low: &mut Stored, high: &mut Stored, factor: &Lanes) {
    let a = fetch(low);
    let b = mul::<FrConfig>(&carry(&fetch(high)), factor);
    keep(&add(&a, &b), low);
    keep(&sub(&add(&a, &broadcast(&Modulus::<FrConfig>::multiple(2))), &b), high);
}
