//! Liberties with the bytes of true proofs: a proof has one form.

use ark_bn254::{Fq, Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField, Zero};

use super::bites_bytes;
use super::prover::{Step, honest, prove};
use super::sample::{NEAR, Setting};
use crate::check::{Check, without};
use crate::constraints::Oracle;
use crate::encoding::{self, WORD_BYTES};
use crate::error::{MalformedProof, VerifyError};
use crate::verifier::verify;

const HEADER_BYTES: usize = 8;
const INFINITY: u8 = 0x40;

/// `word + modulus`; none if that needs more than 254 bits.
fn alias(word: &[u8], modulus: impl BigInteger) -> Option<[u8; WORD_BYTES]> {
    let mut alias: [u8; WORD_BYTES] = word.try_into().unwrap();
    let mut carry = 0;
    for (byte, term) in alias.iter_mut().rev().zip(modulus.to_bytes_le()) {
        let sum = u16::from(*byte) + u16::from(term) + carry;
        *byte = (sum % 256) as u8;
        carry = sum / 256;
    }
    (carry == 0 && alias[0] & 0x7f < INFINITY).then_some(alias)
}

#[test]
fn a_point_in_another_form_is_refused() {
    // x + q in place of x, where it fits
    let setting = Setting::new();
    let proof = honest(&setting);
    let plan = &setting.vk.plan;
    let leading = plan.proof_points() - 2;
    let mut seen = 0;
    for index in (0..leading).chain(leading + plan.queries.len()..plan.proof_points() + plan.queries.len()) {
        let place = HEADER_BYTES + WORD_BYTES * index;
        let word = &proof[place..place + WORD_BYTES];
        let sign = word[0] & 0x80;
        let mut plain = word.to_vec();
        plain[0] ^= sign;
        let Some(mut other) = alias(&plain, Fq::MODULUS) else { continue };
        other[0] |= sign;
        let mut bytes = proof.clone();
        bytes[place..place + WORD_BYTES].copy_from_slice(&other);
        let verdict = || verify(&setting.vk, &setting.statement, &bytes);
        assert!(matches!(verdict(), Err(VerifyError::Malformed(MalformedProof::Point { .. }))));
        assert_eq!(without(&[Check::CanonicalPoint], verdict), Ok(()), "point {index}");
        seen += 1;
    }
    assert!(seen > 3);
}

#[test]
fn a_scalar_in_another_form_is_refused() {
    // v + r in place of v
    let setting = Setting::new();
    let proof = honest(&setting);
    let plan = &setting.vk.plan;
    for index in 0..plan.queries.len() {
        let place = HEADER_BYTES + WORD_BYTES * (plan.proof_points() - 2 + index);
        let mut bytes = proof.clone();
        let Some(other) = alias(&bytes[place..place + WORD_BYTES], Fr::MODULUS) else { continue };
        bytes[place..place + WORD_BYTES].copy_from_slice(&other);
        let what = "an evaluation";
        let refusal = VerifyError::Malformed(MalformedProof::Scalar { what });
        bites_bytes(&setting, &[Check::CanonicalScalar], &bytes, &refusal);
    }
}

#[test]
fn the_point_at_infinity_is_refused() {
    // an unblinded column of zeros, whose commitment is infinity: everything else is as it should be
    let setting = Setting::new();
    let lie = &mut |step, prover: &mut super::Prover<'_>| {
        if step == Step::Advice(0) {
            prover.rows.get_mut(&Oracle::Advice(NEAR)).unwrap().fill(Fr::zero());
            prover.unblinded = true;
        } else {
            prover.unblinded = false;
        }
    };
    // blinding has to be off for this phase only
    let proof = prove(&setting, &setting.statement, lie);
    let what = "an advice commitment";
    bites_bytes(
        &setting,
        &[Check::NotInfinity],
        &proof,
        &VerifyError::Malformed(MalformedProof::Point { what }),
    );
}

#[test]
fn infinity_in_any_place_proves_nothing_even_where_it_may_stand() {
    let setting = Setting::new();
    let proof = honest(&setting);
    let plan = &setting.vk.plan;
    let leading = plan.proof_points() - 2;
    for index in (0..leading).chain(leading + plan.queries.len()..plan.proof_points() + plan.queries.len()) {
        let place = HEADER_BYTES + WORD_BYTES * index;
        let mut bytes = proof.clone();
        bytes[place..place + WORD_BYTES].fill(0);
        bytes[place] = INFINITY;
        let verdict = || verify(&setting.vk, &setting.statement, &bytes);
        assert!(matches!(verdict(), Err(VerifyError::Malformed(MalformedProof::Point { .. }))));
        assert_eq!(without(&[Check::NotInfinity], verdict), Err(super::FALSE), "point {index}");
    }
}

#[test]
fn a_compressed_point_cannot_lie_off_the_curve() {
    // No check to take away: x without a y on the curve has no point at all, and the group has no other point of it.
    let mut refused = 0;
    for x in 0..64u8 {
        let mut word = [0; WORD_BYTES];
        word[WORD_BYTES - 1] = x;
        match encoding::g1_from_bytes(&word) {
            Ok(point) => assert!(point.is_on_curve() && !point.is_zero()),
            Err(_) => refused += 1,
        }
    }
    assert!((10..54).contains(&refused));
    assert!(G1Affine::generator().is_in_correct_subgroup_assuming_on_curve());
}

#[test]
fn another_version_is_refused() {
    let setting = Setting::new();
    let proof = honest(&setting);
    for place in 0..HEADER_BYTES {
        let mut bytes = proof.clone();
        bytes[place] ^= 2;
        let refusal = VerifyError::Malformed(MalformedProof::Header { expected: 1 });
        bites_bytes(&setting, &[Check::Header], &bytes, &refusal);
    }
}

#[test]
fn trailing_bytes_are_refused_twice() {
    // ahead of reading by the length, and after it because something is left
    let setting = Setting::new();
    let proof = honest(&setting);
    for count in [1, 31, 32, 64] {
        let bytes = [proof.as_slice(), &[0; 64][..count]].concat();
        let refusal =
            VerifyError::Malformed(MalformedProof::Length { expected: proof.len(), got: bytes.len() });
        bites_bytes(&setting, &[Check::Length, Check::End], &bytes, &refusal);
    }
}

#[test]
fn missing_bytes_are_refused_even_without_the_length() {
    let setting = Setting::new();
    let proof = honest(&setting);
    for length in [8, 9, 40, proof.len() - 33, proof.len() - 1] {
        let bytes = &proof[..length];
        let verdict = || verify(&setting.vk, &setting.statement, bytes);
        let refusal = MalformedProof::Length { expected: proof.len(), got: length };
        assert_eq!(verdict(), Err(VerifyError::Malformed(refusal)));
        assert!(matches!(without(&[Check::Length], verdict), Err(VerifyError::Malformed(_))));
    }
}
