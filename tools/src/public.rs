//! The public file: everything that a proof speaks about, and nothing that it hides.
//!
//! A verifier reads it as hostile text. It must be, up to white space, exactly what Kiln writes: every field known,
//! every number and every digit in the one form that it has. So a file in which anything was changed is either refused
//! here, or says something else, which the proof then does not show.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::path::Path;

use ark_bn254::{Fr, G1Affine};
use kiln_verify::encoding::{WORD_BYTES, g1_to_bytes, g1s_from_bytes};
use kiln_verify::{Arithmetic, CommittedPublic, Statement, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::artefact::{self, SMALL_FILE_BYTES_MAX};
use crate::error::{Failure, Source};
use crate::hexadecimal;
use crate::meaning::{Input, InputVisibility, Meaning, Port};

/// Version of the public file.
pub const SCHEMA: &str = "kiln.public/1";
/// Name of the group of columns that holds the weights.
pub const MODEL_GROUP: &str = "model";
/// Name of the group of columns that holds a committed record.
pub const INPUT_GROUP: &str = "input";

/// The public file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicFile {
    /// [`SCHEMA`]
    pub schema: String,
    /// Digest of the verifying key that checks the proof.
    pub verifying_key: String,
    /// The reference string that everything rests on.
    pub srs: SrsName,
    /// The model commitment.
    pub model: Commitment,
    /// The record.
    pub input: PublicInput,
    /// The answer.
    pub output: PublicTensor,
}

/// Which reference string.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SrsName {
    /// Its id.
    pub id: String,
    /// Made locally: its maker could forge proofs.
    pub insecure: bool,
}

/// Committed columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// Keccak-256 over the commitments.
    pub id: String,
    /// Compressed points, one per column.
    pub commitments: Vec<String>,
}

/// What is said of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "visibility", rename_all = "lowercase")]
pub enum PublicInput {
    /// All of it.
    Public(PublicTensor),
    /// Nothing.
    Private {},
    /// A commitment.
    Committed(Commitment),
    /// Of several inputs, each has its own visibility; of private ones nothing is said.
    Several {
        /// The public ones, in the record's order.
        public: Vec<NamedTensor>,
        /// The one commitment to all that are committed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commitment: Option<Commitment>,
    },
}

/// One input of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedTensor {
    /// Its name in the ONNX file.
    pub name: String,
    /// Its integers.
    pub tensor: PublicTensor,
}

/// Integers and what they stand for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicTensor {
    /// Dimensions, without the batch.
    pub shape: Vec<usize>,
    /// float = integer · scale
    pub scale: f64,
    /// Row-major.
    pub values: Vec<i64>,
}

impl PublicTensor {
    /// Integers seen through a port.
    pub fn new(port: &Port, values: Vec<i64>) -> Self {
        Self { shape: port.shape.clone(), scale: port.scale, values }
    }

    /// True if it is a tensor of that port.
    fn fits(&self, port: &Port) -> bool {
        self.shape == port.shape && self.scale == port.scale && port.elements() == Some(self.values.len())
    }
}

impl Commitment {
    /// What is public of a committed group.
    pub fn new(group: &CommittedPublic) -> Self {
        Self {
            id: hexadecimal::encode(&group.id()),
            commitments: group
                .commitments
                .iter()
                .map(|point| hexadecimal::encode(&g1_to_bytes(point)))
                .collect(),
        }
    }

    /// Back to the points. The id must be that of the points.
    pub fn group(&self, arithmetic: &dyn Arithmetic, name: &str) -> Result<CommittedPublic, Failure> {
        let commitments = points(arithmetic, &self.commitments)?;
        let group = CommittedPublic { name: name.to_owned(), commitments };
        if hexadecimal::encode(&group.id()) != self.id {
            return Err(Failure::Invalid(format!(
                "the {name} id is not that of the {name} commitments beside it"
            )));
        }
        Ok(group)
    }
}

fn points(arithmetic: &dyn Arithmetic, texts: &[String]) -> Result<Vec<G1Affine>, Failure> {
    const ACTION: &str = "read a commitment in the public file";
    let word = |text: &String| {
        hexadecimal::decode(text)
            .ok_or_else(|| Failure::refused(ACTION, "it is not 64 lower-case hexadecimal digits"))
    };
    let words = texts.iter().map(word).collect::<Result<Vec<[u8; WORD_BYTES]>, _>>()?;
    let points = g1s_from_bytes(arithmetic, words.iter());
    points.into_iter().map(|point| point.map_err(|e| Failure::refused(ACTION, e))).collect()
}

impl PublicFile {
    /// What is public of a proof with this key.
    pub fn new(
        key: &VerifyingKey,
        meaning: &Meaning,
        model: Commitment,
        input: PublicInput,
        output: Vec<i64>,
    ) -> Self {
        Self {
            schema: SCHEMA.into(),
            verifying_key: hexadecimal::encode(&key.digest()),
            srs: SrsName { id: hexadecimal::encode(&key.srs().id), insecure: key.is_insecure() },
            model,
            input,
            output: PublicTensor::new(&meaning.output, output),
        }
    }

    /// As text.
    pub fn to_text(&self) -> String {
        // Plain data with finite numbers: it always has a JSON form.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// Reads a public file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        const ACTION: &str = "read the public values";
        let bytes = artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?;
        let text = std::str::from_utf8(&bytes).map_err(|e| Failure::file(ACTION, path, e))?;
        Self::from_text(text).map_err(|source| Failure::file(ACTION, path, source))
    }

    /// Reads the text of a public file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_text(text: &str) -> Result<Self, Source> {
        let file: Self = serde_json::from_str(text)?;
        if file.schema != SCHEMA {
            return Err(format!("its version is {:?}, this program knows {SCHEMA:?}", file.schema).into());
        }
        if !without_white_space(text).eq(without_white_space(&file.to_text())) {
            return Err("it is not in the form that kiln writes; ask for an intact copy".into());
        }
        Ok(file)
    }

    /// Checks that these values are of a proof with this key, and puts the statement together.
    pub fn statement(
        &self,
        arithmetic: &dyn Arithmetic,
        key: &VerifyingKey,
        meaning: &Meaning,
    ) -> Result<Statement, Failure> {
        self.check_key(key)?;
        if !self.output.fits(&meaning.output) {
            return Err(mismatch("output's shape or scale"));
        }
        let model = self.model.group(arithmetic, MODEL_GROUP)?;
        // A model without weights has an empty commitment, and its circuit no such group.
        let mut committed = if model.commitments.is_empty() { Vec::new() } else { vec![model] };
        let mut public_inputs = Vec::new();
        match (&self.input, meaning.input_visibility) {
            (PublicInput::Private {}, InputVisibility::Private) => {}
            (PublicInput::Public(tensor), InputVisibility::Public) => {
                if !tensor.fits(&meaning.input) {
                    return Err(mismatch("input's shape or scale"));
                }
                public_inputs.extend(field_elements(&tensor.values));
            }
            (PublicInput::Committed(commitment), InputVisibility::Committed) => {
                committed.push(commitment.group(arithmetic, INPUT_GROUP)?);
            }
            (PublicInput::Several { public, commitment }, InputVisibility::Several) => {
                public_inputs.extend(public_parts(public, meaning)?);
                match commitment {
                    Some(commitment) if meaning.commits() => {
                        committed.push(commitment.group(arithmetic, INPUT_GROUP)?)
                    }
                    None if !meaning.commits() => {}
                    _ => return Err(mismatch("input's visibility")),
                }
            }
            _ => return Err(mismatch("input's visibility")),
        }
        public_inputs.extend(field_elements(&self.output.values));
        Ok(Statement { public_inputs, committed })
    }

    fn check_key(&self, key: &VerifyingKey) -> Result<(), Failure> {
        if self.verifying_key != hexadecimal::encode(&key.digest()) {
            return Err(mismatch("verifying key"));
        }
        if self.srs.id != hexadecimal::encode(&key.srs().id) {
            return Err(mismatch("reference string"));
        }
        if self.srs.insecure != key.is_insecure() {
            return Err(mismatch("reference string's security"));
        }
        Ok(())
    }
}

/// The values of public inputs, if they are those that the meaning names.
fn public_parts(public: &[NamedTensor], meaning: &Meaning) -> Result<Vec<Fr>, Failure> {
    let expected = meaning.inputs.iter().filter(|input| input.visibility == InputVisibility::Public);
    let expected = expected.collect::<Vec<_>>();
    let named =
        |(part, input): (&NamedTensor, &&Input)| part.name == input.name && part.tensor.fits(&input.port);
    if public.len() != expected.len() || !public.iter().zip(&expected).all(named) {
        return Err(mismatch("public input, shape or scale"));
    }
    Ok(public.iter().flat_map(|part| field_elements(&part.tensor.values)).collect())
}

fn mismatch(what: &str) -> Failure {
    Failure::Invalid(format!("the public values name another {what} than the verifying key has"))
}

fn field_elements(integers: &[i64]) -> impl Iterator<Item = Fr> {
    integers.iter().map(|integer| Fr::from(*integer))
}

fn without_white_space(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> PublicFile {
        PublicFile {
            schema: SCHEMA.into(),
            verifying_key: "0a".repeat(32),
            srs: SrsName { id: "1b".repeat(32), insecure: true },
            model: Commitment { id: "2c".repeat(32), commitments: vec!["3d".repeat(32)] },
            input: PublicInput::Private {},
            output: PublicTensor { shape: vec![2], scale: 1.5e-7, values: vec![-3, 40] },
        }
    }

    #[test]
    fn every_kind_of_input_survives_the_round_trip() {
        let tensor = PublicTensor { shape: vec![1, 2], scale: 0.1, values: vec![0, -128] };
        let commitment = Commitment { id: "4e".repeat(32), commitments: vec![] };
        let named = NamedTensor { name: "amount".into(), tensor: tensor.clone() };
        for input in [
            PublicInput::Private {},
            PublicInput::Public(tensor),
            PublicInput::Committed(commitment.clone()),
            PublicInput::Several { public: vec![named], commitment: None },
            PublicInput::Several { public: Vec::new(), commitment: Some(commitment) },
        ] {
            let file = PublicFile { input, ..file() };
            assert_eq!(PublicFile::from_text(&file.to_text()).unwrap(), file);
        }
    }

    #[test]
    fn white_space_is_free() {
        let text = file().to_text();
        assert_eq!(PublicFile::from_text(&text.replace('\n', "").replace("  ", "\t")).unwrap(), file());
    }

    #[test]
    fn a_flipped_bit_is_refused_or_says_something_else() {
        let text = file().to_text();
        for position in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let Ok(read) = PublicFile::from_text(&changed) else { continue };
                assert_ne!(read, file(), "byte {position}, bit {bit}");
            }
        }
    }
}
