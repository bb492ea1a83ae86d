//! Multi-scalar multiplication.

use std::sync::Arc;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{One, Zero};
use kiln_kernels::cpu::Instructions;
use kiln_kernels::{Bases, Engine, Graph, HostData, KernelFailure, Multiples, ScalarBound};

use crate::{PowOf, edge_values, laws, limited_engine, points, random_values};

laws!(
    it_is_the_sum_of_multiples,
    it_is_linear_in_the_scalars,
    special_points_meet_in_one_bucket,
    small_scalars_give_what_full_ones_give,
    a_bound_of_one_to_many_bits_is_walked_whole,
    an_offset_chooses_the_points,
    a_broken_bound_is_a_violation,
    columns_together_give_what_each_gives_alone,
    small_data_commit_under_a_full_bound,
);

fn naive(points: &[G1Affine], scalars: &[Fr]) -> G1Affine {
    points.iter().zip(scalars).map(|(p, s)| *p * s).sum::<G1Projective>().into_affine()
}

fn msm(
    engine: &Engine,
    points: &[G1Affine],
    data: HostData,
    bound: ScalarBound,
) -> Result<G1Affine, KernelFailure> {
    let bases = Bases::new(Arc::new(points.to_vec()));
    let mut graph = Graph::new();
    let v = graph.upload(data);
    let sum = graph.msm(&bases, 0, &v, bound);
    Ok(engine.run(graph)?.point(sum))
}

fn full(engine: &Engine, points: &[G1Affine], scalars: &[Fr]) -> G1Affine {
    msm(engine, points, HostData::full(scalars.to_vec()), ScalarBound::Full).unwrap()
}

fn it_is_the_sum_of_multiples(engine: &Engine) {
    for len in [0, 1, 2, 3, 33, 100] {
        let points = points(len);
        for scalars in edge_values(len) {
            assert_eq!(full(engine, &points, &scalars), naive(&points, &scalars), "{len}");
        }
    }
}

fn it_is_linear_in_the_scalars(engine: &Engine) {
    let len = 257;
    let (points, a, b) = (points(len), random_values(6, len), random_values(7, len));
    let c = -Fr::from(3);
    let combined: Vec<Fr> = a.iter().zip(&b).map(|(a, b)| *a + c * b).collect();
    let expected = full(engine, &points, &a) + full(engine, &points, &b) * c;
    assert_eq!(full(engine, &points, &combined), expected.into_affine());
}

fn special_points_meet_in_one_bucket(engine: &Engine) {
    let p = points(2)[0];
    let q = points(2)[1];
    let infinity = G1Affine::zero();
    let sets = [
        vec![p; 20],
        [p, -p].repeat(10),
        [p, p, -p, -p, infinity].repeat(4),
        vec![infinity; 20],
        [p, q, -p, (p + q).into_affine(), infinity, (-(p + q)).into_affine(), p, -q, q, q].repeat(2),
    ];
    for points in sets {
        for scalars in edge_values(20) {
            assert_eq!(full(engine, &points, &scalars), naive(&points, &scalars));
        }
        let small: Vec<i32> = (0..20).map(|i| [1, 1, -1, 0, 5][i % 5]).collect();
        let scalars: Vec<Fr> = small.iter().map(|&s| Fr::from(s)).collect();
        let got = msm(engine, &points, HostData::small(small), ScalarBound::Signed { bits: 3 });
        assert_eq!(got.unwrap(), naive(&points, &scalars));
    }
}

fn small_scalars_give_what_full_ones_give(engine: &Engine) {
    for (len, bits) in [(1, 1), (31, 8), (100, 8), (130, 17), (64, 31)] {
        let points = points(len);
        let small: Vec<i32> = (0..len as i64)
            .map(|i| {
                let largest = (1i64 << bits) - 1;
                let magnitude = (i * 0x9e37_79b9) % (largest + 1);
                match i % 4 {
                    0 => largest as i32,
                    1 => -largest as i32,
                    2 => -magnitude as i32,
                    _ => magnitude as i32,
                }
            })
            .collect();
        let scalars: Vec<Fr> = small.iter().map(|&s| Fr::from(s)).collect();
        let expected = naive(&points, &scalars);
        let bound = ScalarBound::Signed { bits };
        assert_eq!(msm(engine, &points, HostData::small(small), bound).unwrap(), expected);
        assert_eq!(msm(engine, &points, HostData::full(scalars), bound).unwrap(), expected);
    }
}

fn a_bound_of_one_to_many_bits_is_walked_whole(engine: &Engine) {
    let points = points(6);
    for bits in [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 47, 48, 62, 63] {
        let largest = Fr::from((1u64 << bits) - 1);
        let scalars = vec![largest, -largest, Fr::zero(), Fr::one(), -Fr::one(), largest];
        let got = msm(engine, &points, HostData::full(scalars.clone()), ScalarBound::Signed { bits });
        assert_eq!(got.unwrap(), naive(&points, &scalars), "{bits}");
    }
}

fn an_offset_chooses_the_points(engine: &Engine) {
    let points = points(40);
    let bases = Bases::new(Arc::new(points.clone()));
    let scalars = random_values(8, 13);
    let mut graph = Graph::new();
    let v = graph.upload(HostData::full(scalars.clone()));
    let sums: Vec<_> =
        [0, 5, 27].map(|offset| (offset, graph.msm(&bases, offset, &v, ScalarBound::Full))).into();
    let outcome = engine.run(graph).unwrap();
    for (offset, sum) in sums {
        assert_eq!(outcome.point(sum), naive(&points[offset..], &scalars), "{offset}");
    }
    let mut graph = Graph::new();
    graph.msm(&bases, 28, &v, ScalarBound::Full);
    assert!(matches!(engine.run(graph), Err(KernelFailure::InvariantViolation { .. })));
}

fn a_broken_bound_is_a_violation(engine: &Engine) {
    let points = points(5);
    let broken = |data: HostData, bits: u32| {
        let result = msm(engine, &points, data, ScalarBound::Signed { bits });
        matches!(result, Err(KernelFailure::InvariantViolation { kernel: "msm", .. }))
    };
    for bits in [1, 8, 31] {
        let limit = Fr::from(2).pow_of(u64::from(bits));
        for bad in [limit, -limit, Fr::from(2).pow_of(200)] {
            let mut scalars = vec![Fr::one(); 5];
            scalars[3] = bad;
            assert!(broken(HostData::full(scalars), bits), "{bits}");
        }
    }
    assert!(broken(HostData::small(vec![0, 0, 256, 0, 0]), 8));
    assert!(broken(HostData::small(vec![0, 0, 0, -256, 0]), 8));
    assert!(broken(HostData::small(vec![0, 0, 0, i32::MIN, 0]), 31));
    assert!(!broken(HostData::small(vec![0, 0, 255, -255, 0]), 8));
}

fn small_data_commit_under_a_full_bound(engine: &Engine) {
    let points = points(6);
    let small = vec![i32::MIN, i32::MAX, 0, -1, 1, 77];
    let scalars: Vec<Fr> = small.iter().map(|&s| Fr::from(s)).collect();
    let got = msm(engine, &points, HostData::small(small), ScalarBound::Full);
    assert_eq!(got.unwrap(), naive(&points, &scalars));
}

fn columns_together_give_what_each_gives_alone(engine: &Engine) {
    let len = 70;
    let points = points(len + 1);
    let bases = Bases::new(Arc::new(points.clone()));
    let data = |at: usize| match at % 4 {
        0 => HostData::full(random_values(at as u8, len)),
        1 => HostData::small((0..len as i32).map(|i| (i * 37 + at as i32) % 256 - 128).collect()),
        2 => HostData::small(vec![0; len]),
        _ => HostData::small((0..len as i32).map(|i| i * 0x111_1111 - i32::MAX / 2).collect()),
    };
    let mut graph = Graph::new();
    let sums: Vec<_> = (0..37)
        .map(|at| {
            let v = graph.upload(data(at));
            graph.msm(&bases, at % 2, &v, ScalarBound::Full)
        })
        .collect();
    let outcome = engine.run(graph).unwrap();
    for (at, sum) in sums.into_iter().enumerate() {
        let scalars: Vec<Fr> = (0..len).map(|i| data(at).get(i)).collect();
        assert_eq!(outcome.point(sum), naive(&points[at % 2..], &scalars), "{at}");
    }
}

/// Sizes from which multiples are used, and scalars whose digits carry.
#[test]
fn multiples_of_the_bases_change_no_sum() {
    let dir = std::env::temp_dir().join(format!("kiln-laws-multiples-{}", std::process::id()));
    let mut points = points((1 << 14) + 9);
    points[77] = G1Affine::zero();
    points[78] = points[79];
    points[80] = -points[81];
    let bases = Bases::new(Arc::new(points.clone()));
    let multiples = Arc::new(Multiples::open(&dir, &points, u64::MAX).unwrap());
    let fast = bases.with_multiples(multiples.clone()).unwrap();
    assert!(Bases::new(Arc::new(points[1..].to_vec())).with_multiples(multiples).is_none());
    std::fs::remove_dir_all(&dir).unwrap();
    for limit in [Instructions::Adx, Instructions::Avx2Fma, Instructions::Avx512Ifma] {
        let engine = limited_engine(limit);
        for scalars in edge_values((1 << 14) + 2).into_iter().skip(2) {
            let mut graph = Graph::new();
            let v = graph.upload(HostData::full(scalars));
            let small = graph.upload(HostData::small(vec![-3; 1 << 14]));
            let sums = [&bases, &fast].map(|bases| {
                [graph.msm(bases, 5, &v, ScalarBound::Full), graph.msm(bases, 5, &small, ScalarBound::Full)]
            });
            let outcome = engine.run(graph).unwrap();
            let [plain, fast] = sums.map(|sums| sums.map(|sum| outcome.point(sum)));
            assert_eq!(plain, fast);
        }
    }
}
