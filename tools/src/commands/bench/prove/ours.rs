//! The statement as a circuit of `kiln-plonk`.

use ark_bn254::Fr;
use kiln_kernels::{DeviceReport, Engine};
use kiln_plonk::circuit::{AdviceColumn, Cell, Circuit, Gate, Lookup, Table};
use kiln_plonk::expression::Column;
use kiln_plonk::{
    ColumnValues, ProcessorArithmetic, ProvingKey, Randomness, Silent, Srs, Statement, VerifyingKey, Witness,
    WitnessError, keygen, prove, verify_by,
};

use super::shape::{self, Part};
use super::{Prover, Split};
use crate::error::Failure;

/// The degree at which this shape is proven fastest: fewer helpers against more cosets.
const DEGREE: u32 = 4;

const SELECTOR: Column = Column::Fixed(0);
const RANGE: Column = Column::Fixed(1);

/// Kiln's prover with its keys.
pub struct Ours<'a> {
    engine: Engine,
    srs: &'a Srs,
    pk: ProvingKey,
    vk: VerifyingKey,
    witness: Columns,
}

/// A witness of one phase.
struct Columns(Vec<ColumnValues>);

impl Witness for Columns {
    fn phase(&self, _: u8, _: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        // Copies, as a circuit's own witness would be made for each proof.
        let copy = |column: &ColumnValues| match column {
            ColumnValues::Small(values) => ColumnValues::small(values.to_vec()),
            ColumnValues::Full(values) => ColumnValues::full(values.to_vec()),
        };
        Ok(self.0.iter().map(copy).collect())
    }
}

impl<'a> Ours<'a> {
    pub fn new(srs: &'a Srs, engine: Engine) -> Result<Self, Failure> {
        let log_rows = srs.k();
        let circuit = circuit(log_rows);
        let (pk, vk) = keygen(&engine, srs, circuit, fixed(log_rows))
            .map_err(|e| Failure::device("make the keys of the benchmark", e))?;
        let witness = Columns(shape::witness(log_rows).into_iter().map(ColumnValues::small).collect());
        Ok(Self { engine, srs, pk, vk, witness })
    }

    fn statement() -> Statement {
        Statement { public_inputs: Vec::new(), committed: Vec::new() }
    }

    /// What the kernels have taken so far.
    pub fn split(&self) -> Split {
        self.engine.report().devices.iter().map(split).fold(Split::default(), |a, b| a + b)
    }
}

fn split(device: &DeviceReport) -> Split {
    let mut split = Split::default();
    for (name, kernel) in &device.kernels {
        let place = match *name {
            "msm" => &mut split.msm_s,
            "evaluate_on_coset" | "interpolate_coset" => &mut split.ntt_s,
            "pointwise" => &mut split.pointwise_s,
            _ => &mut split.other_kernels_s,
        };
        *place += kernel.cpu_ns as f64 * 1e-9;
    }
    split
}

impl Prover for Ours<'_> {
    fn prove(&self) -> Result<Vec<u8>, Failure> {
        let rng = Randomness::from_os().map_err(|e| Failure::device("draw randomness", e))?;
        prove(&self.engine, &self.pk, self.srs, &Self::statement(), &[], &self.witness, rng, &Silent)
            .map(|(proof, _)| proof)
            .map_err(|e| Failure::device("prove the benchmark", e))
    }

    fn verify(&self, proof: &[u8]) -> Result<(), Failure> {
        let arithmetic = ProcessorArithmetic::detect();
        verify_by(&arithmetic, &self.vk, &Self::statement(), proof)
            .map_err(|e| Failure::device("verify the benchmark", e))
    }
}

fn circuit(log_rows: u32) -> Circuit {
    let advice = |i: usize| Column::Advice(i as u32);
    let gate = |group: usize| {
        let [a, b, c, d] =
            [Part::A, Part::B, Part::C, Part::D].map(|part| advice(shape::column(group, part)).here());
        Gate { name: format!("group {group}"), expression: SELECTOR.here() * (a * b + c - d) }
    };
    let lookup = |column: usize| Lookup {
        name: format!("column {column}"),
        inputs: vec![advice(column).here()],
        table: 0,
    };
    let bound = (1usize << log_rows) - shape::IDLE_ROWS;
    let cell = |column: usize, row: usize| Cell { column: advice(column), row: row as u32 };
    let copies = |row: usize| {
        let within = shape::copies().into_iter().filter(move |(_, _, on)| row + on < bound);
        within.map(move |(from, to, on)| (cell(from, row), cell(to, row + on)))
    };
    Circuit {
        k: log_rows,
        degree: DEGREE,
        fixed: vec!["selector".into(), "range".into()],
        advice: (0..shape::COLUMNS)
            .map(|i| AdviceColumn { name: format!("column {i}"), phase: 0, linear: false })
            .collect(),
        gates: (0..shape::GROUPS).map(gate).collect(),
        lookups: shape::ranged().into_iter().map(lookup).collect(),
        tables: vec![Table { name: "range".into(), segments: vec![vec![RANGE]] }],
        copy_columns: shape::copied().into_iter().map(advice).collect(),
        copies: (0..bound).flat_map(copies).collect(),
        ..Circuit::default()
    }
}

fn fixed(log_rows: u32) -> Vec<ColumnValues> {
    let rows = 1usize << log_rows;
    let selector = (0..rows).map(|row| i32::from(row < rows - shape::IDLE_ROWS));
    // Values beyond the range's end repeat its first.
    let range = (0..rows).map(|row| if row >> shape::RANGE_BITS == 0 { row as i32 } else { 0 });
    vec![ColumnValues::small(selector.collect()), ColumnValues::small(range.collect())]
}
