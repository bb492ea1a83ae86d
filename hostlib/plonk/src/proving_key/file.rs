//! The proving key as a file that is used in place, laid out as [`crate::sections`] says.
//!
//! Section 0 is the verifying key, as its own file. Then come the values of the fixed columns, the values of the columns σ,
//! and, unless they are large, the coefficients of all of these in the same order. Values are field elements, or four-byte
//! integers where all of a column are that small; coefficients are field elements, in Montgomery form, 4 limbs of 64 bits,
//! least first.

use std::io::{Read, Seek, Write};
use std::path::Path;

use ark_bn254::Fr;
use ark_ff::One;
use kiln_kernels::{Engine, Graph, HostData, KernelFailure};
use thiserror::Error;

use super::ProvingKey;
use crate::sections::{Kind, SectionError, SectionWriter, Sections};
use crate::witness::ColumnValues;
use kiln_verify::{CircuitError, FileError, VerifyingKey};

static PROVING_KEY: Kind = Kind { magic: *b"KILN-PK\n", name: "proving key", version: 3 };

/// What a section holds.
const FORM_BYTES: u32 = 0;
const FORM_SMALL: u32 = 1;
const FORM_FULL: u32 = 2;

/// The coefficients are left out if they take more than this. They spare a proof a transform wherever it reads them, but they are
/// eight times as large as small values, and if they do not stay in memory beside the proof, reading them from disk takes longer
/// than the transforms.
const COEFFICIENTS_BYTES_MAX: u64 = 4 << 30;

/// Why there is no usable proving key.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum ProvingKeyError {
    /// The file as such is not what it should be.
    #[error(transparent)]
    File(#[from] SectionError),
    /// The verifying key in it cannot be used.
    #[error("the verifying key in the proving key cannot be used")]
    VerifyingKey(#[from] FileError),
    /// The number of sections does not fit the circuit.
    #[error(
        "the proving key has {got} sections, but its circuit needs {expected}, or one more for each column with coefficients; make it again"
    )]
    SectionCount { expected: usize, got: usize },
    /// A column holds numbers that are no field elements.
    #[error(
        "column {column} of the proving key holds a number that is not below the group order; make it again"
    )]
    Element { column: usize },
    /// The parts do not fit.
    #[error("the proving key cannot be used; make it again")]
    Unusable(#[from] CircuitError),
    /// A kernel gave no result.
    #[error("a kernel failed; look at the device that it names")]
    Kernel(#[from] KernelFailure),
}

impl ProvingKey {
    /// Writes the key from the start of `out`. `engine` works out the coefficients, a column at a time, unless they would take
    /// more than 4 GiB, or the key was opened from a file without them: then they are left out.
    ///
    /// # Errors
    /// [`ProvingKeyError::File`], [`ProvingKeyError::Kernel`].
    pub fn write<W: Write + Seek>(&self, engine: &Engine, out: W) -> Result<W, ProvingKeyError> {
        let columns = self.fixed.iter().chain(&self.sigma);
        let bytes: usize = columns.map(|column| size_of::<Fr>() * column.len()).sum();
        let with_coefficients = match &self.file {
            Some(_) => self.coefficients.is_some(),
            None => bytes as u64 <= COEFFICIENTS_BYTES_MAX,
        };
        self.write_sections(with_coefficients.then_some(engine), out)
    }

    /// Writes the key without coefficients: the smallest file, with which proofs take more transforms.
    ///
    /// # Errors
    /// [`ProvingKeyError::File`].
    pub fn write_values<W: Write + Seek>(&self, out: W) -> Result<W, ProvingKeyError> {
        self.write_sections(None, out)
    }

    /// Writes the key, with coefficients if there is an engine to work them out.
    fn write_sections<W: Write + Seek>(&self, engine: Option<&Engine>, out: W) -> Result<W, ProvingKeyError> {
        let columns: Vec<&ColumnValues> = self.fixed.iter().chain(&self.sigma).collect();
        let sections = 1 + columns.len() * if engine.is_some() { 2 } else { 1 };
        let mut writer = SectionWriter::new(&PROVING_KEY, out, Vec::new(), sections)?;
        writer.section(FORM_BYTES, [self.vk.to_file_bytes().as_slice()])?;
        for column in &columns {
            match column {
                HostData::Small(values) => writer.section(FORM_SMALL, [&**values])?,
                HostData::Full(values) => writer.section(FORM_FULL, [&**values])?,
            }
        }
        let Some(engine) = engine else { return Ok(writer.finish()?) };
        for (i, values) in columns.into_iter().enumerate() {
            match self.coefficients.as_ref().and_then(|all| all.get(i)) {
                Some(HostData::Full(known)) => writer.section(FORM_FULL, [&**known])?,
                _ => writer.section(FORM_FULL, [interpolate(engine, values)?.as_slice()])?,
            }
        }
        Ok(writer.finish()?)
    }

    /// Opens a key in place. What is read now is the header and the verifying key; columns are read when a proof needs
    /// them. The file must stay as it is until the key and all its clones are dropped.
    ///
    /// That the columns are those that the verifying key commits to is not checked: a prover finds out when its proof
    /// does not verify. [`ProvingKey::check`] finds damage.
    ///
    /// # Errors
    /// [`ProvingKeyError`] says what is wrong.
    pub fn open(path: &Path) -> Result<Self, ProvingKeyError> {
        Self::from_sections(Sections::open(&PROVING_KEY, path)?)
    }

    /// Reads a key into memory, to the end of the input. Otherwise as [`ProvingKey::open`].
    ///
    /// # Errors
    /// [`ProvingKeyError`] says what is wrong. Memory is bounded by a constant times the bytes that are there.
    pub fn read(input: impl Read) -> Result<Self, ProvingKeyError> {
        Self::from_sections(Sections::read(&PROVING_KEY, input)?)
    }

    /// Reads all of the file that the key was opened from and compares its checksums. A key that was not opened has
    /// none, and passes.
    ///
    /// # Errors
    /// [`ProvingKeyError::File`] names the section that is damaged.
    pub fn check(&self) -> Result<(), ProvingKeyError> {
        if let Some(file) = &self.file {
            file.check()?;
        }
        self.check_elements()
    }

    fn from_sections(file: Sections) -> Result<Self, ProvingKeyError> {
        let vk = VerifyingKey::from_file_bytes(file.checked_bytes(0)?)?;
        let (rows, fixed) = (vk.circuit().rows(), vk.circuit().fixed.len());
        let columns = fixed + vk.circuit().copy_columns.len();
        let (expected, got) = (1 + columns, file.count());
        let with_coefficients = got != expected;
        if with_coefficients && got != expected + columns {
            return Err(ProvingKeyError::SectionCount { expected, got });
        }
        // There is one way to write a key.
        if !file.head().is_empty() || file.form(0) != Some(FORM_BYTES) {
            return Err(file.malformed(0, "is not a verifying key".into()).into());
        }
        let column = |section| column(&file, section, rows);
        let mut fixed_columns = (1..=columns).map(column).collect::<Result<Vec<_>, _>>()?;
        let sigma = fixed_columns.split_off(fixed);
        let coefficients = (columns + 1..got).map(|section| match column(section)? {
            values @ HostData::Full(_) => Ok(values),
            HostData::Small(_) => Err(file.malformed(section, "does not hold coefficients".into())),
        });
        let coefficients = coefficients.collect::<Result<Vec<_>, SectionError>>()?;
        let coefficients = with_coefficients.then_some(coefficients);
        Ok(Self { vk, fixed: fixed_columns, sigma, coefficients, file: Some(file) })
    }
}

/// The values of a column, in place.
fn column(file: &Sections, section: usize, rows: usize) -> Result<ColumnValues, SectionError> {
    match file.form(section) {
        Some(FORM_SMALL) => Ok(HostData::Small(file.slice(section, rows)?.into_values())),
        Some(FORM_FULL) => Ok(HostData::Full(file.slice(section, rows)?.into_values())),
        _ => Err(file.malformed(section, "is not a column".into())),
    }
}

/// Coefficients of the polynomial with these values on the rows.
fn interpolate(engine: &Engine, values: &ColumnValues) -> Result<Vec<Fr>, KernelFailure> {
    let mut graph = Graph::new();
    let rows = graph.upload(values.clone());
    let coefficients = graph.interpolate_coset(&[&rows], Fr::one()).swap_remove(0);
    let pending = graph.download(&coefficients, 0, values.len());
    Ok(engine.run(graph)?.scalars(pending).to_vec())
}
