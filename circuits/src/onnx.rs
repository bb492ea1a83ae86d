//! Reading an ONNX file: bytes to [`FloatModel`].
//!
//! The protobuf is read through tract's own types, checked here, walked node by node by the importers of
//! [`crate::import`], and then handed to tract for the float reference.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, ModelProto, OperatorSetIdProto, ValueInfoProto, tensor_proto, type_proto};
use tract_onnx::prelude::Framework;

use crate::float::{FloatError, FloatModel};
use crate::import::{Importer, ModelInput, rewrite, tree_ensemble};

/// Largest number of elements of one tensor that an ONNX file may ask for.
pub const TENSOR_ELEMENTS_MAX: usize = 1 << 27;

/// An operator that cannot be imported, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedOperator {
    /// Name of the node.
    pub node: String,
    /// ONNX operator type.
    pub operator: String,
    /// What about it is not supported.
    pub reason: String,
}

impl std::fmt::Display for UnsupportedOperator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node `{}` ({}): {}", self.node, self.operator, self.reason)
    }
}

/// Why an ONNX file could not be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum ImportError {
    /// The bytes are not a protobuf message of the right kind.
    #[error("not an ONNX file, or a damaged one: {reason}")]
    Protobuf { reason: String },
    /// A model without a graph.
    #[error("the ONNX file holds no graph; it is empty or damaged")]
    NoGraph,
    /// No input, or not one output.
    #[error("the model must have 1 {what}, got {}: {}", got.len(), got.join(", "))]
    Arity { what: &'static str, got: Vec<String> },
    /// A tensor of a type that is not supported where it stands.
    #[error(
        "`{tensor}` has element type {got}, expected {expected}; export the model in 32-bit floating point"
    )]
    ElementType { tensor: String, expected: &'static str, got: String },
    /// A dimension other than the batch that the file leaves open.
    #[error("input `{input}` has no fixed size along axis {axis}; export the model with fixed shapes")]
    DynamicShape { input: String, axis: usize },
    /// A tensor whose shape and data disagree, or that is absurdly large.
    #[error("tensor `{tensor}`: {reason}")]
    MalformedTensor { tensor: String, reason: String },
    /// A weight that is not a number.
    #[error("weight `{tensor}` is {got} at position {position}; the model is not usable")]
    NotFinite { tensor: String, position: usize, got: String },
    /// A node that breaks the ONNX rules.
    #[error("node `{node}` ({operator}): {reason}")]
    MalformedNode { node: String, operator: String, reason: String },
    /// All operators that are not supported.
    #[error("{} unsupported: {}", operators.len(), operators.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unsupported { operators: Vec<UnsupportedOperator> },
    /// tract refuses the model.
    #[error(transparent)]
    Float(#[from] FloatError),
}

/// Reads an ONNX file. The batch is 1: an open first dimension is taken as such.
pub fn import(onnx_bytes: &[u8]) -> Result<FloatModel, ImportError> {
    let mut reader = onnx_bytes;
    let proto = tract_onnx::onnx().proto_model_for_read(&mut reader);
    let proto = proto.map_err(|error| ImportError::Protobuf { reason: format!("{error:#}") })?;
    import_proto(&proto)
}

/// As [`import`], from the decoded protobuf.
pub(crate) fn import_proto(proto: &ModelProto) -> Result<FloatModel, ImportError> {
    let note = proto.graph.as_ref().and_then(rewrite::note);
    let proto = &rewrite::rewritten(proto);
    let standard = |set: &&OperatorSetIdProto| set.domain.is_empty() || set.domain == "ai.onnx";
    let opset = proto.opset_import.iter().find(standard).map_or(1, |set| set.version);
    let graph = proto.graph.as_ref().ok_or(ImportError::NoGraph)?;
    let inputs = the_inputs(graph)?;
    if let Some(model) = tree_ensemble::import(graph, &inputs)? {
        return Ok(model);
    }
    let output = match graph.output.as_slice() {
        [output] => output.name.as_str(),
        other => return Err(ImportError::Arity { what: "output", got: names(other.iter()) }),
    };
    let imported = Importer::new(graph, &inputs, output, opset)?.run()?;
    let proto = &rewrite::reference(proto, imported.nodes, imported.constants);
    let shapes = inputs.into_iter().map(|input| input.shape).collect();
    let notes = imported.notes.into_iter().chain(note).collect();
    Ok(FloatModel::new(proto, imported.graph, notes, shapes, &imported.output_value)?)
}

fn names<'a>(values: impl Iterator<Item = &'a ValueInfoProto>) -> Vec<String> {
    values.map(|v| v.name.clone()).collect()
}

/// The inputs that are not initialisers.
fn the_inputs(graph: &GraphProto) -> Result<Vec<ModelInput<'_>>, ImportError> {
    let initialised = |v: &ValueInfoProto| graph.initializer.iter().any(|t| t.name == v.name);
    let inputs = graph.input.iter().filter(|v| !initialised(v));
    let inputs = inputs.map(|v| Ok(ModelInput { name: &v.name, shape: input_shape(v)? }));
    let inputs = inputs.collect::<Result<Vec<_>, ImportError>>()?;
    let total = inputs.iter().try_fold(0usize, |total, input| total.checked_add(elements(&input.shape)?));
    match total {
        Some(1..=TENSOR_ELEMENTS_MAX) => Ok(inputs),
        Some(0) => Err(ImportError::Arity { what: "input", got: Vec::new() }),
        _ => {
            let reason = format!("all inputs together have more than {TENSOR_ELEMENTS_MAX} elements");
            Err(ImportError::MalformedTensor {
                tensor: inputs.first().map_or("", |input| input.name).into(),
                reason,
            })
        }
    }
}

fn input_shape(input: &ValueInfoProto) -> Result<Vec<usize>, ImportError> {
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(ImportError::ElementType {
            tensor: input.name.clone(),
            expected: "a tensor of Float",
            got: "no tensor".into(),
        });
    };
    if tensor.elem_type != i32::from(tensor_proto::DataType::Float) {
        let got = element_type(tensor.elem_type);
        return Err(ImportError::ElementType { tensor: input.name.clone(), expected: "Float", got });
    }
    let dynamic = |axis| ImportError::DynamicShape { input: input.name.clone(), axis };
    let dims = &tensor.shape.as_ref().ok_or_else(|| dynamic(0))?.dim;
    let mut shape = Vec::with_capacity(dims.len());
    for (axis, dim) in dims.iter().enumerate() {
        let size = match dim.value {
            Some(Dimension::DimValue(size)) if size > 0 => usize::try_from(size).ok(),
            _ => None,
        };
        match size {
            Some(size) => shape.push(size),
            None if axis == 0 && dims.len() > 1 => shape.push(1),
            None => return Err(dynamic(axis)),
        }
    }
    match elements(&shape) {
        Some(_) => Ok(shape),
        None => {
            let reason = format!("shape {shape:?} has more than {TENSOR_ELEMENTS_MAX} elements");
            Err(ImportError::MalformedTensor { tensor: input.name.clone(), reason })
        }
    }
}

/// Number of elements of a shape, or `None` when there are more than [`TENSOR_ELEMENTS_MAX`].
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    let product = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim))?;
    (product <= TENSOR_ELEMENTS_MAX).then_some(product)
}

/// The name of an ONNX element type.
pub(crate) fn element_type(code: i32) -> String {
    match tensor_proto::DataType::try_from(code) {
        Ok(known) => format!("{known:?}"),
        Err(_) => format!("number {code}"),
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
    use tract_onnx::pb::{NodeProto, TensorProto};

    use super::*;
    use crate::import::check::{Onnx, value_info};

    const DIGITS: &[u8] = include_bytes!("../models/digits.onnx");

    fn product() -> ModelProto {
        let onnx = Onnx::new(&[-1, 4]).noise("w", &[4, 3], 1.0);
        onnx.node("MatMul", &["x", "w"], "y", vec![]).proto("y")
    }

    fn spoilt(spoil: impl FnOnce(&mut GraphProto)) -> ImportError {
        let mut proto = product();
        spoil(proto.graph.as_mut().unwrap());
        import_proto(&proto).unwrap_err()
    }

    #[test]
    fn all_unsupported_operators_are_reported_at_once() {
        let onnx = Onnx::new(&[1, 2, 4]).noise("w", &[4, 3], 1.0).node("GRU", &["x"], "a", vec![]);
        let onnx = onnx.node("MatMul", &["a", "w"], "b", vec![]).node("LSTM", &["b"], "c", vec![]);
        let reports =
            onnx.node("Mod", &["x", "x"], "d", vec![]).node("Add", &["c", "d"], "y", vec![]).unsupported("y");
        assert_eq!(reports.len(), 3, "{reports:?}");
        for (report, name) in reports.iter().zip(["`a` (GRU)", "`c` (LSTM)", "`d` (Mod)"]) {
            assert!(report.contains(name), "{report}");
        }
    }

    #[test]
    fn operators_of_other_domains_are_not_mistaken_for_known_ones() {
        let error = spoilt(|g| g.node[0].domain = "com.example".into());
        assert!(error.to_string().contains("com.example.MatMul"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_onnx_are_refused() {
        assert_eq!(import(&[]).unwrap_err(), ImportError::NoGraph);
        assert!(matches!(import(b"not a protobuf message"), Err(ImportError::Protobuf { .. })));
    }

    #[test]
    fn any_flipped_byte_is_survived() {
        for position in (0..DIGITS.len()).step_by(61).chain(0..200).chain(DIGITS.len() - 200..DIGITS.len()) {
            let mut bytes = DIGITS.to_vec();
            bytes[position] ^= 0x55;
            if let Ok(model) = import(&bytes) {
                let _ = model.run(&vec![0.5; model.record_len()]);
            }
        }
    }

    #[test]
    fn there_must_be_an_input_and_one_output() {
        assert_eq!(spoilt(|g| g.input.clear()), ImportError::Arity { what: "input", got: vec![] });
        assert_eq!(spoilt(|g| g.output.clear()), ImportError::Arity { what: "output", got: vec![] });
    }

    #[test]
    fn initialiser_that_is_also_listed_as_an_input_is_none() {
        let mut proto = product();
        proto.graph.as_mut().unwrap().input.insert(0, value_info("w", DataType::Float, &[4, 3]));
        let model = import_proto(&proto).unwrap();
        assert_eq!(model.run(&[1.0, 2.0, 3.0, 4.0]).unwrap().output.len(), 3);
    }

    #[test]
    fn inputs_of_other_types_or_of_open_shape_are_refused() {
        let error = spoilt(|g| g.input[0] = value_info("x", DataType::Double, &[1, 4]));
        assert!(matches!(error, ImportError::ElementType { got, .. } if got == "Double"));
        let error = spoilt(|g| g.input[0] = value_info("x", DataType::Float, &[1, -1]));
        assert_eq!(error, ImportError::DynamicShape { input: "x".into(), axis: 1 });
        let error = spoilt(|g| g.input[0] = value_info("x", DataType::Float, &[-1]));
        assert_eq!(error, ImportError::DynamicShape { input: "x".into(), axis: 0 });
        let error = spoilt(|g| g.input[0].r#type = None);
        assert!(matches!(error, ImportError::ElementType { .. }));
        let error = spoilt(|g| g.input[0] = value_info("x", DataType::Float, &[1 << 40, 1 << 40]));
        assert!(matches!(error, ImportError::MalformedTensor { .. }));
    }

    #[test]
    fn unusable_weights_are_named() {
        for value in [f32::NAN, f32::INFINITY] {
            let error = spoilt(|g| g.initializer[0].float_data[7] = value);
            let got = value.to_string();
            assert_eq!(error, ImportError::NotFinite { tensor: "w".into(), position: 7, got });
        }
        type Spoil = fn(&mut TensorProto);
        let spoils: [Spoil; 6] = [
            |t| t.dims = vec![-1, 3],
            |t| t.dims = vec![4, 4],
            |t| t.dims = vec![i64::MAX, i64::MAX],
            |t| t.float_data.clear(),
            |t| t.raw_data = vec![0; 7],
            |t| t.data_location = Some(DataLocation::External as i32),
        ];
        for spoil in spoils {
            let error = spoilt(|g| spoil(&mut g.initializer[0]));
            assert!(
                matches!(&error, ImportError::MalformedTensor { tensor, .. } if tensor == "w"),
                "{error}"
            );
        }
        for code in [DataType::String as i32, 9999] {
            let error = spoilt(|g| g.initializer[0].data_type = code);
            assert!(matches!(error, ImportError::ElementType { .. }), "{error}");
        }
    }

    #[test]
    fn nodes_that_read_what_nobody_made_are_refused() {
        for input in ["z", "y", ""] {
            let error = spoilt(|g| g.node[0].input[0] = input.into());
            assert!(matches!(error, ImportError::MalformedNode { .. }), "{error}");
        }
        let error = spoilt(|g| g.output[0].name = "z".into());
        assert!(matches!(error, ImportError::MalformedTensor { .. }), "{error}");
        let error = spoilt(|g| g.output[0].name = "w".into());
        assert!(matches!(error, ImportError::MalformedTensor { .. }), "{error}");
    }

    #[test]
    fn nodes_without_a_name_are_called_after_their_output_or_position() {
        let nameless = |g: &mut GraphProto| {
            let op_type = "GRU".to_string();
            g.node = vec![
                NodeProto { op_type: op_type.clone(), output: vec!["a".into()], ..Default::default() },
                NodeProto { op_type, ..Default::default() },
            ];
        };
        let ImportError::Unsupported { operators } = spoilt(nameless) else {
            panic!("two unsupported operators")
        };
        assert_eq!((operators[0].node.as_str(), operators[1].node.as_str()), ("a", "#1"));
    }
}
