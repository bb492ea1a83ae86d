//! Constants of an ONNX file: initialisers and `Constant` nodes.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

use crate::onnx::{ImportError, element_type, elements};

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its name, for errors and for weights made of it.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Row-major elements.
    pub data: Data,
    /// Whether a `Constant` node holds it, so that it is part of the graph and no weight.
    pub literal: bool,
}

/// The elements of a [`Constant`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Real numbers, all finite.
    Float(Vec<f32>),
    /// Integers: shapes, axes, switches.
    Int(Vec<i64>),
}

impl Constant {
    /// Reads and checks a tensor.
    pub fn read(tensor: &TensorProto) -> Result<Self, ImportError> {
        Self::read_any(tensor)?.finite()
    }

    /// As [`Self::read`], of numbers that may be infinite or none.
    pub fn read_any(tensor: &TensorProto) -> Result<Self, ImportError> {
        let name = tensor.name.clone();
        let malformed = |reason: String| ImportError::MalformedTensor { tensor: name.clone(), reason };
        if tensor.data_location == Some(i32::from(DataLocation::External)) {
            return Err(malformed("its data is in another file; save the model as one file".into()));
        }
        let shape = tensor.dims.iter().map(|d| usize::try_from(*d)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| malformed(format!("negative dimension in {:?}", tensor.dims)))?;
        let len = elements(&shape).ok_or_else(|| malformed(format!("shape {shape:?} is too large")))?;
        let data = read_data(tensor, len).map_err(|got| match got {
            ReadError::Length(got) => malformed(format!("shape {shape:?} needs {len} elements, got {got}")),
            ReadError::Type(got) => ImportError::ElementType {
                tensor: name.clone(),
                expected: "Float, Double or an integer",
                got,
            },
        })?;
        Ok(Self { name: name.clone(), shape, data, literal: false })
    }

    /// Whether its one number is public, as part of the graph: it stands in a `Constant` node, or is a number without
    /// dimensions. Anything else may be learned and is hidden with the weights.
    pub fn is_public(&self) -> bool {
        self.literal || self.shape.is_empty()
    }

    /// A float vector as a constant of one dimension.
    pub fn floats(name: &str, values: Vec<f32>) -> Result<Self, ImportError> {
        Self { name: name.into(), shape: vec![values.len()], data: Data::Float(values), literal: false }
            .finite()
    }

    fn finite(self) -> Result<Self, ImportError> {
        if let Data::Float(values) = &self.data
            && let Some((position, value)) = values.iter().enumerate().find(|(_, v)| !v.is_finite())
        {
            let got = value.to_string();
            return Err(ImportError::NotFinite { tensor: self.name, position, got });
        }
        Ok(self)
    }
}

enum ReadError {
    Length(usize),
    Type(String),
}

/// `N`-byte little-endian words, or the typed field when there are no raw bytes.
fn words<const N: usize, T: Copy, U: Copy>(
    tensor: &TensorProto,
    len: usize,
    from_bytes: fn([u8; N]) -> U,
    field: &[T],
    convert: fn(T) -> U,
) -> Result<Vec<U>, ReadError> {
    let values: Vec<U> = if tensor.raw_data.is_empty() {
        field.iter().map(|v| convert(*v)).collect()
    } else {
        let (chunks, rest) = tensor.raw_data.as_chunks::<N>();
        if !rest.is_empty() {
            return Err(ReadError::Length(chunks.len()));
        }
        chunks.iter().map(|c| from_bytes(*c)).collect()
    };
    if values.len() == len { Ok(values) } else { Err(ReadError::Length(values.len())) }
}

fn read_data(t: &TensorProto, len: usize) -> Result<Data, ReadError> {
    #[expect(
        clippy::as_conversions,
        reason = "models are computed in single precision; what does not fit becomes infinite and is refused"
    )]
    let same = |v: f64| v as f32;
    Ok(match DataType::try_from(t.data_type) {
        Ok(DataType::Float) => Data::Float(words(t, len, f32::from_le_bytes, &t.float_data, |v| v)?),
        Ok(DataType::Double) => Data::Float(
            words(t, len, f64::from_le_bytes, &t.double_data, |v| v)?.into_iter().map(same).collect(),
        ),
        Ok(DataType::Int64) => Data::Int(words(t, len, i64::from_le_bytes, &t.int64_data, |v| v)?),
        Ok(DataType::Int32) => {
            let values = words(t, len, i32::from_le_bytes, &t.int32_data, |v| v)?;
            Data::Int(values.into_iter().map(i64::from).collect())
        }
        Ok(DataType::Int8) => {
            let values = words(t, len, i8::from_le_bytes, &t.int32_data, |v| i8::try_from(v).unwrap_or(0))?;
            Data::Int(values.into_iter().map(i64::from).collect())
        }
        Ok(DataType::Uint8) => {
            let values = words(t, len, u8::from_le_bytes, &t.int32_data, |v| u8::try_from(v).unwrap_or(0))?;
            Data::Int(values.into_iter().map(i64::from).collect())
        }
        Ok(DataType::Bool) => {
            let values = words(t, len, u8::from_le_bytes, &t.int32_data, |v| u8::from(v != 0))?;
            Data::Int(values.into_iter().map(i64::from).collect())
        }
        _ => return Err(ReadError::Type(element_type(t.data_type))),
    })
}
