//! Records and test sets in JSON.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use serde::Deserialize;

/// Held-out records with their labels: `{"records": [[…], …], "labels": […]}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TestSet {
    /// Flat records in the model's input order.
    pub records: Vec<Vec<f32>>,
    /// For each record, the index of the right class.
    pub labels: Vec<usize>,
}

/// Why a data file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("expected {expected} in JSON")]
pub struct DataError {
    expected: &'static str,
    #[source]
    source: serde_json::Error,
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8], expected: &'static str) -> Result<T, DataError> {
    serde_json::from_slice(json).map_err(|source| DataError { expected, source })
}

/// One record: a flat list of numbers.
pub fn read_record(json: &[u8]) -> Result<Vec<f32>, DataError> {
    parse(json, "a list of numbers")
}

/// Calibration records: a list of flat lists.
pub fn read_records(json: &[u8]) -> Result<Vec<Vec<f32>>, DataError> {
    parse(json, "a list of lists of numbers")
}

/// A test set.
pub fn read_test_set(json: &[u8]) -> Result<TestSet, DataError> {
    parse(json, "an object with `records` and `labels`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_lists_of_numbers() {
        assert_eq!(read_record(b"[1, -2.5, 3e2]").unwrap(), [1.0, -2.5, 300.0]);
        assert_eq!(read_records(b"[[1], [2]]").unwrap(), [[1.0], [2.0]]);
        assert_eq!(read_test_set(br#"{"records": [[0]], "labels": [1]}"#).unwrap().labels, [1]);
    }

    #[test]
    fn anything_else_is_refused() {
        for json in ["", "[1, NaN]", "[1, null]", "[1, 1e999]", "{}", "[1] 2", "[\"1\"]"] {
            assert!(read_record(json.as_bytes()).is_err(), "{json}");
        }
    }
}
