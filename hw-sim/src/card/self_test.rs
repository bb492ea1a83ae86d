//! The self-test: card memory's first page, then a known answer from every engine.

use super::datapath::Datapath;
use crate::msm::digits::FULL_BITS;
use crate::msm::point::Base;
use crate::ntt::Direction;
use crate::vector::invert;
use ark_bn254::{Fq, Fr};
use ark_ff::Field;
use kiln_abi::admin::SelfTestKind;

const PAGE_BYTES: usize = 4096;

/// Runs the tests in order and returns the number of the first that fails, from 1; 0 when all pass.
pub fn run(data: &mut Datapath, kind: SelfTestKind) -> u64 {
    let tests: &[fn(&mut Datapath) -> Option<bool>] = match kind {
        SelfTestKind::Quick => &[memory],
        SelfTestKind::Full => &[memory, msm, ntt, vector],
    };
    let failed = tests.iter().position(|test| test(data) != Some(true));
    failed.map_or(0, |index| index as u64 + 1)
}

/// Every byte of the first page keeps both values of every bit; what lay there is put back.
fn memory(data: &mut Datapath) -> Option<bool> {
    let (mut kept, mut read) = ([0; PAGE_BYTES], [0; PAGE_BYTES]);
    data.memory.read(0, &mut kept).ok()?;
    let mut good = true;
    for pattern in [[0x55; PAGE_BYTES], [0xaa; PAGE_BYTES], kept] {
        data.memory.write(0, &pattern).ok()?;
        data.memory.read(0, &mut read).ok()?;
        good &= read == pattern;
    }
    Some(good)
}

/// 2·G + 3·G = 5·G, and 7·G − 7·G is infinity.
fn msm(data: &mut Datapath) -> Option<bool> {
    let generator = Base { x: Fq::ONE, y: Fq::from(2u64) };
    let mut multiply =
        |scalars: &[Fr]| data.msm.run(&[generator; 2], scalars, FULL_BITS).ok().map(|(point, _)| point);
    let sum = multiply(&[Fr::from(2u64), Fr::from(3u64)])?;
    let five = multiply(&[Fr::from(5u64)])?;
    let none = multiply(&[Fr::from(7u64), -Fr::from(7u64)])?;
    Some(sum == five && sum.is_on_curve() && !sum.is_infinity() && none.is_infinity())
}

/// Three coefficients on the two points 5 and −5, and back.
fn ntt(data: &mut Datapath) -> Option<bool> {
    let shift = Fr::from(5u64);
    let coefficients = [1u64, 2, 3].map(Fr::from);
    let (values, _) = data.ntt.run(&coefficients, 1, Direction::Forward, shift).ok()?;
    let (folded, _) = data.ntt.run(&values, 1, Direction::Inverse, shift).ok()?;
    Some(values == [Fr::from(86u64), Fr::from(66u64)] && folded == [Fr::from(76u64), Fr::from(2u64)])
}

/// Inverses of 2, 0 and −1.
fn vector(_: &mut Datapath) -> Option<bool> {
    let values = [Fr::from(2u64), Fr::from(0u64), -Fr::ONE];
    let inverses = invert::batch(&values);
    Some(inverses[0] + inverses[0] == Fr::ONE && inverses[1] == Fr::from(0u64) && inverses[2] == -Fr::ONE)
}
