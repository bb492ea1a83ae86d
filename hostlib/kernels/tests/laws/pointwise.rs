//! Pointwise programs.

use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use kiln_kernels::{Engine, Graph, HostData, Instruction, KernelFailure, Program, ProgramBuilder};

use crate::{download, edge_values, laws, random_values, upload};

laws!(
    a_gate_is_its_expression_on_every_row,
    rotations_wrap_around,
    short_inputs_read_zero_past_their_end,
    many_live_values_fit_or_are_loaded_again,
    small_shared_parts_are_computed_again_where_registers_are_short,
    programs_that_make_no_sense_are_refused,
);

fn run(engine: &Engine, program: Program, inputs: &[Vec<Fr>], len: usize) -> Vec<Vec<Fr>> {
    let mut graph = Graph::new();
    let inputs: Vec<_> = inputs.iter().map(|v| upload(&mut graph, v)).collect();
    let outputs = graph.pointwise(Arc::new(program), &inputs.iter().collect::<Vec<_>>(), len);
    let pending: Vec<_> = outputs.iter().map(|v| download(&mut graph, v)).collect();
    let outcome = engine.run(graph).unwrap();
    pending.into_iter().map(|p| outcome.scalars(p).to_vec()).collect()
}

fn a_gate_is_its_expression_on_every_row(engine: &Engine) {
    let mut builder = ProgramBuilder::new();
    let (a, b) = (builder.input(0, 0), builder.input(1, 0));
    let seven = builder.constant(Fr::from(7));
    let (sum, difference) = (builder.add(a, b), builder.sub(a, b));
    let product = builder.mul(sum, difference);
    let scaled = builder.mul(product, seven);
    let square = builder.mul(b, b);
    let out = builder.sub(scaled, square);
    builder.output(out);
    builder.output(a);
    builder.output(seven);
    let program = builder.finish().unwrap();
    for len in [0, 1, 2, 127, 128, 129, 300] {
        for a in edge_values(len) {
            for b in edge_values(len) {
                let outputs = run(engine, program.clone(), &[a.clone(), b.clone()], len);
                for i in 0..len {
                    let expected = Fr::from(7) * (a[i] + b[i]) * (a[i] - b[i]) - b[i] * b[i];
                    assert_eq!(outputs[0][i], expected, "{i} of {len}");
                }
                assert_eq!(outputs[1], a);
                assert_eq!(outputs[2], vec![Fr::from(7); len]);
            }
        }
    }
}

fn rotations_wrap_around(engine: &Engine) {
    let rotations = [0, 1, -1, 5, -7, 1000, -1000, i32::MAX, i32::MIN];
    let mut builder = ProgramBuilder::new();
    for rotation in rotations {
        let v = builder.input(0, rotation);
        builder.output(v);
    }
    let program = builder.finish().unwrap();
    for len in [1, 2, 3, 8, 130, 257] {
        let values = random_values(15, len);
        let outputs = run(engine, program.clone(), std::slice::from_ref(&values), len);
        for (rotation, output) in rotations.iter().zip(outputs) {
            for (i, got) in output.into_iter().enumerate() {
                let from = (i as i64 + i64::from(*rotation)).rem_euclid(len as i64);
                assert_eq!(got, values[from as usize], "row {i} of {len} rotated {rotation}");
            }
        }
    }
}

fn short_inputs_read_zero_past_their_end(engine: &Engine) {
    let mut builder = ProgramBuilder::new();
    let (long, short) = (builder.input(0, -1), builder.input(1, 0));
    let sum = builder.add(long, short);
    builder.output(sum);
    let program = builder.finish().unwrap();
    for (len, short_len) in [(140, 0), (140, 1), (140, 129), (140, 140), (3, 2)] {
        let (long, short) = (random_values(16, len), random_values(17, short_len));
        let output = run(engine, program.clone(), &[long.clone(), short.clone()], len).remove(0);
        for i in 0..len {
            let expected = long[(i + len - 1) % len] + short.get(i).copied().unwrap_or(Fr::zero());
            assert_eq!(output[i], expected, "{i} of {len}");
        }
    }
    // The same with small integers.
    let mut graph = Graph::new();
    let long = graph.upload(HostData::small((0..140).collect()));
    let short = graph.upload(HostData::small(vec![-5, 6]));
    let out = graph.pointwise(Arc::new(program), &[&long, &short], 140).remove(0);
    let out = download(&mut graph, &out);
    let outcome = engine.run(graph).unwrap();
    assert_eq!(outcome.scalars(out)[..4], [134, 6, 1, 2].map(|x: i32| Fr::from(x)));
}

fn many_live_values_fit_or_are_loaded_again(engine: &Engine) {
    // Each input is read first and last, so all of them are wanted at once.
    let wide = 100;
    let mut builder = ProgramBuilder::new();
    let inputs: Vec<_> = (0..wide).map(|i| builder.input(i, 0)).collect();
    let mut sum = builder.constant(Fr::zero());
    for &input in &inputs {
        sum = builder.add(sum, input);
    }
    let mut product = builder.constant(Fr::one());
    for &input in &inputs {
        let shifted = builder.add(input, sum);
        product = builder.mul(product, shifted);
    }
    builder.output(product);
    let program = builder.finish().unwrap();
    let len = 5;
    let values: Vec<Vec<Fr>> = (0..wide).map(|i| random_values(i as u8, len)).collect();
    let output = run(engine, program, &values, len).remove(0);
    for i in 0..len {
        let sum: Fr = values.iter().map(|v| v[i]).sum();
        assert_eq!(output[i], values.iter().map(|v| v[i] + sum).product::<Fr>());
    }
}

fn small_shared_parts_are_computed_again_where_registers_are_short(engine: &Engine) {
    // 100 values z = 3·a + b − i, each read by two sums, one after the other: all of them live at once if shared.
    const PARTS: usize = 100;
    let mut builder = ProgramBuilder::new();
    let three = builder.constant(Fr::from(3));
    let parts: Vec<_> = (0..PARTS)
        .map(|i| {
            let (a, b) = (builder.input(0, i as i32), builder.input(1, i as i32));
            let (scaled, offset) = (builder.mul(three, a), builder.constant(Fr::from(i as u64)));
            let sum = builder.add(scaled, b);
            builder.sub(sum, offset)
        })
        .collect();
    for weight in [5u64, 11] {
        let weight = builder.constant(Fr::from(weight));
        let mut total = parts[0];
        for part in &parts[1..] {
            let scaled = builder.mul(total, weight);
            total = builder.add(scaled, *part);
        }
        builder.output(total);
    }
    let program = builder.finish().unwrap();
    let (a, b) = (random_values(7, 130), random_values(8, 130));
    let outputs = run(engine, program, &[a.clone(), b.clone()], 130);
    for (output, weight) in outputs.iter().zip([5u64, 11]) {
        for row in 0..130 {
            let part = |i: usize| Fr::from(3) * a[(row + i) % 130] + b[(row + i) % 130] - Fr::from(i as u64);
            let expected = (1..PARTS).fold(part(0), |sum, i| sum * Fr::from(weight) + part(i));
            assert_eq!(output[row], expected);
        }
    }
}

fn programs_that_make_no_sense_are_refused(engine: &Engine) {
    let store = Instruction::Store { output: 0, src: 0 };
    let load = |rotation| Instruction::Load { dst: 0, input: 0, rotation };
    let nonsense: Vec<(Vec<Instruction>, usize)> = vec![
        (vec![store], 4),
        (vec![load(0)], 4),
        (vec![load(1), store], 5),
        (vec![load(0), store], 3),
        (vec![Instruction::Load { dst: 0, input: 1, rotation: 0 }, store], 4),
        (vec![Instruction::Load { dst: 64, input: 0, rotation: 0 }, store], 4),
        (vec![Instruction::Constant { dst: 0, index: 0 }, store], 4),
        (vec![load(0), Instruction::Add { dst: 0, a: 0, b: 1 }, store], 4),
        (vec![load(0), store, Instruction::Store { output: 1, src: 0 }], 4),
    ];
    for (instructions, len) in nonsense {
        let program =
            Program { inputs: 1, outputs: 1, constants: vec![], instructions: instructions.clone() };
        let mut graph = Graph::new();
        let v = upload(&mut graph, &random_values(18, 4));
        graph.pointwise(Arc::new(program), &[&v], len);
        let result = engine.run(graph);
        assert!(matches!(result, Err(KernelFailure::InvariantViolation { .. })), "{instructions:?}");
    }
}
