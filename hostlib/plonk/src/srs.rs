//! The structured reference string of the KZG commitments: powers of a secret τ in the exponent.

mod check;
mod error;
mod file;
mod lagrange;
mod origin;
mod ptau;

use std::sync::{Arc, OnceLock};

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::scalar_mul::ScalarMul;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, One, UniformRand, Zero, batch_inversion};
use kiln_kernels::{Bases, Values};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha3::{Digest, Keccak256};
use zeroize::{Zeroize, Zeroizing};

use crate::domain::root_of_unity;
use crate::encoding::{g1_to_bytes, g2_to_bytes};
use crate::sections::Sections;
use kiln_verify::SrsVerifier;

pub use crate::plan::SRS_EXTRA;
pub use error::{PtauError, SrsError};
pub use origin::SrsOrigin;
pub use ptau::Ptau;

/// The largest supported log2 of the row count.
pub const SRS_K_MAX: u32 = 24;

/// `[τ^i]_1` for i < 2^k + [`SRS_EXTRA`], `[L_i(τ)]_1` for the 2^k Lagrange polynomials of the 2^k-th roots of unity,
/// and `[1]_2`, `[τ]_2`.
#[derive(Clone)]
pub struct Srs {
    k: u32,
    origin: SrsOrigin,
    monomial: Bases,
    lagrange: Bases,
    g2: G2Affine,
    tau_g2: G2Affine,
    /// Where the points come from, if they are used in place.
    file: Option<Sections>,
    /// Whether all coordinates are reduced, once somebody looked.
    reduced: Arc<OnceLock<bool>>,
}

impl Srs {
    /// A locally generated SRS for circuits of 2^k rows: for tests and demonstrations only, because whoever knows the
    /// seed can forge every proof. Its file header says INSECURE.
    ///
    /// # Errors
    /// [`SrsError::SizeOutOfRange`] if k is above [`SRS_K_MAX`].
    pub fn insecure_local(k: u32, seed: [u8; 32]) -> Result<Self, SrsError> {
        if k > SRS_K_MAX {
            return Err(SrsError::SizeOutOfRange { expected: SRS_K_MAX, got: k });
        }
        let rows = 1usize << k;
        let mut tau = draw_tau(k, seed);
        let powers = Zeroizing::new(powers(tau, rows + SRS_EXTRA));
        let lagrange_values = Zeroizing::new(lagrange_values(k, tau));
        let scalars = Zeroizing::new([powers.as_slice(), lagrange_values.as_slice()].concat());
        // One fixed-base table for all points (windowed, in parallel, normalised in one batch).
        let mut points = G1Projective::from(G1Affine::generator()).batch_mul(&scalars);
        let lagrange = points.split_off(powers.len());
        let g2 = G2Affine::generator();
        let tau_g2 = (g2 * tau).into_affine();
        tau.zeroize();
        Ok(Self::from_points(k, SrsOrigin::Local, points, lagrange, [g2, tau_g2]))
    }

    fn from_points(
        k: u32,
        origin: SrsOrigin,
        monomial: impl Into<Values<G1Affine>>,
        lagrange: impl Into<Values<G1Affine>>,
        [g2, tau_g2]: [G2Affine; 2],
    ) -> Self {
        let (monomial, lagrange) = (Bases::new(monomial), Bases::new(lagrange));
        Self { k, origin, monomial, lagrange, g2, tau_g2, file: None, reduced: Arc::default() }
    }

    /// log2 of the row count that it serves.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// Where it comes from, as it says itself; what pins a ceremony is its [fingerprint](SrsVerifier::fingerprint).
    pub fn origin(&self) -> SrsOrigin {
        self.origin
    }

    /// True if it was made on one machine, whose owner may know τ, so that proofs mean nothing: tests and demonstrations
    /// only.
    pub fn is_insecure(&self) -> bool {
        self.origin == SrsOrigin::Local
    }

    /// `[τ^i]_1`, 2^k + [`SRS_EXTRA`] points.
    pub fn monomial(&self) -> &Values<G1Affine> {
        self.monomial.points()
    }

    /// `[L_i(τ)]_1`, 2^k points.
    pub fn lagrange(&self) -> &Values<G1Affine> {
        self.lagrange.points()
    }

    /// The monomial points as they are known to devices.
    pub(crate) fn monomial_bases(&self) -> &Bases {
        &self.monomial
    }

    /// The Lagrange points as they are known to devices.
    pub(crate) fn lagrange_bases(&self) -> &Bases {
        &self.lagrange
    }

    /// What verifiers need of it.
    pub fn verifier(&self) -> SrsVerifier {
        let g1 = self.monomial().first().copied().unwrap_or_default();
        SrsVerifier { g1, g2: self.g2, tau_g2: self.tau_g2, id: self.id(), insecure: self.is_insecure() }
    }

    /// Keccak-256 over size, origin and the first powers of τ in both groups, which determine everything else.
    pub fn id(&self) -> [u8; 32] {
        let mut hash = Keccak256::new_with_prefix(b"kiln srs v1");
        hash.update(self.k.to_be_bytes());
        hash.update([u8::from(self.is_insecure())]);
        for point in self.monomial().iter().take(2) {
            hash.update(g1_to_bytes(point));
        }
        hash.update(g2_to_bytes(&self.g2));
        hash.update(g2_to_bytes(&self.tau_g2));
        hash.finalize().into()
    }
}

/// τ from the seed: anything but a root of unity, where the Lagrange polynomials would need a division by zero.
fn draw_tau(k: u32, seed: [u8; 32]) -> Fr {
    let mut rng = ChaCha20Rng::from_seed(seed);
    loop {
        let tau = Fr::rand(&mut rng);
        if !tau.is_zero() && !tau.pow([1 << k]).is_one() {
            return tau;
        }
    }
}

/// `base^i` for i < count.
fn powers(base: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::one()), |power| Some(*power * base)).take(count).collect()
}

/// `L_i(τ) = ω^i·(τ^n − 1) / (n·(τ − ω^i))` for all i < n = 2^k.
fn lagrange_values(k: u32, tau: Fr) -> Vec<Fr> {
    let rows = 1u64 << k;
    let roots = powers(root_of_unity(k), 1 << k);
    let mut denominators: Vec<Fr> = roots.iter().map(|root| (tau - root) * Fr::from(rows)).collect();
    batch_inversion(&mut denominators);
    let vanishing = tau.pow([rows]) - Fr::one();
    roots.iter().zip(&denominators).map(|(root, inverse)| *root * vanishing * inverse).collect()
}

#[cfg(test)]
mod tests;
