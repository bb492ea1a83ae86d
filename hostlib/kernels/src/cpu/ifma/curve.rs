//! Additions of points in affine coordinates, eight at a time, with one inversion for all.
//!
//! Coordinates are in Montgomery form with 2^256; one factor of each product is shifted by four bits first, which makes
//! up for the product's division by 2^260.

use ark_bn254::{Fq, FqConfig};
use ark_ff::{Field, One, Zero};

use super::*;
use crate::cpu::msm::Additions;

/// The products before each vector's denominators, shifted; kept to save allocations.
#[derive(Default)]
pub(in crate::cpu) struct Prefixes(Vec<Stored>);

impl Ifma {
    /// Finishes all additions. Their number must be a multiple of [`LANES`].
    pub(in crate::cpu) fn add_affine(self, additions: &mut Additions, prefixes: &mut Prefixes) {
        // SAFETY: an `Ifma` exists only where the features do.
        unsafe {
            let inverse = inverse_of_products(&additions.denominators, &mut prefixes.0);
            finish(additions, &prefixes.0, &inverse);
        }
    }
}

/// Each lane's product of all its denominators, inverted.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn inverse_of_products(denominators: &[Fq], prefixes: &mut Vec<Stored>) -> [Fq; LANES] {
    let (runs, _) = denominators.as_chunks();
    prefixes.clear();
    prefixes.resize(runs.len(), [[0; LANES]; 5]);
    let mut product = load(&[Fq::one(); LANES]);
    for (prefix, run) in prefixes.iter_mut().zip(runs) {
        keep(&shift(&product), prefix);
        product = carry(&mul::<FqConfig>(&product, &load_shifted(run)));
    }
    let mut products = [Fq::zero(); LANES];
    store(&canonical::<FqConfig>(&product), &mut products);
    // Eight inversions by one.
    let mut before = [Fq::one(); LANES];
    for lane in 1..LANES {
        before[lane] = before[lane - 1] * products[lane - 1];
    }
    let mut inverse = (before[LANES - 1] * products[LANES - 1]).inverse().unwrap_or_else(Fq::zero);
    for lane in (0..LANES).rev() {
        (products[lane], inverse) = (inverse * before[lane], inverse * products[lane]);
    }
    products
}

/// From the last addition to the first: λ = num/den, x₃ = λ² − x₁ − x₂, y₃ = λ·(x₁ − x₃) − y₁.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn finish(additions: &mut Additions, prefixes: &[Stored], inverse: &[Fq; LANES]) {
    let Additions { denominators, numerators, x, y, other_x } = additions;
    let (denominators, numerators, other_x) =
        (denominators.as_chunks().0, numerators.as_chunks().0, other_x.as_chunks().0);
    let (x, y) = (x.as_chunks_mut().0, y.as_chunks_mut().0);
    let mut running = load(inverse);
    for i in (0..prefixes.len()).rev() {
        let inverse = carry(&mul::<FqConfig>(&running, &fetch(&prefixes[i])));
        running = carry(&mul::<FqConfig>(&running, &load_shifted(&denominators[i])));
        let slope = carry(&mul::<FqConfig>(&inverse, &load_shifted(&numerators[i])));
        let shifted = shift(&slope);
        let (x1, x2) = (load(&x[i]), load(&other_x[i]));
        // Bounds: the square below 2, so x₃ below 4, the difference below 5, the product below 3.
        let square = add(&mul::<FqConfig>(&slope, &shifted), &broadcast(&Modulus::<FqConfig>::multiple(2)));
        let x3 = carry(&sub(&sub(&square, &x1), &x2));
        let difference = sub(&add(&x1, &broadcast(&Modulus::<FqConfig>::multiple(4))), &x3);
        let product = mul::<FqConfig>(&carry(&difference), &shifted);
        let y3 = sub(&add(&product, &broadcast(&Modulus::<FqConfig>::LIMBS)), &load(&y[i]));
        store(&canonical::<FqConfig>(&reduce::<FqConfig>(&x3)), &mut x[i]);
        store(&canonical::<FqConfig>(&reduce::<FqConfig>(&carry(&y3))), &mut y[i]);
    }
}
