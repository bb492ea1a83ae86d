//! The other libraries' side of each row: arkworks always, halo2curves and halo2curves-axiom in a build with the feature
//! `peers`.

use std::hint::black_box;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::Field;
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};

use super::Side;
use super::fields::{CALL, in_turn, pairwise, single, values};

/// Name, operations of one call, the call.
pub type Peers<'a> = Vec<(&'static str, usize, Side<'a>)>;

const ARK_FF: &str = "ark-ff 0.6";
const ARK_EC: &str = "ark-ec 0.6";
const ARK_POLY: &str = "ark-poly 0.6";

fn side<'a>(call: impl Fn() + Send + Sync + 'a) -> Side<'a> {
    Box::new(move || {
        call();
        Ok(())
    })
}

/// Calls a function of each halo2curves, of which there are two with the same interface.
macro_rules! each_halo2 {
    ($peers:ident, $count:expr, $function:ident($($argument:expr),*)) => {
        #[cfg(feature = "peers")]
        {
            $peers.push(("halo2curves 0.10", $count, halo2curves_010::$function($($argument),*)));
            $peers.push(("halo2curves-axiom 0.7", $count, halo2curves_axiom_07::$function($($argument),*)));
        }
    };
}

/// The same code for either halo2curves.
macro_rules! halo2 {
    ($module:ident, $curves:ident) => {
        #[cfg(feature = "peers")]
        mod $module {
            use $curves::bn256::{Fq, Fr as Scalar, G1Affine as Point};
            use $curves::ff::{Field, PrimeField};
            use $curves::{CurveAffine, fft, msm};

            use super::*;

            fn scalar(x: Fr) -> Scalar {
                let bytes = ark_ff::BigInteger::to_bytes_le(&ark_ff::PrimeField::into_bigint(x));
                let mut repr = <Scalar as PrimeField>::Repr::default();
                repr.as_mut().copy_from_slice(&bytes);
                Option::from(Scalar::from_repr(repr)).unwrap_or_default()
            }

            fn coordinate(x: ark_bn254::Fq) -> Fq {
                let bytes = ark_ff::BigInteger::to_bytes_le(&ark_ff::PrimeField::into_bigint(x));
                let mut repr = <Fq as PrimeField>::Repr::default();
                repr.as_mut().copy_from_slice(&bytes);
                Option::from(Fq::from_repr(repr)).unwrap_or_default()
            }

            pub fn multiply() -> Side<'static> {
                let values = values(scalar);
                side(move || pairwise(&values, |a, b| a * b))
            }

            pub fn multiply_in_turn() -> Side<'static> {
                let values = values(scalar);
                side(move || in_turn(&values, |a, b| a * b))
            }

            pub fn multiply_fq() -> Side<'static> {
                let values = values(|x| Fq::from(ark_ff::PrimeField::into_bigint(x).0[0]).square());
                side(move || pairwise(&values, |a, b| a * b))
            }

            pub fn add() -> Side<'static> {
                let values = values(scalar);
                side(move || pairwise(&values, |a, b| a + b))
            }

            pub fn invert() -> Side<'static> {
                let values = values(scalar);
                side(move || single(&values, |x| x.invert()))
            }

            pub fn transform<'a>(v: &[Fr]) -> Side<'a> {
                let v: Vec<Scalar> = v.iter().map(|x| scalar(*x)).collect();
                let log_n = v.len().ilog2();
                let root = Scalar::ROOT_OF_UNITY.pow_vartime([1u64 << (Scalar::S - log_n)]);
                side(move || {
                    let mut column = v.clone();
                    fft::best_fft(&mut column, root, log_n);
                    black_box(column);
                })
            }

            pub fn commit<'a>(points: &[G1Affine], scalars: &[Fr]) -> Side<'a> {
                let scalars: Vec<Scalar> = scalars.iter().map(|x| scalar(*x)).collect();
                let point = |p: &G1Affine| Option::from(Point::from_xy(coordinate(p.x), coordinate(p.y)));
                let points: Vec<Point> = points.iter().map(|p| point(p).unwrap_or_default()).collect();
                side(move || {
                    black_box(msm::msm_best(&scalars, &points));
                })
            }
        }
    };
}

halo2!(halo2curves_010, halo2curves);
halo2!(halo2curves_axiom_07, halo2curves_axiom);

pub fn multiply() -> Peers<'static> {
    let a = values(|x| x);
    #[allow(unused_mut, reason = "used with the feature `peers`")]
    let mut peers: Peers<'static> = vec![(ARK_FF, CALL.0, side(move || pairwise(&a, |a, b| a * b)))];
    each_halo2!(peers, CALL.0, multiply());
    peers
}

pub fn multiply_in_turn() -> Peers<'static> {
    let a = values(|x| x);
    #[allow(unused_mut, reason = "used with the feature `peers`")]
    let mut peers: Peers<'static> = vec![(ARK_FF, CALL.0, side(move || in_turn(&a, |a, b| a * b)))];
    each_halo2!(peers, CALL.0, multiply_in_turn());
    peers
}

pub fn multiply_fq() -> Peers<'static> {
    let a = values(|x| ark_bn254::Fq::from(ark_ff::PrimeField::into_bigint(x).0[0]).square());
    #[allow(unused_mut, reason = "used with the feature `peers`")]
    let mut peers: Peers<'static> = vec![(ARK_FF, CALL.0, side(move || pairwise(&a, |a, b| a * b)))];
    each_halo2!(peers, CALL.0, multiply_fq());
    peers
}

pub fn add() -> Peers<'static> {
    let a = values(|x| x);
    #[allow(unused_mut, reason = "used with the feature `peers`")]
    let mut peers: Peers<'static> = vec![(ARK_FF, CALL.0, side(move || pairwise(&a, |a, b| a + b)))];
    each_halo2!(peers, CALL.0, add());
    peers
}

pub fn invert() -> Peers<'static> {
    let a = values(|x| x);
    #[allow(unused_mut, reason = "used with the feature `peers`")]
    let mut peers: Peers<'static> = vec![(ARK_FF, CALL.1, side(move || single(&a, |x| x.inverse())))];
    each_halo2!(peers, CALL.1, invert());
    peers
}

/// A transform on the domain itself, natural order in and out; `inverse`: back. The halo2curves have no inverse of their
/// own, which is the same transform.
pub fn transform(v: &[Fr], domain: Radix2EvaluationDomain<Fr>, inverse: bool) -> Peers<'_> {
    let ark = side(move || {
        let mut column = v.to_vec();
        if inverse {
            domain.ifft_in_place(&mut column);
        } else {
            domain.fft_in_place(&mut column);
        }
        black_box(column);
    });
    #[allow(unused_mut, reason = "used with the feature `peers`")]
    let mut peers: Peers<'_> = vec![(ARK_POLY, 1, ark)];
    each_halo2!(peers, 1, transform(v));
    peers
}

/// Σ scalars[i]·points[i]
pub fn commit<'a>(points: &'a [G1Affine], scalars: &'a [Fr]) -> Peers<'a> {
    let ark = side(move || {
        let _ = black_box(G1Projective::msm_unchecked(points, scalars).into_affine());
    });
    #[allow(unused_mut, reason = "used with the feature `peers`")]
    let mut peers: Peers<'a> = vec![(ARK_EC, 1, ark)];
    each_halo2!(peers, 1, commit(points, scalars));
    peers
}

/// arkworks' field operations in a loop.
pub fn looped<'a>(call: impl Fn() + Send + Sync + 'a) -> Peers<'a> {
    vec![("ark-ff 0.6, loop", 1, side(call))]
}
