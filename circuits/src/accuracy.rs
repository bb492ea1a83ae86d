//! How far the integer model is from the float model, and from the truth.

use crate::float::{FloatError, FloatModel, FloatTrace};
use crate::graph::{IntGraph, WeightValues};
use crate::interpret::{Interpreter, RunError, Trace};
use crate::layer_error::{LayerError, LayerErrors};
use crate::quantise::{NodeReport, dequantise_output, quantise_record};

/// Outputs of the two models, record by record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Records compared.
    pub records: usize,
    /// Records whose largest output is the same in both models.
    pub agreeing: usize,
    /// Largest difference of an output, in the float model's units.
    pub error_max: f64,
    /// Sum of squared differences of all outputs.
    pub error_squares: f64,
    /// Sum of squares of all outputs of the float model.
    pub output_squares: f64,
    /// Sum over the records of the cosine between the two models' outputs.
    pub cosine_sum: f64,
    /// The least of these cosines.
    pub cosine_min: Option<f64>,
}

impl Comparison {
    /// Adds one record's outputs.
    pub fn add(&mut self, graph: &IntGraph, integers: &[i32], floats: &[f32]) {
        self.records += 1;
        self.agreeing += usize::from(argmax(integers) == argmax(floats));
        let got = dequantise_output(graph, integers);
        let cosine = cosine(&got, floats);
        self.cosine_sum += cosine;
        self.cosine_min = Some(self.cosine_min.map_or(cosine, |least| least.min(cosine)));
        for (got, want) in got.iter().zip(floats) {
            let error = got - f64::from(*want);
            self.error_max = self.error_max.max(error.abs());
            self.error_squares += error * error;
            self.output_squares += f64::from(*want) * f64::from(*want);
        }
    }

    /// Share of records on which the models agree.
    pub fn agreement(&self) -> f64 {
        self.agreeing as f64 / self.records.max(1) as f64
    }

    /// Mean cosine between the two models' outputs; 1 if nothing was compared.
    pub fn cosine(&self) -> f64 {
        if self.records == 0 { 1.0 } else { self.cosine_sum / self.records as f64 }
    }

    /// Root mean square error over root mean square output.
    pub fn relative_error(&self) -> f64 {
        if self.error_squares == 0.0 { 0.0 } else { (self.error_squares / self.output_squares).sqrt() }
    }
}

/// Result of [`measure`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// The two models against each other.
    pub comparison: Comparison,
    /// Records that the float model gets right.
    pub float_right: usize,
    /// Records that the integer model gets right.
    pub integer_right: usize,
}

impl Accuracy {
    /// Share of records that the float model gets right.
    pub fn float(&self) -> f64 {
        self.float_right as f64 / self.comparison.records.max(1) as f64
    }

    /// Share of records that the integer model gets right.
    pub fn integer(&self) -> f64 {
        self.integer_right as f64 / self.comparison.records.max(1) as f64
    }
}

/// Why accuracy could not be measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum AccuracyError {
    /// A record is unusable.
    #[error("record {record} is not usable")]
    Record {
        record: usize,
        #[source]
        source: FloatError,
    },
    /// The integer model failed on a record.
    #[error("the integer model failed on record {record}")]
    Run {
        record: usize,
        #[source]
        source: RunError,
    },
    /// As many labels as records are needed.
    #[error("there are {expected} records but {got} labels")]
    Labels { expected: usize, got: usize },
}

/// Runs both models on labelled records; a label is the index of the output that should be largest.
pub fn measure(
    model: &FloatModel,
    graph: &IntGraph,
    weights: &WeightValues,
    records: &[Vec<f32>],
    labels: &[usize],
) -> Result<Accuracy, AccuracyError> {
    run_both(model, graph, weights, records, Some(labels), |_, _| {})
}

/// As [`measure`], layer by layer too. `nodes` is what [`quantise`](crate::quantise::quantise()) reports of this graph. Without labels
/// no record counts as right.
pub fn measure_layers(
    model: &FloatModel,
    graph: &IntGraph,
    weights: &WeightValues,
    nodes: &[NodeReport],
    records: &[Vec<f32>],
    labels: Option<&[usize]>,
) -> Result<(Accuracy, Vec<LayerError>), AccuracyError> {
    let mut layers = LayerErrors::new(model, graph, nodes);
    let accuracy = run_both(model, graph, weights, records, labels, |float, integer| {
        layers.add(float, integer);
    })?;
    Ok((accuracy, layers.finish()))
}

fn run_both(
    model: &FloatModel,
    graph: &IntGraph,
    weights: &WeightValues,
    records: &[Vec<f32>],
    labels: Option<&[usize]>,
    mut each: impl FnMut(&FloatTrace, &Trace),
) -> Result<Accuracy, AccuracyError> {
    if let Some(labels) = labels.filter(|labels| labels.len() != records.len()) {
        return Err(AccuracyError::Labels { expected: records.len(), got: labels.len() });
    }
    let interpreter =
        Interpreter::new(graph, weights).map_err(|source| AccuracyError::Run { record: 0, source })?;
    let mut accuracy = Accuracy::default();
    for (index, record) in records.iter().enumerate() {
        let unusable = |source| AccuracyError::Record { record: index, source };
        let float = model.run(record).map_err(unusable)?;
        let integers = quantise_record(graph, record).map_err(unusable)?;
        let trace =
            interpreter.run(&integers).map_err(|source| AccuracyError::Run { record: index, source })?;
        accuracy.comparison.add(graph, &trace.output, &float.output);
        if let Some(label) = labels.and_then(|labels| labels.get(index)) {
            accuracy.float_right += usize::from(argmax(&float.output) == *label);
            accuracy.integer_right += usize::from(argmax(&trace.output) == *label);
        }
        each(&float, &trace);
    }
    Ok(accuracy)
}

/// The cosine of the angle between two vectors; where one of them is 0, it is 1 if the other is too, and else 0.
pub fn cosine(a: &[f64], b: &[f32]) -> f64 {
    let pairs = || a.iter().copied().zip(b.iter().map(|v| f64::from(*v)));
    let product: f64 = pairs().map(|(a, b)| a * b).sum();
    let squares = |side: fn((f64, f64)) -> f64| pairs().map(|pair| side(pair) * side(pair)).sum::<f64>();
    let (a, b) = (squares(|pair| pair.0), squares(|pair| pair.1));
    if a * b > 0.0 { product / (a * b).sqrt() } else { f64::from(u8::from(a == b)) }
}

/// Index of the first largest value (0 for an empty list).
pub fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_tells_directions_apart_and_knows_vectors_of_zeros() {
        assert!((cosine(&[3.0, 4.0], &[6.0, 8.0]) - 1.0).abs() < 1e-12);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 1.0]), 0.0);
        assert_eq!((cosine(&[0.0], &[0.0]), cosine(&[0.0], &[1.0]), cosine(&[], &[])), (1.0, 0.0, 1.0));
    }

    #[test]
    fn argmax_takes_the_first_of_equals() {
        assert_eq!(argmax(&[1, 3, 3, 2]), 1);
        assert_eq!(argmax::<f32>(&[]), 0);
    }
}
