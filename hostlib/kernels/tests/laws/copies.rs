//! Slices, placements, uploads, downloads.

use ark_bn254::Fr;
use ark_ff::Zero;
use kiln_kernels::{Engine, Graph, HostData, KernelFailure};

use crate::{download, laws, map, random_values, upload};

laws!(
    what_goes_in_comes_out,
    a_slice_reads_zero_past_the_end,
    a_placed_vector_has_zeros_around_it,
    of_placed_vectors_that_overlap_the_later_is_there,
    copies_of_small_integers_are_field_elements,
    ranges_outside_are_refused,
);

fn what_goes_in_comes_out(engine: &Engine) {
    for len in [0, 1, 5, 130] {
        let values = random_values(11, len);
        assert_eq!(map(engine, &values, |_, v| v.clone()), values);
    }
    let values = random_values(11, 20);
    let mut graph = Graph::new();
    let v = upload(&mut graph, &values);
    let middle = graph.download(&v, 3, 9);
    let nothing = graph.download(&v, 20, 0);
    let outcome = engine.run(graph).unwrap();
    assert_eq!(outcome.scalars(middle), &values[3..12]);
    assert!(outcome.scalars(nothing).is_empty());
}

fn a_slice_reads_zero_past_the_end(engine: &Engine) {
    let values = random_values(12, 21);
    for (start, len) in [(0, 21), (0, 5), (7, 14), (7, 20), (20, 3), (21, 3), (100, 2), (3, 0)] {
        let got = map(engine, &values, |g, v| g.slice(v, start, len));
        let expected: Vec<Fr> =
            (start..start + len).map(|i| values.get(i).copied().unwrap_or(Fr::zero())).collect();
        assert_eq!(got, expected, "{start}, {len}");
    }
}

fn a_placed_vector_has_zeros_around_it(engine: &Engine) {
    let values = random_values(13, 10);
    for (offset, len) in [(0, 10), (0, 17), (7, 17), (3, 40)] {
        let got = map(engine, &values, |g, v| g.place(&[(v, offset)], len));
        let mut expected = vec![Fr::zero(); len];
        expected[offset..offset + 10].copy_from_slice(&values);
        assert_eq!(got, expected, "{offset}, {len}");
    }
}

fn of_placed_vectors_that_overlap_the_later_is_there(engine: &Engine) {
    let values = random_values(15, 10);
    let mut graph = Graph::new();
    let long = upload(&mut graph, &values);
    let small = graph.upload(HostData::small(vec![5, -6, 7]));
    let none = graph.upload(HostData::small(Vec::new()));
    let places = [(&long, 2), (&small, 0), (&none, 20), (&small, 11), (&long, 13)];
    let placed = graph.place(&places, 25);
    let small_alone = graph.place(&[(&small, 1), (&small, 2)], 6);
    let (placed, small_alone) = (download(&mut graph, &placed), download(&mut graph, &small_alone));
    let outcome = engine.run(graph).unwrap();
    let mut expected = vec![Fr::zero(); 25];
    let small = [Fr::from(5), -Fr::from(6), Fr::from(7)];
    for (offset, part) in [(2, values.as_slice()), (0, &small), (11, &small), (13, &values)] {
        expected[offset..offset + part.len()].copy_from_slice(part);
    }
    assert_eq!(outcome.scalars(placed), expected);
    let zero = Fr::zero();
    assert_eq!(outcome.scalars(small_alone), [zero, small[0], small[0], small[1], small[2], zero]);
}

fn copies_of_small_integers_are_field_elements(engine: &Engine) {
    let mut graph = Graph::new();
    let v = graph.upload(HostData::small(vec![-3, i32::MIN, i32::MAX]));
    let slice = graph.slice(&v, 1, 3);
    let place = graph.place(&[(&v, 1)], 5);
    let (slice, place) = (download(&mut graph, &slice), download(&mut graph, &place));
    let outcome = engine.run(graph).unwrap();
    let f = |s: i64| if s < 0 { -Fr::from(s.unsigned_abs()) } else { Fr::from(s as u64) };
    let (min, max) = (f(i64::from(i32::MIN)), f(i64::from(i32::MAX)));
    assert_eq!(outcome.scalars(slice), [min, max, f(0)]);
    assert_eq!(outcome.scalars(place), [f(0), f(-3), min, max, f(0)]);
}

fn ranges_outside_are_refused(engine: &Engine) {
    let refused = |build: &dyn Fn(&mut Graph, &kiln_kernels::Vector)| {
        let mut graph = Graph::new();
        let v = upload(&mut graph, &random_values(14, 8));
        build(&mut graph, &v);
        matches!(engine.run(graph), Err(KernelFailure::InvariantViolation { .. }))
    };
    assert!(refused(&|g, v| {
        g.place(&[(v, 1)], 8);
    }));
    assert!(refused(&|g, v| {
        g.place(&[(v, 0), (v, usize::MAX)], 8);
    }));
    assert!(refused(&|g, _| {
        g.place(&[], 8);
    }));
    assert!(refused(&|g, v| {
        g.download(v, 5, 4);
    }));
    assert!(refused(&|g, v| {
        g.download(v, usize::MAX, 2);
    }));
}
