//! What a proof of a compiled model speaks about: shapes, scales, and who sees what.
//!
//! The text of this travels inside the verifying key, whose digest every proof is bound to. So a proof cannot be read
//! with other scales than those that it was made with.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Source;

/// Version of this text.
pub const SCHEMA: &str = "kiln.meaning/1";

/// Who sees the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum InputVisibility {
    /// The verifier sees the (quantised) record
    Public,
    /// Nobody but the prover sees it
    Private,
    /// The verifier sees a hiding commitment to it; see `kiln prove --input-commitment`
    Committed,
    /// Each input of several has its own
    #[value(skip)]
    Several,
}

/// Who sees the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WeightVisibility {
    /// The model commitment has no blinding: whoever has the model can recompute it
    Public,
    /// The model commitment hides the weights, for ever
    Hidden,
}

/// A tensor at the boundary of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Dimensions, without the batch.
    pub shape: Vec<usize>,
    /// float = integer · scale
    pub scale: f64,
}

/// One input of several, of which each has its own visibility.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in the ONNX file.
    pub name: String,
    /// Who sees it.
    pub visibility: InputVisibility,
    /// What it is.
    pub port: Port,
}

/// What the public values of a proof mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// [`SCHEMA`]
    pub schema: String,
    /// What the model is called.
    pub model: String,
    /// Who sees the weights.
    pub weights: WeightVisibility,
    /// Who sees the record.
    pub input_visibility: InputVisibility,
    /// The record; several inputs one after the other.
    pub input: Port,
    /// Where inputs differ in who sees them, each of them, in the record's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// The answer.
    pub output: Port,
}

impl Meaning {
    /// As text, for the verifying key.
    pub fn to_text(&self) -> String {
        // Plain data with finite numbers: it always has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the text in a verifying key.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_text(text: &str) -> Result<Self, Source> {
        let meaning: Self = serde_json::from_str(text)
            .map_err(|e| format!("what it says of input and output cannot be read: {e}"))?;
        if meaning.schema != SCHEMA {
            return Err(
                format!("it is of version {:?}, this program knows {SCHEMA:?}", meaning.schema).into()
            );
        }
        for port in
            [&meaning.input, &meaning.output].into_iter().chain(meaning.inputs.iter().map(|i| &i.port))
        {
            if port.elements().is_none() || !port.scale.is_finite() || port.scale <= 0.0 {
                return Err("a shape or scale in it makes no sense".into());
            }
        }
        let several = meaning.input_visibility == InputVisibility::Several;
        let nested = meaning.inputs.iter().any(|input| input.visibility == InputVisibility::Several);
        let mut lens = meaning.inputs.iter().map(|input| input.port.elements());
        let total = lens.try_fold(0usize, |total, len| total.checked_add(len?));
        if several == meaning.inputs.is_empty() || nested || (several && total != meaning.input.elements()) {
            return Err("what it says of the inputs makes no sense".into());
        }
        Ok(meaning)
    }

    /// Whether the public values hold a commitment to inputs.
    pub fn commits(&self) -> bool {
        let committed = |visibility| visibility == InputVisibility::Committed;
        committed(self.input_visibility) || self.inputs.iter().any(|input| committed(input.visibility))
    }
}

/// Who sees the record, in words.
pub fn seen(visibility: InputVisibility, inputs: &[Input]) -> String {
    let each = inputs.iter().map(|input| format!("{:?} {}", input.name, input.visibility));
    if inputs.is_empty() { visibility.to_string() } else { each.collect::<Vec<_>>().join(", ") }
}

impl Port {
    /// A tensor of that shape. The scale is stated to nine significant digits: these survive text to the last bit,
    /// whichever parser reads it.
    pub fn new(shape: Vec<usize>, scale: f64) -> Self {
        Self { shape, scale: format!("{scale:.8e}").parse().unwrap_or(scale) }
    }

    /// How many values the tensor has; none if that overflows.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size))
    }

    /// Integers as the numbers that they stand for.
    #[expect(
        clippy::as_conversions,
        reason = "outputs of a model are far below 2^53, and a float is shown rounded"
    )]
    pub fn values(&self, integers: &[i64]) -> Vec<f64> {
        integers.iter().map(|integer| *integer as f64 * self.scale).collect()
    }
}

impl fmt::Display for InputVisibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Committed => "committed",
            Self::Several => "several",
        })
    }
}

impl fmt::Display for WeightVisibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Hidden => "hidden",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning() -> Meaning {
        Meaning {
            schema: SCHEMA.into(),
            model: "m".into(),
            weights: WeightVisibility::Hidden,
            input_visibility: InputVisibility::Private,
            input: Port::new(vec![1, 8, 8], 0.1),
            inputs: Vec::new(),
            output: Port::new(vec![10], 1.0 / 3.0e5),
        }
    }

    #[test]
    fn the_text_says_it_all_and_scales_survive_to_the_last_bit() {
        assert_eq!(Meaning::from_text(&meaning().to_text()).unwrap(), meaning());
    }

    #[test]
    fn stated_scales_survive_text_to_the_last_bit() {
        let mut scale = 1e-12;
        while scale < 1e12 {
            let stated = Port::new(vec![1], scale).scale;
            assert!((stated / scale - 1.0).abs() < 1e-8);
            let text = serde_json::to_string(&stated).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap(), stated, "{text}");
            scale *= 1.37;
        }
    }

    #[test]
    fn other_versions_unknown_fields_and_senseless_numbers_are_refused() {
        let text = meaning().to_text();
        for (from, to) in [
            ("kiln.meaning/1", "kiln.meaning/2"),
            ("\"model\"", "\"extra\":1,\"model\""),
            ("0.1", "-0.1"),
            ("[10]", "[4294967296,4294967296]"),
            ("hidden", "visible"),
        ] {
            assert!(text.contains(from));
            assert!(Meaning::from_text(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    #[test]
    fn inputs_that_differ_are_all_there_is_and_nothing_else() {
        let input = |name: &str, visibility, size| Input {
            name: name.into(),
            visibility,
            port: Port::new(vec![size], 0.5),
        };
        let several = |inputs| Meaning { input_visibility: InputVisibility::Several, inputs, ..meaning() };
        let (public, private) = (InputVisibility::Public, InputVisibility::Private);
        let read = |meaning: &Meaning| Meaning::from_text(&meaning.to_text());
        let good = several(vec![input("amount", public, 4), input("rest", private, 60)]);
        assert_eq!(read(&good).unwrap(), good);
        for bad in [
            several(Vec::new()),
            several(vec![input("amount", public, 4), input("rest", private, 59)]),
            several(vec![input("amount", public, 4), input("rest", InputVisibility::Several, 60)]),
            several(vec![input("amount", public, usize::MAX), input("rest", private, 65)]),
            Meaning { input_visibility: private, ..good.clone() },
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
    }
}
