//! Lies about what the columns hold: gates, lookups, tables, copies.

use ark_bn254::Fr;
use ark_ff::{One, Zero};

use super::polynomial::interpolate;
use super::prover::{Prover, Step};
use super::sample::{
    BEFORE, CHAIN, CUBE, FAR, GATES, K, LOW, NEAR, ONE, ROWS, SQUARE, Setting, TWO, WEIGHTED, X,
};
use super::{bites, bites_bytes};
use crate::cheating::FALSE;
use crate::check::{Check, without};
use crate::constraints::{self, Oracle};
use crate::expression::Column;
use crate::plan::{Fraction, index};

/// Changes one value just before it is committed to.
fn change(prover: &mut Prover<'_>, oracle: Oracle, row: usize, by: i64) {
    prover.rows.get_mut(&oracle).unwrap()[row] += Fr::from(by);
}

fn constraint(name: &str) -> Check {
    Check::Constraint(GATES.iter().position(|gate| *gate == name).unwrap())
}

/// The number of the constraint of a helper.
fn helper(number: usize) -> Check {
    Check::Constraint(GATES.len() + number)
}

fn running_sum(setting: &Setting) -> Check {
    Check::Constraint(constraints::count(&setting.vk.circuit, &setting.vk.plan) - 1)
}

#[test]
fn one_wrong_cell_is_refused_by_the_gate_that_reads_it() {
    let setting = Setting::new();
    let cells = [
        (CUBE, 0, "cube"),
        (BEFORE, 0, "before"),
        (ONE, 0, "one"),
        (TWO, 0, "two"),
        (CHAIN, 1, "chain"),
        (WEIGHTED, 1, "weighted"),
    ];
    for (column, phase, gate) in cells {
        for row in [0, 3, 6] {
            bites(&setting, &[constraint(gate)], &mut |step, prover| {
                if step == Step::Advice(phase) {
                    change(prover, Oracle::Advice(column), row, 1);
                }
            });
        }
    }
}

#[test]
fn a_gate_holds_on_the_last_row_too() {
    let setting = Setting::new();
    bites(&setting, &[constraint("one")], &mut |step, prover| {
        if step == Step::Advice(0) {
            change(prover, Oracle::Advice(ONE), ROWS - 1, 1);
        }
    });
}

#[test]
fn a_column_shifted_by_a_row_is_refused() {
    // the row after in place of the row before
    let setting = Setting::new();
    bites(&setting, &[constraint("before")], &mut |step, prover| {
        if step == Step::Advice(0) {
            let mut rows = prover.rows[&Oracle::Advice(X)].clone();
            rows.rotate_left(1);
            prover.rows.insert(Oracle::Advice(BEFORE), rows);
        }
    });
}

#[test]
fn a_witness_of_other_public_inputs_is_refused() {
    let mut setting = Setting::new();
    setting.statement.public_inputs[1] += Fr::one();
    bites(&setting, &[constraint("public")], &mut |_, _| ());
}

#[test]
fn a_value_outside_its_table_is_refused() {
    let setting = Setting::new();
    for (lookup, column) in [(0, NEAR), (1, SQUARE), (2, FAR)] {
        for row in [2, ROWS - 1] {
            bites(&setting, &[Check::Fraction(Fraction::Lookup(lookup))], &mut |step, prover| {
                if step == Step::Advice(0) {
                    change(prover, Oracle::Advice(column), row, 1000);
                }
            });
        }
    }
}

#[test]
fn a_value_that_wraps_around_the_field_is_outside_its_table() {
    // −1, and 1/2, which are in range only for whoever takes them for integers
    let setting = Setting::new();
    for value in [-Fr::one(), Fr::one() / Fr::from(2)] {
        bites(&setting, &[Check::Fraction(Fraction::Lookup(0))], &mut |step, prover| {
            if step == Step::Advice(0) {
                prover.rows.get_mut(&Oracle::Advice(NEAR)).unwrap()[3] = value;
            }
        });
    }
}

#[test]
fn an_entry_of_another_table_is_refused_by_the_tag() {
    // 5 is in the table of `near`, and `far` claims that it is in its own; both are one column wide
    let setting = Setting::new();
    bites(&setting, &[Check::TableTag], &mut |step, prover| match step {
        Step::Advice(0) => prover.rows.get_mut(&Oracle::Advice(FAR)).unwrap()[2] = Fr::from(5),
        Step::Multiplicities => change(prover, Oracle::Multiplicity(0), 5, 1),
        _ => (),
    });
}

#[test]
fn one_wrong_multiplicity_is_refused_by_the_running_sum() {
    let setting = Setting::new();
    for segment in 0..3 {
        for by in [1, -1] {
            bites(&setting, &[running_sum(&setting)], &mut |step, prover| {
                if step == Step::Multiplicities {
                    change(prover, Oracle::Multiplicity(segment), 3, by);
                }
            });
        }
    }
}

#[test]
fn multiplicities_count_through_the_fractions_of_table_and_lookup_alone() {
    let setting = Setting::new();
    let checks = [
        Check::Fraction(Fraction::Lookup(0)),
        Check::Fraction(Fraction::Segment { table: 0, segment: 0, multiplicity: 0 }),
    ];
    bites(&setting, &checks, &mut |step, prover| {
        if step == Step::Multiplicities {
            change(prover, Oracle::Multiplicity(0), 3, 7);
        }
    });
}

#[test]
fn a_wrong_helper_is_refused_by_its_own_constraint() {
    // one row gives to another, so that the sum of all rows stays as it is
    let setting = Setting::new();
    for number in 0..setting.vk.plan.helpers.len() {
        bites(&setting, &[helper(number)], &mut |step, prover| {
            if step == Step::Helpers {
                change(prover, Oracle::Helper(index(number)), 2, 1);
                change(prover, Oracle::Helper(index(number)), 5, -1);
                prover.sum_up();
            }
        });
    }
}

#[test]
fn a_helper_that_covers_up_for_a_value_outside_its_table_is_refused() {
    let setting = Setting::new();
    bites(&setting, &[helper(0)], &mut |step, prover| match step {
        Step::Advice(0) => change(prover, Oracle::Advice(NEAR), 2, 1000),
        Step::Helpers => {
            let total = prover.rows[&Oracle::RunningSum][ROWS - 1];
            assert!(!total.is_zero());
            prover.rows.get_mut(&Oracle::Helper(0)).unwrap()[2] -= total;
            prover.sum_up();
        }
        _ => (),
    });
}

#[test]
fn a_wrong_running_sum_is_refused_by_its_own_constraint() {
    let setting = Setting::new();
    for row in [0, 4, ROWS - 1] {
        bites(&setting, &[running_sum(&setting)], &mut |step, prover| {
            if step == Step::Helpers {
                change(prover, Oracle::RunningSum, row, 1);
            }
        });
    }
}

#[test]
fn a_sum_that_does_not_close_is_refused_without_any_boundary() {
    let setting = Setting::new();
    bites(&setting, &[running_sum(&setting)], &mut |step, prover| {
        if step == Step::Advice(0) {
            change(prover, Oracle::Advice(FAR), 7, 50);
        }
    });
}

#[test]
fn a_broken_copy_is_refused_by_the_two_fractions_of_its_column() {
    for (copy_column, column, row) in [(0, X, 5), (1, FAR, 4)] {
        let setting = Setting::new();
        let checks = [
            Check::Fraction(Fraction::CopyFrom(copy_column)),
            Check::Fraction(Fraction::CopyTo(copy_column)),
        ];
        if column == FAR {
            bites(&setting, &checks, &mut |step, prover| {
                if step == Step::Advice(0) {
                    prover.rows.get_mut(&Oracle::Advice(FAR)).unwrap()[row] = Fr::from(103);
                }
            });
            continue;
        }
        // everything else of the witness follows the value
        let mut setting = setting;
        setting.values[row] = Fr::from(6);
        setting.statement.public_inputs = setting.values.clone();
        bites(&setting, &checks, &mut |_, _| ());
    }
}

#[test]
fn a_permutation_other_than_the_keys_is_refused_by_its_opening() {
    // every cell a cycle of its own, so that nothing need be equal
    let mut setting = Setting::new();
    setting.values[5] = Fr::from(6);
    setting.statement.public_inputs = setting.values.clone();
    bites(&setting, &[Check::Opened(Oracle::Sigma(0))], &mut |step, prover| {
        if step == Step::Advice(0) {
            let names = super::polynomial::powers(crate::domain::root_of_unity(K), ROWS);
            prover.coefficients.insert(Oracle::Sigma(0), interpolate(K, Fr::one(), &names));
            prover.rows.insert(Oracle::Sigma(0), names);
        }
    });
}

#[test]
fn a_table_with_another_entry_than_the_keys_is_refused_by_its_opening() {
    let setting = Setting::new();
    let Column::Fixed(low) = LOW else { panic!("the table is fixed") };
    bites(&setting, &[Check::Opened(Oracle::Fixed(low))], &mut |step, prover| {
        if step == Step::Advice(0) {
            // 0 gives way to 1000; no x is 0, so that its square is not missed
            assert!(!prover.rows[&Oracle::Advice(X)].contains(&Fr::zero()));
            let mut table = prover.rows[&Oracle::Fixed(low)].clone();
            table[0] = Fr::from(1000);
            prover.coefficients.insert(Oracle::Fixed(low), interpolate(K, Fr::one(), &table));
            prover.rows.insert(Oracle::Fixed(low), table);
            let near = prover.rows.get_mut(&Oracle::Advice(NEAR)).unwrap();
            near.iter_mut().filter(|value| value.is_zero()).for_each(|value| *value = Fr::from(1000));
        }
    });
}

#[test]
fn padding_that_a_table_never_promised_is_not_in_it() {
    // Zero is no entry of the table of `far`: no row of a table is padding.
    let setting = Setting::new();
    bites(&setting, &[Check::Fraction(Fraction::Lookup(2))], &mut |step, prover| {
        if step == Step::Advice(0) {
            prover.rows.get_mut(&Oracle::Advice(FAR)).unwrap()[7] = Fr::zero();
        }
    });
}

#[test]
fn multiplicities_chosen_after_the_challenge_are_refused_by_its_binding() {
    // With γ known, one multiplicity closes the sum whatever was looked up: all constraints hold.
    let setting = Setting::new();
    let check = Check::AbsorbPoint("a multiplicity commitment");
    let proof = without(&[check], || {
        super::prove(&setting, &setting.statement, &mut |step, prover| match step {
            Step::Advice(0) => change(prover, Oracle::Advice(NEAR), 2, 1000),
            Step::Helpers => {
                let total = prover.rows[&Oracle::RunningSum][ROWS - 1];
                let table = &prover.rows[&Column::Fixed(3).into()];
                let denominator = prover.challenges.gamma + Fr::one() + prover.challenges.theta * table[0];
                let mut counts = prover.rows[&Oracle::Multiplicity(0)].clone();
                counts[0] += total * denominator;
                prover.replace(Oracle::Multiplicity(0), interpolate(K, Fr::one(), &counts));
                prover.rows.insert(Oracle::Multiplicity(0), counts);
                let segments = prover.setting.vk.plan.helpers[1].clone();
                let rows = (0..ROWS).map(|row| prover.fractions(&segments, row)).collect();
                prover.rows.insert(Oracle::Helper(1), rows);
                prover.sum_up();
                assert!(prover.rows[&Oracle::RunningSum][ROWS - 1].is_zero());
            }
            _ => (),
        })
    });
    bites_bytes(&setting, &[check], &proof, &FALSE);
}
