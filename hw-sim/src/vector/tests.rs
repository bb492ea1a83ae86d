use super::lanes::Lanes;
use super::*;
use crate::memory::CardMemory;
use crate::profile::Profile;
use crate::stats::Cost;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, UniformRand};
use kiln_abi::io::ScanKind;
use kiln_abi::program::{Bindings, Instruction, Program, Shape, VectorBinding};

fn lanes() -> Lanes {
    Lanes::new(&Profile::load("u55c").unwrap())
}

fn values(count: usize) -> Vec<Fr> {
    let mut rng = ark_std::test_rng();
    (0..count).map(|i| if i % 7 == 3 { Fr::ZERO } else { Fr::rand(&mut rng) }).collect()
}

/// An image of a program with these constants.
fn image(inputs: u16, outputs: u16, constants: &[Fr], steps: &[Instruction]) -> Vec<u8> {
    let shape = Shape {
        registers: 4,
        inputs,
        outputs,
        constants: constants.len() as u32,
        instructions: steps.len() as u32,
    };
    let mut bytes = shape.to_header().to_vec();
    constants.iter().for_each(|constant| bytes.extend(crate::memory::scalar_bytes(constant)));
    steps.iter().for_each(|step| bytes.extend(step.to_bytes()));
    bytes
}

/// out0 = a(next row)·b + 5, out1 = a(previous row) − out0
fn steps() -> Vec<Instruction> {
    vec![
        Instruction::Load { dst: 0, input: 0, rotation: 1 },
        Instruction::Load { dst: 1, input: 1, rotation: 0 },
        Instruction::Mul { dst: 0, a: 0, b: 1 },
        Instruction::Constant { dst: 2, index: 0 },
        Instruction::Add { dst: 0, a: 0, b: 2 },
        Instruction::Store { output: 0, src: 0 },
        Instruction::Load { dst: 3, input: 0, rotation: -1 },
        Instruction::Sub { dst: 3, a: 3, b: 0 },
        Instruction::Store { output: 1, src: 3 },
    ]
}

fn run_program(rows: usize, short: usize) -> Cost {
    let (a, b) = (values(rows), values(short));
    let mut memory = CardMemory::new(1 << 30);
    let addresses = [0u64, 1 << 20, 2 << 20, 3 << 20];
    memory.write_elements(addresses[0], &a).unwrap();
    memory.write_elements(addresses[1], &b).unwrap();
    let lengths = [rows, short, rows, rows];
    let bindings: Vec<u8> = addresses
        .iter()
        .zip(lengths)
        .flat_map(|(address, length)| VectorBinding { address: *address, length: length as u64 }.to_bytes())
        .collect();
    let bytes = image(2, 2, &[Fr::from(5u64)], &steps());
    let program = Program::parse(&bytes).unwrap();
    let bindings = Bindings::parse(&bindings, &program, rows as u32).unwrap();
    let cost = program::run(&lanes(), &mut memory, &program, &bindings, rows as u32).unwrap();
    let (out0, out1) = (
        memory.elements(addresses[2], rows as u64).unwrap(),
        memory.elements(addresses[3], rows as u64).unwrap(),
    );
    for i in 0..rows {
        let factor = b.get(i).copied().unwrap_or(Fr::ZERO);
        let expected = a[(i + 1) % rows] * factor + Fr::from(5u64);
        assert_eq!(out0[i], expected, "row {i}");
        assert_eq!(out1[i], a[(i + rows - 1) % rows] - expected, "row {i}");
    }
    cost
}

#[test]
fn programs_wrap_rotations_and_extend_short_inputs() {
    for (rows, short) in [(1, 1), (2, 1), (5, 5), (127, 100), (128, 0), (129, 129), (1000, 600), (1024, 1024)]
    {
        assert!(run_program(rows, short).cycles.balanced());
    }
}

#[test]
fn long_programs_issue_one_instruction_a_cycle_and_lane() {
    let steps: Vec<Instruction> = std::iter::once(Instruction::Load { dst: 0, input: 0, rotation: 0 })
        .chain(std::iter::repeat_n(Instruction::Mul { dst: 0, a: 0, b: 0 }, 500))
        .chain(std::iter::once(Instruction::Store { output: 0, src: 0 }))
        .collect();
    let cost = program::cost(&lanes(), &steps, 1 << 16);
    let bound = steps.len() as u64 * (1 << 16) / 8;
    assert!(cost.cycles.total >= bound && cost.cycles.total * 100 < bound * 102, "{cost:?} {bound}");
}

#[test]
fn dependent_instructions_of_a_short_strip_wait_for_the_pipeline() {
    let steps = [
        Instruction::Load { dst: 0, input: 0, rotation: 0 },
        Instruction::Mul { dst: 0, a: 0, b: 0 },
        Instruction::Mul { dst: 0, a: 0, b: 0 },
        Instruction::Store { output: 0, src: 0 },
    ];
    let stalls = program::cost(&lanes(), &steps, 8).cycles.stall_hazard;
    assert!(stalls >= 2 * 38, "{stalls}");
}

#[test]
fn programs_that_only_copy_are_bound_by_memory() {
    let steps: Vec<Instruction> = (0..16)
        .flat_map(|i| {
            [Instruction::Load { dst: 0, input: i, rotation: 0 }, Instruction::Store { output: i, src: 0 }]
        })
        .collect();
    let mut profile = Profile::load("u55c").unwrap();
    profile.vector.lanes = 512;
    let lanes = Lanes::new(&profile);
    let cost = program::cost(&lanes, &steps, 1 << 18);
    let floor = lanes.stream(32 * 32 * (1 << 18));
    assert!(cost.cycles.total >= floor && cost.cycles.total < floor * 11 / 10, "{cost:?} {floor}");
    assert!(cost.cycles.stall_memory > cost.cycles.busy);
}

#[test]
fn scans_are_exclusive() {
    let v = values(50);
    let (sums, products) =
        (scan::exclusive(&v, ScanKind::Sum), scan::exclusive(&v[4..10], ScanKind::Product));
    assert_eq!((sums[0], products[0]), (Fr::ZERO, Fr::ONE));
    assert_eq!(sums[49], v[..49].iter().sum::<Fr>());
    assert_eq!(products[5], v[4..9].iter().product::<Fr>());
    assert!(scan::exclusive(&[], ScanKind::Sum).is_empty());
}

#[test]
fn inverses_are_inverses_and_zero_stays_zero() {
    for count in [0, 1, 3, 4, 100] {
        let v = values(count);
        for (inverse, value) in invert::batch(&v).iter().zip(&v) {
            assert_eq!(*inverse, value.inverse().unwrap_or(Fr::ZERO));
        }
    }
    assert_eq!(invert::batch(&[Fr::ZERO; 3]), vec![Fr::ZERO; 3]);
}

#[test]
fn division_leaves_the_value_as_remainder() {
    let (root, x) = (Fr::from(11u64), Fr::from(1234u64));
    for count in [1, 2, 3, 64] {
        let v = values(count);
        let quotient = divide::linear(&v, &root);
        assert_eq!(quotient.len(), count - 1);
        let expected = evaluate::at(&v, &x) - evaluate::at(&v, &root);
        assert_eq!(evaluate::at(&quotient, &x) * (x - root), expected);
    }
    assert_eq!(evaluate::at(&[], &x), Fr::ZERO);
}

#[test]
fn progressions_start_with_the_first() {
    let (first, ratio) = (Fr::from(3u64), Fr::from(7u64));
    assert_eq!(powers::progression(first, ratio, 3), [first, first * ratio, first * ratio * ratio]);
    assert_eq!(powers::progression(first, Fr::ONE, 2), [first; 2]);
}

/// Each kernel's passes over the vector bound its time from below, and for long vectors almost from above.
#[test]
fn long_vectors_cost_their_passes() {
    let (lanes, n) = (lanes(), 1u64 << 20);
    let cases = [
        ("sum", scan::cost(&lanes, n, ScanKind::Sum), 2),
        ("product", scan::cost(&lanes, n, ScanKind::Product), 2),
        ("invert", invert::cost(&lanes, n), 3),
        ("evaluate", evaluate::cost(&lanes, n, 3), 3),
        ("divide", divide::cost(&lanes, n), 2),
        ("powers", powers::cost(&lanes, n), 1),
        ("place", place::cost(&lanes, n, n), 1),
    ];
    for (name, cost, passes) in cases {
        let bound = passes * n / 8;
        assert!(cost.cycles.balanced(), "{name}");
        assert!(
            cost.cycles.total >= bound && cost.cycles.total * 100 < bound * 104,
            "{name}: {cost:?} {bound}"
        );
    }
}
