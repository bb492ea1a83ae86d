use std::fs;

use ark_bn254::{G1Projective, G2Projective};
use ark_ec::CurveGroup;
use ark_ec::models::short_weierstrass::SWCurveConfig;
use ark_ff::{BigInteger, Field};

use super::super::{lagrange_values, powers};
use super::*;
use crate::domain::root_of_unity;
use crate::progress::Silent;

#[path = "../../../tests/ptau_file/mod.rs"]
mod ptau_file;

use ptau_file::{Section, file, g1_bytes, g2_bytes, header, sections};

const TAU: u64 = 0x1234_5678_9abc_def1;

fn tau() -> Fr {
    Fr::from(TAU).square() * Fr::from(TAU)
}

fn write(bytes: &[u8]) -> tempfile::TempPath {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    fs::write(&path, bytes).unwrap();
    path
}

fn read(bytes: &[u8], k: u32) -> Result<Srs, SrsError> {
    Ptau::open(&write(bytes))?.read_srs(k, &Silent)
}

/// The reason why a file of power 6, altered, gives no SRS for two rows.
fn refusal(change: impl FnOnce(&mut Vec<Section>)) -> SrsError {
    let mut sections = sections(6, tau());
    change(&mut sections);
    read(&file(&sections), 1).map(|srs| srs.k()).unwrap_err()
}

fn malformed(change: impl FnOnce(&mut Vec<Section>)) -> PtauError {
    match refusal(change) {
        SrsError::Ptau(error) => error,
        other => panic!("{other}"),
    }
}

fn multiples(scalars: &[Fr]) -> Vec<G1Affine> {
    let generator = G1Projective::from(G1Affine::generator());
    scalars.iter().map(|scalar| (generator * scalar).into_affine()).collect()
}

/// The smallest power whose file serves 2^k rows.
fn smallest_power(k: u32) -> u32 {
    (1..).find(|power| (2u64 << power) > (1 << k) + SRS_EXTRA as u64).unwrap()
}

#[test]
fn the_first_powers_and_their_lagrange_points_are_taken_at_every_size() {
    for k in 0..=6 {
        for power in [smallest_power(k), 8] {
            let srs = read(&file(&sections(power, tau())), k).unwrap();
            assert_eq!(srs.monomial().to_vec(), multiples(&powers(tau(), (1 << k) + SRS_EXTRA)), "k = {k}");
            assert_eq!(srs.lagrange().to_vec(), multiples(&lagrange_values(k, tau())), "k = {k}");
            assert_eq!(srs.verifier().tau_g2, (G2Affine::generator() * tau()).into_affine());
            assert_eq!((srs.k(), srs.is_insecure()), (k, false));
            assert_eq!(srs.origin(), SrsOrigin::Ptau { power, ceremony_power: 10 });
        }
    }
}

/// A prepared file: section 12 has the Lagrange points of every size.
#[test]
fn lagrange_points_of_a_prepared_file_are_taken_if_they_belong_to_the_powers() {
    let sizes = |tau: Fr| (0..=7).flat_map(move |k| multiples(&lagrange_values(k, tau)));
    let with = |lagrange: Vec<u8>| {
        let mut sections = sections(6, tau());
        sections.push((12, lagrange));
        file(&sections)
    };
    let right: Vec<u8> = sizes(tau()).flat_map(|point| g1_bytes(&point)).collect();
    let wrong: Vec<u8> = sizes(Fr::from(5)).flat_map(|point| g1_bytes(&point)).collect();
    for k in [0, 1, 5] {
        let expected = multiples(&lagrange_values(k, tau()));
        let mut derived = 0;
        for (bytes, is_taken) in [
            (with(right.clone()), true),
            (with(wrong.clone()), false),
            (with(vec![0xff; right.len()]), false),
            (with(Vec::new()), false),
        ] {
            let steps = Steps::default();
            let srs = Ptau::open(&write(&bytes)).unwrap().read_srs(k, &steps).unwrap();
            assert_eq!(srs.lagrange().to_vec(), expected, "k = {k}");
            let was_derived = steps.0.lock().unwrap().contains(&"derive the Lagrange points");
            assert!(!(is_taken && was_derived), "k = {k}");
            derived += usize::from(was_derived);
        }
        // A transform of one point has no level.
        assert_eq!(derived, if k == 0 { 0 } else { 3 });
    }
}

/// Takes down what is done.
#[derive(Default)]
struct Steps(std::sync::Mutex<Vec<&'static str>>);

impl SetupProgress for Steps {
    fn advance(&self, step: &'static str, _: u64, _: u64) {
        self.0.lock().unwrap().push(step);
    }
}

#[test]
fn points_are_read_across_chunks() {
    // Cheap points: only reading is at stake, so all are the generator.
    let count = CHUNK_POINTS + 3;
    let bytes = g1_bytes(&G1Affine::generator()).repeat(count);
    let contents = Contents { power: 17, ceremony_power: 17, tau_g1: 0, tau_g2: 0, lagrange_g1: None };
    let ptau = |bytes: &[u8]| {
        let path = write(bytes);
        let file = File::open(&path).unwrap();
        Ptau {
            file,
            path: path.to_path_buf(),
            contents: Contents { ..contents },
            g2: [G2Affine::generator(); 2],
        }
    };
    let points = ptau(&bytes).read_g1(0, count, &mut Keccak256::new(), &Silent).unwrap().unwrap();
    assert_eq!(points, vec![G1Affine::generator(); count]);
    let mut broken = bytes.clone();
    broken[(CHUNK_POINTS + 1) * G1_BYTES] ^= 1;
    let result = ptau(&broken).read_g1(0, count, &mut Keccak256::new(), &Silent).unwrap();
    assert!(matches!(result, Err(SrsError::Point { index, .. }) if index == CHUNK_POINTS + 1));
    assert!(ptau(&bytes[..bytes.len() - 1]).read_g1(0, count, &mut Keccak256::new(), &Silent).is_err());
}

/// 2^256 modulo the prime, a constant of the curve: the x of the generator, 1, in Montgomery form.
#[test]
fn coordinates_are_little_endian_montgomery() {
    let one =
        [0xd35d_438d_c58f_0d9d_u64, 0x0a78_eb28_f5c7_0b3d, 0x666e_a36f_7879_462c, 0x0e0a_77c1_9a07_df2f];
    let one: Vec<u8> = one.iter().flat_map(|limb| limb.to_le_bytes()).collect();
    assert_eq!(g1_bytes(&G1Affine::generator())[..32], one);
    let point: [u8; 64] = g1_bytes(&G1Affine::generator()).try_into().unwrap();
    assert_eq!(parse_g1(&point), Ok(G1Affine::generator()));
    let point: [u8; 128] = g2_bytes(&G2Affine::generator()).try_into().unwrap();
    assert_eq!(parse_g2(&point), Ok(G2Affine::generator()));
}

#[test]
fn the_fingerprint_names_the_ceremony_and_the_id_the_string() {
    let (small, large, other) =
        (file(&sections(6, tau())), file(&sections(7, tau())), file(&sections(6, Fr::from(5))));
    let fingerprint = |bytes: &[u8]| Ptau::open(&write(bytes)).unwrap().fingerprint();
    assert_eq!(fingerprint(&small), fingerprint(&large));
    assert_ne!(fingerprint(&small), fingerprint(&other));
    let [srs, same, longer] =
        [(&small, 1), (&large, 1), (&small, 2)].map(|(bytes, k)| read(bytes, k).unwrap());
    assert_eq!(srs.id(), same.id());
    assert_ne!(srs.id(), longer.id());
    assert_ne!(srs.id(), Srs::insecure_local(1, [1; 32]).unwrap().id());
    for srs in [srs, same, longer] {
        assert_eq!(srs.verifier().fingerprint(), fingerprint(&small));
    }
    let ptau = Ptau::open(&write(&small)).unwrap();
    assert!(ptau.expect_fingerprint(&fingerprint(&small)).is_ok());
    let error = ptau.expect_fingerprint(&fingerprint(&other)).unwrap_err().to_string();
    for side in [fingerprint(&small), fingerprint(&other)] {
        assert!(error.contains(&hexadecimal(&side)), "{error}");
    }
}

#[test]
fn files_made_from_it_keep_their_origin() {
    let srs = read(&file(&sections(6, tau())), 2).unwrap();
    let path = write(&[]);
    srs.write_to(&path).unwrap();
    let back = Srs::read_from(&path).unwrap();
    assert_eq!((back.origin(), back.id(), back.is_insecure()), (srs.origin(), srs.id(), false));
    assert_eq!((back.monomial(), back.lagrange()), (srs.monomial(), srs.lagrange()));
}

#[test]
fn a_file_with_too_few_powers_says_which_one_to_get() {
    for (k, power, needed) in [(1, 5, 6), (5, 1, 6), (6, 6, 7), (8, 7, 8), (24, 6, 24)] {
        let result = read(&file(&sections(power, tau())), k).map(|srs| srs.k());
        let Err(SrsError::Ptau(PtauError::TooSmall { power: named, expected, got, .. })) = result else {
            panic!("{result:?}")
        };
        assert_eq!((named, expected, got), (needed, (1 << k) + 64, (2 << power) - 1));
    }
    let result = read(&file(&sections(1, tau())), SRS_K_MAX + 1);
    assert!(matches!(result, Err(SrsError::SizeOutOfRange { expected: 24, got: 25 })));
}

#[test]
fn truncated_or_prolonged_files_are_refused() {
    let bytes = file(&sections(6, tau()));
    for length in (0..200).chain((200..bytes.len()).step_by(97)).chain([bytes.len() - 1]) {
        let result = read(&bytes[..length], 1);
        let truncated = matches!(
            result,
            Err(SrsError::Ptau(PtauError::Truncated { expected, got })) if got == length as u64 && expected > got
        );
        let too_short_to_tell =
            matches!(result, Err(SrsError::Ptau(PtauError::NotPtau { .. }))) && length < 4;
        assert!(truncated || too_short_to_tell, "{length} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(read(&longer, 1), Err(SrsError::Ptau(PtauError::TooLong { .. }))));
    let missing = Ptau::open(Path::new("/nowhere/to/be/found.ptau"));
    assert!(matches!(missing, Err(SrsError::Io { .. })));
}

#[test]
fn every_flipped_bit_that_is_read_is_refused() {
    let bytes = file(&sections(6, tau()));
    let header = FILE_HEAD + SECTION_HEAD;
    let g1 = header + HEADER + SECTION_HEAD;
    let g2 = g1 + 127 * G1_BYTES + SECTION_HEAD;
    let read_bytes = (0..header + HEADER - 4)
        .chain(header + HEADER..g1 + 3 * G1_BYTES)
        .chain((g1 + 3 * G1_BYTES..g1 + (2 + SRS_EXTRA) * G1_BYTES).step_by(59))
        .chain(g2 - SECTION_HEAD..g2 + 2 * G2_BYTES)
        .chain(g2 + 64 * G2_BYTES + 4..g2 + 64 * G2_BYTES + SECTION_HEAD);
    for at in read_bytes {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(read(&flipped, 1).is_err(), "byte {at}");
    }
}

const FILE_HEAD: usize = 12;
const SECTION_HEAD: usize = 12;
const HEADER: usize = 44;

#[test]
fn a_wrong_head_is_named() {
    let bytes = file(&sections(6, tau()));
    let with = |at: usize, patch: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + patch.len()].copy_from_slice(patch);
        match read(&bytes, 1) {
            Err(SrsError::Ptau(error)) => error,
            other => panic!("{:?}", other.map(|srs| srs.k())),
        }
    };
    assert_eq!(with(0, b"zkey"), PtauError::NotPtau { got: "zkey".into() });
    assert_eq!(with(4, &[2]), PtauError::UnknownVersion { expected: 1, got: 2 });
    assert_eq!(with(8, &[0xff; 4]), PtauError::TooManySections { expected: 64, got: u32::MAX });
    assert!(matches!(with(8, &[8]), PtauError::Truncated { .. }));
    assert!(matches!(with(8, &[6]), PtauError::TooLong { .. }));
    // an announced size is not believed
    let section_2 = FILE_HEAD + SECTION_HEAD + HEADER;
    let huge = PtauError::Truncated { expected: u64::MAX, got: bytes.len() as u64 };
    assert_eq!(with(section_2 + 4, &[0xff; 8]), huge);
}

#[test]
fn sections_are_there_once_and_as_long_as_the_power_says() {
    for section in 1..=3 {
        let at = section as usize - 1;
        let missing = malformed(|sections| drop(sections.remove(at)));
        assert_eq!(missing, PtauError::SectionCount { section, expected: 1, got: 0 });
        let twice = malformed(|sections| sections.push(sections[at].clone()));
        assert_eq!(twice, PtauError::SectionCount { section, expected: 1, got: 2 });
    }
    let short = malformed(|sections| sections[1].1.truncate(126 * 64));
    assert_eq!(short, PtauError::SectionSize { section: 2, expected: 127 * 64, got: 126 * 64 });
    let long = malformed(|sections| sections[2].1.push(0));
    assert_eq!(long, PtauError::SectionSize { section: 3, expected: 64 * 128, got: 64 * 128 + 1 });
    let other_power = malformed(|sections| sections[0].1 = header(28, 28));
    assert!(matches!(other_power, PtauError::SectionSize { section: 2, expected, .. } if expected > 1 << 34));
    for length in [0, 3, 4, 35, 36, 40, 43] {
        let header = malformed(|sections| sections[0].1.truncate(length));
        assert_eq!(header, PtauError::SectionSize { section: 1, expected: 44, got: length as u64 });
    }
    let long = malformed(|sections| sections[0].1.extend([0; 1000]));
    assert_eq!(long, PtauError::SectionSize { section: 1, expected: 44, got: 1044 });
}

#[test]
fn sections_may_come_in_any_order_and_with_unknown_ones() {
    let mut sections = sections(6, tau());
    sections.reverse();
    sections.push((0, vec![1]));
    sections.push((12, vec![]));
    sections.push((u32::MAX, vec![1; 5]));
    assert!(read(&file(&sections), 1).is_ok());
    sections.truncate(7);
    sections.retain(|(kind, _)| *kind <= 3);
    assert!(read(&file(&sections), 1).is_ok());
}

#[test]
fn impossible_powers_are_refused() {
    for (power, ceremony_power, got) in
        [(0, 10, 0), (29, 29, 29), (u32::MAX, 28, u32::MAX), (6, 5, 5), (6, 29, 29)]
    {
        let error = malformed(|sections| sections[0].1 = header(power, ceremony_power));
        assert!(matches!(error, PtauError::PowerOutOfRange { max: 28, got: g, .. } if g == got), "{error}");
    }
}

#[test]
fn files_of_other_curves_are_refused_with_both_primes() {
    let with_prime = |prime: Vec<u8>| {
        malformed(|sections| {
            let length = (prime.len() as u32).to_le_bytes();
            sections[0].1 = [&length[..], &prime, &[6, 0, 0, 0], &[6, 0, 0, 0]].concat();
        })
    };
    let bn254 = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47";
    // the scalar field in place of the base field; the size of the prime of BLS12-381; other widths of the same prime
    let scalar_field = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
    for (prime, named) in [
        (Fr::MODULUS.to_bytes_le(), scalar_field.to_owned()),
        (vec![0xab; 48], "ab".repeat(48)),
        (vec![], String::new()),
        ([Fq::MODULUS.to_bytes_le(), vec![0; 8]].concat(), format!("{}{bn254}", "0".repeat(16))),
    ] {
        assert_eq!(with_prime(prime), PtauError::WrongCurve { expected: bn254.into(), got: named });
    }
    // a prime that the header does not hold
    let error = malformed(|sections| sections[0].1[..4].copy_from_slice(&u32::MAX.to_le_bytes()));
    assert!(matches!(error, PtauError::SectionSize { section: 1, .. }));
}

/// Replaces point `index` of section 2 or 3.
fn with_point(section: usize, index: usize, bytes: &[u8]) -> SrsError {
    refusal(|sections| {
        sections[section - 1].1[index * bytes.len()..(index + 1) * bytes.len()].copy_from_slice(bytes);
    })
}

#[track_caller]
fn assert_point(error: &SrsError, index: usize, source: &DecodeError) {
    match error {
        SrsError::Point { index: at, source: found } => assert_eq!((*at, found), (index, source)),
        other => panic!("{other}"),
    }
}

#[test]
fn points_that_are_none_are_named() {
    let last = 2 + SRS_EXTRA - 1;
    for index in [0, 1, 7, last] {
        assert_point(&with_point(2, index, &[0; 64]), index, &DecodeError::UnexpectedInfinity);
        assert_point(&with_point(2, index, &[1; 64]), index, &DecodeError::NotOnCurve);
        let x_is_prime = [Fq::MODULUS.to_bytes_le(), vec![1; 32]].concat();
        assert_point(&with_point(2, index, &x_is_prime), index, &DecodeError::NonCanonicalPoint);
        let y_is_too_large = [vec![1; 32], vec![0xff; 32]].concat();
        assert_point(&with_point(2, index, &y_is_too_large), index, &DecodeError::NonCanonicalPoint);
    }
    // The cofactor of the twist is large: a point found by its x is outside the subgroup.
    let outside = (1u64..)
        .find_map(|x| ark_bn254::G2Affine::get_point_from_x_unchecked(Fq2::from(x), true))
        .filter(|point| !ark_bn254::g2::Config::is_in_correct_subgroup_assuming_on_curve(point))
        .unwrap();
    for index in [0, 1] {
        assert_point(&with_point(3, index, &[0; 128]), index, &DecodeError::UnexpectedInfinity);
        assert_point(&with_point(3, index, &[1; 128]), index, &DecodeError::NotOnCurve);
        assert_point(&with_point(3, index, &[0xff; 128]), index, &DecodeError::NonCanonicalPoint);
        assert_point(&with_point(3, index, &g2_bytes(&outside)), index, &DecodeError::NotInSubgroup);
    }
}

#[track_caller]
fn assert_inconsistent(error: &SrsError, words: &str) {
    assert!(matches!(error, SrsError::Inconsistent { what } if what.contains(words)), "{error}");
}

#[test]
fn points_that_are_not_the_powers_of_one_tau_are_inconsistent() {
    let other = multiples(&powers(Fr::from(3), 9))[8];
    let not_powers = "not the powers of one τ";
    for index in [1, 2, 30, 2 + SRS_EXTRA - 1] {
        assert_inconsistent(&with_point(2, index, &g1_bytes(&other)), not_powers);
        let negated = -multiples(&[tau().pow([index as u64])])[0];
        assert_inconsistent(&with_point(2, index, &g1_bytes(&negated)), not_powers);
    }
    let other = (G2Affine::generator() * Fr::from(3)).into_affine();
    assert_inconsistent(&with_point(3, 1, &g2_bytes(&other)), not_powers);
}

#[test]
fn other_generators_are_refused() {
    let scaled = |scalar: Fr| powers(tau(), 127).iter().map(|power| *power * scalar).collect::<Vec<_>>();
    let error = refusal(|sections| {
        sections[1].1 = multiples(&scaled(Fr::from(2))).iter().flat_map(g1_bytes).collect();
    });
    assert_inconsistent(&error, "generators");
    let error = refusal(|sections| {
        let generator = G2Projective::from(G2Affine::generator());
        let points =
            scaled(Fr::from(2)).into_iter().take(64).map(|scalar| (generator * scalar).into_affine());
        sections[2].1 = points.flat_map(|point| g2_bytes(&point)).collect();
    });
    assert_inconsistent(&error, "generators");
}

#[test]
fn degenerate_values_of_tau_are_refused() {
    let with = |tau: Fr, k: u32| read(&file(&sections(7, tau)), k).map(|srs| srs.k());
    assert!(matches!(with(Fr::from(0), 1), Err(SrsError::Point { index: 1, .. })));
    assert_inconsistent(&with(Fr::from(1), 3).unwrap_err(), "τ is one");
    for (tau, k) in [(-Fr::from(1), 1), (root_of_unity(3), 3), (root_of_unity(2), 5)] {
        assert_inconsistent(&with(tau, k).unwrap_err(), "root of unity");
    }
    // no root of unity of that order
    assert!(with(root_of_unity(4), 3).is_ok());
}

#[test]
fn every_error_says_what_to_do_next() {
    let small = read(&file(&sections(5, tau())), 4).map(|srs| srs.k()).unwrap_err().to_string();
    assert_eq!(
        small,
        "the ptau file is too small for 2^4 rows: expected 80 powers of τ, got 63; \
         get the file of power 6 or more of the same ceremony"
    );
}
