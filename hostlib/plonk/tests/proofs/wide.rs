//! How long the proof of a wide circuit is.

use ark_bn254::Fr;
use kiln_plonk::circuit::{AdviceColumn, Cell, Circuit, Gate, Lookup, Table};
use kiln_plonk::expression::{Column, Expression};
use kiln_plonk::{ColumnValues, Randomness, Silent, Srs, Statement, Witness, WitnessError, keygen, prove};

use crate::sample::cpu_engine;
use crate::verdict::verify;

const K: u32 = 5;

/// Half of the columns: values, and with each the product of a value and the row before's.
const PAIRS: u32 = 50;

/// Columns that are looked up, and that take part in copies.
const LOOKED_UP: u32 = 24;
const COPIED: u32 = 8;

struct Wide;

fn value(column: u32, row: u32) -> i32 {
    let rows = 1 << K;
    // The columns that take part in copies are the same.
    let column = if column < COPIED { 0 } else { column };
    ((7 * (row % rows) + column) % rows) as i32
}

fn column(i: u32, product: bool) -> Column {
    Column::Advice(if product { PAIRS + i } else { i })
}

impl Witness for Wide {
    fn phase(&self, _: u8, _: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let rows = 1 << K;
        let values = |i: u32| (0..rows).map(|row| value(i, row)).collect::<Vec<_>>();
        let products = |i: u32| {
            let product = |row: u32| value(i, row) * value(i, row + rows - 1);
            (0..rows).map(product).collect()
        };
        let columns = (0..PAIRS).map(values).chain((0..PAIRS).map(products));
        Ok(columns.map(ColumnValues::small).collect())
    }
}

fn circuit() -> Circuit {
    let gate = |i: u32| {
        let (value, product) = (column(i, false), column(i, true));
        let expression: Expression = product.here() - value.here() * value.previous();
        Gate { name: format!("product {i}"), expression }
    };
    let lookup =
        |i: u32| Lookup { name: format!("value {i}"), inputs: vec![column(i, false).here()], table: 0 };
    let cell = |i: u32, row: u32| Cell { column: column(i, false), row };
    Circuit {
        k: K,
        degree: 5,
        fixed: vec!["range".into()],
        advice: (0..2 * PAIRS)
            .map(|i| AdviceColumn { name: format!("column {i}"), phase: 0, linear: false })
            .collect(),
        gates: (0..PAIRS).map(gate).collect(),
        lookups: (0..LOOKED_UP).map(lookup).collect(),
        tables: vec![Table { name: "range".into(), segments: vec![vec![Column::Fixed(0)]] }],
        copy_columns: (0..COPIED).map(|i| column(i, false)).collect(),
        copies: (1..COPIED).flat_map(|i| (0..1 << K).map(move |row| (cell(0, row), cell(i, row)))).collect(),
        ..Circuit::default()
    }
}

/// One point and one scalar for each column, and one more scalar for each column that is read at two rows.
#[test]
fn a_proof_of_a_hundred_committed_columns_with_lookups_copies_and_rotations_is_under_12_kilobytes() {
    let (engine, srs) = (cpu_engine(), Srs::insecure_local(K, [7; 32]).unwrap());
    let fixed = vec![ColumnValues::small((0..1 << K).collect())];
    let (pk, vk) = keygen(&engine, &srs, circuit(), fixed).unwrap();
    assert_eq!(vk.circuit().advice.len(), 100);
    let statement = Statement { public_inputs: Vec::new(), committed: Vec::new() };
    let rng = Randomness::insecure_from_seed([3; 32]);
    let (proof, _) = prove(&engine, &pk, &srs, &statement, &[], &Wide, rng, &Silent).unwrap();
    assert_eq!(verify(&vk, &statement, &proof), Ok(()));
    assert!(proof.len() < 12_000, "{} bytes", proof.len());
    // 25 + 16 fractions in 11 helpers of four, besides the columns, one segment, the running sum, four pieces and the
    // opening's two points; 100 + 50 evaluations of columns, one each of table and of the running sum's row before, eight of σ.
    let points = 100 + 1 + 11 + 1 + 4 + 2;
    let scalars = 100 + 50 + 1 + 1 + 8;
    assert_eq!(proof.len(), 8 + 32 * (points + scalars));
}
