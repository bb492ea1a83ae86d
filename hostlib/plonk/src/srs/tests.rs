use std::fs;

use ark_bn254::Fq;
use ark_ec::VariableBaseMSM;
use ark_ff::PrimeField;

use super::*;

fn local(k: u32) -> Srs {
    Srs::insecure_local(k, [5; 32]).unwrap()
}

/// Writes the SRS, lets `change` alter the bytes, and reads it.
fn reread(srs: &Srs, change: impl FnOnce(&mut Vec<u8>)) -> Result<Srs, SrsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs");
    srs.write_to(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    Srs::read_from(&path)
}

/// As [`reread`], with the checksum made right again.
fn reread_resealed(srs: &Srs, change: impl FnOnce(&mut Vec<u8>)) -> Result<Srs, SrsError> {
    reread(srs, |bytes| {
        bytes.truncate(bytes.len() - 32);
        change(bytes);
        let checksum = Keccak256::digest(&*bytes);
        bytes.extend(checksum);
    })
}

/// Offset of the monomial points in the file.
const POINTS: usize = 52 + 256;

#[test]
fn bases_commit_alike() {
    let srs = local(3);
    assert_eq!((srs.monomial().len(), srs.lagrange().len()), (8 + SRS_EXTRA, 8));
    // X^5 has the values ω^(5j)
    let values = powers(root_of_unity(3).pow([5]), 8);
    assert_eq!(G1Projective::msm_unchecked(srs.lagrange(), &values), srs.monomial()[5]);
    assert_eq!(srs.verifier().g1, G1Affine::generator());
}

#[test]
fn the_seed_determines_the_srs() {
    assert_eq!(local(2).monomial(), local(2).monomial());
    assert_ne!(local(2).id(), Srs::insecure_local(2, [6; 32]).unwrap().id());
    assert_ne!(local(2).id(), local(3).id());
}

#[test]
fn files_survive_the_round_trip() {
    for k in [0, 1, 4] {
        let srs = local(k);
        let back = reread(&srs, |bytes| assert!(bytes[20..].starts_with(b"INSECURE"))).unwrap();
        assert_eq!((back.k(), back.id(), back.is_insecure()), (k, srs.id(), true));
        assert_eq!((back.monomial(), back.lagrange()), (srs.monomial(), srs.lagrange()));
    }
}

#[test]
fn truncated_or_prolonged_files_are_refused() {
    let srs = local(1);
    let length = POINTS + 64 * (2 + SRS_EXTRA + 2) + 32;
    for left in [0, 7, 8, 30, 52, 53, 500, length - 1] {
        let result = reread(&srs, |bytes| bytes.truncate(left));
        assert!(matches!(result, Err(SrsError::Truncated { .. } | SrsError::NotAnSrs)), "{left} bytes");
    }
    let result = reread(&srs, |bytes| bytes.push(0));
    assert!(matches!(result, Err(SrsError::TooLong { .. })));
}

#[test]
fn every_flipped_bit_is_refused() {
    let srs = local(0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs");
    srs.write_to(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    // every byte of header and first points, then here and there
    for index in (0..POINTS + 64).chain((POINTS + 64..bytes.len()).step_by(13)) {
        let mut flipped = bytes.clone();
        flipped[index] ^= 1 << (index % 8);
        fs::write(&path, flipped).unwrap();
        assert!(Srs::read_from(&path).is_err(), "byte {index}");
    }
}

#[test]
fn an_announced_size_is_not_believed() {
    let result = reread(&local(1), |bytes| bytes[15] = 24);
    assert!(matches!(result, Err(SrsError::Truncated { .. })));
    let result = reread(&local(1), |bytes| bytes[12] = 1);
    assert!(matches!(result, Err(SrsError::SizeOutOfRange { .. })));
}

#[test]
fn a_point_off_the_curve_is_named() {
    let result = reread_resealed(&local(1), |bytes| bytes[POINTS + 2 * 64 + 63] ^= 1);
    assert!(matches!(
        result,
        Err(SrsError::Point { index: 2, source: crate::encoding::DecodeError::NotOnCurve })
    ));
    let result = reread_resealed(&local(1), |bytes| bytes[POINTS..POINTS + 64].fill(0));
    assert!(matches!(result, Err(SrsError::Point { index: 0, .. })));
    let modulus = Fq::MODULUS.0.map(u64::to_be_bytes);
    let result = reread_resealed(&local(1), |bytes| {
        for (chunk, limb) in bytes[POINTS..POINTS + 32].rchunks_exact_mut(8).zip(modulus) {
            chunk.copy_from_slice(&limb);
        }
    });
    let expected = crate::encoding::DecodeError::NonCanonicalPoint;
    assert!(matches!(result, Err(SrsError::Point { index: 0, source }) if source == expected));
}

#[test]
fn points_of_another_tau_are_inconsistent() {
    let (srs, other) = (local(2), Srs::insecure_local(2, [6; 32]).unwrap());
    let swap = |at: usize, with: G1Affine| {
        reread_resealed(&srs, |bytes| {
            let (x, y) = crate::encoding::g1_coordinates(&with);
            bytes[POINTS + 64 * at..][..32].copy_from_slice(&x);
            bytes[POINTS + 64 * at + 32..][..32].copy_from_slice(&y);
        })
    };
    let last = 4 + SRS_EXTRA - 1;
    for at in [0, 1, 4, last, last + 1, last + 4] {
        let point = other.monomial()[7];
        assert!(matches!(swap(at, point), Err(SrsError::Inconsistent { .. })), "point {at}");
    }
    let result =
        reread_resealed(&srs, |bytes| bytes[52 + 128..][..128].copy_from_slice(&g2_to_bytes(&other.tau_g2)));
    assert!(matches!(result, Err(SrsError::Inconsistent { .. })));
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("taken");
    // a folder cannot be replaced by a file
    fs::create_dir(&target).unwrap();
    fs::write(target.join("inside"), b"").unwrap();
    assert!(matches!(local(0).write_to(&target), Err(SrsError::Io { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(Srs::read_from(&folder.path().join("missing")), Err(SrsError::Io { .. })));
}
