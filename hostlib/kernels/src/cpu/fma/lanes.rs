//! The bulk kernels' operations. Registers of pointwise programs hold x·2^255, below p in magnitude.

use ark_bn254::{Fr, FrConfig};
use ark_ff::{Field, PrimeField, Zero};

use super::*;
use crate::cpu::lanes::{Job, Lanes};

impl Lanes for Fma {
    const WIDTH: usize = WIDTH;
    const BOUND_MAX: u64 = 2;
    const BOUND_LOADED: u64 = 1;
    type Run = [Fr; WIDTH];
    type Stored = Stored;
    type Factor = Stored;
    const ZERO: Stored = Stored([[0.0; WIDTH]; 5]);

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
        [x; WIDTH]
    }

    fn factor(x: Fr) -> Stored {
        // In Montgomery form half of x is x·2^255. Of it and its negative the smaller is taken.
        let half = x * Fr::from(2u64).inverse().unwrap_or_else(Fr::zero);
        let plain = |x: Fr| balanced(limbs_of(x.0.0));
        let negated = half.0 > Fr::MODULUS_MINUS_ONE_DIV_TWO;
        let limbs = if negated { plain(-half).map(|limb| -limb) } else { plain(half) };
        Stored(limbs.map(|limb| [limb; WIDTH]))
    }

    fn run<J: Job<Fma>>(self, job: J) -> J::Out {
        #[target_feature(enable = "avx2,fma")]
        fn with_features<J: Job<Fma>>(lanes: Fma, job: J) -> J::Out {
            job.run(lanes)
        }
        // SAFETY: an `Fma` exists only where the features do.
        unsafe { with_features(self, job) }
    }

    #[inline(always)]
    fn load(self, run: &Self::Run, out: &mut Stored) {
        // SAFETY: an `Fma` exists only where the features do; so below.
        unsafe { keep(&load(run), out) }
    }

    #[inline(always)]
    fn load_factors(self, run: &Self::Run, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&settle::<FrConfig>(&load_half(run)), out) }
    }

    #[inline(always)]
    fn store(self, x: &Stored, out: &mut Self::Run) {
        // SAFETY: as above.
        unsafe { store(&settle::<FrConfig>(&fetch(x)), out) }
    }

    #[inline(always)]
    fn store_scaled(self, x: &Stored, scale: &Stored, out: &mut Self::Run) {
        let mut settled = Self::ZERO;
        // SAFETY: as above.
        unsafe {
            keep(&settle::<FrConfig>(&fetch(x)), &mut settled);
            store(&settle::<FrConfig>(&multiply::<FrConfig>(&settled, scale)), out);
        }
    }

    #[inline(always)]
    fn product(self, a: &Stored, b: &Stored, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&settle::<FrConfig>(&multiply::<FrConfig>(a, b)), out) }
    }

    #[inline(always)]
    fn scaled(self, a: &Stored, b: &Stored, out: &mut Stored) {
        self.product(a, b, out);
    }

    /// Values are settled before layers 3, 6, …. In between limbs grow by 2^50 a layer, from 2^50 + 4 to 3·2^50 + 4, and
    /// values, from p at most, as a multiple B of p by 0.19·B + 1.01, to 3.7 at layer 2 and to 5.5 after it.
    #[inline(always)]
    fn butterfly(self, layer: u32, low: &mut Stored, high: &mut Stored, factor: &Stored) {
        let settling = layer > 0 && layer.is_multiple_of(3);
        // SAFETY: as above.
        unsafe {
            let mut a = fetch(low);
            if settling {
                a = settle::<FrConfig>(&a);
                let b = settle::<FrConfig>(&fetch(high));
                keep(&b, high);
            }
            let b = multiply::<FrConfig>(high, factor);
            keep(&add(&a, &b), low);
            keep(&sub(&a, &b), high);
        }
    }

    #[inline(always)]
    fn butterfly_by(self, layer: u32, low: &mut Stored, high: &mut Stored, factor: &Stored) {
        self.butterfly(layer, low, high, factor);
    }

    #[inline(always)]
    fn load_register(self, run: &Self::Run, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&load_half(run), out) }
    }

    #[inline(always)]
    fn store_register(self, x: &Stored, out: &mut Self::Run) {
        // SAFETY: as above.
        unsafe {
            let x = fetch(x);
            store(&settle::<FrConfig>(&add(&x, &x)), out);
        }
    }

    fn constant(self, x: Fr) -> Stored {
        Self::factor(x)
    }

    #[inline(always)]
    fn add(self, a: &Stored, b: &Stored, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&settle::<FrConfig>(&add(&fetch(a), &fetch(b))), out) }
    }

    #[inline(always)]
    fn sub(self, a: &Stored, b: &Stored, _bound: u64, out: &mut Stored) {
        // SAFETY: as above.
        unsafe { keep(&settle::<FrConfig>(&sub(&fetch(a), &fetch(b))), out) }
    }

    #[inline(always)]
    fn mul(self, a: &Stored, b: &Stored, out: &mut Stored) {
        self.product(a, b, out);
    }

    fn bound_of_sum(_a: u64, _b: u64) -> u64 {
        1
    }

    fn bound_of_product(_a: u64, _b: u64) -> u64 {
        1
    }

    #[inline(always)]
    fn reduce(self, _x: &mut Stored) {}
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add(a: &Values, b: &Values) -> Values {
    [0, 1, 2, 3, 4].map(|i| _mm256_add_pd(a[i], b[i]))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn sub(a: &Values, b: &Values) -> Values {
    [0, 1, 2, 3, 4].map(|i| _mm256_sub_pd(a[i], b[i]))
}
