//! How far the integer model is from the float model, and from the truth.

use crate::float::{FloatError, FloatModel};
use crate::graph::{IntGraph, WeightValues};
use crate::interpret::{Interpreter, RunError};
use crate::quantise::{dequantise_output, quantise_record};

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
}

impl Comparison {
    /// Adds one record's outputs.
    pub fn add(&mut self, graph: &IntGraph, integers: &[i32], floats: &[f32]) {
        self.records += 1;
        self.agreeing += usize::from(argmax(integers) == argmax(floats));
        for (got, want) in dequantise_output(graph, integers).iter().zip(floats) {
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
    if records.len() != labels.len() {
        return Err(AccuracyError::Labels { expected: records.len(), got: labels.len() });
    }
    let interpreter =
        Interpreter::new(graph, weights).map_err(|source| AccuracyError::Run { record: 0, source })?;
    let mut accuracy = Accuracy::default();
    for (index, (record, label)) in records.iter().zip(labels).enumerate() {
        let unusable = |source| AccuracyError::Record { record: index, source };
        let float = model.run(record).map_err(unusable)?;
        let integers = quantise_record(graph, record).map_err(unusable)?;
        let trace =
            interpreter.run(&integers).map_err(|source| AccuracyError::Run { record: index, source })?;
        accuracy.comparison.add(graph, &trace.output, &float.output);
        accuracy.float_right += usize::from(argmax(&float.output) == *label);
        accuracy.integer_right += usize::from(argmax(&trace.output) == *label);
    }
    Ok(accuracy)
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
    fn argmax_takes_the_first_of_equals() {
        assert_eq!(argmax(&[1, 3, 3, 2]), 1);
        assert_eq!(argmax::<f32>(&[]), 0);
    }
}
