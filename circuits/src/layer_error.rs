//! How far every layer of the integer model is from the float model, so that one can see where accuracy is lost.

use crate::float::{FloatModel, FloatNode, FloatOp, FloatTrace};
use crate::graph::{IntGraph, Linear, View};
use crate::interpret::Trace;
use crate::quantise::{NodeReport, scales_of_record};

/// The error of one layer's tensor over all records, with all that was lost in the layers before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerError {
    /// Name of the layer.
    pub name: String,
    /// Its ONNX operator.
    pub operator: String,
    /// Its integer nodes.
    pub nodes: std::ops::Range<usize>,
    /// Bits of its activations, where it has a width of its own.
    pub activation_bits: Option<u32>,
    /// Of a product that reads every token at a scale of its own, the bits of a token's elements.
    pub token_bits: Option<u32>,
    /// As in [`NodeReport`].
    pub bit_exact: Option<bool>,
    /// Elements compared. None where the float model has no tensor of the same meaning: the layer is half of what one ONNX
    /// operator does.
    pub elements: u64,
    /// Sum of squared differences, in the float model's units.
    pub error_squares: f64,
    /// Sum of squares of the float model's elements.
    pub value_squares: f64,
    /// Largest difference.
    pub error_max: f64,
    /// Elements of the float model that the integers of this tensor do not reach: they are clamped.
    pub clamped: u64,
}

impl LayerError {
    /// Root mean square error over the root mean square of the float model's elements; none where nothing was compared.
    pub fn relative_error(&self) -> Option<f64> {
        let ratio = if self.error_squares == 0.0 { 0.0 } else { self.error_squares / self.value_squares };
        (self.elements > 0).then(|| ratio.sqrt())
    }
}

/// Adds up the errors of all layers, record by record.
pub(crate) struct LayerErrors<'a> {
    model: &'a FloatModel,
    graph: &'a IntGraph,
    nodes: &'a [NodeReport],
    layers: Vec<LayerError>,
}

impl<'a> LayerErrors<'a> {
    /// `nodes` is what became of each node of the float model.
    pub(crate) fn new(model: &'a FloatModel, graph: &'a IntGraph, nodes: &'a [NodeReport]) -> Self {
        let layer = |node: &NodeReport| LayerError {
            name: node.name.clone(),
            operator: node.operator.clone(),
            nodes: node.nodes.clone(),
            activation_bits: node.activation_bits,
            token_bits: node.token_bits,
            bit_exact: node.bit_exact,
            ..LayerError::default()
        };
        Self { model, graph, nodes, layers: nodes.iter().map(layer).collect() }
    }

    /// Adds one record's values.
    pub(crate) fn add(&mut self, float: &FloatTrace, integer: &Trace) {
        let float = self.model.graph.nodes.iter().zip(&self.model.graph.tensors).zip(&float.tensors);
        for ((layer, report), ((node, tensor), values)) in self.layers.iter_mut().zip(self.nodes).zip(float) {
            let holds_rest = |index: &usize| {
                matches!(self.graph.nodes.get(*index).map(|node| &node.linear), Some(Linear::Rest { .. }))
            };
            let Some(last) = layer.nodes.clone().rev().find(|index| !holds_rest(index)) else { continue };
            if let (Some(seen), Some(made), Some(maker)) =
                (&tensor.seen, integer.nodes.get(last), self.graph.nodes.get(last))
            {
                let values: Vec<f64> = values.iter().map(|v| real(node, *v)).collect();
                let integers = |e: usize| made.y.get(report.element(seen.element(e), seen.len())).copied();
                compare(layer, self.graph, maker.output.0, seen, &values, integers);
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<LayerError> {
        self.layers
    }
}

/// The number that the float model's value stands for: where the model itself quantises a tensor, its values are integers, but the
/// record comes as real numbers, and the model's output is compared as it is.
fn real(node: &FloatNode, value: f32) -> f64 {
    match &node.grid {
        Some(grid) if !grid.raw && !matches!(node.op, FloatOp::Input) => {
            (f64::from(value) - grid.zero as f64) * f64::from(grid.scale)
        }
        _ => f64::from(value),
    }
}

fn compare(
    layer: &mut LayerError,
    graph: &IntGraph,
    tensor: usize,
    seen: &View,
    values: &[f64],
    integers: impl Fn(usize) -> Option<i32>,
) {
    let (scale, (lo, hi)) = (graph.tensors[tensor].scale, graph.tensors[tensor].bound);
    let of_record = tensor == graph.input.0 && !graph.parts.is_empty();
    let scales = if of_record { scales_of_record(graph) } else { Vec::new() };
    for (e, value) in values.iter().enumerate().take(seen.len()) {
        let element = seen.element(e);
        let scale = scales.get(element).copied().unwrap_or(scale);
        let Some(integer) = integers(e) else { continue };
        let error = (f64::from(integer) * scale - value).abs();
        layer.elements += 1;
        layer.error_squares += error * error;
        layer.value_squares += value * value;
        layer.error_max = layer.error_max.max(error);
        let reach = (value / scale).round();
        layer.clamped += u64::from(reach < lo as f64 || reach > hi as f64);
    }
}

#[cfg(test)]
mod tests {
    use crate::accuracy::measure_layers;
    use crate::import::check::{Onnx, noise};
    use crate::quantise::{Calibration, QuantiseOptions, quantise};
    use crate::{AccuracyError, FloatModel, LayerError};

    /// A product in a tensor of another order than ONNX has it, a sum with the input, and one more product.
    fn model() -> FloatModel {
        let onnx = Onnx::new(&[1, 4, 4]).noise("w", &[4, 4], 1.0).noise("v", &[4, 3], 1.0);
        let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("Transpose", &["a"], "t", vec![]);
        let onnx = onnx.ints("s", &[1, 4, 4]).node("Reshape", &["t", "s"], "r", vec![]);
        let onnx = onnx.node("Relu", &["r"], "h", vec![]).node("Add", &["h", "x"], "b", vec![]);
        onnx.node("MatMul", &["b", "v"], "y", vec![]).import("y").unwrap()
    }

    fn errors(activation_bits: u32, calibration: Calibration) -> Vec<LayerError> {
        let (model, records): (_, Vec<_>) = (model(), (0..20).map(|seed| noise(seed, 16, 2.0)).collect());
        let (shift, q_bits) = (Some(12), Some(16));
        let options =
            QuantiseOptions { activation_bits, calibration, shift, q_bits, ..QuantiseOptions::default() };
        let (graph, weights, report) = quantise(&model, &records, &options).unwrap();
        let labels = vec![0; records.len()];
        let measured =
            measure_layers(&model, &graph, &weights, &report.nodes, &records, Some(&labels)).unwrap();
        assert_eq!(measured.0.comparison.records, 20);
        let nodes: Vec<_> = measured.1.iter().flat_map(|layer| layer.nodes.clone()).collect();
        assert_eq!(nodes, (0..graph.nodes.len()).collect::<Vec<_>>(), "every node is of one layer");
        measured.1
    }

    #[test]
    fn every_layer_has_the_error_of_its_bits_and_of_those_before_it() {
        let (coarse, fine) = (errors(5, Calibration::MinMax), errors(10, Calibration::MinMax));
        for (coarse, fine) in coarse.iter().zip(&fine) {
            let (coarse, fine) = (coarse.relative_error().unwrap(), fine.relative_error().unwrap());
            assert!(fine < 0.004 && coarse < 0.1 && coarse > 8.0 * fine, "{coarse} {fine}");
        }
        assert_eq!(fine.iter().map(|layer| layer.clamped).sum::<u64>(), 0);
        let operators: Vec<_> = fine.iter().map(|layer| layer.operator.as_str()).collect();
        assert_eq!(operators, ["Input", "MatMul", "Add", "MatMul"]);
        assert_eq!(fine[0].elements, 20 * 16);
    }

    #[test]
    fn what_calibration_cuts_off_is_counted() {
        let layers = errors(10, Calibration::Percentile(90.0));
        // A tenth of 320, less those of the last percentile's own value.
        assert!((20..=32).contains(&layers[0].clamped), "{:?}", layers[0]);
        assert!(layers[0].error_max > 0.1);
    }

    #[test]
    fn as_many_labels_as_records_are_needed() {
        let (model, records) = (model(), vec![noise(1, 16, 2.0)]);
        let (graph, weights, report) = quantise(&model, &records, &QuantiseOptions::default()).unwrap();
        let error = measure_layers(&model, &graph, &weights, &report.nodes, &records, Some(&[]));
        assert_eq!(error.unwrap_err(), AccuracyError::Labels { expected: 1, got: 0 });
    }
}
