use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::SWCurveConfig;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, Field, One, PrimeField, UniformRand, Zero};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::circuit::{AdviceColumn, Cell, Circuit, CommittedGroup, Gate, Lookup, Region, Table};
use crate::expression::{Challenge, Column, Expression, Monomial};
use crate::formula::{InstanceCell, Run};

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([3; 32])
}

fn be(integer: impl BigInteger) -> [u8; 32] {
    integer.to_bytes_be().try_into().unwrap()
}

/// A circuit that uses every kind of part.
fn sample_circuit() -> Circuit {
    let monomial = Monomial(vec![(Challenge(0), -3), (Challenge(1), 1 << 40)]);
    let a = Column::Advice(0);
    Circuit {
        k: 4,
        degree: 4,
        fixed: vec!["tag".into(), "t".into()],
        instance: vec!["D".into()],
        committed: vec![CommittedGroup { name: "model".into(), columns: 1 }],
        advice: vec![AdviceColumn { name: "a".into(), phase: 1, linear: true }],
        challenges: vec![vec!["β".into(), "γ".into()], vec![]],
        gates: vec![Gate {
            name: "g".into(),
            expression: a.here() * a.previous() - Expression::Challenge(monomial.clone()) + Expression::one(),
        }],
        lookups: vec![Lookup {
            name: "l".into(),
            inputs: vec![a.here(), Column::Committed(0).here()],
            table: 0,
        }],
        tables: vec![Table { name: "t".into(), segments: vec![vec![Column::Fixed(0), Column::Fixed(1)]] }],
        copy_columns: vec![a, Column::Instance(0)],
        copies: vec![(Cell { column: a, row: 3 }, Cell { column: Column::Instance(0), row: 0 })],
        instance_cells: vec![InstanceCell {
            column: 0,
            row: 0,
            runs: vec![Run {
                coefficient: -Fr::one(),
                public: Some((1, 2)),
                len: 3,
                first: monomial,
                step: Monomial::default(),
            }],
        }],
        public_inputs: 6,
        meaning: "an age, in years".into(),
        regions: vec![],
    }
}

#[test]
fn points_and_scalars_survive_the_round_trip() {
    let mut rng = rng();
    for scalar in [Fr::zero(), Fr::one(), -Fr::one(), Fr::rand(&mut rng)] {
        assert_eq!(scalar_from_bytes(&scalar_to_bytes(&scalar)), Ok(scalar));
        let point = (G1Affine::generator() * scalar).into_affine();
        for point in [point, -point] {
            assert_eq!(g1_from_bytes(&g1_to_bytes(&point)), Ok(point));
            let (x, y) = g1_coordinates(&point);
            assert_eq!(g1_from_coordinates(&x, &y), Ok(point));
        }
        if !scalar.is_zero() {
            let point = (G2Affine::generator() * scalar).into_affine();
            assert_eq!(g2_from_bytes(&g2_to_bytes(&point)), Ok(point));
        }
    }
}

#[test]
fn scalars_are_big_endian() {
    let mut expected = [0; 32];
    expected[30] = 1;
    expected[31] = 2;
    assert_eq!(scalar_to_bytes(&Fr::from(258)), expected);
}

#[test]
fn scalars_from_the_group_order_on_are_refused() {
    let mut order = Fr::MODULUS;
    assert_eq!(scalar_from_bytes(&be(order)), Err(DecodeError::NonCanonicalScalar));
    order.add_with_carry(&5u64.into());
    assert_eq!(scalar_from_bytes(&be(order)), Err(DecodeError::NonCanonicalScalar));
    assert_eq!(scalar_from_bytes(&[0xff; 32]), Err(DecodeError::NonCanonicalScalar));
}

#[test]
fn every_point_has_one_encoding() {
    let generator = g1_to_bytes(&G1Affine::generator());
    // x + q names the same point, but is not canonical
    let mut aliased = Fq::MODULUS;
    aliased.add_with_carry(&1u64.into());
    assert_eq!(g1_from_bytes(&be(aliased)), Err(DecodeError::NonCanonicalPoint));
    let mut flagged = generator;
    flagged[0] |= 0x40;
    assert_eq!(g1_from_bytes(&flagged), Err(DecodeError::NonCanonicalPoint));
    let infinity = g1_to_bytes(&G1Affine::identity());
    assert_eq!(g1_from_bytes(&infinity), Ok(G1Affine::identity()));
    for bit in [0, 7, 255] {
        let mut bytes = infinity;
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        assert_eq!(g1_from_bytes(&bytes), Err(DecodeError::NonCanonicalPoint), "bit {bit}");
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    let off = (4u64..).map(Fq::from).find(|x| (x.square() * x + Fq::from(3)).sqrt().is_none()).unwrap();
    assert_eq!(g1_from_bytes(&be(off.into_bigint())), Err(DecodeError::NotOnCurve));
    let one = be(Fq::one().into_bigint());
    assert_eq!(g1_from_coordinates(&one, &one), Err(DecodeError::NotOnCurve));
}

#[test]
fn g2_points_outside_the_subgroup_are_refused() {
    // The cofactor of the twist is large: a random point on it is outside the subgroup.
    let outside = (1u64..)
        .find_map(|x| ark_bn254::g2::G2Affine::get_point_from_x_unchecked(Fq2::from(x), true))
        .filter(|point| !ark_bn254::g2::Config::is_in_correct_subgroup_assuming_on_curve(point))
        .unwrap();
    assert_eq!(g2_from_bytes(&g2_to_bytes(&outside)), Err(DecodeError::NotInSubgroup));
    assert_eq!(g2_from_bytes(&[0; 128]), Err(DecodeError::UnexpectedInfinity));
    assert_eq!(g2_from_bytes(&[1; 128]), Err(DecodeError::NotOnCurve));
}

#[test]
fn a_circuit_survives_the_round_trip() {
    let circuit = sample_circuit();
    assert_eq!(Circuit::from_bytes(&circuit.to_bytes()), Ok(circuit));
}

#[test]
fn regions_are_not_part_of_a_circuits_bytes() {
    let mut circuit = sample_circuit();
    let before = circuit.to_bytes();
    let names = ["Conv".to_owned(), "y".to_owned()];
    let [operator, tensor] = names;
    circuit.regions.push(Region { first_row: 0, rows: 2, operator, tensor, columns: vec![] });
    assert_eq!(circuit.to_bytes(), before);
}

#[test]
fn truncated_or_prolonged_circuits_are_refused() {
    let mut bytes = sample_circuit().to_bytes();
    for length in 0..bytes.len() {
        assert!(Circuit::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    bytes.push(0);
    assert_eq!(Circuit::from_bytes(&bytes), Err(DecodeError::TrailingBytes { got: 1 }));
}

#[test]
fn every_byte_of_a_circuit_counts() {
    let circuit = sample_circuit();
    let bytes = circuit.to_bytes();
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(Circuit::from_bytes(&flipped), Ok(circuit.clone()), "bit {bit}");
    }
}

#[test]
fn a_length_beyond_the_data_is_refused_before_allocation() {
    let mut bytes = u64::MAX.to_be_bytes().to_vec();
    bytes.extend([0; 16]);
    assert_eq!(Vec::<u64>::from_bytes(&bytes), Err(DecodeError::Truncated { expected: usize::MAX, got: 16 }));
}

#[test]
fn deep_nesting_is_refused() {
    let bytes = [5; 100_000];
    assert_eq!(Expression::from_bytes(&bytes), Err(DecodeError::TooDeep { limit: 64 }));
}
