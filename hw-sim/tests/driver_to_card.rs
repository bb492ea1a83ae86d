//! The whole way: driver, transport, control program, engines, and back.

#![allow(clippy::unwrap_used)] // Helpers of tests.

use ark_bn254::{Fq, Fr};
use ark_ff::{AdditiveGroup, Field};
use kiln_abi::io::{Direction, ScalarBound};
use kiln_abi::program::{Instruction, Shape, VectorBinding};
use kiln_abi::record::EngineKind;
use kiln_abi::{Status, TaskRecord, element_from_bytes, element_to_bytes};
use kiln_driver::{Card, CardError, Deadline, InProcess, Job, ProgramSource, Ready, Settings};
use kiln_sim::Profile;
use kiln_sim::memory::{point, point_bytes, scalar, scalar_bytes};
use kiln_sim::msm::point::{Base, Xyzz};
use std::sync::Arc;
use std::time::Duration;

const ROWS: u32 = 256;
const LOG_ROWS: u8 = 8;

fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn ready(profile: &str) -> Card<Ready> {
    let endpoint = kiln_sim::Card::new(Profile::load(profile).unwrap());
    let transport = InProcess::new(profile, Box::new(endpoint)).unwrap();
    Card::found(Arc::new(transport)).bring_up(&Settings { queues: 2, ..Settings::default() }).unwrap()
}

fn run(card: &Card<Ready>, job: Job<'_>) -> (Vec<u8>, TaskRecord) {
    let queue = &card.queues()[0];
    let finished = queue.wait(&queue.submit(&job, patience()).unwrap(), patience()).unwrap();
    (finished.data, finished.record)
}

/// 1·G, 2·G, 3·G, …
fn multiples(count: usize) -> Vec<Base> {
    let generator = Base { x: Fq::ONE, y: Fq::from(2u64) };
    let mut sum = Xyzz::INFINITY;
    (0..count)
        .map(|_| {
            sum.add_base(&generator, false);
            sum.to_affine()
        })
        .collect()
}

fn image(steps: &[Instruction]) -> Vec<u8> {
    let shape = Shape { registers: 2, inputs: 1, outputs: 1, constants: 0, instructions: steps.len() as u32 };
    let mut bytes = shape.to_header().to_vec();
    steps.iter().for_each(|step| bytes.extend(step.to_bytes()));
    bytes
}

/// A small commitment and quotient step: a column of small values is committed, interpolated, evaluated on a coset,
/// multiplied with its successor, and read back. Returns the point, the values, and what each step cost.
fn column_through_the_card(card: &Card<Ready>) -> (Vec<u8>, Vec<u8>, Vec<TaskRecord>) {
    let bytes = u64::from(ROWS) * 32;
    let regions: Vec<_> = (0..5).map(|_| card.memory().allocate(2 * bytes).unwrap()).collect();
    let [bases, values, coefficients, evaluations, products] = [0, 1, 2, 3, 4].map(|i| regions[i].address());
    let points: Vec<u8> = multiples(ROWS as usize).iter().flat_map(point_bytes).collect();
    let column: Vec<i32> = (0..ROWS as i32).map(|row| row % 7 - 3).collect();
    let (one, shift) = (Fr::ONE.0.0, Fr::from(7u64).0.0);
    let steps = [
        Instruction::Load { dst: 0, input: 0, rotation: 0 },
        Instruction::Load { dst: 1, input: 0, rotation: 1 },
        Instruction::Mul { dst: 0, a: 0, b: 1 },
        Instruction::Store { output: 0, src: 0 },
    ];
    let vector = |address| [VectorBinding { address, length: u64::from(ROWS) }];
    let transform = |source, destination, direction, shift| Job::Ntt {
        source,
        source_length: ROWS,
        destination,
        log_n: LOG_ROWS,
        direction,
        shift,
    };
    let bound = ScalarBound::Signed { bits: 2 };
    let mut records = Vec::new();
    let mut step = |job: Job<'_>| {
        let (data, record) = run(card, job);
        records.push(record);
        data
    };
    step(Job::LoadBases { destination: bases, points: &points });
    step(Job::ExpandSmall { destination: values, values: &column });
    let commitment = step(Job::Msm { bases, offset: 0, scalars: values, length: ROWS, bound });
    step(transform(values, coefficients, Direction::Inverse, one));
    step(transform(coefficients, evaluations, Direction::Forward, shift));
    step(Job::VectorProgram {
        rows: ROWS,
        program: ProgramSource::Image(&image(&steps)),
        inputs: &vector(evaluations),
        outputs: &vector(products),
    });
    let read = step(Job::CopyFromCard { source: products, bytes });
    (commitment, read, records)
}

#[test]
fn a_column_goes_through_every_engine() {
    let card = ready("u55c");
    assert!(card.identify().model.as_str().contains("u55c"));
    let (commitment, products, records) = column_through_the_card(&card);
    let expected: i64 = (0..i64::from(ROWS)).map(|row| (row % 7 - 3) * (row + 1)).sum();
    let absolute = multiples(expected.unsigned_abs() as usize).pop().unwrap();
    let expected = if expected < 0 { Base { y: -absolute.y, ..absolute } } else { absolute };
    assert_eq!(point(commitment.first_chunk().unwrap()), Some(expected));

    // The values on the coset, from their definition: f(shift·ω^i)·f(shift·ω^(i+1)).
    let column: Vec<Fr> = (0..ROWS as i64).map(|row| Fr::from(row % 7 - 3)).collect();
    let evaluations = naive_coset(&column, Fr::from(7u64));
    let products: Vec<Fr> = products.as_chunks::<32>().0.iter().map(|word| scalar(word).unwrap()).collect();
    for row in 0..ROWS as usize {
        assert_eq!(products[row], evaluations[row] * evaluations[(row + 1) % ROWS as usize]);
    }
    let engines: Vec<EngineKind> = records.iter().map(|record| record.engine).collect();
    use EngineKind::{Copy, Msm, Ntt, Vector};
    assert_eq!(engines, [Copy, Copy, Msm, Ntt, Ntt, Vector, Copy]);
    assert!(records.iter().all(|record| record.status == Status::Success && record.busy_cycles() > 0));
    assert!(records.windows(2).all(|pair| pair[0].start_cycle + pair[0].cycles <= pair[1].start_cycle));
}

/// Evaluations on shift·H of the polynomial with these values on H, term by term.
fn naive_coset(values: &[Fr], shift: Fr) -> Vec<Fr> {
    let n = values.len() as u64;
    let mut root = <Fr as ark_ff::FftField>::TWO_ADIC_ROOT_OF_UNITY;
    (n.trailing_zeros()..28).for_each(|_| root = root.square());
    let sum = |terms: &[Fr], x: Fr| terms.iter().rev().fold(Fr::ZERO, |sum, term| sum * x + term);
    let inverse = Fr::from(n).inverse().unwrap();
    let coefficients: Vec<Fr> =
        (0..n).map(|j| sum(values, root.inverse().unwrap().pow([j])) * inverse).collect();
    (0..n).map(|i| sum(&coefficients, shift * root.pow([i]))).collect()
}

#[test]
fn every_card_model_computes_the_same_and_the_cycles_repeat() {
    let runs = ["u55c", "u55c", "f2", "asic"].map(|profile| column_through_the_card(&ready(profile)));
    let cycles = |records: &[TaskRecord]| records.iter().map(|record| record.cycles).collect::<Vec<_>>();
    for (commitment, products, _) in &runs {
        assert_eq!((commitment, products), (&runs[0].0, &runs[0].1));
    }
    assert_eq!(cycles(&runs[0].2), cycles(&runs[1].2));
    assert_ne!(cycles(&runs[0].2), cycles(&runs[3].2));
}

#[test]
fn a_refused_command_leaves_the_card_in_service() {
    let card = ready("u55c");
    let queue = &card.queues()[1];
    let region = card.memory().allocate(4096).unwrap();
    let address = region.address();
    let bad = element_from_bytes(&[0xff; 32]);
    let job = Job::DivideLinear { source: address, destination: address + 1024, length: 4, root: bad };
    let refused = queue.submit(&job, patience()).and_then(|ticket| queue.wait(&ticket, patience()));
    assert!(matches!(refused, Err(CardError::Command { status: Status::InvalidField, .. })), "{refused:?}");
    let data = element_to_bytes(&element_from_bytes(&scalar_bytes(&Fr::from(3u64))));
    run(&card, Job::CopyToCard { destination: address, data: &data });
    assert_eq!(run(&card, Job::CopyFromCard { source: address, bytes: 32 }).0, data);
}
