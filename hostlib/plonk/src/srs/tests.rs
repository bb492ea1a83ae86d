use std::fs;

use ark_bn254::Fq;
use ark_ec::VariableBaseMSM;
use ark_ff::PrimeField;

use super::*;
use crate::commit::Committer;
use crate::encoding::DecodeError;
use crate::error::ProveError;
use crate::sections::SectionError;

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

/// The SRS with some point replaced, written as if it were right.
fn reread_with(srs: &Srs, at: usize, point: G1Affine) -> Result<Srs, SrsError> {
    let mut points = [&**srs.monomial(), &**srs.lagrange()].concat();
    points[at] = point;
    let lagrange = points.split_off(srs.monomial().len());
    let wrong = Srs::from_points(srs.k, srs.origin, points, lagrange, [srs.g2, srs.tau_g2]);
    reread(&wrong, |_| {})
}

/// Bytes of the header: the fixed part, the head, two sections, the checksum.
const HEADER: usize = 28 + 40 + 256 + 2 * 44 + 32;
/// Where sections start.
const PAGE: usize = 4096;

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
        let back = reread(&srs, |bytes| assert!(bytes[36..].starts_with(b"INSECURE"))).unwrap();
        assert_eq!((back.k(), back.id(), back.is_insecure()), (k, srs.id(), true));
        assert_eq!((back.monomial(), back.lagrange()), (srs.monomial(), srs.lagrange()));
    }
}

#[test]
fn truncated_or_prolonged_files_are_refused() {
    let srs = local(1);
    let length = PAGE + (64 * (2 + SRS_EXTRA)).next_multiple_of(PAGE) + PAGE;
    for left in [0, 7, 8, 30, 52, 53, HEADER - 1, HEADER, PAGE, length - 1] {
        let result = reread(&srs, |bytes| {
            assert_eq!(bytes.len(), length);
            bytes.truncate(left);
        });
        let truncated = matches!(&result, Err(SrsError::File(SectionError::Truncated { .. })));
        let too_short_for_the_magic = left < 8 && result.is_err();
        assert!(truncated || too_short_for_the_magic, "{left} bytes");
    }
    let result = reread(&srs, |bytes| bytes.push(0));
    assert!(matches!(result, Err(SrsError::File(SectionError::TooLong { .. }))));
}

#[test]
fn every_flipped_bit_is_refused_and_those_of_the_header_when_it_is_opened() {
    let srs = local(0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs");
    srs.write_to(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    // every byte of the header and of the first points, then here and there
    let places = (0..HEADER).chain(PAGE..PAGE + 64).chain((HEADER..bytes.len()).step_by(13));
    for index in places {
        let mut flipped = bytes.clone();
        flipped[index] ^= 1 << (index % 8);
        fs::write(&path, flipped).unwrap();
        let opened = Srs::open(&path);
        assert_eq!(opened.is_err(), index < HEADER, "byte {index}");
        assert!(opened.and_then(|srs| srs.check()).is_err(), "byte {index}");
    }
}

#[test]
fn a_point_that_is_none_is_named() {
    let generator = G1Affine::generator();
    let off_curve = G1Affine::new_unchecked(generator.x, generator.x);
    let result = reread_with(&local(1), 2, off_curve);
    assert!(matches!(result, Err(SrsError::Point { index: 2, source: DecodeError::NotOnCurve })));
    let result = reread_with(&local(1), 0, G1Affine::identity());
    assert!(matches!(result, Err(SrsError::Point { index: 0, source: DecodeError::UnexpectedInfinity })));
    let unreduced = G1Affine::new_unchecked(Fq::new_unchecked(Fq::MODULUS), generator.y);
    let result = reread_with(&local(1), 3, unreduced);
    assert!(matches!(result, Err(SrsError::Point { index: 3, .. })));
}

#[test]
fn points_that_are_not_reduced_never_reach_the_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs");
    local(1).write_to(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[PAGE + 64 + 24..PAGE + 64 + 32].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let srs = Srs::open(&path).unwrap();
    assert!(matches!(Committer::new(&srs, 1), Err(ProveError::Srs(SrsError::Point { .. }))));
}

#[test]
fn points_of_another_tau_are_inconsistent() {
    let (srs, other) = (local(2), Srs::insecure_local(2, [6; 32]).unwrap());
    let last = 4 + SRS_EXTRA - 1;
    for at in [0, 1, 4, last, last + 1, last + 4] {
        let point = other.monomial()[7];
        assert!(matches!(reread_with(&srs, at, point), Err(SrsError::Inconsistent { .. })), "point {at}");
    }
    let (monomial, lagrange) = (srs.monomial().clone(), srs.lagrange().clone());
    let wrong = Srs::from_points(2, srs.origin, monomial, lagrange, [srs.g2, other.tau_g2]);
    assert!(matches!(reread(&wrong, |_| {}), Err(SrsError::Inconsistent { .. })));
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
