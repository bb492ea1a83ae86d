//! Known answers of the engines. All field elements are made by the card itself from small integers, so that nothing
//! here computes in the field; the points are constants.

use kiln_abi::io::{Direction, ScalarBound, ScanKind};
use kiln_abi::program::{Instruction, Shape, VectorBinding};
use kiln_abi::{Element, element_from_bytes};

use super::{Bench, Fault, Outcome, same_bytes};
use crate::job::{Job, ProgramSource};

/// Coordinates of G, 2·G, 3·G and 11·G for the generator G = (1, 2), in Montgomery form.
const MULTIPLES: [[Element; 2]; 4] = [
    [
        [0xd35d_438d_c58f_0d9d, 0x0a78_eb28_f5c7_0b3d, 0x666e_a36f_7879_462c, 0x0e0a_77c1_9a07_df2f],
        [0xa6ba_871b_8b1e_1b3a, 0x14f1_d651_eb8e_167b, 0xccdd_46de_f0f2_8c58, 0x1c14_ef83_340f_be5e],
    ],
    [
        [0xe104_60b6_c3e7_ea38, 0xbc0b_548b_438e_5469, 0xc282_2db4_0c0a_c2ec, 0x1322_7397_098d_014d],
        [0x3c20_8c16_d87c_fd47, 0x9781_6a91_6871_ca8d, 0xb850_45b6_8181_585d, 0x0464_4e72_e131_a029],
    ],
    [
        [0x9d83_1b4e_248b_11a0, 0x91f1_8c06_77f5_4b7e, 0x0ee5_ea95_bfda_15d0, 0x10f0_baf6_28c7_0539],
        [0xbe15_23ea_9836_53ea, 0xe86e_4817_7c62_9a1a, 0x51cc_9f8e_6d2a_214a, 0x0149_25f0_ca75_7913],
    ],
    [
        [0xdd81_701f_8eca_b1fe, 0xa217_7fde_d3b9_8637, 0xa48e_299d_1b3f_a1ae, 0x1200_d787_4a6e_ce26],
        [0x6f57_4049_8516_cf5e, 0xa18f_8ee0_30b4_006d, 0xbe61_3771_770c_0ae4, 0x13ec_63ac_c161_95ab],
    ],
];
/// Distance of the vectors in card memory. \[bytes\]
const APART: u64 = 1 << 16;

fn point(index: usize) -> Vec<u8> {
    MULTIPLES[index].iter().flat_map(kiln_abi::element_to_bytes).collect()
}

/// Makes a vector of small integers in card memory.
fn expand(bench: &Bench, destination: u64, values: &[i32]) -> Result<(), Fault> {
    bench.run(&Job::ExpandSmall { destination, values })?;
    Ok(())
}

fn read(bench: &Bench, source: u64, length: usize) -> Result<Vec<u8>, Fault> {
    Ok(bench.run(&Job::CopyFromCard { source, bytes: 32 * length as u64 })?.data)
}

/// Holds a vector in card memory to small integers.
fn expect(bench: &Bench, what: &str, address: u64, values: &[i32]) -> Result<(), Fault> {
    expand(bench, 15 * APART, values)?;
    same_bytes(what, &read(bench, 15 * APART, values.len())?, &read(bench, address, values.len())?)
}

fn element(bench: &Bench, value: i32) -> Result<Element, Fault> {
    expand(bench, 14 * APART, &[value])?;
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&read(bench, 14 * APART, 1)?);
    Ok(element_from_bytes(&bytes))
}

/// 3·G − 2·2G + 4·3G + 9·O = 11·G, with and without a promise about the scalars; 0·G = O; a point off the curve is refused.
pub(super) fn msm(bench: &Bench) -> Outcome {
    let points = [point(0), point(1), point(2), vec![0; 64]].concat();
    bench.run(&Job::LoadBases { destination: 0, points: &points })?;
    expand(bench, APART, &[3, -2, 4, 9])?;
    for bound in [ScalarBound::Full, ScalarBound::Signed { bits: 4 }] {
        let job = Job::Msm { bases: 0, offset: 0, scalars: APART, length: 4, bound };
        same_bytes("11·G", &point(3), &bench.run(&job)?.data)?;
    }
    expand(bench, APART, &[0])?;
    let job = Job::Msm { bases: 0, offset: 1, scalars: APART, length: 1, bound: ScalarBound::Full };
    same_bytes("0·2G", &[0; 64], &bench.run(&job)?.data)?;
    let mut off_curve = point(0);
    off_curve[0] ^= 1;
    match bench.run(&Job::LoadBases { destination: 0, points: &off_curve }) {
        Err(crate::CardError::Command { status: kiln_abi::Status::PointNotOnCurve, detail: 0, .. }) => {}
        Err(other) => return Err(other.into()),
        Ok(_) => return Err(super::differs("a point off the curve", "PointNotOnCurve", "Success")),
    }
    Ok("11·G three ways, infinity, a bad point refused".to_owned())
}

/// A constant has equal values, X takes the values of the domain (1 and −1 for two points), and back again.
pub(super) fn ntt(bench: &Bench) -> Outcome {
    let one = element(bench, 1)?;
    let transform = |source, destination, source_length, log_n, direction| {
        let shift = one;
        bench.run(&Job::Ntt { source, source_length, destination, log_n, direction, shift })
    };
    expand(bench, 0, &[7])?;
    transform(0, APART, 1, 8, Direction::Forward)?;
    expect(bench, "values of 7", APART, &[7; 256])?;
    expand(bench, 0, &[5, 3])?;
    transform(0, APART, 2, 1, Direction::Forward)?;
    expect(bench, "values of 5 + 3·X", APART, &[8, 2])?;
    let values: Vec<i32> = (0..1024).map(|i| (i * i) % 1009 - 504).collect();
    expand(bench, 0, &values)?;
    transform(0, APART, 1024, 10, Direction::Forward)?;
    transform(APART, 2 * APART, 1024, 10, Direction::Inverse)?;
    expect(bench, "there and back", 2 * APART, &values)?;
    Ok("2^1, 2^8 and 2^10 points".to_owned())
}

/// Sums, products, inverses, evaluation, division and a program, on small integers.
pub(super) fn vector(bench: &Bench) -> Outcome {
    let vector = |address, length| [VectorBinding { address, length }];
    expand(bench, 0, &[1, 2, 3, 4])?;
    bench.run(&Job::Scan { source: 0, destination: APART, length: 4, kind: ScanKind::Sum })?;
    expect(bench, "running sum", APART, &[0, 1, 3, 6])?;
    bench.run(&Job::Scan { source: 0, destination: APART, length: 4, kind: ScanKind::Product })?;
    expect(bench, "running product", APART, &[1, 1, 2, 6])?;
    bench.run(&Job::Invert { source: 0, destination: APART, length: 4 })?;
    bench.run(&Job::Invert { source: APART, destination: 2 * APART, length: 4 })?;
    expect(bench, "inverse of the inverse", 2 * APART, &[1, 2, 3, 4])?;
    // 1 + 2·X + 3·X² + 4·X³ at 2 is 49, and (f(X) − 49)/(X − 2) = 4·X² + 11·X + 24.
    let two = element(bench, 2)?;
    let value = bench.run(&Job::Evaluate { source: 0, length: 4, points: &[two] })?.data;
    bench.run(&Job::CopyToCard { destination: APART, data: &value })?;
    expect(bench, "value at 2", APART, &[49])?;
    bench.run(&Job::DivideLinear { source: 0, destination: APART, length: 4, root: two })?;
    expect(bench, "quotient by X − 2", APART, &[24, 11, 4])?;
    bench.run(&Job::Place { source: 32, length: 2, destination: APART, before: 1, total: 5 })?;
    expect(bench, "placed", APART, &[0, 2, 3, 0, 0])?;
    let (first, ratio) = (element(bench, 5)?, element(bench, -1)?);
    bench.run(&Job::Powers { destination: APART, length: 3, first, ratio })?;
    expect(bench, "powers", APART, &[5, -5, 5])?;
    // v[i]·v[i+1] + v[i].
    let steps = [
        Instruction::Load { dst: 0, input: 0, rotation: 0 },
        Instruction::Load { dst: 1, input: 0, rotation: 1 },
        Instruction::Mul { dst: 1, a: 0, b: 1 },
        Instruction::Add { dst: 0, a: 0, b: 1 },
        Instruction::Store { output: 0, src: 0 },
    ];
    let shape = Shape { registers: 2, inputs: 1, outputs: 1, constants: 0, instructions: 5 };
    let image: Vec<u8> =
        shape.to_header().into_iter().chain(steps.iter().flat_map(|step| step.to_bytes())).collect();
    bench.run(&Job::VectorProgram {
        rows: 4,
        program: ProgramSource::Image(&image),
        inputs: &vector(0, 4),
        outputs: &vector(APART, 4),
    })?;
    expect(bench, "program", APART, &[3, 8, 15, 8])?;
    Ok("8 answers".to_owned())
}
