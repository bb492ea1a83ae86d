//! Choices of quantisation on the command line, the same for every command that quantises.

use std::collections::{BTreeMap, BTreeSet};

use kiln_circuits::lower::Predicted;
use kiln_circuits::{
    Calibration, FloatModel, IntGraph, LowerError, PerToken, QuantiseOptions, QuantiseReport, Tolerance,
    WeightValues, quantise, quantise_mixed,
};

use crate::error::Failure;
use crate::fidelity::exactness;
use crate::mixed::MixedSearch;
use crate::progress::Progress;

/// Bits of activations, tables and shifts.
#[derive(Clone, Debug, clap::Args)]
pub struct QuantiseArgs {
    /// Bits of an activation, with its sign, 2 to 16. `8,conv1=6,fc=10` gives layers other bits than the rest, by their names in
    /// --layers or --json. `mixed`, or `mixed:ERROR`, searches for the widths of 4 to 16 bits, layer by layer, of the least predicted
    /// cost of proving at which the outputs' relative error on the calibration records is at most ERROR (0.025 if it is left out) and 99.5
    /// % of them keep their largest output; what it went through is printed, with the flags that give the result again
    #[arg(long, value_name = "BITS", default_value = "8", value_parser = parse_activation_bits)]
    activation_bits: ActivationBits,
    /// Products with weights that read every token (row) at a scale of its own, which is proven and not calibrated: `all` of two rows or more,
    /// or layers by their names, such as fc1,fc2. A token's elements then have the bits of --activation-bits, and the tensors that such a
    /// product reads or makes (with `all` every tensor) six more, at most 16, where --activation-bits does not name their layers
    #[arg(long, value_name = "LAYERS", value_parser = parse_per_token)]
    per_token: Option<PerToken>,
    /// How far each tensor's integers reach: `min-max`, as far as any calibration record goes; `percentile:P`, as far as P percent of its
    /// magnitudes go, such as percentile:99.9; `mse`, where the mean squared error of rounding and clamping is least. What is
    /// beyond is clamped. One outlier makes min-max coarse for all the rest; the others cut it off
    #[arg(long, value_name = "HOW", default_value = "min-max", value_parser = parse_calibration)]
    calibrate: Calibration,
    /// Bits that requantisation drops; searched where this and the next are left out
    #[arg(long, value_name = "BITS")]
    shift: Option<u32>,
    /// Range of the tables in bits, up to 24
    #[arg(long, value_name = "BITS")]
    table_bits: Option<u32>,
    /// Count on sums of at most so many times what calibration saw, and refuse other records; without it, on the worst case
    #[arg(long, value_name = "TIMES")]
    margin: Option<f64>,
}

/// Widths of activations.
#[derive(Clone, Debug, PartialEq)]
enum ActivationBits {
    /// One for all layers, but for some by their names.
    Given { bits: u32, layers: BTreeMap<String, u32> },
    /// Searched for.
    Mixed(Tolerance),
}

/// How a model becomes integers.
#[derive(Clone, Debug, Default)]
pub struct Quantisation {
    /// The choices.
    pub options: QuantiseOptions,
    /// Widths are searched for, within this.
    pub mixed: Option<Tolerance>,
}

/// An integer model, and the search for its widths if there was one.
pub struct Quantised {
    /// The graph.
    pub graph: IntGraph,
    /// The weights.
    pub weights: WeightValues,
    /// What became of each layer.
    pub report: QuantiseReport,
    /// The search.
    pub mixed: Option<MixedSearch>,
}

impl Quantisation {
    /// Quantises. `predict` predicts what proving a graph takes, for a search.
    pub fn quantise(
        &self,
        model: &FloatModel,
        calibration: &[Vec<f32>],
        predict: &mut dyn FnMut(&IntGraph) -> Result<Predicted, LowerError>,
        progress: &Progress,
    ) -> Result<Quantised, Failure> {
        let refused = |e| Failure::refused("quantise the model", e);
        let made = progress.phase("quantise", || match self.mixed {
            None => {
                let (graph, weights, report) = quantise(model, calibration, &self.options).map_err(refused)?;
                Ok(Quantised { graph, weights, report, mixed: None })
            }
            Some(tolerance) => {
                let mut shown = |step: &kiln_circuits::MixedStep, runs: usize| {
                    progress.message(&format!(
                        "quantise: {runs} integer models tried, now at {} table entries and an error of {:.2} %",
                        step.table_entries,
                        100.0 * step.relative_error
                    ));
                };
                let made =
                    quantise_mixed(model, calibration, &self.options, tolerance, predict, &mut shown);
                let ((graph, weights, report), search) = made.map_err(refused)?;
                Ok(Quantised { graph, weights, report, mixed: Some(search.into()) })
            }
        })?;
        let layers = made.report.nodes.iter();
        let layers = layers.filter_map(|node| Some((node.name.as_str(), node.bit_exact?)));
        if let Some(told) = exactness(layers) {
            crate::output::note(told);
        }
        Ok(made)
    }
}

impl QuantiseArgs {
    /// What they say.
    pub fn quantisation(&self) -> Quantisation {
        let (bits, layers, mixed) = match &self.activation_bits {
            ActivationBits::Given { bits, layers } => (*bits, layers.clone(), None),
            ActivationBits::Mixed(tolerance) => {
                (QuantiseOptions::default().activation_bits, BTreeMap::new(), Some(*tolerance))
            }
        };
        let options = QuantiseOptions {
            activation_bits: bits,
            layer_bits: layers,
            per_token: self.per_token.clone().unwrap_or_default(),
            calibration: self.calibrate,
            shift: self.shift,
            q_bits: self.table_bits,
            q_bits_max: self.table_bits.unwrap_or(16),
            margin: self.margin,
            ..QuantiseOptions::default()
        };
        Quantisation { options, mixed }
    }
}

/// A number, layers with numbers, or a search. A name may contain what separates: what follows its last `=` is its number, and a part
/// without one belongs to the next.
fn parse_activation_bits(text: &str) -> Result<ActivationBits, String> {
    let refused = || {
        "expected a number from 2 to 16, layers with such numbers after it (8,conv1=6), or mixed, or mixed: and an error such as mixed:0.05".to_owned()
    };
    if let Some(tolerance) = parse_mixed(text) {
        return tolerance.map(ActivationBits::Mixed).ok_or_else(refused);
    }
    let number = |text: &str| text.parse().ok().filter(|bits| (2..=16).contains(bits)).ok_or_else(refused);
    let (mut bits, mut layers, mut name) = (None, BTreeMap::new(), String::new());
    for part in text.split(',') {
        match part.rsplit_once('=') {
            None if bits.is_none() && layers.is_empty() && name.is_empty() && number(part).is_ok() => {
                bits = Some(number(part)?);
            }
            None => name = name + part + ",",
            Some((last, of_layer)) => {
                layers.insert(std::mem::take(&mut name) + last, number(of_layer)?);
            }
        }
    }
    if !name.is_empty() {
        return Err(refused());
    }
    Ok(ActivationBits::Given { bits: bits.unwrap_or(QuantiseOptions::default().activation_bits), layers })
}

/// `all`, or names.
fn parse_per_token(text: &str) -> Result<PerToken, String> {
    let names: BTreeSet<String> = text.split(',').map(str::to_owned).collect();
    match text {
        "all" => Ok(PerToken::All),
        _ if names.contains("") => {
            Err("expected all, or names of layers with commas between, such as fc1,fc2".into())
        }
        _ => Ok(PerToken::Layers(names)),
    }
}

/// Whether a search is asked for, and the tolerance if it is one.
fn parse_mixed(text: &str) -> Option<Option<Tolerance>> {
    let error = match text.split_once(':') {
        None if text == "mixed" => return Some(Some(Tolerance::default())),
        Some(("mixed", error)) => error,
        _ => return None,
    };
    let error = error.parse::<f64>().ok().filter(|error| *error > 0.0 && *error < 1.0);
    Some(error.map(|relative_error_max| Tolerance { relative_error_max, ..Tolerance::default() }))
}

fn parse_calibration(text: &str) -> Result<Calibration, String> {
    match text.split_once(':') {
        None if text == "min-max" => return Ok(Calibration::MinMax),
        None if text == "mse" => return Ok(Calibration::Mse),
        Some(("percentile", percent)) => {
            if let Some(percent) = percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent)) {
                return Ok(Calibration::Percentile(percent));
            }
        }
        _ => {}
    }
    Err("expected min-max, mse, or percentile: and a number from 0 to 100, such as percentile:99.9".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_read_with_any_name_and_nothing_else() {
        let given = |bits, layers: &[(&str, u32)]| {
            let layers = layers.iter().map(|(name, bits)| ((*name).to_owned(), *bits)).collect();
            Ok(ActivationBits::Given { bits, layers })
        };
        assert_eq!(parse_activation_bits("12"), given(12, &[]));
        assert_eq!(parse_activation_bits("9,/a/Conv=6,b=10"), given(9, &[("/a/Conv", 6), ("b", 10)]));
        assert_eq!(parse_activation_bits("b=10"), given(8, &[("b", 10)]));
        assert_eq!(parse_activation_bits("9,a,b=c=4,7=5"), given(9, &[("a,b=c", 4), ("7", 5)]));
        assert_eq!(parse_activation_bits("mixed"), Ok(ActivationBits::Mixed(Tolerance::default())));
        let Ok(ActivationBits::Mixed(tolerance)) = parse_activation_bits("mixed:0.05") else { panic!() };
        assert_eq!(tolerance.relative_error_max, 0.05);
        for text in
            ["", "1", "17", "8,a", "a", "a=", "a=17", "8,a=x", "mixed:", "mixed:0", "mixed:2", "mixed:NaN"]
        {
            assert!(parse_activation_bits(text).is_err(), "{text}");
        }
    }

    #[test]
    fn layers_with_tokens_are_all_or_named() {
        let named = |names: &[&str]| Ok(PerToken::Layers(names.iter().map(|name| (*name).into()).collect()));
        assert_eq!(parse_per_token("all"), Ok(PerToken::All));
        assert_eq!(parse_per_token("/a/MatMul,b"), named(&["/a/MatMul", "b"]));
        for text in ["", ",", "a,", "a,,b"] {
            assert!(parse_per_token(text).is_err(), "{text}");
        }
    }

    #[test]
    fn calibrations_are_read_and_nothing_else() {
        assert_eq!(parse_calibration("min-max"), Ok(Calibration::MinMax));
        assert_eq!(parse_calibration("mse"), Ok(Calibration::Mse));
        assert_eq!(parse_calibration("percentile:99.9"), Ok(Calibration::Percentile(99.9)));
        for text in ["", "max", "percentile", "percentile:", "percentile:101", "percentile:NaN", "mse:1"] {
            assert!(parse_calibration(text).is_err(), "{text}");
        }
    }
}
