//! How far the integer model is from the float model, layer by layer, beside what each layer costs to prove.

use std::fmt;

use kiln_circuits::{Accuracy, LayerError, PlanReport};
use serde::Serialize;

use crate::output;

/// How many of the dearest layers are named.
const DEAREST: usize = 3;

/// Which records were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredOn {
    /// Those that set the scales.
    Calibration,
    /// Labelled ones.
    HeldOut,
    /// Those that were given to run.
    Inputs,
}

/// The integer model beside the float model.
#[derive(Clone, Debug, Serialize)]
pub struct Fidelity {
    /// Which records were compared.
    pub measured_on: MeasuredOn,
    /// How many.
    pub records: usize,
    /// Of these, how many have the same largest output in both models.
    pub same_largest: usize,
    /// Mean cosine between the outputs.
    pub cosine: f64,
    /// The least of them.
    pub cosine_min: f64,
    /// Root mean square error of the outputs over their root mean square.
    pub relative_error: f64,
    /// Largest error of an output.
    pub error_max: f64,
    /// Layer by layer, in the order in which they are computed.
    pub layers: Vec<Layer>,
}

/// A layer: a node of the float model and the integer nodes that it became.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Its name in the ONNX file.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// Bits of its activations; none where it has no width of its own.
    pub activation_bits: Option<u32>,
    /// Of a layer that reads every token at a scale of its own, the bits of a token's elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_bits: Option<u32>,
    /// Of a layer whose integers the model itself asks for, whether they are what a runtime computes, bit for bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_exact: Option<bool>,
    /// Root mean square error over the root mean square of the float layer; none where the float model has no such tensor.
    pub relative_error: Option<f64>,
    /// Largest error, in the float layer's units.
    pub error_max: Option<f64>,
    /// Share of the float layer's elements that are beyond the integers of this layer.
    pub clamped: Option<f64>,
    /// Committed cells; none where no circuit was laid out.
    pub cells: Option<usize>,
    /// The circuit's predicted time of one thread, by the layer's share of the cells \[ms\].
    pub predicted_ms: Option<f64>,
}

impl Fidelity {
    /// From what was measured, and the circuit if there is one.
    pub fn new(
        measured_on: MeasuredOn,
        accuracy: &Accuracy,
        errors: &[LayerError],
        plan: Option<&PlanReport>,
    ) -> Self {
        let comparison = &accuracy.comparison;
        Self {
            measured_on,
            records: comparison.records,
            same_largest: comparison.agreeing,
            cosine: comparison.cosine(),
            cosine_min: comparison.cosine_min.unwrap_or(1.0),
            relative_error: comparison.relative_error(),
            error_max: comparison.error_max,
            layers: errors.iter().map(|error| Layer::new(error, plan)).collect(),
        }
    }

    /// The layers that take most cells, with their shares of all, dearest first.
    fn dearest(&self) -> Vec<(&Layer, f64)> {
        let all: usize = self.layers.iter().filter_map(|layer| layer.cells).sum();
        let mut layers: Vec<_> = self.layers.iter().filter(|layer| layer.cells > Some(0)).collect();
        layers.sort_by_key(|layer| std::cmp::Reverse(layer.cells));
        let share = |layer: &Layer| layer.cells.unwrap_or(0) as f64 / all.max(1) as f64;
        layers.into_iter().take(DEAREST).map(|layer| (layer, share(layer))).collect()
    }
}

impl Layer {
    fn new(error: &LayerError, plan: Option<&PlanReport>) -> Self {
        let cells = |plan: &PlanReport| {
            let nodes = plan.layers.get(error.nodes.clone()).unwrap_or_default();
            nodes.iter().map(|node| node.cells).sum::<usize>()
        };
        let compared = error.elements > 0;
        let predicted = |plan: &PlanReport| {
            let all: usize = plan.layers.iter().map(|node| node.cells).sum();
            plan.predicted_ms * cells(plan) as f64 / all.max(1) as f64
        };
        Self {
            name: error.name.clone(),
            operator: error.operator.clone(),
            activation_bits: error.activation_bits,
            token_bits: error.token_bits,
            bit_exact: error.bit_exact,
            relative_error: error.relative_error(),
            error_max: compared.then_some(error.error_max),
            clamped: compared.then(|| error.clamped as f64 / error.elements as f64),
            cells: plan.map(cells),
            predicted_ms: plan.map(predicted),
        }
    }
}

impl fmt::Display for MeasuredOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calibration => "calibration",
            Self::HeldOut => "held-out",
            Self::Inputs => "given",
        })
    }
}

/// One line.
impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measured_on, records, same_largest, cosine, cosine_min, relative_error, .. } = self;
        write!(
            f,
            "largest output the same in {same_largest} of {records} {measured_on} records, cosine {cosine:.6} (least {cosine_min:.6}), error {:.2} %",
            100.0 * relative_error
        )
    }
}

/// Of a model that is quantised already, how many of its layers are what a runtime computes in integers: each layer that it quantises by its name, and whether
/// it is. None of other models.
pub fn exactness<'a>(layers: impl Iterator<Item = (&'a str, bool)>) -> Option<String> {
    let (exact, other): (Vec<_>, Vec<_>) = layers.partition(|(_, exact)| *exact);
    let (all, layers) = (exact.len() + other.len(), "layers that the model quantises");
    match other.as_slice() {
        [] if exact.is_empty() => None,
        [] => Some(format!("all of the {all} {layers} are bit exact")),
        [(first, _), rest @ ..] => {
            let others = if rest.is_empty() { "" } else { " and others (bit_exact in --json)" };
            let exact = exact.len();
            Some(format!(
                "{exact} of the {all} {layers} are bit exact; \"{first}\"{others} may differ by one"
            ))
        }
    }
}

/// All layers, a line each.
pub struct Table<'a>(pub &'a Fidelity);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent =
            |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.2} %", 100.0 * share));
        writeln!(
            f,
            "  {:>4} {:>9} {:>11} {:>9} {:>10} {:>10}  layer",
            "bits", "error", "largest", "clamped", "cells", "predicted"
        )?;
        for layer in &self.0.layers {
            writeln!(
                f,
                "  {:>4} {:>9} {:>11} {:>9} {:>10} {:>10}  {} \"{}\"{}",
                layer.activation_bits.map_or("-".into(), |bits| bits.to_string()),
                percent(layer.relative_error),
                layer.error_max.map_or("-".into(), |error| format!("{error:.3e}")),
                percent(layer.clamped),
                layer.cells.map_or("-".into(), |cells| cells.to_string()),
                layer.predicted_ms.map_or("-".into(), |ms| output::seconds(ms * 1e-3)),
                layer.operator,
                layer.name,
                layer.token_bits.map_or(String::new(), |bits| format!(", {bits} bits by token"))
                    + layer.bit_exact.map_or("", |exact| if exact {
                        ", bit exact"
                    } else {
                        ", rounded twice"
                    }),
            )?;
        }
        for (index, (layer, share)) in self.0.dearest().into_iter().enumerate() {
            let before = if index == 0 { "  dearest: " } else { ", " };
            write!(f, "{before}{} \"{}\" {:.0} % of the cells", layer.operator, layer.name, 100.0 * share)?;
        }
        if self.0.dearest().is_empty() { Ok(()) } else { writeln!(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, cells: Option<usize>) -> Layer {
        Layer {
            name: name.into(),
            operator: "Conv".into(),
            activation_bits: None,
            token_bits: None,
            bit_exact: None,
            relative_error: None,
            error_max: None,
            clamped: None,
            cells,
            predicted_ms: None,
        }
    }

    fn fidelity(layers: Vec<Layer>) -> Fidelity {
        Fidelity {
            measured_on: MeasuredOn::HeldOut,
            records: 1,
            same_largest: 1,
            cosine: 1.0,
            cosine_min: 1.0,
            relative_error: 0.0,
            error_max: 0.0,
            layers,
        }
    }

    #[test]
    fn the_dearest_layers_are_named_in_order_and_none_without_a_circuit() {
        let layers = [("a", 10), ("b", 70), ("c", 0), ("d", 20)];
        let made = fidelity(layers.map(|(name, cells)| layer(name, Some(cells))).to_vec());
        let text = Table(&made).to_string();
        let last = text.lines().last().unwrap();
        assert_eq!(
            last.trim(),
            "dearest: Conv \"b\" 70 % of the cells, Conv \"d\" 20 % of the cells, Conv \"a\" 10 % of the cells"
        );
        assert!(!Table(&fidelity(vec![layer("a", None)])).to_string().contains("dearest"));
    }

    #[test]
    fn layers_that_a_model_quantises_are_counted_and_the_first_that_is_not_exact_is_named() {
        let told = |layers: &[(&'static str, bool)]| exactness(layers.iter().copied());
        assert_eq!(told(&[]), None);
        let all = told(&[("a", true), ("b", true)]).unwrap();
        assert_eq!(all, "all of the 2 layers that the model quantises are bit exact");
        let one = told(&[("a", true), ("b", false)]).unwrap();
        assert!(one.ends_with("are bit exact; \"b\" may differ by one"), "{one}");
        let two = told(&[("a", false), ("b", false), ("c", true)]).unwrap();
        assert!(two.starts_with("1 of the 3 layers") && two.contains("\"a\" and others"), "{two}");
        let exact = |bit_exact| Layer { bit_exact, ..layer("l", None) };
        let table = |bit_exact| Table(&fidelity(vec![exact(bit_exact)])).to_string();
        assert!(table(Some(true)).contains("\"l\", bit exact"));
        assert!(table(Some(false)).contains("\"l\", rounded twice"));
        assert!(!table(None).contains("exact"));
    }
}
