use super::*;
use crate::circuit::{AdviceColumn, Cell, CommittedGroup, Gate, Region, Table};
use crate::expression::{Challenge, Monomial};
use crate::formula::{InstanceCell, Run};

/// Columns `a` (phase 0) and `s` (phase 1): s is the running sum of ρ·a, checked against the public total; a is in the
/// table; the committed column holds the same values as a.
fn sample_circuit() -> Circuit {
    let [a, s] = [Column::Advice(0), Column::Advice(1)];
    let [first, table] = [Column::Fixed(0), Column::Fixed(1)];
    let rho = Monomial(vec![(Challenge(0), 1)]);
    let last = |column| Cell { column, row: 3 };
    let gate = |name: &str, expression| Gate { name: name.into(), expression };
    let region = |operator: &str, first_row, rows| Region {
        first_row,
        rows,
        operator: operator.into(),
        tensor: format!("{operator}_out"),
        columns: vec![a, s],
    };
    Circuit {
        k: 2,
        degree: 3,
        fixed: vec!["first".into(), "table".into()],
        instance: vec!["total".into()],
        committed: vec![CommittedGroup { name: "input".into(), columns: 1 }],
        advice: vec![
            AdviceColumn { name: "a".into(), phase: 0, linear: false },
            AdviceColumn { name: "s".into(), phase: 1, linear: false },
        ],
        challenges: vec![vec!["rho".into()]],
        gates: vec![
            gate(
                "running sum",
                s.here()
                    - Expression::Challenge(rho.clone()) * a.here()
                    - (Expression::one() - first.here()) * s.previous(),
            ),
            gate("input", a.here() - Column::Committed(0).here()),
        ],
        lookups: vec![Lookup { name: "range".into(), inputs: vec![a.here()], table: 0 }],
        tables: vec![Table { name: "bytes".into(), segments: vec![vec![table]] }],
        copy_columns: vec![s, Column::Instance(0)],
        copies: vec![(last(s), last(Column::Instance(0)))],
        instance_cells: vec![InstanceCell {
            column: 0,
            row: 3,
            runs: vec![Run {
                coefficient: Fr::one(),
                public: Some((0, 1)),
                len: 1,
                first: rho,
                step: Monomial::default(),
            }],
        }],
        public_inputs: 1,
        meaning: String::new(),
        regions: vec![region("Graph", 0, 4), region("Relu", 2, 1)],
    }
}

struct Sums {
    a: [i32; 4],
    /// Added to s in the rows given.
    change: [i32; 4],
}

impl Witness for Sums {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        if phase == 0 {
            assert!(challenges.is_empty());
            return Ok(vec![small(&self.a)]);
        }
        let mut sum = Fr::zero();
        let values = self.a.iter().zip(self.change).map(|(a, change)| {
            sum += challenges[0] * Fr::from(*a) + Fr::from(change);
            sum
        });
        Ok(vec![ColumnValues::full(values.collect())])
    }
}

fn small(values: &[i32]) -> ColumnValues {
    ColumnValues::small(values.to_vec())
}

fn check(a: [i32; 4], change: [i32; 4], committed: [i32; 4], total: i32) -> Vec<MockFailure> {
    let fixed = [small(&[1, 0, 0, 0]), small(&[0, 1, 2, 3])];
    let committed = [vec![small(&committed)]];
    mock(&sample_circuit(), &fixed, &committed, &[Fr::from(total)], &Sums { a, change }).unwrap()
}

#[test]
fn a_good_witness_has_no_failures() {
    assert_eq!(check([1, 3, 0, 2], [0; 4], [1, 3, 0, 2], 6), []);
}

#[test]
fn a_broken_gate_is_named_with_the_innermost_region() {
    let failures = check([1, 3, 0, 2], [0, 0, 1, -1], [1, 3, 0, 2], 6);
    assert_eq!(failures.len(), 2);
    let MockFailure::Gate { name, row: 2, place: Some(place), values } = &failures[0] else {
        panic!("{failures:?}");
    };
    assert_eq!(name, "running sum");
    assert_eq!((place.operator.as_str(), place.tensor.as_str(), place.offset), ("Relu", "Relu_out", 0));
    assert!(values.iter().any(|value| value.name == "a" && value.value.is_zero()));
    let text = failures[0].to_string();
    assert!(text.contains("gate `running sum`") && text.contains("row 2 (Relu, tensor Relu_out"), "{text}");
    assert!(
        matches!(&failures[1], MockFailure::Gate { row: 3, place: Some(place), .. } if place.operator == "Graph")
    );
}

#[test]
fn rotations_wrap_around() {
    let mut circuit = sample_circuit();
    // without the selector, row 0 sees the last row
    circuit.gates[0].expression = Column::Advice(0).here() - Column::Advice(0).previous();
    let fixed = [small(&[1, 0, 0, 0]), small(&[0, 1, 2, 3])];
    let witness = Sums { a: [1, 1, 1, 1], change: [0; 4] };
    let failures = mock(&circuit, &fixed, &[vec![small(&[1; 4])]], &[Fr::from(4)], &witness).unwrap();
    assert_eq!(failures, []);
    let witness = Sums { a: [1, 1, 1, 2], change: [0; 4] };
    let failures = mock(&circuit, &fixed, &[vec![small(&[1, 1, 1, 2])]], &[Fr::from(5)], &witness).unwrap();
    let rows = failures.iter().map(|failure| match failure {
        MockFailure::Gate { row, .. } => *row,
        other => panic!("{other}"),
    });
    assert_eq!(rows.collect::<Vec<_>>(), [0, 3]);
}

#[test]
fn a_tuple_outside_its_table_is_named() {
    let failures = check([1, -4, 0, 2], [0; 4], [1, -4, 0, 2], -1);
    let [MockFailure::Lookup { name, table: Some(table), row: 1, tuple, .. }] = failures.as_slice() else {
        panic!("{failures:?}");
    };
    assert_eq!(
        (name.as_str(), table.as_str(), tuple.as_slice()),
        ("range", "bytes", [-Fr::from(4)].as_slice())
    );
    assert!(failures[0].to_string().contains("(-4) is not in table `bytes` on row 1"), "{}", failures[0]);
}

#[test]
fn a_violated_copy_and_a_foreign_committed_column_are_named() {
    let failures = check([1, 3, 0, 2], [0; 4], [1, 3, 1, 2], 7);
    let [MockFailure::Gate { name, row: 2, values, .. }, copy @ MockFailure::Copy { allowed: true, .. }] =
        failures.as_slice()
    else {
        panic!("{failures:?}");
    };
    assert_eq!(name, "input");
    assert!(values.iter().any(|value| value.name == "input[0]" && value.value == Fr::one()));
    assert!(copy.to_string().contains("copied cells differ"), "{copy}");
}

#[test]
fn wrong_shapes_are_errors() {
    let circuit = sample_circuit();
    let fixed = [small(&[1, 0, 0, 0]), small(&[0, 1, 2, 3])];
    let good = Sums { a: [0; 4], change: [0; 4] };
    let column = [vec![small(&[0; 4])]];
    let zero = [Fr::zero()];
    let run = |fixed: &[ColumnValues], committed: &[Vec<ColumnValues>], public: &[Fr]| {
        mock(&circuit, fixed, committed, public, &good).unwrap_err().to_string()
    };
    assert_eq!(run(&fixed[..1], &column, &zero), "wrong number of fixed columns: expected 2, got 1");
    assert_eq!(run(&fixed, &[], &zero), "wrong number of committed groups: expected 1, got 0");
    assert_eq!(run(&fixed, &column, &[]), "wrong number of public inputs: expected 1, got 0");
    let short = [vec![small(&[0; 3])]];
    assert!(run(&fixed, &short, &zero).starts_with("Committed(0) has the wrong number of rows"));
    let mut dangling = circuit.clone();
    dangling.gates[1].expression = Column::Advice(2).here();
    let error = mock(&dangling, &fixed, &column, &zero, &good).unwrap_err();
    assert!(matches!(error, WitnessError::UnknownColumn { column: Column::Advice(2), .. }));
}
