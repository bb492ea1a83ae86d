//! Field elements and points as the card keeps them: Montgomery limbs with R = 2^256, least significant first, which is
//! what `ark_bn254` computes with. So nothing is converted, only copied; and what a card gives back is checked, because
//! a limb pattern at or above the modulus, or a point off the curve, must not enter the arithmetic.

use ark_bn254::{Fq, Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField, Zero};
use kiln_abi::{ELEMENT_BYTES, Element, POINT_BYTES, element_from_bytes, element_to_bytes};

pub(super) fn element(x: &Fr) -> Element {
    x.0.0
}

pub(super) fn elements_to_bytes(elements: &[Fr]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(elements.len() * ELEMENT_BYTES as usize);
    for x in elements {
        bytes.extend_from_slice(&element_to_bytes(&x.0.0));
    }
    bytes
}

/// `None` if the length is not that of whole elements, or one of them is not below r.
pub(super) fn elements_from_bytes(bytes: &[u8]) -> Option<Vec<Fr>> {
    let (chunks, rest) = bytes.as_chunks::<{ ELEMENT_BYTES as usize }>();
    if !rest.is_empty() {
        return None;
    }
    chunks
        .iter()
        .map(|chunk| {
            let limbs = BigInt(element_from_bytes(chunk));
            (limbs < Fr::MODULUS).then(|| Fr::new_unchecked(limbs))
        })
        .collect()
}

pub(super) fn points_to_bytes(points: &[G1Affine]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(points.len() * POINT_BYTES as usize);
    for point in points {
        // Infinity is 64 zero bytes; (0, 0) is not on the curve, so this is unambiguous.
        let (x, y) = point.xy().unwrap_or((Fq::zero(), Fq::zero()));
        bytes.extend_from_slice(&element_to_bytes(&x.0.0));
        bytes.extend_from_slice(&element_to_bytes(&y.0.0));
    }
    bytes
}

/// `None` if the bytes are not one point of the curve with coordinates below the modulus.
pub(super) fn point_from_bytes(bytes: &[u8]) -> Option<G1Affine> {
    let ([x, y], []) = bytes.as_chunks::<{ ELEMENT_BYTES as usize }>() else { return None };
    let [x, y] = [x, y].map(|chunk| BigInt(element_from_bytes(chunk)));
    if x >= Fq::MODULUS || y >= Fq::MODULUS {
        return None;
    }
    if x.0 == [0; 4] && y.0 == [0; 4] {
        return Some(G1Affine::zero());
    }
    // G1 of BN254 has cofactor one: on the curve is in the group.
    let point = G1Affine::new_unchecked(Fq::new_unchecked(x), Fq::new_unchecked(y));
    point.is_on_curve().then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::{AffineRepr, CurveGroup};
    use ark_ff::One;

    #[test]
    fn elements_survive_the_round_trip() {
        let elements = [Fr::zero(), Fr::one(), -Fr::one(), Fr::from(u128::MAX)];
        assert_eq!(elements_from_bytes(&elements_to_bytes(&elements)).unwrap(), elements);
        assert_eq!(elements_from_bytes(&[]).unwrap(), []);
    }

    #[test]
    fn elements_that_are_not_below_the_modulus_are_refused() {
        let modulus: Vec<u8> = Fr::MODULUS.0.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        assert_eq!(elements_from_bytes(&modulus), None);
        assert_eq!(elements_from_bytes(&[0xff; 32]), None);
        assert_eq!(elements_from_bytes(&[0; 33]), None);
    }

    #[test]
    fn points_survive_the_round_trip_and_others_are_refused() {
        let g = G1Affine::generator();
        for point in [g, -g, (g + g).into_affine(), G1Affine::zero()] {
            assert_eq!(point_from_bytes(&points_to_bytes(&[point])), Some(point));
        }
        let mut off_curve = points_to_bytes(&[g]);
        off_curve[40] ^= 1;
        assert_eq!(point_from_bytes(&off_curve), None);
        assert_eq!(point_from_bytes(&[0xff; 64]), None);
        assert_eq!(point_from_bytes(&[0; 63]), None);
    }
}
