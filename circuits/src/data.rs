//! Records and test sets in JSON; single tensors as NumPy and ONNX write them.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

mod npy;
mod npz;

use prost::Message;
use serde::Deserialize;
use tract_onnx::pb::TensorProto;

use crate::import::tensor::{Constant, Data};
use crate::onnx::ImportError;

pub use npy::{NpyError, read_npy};
pub use npz::{NpzError, read_npz};

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

/// Why a tensor file could not be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum TensorError {
    /// Not a protobuf.
    #[error("it should be an ONNX TensorProto")]
    Protobuf(#[from] prost::DecodeError),
    /// A tensor that cannot be used.
    #[error(transparent)]
    Tensor(#[from] ImportError),
}

/// The elements of an ONNX `TensorProto`, row-major, as the files `input_0.pb` of ONNX test suites hold them.
pub fn read_tensor_proto(bytes: &[u8]) -> Result<Vec<f32>, TensorError> {
    match Constant::read(&TensorProto::decode(bytes)?)?.data {
        Data::Float(values) => Ok(values),
        #[expect(clippy::as_conversions, reason = "records are in single precision")]
        Data::Int(values) => Ok(values.into_iter().map(|v| v as f32).collect()),
    }
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
    fn tensor_protos_hold_their_elements_raw_or_typed() {
        let raw = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let tensor = TensorProto { dims: vec![1, 2], data_type: 1, ..TensorProto::default() };
        let written = [
            TensorProto { raw_data: raw, ..tensor.clone() },
            TensorProto { float_data: vec![1.5, -2.0], ..tensor.clone() },
        ];
        for proto in written {
            assert_eq!(read_tensor_proto(&proto.encode_to_vec()).unwrap(), [1.5, -2.0]);
        }
        assert!(matches!(read_tensor_proto(&tensor.encode_to_vec()), Err(TensorError::Tensor(_))));
        assert!(matches!(read_tensor_proto(&[0xff; 9]), Err(TensorError::Protobuf(_))));
    }

    #[test]
    fn anything_else_is_refused() {
        for json in ["", "[1, NaN]", "[1, null]", "[1, 1e999]", "{}", "[1] 2", "[\"1\"]"] {
            assert!(read_record(json.as_bytes()).is_err(), "{json}");
        }
    }
}
