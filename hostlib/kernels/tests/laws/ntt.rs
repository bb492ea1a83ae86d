//! Transforms.

use ark_bn254::Fr;
use ark_ff::{FftField, One, UniformRand};
use kiln_kernels::{Engine, Graph, HostData, KernelFailure};

use crate::{PowOf, download, edge_values, laws, map, random_values, rng, upload, value_at};

laws!(
    evaluation_is_the_value_at_each_point_of_the_coset,
    interpolation_undoes_evaluation,
    long_coefficient_vectors_fold_and_short_ones_extend,
    a_batch_is_its_columns,
    small_integers_transform_as_field_elements,
    a_domain_that_does_not_exist_is_refused,
);

fn evaluation_is_the_value_at_each_point_of_the_coset(engine: &Engine) {
    for log_n in [0, 1, 2, 3, 7] {
        let n = 1usize << log_n;
        let root = Fr::get_root_of_unity(n as u64).unwrap();
        for shift in [Fr::one(), -Fr::one(), Fr::GENERATOR, Fr::rand(&mut rng(3))] {
            for coefficients in edge_values(n) {
                let got =
                    map(engine, &coefficients, |g, c| g.evaluate_on_coset(&[c], log_n, shift).remove(0));
                for (i, &got) in got.iter().enumerate() {
                    assert_eq!(got, value_at(&coefficients, shift * root.pow_of(i as u64)), "{n}, {i}");
                }
            }
        }
    }
}

fn interpolation_undoes_evaluation(engine: &Engine) {
    for log_n in [0, 1, 4, 8] {
        for values in edge_values(1 << log_n) {
            for shift in [Fr::one(), Fr::GENERATOR] {
                let there_and_back = map(engine, &values, |g, v| {
                    let c = g.interpolate_coset(&[v], shift).remove(0);
                    g.evaluate_on_coset(&[&c], log_n, shift).remove(0)
                });
                assert_eq!(there_and_back, values);
                let back_and_there = map(engine, &values, |g, c| {
                    let v = g.evaluate_on_coset(&[c], log_n, shift).remove(0);
                    g.interpolate_coset(&[&v], shift).remove(0)
                });
                assert_eq!(back_and_there, values);
            }
        }
    }
}

fn long_coefficient_vectors_fold_and_short_ones_extend(engine: &Engine) {
    let shift = Fr::GENERATOR;
    for log_n in [0, 1, 4] {
        let n = 1usize << log_n;
        let root = Fr::get_root_of_unity(n as u64).unwrap();
        for len in [0, 1, n - n / 2, n + 1, 2 * n, 3 * n + 5] {
            let coefficients = random_values(4, len);
            let got = map(engine, &coefficients, |g, c| g.evaluate_on_coset(&[c], log_n, shift).remove(0));
            assert_eq!(got.len(), n);
            for (i, &got) in got.iter().enumerate() {
                assert_eq!(got, value_at(&coefficients, shift * root.pow_of(i as u64)), "{len} on {n}, {i}");
            }
        }
    }
}

fn a_batch_is_its_columns(engine: &Engine) {
    let columns: Vec<Vec<Fr>> = [5, 16, 20].iter().map(|&len| random_values(len as u8, len)).collect();
    let mut graph = Graph::new();
    let uploaded: Vec<_> = columns.iter().map(|c| upload(&mut graph, c)).collect();
    let batch = graph.evaluate_on_coset(&uploaded.iter().collect::<Vec<_>>(), 4, Fr::GENERATOR);
    let pending: Vec<_> = batch.iter().map(|v| download(&mut graph, v)).collect();
    let outcome = engine.run(graph).unwrap();
    for (column, pending) in columns.iter().zip(pending) {
        let alone = map(engine, column, |g, c| g.evaluate_on_coset(&[c], 4, Fr::GENERATOR).remove(0));
        assert_eq!(outcome.scalars(pending), alone);
    }
}

fn small_integers_transform_as_field_elements(engine: &Engine) {
    let small = vec![0, 1, -1, i32::MAX, i32::MIN, 127, -128, 7];
    let full: Vec<Fr> = small.iter().map(|&s| Fr::from(s)).collect();
    let mut graph = Graph::new();
    let v = graph.upload(HostData::small(small));
    let c = graph.interpolate_coset(&[&v], Fr::one()).remove(0);
    let c = download(&mut graph, &c);
    let got = engine.run(graph).unwrap().scalars(c).to_vec();
    assert_eq!(got, map(engine, &full, |g, v| g.interpolate_coset(&[v], Fr::one()).remove(0)));
}

fn a_domain_that_does_not_exist_is_refused(engine: &Engine) {
    let refused = |build: &dyn Fn(&mut Graph)| {
        let mut graph = Graph::new();
        build(&mut graph);
        matches!(engine.run(graph), Err(KernelFailure::InvariantViolation { .. }))
    };
    assert!(refused(&|g| {
        let v = upload(g, &random_values(5, 12));
        g.interpolate_coset(&[&v], Fr::one());
    }));
    assert!(refused(&|g| {
        let v = upload(g, &[]);
        g.interpolate_coset(&[&v], Fr::one());
    }));
    assert!(refused(&|g| {
        let v = upload(g, &random_values(5, 4));
        g.evaluate_on_coset(&[&v], 29, Fr::one());
    }));
    assert!(refused(&|g| {
        let v = upload(g, &random_values(5, 4));
        g.evaluate_on_coset(&[&v], 2, Fr::from(0));
    }));
}
