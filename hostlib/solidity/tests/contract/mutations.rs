//! Calls that must be refused. Each verdict is compared with the verifier's by [`Subject::verdict`].

use ark_bn254::{Fq, Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, PrimeField};
use kiln_verify::encoding::{g1_coordinates, scalar_to_bytes};

use crate::evm::Verdict;
use crate::subject::{SELECTOR, Subject};

/// Pseudo-random numbers that are the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// `word + modulus`, which is the same element and fits 32 bytes.
fn aliased(word: &mut [u8], modulus: impl BigInteger) {
    let mut carry = 0u16;
    for (byte, add) in word.iter_mut().rev().zip(modulus.to_bytes_le()) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_be_bytes()[1];
        carry >>= 8;
    }
}

fn put_point(bytes: &mut [u8], point: &G1Affine) {
    let (x, y) = g1_coordinates(point);
    bytes[..32].copy_from_slice(&x);
    bytes[32..64].copy_from_slice(&y);
}

struct Case<'a> {
    subject: &'a mut Subject,
    honest: &'a [u8],
}

impl Case<'_> {
    fn refuses(&mut self, what: &str, at: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.honest.to_vec();
        change(&mut bytes);
        assert_ne!(bytes, self.honest, "{what} at {at} changes nothing");
        assert!(!self.subject.verdict(&bytes), "{what} at {at} is accepted");
    }
}

/// Everything that is tried on one valid call.
pub fn refuses_all(subject: &mut Subject, honest: &[u8]) {
    assert!(subject.verdict(honest));
    let (scalars, points) = subject.places(honest);
    let mut case = Case { subject, honest };
    words(&mut case);
    elements(&mut case, &scalars, &points);
    lengths(&mut case);
    for seed in 0..60 {
        random(&mut case, &scalars, &points, seed);
    }
    let mut selector = honest.to_vec();
    selector[0] ^= 1;
    assert_eq!(subject.chain.call(&selector).0, Verdict::Failed, "there is no such function");
}

/// Every word: one bit flipped, set to zero, swapped with the next one.
fn words(case: &mut Case<'_>) {
    for at in (SELECTOR..case.honest.len()).step_by(32) {
        let bit = (at / 32 * 7) % 256;
        case.refuses("a flipped bit", at, |bytes| bytes[at + bit / 8] ^= 1 << (bit % 8));
        case.refuses("the lowest bit flipped", at, |bytes| bytes[at + 31] ^= 1);
        if case.honest[at..at + 32] != [0; 32] {
            case.refuses("a zero word", at, |bytes| bytes[at..at + 32].fill(0));
        }
        case.refuses("a full word", at, |bytes| bytes[at..at + 32].fill(0xff));
        let next = at + 32;
        if next < case.honest.len() && case.honest[at..next] != case.honest[next..next + 32] {
            case.refuses("swapped words", at, |bytes| {
                let (a, b) = bytes[at..next + 32].split_at_mut(32);
                a.swap_with_slice(b);
            });
        }
    }
}

/// Scalars and points that are other names of the same, or other elements in good form.
fn elements(case: &mut Case<'_>, scalars: &[usize], points: &[usize]) {
    for &at in scalars {
        case.refuses("a scalar plus r", at, |bytes| aliased(&mut bytes[at..at + 32], Fr::MODULUS));
        case.refuses("another scalar", at, |bytes| {
            let other = Fr::from_be_bytes_mod_order(&bytes[at..at + 32]) + Fr::from(1u64);
            bytes[at..at + 32].copy_from_slice(&scalar_to_bytes(&other));
        });
    }
    for &at in points {
        for coordinate in [at, at + 32] {
            case.refuses("a coordinate plus q", coordinate, |bytes| {
                aliased(&mut bytes[coordinate..coordinate + 32], Fq::MODULUS);
            });
        }
        case.refuses("the negative of a point", at, |bytes| {
            let y = Fq::from_be_bytes_mod_order(&bytes[at + 32..at + 64]);
            let negative = (-y).into_bigint().to_bytes_be();
            bytes[at + 32..at + 64].copy_from_slice(&negative);
        });
        case.refuses("infinity", at, |bytes| bytes[at..at + 64].fill(0));
        case.refuses("another point", at, |bytes| {
            put_point(&mut bytes[at..], &(G1Affine::generator() * Fr::from(at as u64)).into_affine());
        });
    }
    for pair in points.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if case.honest[a..a + 64] != case.honest[b..b + 64] {
            case.refuses("swapped points", a, |bytes| {
                let first = bytes[a..a + 64].to_vec();
                bytes.copy_within(b..b + 64, a);
                bytes[b..b + 64].copy_from_slice(&first);
            });
        }
    }
}

/// Calldata is exactly as long as it should be. What is too short to be the arguments does not reach the verifier.
fn lengths(case: &mut Case<'_>) {
    for more in [1, 31, 32, 64] {
        case.refuses("longer calldata", more, |bytes| bytes.resize(bytes.len() + more, 0));
    }
    for fewer in [1, 32, 64] {
        let shorter = &case.honest[..case.honest.len() - fewer];
        assert_ne!(case.subject.chain.call(shorter).0, Verdict::Accepted, "{fewer} bytes fewer");
    }
}

/// Several things at once, in good form more often than not.
fn random(case: &mut Case<'_>, scalars: &[usize], points: &[usize], seed: u64) {
    let mut noise = Noise(seed);
    case.refuses("random changes", seed as usize, |bytes| {
        for _ in 0..1 + noise.below(4) {
            match noise.below(4) {
                0 if !scalars.is_empty() => {
                    let at = scalars[noise.below(scalars.len())];
                    bytes[at..at + 32].copy_from_slice(&scalar_to_bytes(&Fr::from(noise.next())));
                }
                1 => {
                    let at = points[noise.below(points.len())];
                    let point = G1Affine::generator() * Fr::from(noise.next());
                    put_point(&mut bytes[at..], &point.into_affine());
                }
                2 => {
                    let (a, b) = (points[noise.below(points.len())], points[noise.below(points.len())]);
                    bytes.copy_within(a..a + 64, b);
                    let y = b + 63;
                    bytes[y] ^= u8::from(a == b);
                }
                _ => {
                    let at = SELECTOR + noise.below(bytes.len() - SELECTOR);
                    bytes[at] ^= 1 << noise.below(8);
                }
            }
        }
    });
}
