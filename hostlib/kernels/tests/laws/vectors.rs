//! Scans, inversion, powers, evaluation, division by a linear factor.

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};
use kiln_kernels::{Engine, Graph, KernelFailure, ScanKind};

use crate::{PowOf, download, edge_values, laws, map, random_values, upload, value_at};

const LENS: [usize; 7] = [0, 1, 2, 3, 64, 129, 1000];

laws!(
    a_scan_is_the_exclusive_prefix,
    an_inverse_times_its_element_is_one_and_zero_stays,
    powers_are_geometric,
    evaluation_is_horners_rule,
    the_quotient_times_the_divisor_and_the_value_make_the_dividend,
    nothing_cannot_be_divided,
);

fn a_scan_is_the_exclusive_prefix(engine: &Engine) {
    for values in LENS.into_iter().flat_map(edge_values) {
        let sums = map(engine, &values, |g, v| g.scan(v, ScanKind::Sum));
        let products = map(engine, &values, |g, v| g.scan(v, ScanKind::Product));
        let (mut sum, mut product) = (Fr::zero(), Fr::one());
        for (i, x) in values.iter().enumerate() {
            assert_eq!((sums[i], products[i]), (sum, product), "{i} of {}", values.len());
            sum += x;
            product *= x;
        }
        assert_eq!((sums.len(), products.len()), (values.len(), values.len()));
    }
}

fn an_inverse_times_its_element_is_one_and_zero_stays(engine: &Engine) {
    for values in LENS.into_iter().flat_map(edge_values) {
        let inverses = map(engine, &values, |g, v| g.invert(v));
        assert_eq!(inverses.len(), values.len());
        for (x, inverse) in values.iter().zip(inverses) {
            assert_eq!(inverse, x.inverse().unwrap_or(Fr::zero()));
        }
    }
}

fn powers_are_geometric(engine: &Engine) {
    let (first, ratio) = (-Fr::from(9), Fr::from(5).pow_of(77));
    for len in LENS {
        for (first, ratio) in
            [(first, ratio), (Fr::one(), Fr::one()), (first, Fr::zero()), (Fr::zero(), ratio)]
        {
            let mut graph = Graph::new();
            let v = graph.powers(first, ratio, len);
            let v = download(&mut graph, &v);
            let outcome = engine.run(graph).unwrap();
            assert_eq!(outcome.scalars(v).len(), len);
            for (i, &got) in outcome.scalars(v).iter().enumerate() {
                assert_eq!(got, first * ratio.pow_of(i as u64), "{i}");
            }
        }
    }
}

fn evaluation_is_horners_rule(engine: &Engine) {
    let points = [Fr::zero(), Fr::one(), -Fr::one(), random_values(9, 1)[0]];
    for coefficients in LENS.into_iter().flat_map(edge_values) {
        let mut graph = Graph::new();
        let c = upload(&mut graph, &coefficients);
        let values = graph.evaluate(&c, &points);
        let none = graph.evaluate(&c, &[]);
        let outcome = engine.run(graph).unwrap();
        let expected: Vec<Fr> = points.iter().map(|&point| value_at(&coefficients, point)).collect();
        assert_eq!(outcome.scalars(values), expected);
        assert!(outcome.scalars(none).is_empty());
    }
}

fn the_quotient_times_the_divisor_and_the_value_make_the_dividend(engine: &Engine) {
    for len in LENS.into_iter().filter(|&len| len > 0) {
        for root in [Fr::zero(), Fr::one(), random_values(10, 1)[0]] {
            for dividend in edge_values(len) {
                let quotient = map(engine, &dividend, |g, v| g.divide_linear(v, root));
                assert_eq!(quotient.len(), len - 1);
                let mut product = vec![Fr::zero(); len];
                product[0] += value_at(&dividend, root);
                for (i, q) in quotient.iter().enumerate() {
                    product[i + 1] += q;
                    product[i] -= root * q;
                }
                assert_eq!(product, dividend);
            }
        }
    }
}

fn nothing_cannot_be_divided(engine: &Engine) {
    let mut graph = Graph::new();
    let v = upload(&mut graph, &[]);
    graph.divide_linear(&v, Fr::one());
    assert!(matches!(engine.run(graph), Err(KernelFailure::InvariantViolation { .. })));
}
