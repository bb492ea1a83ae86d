//! Writes small files in the form of a ceremony's `.ptau`, from a known τ. Tests only: of a ceremony, nobody knows it.

use ark_bn254::{Fq, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::scalar_mul::ScalarMul;
use ark_ec::{AffineRepr, PrimeGroup};
use ark_ff::{BigInteger, Field, PrimeField};

/// A section: its type and its content.
pub type Section = (u32, Vec<u8>);

/// Affine coordinates in Montgomery form, little-endian; zeros for infinity.
pub fn g1_bytes(point: &G1Affine) -> Vec<u8> {
    point.xy().map_or(vec![0; 64], |(x, y)| [montgomery(x), montgomery(y)].concat())
}

/// As [`g1_bytes`], c0 before c1.
pub fn g2_bytes(point: &G2Affine) -> Vec<u8> {
    point.xy().map_or(vec![0; 128], |(x, y)| [x.c0, x.c1, y.c0, y.c1].map(montgomery).concat())
}

/// x·2^256, little-endian.
fn montgomery(x: Fq) -> Vec<u8> {
    (x * Fq::from(2).pow([256])).into_bigint().to_bytes_le()
}

/// The header of a file of this power.
pub fn header(power: u32, ceremony_power: u32) -> Vec<u8> {
    let prime = Fq::MODULUS.to_bytes_le();
    [&32u32.to_le_bytes()[..], &prime, &power.to_le_bytes(), &ceremony_power.to_le_bytes()].concat()
}

/// All that snarkjs writes before the preparation for a second phase. What follows section 3 is not read, so it has no
/// meaning here.
pub fn sections(power: u32, tau: Fr) -> Vec<Section> {
    let count = (2usize << power) - 1;
    let powers: Vec<Fr> =
        std::iter::successors(Some(Fr::from(1)), |power| Some(*power * tau)).take(count).collect();
    let g1 = G1Projective::generator().batch_mul(&powers);
    let g2 = G2Projective::generator().batch_mul(&powers[..1 << power]);
    vec![
        (1, header(power, power.max(10))),
        (2, g1.iter().flat_map(g1_bytes).collect()),
        (3, g2.iter().flat_map(g2_bytes).collect()),
        (4, vec![4; 64 << power]),
        (5, vec![5; 64 << power]),
        (6, vec![6; 128]),
        (7, vec![0; 4]),
    ]
}

/// The file with these sections.
pub fn file(sections: &[Section]) -> Vec<u8> {
    let mut bytes = b"ptau".to_vec();
    bytes.extend(1u32.to_le_bytes());
    bytes.extend((sections.len() as u32).to_le_bytes());
    for (kind, content) in sections {
        bytes.extend(kind.to_le_bytes());
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(content);
    }
    bytes
}
