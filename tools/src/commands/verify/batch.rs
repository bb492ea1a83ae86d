//! Many proofs, one pairing check.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::Path;

use kiln_verify::{Arithmetic, BatchError, BatchItem, Statement, VerifyError, VerifyingKey, verify_batch_by};
use serde::Serialize;

use super::{Args, INSECURE, check_model_id, check_range, expect_ceremony, read_key};
use crate::artefact::{self, SMALL_FILE_BYTES_MAX};
use crate::error::Failure;
use crate::hexadecimal;
use crate::meaning::Meaning;
use crate::output::{self, Report};
use crate::public::PublicFile;
use crate::resources::{Snapshot, Used};

/// What was verified together.
#[derive(Debug, Serialize)]
pub struct Batch {
    valid: bool,
    /// The reference string was made locally: its maker could forge proofs.
    insecure: bool,
    /// Names the τ of the reference string.
    fingerprint: String,
    /// The fingerprint was given, not only read from the keys.
    fingerprint_checked: bool,
    /// The id was given, not only read from the public values.
    model_id_checked: bool,
    /// Bits that a weight takes at most, sign included; null if that was not checked.
    weight_bits: Option<u32>,
    proofs: Vec<Item>,
    used: Used,
}

/// One proof of a batch.
#[derive(Debug, Serialize)]
struct Item {
    proof: String,
    model: String,
    model_id: String,
    output: Vec<i64>,
    output_scale: f64,
}

/// One proof, as it was read.
struct Given {
    path: String,
    /// Position of its key.
    key: usize,
    public: PublicFile,
    statement: Statement,
    proof: Vec<u8>,
}

/// Verifies all proofs of the arguments together.
pub fn run(args: &Args) -> Result<Batch, Failure> {
    let start = Snapshot::now();
    let arithmetic = args.arithmetic();
    check_counts(args)?;
    let keys = args.vk.iter().map(|path| read_key(path)).collect::<Result<Vec<_>, _>>()?;
    keys.iter().try_for_each(|(key, _)| expect_ceremony(args, key))?;
    let read = |number| read_one(args, arithmetic.as_ref(), &keys, number);
    let given = (0..args.proof.len()).map(read).collect::<Result<Vec<_>, _>>()?;
    let items: Vec<BatchItem<'_>> = given
        .iter()
        .filter_map(|one| {
            let (key, _) = keys.get(one.key)?;
            Some(BatchItem { key, statement: &one.statement, proof: &one.proof })
        })
        .collect();
    verify_batch_by(arithmetic.as_ref(), &items).map_err(|error| batch_failure(error, &given))?;
    let weight_bits = match &args.range {
        Some(path) => Some(check_ranges(arithmetic.as_ref(), path, &keys, &given)?),
        None => None,
    };
    let insecure = keys.iter().any(|(key, _)| key.is_insecure());
    if insecure {
        output::warn(INSECURE);
    }
    let fingerprint = keys.first().map(|(key, _)| hexadecimal::encode(&key.srs().fingerprint()));
    let proofs = given.into_iter().map(|one| one.report(&keys)).collect();
    Ok(Batch {
        valid: true,
        insecure,
        fingerprint: fingerprint.unwrap_or_default(),
        fingerprint_checked: args.expect_fingerprint.is_some(),
        model_id_checked: args.model_id.is_some(),
        weight_bits,
        proofs,
        used: start.used(),
    })
}

fn check_counts(args: &Args) -> Result<(), Failure> {
    let (proofs, publics, keys) = (args.proof.len(), args.public.len(), args.vk.len());
    if publics != proofs {
        return Err(Failure::Input(format!(
            "{proofs} proofs need {proofs} files of public values, got {publics}; give --public once for each --proof, in the same order"
        )));
    }
    if keys != 1 && keys != proofs {
        return Err(Failure::Input(format!(
            "{proofs} proofs need one verifying key for all or {proofs} in the same order, got {keys}"
        )));
    }
    Ok(())
}

fn read_one(
    args: &Args,
    arithmetic: &dyn Arithmetic,
    keys: &[(VerifyingKey, Meaning)],
    number: usize,
) -> Result<Given, Failure> {
    let missing = || Failure::Input(format!("proof {number} lacks its key or its public values"));
    let key = if keys.len() == 1 { 0 } else { number };
    let (vk, meaning) = keys.get(key).ok_or_else(missing)?;
    let path = args.proof.get(number).ok_or_else(missing)?;
    let public = PublicFile::read(args.public.get(number).ok_or_else(missing)?)?;
    let proof = artefact::read("read the proof", path, SMALL_FILE_BYTES_MAX)?;
    if let Some(expected) = &args.model_id {
        check_model_id(expected, &public.model.id)?;
    }
    let statement = public.statement(arithmetic, vk, meaning)?;
    Ok(Given { path: path.display().to_string(), key, public, statement, proof })
}

/// Checks the range proof against the models of the batch, which have to be one.
fn check_ranges(
    arithmetic: &dyn Arithmetic,
    path: &Path,
    keys: &[(VerifyingKey, Meaning)],
    given: &[Given],
) -> Result<u32, Failure> {
    let mut bits = BTreeMap::new();
    for one in given {
        if let (Entry::Vacant(entry), Some((key, _))) = (bits.entry(&one.public.model.id), keys.get(one.key))
        {
            entry.insert(check_range(arithmetic, path, key, &one.public)?);
        }
    }
    Ok(bits.into_values().max().unwrap_or(0))
}

fn batch_failure(error: BatchError, given: &[Given]) -> Failure {
    let name = |index: &usize| given.get(*index).map_or("?", |one| one.path.as_str()).to_owned();
    match error {
        BatchError::False { indices } => {
            let names = indices.iter().map(name).collect::<Vec<_>>().join(", ");
            let (false_ones, all) = (indices.len(), given.len());
            Failure::Invalid(format!("{false_ones} of {all} proofs are false: {names}; the others hold"))
        }
        BatchError::Item { index, source: error @ VerifyError::Rejected(_) } => {
            Failure::Invalid(format!("{}: {error}", name(&index)))
        }
        BatchError::Item { index, source } => Failure::file("check", Path::new(&name(&index)), source),
        other => Failure::refused("check the batch", other),
    }
}

impl Given {
    fn report(self, keys: &[(VerifyingKey, Meaning)]) -> Item {
        Item {
            proof: self.path,
            model: keys.get(self.key).map(|(_, meaning)| meaning.model.clone()).unwrap_or_default(),
            model_id: self.public.model.id,
            output: self.public.output.values,
            output_scale: self.public.output.scale,
        }
    }
}

impl Report for Batch {
    const SCHEMA: &'static str = "kiln.verify.batch/1";
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = if self.insecure { "VALID, on an INSECURE reference string" } else { "VALID" };
        writeln!(f, "{standing}: all {} proofs", self.proofs.len())?;
        for item in &self.proofs {
            writeln!(f, "  {}", item.proof)?;
            writeln!(f, "    model    {:?}, {}", item.model, item.model_id)?;
            writeln!(f, "    output   {:?} × {}", item.output, item.output_scale)?;
        }
        if !self.model_id_checked {
            writeln!(f, "  model ids are as claimed; compare them, or give --model-id")?;
        }
        if !self.insecure {
            let checked = if self.fingerprint_checked {
                "as expected"
            } else {
                "compare it, or give --expect-fingerprint"
            };
            writeln!(f, "  ceremony   {} ({checked})", self.fingerprint)?;
        }
        match self.weight_bits {
            Some(bits) => writeln!(f, "  range      every weight is an integer of at most {bits} bits")?,
            None => writeln!(
                f,
                "  range      that hidden weights are small integers is taken on promise; see --range"
            )?,
        }
        write!(f, "  verified   in {}, measured", output::seconds(self.used.wall_s))
    }
}
